"""Scores of a classifier on images that it never saw, as a reviewer would ask for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError, count_of
from ..images.image import Array
from ..statistics import (
    Calibration,
    ClassificationScores,
    calibration_scores,
    classification_scores,
    not_sure,
    reliability_table,
)
from .classifier import ColonyClassifier
from .deal import units
from .examples import Examples
from .links import track_codes

__all__ = ["Evaluation", "SetScores", "evaluate", "prediction_table"]


@dataclass(frozen=True)
class SetScores:
    """How prediction sets do: their promise, and what became of it.

    Attributes
    ----------
    level : float
        Promised coverage of each class.
    promised : dict of bool
        Whether a class had enough validation images for the promise.
    coverage : dict of float
        Share of each class whose set held it; NaN for a class that was not tested.
    size : float
        Classes in a set, on average.
    not_sure : float
        Share of the sets with more or fewer than one class.
    """

    level: float
    promised: dict[str, bool]
    coverage: dict[str, float]
    size: float
    not_sure: float


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found; `table` has a row for each image (see `prediction_table`)."""

    scores: ClassificationScores
    calibration: Calibration
    reliability: pd.DataFrame
    sets: SetScores | None
    table: pd.DataFrame
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: classes, macro, confusion, calibration, prediction sets, notes."""
        said = self.scores.as_dict()
        said["calibration"] = {
            "ece": self.calibration.ece,
            "classwise_ece": self.calibration.classwise_ece,
            "brier": self.calibration.brier,
            "nll": self.calibration.nll,
        }
        if self.sets is not None:
            coverage = {k: None if np.isnan(v) else v for k, v in self.sets.coverage.items()}
            said["prediction_sets"] = {
                "level": self.sets.level,
                "promised": self.sets.promised,
                "coverage": coverage,
                "size": self.sets.size,
                "not_sure": self.sets.not_sure,
            }
        said["notes"] = list(self.notes)
        return said


def evaluate(
    classifier: ColonyClassifier,
    examples: Examples,
    *,
    level: float = 0.9,
    views: int | None = None,
    by: str = "group",
) -> Evaluation:
    """Score a classifier on labelled images; they should be of groups that it never saw.

    Parameters
    ----------
    classifier : ColonyClassifier
    examples : Examples
        Those without a label, or of several classes, are left out, and a note says how many.
    level : float
        Coverage that the prediction sets promise.
    views : int, optional
        Patches averaged for each image.
    by : {"group", "image"}
        What the intervals draw whole.

    Raises
    ------
    DataError
        No image has a label, or one has a label that the classifier does not know.
    """
    y = examples.codes(classifier.classes)
    scored = np.flatnonzero(y >= 0)
    if not scored.size:
        raise DataError("no image has a label to score by", "label some images", file=examples.name)
    notes = list(examples.notes)
    for code, what in ((-1, "without a label"), (-2, "of several classes")):
        if n := int((y == code).sum()):
            were = "was" if n == 1 else "were"
            notes.append(f"{count_of(n, 'image')} {what} {were} left out")
    some = examples.take(scored)
    notes += some.stained_in_training()
    groups = units(some, by) if np.unique(some.groups()).size > 1 else None
    if groups is None:
        notes.append("all images are of one group: the intervals treat each image as independent")
    table = prediction_table(classifier, some, level=level, views=views)
    p = table[[f"p_{name}" for name in classifier.classes]].to_numpy()
    true = y[scored]
    scores = classification_scores(true, p.argmax(axis=1), classifier.classes, groups)
    alone = groups is None or np.unique(groups).size == groups.size
    notes += _few_groups(scores, "image" if alone else "group")
    return Evaluation(
        scores,
        calibration_scores(p, true),
        reliability_table(p, true, classifier.classes),
        _set_scores(classifier, p, true, level),
        table,
        tuple(notes),
    )


def prediction_table(
    classifier: ColonyClassifier,
    examples: Examples,
    *,
    level: float = 0.9,
    views: int | None = None,
    over_time: bool = False,
) -> pd.DataFrame:
    """What the classifier says of each image.

    Parameters
    ----------
    level : float
        Of the prediction set.
    views : int, optional
        Patches averaged for each image.
    over_time : bool
        Average the probabilities of a colony (`track` within `well`) over its frames too, by the
        mean of their logarithms: p ~ exp(mean log p). Prediction sets then keep the thresholds
        of single images, which averages seldom fall short of: they are larger than need be
        (simulated at 0.90, they held the truth in 0.93 and 0.99). An image without a track
        (NaN, blank or 0) stays as it is.

    Returns
    -------
    DataFrame
        The columns of the examples and `class`, `confidence`, `sure` (the prediction set at
        `level` is this class alone), `set` (its classes, joined by ``+``), ``p_NAME`` for each.
    """
    # before the images are read, which takes long
    conformal = classifier.conformal(level) if classifier.held.true.size else None
    tracks = _tracks(examples) if over_time else None
    p = classifier.predict_proba(examples, views=views)
    if tracks is not None:
        p = _over_tracks(p, tracks)
    names = np.array(classifier.classes)
    found = examples.table.copy()
    found["class"] = names[p.argmax(axis=1)]
    found["confidence"] = p.max(axis=1)
    if conformal is not None:
        sets = conformal.sets(p)
        found["sure"] = ~not_sure(sets)
        found["set"] = ["+".join(names[row]) for row in sets]
    for k, name in enumerate(classifier.classes):
        found[f"p_{name}"] = p[:, k]
    return found


def _few_groups(scores: ClassificationScores, what: str) -> list[str]:
    """A note for each class that one group alone holds; see `classification_scores`."""
    return [
        f"{name} is in 1 of {count_of(scores.groups, what)}: its scores have no interval"
        for name, found in scores.classes.items()
        if found.groups == 1
    ]


def _tracks(examples: Examples) -> Array:
    """(N,) number of the colony of each image; an image without a track is its own."""
    missing = [c for c in ("well", "track") if c not in examples.table]
    if missing:
        raise DataError(
            f"has no column {' and '.join(missing)}",
            "averages over time need colonies that were followed: detect a movie",
            file=examples.name,
        )
    well = examples.table["well"].astype(object).fillna("").astype(str)
    return np.asarray(well.groupby([well, track_codes(examples.table["track"])]).ngroup())


def _over_tracks(p: Array, tracks: Array) -> Array:
    log = pd.DataFrame(np.log(np.maximum(p, 1e-12)))
    mean = np.exp(log.groupby(tracks).transform("mean").to_numpy())
    return np.asarray(mean / mean.sum(axis=1, keepdims=True))


def _set_scores(
    classifier: ColonyClassifier, p: Array, true: Array, level: float
) -> SetScores | None:
    if not classifier.held.true.size:
        return None
    conformal = classifier.conformal(level)
    sets = conformal.sets(p)
    promised = dict(zip(classifier.classes, conformal.promised.tolist(), strict=True))
    held = sets[np.arange(len(true)), true]
    coverage = {
        name: float(held[true == k].mean()) if (true == k).any() else float("nan")
        for k, name in enumerate(classifier.classes)
    }
    return SetScores(
        level,
        promised,
        coverage,
        float(sets.sum(axis=1).mean()),
        float(not_sure(sets).mean()),
    )
