"""What is known of cells from other tables: their tracks, and the conditions of their image."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..cell_table import OBS_COLUMNS, plain_name, whole_numbers
from ..errors import DataError, InputError, contents_of
from ..images.tables import read_typed_table
from .familiar import FLAGS
from .segmentation_folder import Segmented
from .tracks import TRACK_AGAIN, TRACK_THESE, check_whole

__all__ = ["Condition", "conditions_of", "join_tracks", "read_conditions", "with_tracks"]

Condition = str | float | np.number[Any] | np.bool_ | None
"""What may be known of an image: text or a number."""


def with_tracks(obs: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Track and parent of each cell, 0 where there is none."""
    if not (folder / "track_of.csv").is_file():
        return obs
    track_of = _read_csv(folder / "track_of.csv", ("image", "frame", "label", "track"))
    tracks = _read_csv(folder / "tracks.csv", ("image", "track", "parent"))
    with contents_of(folder / "track_of.csv"):
        for name in ("frame", "label", "track"):
            track_of[name] = whole_numbers(track_of[name], TRACK_AGAIN)
    with contents_of(folder / "tracks.csv"):
        for name in ("track", "parent"):
            tracks[name] = whole_numbers(tracks[name], TRACK_AGAIN)
    for table in (track_of, tracks):
        table["image"] = table["image"].astype(str)
    return join_tracks(obs, track_of, tracks, folder)


def join_tracks(
    obs: pd.DataFrame, track_of: pd.DataFrame, tracks: pd.DataFrame, folder: Path | None = None
) -> pd.DataFrame:
    """Track and parent of each cell; 0 for those of images that neither table names.

    Parameters
    ----------
    obs : table
        `OBS_COLUMNS`.
    track_of, tracks : table
        As of `Tracked`, with the column `image`.
    folder : Path, optional
        That they were read from, for the error.

    Raises
    ------
    DataError
        They are of other cells, lack one, or have one twice.
    """
    keys = ["image", "frame", "label"]
    for table, unique in ((track_of, keys), (tracks, ["image", "track"])):
        if table.duplicated(unique).any():
            raise DataError(
                f"two rows have the same {', '.join(unique)}", "track anew", file=folder
            )
    known = track_of.merge(tracks[["image", "track", "parent"]], on=["image", "track"], how="left")
    out = obs.drop(columns=["track", "parent"]).merge(
        known[[*keys, "track", "parent"]], on=keys, how="left"
    )
    if out["track"].notna().sum() == 0:
        again = TRACK_THESE if folder is None else "track again: unstained cells track"
        raise DataError("the tracks are of other cells", again, file=folder)
    # every cell of a movie that was followed has a row
    followed = {*track_of["image"], *tracks["image"]}
    lost = out["track"].isna() & out["image"].astype(str).isin(followed)
    check_whole(track_of, tracks, int(lost.sum()), len(out), folder)
    for name in ("track", "parent"):
        out[name] = out[name].fillna(0).astype(np.int64)
    return out[list(obs.columns)]


def read_conditions(path: str | os.PathLike[str], images: Sequence[Segmented]) -> pd.DataFrame:
    """One row an image, under the names of the segmentation folder.

    Raises
    ------
    FileError
        The file is not there.
    DataError
        It is no table, an image has no row or two, or a column's name cannot stand in a table of
        cells.
    """
    table = _read_csv(Path(path), ("image",))
    with contents_of(path):
        _check_columns([name for name in table.columns if name != "image"])
    given = table["image"].astype(str)
    files = given.map(_name_of_file)
    names = [one.image for one in images]
    table["image"] = given.where(given.isin(names), files)
    lacking = [name for name in names if name not in set(table["image"])]
    if lacking:
        raise DataError(
            f"has no row for image {', '.join(lacking[:5])}{' ...' if len(lacking) > 5 else ''}",
            "give each image its conditions",
            file=path,
        )
    table = table[table["image"].isin(names)]
    if table["image"].duplicated().any():
        twice = table["image"][table["image"].duplicated()].iloc[0]
        raise DataError(f"has two rows for image {twice}", "keep one", file=path)
    return _with_text(table)


def conditions_of(images: Mapping[str, Mapping[str, Condition]]) -> pd.DataFrame | None:
    """One row an image, as `read_conditions` gives it; None where no condition is known.

    Parameters
    ----------
    images : mapping of str to mapping
        Conditions by the name of the image; None is one that is not known.

    Raises
    ------
    DataError
        An image lacks a condition of another, or a name cannot stand in a table of cells.
    InputError
        A condition is no number and no text, or has no name.
    """
    for image, of in images.items():
        if not isinstance(of, Mapping) or not all(isinstance(name, str) for name in of):
            raise InputError(
                f"conditions of image {image} are {of!r:.60}", 'give them by name: {"donor": "A"}'
            )
    names = list(dict.fromkeys(name for of in images.values() for name in of))
    _check_columns(names)
    for image, of in images.items():
        lacking = [name for name in names if name not in of]
        if lacking:
            raise DataError(
                f"image {image} has no {', '.join(lacking)}, others do",
                "give each image its conditions; None where one is not known",
            )
        for name, value in of.items():
            if not (value is None or isinstance(value, str | int | float | np.number | np.bool_)):
                raise InputError(
                    f"{name} of image {image} is a {type(value).__name__}",
                    "give one number or text, which holds for all cells of the image",
                )
    if not names:
        return None
    return _with_text(pd.DataFrame([{"image": image, **of} for image, of in images.items()]))


def _check_columns(names: Sequence[str]) -> None:
    """Refuse conditions whose names cannot stand in a table of cells."""
    odd = [name for name in names if "/" in name or name == "_index"]
    if odd:
        raise DataError(
            f"column {', '.join(odd)} cannot be kept in a table of cells",
            'the file format forbids "/" in names and the name "_index": rename it',
        )
    clash = sorted(set(OBS_COLUMNS + FLAGS) & set(names))
    if clash:
        raise DataError(
            f"column {', '.join(clash)} has a name that the cells have already",
            "give the condition another name",
        )


def _with_text(table: pd.DataFrame) -> pd.DataFrame:
    """What is no number as text, empty where it is not known."""
    text = table.select_dtypes(object).columns
    return table.assign(**{name: table[name].fillna("").astype(str) for name in text})


def _name_of_file(text: str) -> str:
    r"""``a/well 1.5.ome.tif`` is ``well-1.5``, and so is ``a\well 1.5.ome.tif`` of Windows."""
    name = Path(text.replace("\\", "/")).name
    return plain_name(re.sub(r"(\.ome)?\.[A-Za-z]\w*$", "", name, flags=re.IGNORECASE))


def _read_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    table = read_typed_table(path, text=["image"])  # 001 is a name
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DataError(
            f"has no column {', '.join(missing)} among {', '.join(map(str, table.columns))}",
            f"give {', '.join(columns)}",
            file=path,
        )
    return table
