"""Which cells and variables of a table are looked at: one row for each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from ..cell_table import names_of, need_columns, values_of
from ..errors import DataError, InputError, refuse_name
from ..images.image import Array
from ..settings import check_settings

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = [
    "Choice",
    "ChosenCells",
    "Values",
    "choose_cells",
    "column_of_rows",
    "complete_values",
    "groups_of",
    "known_in",
    "marker_names",
    "shape_names",
    "varying",
    "words_of",
]


@dataclass(frozen=True)
class Choice:
    """Which cells of a table to look at.

    Attributes
    ----------
    where : mapping of str to sequence of str
        Columns and the values that are kept: any of them in a column, in all columns.
    frame : int or None
        The frame of a movie. None: each followed cell's mean over its frames, or the first frame
        of each image where no cell is followed.
    keep_border : bool
        Also cells that touch the border: part of their area and of their stain is not seen.
    """

    where: Mapping[str, Sequence[str]] = field(default_factory=dict)
    frame: int | None = None
    keep_border: bool = False

    def __post_init__(self) -> None:
        check_settings(self)


class ChosenCells(NamedTuple):
    """What `choose_cells` kept.

    Attributes
    ----------
    cells : AnnData
        One row for each cell; no layers where rows are means over frames.
    row_of : (N,) int array
        For each row of the whole table the row of `cells` that it went into; -1: none.
    notes : tuple of str
        What was left out and why, for people.
    """

    cells: AnnData
    row_of: Array
    notes: tuple[str, ...]


class Values(NamedTuple):
    """What `complete_values` kept.

    Attributes
    ----------
    names : tuple of str
    values : (M, K) float64 array
        Finite.
    rows : (M,) int array
        Rows of the table that they come from.
    notes : tuple of str
    """

    names: tuple[str, ...]
    values: Array
    rows: Array
    notes: tuple[str, ...]


def choose_cells(cells: AnnData, choice: Choice | None = None) -> ChosenCells:
    """Keep one row for each cell.

    Raises
    ------
    DataError
        A column is missing, or no cell is left.
    """
    refuse_name(cells, "a table of cells", "read_cells({})")
    chosen = choice or Choice()
    obs, notes = cells.obs, []
    keep = np.ones(cells.n_obs, bool)
    need_columns(cells, tuple(chosen.where), "--where takes a column that is there")
    for name, wanted in chosen.where.items():
        keep &= _is_any(obs[name], wanted)
    if not keep.any():
        asked = ", ".join(f"{name}={'|'.join(of)}" for name, of in chosen.where.items())
        raise DataError(f"no cell has {asked}", f"there are {_levels_there(obs, chosen.where)}")
    if chosen.frame is not None:
        frames = obs["frame"].to_numpy()
        keep &= frames == chosen.frame
        if not keep.any():
            raise DataError(
                f"no cell in frame {chosen.frame}", f"there are {frames.min()} to {frames.max()}"
            )
    if "border" not in obs and not chosen.keep_border:
        notes.append(
            "the table has no column border: cells that the image's edge cuts are counted as whole"
        )
    elif not chosen.keep_border:
        cut = keep & obs["border"].to_numpy(bool)
        keep &= ~cut
        if cut.any():
            notes.append(f"{int(cut.sum())} rows of cells that touch the border are left out")
        if not keep.any():
            raise DataError(
                "all cells touch the border", "keep them with --keep-border, or use larger images"
            )
    if chosen.frame is not None:
        return _rows(cells, keep, notes)
    of_kept = obs.loc[keep]
    if of_kept.groupby("image", observed=True)["frame"].nunique().max() == 1:
        return _rows(cells, keep, notes)
    if "track" in obs and (of_kept["track"].to_numpy() > 0).any():
        return _over_tracks(cells, keep, notes)
    first = (
        obs["image"].astype(str).map(of_kept.groupby(of_kept["image"].astype(str))["frame"].min())
    )
    notes.append("no cell is followed: the first frame of each image is taken, see --frame")
    return _rows(cells, keep & (obs["frame"].to_numpy() == first.to_numpy()), notes)


def complete_values(
    cells: AnnData, names: Sequence[str], *, at_least: int = 3, log: bool = False
) -> Values:
    """Values of the cells that have all of some variables.

    A variable that no cell has (as the nucleus where no nucleus was outlined) is left out, then
    every cell that lacks one of the others, then a variable that is the same in all of them;
    `notes` says which and how many.

    Parameters
    ----------
    cells : AnnData
    names : sequence of str
    at_least : int
        Cells that must be left.
    log : bool
        Also lack a value where it is not positive.

    Raises
    ------
    InputError
        No names, or unknown ones.
    DataError
        Too few cells are left, or no variable.
    """
    if not names:
        raise InputError("no variable is chosen", f"there are {', '.join(cells.var_names)}")
    values = values_of(cells, names)
    there = np.isfinite(values) & ((values > 0) | (not log))
    notes = []
    seen = np.asarray(there.any(axis=0))
    if not seen.any():
        raise DataError(f"no cell has a value of {', '.join(names)}", "measure the cells first")
    if not seen.all():
        unseen = ", ".join(name for name, s in zip(names, seen, strict=True) if not s)
        notes.append(f"no cell has {unseen}: left out")
    names, values, there = (
        [n for n, s in zip(names, seen, strict=True) if s],
        *(a[:, seen] for a in (values, there)),
    )
    rows = np.flatnonzero(there.all(axis=1))
    if rows.size < at_least:
        worst = int(there.sum(axis=0).argmin())
        raise DataError(
            f"{rows.size} of {cells.n_obs} cells have a value of all {len(names)} variables, "
            f"and {at_least} are needed; {names[worst]} is there in {int(there[:, worst].sum())}",
            "choose fewer variables with --markers and --shape, or give more cells",
        )
    if rows.size < cells.n_obs:
        lack = "lack a value, or have one that is not positive" if log else "lack a value"
        notes.append(f"{cells.n_obs - rows.size} of {cells.n_obs} cells {lack}: left out")
    same = _constant(values[rows])
    alike = ", ".join(name for name, c in zip(names, same, strict=True) if c)
    if same.all():
        raise DataError(
            f"{alike}: the same in all {rows.size} cells", "choose others with --markers, --shape"
        )
    if alike:
        notes.append(f"{alike}: the same in all {rows.size} cells: left out")
    names = [name for name, c in zip(names, same, strict=True) if not c]
    return Values(tuple(names), values[rows][:, ~same], rows, tuple(notes))


def varying(cells: AnnData, names: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Those of some variables that differ between cells, and notes that name the others.

    Raises
    ------
    InputError
        No names.
    DataError
        None of them does.
    """
    if not names:
        raise InputError("no variable is chosen", f"there are {', '.join(cells.var_names)}")
    good, notes = [], []
    for name, column in zip(names, values_of(cells, names).T, strict=True):
        value = column[np.isfinite(column)]
        if value.size < 2:
            notes.append(f"{name} is known of {value.size} cells: left out")
        elif _constant(value[:, None])[0]:
            notes.append(f"{name} is the same in all {value.size} cells: left out")
        else:
            good.append(name)
    if not good:
        raise DataError("; ".join(notes), "look at what was measured, or choose other --markers")
    return good, tuple(notes)


