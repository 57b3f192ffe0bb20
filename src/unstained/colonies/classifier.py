"""A classifier of colonies as scikit-learn would have it: fit, predict_proba, save, load."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import __version__
from ..errors import DataError, InputError, ModelError
from ..images.atomic import atomic_path
from ..images.image import Array
from ..learning import devices
from ..learning.checkpoints import load_tensors, load_weights, save_tensors
from ..learning.encoders import Classifier, EncoderSpec, build_classifier
from ..learning.loop import Progress
from .crops import ArrayCrops, Crops, Patches
from .deal import MIXED, UNLABELLED, choose_labelled
from .ipb import train_ipb
from .settings import ClassifierSettings
from .supervised import train_supervised
from .training_data import TrainingData, probabilities
from .views import Normalizer

__all__ = ["ColonyClassifier"]

_FORMAT = 1


class ColonyClassifier:
    """Learns classes of images from a few labels and many images without.

    Parameters
    ----------
    method : str
        One of `settings.METHODS`; ``ipb`` is the best that we know.
    **changes
        Any field of `ClassifierSettings`.

    Attributes
    ----------
    settings : ClassifierSettings
    classes : tuple of str
        In the order of the columns of `predict_proba`.
    about : dict
        What it was trained on, and how it went.
    """

    def __init__(self, method: str = "ipb", **changes: Any) -> None:
        self.settings = ClassifierSettings.of_method(method, **changes)
        self.classes: tuple[str, ...] = ()
        self.about: dict[str, Any] = {}
        self.temperature = 1.0
        self._network: Classifier | None = None
        self._normalizer = Normalizer()

    def fit(
        self,
        images: Sequence[Array] | Crops,
        y: Sequence[int] | Array,
        groups: Sequence[str] | Array | None = None,
        *,
        masks: Sequence[Array | None] | None = None,
        classes: Sequence[str] | None = None,
        folder: Path | None = None,
        resume: bool = False,
        report: Callable[[str, Progress], None] = lambda stage, progress: None,
    ) -> ColonyClassifier:
        """Train.

        Parameters
        ----------
        images : sequence of (Y, X) or (P, Y, X) arrays, or Crops
        y : (N,) ints
            Class of each image from 0; -1 where it is not known; -2 for an image of several
            classes, which is learned from without a label.
        groups : (N,) sequence, optional
            Sequence or well of each image: validation gets groups of its own, where there are
            enough.
        masks : sequence of (Y, X) bool arrays or None, optional
        classes : sequence of str, optional
            Names; "0", "1" ... where not given.
        folder : Path, optional
            For history and checkpoints; a temporary one where not given.
        resume : bool
            Go on from the checkpoint in `folder`; the result is that of an unbroken run.
        report : callable
            Is told the stage and where it stands, after every step.

        Raises
        ------
        DataError
            A class with fewer than two labelled images, none unlabelled where the method
            learns from them, an empty mask.
        """
        crops = images if hasattr(images, "read") else ArrayCrops(images, masks)
        codes = np.asarray(y, int)
        group = np.arange(codes.size) if groups is None else np.asarray(groups)
        self.classes = _class_names(codes, classes)
        _check(codes, len(crops), group, self.classes, self.settings)
        data = self._data(crops, codes, group)
        self._normalizer = data.normalizer
        with tempfile.TemporaryDirectory() as temporary:
            where = Path(temporary) if folder is None else Path(folder)
            self._network = _train(data, where, resume=resume, report=report)
        self.about = {
            "labelled": np.bincount(data.labelled_y, minlength=data.classes).tolist(),
            "validation": np.bincount(data.validation_y, minlength=data.classes).tolist(),
            "unlabelled": int(data.unlabelled.size),
            "patch": data.patches.patch,
        }
        return self

    def _data(self, crops: Crops, y: Array, groups: Array) -> TrainingData:
        settings = self.settings
        known = np.flatnonzero(y >= 0)
        labelled, validation = choose_labelled(
            y[known], groups[known], known.size, settings.seed, settings.validation
        )
        hidden = (y == UNLABELLED) | (settings.multi_label & (y == MIXED))
        unlabelled = np.flatnonzero(hidden)
        patches = Patches(
            crops,
            settings.patch or _auto_patch(crops, known, settings.scales),
            settings.inside,
            flips=settings.flips,
            quarter_turns=settings.quarter_turns,
        )
        teaching = np.concatenate([known[labelled], unlabelled])
        data = TrainingData(
            patches=patches,
            labelled=known[labelled],
            labelled_y=y[known[labelled]],
            validation=known[validation],
            validation_y=y[known[validation]],
            unlabelled=unlabelled,
            classes=len(self.classes),
            settings=settings if validation.size else replace(settings, select="last"),
            normalizer=TrainingData.fit_normalizer(patches, teaching, settings),
        )
        return data

    def predict_proba(
        self,
        images: Sequence[Array] | Crops,
        *,
        masks: Sequence[Array | None] | None = None,
        views: int | None = None,
    ) -> Array:
        """Probability of each class.

        Parameters
        ----------
        images, masks
            As in `fit`.
        views : int, optional
            Patches averaged for each image; the settings' where not given.

        Returns
        -------
        (N, K) float64 array
            Rows sum to 1; columns as `classes`.
        """
        network = self._ready()
        crops = images if hasattr(images, "read") else ArrayCrops(images, masks)
        patches = Patches(crops, self.about["patch"], self.settings.inside)
        return probabilities(
            network,
            patches,
            np.arange(len(crops)),
            self._normalizer,
            self.settings,
            views=views or self.settings.views,
        )

    def predict(self, images: Sequence[Array] | Crops, **how: Any) -> Array:
        """Code of the most probable class."""
        return np.asarray(self.predict_proba(images, **how).argmax(axis=1))

    def _ready(self) -> Classifier:
        if self._network is None:
            raise InputError("the classifier was not trained", "call fit, or load a model")
        return self._network


def _train(
    data: TrainingData,
    folder: Path,
    *,
    resume: bool,
    report: Callable[[str, Progress], None],
) -> Classifier:
    """Run the method: supervised lessons, then whatever it adds."""
    settings = data.settings

    def new(seed: int) -> Classifier:
        planes = data.patches.prepared(int(data.labelled[0])).pixels.shape[0]
        spec = EncoderSpec(
            settings.network, planes, data.classes, settings.scales, weights=settings.weights or None
        )
        network = build_classifier(spec, seed=seed)
        return network.to(memory_format=torch.channels_last)

    if settings.method == "supervised":
        network = new(settings.seed)
        train_supervised(
            network,
            data,
            folder / "supervised",
            settings.steps,
            resume=resume,
            report=lambda progress: report("supervised", progress),
        )
        return network
    teacher, student = new(settings.seed), new(settings.seed + 1)
    train_supervised(
        teacher,
        data,
        folder / "teacher",
        settings.pretrain_steps,
        resume=resume,
        report=lambda progress: report("teacher", progress),
    )
    train_ipb(
        teacher,
        student,
        data,
        folder / "student",
        resume=resume,
        report=lambda progress: report("student", progress),
    )
    return student


def _class_names(y: Array, given: Sequence[str] | None) -> tuple[str, ...]:
    k = int(y.max(initial=-1)) + 1
    if given is None:
        return tuple(map(str, range(k)))
    if len(given) < k:
        raise InputError(f"{len(given)} class names for codes up to {k - 1}", "name each class")
    return tuple(given)


def _check(
    y: Array, n_images: int, groups: Array, classes: Sequence[str], settings: ClassifierSettings
) -> None:
    if not y.size == n_images == groups.size:
        raise InputError(
            f"{n_images} images, {y.size} labels, {groups.size} groups", "give one of each"
        )
    if y.size and y.min() < MIXED:
        raise InputError(f"class code {y.min()}", "give 0 and up, -1 unknown, -2 several classes")
    count = np.bincount(y[y >= 0], minlength=len(classes))
    if len(classes) < 2:
        raise DataError(f"{len(classes)} classes are labelled", "label images of two at least")
    few = [f"{name} has {n}" for name, n in zip(classes, count.tolist(), strict=True) if n < 2]
    if few:
        raise DataError(
            f"too few labelled images: {', '.join(few)}",
            "two of each class are the least, one to learn from and one to choose by; "
            "label more, or leave the class out",
        )
    if settings.learns_unlabelled and not (y < 0).any():
        raise DataError(
            f"{settings.method} learns from unlabelled images, and there are none",
            "add images without a label, hide some labels (--labelled 0.5), "
            "or choose --method supervised",
        )


def _auto_patch(crops: Crops, labelled: Array, scales: int) -> int:
    """128 or 224 px; of images smaller than half of that, their median side."""
    full = 128 if scales == 1 else 224
    some = labelled[:: max(1, labelled.size // 100)]
    side = int(np.median([min(crops.read(int(i)).pixels.shape[1:]) for i in some]))
    return full if side >= full // 2 else side
