"""Student's p of a mean, and when there is none."""

from __future__ import annotations

__all__ = ["student_p"]

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
        return 1.0 if abs(mean) <= _TIED * scale else float("nan")
    return 2 * float(stdtr(df, -abs(mean) / error))
