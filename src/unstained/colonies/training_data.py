"""What every method trains on: the same patches, batches and validation for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..images.image import Array
from ..learning import devices
from ..learning.random import generator
from .crops import Patches
from .settings import ClassifierSettings
from .views import Normalizer, mirrored, strong

__all__ = ["LabelledBatch", "TrainingData", "probabilities", "recall_and_accuracy"]

# first counters of generators, so that no two uses draw the same numbers
LABELLED, ORDER, AUGMENT, VALIDATE, DRAW_LABELS, MASK = 0, 2, 3, 4, 5, 6
_NORMALIZED_ON = 2000
_EPOCHS_FROM = 2**32  # beyond any step


class LabelledBatch(NamedTuple):
    """(N, P, S, S) varied views and (N,) class codes."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class TrainingData:
    """The images of one training and how they become batches.

    Attributes
    ----------
    patches : Patches
        Of all crops; the indices below count them.
    labelled, labelled_y, validation, validation_y, unlabelled : (N,) int arrays
        No index is in two of `labelled`, `validation`, `unlabelled`.
    classes : int
    settings : ClassifierSettings
    normalizer : Normalizer
    groups : (N,) array
        Sequence or well of each of the `labelled`.
    rounds : int, optional
        Of self-training of the features model; not given: the best on images left out.
    """

    patches: Patches
    labelled: Array
    labelled_y: Array
    validation: Array
    validation_y: Array
    unlabelled: Array
    classes: int
    settings: ClassifierSettings
    normalizer: Normalizer
    groups: Array
    rounds: int | None = None

    @staticmethod
    def fit_normalizer(
        patches: Patches, indices: Array, settings: ClassifierSettings
    ) -> Normalizer:
        """From a patch of up to 2000 training images, labelled or not."""
        rng = generator(settings.seed, VALIDATE)
        some = rng.permutation(indices)[:_NORMALIZED_ON]
        return Normalizer.fit(
            patches.draw(some, settings.seed, _counters(len(some), VALIDATE, 0)),
            own=settings.normalization == "image",
            logarithm=settings.logarithm,
        )

    @property
    def planes(self) -> int:
        """Label-free planes of each image."""
        return int(self.patches.prepared(int(self.labelled[0])).pixels.shape[0])

    @property
    def seen(self) -> tuple[int, ...]:
        """The planes that the network sees, empty for all; `ClassifierSettings.adviser_alone`."""
        left_out = self.normalizer.skewed
        if not (left_out and self.settings.adviser and self.settings.adviser_alone):
            return ()
        return tuple(plane for plane in range(self.planes) if plane not in left_out)

    @property
    def shares(self) -> Array:
        """(K,) shares of the classes among the labelled images."""
        count = np.bincount(self.labelled_y, minlength=self.classes)
        return np.asarray(count / count.sum())

    @property
    def batch_shares(self) -> Array:
        """(K,) shares of the classes in labelled batches."""
        shares = self.shares
        if not self.settings.balanced_labels:
            return shares
        return np.asarray((shares > 0) / (shares > 0).sum())

    def labelled_batch(self, step: int, size: int, *, balanced: bool) -> LabelledBatch:
        """Varied views of labelled images, of equal shares of the classes if `balanced`."""
        settings = self.settings
        rng = generator(settings.seed, LABELLED, step)
        if balanced:
            count = np.bincount(self.labelled_y, minlength=self.classes)
            there = np.flatnonzero(count)
            # whole rounds of the classes, then some of them
            of = np.concatenate([rng.permutation(there) for _ in range(-(-size // there.size))])
            members = [np.flatnonzero(self.labelled_y == k) for k in range(self.classes)]
            chosen = np.array([rng.choice(members[k]) for k in of[:size]])
        else:
            chosen = rng.integers(0, self.labelled.size, size)
        counters = np.column_stack([np.full(size, 1 + step), np.arange(size)])
        x = self.normalizer(self.patches.draw(self.labelled[chosen], settings.seed, counters))
        return LabelledBatch(
            strong(x, settings, generator(settings.seed, AUGMENT, step)),
            torch.from_numpy(self.labelled_y[chosen].astype(np.int64)),
        )

    def weak_views(self, indices: Array, epoch: int, repeat: Array | None = None) -> Tensor:
        """The patches of an epoch, the same whenever asked for; `repeat` > 0 gives others."""
        again = np.zeros(len(indices), int) if repeat is None else repeat
        counters = np.column_stack([np.full(len(indices), _EPOCHS_FROM + epoch), again])
        return self.normalizer(self.patches.draw(indices, self.settings.seed, counters))

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Mean recall and accuracy on the validation part; NaN where there is none."""
        if not self.validation.size:
            return {"recall": float("nan"), "accuracy": float("nan")}
        p = probabilities(
            network, self.patches, self.validation, self.normalizer, self.settings, views=1
        )
        recall, accuracy = recall_and_accuracy(self.validation_y, p.argmax(axis=1), self.classes)
        return {"recall": recall, "accuracy": accuracy}


def probabilities(
    network: nn.Module,
    patches: Patches,
    indices: Array,
    normalizer: Normalizer,
    settings: ClassifierSettings,
    *,
    views: int,
    batch: int = 128,
) -> Array:
    """Mean softmax over `views` patches of each image, each under its mirrors.

    Mirrors are averaged where the network was trained on them.

    Returns
    -------
    (N, K) float64 array
    """
    device = next(network.parameters()).device
    precision = devices.resolve_precision(settings.precision, device)
    was_training = network.training
    network.eval()
    found = []
    with torch.inference_mode(), devices.autocast(precision, device):
        for start in range(0, len(indices), batch):
            some = indices[start : start + batch]
            total: Tensor | None = None
            for view in range(views):
                counters = _counters(len(some), VALIDATE, 1 + view)
                x = normalizer(patches.draw(some, settings.seed, counters)).to(device)
                for moved in mirrored(x) if settings.flips else [x]:
                    p = F.softmax(network(moved).float(), dim=1)
                    total = p if total is None else total + p
            assert total is not None  # views >= 1
            found.append((total / total.sum(dim=1, keepdim=True)).cpu().numpy())
    network.train(was_training)
    return np.concatenate(found).astype(np.float64)


def recall_and_accuracy(true: Array, predicted: Array, classes: int) -> tuple[float, float]:
    """Mean recall of the classes that are there, and accuracy."""
    confusion = np.bincount(true * classes + predicted, minlength=classes**2)
    confusion = confusion.reshape(classes, classes)
    n = confusion.sum(axis=1)
    recall = np.diag(confusion)[n > 0] / n[n > 0]
    return float(recall.mean()), float(np.trace(confusion) / n.sum())


def _counters(n: int, a: int, b: int) -> Array:
    return np.tile([a, b], (n, 1))
