"""Cells followed over the frames of a movie: links, gaps, divisions, merges.

Cells that cover one another in successive frames are one cell. What is left is linked, and gaps
are closed, by laptrack, which solves linear assignment problems over position and size [1]_.
Then each track that begins in mid-movie is asked whether it is a daughter, and each that ends
whether it was swallowed by a neighbor.

Only a table of regions and of their overlaps is kept of each frame, so the memory depends on the
number of cells, not of pixels.

References
----------
.. [1] Jaqaman et al. (2008), Nat Methods 5:695, doi:10.1038/nmeth.1237; laptrack:
   Fukai, Kawaguchi (2023), Bioinformatics 39:btac799, doi:10.1093/bioinformatics/btac799.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..errors import DataError, InputError
from ..images.image import Array
from ..settings import check_settings
from .tracks import Tracked, tables_of

__all__ = ["TrackSettings", "track_labels"]


_NONE = -1  # no cell before, no cell after

# Spreads of a division's terms; ours. A rounded cell that halves its volume has daughters of
# 2^(-2/3) of its area, a flat one of 1/2: their sum is 1 to 1.26 of the mother.
_WHOLE_SD = 0.5
_ALIKE_SD = 0.5
_APART = 2.0  # diameters of the mother


@dataclass(frozen=True)
class TrackSettings:
    """When two outlines are the same cell. The numbers are ours.

    Attributes
    ----------
    max_distance_um : float, optional
        Which a cell covers at most from frame to frame. None: the diameter of a disc of the
        cells' median area, which needs no pixel size.
    max_gap : int
        Frames that a cell may be missed and still be the same; 0 closes no gap.
    min_overlap : float
        Pixels that two outlines share over those that either covers, above which they are one
        cell without further question. At least 0.5, so that there is one such partner only.
    size_weight : float
        What a change of size weighs against distance: area that grows or shrinks by the factor
        e counts as this share of the largest distance.
    max_division_cost : float
        Largest cost of a division, see `track_labels`; 0 finds none.
    min_swallowed : float
        Share of a vanished cell's pixels that its neighbor covers in the next frame, from which
        on the two were merged.

    Raises
    ------
    InputError
        A value out of range.
    """

    max_distance_um: float | None = None
    max_gap: int = 2
    min_overlap: float = 0.5
    size_weight: float = 0.25
    max_division_cost: float = 1.0
    min_swallowed: float = 0.5

    def __post_init__(self) -> None:
        overlaps = ("min_overlap", "min_swallowed")
        check_settings(
            self,
            least=dict.fromkeys(overlaps, 0.5),
            positive=("max_distance_um",),
            shares=overlaps,
        )


class _Cells(NamedTuple):
    """All cells of a movie, ordered by frame and label; a cell is a row.

    frame, label, area : (N,) int; y, x : (N,) float, pixels.
    overlap : (M, 3) int: cell, cell of the next frame, pixels that both cover.
    """

    frame: Array
    label: Array
    area: Array
    y: Array
    x: Array
    overlap: Array
    frames: int


def track_labels(
    frames: Iterable[Array],
    settings: TrackSettings | None = None,
    pixel_size_um: float | None = None,
) -> Tracked:
    """Follow cells through the label images of a movie.

    1. Cells of successive frames whose intersection over union is above `min_overlap` are linked.
    2. laptrack links the other cells of successive frames, then ends with later beginnings
       (gaps), so that the sum of costs is least. The cost is
       ``(distance / d)^2 + (size_weight ln(area' / area))^2`` and below 1, d the largest distance.
    3. A cell m and two cells a, b of the next frames (gaps allowed), of which one is m's
       successor and the other has no predecessor, or neither has one, are mother and daughters
       where, with the mother's diameter D = 2 sqrt(area_m / pi), the cost
       ``(ln((area_a + area_b) / area_m) / 0.5)^2 + (ln(area_a / area_b) / 0.5)^2
       + (|(p_a + p_b) / 2 - p_m| / D)^2 + (|p_a - p_b| / 2 D)^2`` is least and at most
       `max_division_cost`: two halves on either side of where the mother was.
    4. A track ends in a merge where its last cell is covered (`min_swallowed`) by a cell that
       goes on from another. When the two come apart, that is no division.

    Parameters
    ----------
    frames : iterable of (Y, X) integer arrays
        One at a time; 0 is background, labels are unique within a frame only.
    settings : TrackSettings, optional
    pixel_size_um : float, optional
        Needed for `max_distance_um` only.

    Returns
    -------
    Tracked

    Raises
    ------
    DataError
        One frame, no cell, or frames of different sizes.
    InputError
        Arrays that are no labels, or a distance in micrometers without a pixel size.
    """
    settings = settings or TrackSettings()
    if settings.max_distance_um is not None and not pixel_size_um:
        raise InputError(
            "the largest distance is in micrometers and the pixel size is not known",
            "give the pixel size, or leave the distance out",
        )
    cells = _regions(frames)
    if settings.max_distance_um is not None and pixel_size_um:
        reach_px = settings.max_distance_um / pixel_size_um
    else:
        reach_px = 2 * math.sqrt(float(np.median(cells.area)) / math.pi)
    after = _covered(cells, settings.min_overlap)
    after = _linked(cells, after, reach_px, settings)
    swallowed = _swallowed(cells, after, settings.min_swallowed)
    daughters = _daughters(cells, after, _had_merged(cells, after, swallowed), settings)
    return _tables(cells, after, daughters, swallowed)


def _regions(frames: Iterable[Array]) -> _Cells:
    """Measure each frame and its overlap with the one before; holds two frames at a time."""
    rows: list[Array] = []
    overlaps: list[Array] = [np.zeros((0, 3), np.int64)]
    before: Array | None = None
    shape: tuple[int, ...] = ()
    first, count = 0, 0
    for t, frame in enumerate(frames):
        labels = np.asarray(frame)
        if labels.ndim != 2 or labels.dtype.kind not in "bui" or labels.min(initial=0) < 0:
            raise InputError(
                f"frame {t} has shape {labels.shape} and type {labels.dtype}, its least label is "
                f"{labels.min(initial=0)}",
                "give (Y, X) integer labels, 0 and above",
            )
        if before is not None and labels.shape != shape:
            raise DataError(
                f"frame {t} is {labels.shape}, the ones before {shape}",
                "give frames of one size",
            )
        shape = labels.shape
        inside = np.flatnonzero(labels)  # (P,)
        code, label = pd.factorize(labels.ravel()[inside], sort=True)  # (P,), (K,)
        area = np.bincount(code, minlength=label.size)
        y = np.bincount(code, inside // shape[1], label.size) / area
        x = np.bincount(code, inside % shape[1], label.size) / area
        rows.append(np.column_stack([np.full(label.size, t), label, area, y, x]))
        row_of = np.full(labels.size, _NONE, np.int32)
        row_of[inside] = first + count + code
        if before is not None:
            overlaps.append(_shared(before[inside], row_of[inside]))
        before, first, count = row_of, first + count, label.size
    if len(rows) < 2:
        raise DataError(f"there are {len(rows)} frames", "give a movie of two frames or more")
    table = np.concatenate(rows)
    if not len(table):
        raise DataError(f"there is no cell in {len(rows)} frames", "segment the movie again")
    whole = table[:, :3].astype(np.int64)
    return _Cells(
        whole[:, 0], whole[:, 1], whole[:, 2], table[:, 3], table[:, 4],
        np.concatenate(overlaps), len(rows),
    )  # fmt: skip


def _shared(before: Array, now: Array) -> Array:
    """(M, 3): cell, next cell, pixels, from the cells of the same pixels in two frames."""
    both = before >= 0
    pair = before[both].astype(np.int64) << 32 | now[both]
    code, pairs = pd.factorize(pair)
    return np.column_stack([pairs >> 32, pairs & 0xFFFFFFFF, np.bincount(code)]).reshape(-1, 3)


def _covered(cells: _Cells, min_overlap: float) -> Array:
    """(N,) the next cell of each by overlap alone; a share above 1/2 has one partner only."""
    one, other, both = cells.overlap.T
    alike = both / (cells.area[one] + cells.area[other] - both) > min_overlap
    after = np.full(cells.frame.size, _NONE)
    after[one[alike]] = other[alike]
    return after


def _before(after: Array) -> Array:
    """(N,) the cell before each, from the cell after each."""
    before = np.full(after.size, _NONE)
    linked = np.flatnonzero(after >= 0)
    before[after[linked]] = linked
    return before


def _linked(cells: _Cells, after: Array, reach_px: float, settings: TrackSettings) -> Array:
    """(N,) the next cell of each, with laptrack's links and closed gaps.

    laptrack gets the ends of each chain of overlaps only, the chain as one known link.
    """
    from laptrack import LapTrack

    starts, ends = np.flatnonzero(_before(after) < 0), np.flatnonzero(after < 0)
    shown = np.union1d(starts, ends)
    place = np.column_stack([
        cells.y / reach_px, cells.x / reach_px, settings.size_weight * np.log(cells.area),
    ])  # fmt: skip
    of_frame = [shown[cells.frame[shown] == t] for t in range(cells.frames)]
    node = {int(cell): (t, i) for t, group in enumerate(of_frame) for i, cell in enumerate(group)}
    chains = [
        (node[int(a)], node[int(b)])
        for a, b in zip(starts, _last(starts, after), strict=True)
        if a != b
    ]
    closes = 1.0 if settings.max_gap else False
    tracker = LapTrack.model_validate(
        {
            "cutoff": 1.0,  # of squared distances, as all costs here
            "track_start_cost": 1.0,
            "track_end_cost": 1.0,
            "gap_closing_cutoff": closes,
            "gap_closing_max_frame_count": settings.max_gap + 1,
            "segment_start_cost": 1.0,
            "segment_end_cost": 1.0,
        }
    )
    tree = tracker.predict([place[group] for group in of_frame], connected_edges=chains)
    after = after.copy()
    for (t, i), (u, j) in tree.edges():
        one, other = of_frame[t][i], of_frame[u][j]
        if after[one] < 0:
            after[one] = other
    return after


def _last(starts: Array, after: Array) -> Array:
    """The last cell of each chain."""
    last = starts.copy()
    while (more := after[last] >= 0).any():
        last[more] = after[last[more]]
    return last


def _swallowed(cells: _Cells, after: Array, min_swallowed: float) -> dict[int, int]:
    """Cell that vanished: cell of the next frame that covers it and goes on from another."""
    before = _before(after)
    one, other, both = cells.overlap.T
    found = (after[one] < 0) & (before[other] >= 0) & (both >= min_swallowed * cells.area[one])
    merged: dict[int, int] = {}
    for a, m in zip(one[found].tolist(), other[found].tolist(), strict=True):
        # a neighbor that moves over the place of a lost cell does not grow by it
        alone, together = cells.area[before[m]], cells.area[before[m]] + cells.area[a]
        if cells.area[m] ** 2 > alone * together:
            merged[a] = m
    return merged


def _had_merged(cells: _Cells, after: Array, swallowed: dict[int, int]) -> Array:
    """(N,) whether a cell is two cells since a merge: no mother."""
    merged = np.zeros(cells.frame.size, bool)
    for m in swallowed.values():
        cell = m
        while cell >= 0 and not merged[cell]:
            merged[cell] = True
            cell = int(after[cell])
    return merged


def _daughters(
    cells: _Cells, after: Array, merged: Array, settings: TrackSettings
) -> dict[int, tuple[int, int]]:
    """Mother's last cell: both daughters' first cells, the cheapest divisions first."""
    starts = np.flatnonzero((_before(after) < 0) & (cells.frame > 0))
    triples = [np.zeros((0, 3), np.int64)]
    # farther than 2 D sqrt(largest cost) from mother or sister, the cost alone forbids it
    reach = 4 * np.sqrt(cells.area / math.pi * settings.max_division_cost)
    for b in starts.tolist():
        t = cells.frame[b]
        mother = np.arange(*np.searchsorted(cells.frame, [t - 1 - settings.max_gap, t]))
        near = _distance(cells, mother, b) <= reach[mother]
        mother = mother[near & ~merged[mother]]
        going, ended = mother[after[mother] >= 0], mother[after[mother] < 0]
        triples.append(np.column_stack([going, after[going], np.full(going.size, b)]))
        twins = starts[(starts > b) & (cells.frame[starts] == t)]
        twins = twins[_distance(cells, twins, b) <= reach[ended].max(initial=0)]
        for a in twins.tolist():  # the mother was linked to neither of her daughters
            triples.append(np.column_stack([ended, np.full((ended.size, 2), (a, b))]))
    triple = np.concatenate(triples)
    triple = triple[np.ptp(cells.frame[triple[:, 1:]], axis=1) <= settings.max_gap]
    cost = _division_cost(cells, *triple.T)
    found: dict[int, tuple[int, int]] = {}
    taken: set[int] = set()
    for i in np.argsort(cost, kind="stable"):
        m, a, b = triple[i].tolist()
        if cost[i] > settings.max_division_cost:
            break
        if m not in found and not taken & {a, b}:
            found[m] = (a, b)
            taken |= {a, b}
    return found


def _division_cost(cells: _Cells, m: Array, a: Array, b: Array) -> Array:
    """Of mothers `m` and daughters `a`, `b`, as `track_labels` says."""
    area = cells.area.astype(np.float64)
    diameter = 2 * np.sqrt(area[m] / math.pi)
    whole = np.log((area[a] + area[b]) / area[m]) / _WHOLE_SD
    alike = np.log(area[a] / area[b]) / _ALIKE_SD
    y, x = cells.y, cells.x
    aside = np.hypot((y[a] + y[b]) / 2 - y[m], (x[a] + x[b]) / 2 - x[m]) / diameter
    apart = _distance(cells, a, b) / (_APART * diameter)
    return np.asarray(whole**2 + alike**2 + aside**2 + apart**2)


def _distance(cells: _Cells, a: Array, b: Array | int) -> Array:
    """Pixels between the centers of cells."""
    return np.asarray(np.hypot(cells.y[a] - cells.y[b], cells.x[a] - cells.x[b]))


def _tables(
    cells: _Cells, after: Array, daughters: dict[int, tuple[int, int]], swallowed: dict[int, int]
) -> Tracked:
    after = after.copy()
    after[list(daughters)] = _NONE
    starts = np.flatnonzero(_before(after) < 0)
    number = np.arange(1, starts.size + 1)
    track = np.zeros(after.size, np.int64)
    here, of_here = starts, number
    while here.size:
        track[here] = of_here
        goes_on = after[here] >= 0
        here, of_here = after[here][goes_on], of_here[goes_on]
    parent = np.zeros(starts.size, np.int64)
    for m, pair in daughters.items():
        parent[track[list(pair)] - 1] = track[m]
    begin, end = cells.frame[starts], cells.frame[_last(starts, after)]
    return tables_of(
        pd.DataFrame({"frame": cells.frame, "label": cells.label, "track": track}),
        pd.DataFrame({"track": number, "begin": begin, "end": end, "parent": parent}),
        cells.frames,
        [(int(cells.frame[m]), int(track[a]), int(track[m])) for a, m in swallowed.items()],
    )
