"""Paired tests, the correction for several of them, and the stars of a figure."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..images.image import Array
from .student import student_p

__all__ = ["McNemar", "PairedTest", "corrected_t_test", "holm", "mcnemar", "paired_test", "stars"]

_EXACT_BELOW = 25  # discordant pairs; from here on chi-square is as good


class PairedTest(NamedTuple):
    """`a - b` over `n` pairs: mean difference, two-sided p, and which test gave it."""

    difference: float
    p: float
    n: int
    test: str


class McNemar(NamedTuple):
    """Rows that only `a` or only `b` got right, accuracy of a - b, two-sided p, and the test."""

    only_a: int
    only_b: int
    difference: float
    p: float
    n: int
    test: str


def paired_test(
    a: npt.ArrayLike, b: npt.ArrayLike, *, test: Literal["wilcoxon", "t"] = "wilcoxon"
) -> PairedTest:
    """Is `a` as large as `b` on the same units?

    Wilcoxon's signed ranks assume symmetric differences, not normal ones; with five units or
    fewer its two-sided p cannot fall below 2 / 2^5 = 0.06, which is then the answer, not an
    error.

    Parameters
    ----------
    a, b : (N,) float arrays
        Score of each unit under either model. Units with a NaN on a side are left out.
    test : {"wilcoxon", "t"}
        Signed ranks, or Student's paired t.

    Returns
    -------
    PairedTest
        p is 1 where all differences are 0, NaN for fewer than two units, and of the t test
        where all differences tie (see `student_p`).

    Raises
    ------
    InputError
        `a` and `b` are not of one length.
    """
    from scipy import stats

    x, y = _paired(a, b, "unit by unit")
    delta = x - y
    if delta.size < 2:
        mean = float(delta.mean()) if delta.size else float("nan")
        return PairedTest(mean, float("nan"), delta.size, test)
    if not delta.any():
        return PairedTest(0.0, 1.0, delta.size, test)
    if test == "wilcoxon":
        p = float(stats.wilcoxon(delta).pvalue)
    elif test == "t":
        n, scale = delta.size, float(max(np.abs(x).max(), np.abs(y).max()))
        p = student_p(float(delta.mean()), delta.std(ddof=1) / np.sqrt(n), n - 1, scale=scale)
    else:
        raise InputError(f"test {test!r}", "choose wilcoxon or t")
    return PairedTest(float(delta.mean()), p, delta.size, test)


def corrected_t_test(
    a: npt.ArrayLike, b: npt.ArrayLike, *, n_train: int, n_test: int
) -> PairedTest:
    """Is `a` as large as `b` over resampled splits of one data set [1]_?

    t = mean(d) / sqrt((1/k + n_test/n_train) var(d)) with k - 1 degrees of freedom, d = a - b
    over all k folds of all repeats. Folds share most of their training rows, so their scores
    are not independent: the plain t (1/k alone) finds differences far too often.

    Parameters
    ----------
    a, b : (k,) float arrays
        Score of each split under either method. Splits with a NaN on a side are left out.
    n_train, n_test : int
        Rows (or groups, where groups were split) on the sides of one split.

    Returns
    -------
    PairedTest
        `test` is "corrected t"; p is NaN for fewer than three splits, whose differences are too
        coarse to have a spread, and where all tie (see `student_p`); 1 where all are 0.

    Raises
    ------
    InputError
        `a` and `b` are not of one length, or a side of the splits is empty.

    References
    ----------
    .. [1] Nadeau, Bengio (2003), Mach Learn 52:239, doi 10.1023/A:1024068626366.
    """
    if min(n_train, n_test) < 1:
        raise InputError(f"{n_train} training and {n_test} test rows", "give at least 1 of each")
    x, y = _paired(a, b, "split by split")
    delta = x - y
    k = delta.size
    if k < 3:
        mean = float(delta.mean()) if k else float("nan")
        return PairedTest(mean, float("nan"), k, "corrected t")
    mean, error = float(delta.mean()), delta.std(ddof=1) * np.sqrt(1 / k + n_test / n_train)
    scale = float(max(np.abs(x).max(), np.abs(y).max()))
    return PairedTest(mean, student_p(mean, error, k - 1, scale=scale), k, "corrected t")


def mcnemar(true: npt.ArrayLike, a: npt.ArrayLike, b: npt.ArrayLike) -> McNemar:
    """Do two classifiers err equally often on the same rows [1]_?

    Only rows that one got right and the other wrong tell: n_a and n_b of them. Below 25 in all
    the exact two-sided binomial (n_a of n_a + n_b at 1/2), else chi-square with continuity
    correction, (|n_a - n_b| - 1)^2 / (n_a + n_b), 1 degree of freedom. Rows must be
    independent: of a colony that is seen for many hours give one, or a vote over them.

    Parameters
    ----------
    true, a, b : (N,) arrays
        True classes and what either classifier predicted, codes or names.

    Returns
    -------
    McNemar
        p is 1 where no row tells.

    Raises
    ------
    InputError
        Columns of different lengths, or no rows.

    References
    ----------
    .. [1] McNemar (1947), Psychometrika 12:153, doi 10.1007/BF02295996.
    """
    from scipy.special import chdtrc
    from scipy.stats import binomtest

    y, first, second = np.asarray(true), np.asarray(a), np.asarray(b)
    if not (y.shape == first.shape == second.shape) or y.ndim != 1 or not y.size:
        raise InputError(
            f"{y.shape} true, {first.shape} and {second.shape} predicted", "pair row by row"
        )
    right_a, right_b = first == y, second == y
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    told = only_a + only_b
    if told < _EXACT_BELOW:
        test, p = "exact", float(binomtest(only_a, told).pvalue) if told else 1.0
    else:
        # of equal numbers the corrected statistic would be (0 - 1)^2
        gap = max(abs(only_a - only_b) - 1, 0)
        test, p = "chi-square", float(chdtrc(1, gap**2 / told))
    return McNemar(only_a, only_b, (only_a - only_b) / y.size, p, int(y.size), test)


def holm(p: npt.ArrayLike) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Correct M p values so that the chance of even one false star stays at the level [1]_.

    Sorted ascending, p_(i) becomes max over j <= i of min(1, (M - j + 1) p_(j)). NaN stays NaN
    and does not count.

    References
    ----------
    .. [1] Holm (1979), Scand. J. Stat. 6:65.
    """
    raw = np.asarray(p, dtype=np.float64)
    corrected = np.full(raw.shape, np.nan)
    tested = np.flatnonzero(np.isfinite(raw))
    order = tested[np.argsort(raw[tested], kind="stable")]
    steps = raw[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps)) if len(order) else steps
    return corrected


def stars(p: float) -> str:
    """Stars of a p value: * 0.05, ** 0.01, *** 0.001, **** 0.0001; "ns" above, "" for NaN."""
    if np.isnan(p):
        return ""
    return "*" * sum(p <= limit for limit in (0.05, 0.01, 0.001, 0.0001)) or "ns"


def _paired(a: npt.ArrayLike, b: npt.ArrayLike, how: str) -> tuple[Array, Array]:
    """(K,) scores that both have, as float64."""
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise InputError(f"{x.shape} against {y.shape}", f"pair the scores {how}")
    both = np.isfinite(x) & np.isfinite(y)
    return x[both], y[both]
