"""Bands around predicted totals that hold measured ones as often as promised: split conformal."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..cell_table import names_of, values_of
from ..errors import DataError, FileError, InputError
from ..images.image import Array
from ..images.saved import from_saved
from ..statistics import MIN_GROUPS, mean_interval, wilson_interval
from .measuring import Measuring, check_measuring, measuring_of

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

__all__ = ["Band", "Bands", "Coverage", "apply_bands", "fit_band", "held_out_coverage"]


_FITTED_SHARE = 0.25  # of the cells give the line and the width, the others the quantile
_LEAST = 20  # cells for that, below which the band has one width and the prediction is its middle
_FOLDS = 5  # where no groups are known


@dataclass(frozen=True)
class Band:
    """An interval about a predicted total: middle(p) +- threshold x width(p).

    Attributes
    ----------
    intercept, slope : float
        middle(p) = intercept + slope p, the least-squares line of the measured on the predicted
        totals: it takes away bias, and what shrinks predictions towards their mean.
    width_0, width_1 : float
        width(p) = max(width_0 + width_1 p, floor): how the mean error grows with p.
    floor : float
        A tenth of the mean error, so that no band closes.
    threshold : float
        Infinite where there were too few cells or groups to promise anything.
    n, groups : int
        Cells that gave the threshold; groups, 0 where the cells were taken as independent.
    """

    intercept: float
    slope: float
    width_0: float
    width_1: float
    floor: float
    threshold: float
    n: int
    groups: int

    @property
    def has_ends(self) -> bool:
        """Whether the cells were enough for a threshold."""
        return bool(np.isfinite(self.threshold))

    def interval(self, predicted: npt.ArrayLike) -> tuple[Array, Array]:
        """Low and high end at predicted totals of any shape; NaN where these are."""
        p = np.asarray(predicted, np.float64)
        middle = self.intercept + self.slope * p
        half = self.threshold * self._width(p)
        return middle - half, middle + half

    def score(self, predicted: Array, measured: Array) -> Array:
        """|measured - middle| / width: the threshold at which a cell lies on the band's end."""
        off = np.abs(measured - self.intercept - self.slope * predicted)
        return np.asarray(off / self._width(predicted))

    def _width(self, p: Array) -> Array:
        return np.maximum(self.width_0 + self.width_1 * p, self.floor)


