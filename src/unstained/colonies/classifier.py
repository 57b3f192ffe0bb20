"""A classifier of colonies in scikit-learn's manner: fit, predict_proba, save, load."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from ..errors import InputError, ModelError
from ..images.atomic import atomic_dir, read_json, write_json
from ..images.image import Array
from ..images.saved import from_saved
from ..learning.encoders import least_side
from ..learning.loop import Progress
from ..learning.memory import tune_allocator
from ..learning.model_file import told_as_damage, write_model_files
from ..learning.training_folder import NOTE
from ..statistics import ClassConformal, apply_temperature, fit_temperature
from .balance import geometric_mean
from .classifier_inputs import (
    as_codes,
    as_crops,
    as_groups,
    as_positions,
    check_inputs,
    check_validation,
    class_names,
)
from .crops import Crops, Patches
from .deal import choose_labelled, hidden
from .feature_model import FeatureModel
from .methods import train_method
from .model_files import (
    KIND,
    Advised,
    Model,
    check_about,
    model_of,
    model_tensors,
    read_model,
)
from .settings import ClassifierSettings
from .stains import STAIN, Stained
from .training_data import TrainingData, probabilities
from .views import Normalizer

__all__ = ["ColonyClassifier", "Held", "check_same_run"]

_TEMPERATURE_SD = 0.5
"""Of the prior on the logarithm of the temperature: a few faultless images prove little."""


class Held(NamedTuple):
    """What the model says of the validation part, by which its probabilities are calibrated.

    Attributes
    ----------
    probabilities : (N, K) float64 array
        Before calibration.
    true : (N,) int array
    """

    probabilities: Array
    true: Array


class ColonyClassifier:
    """Learns classes of images from a few labels and many images without.

    In scikit-learn's manner, but no estimator of it (its `clone` and `cross_val_score` do not take
    it): ``ColonyClassifier(**classifier.settings.as_dict())`` is the same, untrained, and `compare`
    goes over folds of whole groups.

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
    held : Held
        The validation part; empty where there is none.
    temperature : float
        Fitted on `held`; 1 leaves the probabilities as the network gives them.
    """

    def __init__(self, method: str = "ipb", **changes: Any) -> None:
        self.settings = ClassifierSettings.of_method(method, **changes)
        self.classes: tuple[str, ...] = ()
        self.about: dict[str, Any] = {}
        self.held = Held(np.empty((0, 0)), np.empty(0, int))
        self.temperature = 1.0
        self._model: Model | None = None
        self._normalizer = Normalizer()

    def __repr__(self) -> str:
        """``<ColonyClassifier ipb of debris, dense>``, or that it was not trained."""
        said = "not trained" if self._model is None else f"of {', '.join(self.classes)}"
        return f"<ColonyClassifier {self.settings.method} {said}>"

    def fit(
        self,
        images: Iterable[Array] | Crops,
        y: npt.ArrayLike,
        groups: npt.ArrayLike | None = None,
        *,
        masks: Iterable[Array | None] | None = None,
        classes: Sequence[str] | None = None,
        validation: npt.ArrayLike | None = None,
        folder: str | Path | None = None,
        resume: bool = False,
        report: Callable[[str, Progress], None] = lambda stage, progress: None,
    ) -> ColonyClassifier:
        """Train.

        Parameters
        ----------
        images : (Y, X) or (P, Y, X) arrays, or Crops
            Of any sizes, of the same planes and grey values.
        y : (N,) ints
            Class of each image from 0; -1 where it is not known; -2 for an image of several
            classes, which is learned from without a label. Of names that are None where they are
            not known: ``y, classes = pandas.factorize(pandas.Series(names), sort=True)``.
        groups : (N,) array, optional
            Sequence or well of each image: validation gets groups of its own, where there are
            enough. Not given, each image is a group of its own.
        masks : (Y, X) bool arrays or None, optional
        classes : sequence of str, optional
            Names; "0", "1" ... where not given.
        validation : (M,) ints, optional
            Positions of labelled images that choose the epoch and calibrate; a share of the
            labelled ones where not given.
        folder : path, optional
            For history and checkpoints; a temporary one where not given.
        resume : bool
            Go on from the checkpoint in `folder`; the result is that of an unbroken run.
        report : callable
            Is told the stage and where it stands, after every step.

        Raises
        ------
        DataError
            A class with fewer than two labelled images or with none outside `validation`, none
            unlabelled where the method learns from them, an empty mask, integers of different
            bits, or floats of 0 to 1 beside integers.
        InputError
            Images, labels, groups or masks that are not as many, or of another kind; a group that
            is blank; two classes of one name; in `validation` what is no position of a labelled
            image.
        """
        crops = as_crops(images, masks)
        codes = as_codes(y)
        group = np.arange(codes.size) if groups is None else as_groups(groups)
        self.classes = class_names(codes, classes)
        check_inputs(codes, crops, group, self.classes, self.settings)
        if validation is not None:
            file = getattr(crops, "name", None)  # of examples
            validation = as_positions(validation)
            check_validation(validation, codes, self.classes, file)
        tune_allocator()
        began = time.perf_counter()
        data = self._data(crops, codes, group, validation)
        with tempfile.TemporaryDirectory() as temporary:
            where = Path(temporary) if folder is None else Path(folder)
            stains = crops.stains if isinstance(crops, Stained) else None
            said = None if stains is None else stains.as_dict()
            check_same_run(where, self.settings, codes, said, resume=resume)
            self._train(data, where, resume, report)
            self.about = {
                "labelled": np.bincount(data.labelled_y, minlength=data.classes).tolist(),
                "validation": np.bincount(data.validation_y, minlength=data.classes).tolist(),
                "unlabelled": int(data.unlabelled.size),
                "patch": data.patches.patch,
                "planes": data.planes,
                "pixels": data.patches.integers[0] if data.patches.integers else "float",
                "stains": said,
            }
            self._calibrate(data)
            if self.settings.refit and data.validation.size:
                # as sure of itself as the model that was calibrated: self-training sharpens
                rounds = _rounds_of(self._ready())
                whole = replace(self._data(crops, codes, group, aside=()), rounds=rounds)
                self._train(
                    whole, where / "refit", resume, lambda stage, at: report(f"refit {stage}", at)
                )
        self.about["seconds"] = round(time.perf_counter() - began, 1)
        return self

    def _train(
        self,
        data: TrainingData,
        folder: Path,
        resume: bool,
        report: Callable[[str, Progress], None],
    ) -> None:
        self._model = train_method(data, folder, resume=resume, report=report)
        self._normalizer = data.normalizer

    def _data(
        self, crops: Crops, y: Array, groups: Array, aside: Sequence[int] | Array | None
    ) -> TrainingData:
        settings = self.settings
        known = np.flatnonzero(y >= 0)
        if aside is None:
            labelled, validation = choose_labelled(
                y[known], groups[known], known.size, settings.seed, settings.validation
            )
        else:
            given = np.isin(known, aside)
            labelled, validation = np.flatnonzero(~given), np.flatnonzero(given)
        unlabelled = np.flatnonzero(hidden(y, multi_label=settings.multi_label))
        patches = Patches(
            crops,
            settings.patch or _auto_patch(crops, known, settings),
            settings.inside,
            flips=settings.flips,
            quarter_turns=settings.quarter_turns,
            shift=settings.shift,
        )
        teaching = np.concatenate([known[labelled], unlabelled])
        return TrainingData(
            patches=patches,
            labelled=known[labelled],
            labelled_y=y[known[labelled]],
            validation=known[validation],
            validation_y=y[known[validation]],
            unlabelled=unlabelled,
            classes=len(self.classes),
            settings=settings if validation.size else replace(settings, select="last"),
            normalizer=TrainingData.fit_normalizer(patches, teaching, settings),
            groups=groups[known[labelled]],
        )

    def _calibrate(self, data: TrainingData) -> None:
        self.held, self.temperature = Held(np.empty((0, data.classes)), np.empty(0, int)), 1.0
        if data.validation.size:
            p = self._raw(data.patches, data.validation, self.settings.views)
            self.held = Held(p, data.validation_y)
            fitted = fit_temperature(_log(p), data.validation_y, prior_sd=_TEMPERATURE_SD)
            self.temperature = fitted.temperature

    def predict_proba(
        self,
        images: Iterable[Array] | Crops,
        *,
        masks: Iterable[Array | None] | None = None,
        views: int | None = None,
    ) -> Array:
        """Probability of each class, calibrated on the validation part.

        The classes are taken to be equally frequent where labelled batches were balanced.

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

        Raises
        ------
        ModelError
            The images have other planes than those of training.
        DataError
            They have integers of other bits, floats of 0 to 1 where training had integers, or an
            empty mask.
        """
        crops = as_crops(images, masks)
        if views is not None and views < 1:
            raise InputError(f"views is {views}", "give 1 or more")
        if not len(crops):
            return np.empty((0, len(self.classes)))
        self._ready()
        planes = crops.read(0).pixels.shape[0]
        if planes != self.about["planes"]:
            raise ModelError(
                f"was trained on {self.about['planes']} planes, and images have {planes}",
                f"give the same planes as in training{_with_stains(self.about.get('stains'))}",
                file=crops.name_at(0),
            )
        if isinstance(crops, Stained):
            given = None if crops.stains is None else crops.stains.as_dict()
            if given != self.about.get("stains"):
                raise ModelError(
                    "did not learn from planes like these",
                    "give the same planes as in training"
                    + (_with_stains(self.about.get("stains")) or ", without predicted stains"),
                    file=crops.name_at(0),
                )
        kind = self.about.get("pixels")  # older models do not say
        patches = Patches(
            crops,
            self.about["patch"],
            self.settings.inside,
            # as the validation part was drawn, by which probabilities are calibrated
            flips=self.settings.flips,
            quarter_turns=self.settings.quarter_turns,
            shift=self.settings.shift,
            integers=None if kind in (None, "float") else (kind, "the images of training"),
        )
        p = self._raw(
            patches, np.arange(len(crops)), self.settings.views if views is None else views
        )
        return apply_temperature(_log(p), self.temperature)

    def _raw(self, patches: Patches, indices: Array, views: int) -> Array:
        """(N, K) probabilities before calibration."""
        model = self._ready()
        how = (patches, indices, self._normalizer, self.settings)
        if isinstance(model, FeatureModel):
            return self._adjusted(model.probabilities(*how, views=views))
        if isinstance(model, Advised):
            of_network = probabilities(model.network, *how, views=views)
            of_adviser = model.adviser.probabilities(*how, views=views)
            return self._adjusted(geometric_mean(of_network, of_adviser, self.settings.advice))
        return self._adjusted(probabilities(model, *how, views=views))

    def _adjusted(self, p: Array) -> Array:
        """Probabilities with rare classes made up for; see `ClassifierSettings.posthoc`."""
        if not self.settings.posthoc:
            return p
        count = np.array(self.about["labelled"], float)
        raised = p / np.maximum(count / count.sum(), 1e-6) ** self.settings.posthoc
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))

    def predict(self, images: Iterable[Array] | Crops, **how: Any) -> Array:
        """Code of the most probable class, (N,) ints; arguments as in `predict_proba`.

        ``numpy.array(classifier.classes)[codes]`` are their names.
        """
        return np.asarray(self.predict_proba(images, **how).argmax(axis=1))

    def conformal(self, level: float = 0.9) -> ClassConformal:
        """Prediction sets that hold the true class with probability `level`, in every class.

        ``classifier.conformal(0.9).sets(p)`` of probabilities p is a set a row: one class, or
        several, which says "not sure". Classes with few validation images share a threshold with
        all others and are promised nothing (``conformal(0.9).promised``). After a `refit` the
        promise is of the model before it; see `ClassifierSettings.refit`.

        Raises
        ------
        InputError
            There was no validation part.
        """
        if not self.held.true.size:
            raise InputError(
                "the classifier has no validation part to promise anything by",
                "train with the setting validation, such as 0.2",
            )
        p = apply_temperature(_log(self.held.probabilities), self.temperature)
        return ClassConformal.fit(p, self.held.true, level, pool_rare=True)

    def save(self, folder: str | Path, *, replace: bool = False) -> None:
        """Write ``model.safetensors`` and ``model.json``; the folder appears whole.

        The model of the stains that it learned from, if any, is not a part of it and stays where
        it is; beside a new classifier write it with ``stains.stainer.save(folder / "stain")``.
        """
        stain = Path(folder) / STAIN
        with atomic_dir(folder, replace=replace) as temporary:
            if self.about.get("stains") and stain.is_dir():
                shutil.copytree(stain, temporary / STAIN)
            self.write_into(temporary)

    def write_into(self, folder: Path) -> None:
        """Write both files into an existing folder; ``model.json``, which tells a model, last."""
        model = self._ready()
        tensors, spec = model_tensors(model)
        tensors["held/probabilities"] = torch.from_numpy(self.held.probabilities)
        tensors["held/true"] = torch.from_numpy(self.held.true.astype(np.int64))
        said = {
            "classes": list(self.classes),
            "network": spec,
            "settings": self.settings.as_dict(),
            "normalizer": asdict(self._normalizer),
            "temperature": self.temperature,
            "about": self.about,
        }
        write_model_files(folder, KIND, tensors, said)

    @classmethod
    def load(cls, folder: str | Path) -> ColonyClassifier:
        """Read a model folder.

        Raises
        ------
        FileError, ModelError
            The folder is no classifier, is unfinished, damaged, or of a newer version.
        """
        said, tensors = read_model(Path(folder))
        with told_as_damage(Path(folder)):
            settings = {k: v for k, v in dict(said["settings"]).items() if k != "method"}
            model = cls(said["settings"]["method"], **settings)
            model.classes = from_saved(tuple[str, ...], said["classes"], "classes")
            model.temperature = from_saved(float, said["temperature"], "temperature")
            if not model.temperature > 0:
                raise ValueError(f"temperature is {model.temperature:g}")
            model.about = dict(said["about"])
            check_about(model.about)
            model._normalizer = from_saved(Normalizer, said["normalizer"], "normalizer")
            model.held = Held(
                tensors.pop("held/probabilities").numpy(), tensors.pop("held/true").numpy()
            )
            model._model = model_of(tensors, said["network"], Path(folder))
            if (outputs := _outputs_of(model._model)) != len(model.classes):
                raise ValueError(f"{len(model.classes)} classes for {outputs} outputs")
        features = _features_of(model._model)
        if features is not None and not features.measures_as_now(model.about["planes"]):
            raise ModelError(
                "learned from other features than this version of unstained measures",
                "train it again",
                file=Path(folder),
            )
        return model

    def _ready(self) -> Model:
        if self._model is None:
            raise InputError("the classifier was not trained", "call fit, or load a model")
        return self._model


def _with_stains(said: dict[str, Any] | None) -> str:
    """For errors: which planes were predicted."""
    return "" if said is None else f", predicted {', '.join(said['markers'])} among them"


def _features_of(model: Model) -> FeatureModel | None:
    """The features model, by itself or as adviser, where there is one."""
    features = model.adviser if isinstance(model, Advised) else model
    return features if isinstance(features, FeatureModel) else None


def _rounds_of(model: Model) -> int | None:
    """Rounds of self-training of the features model, where there is one."""
    features = _features_of(model)
    return None if features is None else features.rounds


def _outputs_of(model: Model) -> int:
    """Classes that a model tells apart."""
    if isinstance(model, FeatureModel):
        return int(model.offset.size)
    network = model.network if isinstance(model, Advised) else model
    return network.spec.classes


def check_same_run(
    folder: Path,
    settings: ClassifierSettings,
    y: Array,
    stains: dict[str, Any] | None,
    *,
    resume: bool,
) -> None:
    """A training goes on only with the settings, labels and stains that it began with.

    They are noted in `folder`; with `resume` and a note, compared.

    Raises
    ------
    InputError
        Something differs.
    """
    said: dict[str, Any] = {
        "settings": settings.as_dict(),
        "images": int(y.size),
        "labels": hashlib.sha256(y.astype("<i8").tobytes()).hexdigest(),
        "stains": stains,
    }
    file = folder / NOTE
    if resume and file.is_file():
        before = read_json(file, "remove the folder, or name a new one")
        settings_then = before.get("settings")
        if isinstance(settings_then, dict):
            # a setting that came later has the default that does what was done before it
            settings_then = {**ClassifierSettings().as_dict(), **settings_then}
        else:
            settings_then = {}
        differ = [k for k, v in said["settings"].items() if settings_then.get(k) != v]
        differ += [k for k in ("images", "labels", "stains") if before.get(k) != said[k]]
        if differ:
            raise InputError(
                f"the training in {folder} began with other {', '.join(differ)}",
                "go on with the same, or name a new folder",
            )
        return
    write_json(file, said)


def _log(p: Array) -> Array:
    """Logarithms of probabilities, finite."""
    return np.asarray(np.log(np.maximum(p, 1e-12)))


def _auto_patch(crops: Crops, labelled: Array, settings: ClassifierSettings) -> int:
    """128 or 224 px; of images smaller than half of that, their median side or the least."""
    full = 128 if settings.scales == 1 else 224
    some = labelled[:: max(1, labelled.size // 100)]
    side = int(np.median([min(crops.read(int(i)).pixels.shape[1:]) for i in some]))
    if side >= full // 2:
        return full
    return (
        side
        if settings.method == "features"
        else max(side, least_side(settings.network, settings.scales))
    )