def marker_names(cells: AnnData, chosen: Sequence[str] | None = None) -> list[str]:
    """The markers of a table, or the chosen ones in the order asked for.

    Raises
    ------
    InputError
        One is not there, or there is none.
    """
    return _named(names_of(cells, "marker"), chosen, "marker")


def shape_names(cells: AnnData, chosen: Sequence[str] | None = None) -> list[str]:
    """The shape features of a table, or the chosen ones.

    Raises
    ------
    InputError
        One is not there, or there is none.
    """
    return _named(names_of(cells, "shape"), chosen, "shape feature")


def groups_of(cells: AnnData, column: str | None) -> Array | None:
    """(N,) str, the group of each cell by a column of ``obs`` (`words_of`); None where none is
    named.

    Raises
    ------
    DataError
        No such column, or a cell without a group.
    """
    if column is None:
        return None
    need_columns(cells, (column,), "name a column that is there")
    if (lacking := int((~known_in(cells, (column,))).sum())) > 0:
        of = " or ".join((column, *_outer(cells, column)))
        raise DataError(
            f"{lacking} of {cells.n_obs} cells have no {of}", "fill it in, or leave them out"
        )
    return words_of(cells, column)


def words_of(cells: AnnData, column: str) -> Array:
    """(N,) str, a column as text; wells of one name on two donors or passages are two wells."""
    words = cells.obs[column].astype(str)
    for outer in _outer(cells, column):
        words = cells.obs[outer].astype(str) + "/" + words
    text: Array = words.to_numpy(str)
    return text


