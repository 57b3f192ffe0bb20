"""Logistic regression on hand-crafted features with balanced self-training: no network, seconds.

1. Features of patches of labelled and unlabelled images, standardized over both.
2. Multinomial logistic regression with equal weight for each class, on a map of the features
   that makes a Gaussian kernel linear.
3. Cross-validation among the labelled, whole groups left out, tells how far the logits of new
   images lie from those of images that were learned: the logits are rescaled and shifted by it.
   Of a rare class, whose few images are learned by heart, this finds more.
4. Balanced self-training: the unlabelled get pseudo-labels, the confident ones are learned beside
   the labels, each class with equal weight; a few rounds. It goes on inside the cross-validation
   too, so that every round is calibrated, and the round is kept that is best on images left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax

from ..errors import ModelError
from ..images.image import Array
from ..learning.machine_code import one_blas_thread
from ..learning.random import generator
from .balance import balancing_weights
from .crops import Patches
from .deal import folds
from .features import feature_names, patch_features
from .settings import ClassifierSettings
from .training_data import ORDER, VALIDATE, TrainingData
from .views import Normalizer

__all__ = ["FeatureModel"]

_ROUNDS = 3
_FOLDS = 5
_LANDMARKS = 300
_LARGEST_Z = 4.0
"""Standardized features beyond are outliers and count as this."""
_GAMMA = 0.1
"""Of the kernel exp(-gamma |u - v|^2), per feature."""
_STIFFNESS = 30.0
"""Inverse strength of the regression's penalty; scikit-learn's C."""
_PULL = 0.05
"""Penalty of a calibration on the squares of its log scale and its shifts."""


_ARRAYS = ("mean", "sd", "landmarks", "root", "weights", "offset")


class _Rows(NamedTuple):
    """Patches of N images: (R, F) features, (R,) which image, (R,) weight 1 / its patches."""

    x: Array
    image: Array
    weight: Array

    def mean(self, of_rows: Array) -> Array:
        """(R, K) to (N, K)."""
        total = np.zeros((int(self.image[-1]) + 1, of_rows.shape[1]))
        np.add.at(total, self.image, of_rows * self.weight[:, None])
        return total


@dataclass(frozen=True)
class FeatureModel:
    """Features to class probabilities; made by `fit` or `from_tensors`.

    Attributes
    ----------
    mean, sd : (F,) float64 arrays
        Of the features over the training images.
    landmarks, root : (M, F), (M, M) float64 arrays
        With k(u, v) = exp(-0.1 / F |u - v|^2), the map is k(x, landmarks) @ root, where root is
        k(landmarks, landmarks)^(-1/2) (Nystroem [1]_). M is at most 300.
    weights, offset : (M, K), (K,) float64 arrays
        Logits are map @ weights + offset.
    rounds : int
        Of self-training that led to it; not saved.

    References
    ----------
    .. [1] Williams, Seeger (2000), NIPS 13.
    """

    mean: Array
    sd: Array
    landmarks: Array
    root: Array
    weights: Array
    offset: Array
    rounds: int = field(default=0, kw_only=True)

    @classmethod
    def fit(cls, data: TrainingData) -> FeatureModel:
        """`fit_and_advise` without the advice."""
        return cls.fit_and_advise(data)[0]

    @classmethod
    def fit_and_advise(cls, data: TrainingData) -> tuple[FeatureModel, Array]:
        """Learn from labelled and unlabelled images, and choose the round of self-training.

        Uses `threshold`, `balance`, `balance_floor`, `balance_cap`, `views`, `select` and
        `seed` of the settings. The best round has the lowest cross-entropy, averaged over
        the classes, of labelled images that were left out; recall would be a matter of one or
        two images of a rare class. Where a class has too few to leave any out, the validation
        part tells in their place; without one the last round is kept. `data.rounds` goes first.

        Returns
        -------
        FeatureModel
        (U, K) float64 array
            `probabilities` of the unlabelled images, which were measured for it anyway.
        """
        settings = data.settings

        def rows(indices: Array) -> _Rows:
            return _rows(data.patches, indices, data.normalizer, settings, settings.views)

        known, unknown = rows(data.labelled), rows(data.unlabelled)
        seen = np.concatenate([known.x, unknown.x]) if unknown.x.size else known.x
        start = _new(seen, data.classes, settings.seed)
        rounds = _self_training(start, known, unknown, data)
        models, losses = [r.model for r in rounds], [r.loss for r in rounds]
        best = models[-1]
        if data.rounds is not None:
            best = models[min(data.rounds, len(models) - 1)]
        elif not math.isnan(losses[0]):
            best = models[int(np.argmin(losses))]
        elif data.validation.size and settings.select == "best":
            asked = rows(data.validation)
            losses = [_balanced_loss(model._of_rows(asked), data.validation_y) for model in models]
            best = models[int(np.argmin(losses))]
        return best, best._of_rows(unknown) if unknown.x.size else np.empty((0, data.classes))

    def probabilities(
        self,
        patches: Patches,
        indices: Array,
        normalizer: Normalizer,
        settings: ClassifierSettings,
        *,
        views: int,
    ) -> Array:
        """Mean probability over up to `views` patches of each image.

        Returns
        -------
        (N, K) float64 array
            Rows sum to 1.
        """
        found = [
            self._of_rows(_rows(patches, indices[at : at + 1024], normalizer, settings, views))
            for at in range(0, len(indices), 1024)
        ]
        return np.concatenate(found) if found else np.empty((0, self.offset.size))

    def measures_as_now(self, planes: int) -> bool:
        """Whether it has as many features as `patch_features` finds in so many planes."""
        return bool(self.mean.size == len(feature_names(planes)))

    def to_tensors(self) -> dict[str, Array]:
        """All that the model is, as plain arrays."""
        return {name: getattr(self, name) for name in _ARRAYS}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Array]) -> FeatureModel:
        """The model that gave `to_tensors`.

        Raises
        ------
        ModelError
            An array is missing.
        """
        missing = [name for name in _ARRAYS if name not in tensors]
        if missing:
            raise ModelError(f"the model lacks {', '.join(missing)}", "copy the model again")
        return cls(*(np.asarray(tensors[name]) for name in _ARRAYS))

    def _map(self, x: Array) -> Array:
        """(R, F) features to (R, M)."""
        return np.asarray(_kernel(_standard(x, self.mean, self.sd), self.landmarks) @ self.root)

    def _logits(self, x: Array) -> Array:
        return np.asarray(self._map(x) @ self.weights + self.offset)

    def _of_rows(self, rows: _Rows) -> Array:
        return rows.mean(softmax(self._logits(rows.x), axis=1))


def _rows(
    patches: Patches,
    indices: Array,
    normalizer: Normalizer,
    settings: ClassifierSettings,
    views: int,
) -> _Rows:
    """Features of up to `views` patches of each image: fewer where it has fewer places."""
    places = np.array([len(patches.prepared(int(i)).corners) for i in indices], int)
    n = np.minimum(places, views)
    image = np.repeat(np.arange(len(indices)), n)
    view = np.arange(image.size) - np.repeat(np.cumsum(n) - n, n)
    found = []
    for at in range(0, image.size, 1024):
        some = slice(at, at + 1024)
        counters = np.column_stack([np.full(image[some].size, VALIDATE), 1 + view[some]])
        chosen = np.asarray(indices)[image[some]]
        # features are blind to mirrors and quarter turns, and a shift would cut the object
        drawn = patches.draw(chosen, settings.seed, counters, moved=False)
        found.append(patch_features(normalizer(drawn).numpy()))
    return _Rows(np.concatenate(found), image, (1 / n)[image]) if found else _NO_ROWS


_NO_ROWS = _Rows(np.empty((0, 0), np.float32), np.empty(0, int), np.empty(0))


def _standard(x: Array, mean: Array, sd: Array) -> Array:
    return np.clip((x - mean) / sd, -_LARGEST_Z, _LARGEST_Z)


def _kernel(a: Array, b: Array) -> Array:
    """(R, F), (M, F) to (R, M): exp(-0.1 / F |a - b|^2)."""
    square = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.asarray(np.exp(-_GAMMA / a.shape[1] * np.maximum(square, 0)))


def _new(seen: Array, classes: int, seed: int) -> FeatureModel:
    """Standardized over (R, F) features, with landmarks among them, and logits of 0."""
    sd = seen.std(axis=0, dtype=np.float64)
    mean, sd = seen.mean(axis=0, dtype=np.float64), np.where(sd > 1e-6, sd, 1.0)
    some = generator(seed, ORDER).permutation(len(seen))[:_LANDMARKS]
    landmarks = _standard(seen[some], mean, sd)
    values, vectors = np.linalg.eigh(_kernel(landmarks, landmarks))
    root = (vectors / np.sqrt(np.maximum(values, 1e-9))) @ vectors.T
    return FeatureModel(
        mean, sd, landmarks, root, np.zeros((len(landmarks), classes)), np.zeros(classes)
    )


class _Calibration(NamedTuple):
    """What logits are multiplied by, and what (K,) is added."""

    scale: float
    shift: Array

    def __call__(self, logits: Array) -> Array:
        return np.asarray(self.scale * logits + self.shift)


_NO_CALIBRATION = _Calibration(1.0, np.zeros(1))


def _folds(y: Array, data: TrainingData) -> Array | None:
    """(N,) fold of each image, whole groups; None where a class has too few of them."""
    if (
        np.unique(data.groups).size < _FOLDS
        or np.bincount(y, minlength=data.classes).min() < _FOLDS
    ):
        return None
    fold = folds(y, data.groups, _FOLDS, data.settings.seed)
    learned = [set(y[fold != k].tolist()) for k in range(_FOLDS)]
    return fold if all(len(classes) == data.classes for classes in learned) else None


def _even(y: Array, rows: _Rows, classes: int) -> Array:
    """(R,) weights of the rows: each class alike, in sum the number of images."""
    count = np.bincount(y, minlength=classes)
    return np.asarray(rows.weight * (y.size / classes / np.maximum(count, 1))[y[rows.image]])


def _regression(x: Array, y: Array, weight: Array) -> tuple[Array, Array]:
    """(F, K) weights and (K,) offset of the multinomial logistic regression."""
    from sklearn.linear_model import LogisticRegression

    with one_blas_thread():
        found = LogisticRegression(C=_STIFFNESS, max_iter=1000).fit(x, y, sample_weight=weight)
    if len(found.classes_) == 2:  # one logit z: as -z / 2 and z / 2
        half = found.coef_[0] / 2
        return np.stack([-half, half], axis=1), np.array([-1, 1]) * found.intercept_[0] / 2
    return found.coef_.T, found.intercept_


def _calibration(logits: Array, y: Array) -> _Calibration:
    """Scale and shift of logits that minimize the balanced loss, pulled towards 1 and 0."""

    def loss(v: Array) -> float:
        p = softmax(np.exp(v[0]) * logits + v[1:], axis=1)
        return _balanced_loss(p, y) + _PULL * float((v**2).sum())

    v = minimize(loss, np.zeros(1 + logits.shape[1])).x
    return _Calibration(float(np.exp(v[0])), v[1:])


def _balanced_loss(p: Array, y: Array) -> float:
    """Mean over the classes of the mean cross-entropy of their images."""
    loss = -np.log(np.maximum(p[np.arange(y.size), y], 1e-12))
    count = np.bincount(y)
    return float((np.bincount(y, weights=loss)[count > 0] / count[count > 0]).mean())


class _Round(NamedTuple):
    """A round of self-training; `loss`, of images left out, is NaN where none could be."""

    model: FeatureModel
    loss: float


def _self_training(
    start: FeatureModel, known: _Rows, unknown: _Rows, data: TrainingData
) -> list[_Round]:
    """The model of the labelled images, and that of each round.

    Beside the model of all labelled images each fold has one that learned without it, and
    goes through the same rounds with pseudo-labels of its own: what they say of the images
    left out calibrates the round.
    """
    x, y = start._map(known.x), data.labelled_y
    even, more = _even(y, known, data.classes), start._map(unknown.x) if unknown.x.size else x[:0]
    fold = _folds(y, data)
    out = [] if fold is None else [(fold == k)[known.image] for k in range(_FOLDS)]
    learners = [_Learner(x[~o], y[known.image[~o]], even[~o], data.settings) for o in out]
    whole = _Learner(x, y[known.image], even, data.settings)
    rounds: list[_Round] = []
    while True:
        calibration, loss = _NO_CALIBRATION, math.nan
        if out:
            logits = np.empty((len(x), data.classes))
            for o, learner in zip(out, learners, strict=True):
                logits[o] = learner.logits(x[o])
            left_out = known.mean(logits)
            calibration = _calibration(left_out, y)
            loss = _balanced_loss(softmax(calibration(left_out), axis=1), y)
        weights, offset = calibration.scale * whole.weights, calibration(whole.offset)
        model = replace(start, weights=weights, offset=offset, rounds=len(rounds))
        rounds.append(_Round(model, loss))
        if len(rounds) > _ROUNDS or not whole.learn(more, unknown, calibration, data.classes):
            return rounds
        for learner in learners:
            learner.learn(more, unknown, calibration, data.classes)


class _Learner:
    """The regression on some of the labelled rows, and its rounds of self-training.

    Parameters
    ----------
    x : (R, M) array
        Mapped features.
    y, weight : (R,) arrays
        Class and weight of each row.
    """

    def __init__(self, x: Array, y: Array, weight: Array, settings: ClassifierSettings) -> None:
        self.labelled = (x, y, weight)
        self.settings = settings
        self.weights, self.offset = _regression(x, y, weight)

    def logits(self, x: Array) -> Array:
        return np.asarray(x @ self.weights + self.offset)

    def learn(self, more: Array, unknown: _Rows, calibration: _Calibration, classes: int) -> bool:
        """One round with the confident of the unlabelled; False if there are none."""
        if not len(more):
            return False
        settings, (x, y, weight) = self.settings, self.labelled
        p = unknown.mean(softmax(calibration(self.logits(more)), axis=1))
        label = p.argmax(axis=1)
        confident = p.max(axis=1) >= settings.threshold
        if not confident.any():
            return False
        # a weight for each in place of a draw: the same in the mean, without its noise
        balance = balancing_weights(
            np.bincount(label[confident], minlength=classes),
            temperature=settings.balance,
            floor=settings.balance_floor,
            cap=settings.balance_cap,
        )
        # together they weigh as much as the labelled
        of_image = balance[label] * confident * (weight.sum() / confident.sum())
        use = confident[unknown.image]
        self.weights, self.offset = _regression(
            np.concatenate([x, more[use]]),
            np.concatenate([y, label[unknown.image[use]]]),
            np.concatenate([weight, (of_image[unknown.image] * unknown.weight)[use]]),
        )
        return True
