"""Paired tests, the correction for several of them, and the stars of a figure."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError

__all__ = ["PairedTest", "holm", "paired_test", "stars"]


class PairedTest(NamedTuple):
    """`a - b` over `n` pairs: mean difference, two-sided p, and which test gave it."""

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
        p is 1 where all differences are 0, NaN for fewer than two units.

    Raises
    ------
    InputError
        `a` and `b` are not of one length.
    """
    from scipy import stats

    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise InputError(f"{x.shape} against {y.shape}", "pair the scores unit by unit")
    delta = (x - y)[np.isfinite(x) & np.isfinite(y)]
    if delta.size < 2:
        mean = float(delta.mean()) if delta.size else float("nan")
        return PairedTest(mean, float("nan"), delta.size, test)
    if not delta.any():
        return PairedTest(0.0, 1.0, delta.size, test)
    if test == "wilcoxon":
        p = float(stats.wilcoxon(delta).pvalue)
    elif test == "t":
        spread = delta.std()
        # equal differences: the t statistic is infinite
        p = float(stats.ttest_1samp(delta, 0.0).pvalue) if spread > 0 else 0.0
    else:
        raise InputError(f"test {test!r}", "choose wilcoxon or t")
    return PairedTest(float(delta.mean()), p, delta.size, test)


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
