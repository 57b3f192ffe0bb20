"""Scores of a classifier: recall, precision, F1 per class and averaged, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .intervals import (
    MANY_GROUPS,
    Array,
    Interval,
    Scale,
    _percentiles,
    check_level,
    student_bounds,
)

__all__ = [
    "ClassScore",
    "ClassificationScores",
    "class_codes",
    "classification_scores",
    "wilson_interval",
]

_MACRO = {
    "recall": False,
    "precision": False,
    "f1": False,
    "balanced_accuracy": False,
    "mcc": True,
    "accuracy": True,
}
"""Scores of all classes: of all rows alike, or else means over classes."""
_CHUNK = 4_000_000  # drawn rows or groups held at a time: 32 MB of int64
_ROUNDING = 1e-9  # by which a sum of shares may surpass its whole


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
            | _plain({k: getattr(score, k) for k in ("recall", "precision", "f1")})
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
    predicted as it, on an F1 either, on accuracy and MCC all. `MANY_GROUPS` or more are drawn
    (percentile bootstrap of the summed confusion matrices; a draw that misses a class averages
    over the others). Of fewer each is left out once, and `student_bounds` are taken of the log
    odds of the score (of MCC on Fisher's scale), half a row added to the hits and half to the
    misses of each class, so that a score of 1 has odds. Means over classes have the degrees of
    freedom of the class that the fewest groups hold. No interval is narrower than that of as
    many independent rows, drawn from the matrix with those halves. A class in a single group has
    no interval, nor have means over classes with it.

    In tables of 2 to 29 wells of 5 to 39 rows of a class the 95 % interval held recalls of 0.60
    to 0.95 and their mean in 0.92 to 1.00, a bootstrap over the wells in 0.47 to 0.56 with 2,
    0.67 to 0.78 with 3 and 0.84 to 0.90 with 8 (``benchmarks/intervals.py``). Where wells are few
    and recalls near 1, so that most tables have hardly a miss, it holds less: 0.88 of 0.95 in
    three wells that differ.

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
        No rows, columns of different lengths, a class that is not in `names`, or a level that is
        no share.

    References
    ----------
    .. [1] Witmer and Bhanu (2024), Sci Rep 14:4489, doi 10.1038/s41598-024-54993-y.
    .. [2] Gorodkin (2004), Comput Biol Chem 28:367, doi 10.1016/j.compbiolchem.2004.09.006.
    """
    check_level(level)
    y, z = class_codes(true, names), class_codes(predicted, names)
    if y.shape != z.shape or not y.size:
        raise InputError(
            f"{y.size} true and {z.size} predicted classes", "give one of each for every row"
        )
    table = _Table(y, z, len(names), groups)
    found = _Intervals(table, level, draws, seed)
    classes = {}
    for i, name in enumerate(names):
        n, g = int(table.support[i]), int(table.holding[i].sum())
        # of a class in one group nothing is known, though others have rows that were taken for it
        predicting = table.predicting[i] & (g > 1)
        classes[str(name)] = ClassScore(
            recall=found.of("class_recall", n, table.holding[i], k=i),
            precision=found.of("class_precision", n, predicting, k=i),
            f1=found.of("class_f1", n, table.holding[i] | predicting, k=i),
            n=n,
            groups=g,
        )
    every = np.ones(table.groups, bool)
    rarest = int(table.holding[table.support > 0].sum(axis=1).min())
    macro = {
        score: found.of(score, int(y.size), every, least=table.groups if alone else rarest)
        for score, alone in _MACRO.items()
    }
    return ClassificationScores(
        tuple(map(str, names)), classes, macro, table.confusion, table.groups
    )


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

    Raises
    ------
    InputError
        A count is negative or above its n.

    References
    ----------
    .. [1] Wilson (1927), J Am Stat Assoc 22:209.
    """
    from scipy.special import ndtri

    check_level(level)
    counts, size = np.broadcast_arrays(np.asarray(count, np.float64), np.asarray(n, np.float64))
    odd = (counts < 0) | (counts > size * (1 + _ROUNDING))
    if odd.any():
        raise InputError(
            f"{counts[odd][0]:g} of {size[odd][0]:g} rows", "give the part first, then the whole"
        )
    size = np.where(size > 0, size, np.nan)
    p = counts / size
    q2 = float(ndtri(0.5 + level / 2)) ** 2
    middle = (p + q2 / (2 * size)) / (1 + q2 / size)
    half = np.sqrt(q2 * (p * (1 - p) / size + q2 / (4 * size**2))) / (1 + q2 / size)
    # at p = 0 and 1 the end is the bound itself but for rounding
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


class _Table:
    """Rows as places in the confusion matrix, and the group that each is of."""

    def __init__(self, true: Array, predicted: Array, k: int, groups: npt.ArrayLike | None) -> None:
        n = true.size
        self.k = k
        self.grouped = groups is not None
        self.group = np.arange(n) if groups is None else _group_codes(groups, n)
        self.groups = int(self.group.max()) + 1
        self.cell = true * k + predicted  # (N,) place in the flattened matrix
        self.confusion = np.bincount(self.cell, minlength=k * k).reshape(k, k)
        self.support = self.confusion.sum(axis=1)
        # (K, G): does a group hold a row of the class, a row predicted as it?
        self.holding, self.predicting = (self._groups_with(codes) for codes in (true, predicted))

    def _groups_with(self, codes: Array) -> Array:
        held = np.zeros((self.k, self.groups), bool)
        held[codes, self.group] = True
        return held

    def matrices_of(self, some: Array) -> Array:
        """(m, K, K) confusion matrices of m groups, given in ascending order."""
        rows = np.flatnonzero(np.isin(self.group, some))
        size = self.k * self.k
        place = np.searchsorted(some, self.group[rows]) * size + self.cell[rows]
        return np.bincount(place, minlength=some.size * size).reshape(-1, self.k, self.k)

    def drawn(self, draws: int, rng: np.random.Generator) -> Array:
        """(draws, K, K) confusion matrices of bootstrap samples of rows or groups."""
        if not self.grouped:
            return self.drawn_rows(self.confusion, draws, rng)
        g = self.groups
        of_group = self.matrices_of(np.arange(g)).reshape(g, -1)
        drawn = np.empty((draws, of_group.shape[1]))
        step = max(1, _CHUNK // g)
        for start in range(0, draws, step):
            m = min(step, draws - start)
            chosen = rng.integers(0, g, (m, g)) + g * np.arange(m)[:, None]
            # (m, G) how often each group was drawn @ (G, K K)
            times = np.bincount(chosen.ravel(), minlength=m * g).reshape(m, g)
            drawn[start : start + m] = times.astype(np.float64) @ of_group
        return drawn.reshape(draws, self.k, self.k)

    def drawn_rows(self, matrix: Array, draws: int, rng: np.random.Generator) -> Array:
        """(draws, K, K) matrices of as many independent rows, in the shares of a matrix."""
        # rows drawn with replacement fall on the cells as a multinomial does
        share = matrix.ravel() / matrix.sum()
        return rng.multinomial(self.cell.size, share, size=draws).reshape(-1, self.k, self.k)


class _Intervals:
    """Scores of a table with their intervals."""

    def __init__(self, table: _Table, level: float, draws: int, seed: int) -> None:
        self.table, self.level, self.draws, self.seed = table, level, draws, seed
        self.found = _scores(table.confusion)
        # half a row on the hits and half on the misses of each class that occurs
        misses = 0.5 / max(table.k - 1, 1)
        half = np.full((table.k, table.k), misses) + (0.5 - misses) * np.eye(table.k)
        self.half = half * (table.support > 0)[:, None]
        self.never = table.confusion.sum(axis=0) == 0
        self.smooth = _scores(table.confusion + self.half, self.never)

    @cached_property
    def drawn(self) -> dict[str, Array]:
        """Scores of bootstrap samples of many groups."""
        return _scores(self.table.drawn(self.draws, np.random.default_rng(self.seed)))

    @cached_property
    def rows(self) -> dict[str, Array]:
        """Scores of as many independent rows, for few groups."""
        smooth, rng = self.table.confusion + self.half, np.random.default_rng(self.seed)
        return _scores(self.table.drawn_rows(smooth, self.draws, rng), self.never)

    def of(
        self, name: str, n: int, bearing: Array, *, k: int | None = None, least: int | None = None
    ) -> Interval:
        """A score, of class `k` or of all, over the groups (G,) that bear on it; `n` is reported.

        `least` groups decide where they are fewer than those that bear on it.
        """
        at = ... if k is None else (..., k)
        estimate, some = float(self.found[name][at]), np.flatnonzero(bearing)
        least = some.size if least is None else min(least, some.size)
        if least < 2:
            return Interval(estimate, float("nan"), float("nan"), n)
        if some.size >= MANY_GROUPS:
            return Interval(estimate, *_percentiles(self.drawn[name][at], self.level), n)
        left = self.table.confusion - self.table.matrices_of(some)
        without = _scores(left + self.half, self.never)
        scale: Scale = "fisher" if name == "mcc" else "logit"
        low, high = student_bounds(
            float(self.smooth[name][at]), without[name][at], scale, self.level, freedom=least - 1
        )
        rows_low, rows_high = _percentiles(self.rows[name][at], self.level)
        # halves may have moved the bounds past a score of 0 or 1
        ends = [low, rows_low, estimate], [high, rows_high, estimate]
        return Interval(estimate, float(np.min(ends[0])), float(np.max(ends[1])), n)


def _scores(confusion: Array, never: Array | None = None) -> dict[str, Array]:
    """Scores of (..., K, K) matrices: per class (..., K), averaged (...,).

    The precision of classes that are `never` predicted, (K,), stays 0, halves of rows or not.
    """
    matrix = np.asarray(confusion, dtype=np.float64)
    hit = np.diagonal(matrix, axis1=-2, axis2=-1)
    true, predicted = matrix.sum(axis=-1), matrix.sum(axis=-2)
    occurs = true > 0
    counted = predicted > 0 if never is None else (predicted > 0) & ~never
    classes = {
        "recall": np.where(occurs, hit / np.where(occurs, true, 1), np.nan),
        "precision": np.where(counted, hit / np.where(counted, predicted, 1), 0.0),
        "f1": np.where(occurs, 2 * hit / np.where(occurs, true + predicted, 1), np.nan),
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
        | {"balanced_accuracy": macro["recall"], "mcc": mcc, "accuracy": right / total}
    )


def _group_codes(groups: npt.ArrayLike, n: int) -> Array:
    """(N,) group of each row, from 0."""
    labels = np.asarray(groups)
    if labels.shape != (n,):
        raise InputError(f"{labels.shape} groups for {n} rows", "give one group a row")
    return np.unique(labels.astype(str), return_inverse=True)[1]


def _plain(scores: dict[str, Interval]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, score in scores.items():
        plain[name] = _number(score.estimate)
        plain[f"{name}_interval"] = [_number(score.low), _number(score.high)]
    return plain


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