def known_in(cells: AnnData, columns: Sequence[str]) -> Array:
    """(N,) bool, whether the columns are known, and of a well its donor and passage, too."""
    needed = {name for column in columns for name in (column, *_outer(cells, column))}
    known: Array = cells.obs[sorted(needed)].notna().all(axis=1).to_numpy(bool)
    return known


def _outer(cells: AnnData, column: str) -> list[str]:
    """Columns that a group's name belongs to."""
    return [name for name in ("passage", "donor") if column == "well" and name in cells.obs]


def column_of_rows(chosen: ChosenCells, rows: Array, column: Sequence[Any]) -> pd.Categorical[Any]:
    """A new column of the whole table from a value for some of the chosen rows; else NaN."""
    of_chosen = np.full(chosen.cells.n_obs + 1, None, object)
    of_chosen[rows] = np.asarray(column, object)
    wide: pd.Categorical[Any] = pd.Categorical(
        of_chosen[chosen.row_of]
    )  # row -1, a row of no chosen cell, is None
    return wide


def _constant(values: Array) -> Array:
    """(K,) bool of (N, K) values: no difference beyond the table's float32."""
    scale = np.maximum(np.abs(values).max(axis=0), np.finfo(float).tiny)
    return np.asarray(np.ptp(values, axis=0) <= 1e-6 * scale)


def _rows(cells: AnnData, keep: Array, notes: list[str]) -> ChosenCells:
    row_of = np.where(keep, np.cumsum(keep) - 1, -1)
    return ChosenCells(cells[keep].copy(), row_of, tuple(notes))


def _over_tracks(cells: AnnData, keep: Array, notes: list[str]) -> ChosenCells:
    """Each track's mean: of numbers the mean, of all else the first that is known."""
    from anndata import AnnData

    followed = keep & (cells.obs["track"].to_numpy() > 0)
    if (lost := int(keep.sum() - followed.sum())) > 0:
        notes = [*notes, f"{lost} rows of cells that are not followed are left out"]
    obs = cells.obs.loc[followed].reset_index(drop=True)
    which = obs.groupby([obs["image"].astype(str), "track"], sort=True).ngroup().to_numpy()
    # a person may have called the cell in a later frame only
    first = obs.assign(which=which).sort_values("frame", kind="stable").groupby("which").first()
    mean = pd.DataFrame(values_of(cells, list(cells.var_names))[followed]).groupby(which).mean()
    for name in ("time_s", "y_um", "x_um", "neighbors"):
        if name in obs:
            first[name] = obs[name].groupby(which).mean().to_numpy()
    index = [f"{i}/track {t}" for i, t in zip(first["image"], first["track"], strict=True)]
    row_of = np.full(cells.n_obs, -1)
    row_of[followed] = which
    notes = [*notes, f"each of {len(first)} followed cells is its mean over the frames"]
    made = AnnData(
        X=mean.to_numpy(np.float32), obs=first.set_axis(pd.Index(index), axis=0), var=cells.var
    )
    return ChosenCells(made, row_of, tuple(notes))


def _is_any(column: pd.Series[Any], wanted: Sequence[str]) -> Array:
    """Whether each value is one of the words; numbers by value, so that 4 is 4.0."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        numbers = pd.to_numeric(pd.Series(list(wanted)), errors="coerce").dropna()
        return np.asarray(column.isin(numbers))
    return np.asarray(column.astype(str).isin(list(wanted)))


def _levels_there(obs: pd.DataFrame, where: Mapping[str, Sequence[str]]) -> str:
    said = []
    for name in where:
        levels = sorted(obs[name].dropna().astype(str).unique())
        more = ", ..." if len(levels) > 8 else ""
        said.append(f"{name}: {', '.join(levels[:8])}{more}")
    return "; ".join(said)


def _named(there: list[str], chosen: Sequence[str] | None, what: str) -> list[str]:
    if chosen is None:
        if not there:
            raise InputError(f"the cells have no {what}", "measure them with it")
        return there
    unknown = [name for name in chosen if name not in there]
    if unknown:
        raise InputError(f"no {what} {', '.join(unknown)}", f"there are {', '.join(there)}")
    return list(dict.fromkeys(chosen))
