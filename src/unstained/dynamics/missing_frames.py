"""Missing frames of a kymograph: what can be said without them, and what replaces them.

Frames set to 0 cut a wave into pieces, and its spectrum gets side lobes that noise does not have:
with every fourth frame missing a wave of 120 min made "periods" of 18 and 14 min.
"""

from __future__ import annotations

import numpy as np

from ..errors import DataError
from ..images.image import Array

__all__ = ["filled_frames", "mean_step", "seen_often", "thinned"]


_ROUNDS = 30
_LEVELS = (0.9, 0.01)  # of the highest amplitude: what is kept in the first and the last round
_LOWEST = 0.03  # of the window, by which is divided


def thinned(values: Array) -> tuple[Array, int]:
    """The regular frames of a movie of which only every n-th is there.

    Parameters
    ----------
    values : (T, P) array
        A missing frame is NaN everywhere.

    Returns
    -------
    values : (S, P) array
        From the first frame that is there to the last, every n-th.
    n : int
        1 where frames are irregularly missing, or none.
    """
    there = np.flatnonzero(np.isfinite(values).any(axis=1))
    if there.size < 2:
        return values, 1
    n = int(np.gcd.reduce(np.diff(there)))
    return values[there[0] : there[-1] + 1 : n], n


def mean_step(seen: Array) -> float:
    """Frames from one that is there to the next, on average.

    Twice this is the shortest period that any way of filling in could tell: a band must be no
    wider than frames are dense, however they lie [1]_.

    Parameters
    ----------
    seen : (T, P) bool array
        With at least two frames that are there.

    References
    ----------
    .. [1] Landau (1967), Acta Math. 117:37, doi 10.1007/BF02395039.
    """
    there = np.flatnonzero(seen.any(axis=1))
    return float((there[-1] - there[0]) / (there.size - 1))


def seen_often(rest: Array, least: float) -> Array:
    """The run of positions from the first to the last that is often in the cell.

    Parameters
    ----------
    rest : (T, P) array
        NaN where not seen.
    least : float
        Share of the frames that are there, in which a position must be seen.

    Raises
    ------
    DataError
        No such position, fewer than 8 frames or positions, or more than half without a value.
    """
    there = np.isfinite(rest).any(axis=1)
    often = np.isfinite(rest[there]).mean(axis=0) >= least
    if not often.any():
        raise DataError(
            f"no position is in the cell in {least:.0%} of its frames",
            "use positions relative to the cell's length, or a shorter part of the movie",
        )
    at = np.flatnonzero(often)
    kept = rest[:, at[0] : at[-1] + 1]
    if min(there.sum(), kept.shape[1]) < 8:
        raise DataError(
            f"{there.sum()} frames of {kept.shape[1]} positions",
            "give at least 8 of each",
        )
    if not np.isfinite(kept[there]).mean() > 0.5:
        raise DataError("more than half of the kymograph has no value", "follow the cell anew")
    return kept


def filled_frames(rest: Array) -> Array:
    """Put into missing frames what the strongest waves of the others make there.

    Projection onto convex sets [1]_: in each of 30 rounds missing frames, 0 at first, are set to
    the inverse of the Fourier transform of all frames, of which only amplitudes above a share of
    the highest are kept. That share falls from 0.9 to 0.01, so that a wave is put in before its
    side lobes, which go as it comes. Periods below twice the mean step are not kept. A window over
    both axes, undone afterwards, lets waves be sharp that do not fit whole.

    Parameters
    ----------
    rest : (T, P) array
        Of mean 0; NaN where not seen. At least two frames are there.

    Returns
    -------
    (T, P) array
        Frames that are there are as they were. A frame before the first or after the last stays
        NaN, and so does a position that one of the two neighboring frames does not have.

    References
    ----------
    .. [1] Abma, Kabir (2006), Geophysics 71:E91, doi 10.1190/1.2356088.
    """
    seen = np.isfinite(rest)
    there = np.flatnonzero(seen.any(axis=1))
    missing = np.setdiff1d(np.arange(there[0], there[-1]), there)
    if missing.size == 0:
        return rest
    after = np.searchsorted(there, missing)
    to_fill = seen[there[after - 1]] & seen[there[after]]  # (missing, P)
    out = np.where(seen, rest, 0.0)
    window = np.outer(*(_LOWEST + (1 - _LOWEST) * np.hanning(n) for n in rest.shape))
    told = np.fft.rfftfreq(len(rest)) < 0.5 / mean_step(seen)
    for level in np.geomspace(*_LEVELS, _ROUNDS):
        waves = np.fft.rfft2((out * window).T).T  # (F, P): half of the frequencies
        size = np.abs(waves) * told[:, None]
        waves[size <= level * size.max()] = 0
        made = np.fft.irfft2(waves.T, s=rest.T.shape).T / window  # (T, P)
        out[missing] = np.where(to_fill, made[missing], 0.0)
    seen[missing] = to_fill
    return np.where(seen, out, np.nan)
