"""Are the frames of a live movie like the images that a model was trained on?

Models learn from fixed cells and serve living ones. Whether the live images lie where the training
images do can be measured; whether the stain of a living cell is what the model says cannot be seen
in label-free images at all. A far frame is a reason for doubt, a near one no proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import DataError, InputError
from ..images.image import Array
from ..settings import check_settings

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Validity",
    "ValiditySettings",
    "validity",
]


_FAR = 1.0  # a feature whose median is a spread away is named


@dataclass(frozen=True)
class ValiditySettings:
    """How far is too far.

    Attributes
    ----------
    level : float
        Share of frames, and of cells, like the reference that would be called far.
    draws : int
        Parts of the reference that a frame is compared with.
    most : int
        Reference cells and cells of a frame that are used; more are drawn from.
    least_cells : int
        A frame with fewer has no distance.
    seed : int
    """

    level: float = 0.05
    draws: int = 500
    most: int = 1000
    least_cells: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(
            self,
            least={"most": 20, "least_cells": 2},
            positive=("level",),
            below_one=("level",),
        )
        if self.draws < 1 / self.level - 1:
            raise InputError(
                f"level {self.level} by {self.draws} draws", "give at least 1 / level - 1 draws"
            )


class Validity(NamedTuple):
    """Distance of each frame from the reference.

    Attributes
    ----------
    frames : DataFrame
        A row for each frame that is judged: frame, cells, distance (energy distance, in the
        features' spread), limit, p_value, far (beyond the limit), outside (share of its cells
        that are farther from the reference than all but `level` of the reference's own).
    shifts : DataFrame
        A row for each feature, farthest first: feature, shift (median of all live cells less that
        of the reference, over the reference's spread).
    left_out : tuple of str
        Features that are not known or do not vary in the reference.
    few : tuple of int
        Frames with fewer than `least_cells` cells, which have no row: they are not judged.
    incomplete : int
        Live cells that lack a feature, which do not count.
    groups : int
        Of the reference that have `least_cells`, as fields or donors; 0 where it has none.
    verdict : str
        In words.
    """

    frames: pd.DataFrame
    shifts: pd.DataFrame
    left_out: tuple[str, ...]
    few: tuple[int, ...]
    incomplete: int
    groups: int
    verdict: str


def validity(
    live: pd.DataFrame,
    frame: Sequence[int] | Array,
    reference: pd.DataFrame,
    *,
    groups: Sequence[Any] | Array | None = None,
    all_frames: Sequence[int] | Array | None = None,
    settings: ValiditySettings | None = None,
) -> Validity:
    """Distance of each frame's cells from the training cells, with a limit.

    Features are centered by the reference's median and divided by its spread (1.4826 times the
    median absolute deviation), at most 10 from it. The distance of a frame is the energy distance
    ``2 E|X - Y| - E|X - X'| - E|Y - Y'|`` over different cells [1]_, 0 on average for cells of
    the reference. Its limit is that of parts of the reference of the same number of cells, each
    of one group, compared with all that is not of the group: images differ among themselves, and
    a frame may differ as much. Without groups parts are drawn cell by cell, which is stricter.
    Fewer than some twenty groups make a rough limit, groups with fewer cells than a frame a wide
    one, and groups of fewer than `least_cells` are in no part. The share of cells outside compares
    each cell's distance to its fifth nearest reference cell with the same of the reference.

    Parameters
    ----------
    live, reference : (N, K), (M, K) DataFrame
        Features of cells or tiles; those that both have are used. Rows with NaN are left out.
    frame : (N,) int array
        Of each row of `live`.
    groups : (M,) array, optional
        Field, well or donor of each reference row.
    all_frames : sequence of int, optional
        Of the movie, where some have no row in `live`: they count as frames with few cells.
    settings : ValiditySettings, optional

    Returns
    -------
    Validity

    Raises
    ------
    InputError
        Lengths that do not fit.
    DataError
        No feature in common, fewer than 20 reference cells, or no frame with enough cells.

    References
    ----------
    .. [1] Szekely, Rizzo (2013), J. Stat. Plan. Inference 143:1249,
       doi 10.1016/j.jspi.2013.03.018.
    """
    import pandas as pd

    chosen = settings or ValiditySettings()
    if len(frame) != len(live) or (groups is not None and len(groups) != len(reference)):
        raise InputError(
            f"{len(frame)} frames for {len(live)} live rows, "
            f"{'no' if groups is None else len(groups)} groups for {len(reference)} others",
            "give one for each row",
        )
    names, left_out = _common(live, reference)
    rng = np.random.default_rng(chosen.seed)
    known = reference[names].notna().all(axis=1).to_numpy()
    if known.sum() < 20:
        rarest = reference[names].notna().sum().idxmin()
        raise DataError(
            f"{known.sum()} of {len(reference)} reference cells have all features; {rarest} is "
            f"known of {reference[rarest].notna().sum()}",
            "give at least 20 cells, or measure both tables without that feature",
        )
    training = reference[names].to_numpy(np.float64)[known]
    center, spread = _robust(training)
    group = None if groups is None else np.asarray(groups).astype(str)[known]
    part = rng.permutation(len(training))[: chosen.most]
    base = _Base(
        _scaled(training[part], center, spread), None if group is None else group[part], chosen
    )
    of_live = live[names].to_numpy(np.float64)
    kept = np.isfinite(of_live).all(axis=1)
    of_live, of_frame = of_live[kept], np.asarray(frame)[kept]
    scaled = _scaled(of_live, center, spread)
    rows = []
    for number in np.unique(of_frame):
        cells = scaled[of_frame == number]
        if len(cells) >= chosen.least_cells:
            rows.append({"frame": int(number)} | base.compare(cells, rng))
    if not rows:
        raise DataError(
            f"no frame has {chosen.least_cells} cells with all features",
            "give a movie with more cells in a frame",
        )
    frames = pd.DataFrame(rows)
    every = np.union1d(frame, () if all_frames is None else all_frames)
    few = tuple(int(number) for number in np.setdiff1d(every, frames["frame"]))
    shift = (np.median(of_live, axis=0) - center) / spread
    shifts = pd.DataFrame({"feature": names, "shift": shift})
    shifts = shifts.iloc[np.argsort(-np.abs(shift), kind="stable")].reset_index(drop=True)
    sizes = [] if group is None else [len(g) for g in base.groups]
    return Validity(
        frames,
        shifts,
        tuple(left_out),
        few,
        int((~kept).sum()),
        len(sizes),
        _verdict(frames, shifts, sizes, chosen, judged="judged " if few else ""),
    )


class _Base:
    """The reference, with all that is needed of it more than once."""

    def __init__(self, points: Array, group: Array | None, settings: ValiditySettings) -> None:
        from scipy.spatial import KDTree
        from scipy.spatial.distance import cdist

        self.points, self.settings = points, settings
        self.distances = cdist(points, points)
        self.total = float(self.distances.sum())
        everyone = np.arange(len(points))
        self.groups = [everyone]
        if group is not None:
            self.groups = [np.flatnonzero(group == name) for name in np.unique(group)]
            self.groups = [g for g in self.groups if len(g) >= settings.least_cells]
            if len(self.groups) < 2:
                raise DataError(
                    f"{len(self.groups)} groups of the reference have "
                    f"{settings.least_cells} cells or more",
                    "give two or more such groups, or larger ones",
                )
        n = len(points)
        self.within = self.total / (n * (n - 1))
        self.tree = KDTree(points)
        # the nearest to a point of the reference is the point itself
        own = np.asarray(self.tree.query(points, 6)[0])[:, -1]
        self.reach = float(np.quantile(own, 1 - settings.level, method="higher"))
        self._null: dict[int, Array] = {}

    def compare(self, cells: Array, rng: np.random.Generator) -> dict[str, Any]:
        """Distance, limit and the rest for the cells of one frame."""
        from scipy.spatial.distance import cdist

        chosen = self.settings
        used = cells if len(cells) <= chosen.most else rng.permutation(cells)[: chosen.most]
        n = len(used)
        across = float(cdist(used, self.points).mean())
        distance = 2 * across - float(cdist(used, used).sum()) / (n * (n - 1)) - self.within
        null = self._random(n, rng)
        outside = np.asarray(self.tree.query(cells, 5)[0])[:, -1] > self.reach
        limit = float(np.quantile(null, 1 - chosen.level, method="higher"))
        return {
            "cells": len(cells),
            "distance": distance,
            "limit": limit,
            "p_value": float((1 + (null >= distance).sum()) / (1 + null.size)),
            "far": distance > limit,
            "outside": float(outside.mean()),
        }

    def _random(self, n: int, rng: np.random.Generator) -> Array:
        """Distances of parts of about `n` cells of the reference from the rest of it."""
        # frames of nearly equal size share their parts: steps of a tenth
        size = max(self.settings.least_cells, round(1.1 ** round(np.log(n) / np.log(1.1))))
        if size not in self._null:
            self._null[size] = np.array([self._one(size, rng) for _ in range(self.settings.draws)])
        return self._null[size]

    def _one(self, size: int, rng: np.random.Generator) -> float:
        group = self.groups[int(rng.integers(len(self.groups)))]
        whole = len(self.groups) == 1
        # cell by cell the rest must stay at least half
        n = min(size, len(group) // 2 if whole else len(group))
        part = rng.permutation(group)[:n]
        away = part if whole else group
        rest = np.setdiff1d(np.arange(len(self.points)), away, assume_unique=True)
        d = self.distances
        from_part = d[part]  # (n, M)
        inside = float(from_part[:, part].sum()) / (n * (n - 1))
        across = float(from_part[:, rest].mean())
        to_away = d[away]
        others = self.total - 2 * float(to_away.sum()) + float(to_away[:, away].sum())
        return 2 * across - inside - others / (len(rest) * (len(rest) - 1))


def _common(live: pd.DataFrame, reference: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Features that both have and that vary in the reference; those left out."""
    names: list[str] = []
    left_out = [str(name) for name in reference if name not in live]
    left_out += [str(name) for name in live if name not in reference]
    for name in reference:
        if name not in live:
            continue
        values = reference[name].to_numpy(np.float64)
        values = values[np.isfinite(values)]
        here = bool(np.isfinite(live[name].to_numpy(np.float64)).any())
        varies = values.size > 1 and _robust(values[:, None])[1][0] > 0
        (names if here and varies else left_out).append(str(name))
    if not names:
        raise DataError(
            "live cells and reference have no varying feature in common",
            "measure both in the same way",
        )
    return names, left_out


def _robust(values: Array) -> tuple[Array, Array]:
    """Median and spread of each column of (N, K)."""
    center = np.median(values, axis=0)
    return center, 1.4826 * np.median(np.abs(values - center), axis=0)


def _scaled(values: Array, center: Array, spread: Array) -> Array:
    """Features in spreads from the center, at most 10: one wild value must not decide."""
    return np.asarray(np.clip((values - center) / spread, -10, 10))


def _verdict(
    frames: pd.DataFrame,
    shifts: pd.DataFrame,
    sizes: list[int],
    settings: ValiditySettings,
    judged: str,
) -> str:
    far, n = int(frames["far"].sum()), len(frames)
    outside = float(np.average(frames["outside"], weights=frames["cells"]))
    share = far / n
    # successive frames show the same cells: no count of frames is a test of its own
    if share <= max(settings.level, 1 / n):
        word = "inside the training distribution"
    elif share < 0.5:
        word = "partly outside the training distribution"
    else:
        word = "outside the training distribution"
    moved = shifts[shifts["shift"].abs() > _FAR].head(3)
    why = ", ".join(f"{row.feature} {row.shift:+.1f}" for row in moved.itertuples())
    against = f"{len(sizes)} groups" if sizes else "single cells"
    return (
        f"{word}: {far} of {n} {judged}frames beyond the limit ({settings.level:.0%} expected, "
        f"against {against} of the reference), {outside:.0%} of the cells outside"
        + (f"; medians moved, in spreads of the reference: {why}" if why else "")
        + _small_groups(frames, sizes)
    )


def _small_groups(frames: pd.DataFrame, sizes: list[int]) -> str:
    """A warning where groups have fewer cells than frames: their parts scatter more."""
    cells = float(frames["cells"].median())
    if not sizes or np.median(sizes) >= 0.8 * cells:
        return ""
    return (
        f"; the limit is wide, for groups have fewer cells ({np.median(sizes):.0f}) than frames "
        f"({cells:.0f})"
    )
