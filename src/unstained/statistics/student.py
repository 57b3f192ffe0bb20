"""Student's t of a mean: interval and p, and when there are none."""

from __future__ import annotations

import math

__all__ = ["student_interval", "student_p"]

_TIED = 1e-9  # of the values: a smaller spread is rounding


def student_p(mean: float, error: float, df: float, *, scale: float) -> float:
    """Two-sided p of t = mean / error with `df` degrees of freedom.

    Differences that tie, as of two folds of eight images easily do, have no spread to judge
    their mean by: t would be infinite and p 0, which says more than two numbers can.

    Parameters
    ----------
    mean, error : float
        What is tested against 0, and its standard error.
    df : float
    scale : float
        Largest size of the values that the mean came from.

    Returns
    -------
    float
        Where the error is at most 1e-9 of `scale`: 1 if the mean is so too, else NaN.
    """
    from scipy.special import stdtr

    if error <= _TIED * scale:
        return 1.0 if abs(mean) <= _TIED * scale else math.nan
    return 2 * float(stdtr(df, -abs(mean) / error))


def student_interval(
    mean: float, error: float, df: float, *, level: float, scale: float
) -> tuple[float, float, float]:
    """Low and high end of a mean at coverage `level`, and its p (see `student_p`).

    The ends are NaN where p is.
    """
    from scipy.special import stdtrit

    p = student_p(mean, error, df, scale=scale)
    half = float(stdtrit(df, 0.5 + level / 2)) * error if math.isfinite(p) else math.nan
    return mean - half, mean + half, p
