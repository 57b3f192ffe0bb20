"""Scores of a classifier: recall, precision, F1 per class and averaged, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .intervals import MANY_GROUPS, Array, Interval, _percentiles, student_bounds

__all__ = [
    "ClassScore",
    "ClassificationScores",
    "class_codes",
    "classification_scores",
    "wilson_interval",
]

_MACRO = ("recall", "precision", "f1", "balanced_accuracy", "mcc", "accuracy")
_CHUNK = 4_000_000  # drawn rows or groups held at a time: 32 MB of int64


class ClassScore(NamedTuple):
    """Scores of one class; each interval's `n` and this `n` count the true rows of the class.

    `groups` counts the groups that hold such rows: the bounds are NaN below two.
    """

    recall: Interval
    precision: Interval
    f1: Interval
    n: int
    groups: int


@dataclass(frozen=True)
class ClassificationScores:
    """What `classification_scores` found.

    Attributes
    ----------
    names : tuple of str
        The K classes, in the order of `confusion`.
    classes : dict of str to ClassScore
    macro : dict of str to Interval
        recall, precision, f1, balanced_accuracy, mcc, accuracy; `n` counts all rows.
    confusion : (K, K) int array
        Rows are true classes, columns predicted ones.
    groups : int
        Independent units that the intervals are over.
    """

    names: tuple[str, ...]
    classes: dict[str, ClassScore]
    macro: dict[str, Interval]
    confusion: Array
    groups: int

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON, `name_interval` [low, high] beside each; NaN is None."""
        classes = {
            name: {"n": score.n, "groups": score.groups}
            | _plain({k: getattr(score, k) for k in _MACRO[:3]})
            for name, score in self.classes.items()
        }
        n = int(self.confusion.sum())
        return {
            "classes": classes,
            "macro": {"n": n, "groups": self.groups} | _plain(self.macro),
            "confusion": self.confusion.tolist(),
            "names": list(self.names),
        }


