"""How widely each marker varies from cell to cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..cell_table import values_of
from ..errors import DataError
from ..images.image import Array
from ..statistics import resampled_sums
from .choice import groups_of, marker_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

__all__ = ["distributions"]


def distributions(
    cells: AnnData,
    names: Sequence[str] | None = None,
    *,
    groups: str | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Spread of each marker over the cells.

    sd_percent = 100 sd / mean of the totals, sd with n - 1; its interval is over cells, or over
    whole `groups` (`statistics.resampled_interval`). It holds what cells differ by and what the
    measurement adds: where stains were predicted, also the prediction's own error. The skewness
    is the adjusted one, G1 [1]_; 0 for a symmetric distribution, positive for a tail of bright
    cells.

    Parameters
    ----------
    cells : AnnData
        One row for each cell. Cells without a value are left out marker by marker.
    names : sequence of str, optional
        Markers; all where not given.
    groups : str, optional
        Column of ``obs`` whose levels are independent, such as `donor` or `well`.
    level, draws, seed
        As in `statistics.resampled_interval`.

    Returns
    -------
    DataFrame
        marker, n, missing, mean, median, sd_percent, low, high, skewness. `low` and `high` are
        NaN for a single group.

    Raises
    ------
    DataError
        A marker with fewer than two cells, the same in all cells, or with a mean that is not
        positive.

    References
    ----------
    .. [1] Joanes, Gill (1998), The Statistician 47:183, doi 10.1111/1467-9884.00122.
    """
    from scipy.stats import skew

    group, rows = groups_of(cells, groups), []
    for name in marker_names(cells, names):
        value = values_of(cells, [name])[:, 0]
        there = np.isfinite(value)
        x = value[there]
        if x.size < 2:
            raise DataError(f"{x.size} cell has a value of {name}", "two are needed at least")
        mean = float(x.mean())
        if mean <= 0:
            raise DataError(
                f"the mean of {name} is {mean:.3g}: a spread in percent of it means nothing",
                "look at the background that was subtracted, or leave it out with --markers",
            )
        if np.ptp(x) <= 1e-6 * mean:
            raise DataError(f"{name} is the same in all {x.size} cells", "leave it out: --markers")
        z = (x - mean) / mean
        interval = resampled_sums(
            np.column_stack([np.ones_like(z), z, z**2]),
            _relative_sd,
            scale="log",
            groups=None if group is None else group[there],
            level=level,
            draws=draws,
            seed=seed,
        )
        skewness = float(skew(x, bias=False)) if x.size > 2 else float("nan")
        rows.append(
            {
                "marker": name,
                "n": x.size,
                "missing": int((~there).sum()),
                "mean": mean,
                "median": float(np.median(x)),
                "sd_percent": 100 * interval.estimate,
                "low": 100 * interval.low,
                "high": 100 * interval.high,
                "skewness": skewness,
            }
        )
    return pd.DataFrame(rows)


def _relative_sd(sums: Array) -> Array:
    """sd / mean of x from the sums of 1, z and z^2, with x = mean0 (1 + z)."""
    n, s, ss = np.moveaxis(sums, -1, 0)
    variance = np.maximum(ss - s**2 / n, 0) / np.maximum(n - 1, 1)
    return np.asarray(np.sqrt(variance) / (1 + s / n))
