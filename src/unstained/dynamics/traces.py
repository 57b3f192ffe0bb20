"""Markers of followed cells over time, with their band and with who descends from whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..cell_table import names_of, off_border, traces_of
from ..errors import DataError, InputError
from ..images.image import Array

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["MarkerTraces", "lineages", "marker_traces", "trace_table"]


class MarkerTraces(NamedTuple):
    """Total expression of M markers in C followed cells over T frames.

    Attributes
    ----------
    markers : tuple of str
    image : (C,) array of str
    track, parent : (C,) int arrays
        Parent 0: none known.
    lineage : (C,) array of str
        Image and first ancestor, ``IMAGE/TRACK``: cells of one lineage resemble each other.
    time_min : (T,) array
    values : (M, C, T) array
        NaN where a cell was not seen.
    low, high : (M, C, T) arrays or None
        Between which a predicted total is believed to lie, if the table has it.
    frame_interval_s : float
    """

    markers: tuple[str, ...]
    image: Array
    track: Array
    parent: Array
    lineage: Array
    time_min: Array
    values: Array
    low: Array | None
    high: Array | None
    frame_interval_s: float


def marker_traces(
    cells: AnnData,
    markers: Sequence[str] | None = None,
    *,
    layer: str | None = None,
    least_frames: int = 2,
    border: bool = False,
) -> MarkerTraces:
    """Traces of several markers, of the cells that were followed for a while.

    Parameters
    ----------
    cells : AnnData
        A table of cells.
    markers : sequence of str, optional
        Any variables; all markers if not given.
    layer : str, optional
        ``mean``, say, in place of totals; the band, which is one of totals, is left out then.
    least_frames : int
        Cells with fewer values of every marker are left out.
    border : bool
        Keep values of cells that touch the image's edge; their totals lack a part.

    Raises
    ------
    InputError
        No such marker or layer, or one that is named twice.
    DataError
        As `traces_of`; or no cell was followed for so long.
    """
    names = list(names_of(cells, "marker") if markers is None else markers)
    if not names:
        raise DataError("the cells have no marker", "measure them with stains, or name variables")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{', '.join(twice)} is named twice", "name each marker once")
    used = cells if border else off_border(cells)
    first = traces_of(used, names[0])
    of_layer = {
        end: np.stack([traces_of(used, name, end).values for name in names])
        for end in ("low", "high")
        if end in cells.layers and layer is None
    }
    values = np.stack([traces_of(used, name, layer).values for name in names])  # (M, C, T)
    enough = np.isfinite(values).sum(axis=2).max(axis=0) >= least_frames
    if not enough.any():
        cut = not border and "border" in cells.obs and bool(cells.obs["border"].any())
        raise DataError(
            f"no cell was followed for {least_frames} frames"
            + (" away from the image's edge" if cut else ""),
            "ask for fewer frames (--least-frames)"
            + (", or keep those in which a cell touches the edge (--border)" if cut else ""),
        )
    lineage = lineages(first.image, first.track, first.parent)
    return MarkerTraces(
        tuple(names),
        first.image[enough],
        first.track[enough],
        first.parent[enough],
        lineage[enough],
        first.time_s / 60,
        values[:, enough],
        of_layer["low"][:, enough] if "low" in of_layer else None,
        of_layer["high"][:, enough] if "high" in of_layer else None,
        first.frame_interval_s,
    )


def lineages(image: npt.ArrayLike, track: npt.ArrayLike, parent: npt.ArrayLike) -> Array:
    """(C,) first ancestor of each cell as ``IMAGE/TRACK``.

    Parameters
    ----------
    image, track, parent : (C,) arrays
        Parent 0: none. A parent that is not among the tracks is still an ancestor, so that two
        sisters whose mother was left out are one lineage.

    Raises
    ------
    DataError
        A cell is its own ancestor.
    """
    names = [str(name) for name in np.asarray(image)]
    tracks = [int(number) for number in np.asarray(track)]
    mothers = [int(number) for number in np.asarray(parent)]
    if not len(names) == len(tracks) == len(mothers):
        raise InputError(
            f"{len(names)} images, {len(tracks)} tracks, {len(mothers)} parents", "give one a cell"
        )
    mother_of = dict(zip(zip(names, tracks, strict=True), mothers, strict=True))
    roots = []
    for name, number in zip(names, tracks, strict=True):
        passed = {number}
        ancestor = number
        while mother := mother_of.get((name, ancestor), 0):
            if mother in passed:
                raise DataError(
                    f"track {number} of {name} is its own ancestor", "follow the cells anew"
                )
            passed.add(mother)
            ancestor = mother
        roots.append(f"{name}/{ancestor}")
    return np.array(roots)


def trace_table(traces: MarkerTraces) -> pd.DataFrame:
    """One row for each marker, cell and frame with a value.

    Columns marker, image, track, parent, lineage, time_min, value and, where known, low, high.
    """
    m, c, t = np.nonzero(np.isfinite(traces.values))
    columns: dict[str, Any] = {
        "marker": np.array(traces.markers)[m],
        "image": traces.image[c],
        "track": traces.track[c],
        "parent": traces.parent[c],
        "lineage": traces.lineage[c],
        "time_min": traces.time_min[t],
        "value": traces.values[m, c, t],
    }
    if traces.low is not None and traces.high is not None:
        columns |= {"low": traces.low[m, c, t], "high": traces.high[m, c, t]}
    return pd.DataFrame(columns)