def classification_scores(
    true: npt.ArrayLike,
    predicted: npt.ArrayLike,
    names: Sequence[str],
    groups: npt.ArrayLike | None = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> ClassificationScores:
    """Score predicted classes against true ones.

    With C the confusion matrix, C[i, j] the rows of true class i that were predicted as j:
    recall_i = C[i, i] / sum_j C[i, j] = TP / (TP + FN), the paper's TPR [1]_;
    precision_i = C[i, i] / sum_j C[j, i]; F1_i = 2 TP / (2 TP + FP + FN). Macro scores are
    plain means over the classes that occur in `true` (macro F1 is the mean of the classes'
    F1), so that a rare class weighs as much as a frequent one; balanced accuracy is macro
    recall under its other name. MCC is the multi-class one [2]_, 0 where all rows are of one
    class on either side.

    A class that is never predicted has precision 0 (scikit-learn's zero_division=0). A class
    absent from `true` has recall and F1 NaN and does not count in any macro mean.

    Intervals are over rows or, with `groups`, over whole groups. What counts is how many groups
    bear on a score: on a recall those that hold the class, on a precision those with a row
    predicted as it, on an F1 either, on the macro scores all. `MANY_GROUPS` or more are drawn
    (percentile bootstrap of the summed confusion matrices; a draw that misses a class averages
    over the others). Of fewer each is left out once, and `student_bounds` are taken of the log
    odds of the score (of MCC on Fisher's scale), with half a row added to hits and misses, so
    that a score of 1 has odds; recall and precision are never held for surer than of as many
    independent rows (`wilson_interval`). A class in a single group has no interval.

    In tables of 2 to 29 wells of 5 to 39 rows of a class the 95 % interval held recalls of 0.60
    to 0.95 and their mean in 0.93 to 0.99, a bootstrap over the wells in 0.47 to 0.56 with 2,
    0.67 to 0.78 with 3 and 0.84 to 0.90 with 8 (``benchmarks/intervals.py``). A class that is
    missed altogether in some wells needs more of them.

    Parameters
    ----------
    true, predicted : (N,) int or str arrays
        Positions in `names`, or names.
    names : sequence of str
        The K classes.
    groups : (N,) array, optional
        What is independent: the well, sequence or colony of each row.
    level : float
        Coverage, 0 ... 1.
    draws, seed : int
        Resamples; seed of the generator.

    Returns
    -------
    ClassificationScores
        Bounds are NaN for fewer than two rows or groups, and for a class in fewer than two.

    Raises
    ------
    InputError
        No rows, columns of different lengths, or a class that is not in `names`.

    References
    ----------
    .. [1] Witmer and Bhanu (2024), Sci Rep 14:4489, doi 10.1038/s41598-024-54993-y.
    .. [2] Gorodkin (2004), Comput Biol Chem 28:367, doi 10.1016/j.compbiolchem.2004.09.006.
    """
    y, z = class_codes(true, names), class_codes(predicted, names)
    if y.shape != z.shape or not y.size:
        raise InputError(
            f"{y.size} true and {z.size} predicted classes", "give one of each for every row"
        )
    k = len(names)
    cell = y * k + z  # (N,) place in the flattened matrix
    confusion = np.bincount(cell, minlength=k * k).reshape(k, k)
    group = np.arange(y.size) if groups is None else _group_codes(groups, y.size)
    n_groups = int(group.max()) + 1
    found, spread = _scores(confusion), {}
    if n_groups >= MANY_GROUPS:
        drawn = _drawn_matrices(cell, k, None if groups is None else group, draws, seed)
        spread = _scores(drawn)
    holding, predicting = (_groups_with(side, k, group) for side in (y, z))  # (K, G)
    support, chosen = confusion.sum(axis=1), confusion.sum(axis=0)

    def interval(name: str, n: int, bearing: Array, k: int | None = None) -> Interval:
        """Of a score, over the groups (G,) that bear on it."""
        at = ... if k is None else (..., k)
        estimate, of = float(found[name][at]), np.flatnonzero(bearing)
        if of.size < 2:
            return Interval(estimate, float("nan"), float("nan"), n)
        if of.size >= MANY_GROUPS:
            return Interval(estimate, *_percentiles(spread[name][at], level), n)
        without = _scores(confusion - _matrices_of(of, group, cell, len(names)), smooth=True)
        low, high = student_bounds(
            float(_scores(confusion, smooth=True)[name][at]),
            without[name][at],
            "fisher" if name == "mcc" else "logit",
            level,
        )
        return Interval(estimate, min(low, estimate), max(high, estimate), n)

    classes = {}
    for i, name in enumerate(names):
        n, g = int(support[i]), int(holding[i].sum())
        known = holding[i] if g > 1 else np.zeros(n_groups, bool)
        recall = interval("class_recall", n, known, i)
        precision = interval("class_precision", n, predicting[i] & known.any(), i)
        f1 = interval("class_f1", n, (holding[i] | predicting[i]) & known.any(), i)
        classes[str(name)] = ClassScore(
            _as_wide(recall, confusion[i, i], support[i], level),
            _as_wide(precision, confusion[i, i], chosen[i], level),
            f1,
            n,
            g,
        )
    every = np.ones(n_groups, bool)
    macro = {score: interval(score, int(y.size), every) for score in _MACRO}
    return ClassificationScores(tuple(map(str, names)), classes, macro, confusion, n_groups)


def class_codes(values: npt.ArrayLike, names: Sequence[str]) -> Array:
    """Positions in `names` of classes given as names or as positions, (N,) int64.

    Raises
    ------
    InputError
        Neither names nor whole numbers, a class that `names` lacks, or a name given twice.
    """
    place = {str(name): i for i, name in enumerate(names)}
    if len(place) != len(names):
        raise InputError(f"class names {list(names)}", "give each class one name of its own")
    raw = np.asarray(values)
    if raw.ndim != 1:
        raise InputError(f"classes of shape {raw.shape}", "give one class a row")
    if raw.dtype.kind in "OUT":
        unknown = sorted({str(value) for value in raw} - set(place))
        if unknown:
            raise InputError(
                f"class {unknown[0]!r} is not one of {', '.join(place)}",
                "leave these rows out or name the class",
            )
        return np.array([place[str(value)] for value in raw], dtype=np.int64)
    if raw.dtype.kind not in "iu" and raw.size:
        raise InputError(f"classes of type {raw.dtype}", "give names or whole numbers")
    codes = raw.astype(np.int64)
    outside = (codes < 0) | (codes >= len(names))
    if outside.any():
        raise InputError(
            f"class {codes[outside][0]} of {len(names)}", "number the classes from 0 in this order"
        )
    return codes


def wilson_interval(
    count: npt.ArrayLike, n: npt.ArrayLike, *, level: float = 0.95
) -> tuple[Array, Array]:
    """Low and high end of a share `count` / `n` of independent rows [1]_.

    (p + q^2 / 2n +- q sqrt(p (1 - p) / n + q^2 / 4n^2)) / (1 + q^2 / n), with q the normal
    quantile: unlike p +- q sd it stays in 0 ... 1 and has a width at p = 0. Arrays of any
    shape; NaN where n is 0. Counts may be fractions (sums of probabilities).

    References
    ----------
    .. [1] Wilson (1927), J Am Stat Assoc 22:209.
    """
    from scipy.special import ndtri

    if not 0 < level < 1:
        raise InputError(f"level {level}", "give a coverage between 0 and 1, such as 0.95")
    size = np.asarray(n, dtype=np.float64)
    size = np.where(size > 0, size, np.nan)
    p = np.asarray(count, dtype=np.float64) / size
    q2 = float(ndtri(0.5 + level / 2)) ** 2
    middle = (p + q2 / (2 * size)) / (1 + q2 / size)
    half = np.sqrt(q2 * (p * (1 - p) / size + q2 / (4 * size**2))) / (1 + q2 / size)
    # at p = 0 and 1 the end is the bound itself but for rounding
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


def _as_wide(found: Interval, count: int, n: int, level: float) -> Interval:
    """At least as wide as for `n` independent rows; without an interval, as it is."""
    if np.isnan(found.low) or not n:
        return found
    low, high = (float(end) for end in wilson_interval(count, n, level=level))
    return found._replace(low=min(found.low, low), high=max(found.high, high))


def _scores(confusion: Array, *, smooth: bool = False) -> dict[str, Array]:
    """Scores of (..., K, K) matrices: per class (..., K), averaged (...,).

    `smooth` adds half a row to hits and misses, so that no share is 0 or 1.
    """
    matrix = np.asarray(confusion, dtype=np.float64)
    hit = np.diagonal(matrix, axis1=-2, axis2=-1)
    true, predicted = matrix.sum(axis=-1), matrix.sum(axis=-2)
    occurs = true > 0
    half = 0.5 if smooth else 0.0
    some = np.where(occurs, true, 1) + 2 * half
    classes = {
        "recall": np.where(occurs, (hit + half) / some, np.nan),
        "precision": (hit + half) / (np.where(predicted > 0, predicted, 1) + 2 * half),
        "f1": np.where(occurs, 2 * (hit + half) / (some + predicted + 2 * half), np.nan),
    }
    number = occurs.sum(axis=-1)
    macro = {
        name: np.where(occurs, score, 0).sum(axis=-1) / number for name, score in classes.items()
    }
    total, right = matrix.sum(axis=(-2, -1)), hit.sum(axis=-1)
    both = (total**2 - (predicted**2).sum(axis=-1)) * (total**2 - (true**2).sum(axis=-1))
    covariance = right * total - (true * predicted).sum(axis=-1)
    mcc = np.where(both > 0, covariance / np.sqrt(np.where(both > 0, both, 1)), 0.0)
    return (
        {f"class_{name}": score for name, score in classes.items()}
        | macro
        | {
            "balanced_accuracy": macro["recall"],
            "mcc": mcc,
            "accuracy": (right + half) / (total + 2 * half),
        }
    )


def _group_codes(groups: npt.ArrayLike, n: int) -> Array:
    """(N,) group of each row, from 0."""
    labels = np.asarray(groups)
    if labels.shape != (n,):
        raise InputError(f"{labels.shape} groups for {n} rows", "give one group a row")
    return np.unique(labels.astype(str), return_inverse=True)[1]


def _groups_with(codes: Array, k: int, group: Array) -> Array:
    """(K, G): does a group hold a row of the class?"""
    held = np.zeros((k, int(group.max()) + 1), bool)
    held[codes, group] = True
    return held


def _matrices_of(of: Array, group: Array, cell: Array, k: int) -> Array:
    """(m, K, K) confusion matrices of m groups, ascending."""
    rows = np.flatnonzero(np.isin(group, of))
    place = np.searchsorted(of, group[rows]) * k * k + cell[rows]
    return np.bincount(place, minlength=of.size * k * k).reshape(of.size, k, k)


def _drawn_matrices(cell: Array, k: int, group: Array | None, draws: int, seed: int) -> Array:
    """(draws, K, K) confusion matrices of bootstrap samples of rows, or of groups if given."""
    rng = np.random.default_rng(seed)
    n = cell.size
    if group is None:
        # rows drawn with replacement fall on the cells as a multinomial does
        share = np.bincount(cell, minlength=k * k) / n
        return rng.multinomial(n, share, size=draws).reshape(draws, k, k)
    g = int(group.max()) + 1
    of_group = np.bincount(group * k * k + cell, minlength=g * k * k).reshape(g, k * k)
    drawn = np.empty((draws, k * k))
    step = max(1, _CHUNK // g)
    for start in range(0, draws, step):
        m = min(step, draws - start)
        chosen = rng.integers(0, g, (m, g)) + g * np.arange(m)[:, None]
        # (m, G) how often each group was drawn @ (G, K K)
        times = np.bincount(chosen.ravel(), minlength=m * g).reshape(m, g)
        drawn[start : start + m] = times.astype(np.float64) @ of_group
    return drawn.reshape(draws, k, k)


def _plain(scores: dict[str, Interval]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, score in scores.items():
        plain[name] = _number(score.estimate)
        plain[f"{name}_interval"] = [_number(score.low), _number(score.high)]
    return plain


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