@dataclass(frozen=True)
class Bands:
    """A band for each marker, all of one level; saved as JSON.

    Attributes
    ----------
    level : float
    markers : mapping of str to Band
    measured : Measuring or None
        How the predicted totals were measured that the bands were fitted on; None: not known.
    """

    level: float
    markers: Mapping[str, Band]
    measured: Measuring | None = None

    def notes(self, markers: Sequence[str]) -> tuple[str, ...]:
        """Warnings for a user who applies the bands to these markers: which of them stay empty."""
        endless = [m for m in markers if m in self.markers and not self.markers[m].has_ends]
        lacking = [m for m in markers if m not in self.markers]
        notes = []
        if endless:
            notes.append(
                f"{', '.join(endless)}: too few cells or groups were compared for a band of "
                f"{self.level:.0%}: low and high are empty"
            )
        if lacking:
            notes.append(f"{', '.join(lacking)}: the bands are of others: low and high are empty")
        return tuple(notes)

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write JSON; an infinite threshold is null."""
        from ..images.atomic import write_json

        saved = {
            "what": "bands of predicted totals of cells",
            "level": self.level,
            "measured": None if self.measured is None else self.measured.to_json(),
            "markers": {name: asdict(band) for name, band in self.markers.items()},
        }
        return write_json(path, saved)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Bands:
        """What `write` wrote.

        Raises
        ------
        FileError
            It is not there, no such file, or has values that no band can have.
        """
        try:
            saved = json.loads(Path(path).read_text(encoding="utf-8"))
            markers = {name: _saved_band(of, name) for name, of in saved["markers"].items()}
            level = from_saved(float, saved["level"], "level")
            if not 0 < level < 1:
                raise ValueError(f"level is {level:g}, no share between 0 and 1")
            return cls(level, markers, Measuring.from_json(saved.get("measured")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileError(
                f"cannot be read as bands ({error})",
                "make them: unstained cells agree PREDICTED.h5ad MEASURED.h5ad --out DIR",
                file=path,
            ) from error


def _saved_band(of: Mapping[str, Any], name: str) -> Band:
    """A band of the file, where an infinite threshold is null."""
    endless = of["threshold"] is None
    band: Band = from_saved(Band, {**of, "threshold": 0} if endless else of, name)
    if not (band.floor > 0 and band.threshold >= 0):
        raise ValueError(f"{name} has the floor {band.floor:g} and threshold {band.threshold:g}")
    return replace(band, threshold=float("inf")) if endless else band


class Coverage(NamedTuple):
    """How often measured totals lay in bands that were fitted without them.

    Attributes
    ----------
    table : DataFrame
        One row a held-out group (or fold of cells): group, n, covered, share with its Wilson
        interval `low`, `high` (within the group, as if its cells were independent), and `width`,
        the mean width of the band over the mean measured total. Share is NaN where the others
        were too few to promise anything.
    share, low, high : float
        Mean over groups with an interval over groups, NaN for fewer than three; where there
        are none, over cells.
    """

    table: pd.DataFrame
    share: float
    low: float
    high: float


def fit_band(
    predicted: npt.ArrayLike,
    measured: npt.ArrayLike,
    level: float = 0.6,
    *,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
) -> Band:
    """Fit a band in which the measured total of a new cell lies with probability `level`.

    A quarter of the cells gives the line and the width; the scores s of the others the threshold.
    Without groups it is the ceil((n + 1) level)-th smallest of n scores [1]_, [2]_: right for
    cells that are exchangeable with these. Cells of one donor, well or image resemble each other
    and are not exchangeable with those of a new one. With groups, the threshold is the
    level-quantile of the scores where each of K groups weighs 1 / (K + 1), its cells equally, and
    infinity 1 / (K + 1): at least `level` for a cell of a new group [3]_, as far as line and width
    are given beforehand (they are three numbers of a quarter of the cells of the same groups;
    `held_out_coverage` fits them anew without the group). That takes K >= level / (1 - level)
    groups: 2 for 0.6, 9 for 0.9, 19 for 0.95; with fewer the threshold is infinite.

    Parameters
    ----------
    predicted, measured : (N,) float arrays
        Totals of cells that trained nothing. Pairs that are not finite are left out.
    level : float
        0 ... 1; the paper that we follow draws 0.6.
    groups : (N,) array, optional
        Group of each cell.
    seed : int
        Of the choice of the quarter.

    Raises
    ------
    InputError
        Level outside 0 to 1, lengths that differ, or no cell.

    References
    ----------
    .. [1] Papadopoulos et al. (2002), ECML, LNCS 2430:345, doi 10.1007/3-540-36755-1_29.
    .. [2] Lei et al. (2018), J Am Stat Assoc 113:1094, doi 10.1080/01621459.2017.1307116.
    .. [3] Lee, Barber, Willett (2023), Distribution-free inference with hierarchical data,
       arXiv:2306.06342.
    """
    p, y, group = _checked(predicted, measured, groups)
    if not 0 < level < 1:
        raise InputError(f"level {level}", "give a share between 0 and 1, such as 0.6")
    first = _some_of_each(group, np.random.default_rng(seed))
    rest = ~first
    intercept, slope, width_0, width_1, floor = _line_and_width(p[first], y[first])
    shape = Band(intercept, slope, width_0, width_1, floor, float("inf"), 0, 0)
    score = shape.score(p[rest], y[rest])
    if groups is None:
        threshold = _weighted_quantile(score, np.arange(score.size), level)
        known = 0
    else:
        threshold = _weighted_quantile(score, group[rest], level)
        known = np.unique(group[rest]).size
    return Band(intercept, slope, width_0, width_1, floor, threshold, int(rest.sum()), known)


def held_out_coverage(
    predicted: npt.ArrayLike,
    measured: npt.ArrayLike,
    level: float = 0.6,
    *,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
) -> Coverage:
    """Leave each group out in turn, fit on the others, and look whether its cells are covered.

    Without groups, five folds of cells are left out instead: that says nothing of a new donor.
    Arguments as for `fit_band`.

    Raises
    ------
    InputError
        As `fit_band`, or one group only.
    """
    import pandas as pd

    p, y, names = _checked(predicted, measured, groups)
    held = names
    if groups is None:
        held = np.random.default_rng(seed).permutation(p.size) % min(_FOLDS, p.size)
    parts = np.unique(held)
    if parts.size < 2:
        raise InputError(
            f"{parts.size} group to hold out", "give cells of two groups, or leave the groups away"
        )
    inside = np.full(p.size, np.nan)
    width = np.full(p.size, np.nan)
    for part in parts:
        out = held == part
        of = None if groups is None else names[~out]
        band = fit_band(p[~out], y[~out], level, groups=of, seed=seed)
        low, high = band.interval(p[out])
        if np.isfinite(band.threshold):
            inside[out] = (y[out] >= low) & (y[out] <= high)
            width[out] = high - low
    rows = []
    for part in parts:
        out = held == part
        n, known = int(out.sum()), bool(np.isfinite(inside[out]).all())
        covered = float(inside[out].sum()) if known else float("nan")
        low_end, high_end = wilson_interval(covered, n)
        mean = float(y[out].mean())
        relative = float(width[out].mean()) / mean if known and mean > 0 else float("nan")
        name = str(part) if groups is not None else f"fold {part}"
        rows.append((name, n, covered, covered / n, float(low_end), float(high_end), relative))
    columns = ["group", "n", "covered", "share", "low", "high", "width"]
    table = pd.DataFrame(rows, columns=columns)
    each = table["share"].to_numpy(float) if groups is not None else inside
    share = mean_interval(each, seed=seed).within(0, 1)
    if groups is not None and share.n < MIN_GROUPS:
        share = share.alone()
    return Coverage(table, share.estimate, share.low, share.high)


def apply_bands(cells: AnnData, bands: Bands) -> AnnData:
    """The cells with the layers `low` and `high` of their markers' totals.

    NaN for markers without a band, for what is no marker, and where the total is NaN, as of cells
    that `flag_strange` found outside of the reference.

    Raises
    ------
    DataError
        None of the markers has a band, or the cells were measured with another background or
        pixel size than those that the bands were fitted on (where both are known).
    """
    markers = [name for name in names_of(cells, "marker") if name in bands.markers]
    if not markers:
        raise DataError(
            f"the bands are of {', '.join(bands.markers)}, the cells have none of these",
            f"they have {', '.join(names_of(cells, 'marker')) or 'no marker'}",
        )
    check_measuring(bands.measured, measuring_of(cells), "the bands")
    out = cells.copy()
    low = np.full(cells.shape, np.nan, np.float32)
    high = low.copy()
    for name in markers:
        at = cells.var_names.get_loc(name)
        low[:, at], high[:, at] = bands.markers[name].interval(values_of(cells, [name])[:, 0])
    endless = ~(np.isfinite(low) & np.isfinite(high))  # of too few cells: nothing can be said
    low[endless] = high[endless] = np.nan
    out.layers["low"], out.layers["high"] = low, high
    out.uns["unstained"] = {**dict(out.uns.get("unstained", {})), "band_level": bands.level}
    return out


def _checked(
    predicted: npt.ArrayLike, measured: npt.ArrayLike, groups: npt.ArrayLike | None
) -> tuple[Array, Array, Array]:
    """Finite pairs and the code of their group, each cell its own where none is given."""
    p, y = np.asarray(predicted, np.float64), np.asarray(measured, np.float64)
    names = np.zeros(p.shape, int) if groups is None else np.asarray(groups).astype(str)
    if p.ndim != 1 or p.shape != y.shape or p.shape != names.shape:
        raise InputError(
            f"{p.shape} predicted, {y.shape} measured totals, {names.shape} groups",
            "give one of each for every cell",
        )
    finite = np.isfinite(p) & np.isfinite(y)
    if not finite.any():
        raise InputError("no cell has a predicted and a measured total", "look at the tables")
    return p[finite], y[finite], names[finite]


def _some_of_each(group: Array, rng: np.random.Generator) -> Array:
    """(N,) bool: a quarter of each group's cells by chance; none where too few are left."""
    first = np.zeros(group.size, bool)
    for name in np.unique(group):
        of = np.flatnonzero(group == name)
        first[rng.permutation(of)[: int(_FITTED_SHARE * of.size)]] = True
    return first if first.sum() >= _LEAST else np.zeros(group.size, bool)


