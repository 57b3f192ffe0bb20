"""Label-free images without stains, such as those of cells that a model is meant for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError, FileError, InputError
from .fields import Field, Region, file_of, join_paths
from .folders import images_in, is_image
from .sources import absolute_paths
from .tables import TABLES, read_table

__all__ = ["label_free_fields"]


def label_free_fields(specs: Sequence[str | os.PathLike[str]]) -> list[Field]:
    """Fields with label-free planes alone, in the order given.

    Parameters
    ----------
    specs : sequence of path
        Each a table with the column `phase` (paths relative to it, as in a manifest) and perhaps
        `region`, `cell`, `level`, `pixel_size_um`, of which all rows count, whatever their split;
        an image (``A.tif;B.tif`` joins planes); or a folder of images, each a field.

    Raises
    ------
    FileError
        Something is not there.
    DataError
        A table without `phase`, an empty cell, a folder without images.
    """
    found: list[Field] = []
    for given in specs:
        spec = os.fspath(given)
        if not spec.strip():
            raise InputError("an empty name in place of images", "name a folder, images or a CSV")
        path = Path(spec)
        if path.is_file() and path.suffix.casefold() in TABLES:
            found += _from_table(path.absolute())
        elif path.is_dir() and not is_image(path):
            images = images_in(path)
            if not images:
                raise DataError("holds no images", "name a folder of label-free images", file=path)
            found += [_field(str(p.absolute()), p.stem) for p in images]
        else:
            paths = absolute_paths(spec, Path.cwd())
            absent = [p for p in paths if not file_of(p).exists()]
            if absent or not paths:
                raise FileError(
                    "is not there", "check the path", file=absent[0] if absent else spec
                )
            found.append(_field(join_paths(paths), file_of(paths[0]).stem))
    return found


def _field(phase: str, name: str, region: str = "", **row: object) -> Field:
    return Field(
        phase=phase,
        region=Region.parse(region) if region else None,
        stains={},
        group="",
        split="",
        id=name,
        row=row,
    )


def _from_table(path: Path) -> list[Field]:
    """A row is a field; of a manifest's rows for several markers of one field, the first."""
    table = read_table(path)
    if "phase" not in table.columns or table.empty:
        raise DataError(
            f"has the columns {', '.join(table.columns)} and {len(table)} rows",
            "name label-free images in a column phase, one row for each",
            file=path,
        )
    found: dict[tuple[str, ...], Field] = {}
    for row, values in enumerate(table.to_dict("records"), 1):
        text = {c: str(values.get(c, "")).strip() for c in ("phase", "region", "cell", "level")}
        paths = absolute_paths(text["phase"], path.parent)
        absent = [p for p in paths if not file_of(p).exists()]
        if absent or not paths:
            what = f"{absent[0]} is not there" if absent else "has no phase"
            raise DataError(f"row {row}: {what}", "paths are relative to the table", file=path)
        size = str(values.get("pixel_size_um", "")).strip()
        try:
            more = {"pixel_size_um": float(size)} if size else {}
            name = text["cell"] or f"row {row}"
            field = _field(join_paths(paths), name, text["region"], cell=text["cell"], **more)
        except InputError as error:
            raise DataError(f"row {row}: {error.reason}", error.remedy, file=path) from error
        except ValueError as error:
            raise DataError(
                f"row {row} has pixel_size_um {size!r}", "micrometers per pixel", file=path
            ) from error
        found.setdefault(tuple(text.values()), field)
    return list(found.values())
