"""Which label-free image goes with which stain: one table, matched by name, never by order."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError, InputError, count_of, some_of
from .fields import Field, Region, file_of, split_paths
from .image import LARGEST_PIXEL_UM

__all__ = ["COLUMNS", "SPLITS", "Pairs", "write_manifest"]

REQUIRED = ("phase", "stain", "marker", "group")
_TEXT = ("split", "region", "cell", "level", "labels", "well", "donor", "passage")
_NUMBERS = {
    "pixel_size_um": "micrometers per pixel, above 0 and at most 100",
    "weight": "a positive number, or 0 for a pair that is never drawn",
}
COLUMNS = (*REQUIRED, *_TEXT, *_NUMBERS)
SPLITS = ("", "train", "validation", "test", "omit")


@dataclass(frozen=True, repr=False)
class Pairs:
    """Training pairs: one row for each (phase, region, marker), or each level of light of it.

    Attributes
    ----------
    table : DataFrame
        Columns `phase` (absolute paths joined by ``;``, each perhaps with ``#CHANNEL``),
        `stain`, `marker`, `group` (what must stay on one side of a split: donor, well ...),
        `split` ("", train, validation, test, or omit for a guard band), `region`
        (``"y0:y1,x0:x1"`` or ""), `cell` (the row is one single-cell image of that id),
        `level` (the same field stained or lit to another level is another field),
        `labels` (path of a label image), `well`, `donor`, `passage`, `pixel_size_um`, `weight`
        (how much the field counts in training, where not all count alike); other columns are
        kept as they are. Absent optional columns are added empty.
    root : Path or None
        Folder that relative paths stood in.
    name : str
        What to call the set in reports.
    notes : tuple of str
        What had to be assumed when the table was made, for reports.

    Raises
    ------
    DataError
        A required column is absent or empty, a value is not understood, or two rows give the
        same marker of the same field. The row is named, counted from 1.
    """

    table: pd.DataFrame
    root: Path | None = None
    name: str = "pairs"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", _checked(self.table, self.name))

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        """``<Pairs isl: 8 pairs of DAPI, TuJ1; 2 groups; 6 train, 2 test>``."""
        said = [f"{count_of(len(self), 'pair')} of {some_of(self.markers) or 'no marker'}"]
        said.append(count_of(len(self.groups), "group"))
        of_split = self.table["split"].value_counts()
        splits = [f"{of_split[name]} {name}" for name in SPLITS if name and name in of_split]
        said += [", ".join(splits)] if splits else []
        return f"<Pairs {self.name}: {'; '.join(said)}>"

    @property
    def markers(self) -> tuple[str, ...]:
        """In order of first appearance."""
        return tuple(str(marker) for marker in self.table["marker"].unique())

    @property
    def groups(self) -> tuple[str, ...]:
        """In order of first appearance."""
        return tuple(str(group) for group in self.table["group"].unique())

    def with_split(self, split: Sequence[str]) -> Pairs:
        """The same pairs with another `split` column, one entry for each row."""
        if len(split) != len(self):
            raise InputError(f"{len(split)} splits for {len(self)} rows", "give one for each row")
        return self._replace(self.table.assign(split=list(split)))

    def of_split(self, name: str) -> Pairs:
        """The rows of one split, perhaps none.

        Raises
        ------
        InputError
            There is no split of that name.
        """
        if name not in SPLITS:
            raise InputError(f"no split {name!r}", f"one of {', '.join(SPLITS[1:])}")
        return self._replace(self.table[self.table["split"] == name])

    def of_markers(self, markers: Sequence[str]) -> Pairs:
        """The rows of some markers, in the order given.

        Raises
        ------
        DataError
            One of the markers has no pairs.
        """
        absent = [marker for marker in markers if marker not in self.markers]
        if absent:
            raise DataError(
                f"no pairs for {', '.join(absent)}",
                f"the markers of this set are {', '.join(self.markers) or 'none'}",
                file=self.name,
            )
        rows = [self.table[self.table["marker"] == marker] for marker in dict.fromkeys(markers)]
        return self._replace(pd.concat(rows) if rows else self.table[:0])

    def fields(self) -> list[Field]:
        """Rows of equal (phase, region, cell, level) joined, in order of first appearance.

        Raises
        ------
        DataError
            Rows of one field differ in group, split, labels or weight.
        """
        joined: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for row in self._records():
            key = tuple(row[c] for c in ("phase", "region", "cell", "level"))
            joined.setdefault(key, []).append(row)
        names: dict[str, int] = {}
        return [self._field(rows, names) for rows in joined.values()]

    def fingerprint(self) -> str:
        """SHA-256 over the table and the names and sizes of the files.

        The same on every machine and for every order of rows; another where a file is replaced
        by one of another size, or a row changes group, split, region, weight or level. Contents
        are not read.
        """
        sizes: dict[str, str] = {}
        lines = []
        for row in self._records():
            words = [row[c] for c in ("marker", "group", "split", "region", "cell")]
            # what was added later counts only where given: fingerprints from before stay the same
            words += [] if np.isnan(row["weight"]) else [repr(row["weight"])]
            words += [f"level={row['level']}"] if row["level"] else []
            for path in [*split_paths(row["phase"]), row["stain"]]:
                if path not in sizes:
                    sizes[path] = f"{self.relative(path)}={_bytes(file_of(path))}"
                words.append(sizes[path])
            lines.append("\t".join(words))
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()

    def relative(self, path: str) -> str:
        """`path` from `root` on, with ``/``; its name alone where it lies elsewhere."""
        found = Path(path)
        if self.root is not None and found.is_relative_to(self.root):
            return found.relative_to(self.root).as_posix()
        return found.name

    def _replace(self, table: pd.DataFrame) -> Pairs:
        return replace(self, table=table.reset_index(drop=True))

    def _records(self) -> Iterator[dict[str, Any]]:
        columns = [str(column) for column in self.table.columns]
        for values in self.table.itertuples(index=False, name=None):
            yield dict(zip(columns, values, strict=True))

    def _field(self, rows: list[dict[str, Any]], names: dict[str, int]) -> Field:
        first = rows[0]
        for column in ("group", "split", "labels", "weight"):
            if len({str(row[column]) for row in rows}) > 1:
                raise DataError(
                    f"the rows of {first['phase']} differ in {column}: "
                    f"{', '.join(sorted({str(row[column]) or 'none' for row in rows}))}",
                    f"give all markers of one field the same {column}",
                    file=self.name,
                )
        name = first["cell"]
        if not name:
            path = Path(self.relative(split_paths(first["phase"])[0]))
            name = path.with_suffix("").as_posix() if "#" not in path.name else path.as_posix()
            name += f"[{first['region']}]" if first["region"] else ""
        names[name] = names.get(name, 0) + 1
        taken = ("phase", "stain", "marker", "group", "split", "region", "labels")
        return Field(
            phase=first["phase"],
            region=Region.parse(first["region"]) if first["region"] else None,
            stains={row["marker"]: row["stain"] for row in rows},
            group=first["group"],
            split=first["split"],
            id=name if names[name] == 1 else f"{name}~{names[name]}",
            labels=first["labels"],
            row={column: value for column, value in first.items() if column not in taken},
        )


def write_manifest(
    pairs: Pairs, path: str | os.PathLike[str], *, home: str | os.PathLike[str] | None = None
) -> None:
    """Write the table as a CSV whose paths are relative to it where they can be.

    Columns that hold nothing are left out. `home` is the folder that the file will stand in,
    where it is moved later.
    """
    from .atomic import write_csv

    target = Path(path).absolute()
    folder = target.parent if home is None else Path(home).absolute()

    def short(joined: str) -> str:
        parts = [Path(part) for part in split_paths(joined)]
        return ";".join(
            (part.relative_to(folder) if part.is_relative_to(folder) else part).as_posix()
            for part in parts
        )

    table = pairs.table.copy()
    for column in ("phase", "stain", "labels"):
        table[column] = table[column].map(short)
    empty = [
        column
        for column in COLUMNS
        if column not in REQUIRED and (table[column].isna() | (table[column] == "")).all()
    ]
    write_csv(table.drop(columns=empty), target, float_format=None)


def _checked(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """A tidy copy of `table`: all columns of `COLUMNS`, text as str, regions in one form."""
    absent = [column for column in REQUIRED if column not in table.columns]
    if absent:
        raise DataError(
            f"column {', '.join(absent)} is missing among {', '.join(map(str, table.columns))}",
            "the first line must name phase,stain,marker,group",
            file=name,
        )
    table = table.reset_index(drop=True)
    for column in (*REQUIRED, *_TEXT):
        if column not in table.columns:
            table[column] = ""
        table[column] = table[column].map(_text)
    for column in REQUIRED:
        _refuse(table, table[column] == "", name, f"has no {column}", "fill the cell in")
    _refuse(
        table,
        ~table["split"].isin(SPLITS),
        name,
        "has split",
        f"use {', '.join(SPLITS[1:])}",
        "split",
    )
    table["region"] = [_region(text, row, name) for row, text in enumerate(table["region"], 1)]
    for column, remedy in _NUMBERS.items():
        if column not in table.columns:
            table[column] = np.nan
        number = pd.to_numeric(table[column].replace("", np.nan), errors="coerce")
        given = table[column].map(_text) != ""
        most, least = (np.inf, 0) if column == "weight" else (LARGEST_PIXEL_UM, 1e-9)
        right = np.isfinite(number) & (number >= least) & (number <= most)
        _refuse(table, given & ~right, name, f"has {column}", remedy, column)
        table[column] = number.astype(float)
    twice = table.duplicated(["phase", "region", "cell", "level", "marker"])
    _refuse(table, twice, name, "repeats a field for marker", "keep one of the rows", "marker")
    rest = [column for column in table.columns if column not in COLUMNS]
    return table[[*COLUMNS, *rest]]


def _refuse(
    table: pd.DataFrame, bad: pd.Series[bool], name: str, reason: str, remedy: str, show: str = ""
) -> None:
    if not bad.any():
        return
    row = int(np.flatnonzero(bad.to_numpy())[0])
    value = f" {table[show].iloc[row]!r}" if show else ""
    more = f" (and {int(bad.sum()) - 1} more)" if bad.sum() > 1 else ""
    raise DataError(f"row {row + 1} {reason}{value}{more}", remedy, file=name)


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return str(value).strip()


def _region(text: str, row: int, name: str) -> str:
    if not text:
        return ""
    try:
        return str(Region.parse(text))
    except InputError as error:
        raise DataError(f"row {row}: {error.reason}", error.remedy, file=name) from error


def _bytes(path: Path) -> int:
    """Bytes of a file, or of all files in a folder (an OME-Zarr image).

    An image is the same one after a look into its folder, of which Finder leaves a file.
    """
    from .folders import is_of_system

    if path.is_dir():
        files = (p for p in path.rglob("*") if p.is_file() and not is_of_system(p))
        return sum(p.stat().st_size for p in files)
    return path.stat().st_size if path.exists() else -1