def _line_and_width(p: Array, y: Array) -> tuple[float, float, float, float, float]:
    """intercept, slope, width_0, width_1, floor; where cells tell nothing, p itself and width 1."""
    if not p.size or np.ptp(p) == 0:
        return 0.0, 1.0, 0.0, 0.0, 1.0
    slope, intercept = (float(c) for c in np.polyfit(p, y, 1))
    off = np.abs(y - intercept - slope * p)
    mean = float(off.mean())
    if mean == 0:
        return intercept, slope, 0.0, 0.0, 1.0
    width_1, width_0 = (float(c) for c in np.polyfit(p, off, 1))
    return intercept, slope, width_0, width_1, 0.1 * mean


def _weighted_quantile(score: Array, group: Array, level: float) -> float:
    """Smallest s that the weight of scores up to s brings to `level`.

    Each of K groups weighs 1 / (K + 1), as infinity does. With a group for each of n cells that is
    the ceil((n + 1) level)-th smallest.
    """
    _, code, count = np.unique(group, return_inverse=True, return_counts=True)
    weight = 1 / ((count.size + 1) * count[code])
    order = np.argsort(score, kind="stable")
    # rounding must not cost a rank
    reached = np.cumsum(weight[order]) >= level - 1e-9
    return float(score[order][reached.argmax()]) if reached.any() else float("inf")
