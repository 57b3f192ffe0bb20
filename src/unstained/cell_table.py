"""The table of cells: one AnnData with a row for each cell and frame.

All that measures, compares or follows single cells meets here. The columns:

- ``obs``: `image`, `frame`, `time_s`, `label`; `track` (0: not followed) and `parent` (track of
  the mother, 0: none known); `y_um`, `x_um`; `border` (touches the image's edge), `neighbors`
  (cells within a distance); what an experimenter knows: `donor`, `passage`, `well` ...; where
  cells were compared with a reference, `outside`: unlike these, so that its markers are NaN
- ``var``: the markers, the label-free channel and the shape features by name; `kind` (``marker``,
  ``image`` or ``shape``) and `unit`
- ``X``: the total of a marker or channel inside the outline, or the shape feature; NaN where there
  is none
- ``layers``, of the same shape: `mean`, `sd`, `p05`, `p25`, `p50`, `p75`, `p95` of the pixels;
  `background`, which was subtracted from each of them; where they are known, `low` and `high`,
  between which the measured total is believed to lie; NaN for shape features
- ``obsm["spatial"]``: (x, y) in micrometers, as other tools expect it
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from .errors import DataError, FileError, InputError, contents_of, refuse_name
from .images.image import Array

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = [
    "KINDS",
    "OBS_COLUMNS",
    "Traces",
    "absent_notes",
    "interval_of",
    "label_free_features",
    "names_of",
    "need_columns",
    "new_cells",
    "off_border",
    "plain_name",
    "read_cells",
    "traces_of",
    "values_of",
    "whole_numbers",
    "write_cells",
]


OBS_COLUMNS = (
    "image",
    "frame",
    "time_s",
    "label",
    "track",
    "parent",
    "y_um",
    "x_um",
    "border",
    "neighbors",
)
"""Columns of `obs` that every table of `unstained cells measure` has."""

KINDS = ("marker", "image", "shape")
"""What a variable may be, in the column `kind` of `var`."""

_OR_NONE = ("track", "parent")  # columns of which 0 means none


_ABSENT = {
    "border": "cells that the image's edge cuts count as whole",
    "parent": "mothers and daughters count as independent lineages, intervals may be too narrow",
}


class Traces(NamedTuple):
    """One value of each followed cell over time.

    Attributes
    ----------
    image : (C,) array of str
    track, parent : (C,) int arrays
    time_s : (T,) array
        Equally spaced, from the first frame of the table to the last.
    values : (C, T) float64 array
        NaN where a cell was not seen.
    frame_interval_s : float
    """

    image: Array
    track: Array
    parent: Array
    time_s: Array
    values: Array
    frame_interval_s: float


def new_cells(
    obs: pd.DataFrame,
    columns: pd.DataFrame,
    var: pd.DataFrame,
    layers: Mapping[str, Array] | None = None,
) -> AnnData:
    """Put a table of cells together.

    Parameters
    ----------
    obs : (N,) DataFrame
        `OBS_COLUMNS` and any more; the index is made from image, frame and label.
    columns : (N, V) DataFrame
        What goes into ``X``, by name.
    var : (V,) DataFrame
        Index as `columns`; `kind` and `unit`.
    layers : mapping of str to (N, V) array, optional

    Returns
    -------
    AnnData
        ``X`` and layers in float32.

    Raises
    ------
    DataError
        A column is missing, a kind unknown, or a cell is there twice.
    """
    from anndata import AnnData

    missing = [name for name in OBS_COLUMNS if name not in obs.columns]
    if missing:
        raise DataError(f"the cells lack {', '.join(missing)}", f"give {', '.join(OBS_COLUMNS)}")
    odd = sorted(set(var["kind"]) - set(KINDS))
    if odd:
        raise DataError(f"kind {', '.join(odd)} is not known", f"choose {', '.join(KINDS)}")
    index = [
        f"{i}/{t}/{n}" for i, t, n in zip(obs["image"], obs["frame"], obs["label"], strict=True)
    ]
    if (twice := pd.Index(index).duplicated()).any():
        raise DataError(
            f"cell {index[int(twice.argmax())]} is there twice", "give each image its own name"
        )
    cells = AnnData(
        X=columns[list(var.index)].to_numpy(np.float32),
        obs=obs.set_axis(pd.Index(index), axis=0),
        var=var,
        layers={name: np.asarray(layer, np.float32) for name, layer in (layers or {}).items()},
    )
    cells.obsm["spatial"] = obs[["x_um", "y_um"]].to_numpy(np.float64)
    return cells


def write_cells(cells: AnnData, path: str | os.PathLike[str]) -> Path:
    """Write ``.h5ad``, which appears when it is whole.

    Raises
    ------
    FileError
        It cannot be written.
    """
    from .images.atomic import atomic_path

    with atomic_path(path) as temporary:
        cells.write_h5ad(temporary, compression="gzip")
    return Path(path)


def read_cells(path: str | os.PathLike[str]) -> AnnData:
    """Read ``.h5ad`` that `write_cells` wrote, or another with the same columns.

    Raises
    ------
    FileError
        It is not there or no such file.
    DataError
        It has no cell, lacks a column, has words or fractions where whole numbers are needed, or
        a cell twice.
    """
    import anndata

    file = Path(path)
    if not file.is_file():
        raise FileError(
            "is not there",
            "make it: unstained cells measure DIR --stains DIR --out CELLS.h5ad",
            file=file,
        )
    try:
        with warnings.catch_warnings():  # names that are not unique: refused below
            warnings.filterwarnings("ignore", "(Variable|Observation) names are not unique")
            cells = anndata.read_h5ad(file)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise FileError(
            f"cannot be read as a table of cells ({error})", "give an .h5ad file", file=file
        ) from error
    missing = [name for name in ("image", "frame", "label") if name not in cells.obs]
    missing += [name for name in ("kind",) if name not in cells.var]
    if missing:
        raise DataError(
            f"lacks {', '.join(missing)}", "measure cells with unstained cells measure", file=file
        )
    if cells.n_obs == 0:
        raise DataError("has no cell", "look at the labels that were measured", file=file)
    for name in ("frame", "time_s", "label", "track", "parent"):
        if name in cells.obs and not pd.api.types.is_numeric_dtype(cells.obs[name]):
            raise DataError(
                f"column {name} holds {cells.obs[name].iloc[0]!r}, not a number",
                "write it as a number",
                file=file,
            )
    if not cells.var_names.is_unique:
        twice = cells.var_names[cells.var_names.duplicated()][0]
        raise DataError(f"has two variables {twice}", "give each its own name", file=file)
    # sparse, as other tools write it: what is not stored is 0
    if hasattr(cells.X, "toarray"):
        cells.X = cells.X.toarray()
    for name, layer in list(cells.layers.items()):
        if hasattr(layer, "toarray"):
            cells.layers[name] = layer.toarray()
    with contents_of(file):
        _check_places(cells.obs)
    return cells


def _check_places(obs: pd.DataFrame) -> None:
    """Refuse cells that have no place or share one; frames, labels and tracks become integers."""
    for name in ("frame", "label", *_OR_NONE):
        if name in obs:
            obs[name] = whole_numbers(obs[name])
    if "border" in obs:
        odd = obs["border"][~obs["border"].isin([True, False])]  # "False" counts as true
        if len(odd):
            said = "is blank in a row" if odd.isna().iloc[0] else f"holds {odd.iloc[0]!r}"
            raise DataError(f"column border {said}", "write True or False, as booleans")
    if obs["image"].isna().any():
        raise DataError("column image is blank in a row", "name the image of each cell")
    twice = obs.duplicated(["image", "frame", "label"])
    if twice.any():
        image, frame, label = obs.loc[twice.to_numpy(), ["image", "frame", "label"]].iloc[0]
        raise DataError(
            f"cell {label} of image {image}, frame {frame}, is there twice",
            "give each image its own name before tables are put together",
        )


def whole_numbers(column: pd.Series, remedy: str = "write whole numbers") -> Array:
    """A column of frames, labels or tracks as int64.

    A blank or negative `track` or `parent`, as other programs write what there is not, is 0: else
    all cells without a mother would be sisters.

    Raises
    ------
    DataError
        It holds text, a fraction, or a blank that does not mean none.
    """
    if column.name in _OR_NONE:
        column = column.fillna(0)
    if not pd.api.types.is_integer_dtype(column.dtype) or column.hasnans:
        number = pd.to_numeric(column, errors="coerce")  # exact up to 2^53
        odd = column[~(np.isfinite(number) & (number == number.round()))]
        if len(odd):
            said = "is blank in a row" if odd.isna().iloc[0] else f"holds {odd.iloc[0]}"
            raise DataError(f"column {column.name} {said}", remedy)
        column = number
    values = column.to_numpy(np.int64)
    return np.maximum(values, 0) if column.name in _OR_NONE else values


def names_of(cells: AnnData, *kinds: str) -> list[str]:
    """Names of the variables of some kinds, in their order."""
    refuse_name(cells, "a table of cells", "read_cells({})")
    return [str(name) for name in cells.var_names[cells.var["kind"].isin(kinds)]]


def values_of(cells: AnnData, names: Sequence[str], layer: str | None = None) -> Array:
    """(N, K) float64 values of some variables; of ``X`` where no layer is named.

    Raises
    ------
    InputError
        No such variable or layer.
    """
    unknown = [name for name in names if name not in cells.var_names]
    if unknown:
        raise InputError(
            f"the cells have no {', '.join(unknown)}", f"there are {', '.join(cells.var_names)}"
        )
    if layer is not None and layer not in cells.layers:
        raise InputError(
            f"the cells have no layer {layer!r}", f"there are {', '.join(cells.layers) or 'none'}"
        )
    of = cells.X if layer is None else cells.layers[layer]
    return np.asarray(of[:, cells.var_names.get_indexer(list(names))], np.float64)


def need_columns(cells: AnnData, names: Sequence[str], why: str) -> None:
    """Refuse a table that lacks columns of ``obs``.

    Raises
    ------
    DataError
        With the columns that are there.
    """
    refuse_name(cells, "a table of cells", "read_cells({})")
    missing = [name for name in names if name not in cells.obs]
    if missing:
        raise DataError(
            f"the cells have no column {', '.join(missing)}",
            f"{why}; there are {', '.join(map(str, cells.obs.columns))}",
        )


def absent_notes(cells: AnnData, *names: str) -> list[str]:
    """What is taken for something else where `border` or `parent` is no column of ``obs``."""
    return [f"has no column {name}: {_ABSENT[name]}" for name in names if name not in cells.obs]


def plain_name(name: str) -> str:
    """The name of an image as segmentations and tables spell it: ``well 1`` is ``well-1``."""
    return re.sub(r"[^\w.+-]+", "-", name).strip("-.") or "image"


def off_border(cells: AnnData) -> AnnData:
    """The cells that are seen whole: without those that touch the image's edge.

    A table without the column `border` is returned as it is (`absent_notes` says so).

    Raises
    ------
    DataError
        None is left.
    """
    if "border" not in cells.obs:
        return cells
    whole = ~cells.obs["border"].to_numpy(bool)
    if not whole.any():
        raise DataError("every cell touches the image's edge", "use larger images, or keep them")
    return cells[whole]


def label_free_features(cells: AnnData) -> pd.DataFrame:
    """What is seen of cells without a stain: shape, and grey values of the label-free channels.

    Returns
    -------
    (N, F) DataFrame
        Shape features by name; ``image0 mean``, ``image0 sd`` and percentiles of the first
        channel: by position, since files call one channel by many names.

    Raises
    ------
    DataError
        The table has neither shape features nor a label-free channel.
    """
    shapes, channels = names_of(cells, "shape"), names_of(cells, "image")
    parts = dict(zip(shapes, values_of(cells, shapes).T, strict=True))
    for layer in ("mean", "sd", "p05", "p25", "p75", "p95"):
        if layer in cells.layers:
            values = values_of(cells, channels, layer)
            parts |= {f"image{i} {layer}": values[:, i] for i in range(len(channels))}
    if not parts:
        raise DataError(
            "the cells have no shape features and no label-free channel",
            "measure them with unstained cells measure",
        )
    return pd.DataFrame(parts, index=cells.obs_names)


def traces_of(cells: AnnData, name: str, layer: str | None = None) -> Traces:
    """One variable of every followed cell over the frames.

    Raises
    ------
    DataError
        No cell is followed, there is one frame, a cell is twice in a frame, frames are unequally
        spaced, or images differ in their interval.
    """
    need_columns(cells, ("track",), "follow the cells: unstained cells track DIR")
    need_columns(cells, ("time_s",), "give --frame-interval to unstained cells measure")
    values = values_of(cells, [name], layer)[:, 0]
    followed = cells.obs["track"].to_numpy() > 0
    if not followed.any():
        raise DataError("no cell is followed", "follow them: unstained cells track DIR")
    obs = cells.obs.loc[followed, ["image", "frame", "time_s", "track"]].assign(
        value=values[followed],
        parent=cells.obs["parent"].to_numpy()[followed] if "parent" in cells.obs else 0,
        image=cells.obs["image"].astype(str).to_numpy()[followed],
    )
    frames = np.arange(int(obs["frame"].min()), int(obs["frame"].max()) + 1)
    interval = interval_of(obs)
    if obs.duplicated(["image", "track", "frame"]).any():
        raise DataError("a track has two cells in one frame", "follow the cells anew")
    wide = obs.pivot(index=["image", "track"], columns="frame", values="value")
    wide = wide.reindex(columns=frames)
    parent = obs.groupby(["image", "track"])["parent"].first().reindex(wide.index)
    return Traces(
        wide.index.get_level_values(0).to_numpy(str),
        wide.index.get_level_values(1).to_numpy(int),
        parent.to_numpy(int),
        frames * interval,
        wide.to_numpy(np.float64),
        interval,
    )


def interval_of(obs: pd.DataFrame) -> float:
    """Seconds from frame to frame, the same for all.

    Parameters
    ----------
    obs : DataFrame
        Columns image, frame, time_s.

    Raises
    ------
    DataError
        There is one frame, times are not known, frames are unequally spaced, or images differ in
        their interval.
    """
    times = obs.drop_duplicates(["image", "frame"]).sort_values(["image", "frame"])
    step = times.groupby("image")[["frame", "time_s"]].diff()
    step = step[step["frame"].notna()]  # the first frame of an image has none before it
    if step.empty:
        raise DataError("there is one frame only", "give a movie")
    if not np.isfinite(times["time_s"]).all():
        raise DataError(
            "the time of some frames is not known",
            "give --frame-interval to unstained cells measure",
        )
    pace = (step["time_s"] / step["frame"]).to_numpy()
    interval = float(np.median(pace))
    if not (interval > 0 and np.allclose(pace, interval, rtol=0.01)):
        raise DataError(
            f"frames are {pace.min():g} to {pace.max():g} s apart",
            "equal intervals are needed: leave frames out, or measure the parts on their own",
        )
    return interval
