"""Tracks of a segmentation folder: made, read, exported and scored.

DIR/track_of.csv    image, frame, label, track
DIR/tracks.csv      image, track, begin, end, parent
DIR/divisions.csv   image, frame, mother, daughter_1, daughter_2
DIR/events.csv      image, frame, kind, tracks
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..cell_table import whole_numbers
from ..errors import DataError, FileError, InputError, contents_of
from ..images.image import Array
from .ctc import CtcMovie, read_ctc, read_ctc_tracks, write_ctc
from .segmentation_folder import Segmented, read_segmentation
from .tracking import TrackSettings, track_labels
from .tracking_scores import Followed, TrackScores, score_tracking
from .tracks import (
    DIVISION_COLUMNS,
    EVENT_COLUMNS,
    TRACK_COLUMNS,
    TRACK_OF_COLUMNS,
    Tracked,
    check_whole,
)

__all__ = [
    "TrackedFolder",
    "export_ctc",
    "read_tracks",
    "score_folder",
    "track_folder",
    "write_tracks",
]


_COLUMNS = {
    "track_of": TRACK_OF_COLUMNS,
    "tracks": TRACK_COLUMNS,
    "divisions": DIVISION_COLUMNS,
    "events": EVENT_COLUMNS,
}
_FOLLOW = "follow the cells: unstained cells track DIR"


class TrackedFolder(NamedTuple):
    """What was followed.

    Attributes
    ----------
    tracked : Tracked
        Each table with the column `image` first. Tracks are numbered anew in each image.
    notes : tuple of str
        Images that were left out, and why.
    """

    tracked: Tracked
    notes: tuple[str, ...]


def track_folder(
    folder: str | os.PathLike[str],
    settings: TrackSettings | None = None,
    *,
    overwrite: bool = False,
    progress: Callable[[float], None] | None = None,
) -> TrackedFolder:
    """Follow the cells of each movie of a segmentation folder and write its four tables.

    Still images, and movies without any cell, are left out with a note.

    Parameters
    ----------
    folder : path-like
        As `create_segmentation` makes it.
    settings : TrackSettings, optional
    overwrite : bool
        Whether tracks that are there may be replaced.
    progress : callable, optional
        Called with the share done.

    Returns
    -------
    TrackedFolder

    Raises
    ------
    FileError
        No such folder, or it has tracks.
    DataError
        No image has several frames and a cell.
    InputError
        A distance in micrometers for an image whose pixel size is not known.
    """
    root = Path(folder)
    there = [name for name in _COLUMNS if (root / f"{name}.csv").exists()]
    images = read_segmentation(root)
    if there and not overwrite:
        raise FileError(
            f"has tracks already ({there[0]}.csv)",
            "allow it with overwrite (--overwrite)",
            file=root,
        )
    notes = [note for image in images if (note := _hindrance(image))]
    movies = [image for image in images if not _hindrance(image)]
    if not movies:
        raise DataError(
            "; ".join(notes) or "has no images", "give a movie of two frames or more", file=root
        )
    total = sum(movie.frames for movie in movies)
    parts: dict[str, Tracked] = {}
    done = 0
    for movie in movies:
        frames = _counted(movie, done, total, progress)
        try:
            parts[movie.image] = track_labels(frames, settings, movie.pixel_size_um)
        except (DataError, InputError) as error:
            raise type(error)(f"{movie.image}: {error.reason}", error.remedy, file=root) from error
        done += movie.frames
    return TrackedFolder(write_tracks(parts, root), tuple(notes))


def _hindrance(image: Segmented) -> str:
    """Why the cells of an image cannot be followed, or nothing."""
    if image.frames < 2:
        return f"{image.image} is one frame: nothing to follow"
    return "" if any(image.cells_per_frame) else f"{image.image} has no cell"


def _counted(
    movie: Segmented, done: int, total: int, progress: Callable[[float], None] | None
) -> Iterator[Array]:
    for t in range(movie.frames):
        yield movie.labels(t)
        if progress is not None:
            progress((done + t + 1) / total)


def write_tracks(parts: Mapping[str, Tracked], folder: str | os.PathLike[str]) -> Tracked:
    """Write the tracks of the images of a segmentation folder.

    All four tables are whole before the first gets its name.

    Parameters
    ----------
    parts : mapping of str to Tracked
        By image.
    folder : path-like

    Returns
    -------
    Tracked
        What was written: of all images, each table with the column `image` first.
    """
    from ..images.atomic import atomic_path

    whole = Tracked(
        *(
            pd.concat(
                [part[i].assign(image=image)[["image", *of]] for image, part in parts.items()],
                ignore_index=True,
            )
            for i, of in enumerate(_COLUMNS.values())
        )
    )
    with ExitStack() as stack:
        for name, table in zip(_COLUMNS, whole, strict=True):
            part = stack.enter_context(atomic_path(Path(folder) / f"{name}.csv"))
            table.to_csv(part, index=False, lineterminator="\n")
    return whole


def read_tracks(folder: str | os.PathLike[str]) -> Tracked:
    """Read what `track_folder` wrote.

    Raises
    ------
    FileError
        There are no tracks, or a table is damaged.
    DataError
        A column of numbers holds something else.
    """
    root = Path(folder)
    tables = []
    for name, columns in _COLUMNS.items():
        path = root / f"{name}.csv"
        if not path.is_file():
            raise FileError("is not there", _FOLLOW, file=path)
        try:
            kinds = {"image": str, "kind": str, "tracks": str}
            # an image may be called NA
            table = pd.read_csv(path, dtype=kinds, keep_default_na=False, na_values=[""])
        except (OSError, ValueError) as error:
            raise FileError(f"cannot be read ({error})", _FOLLOW, file=path) from error
        missing = [column for column in ("image", *columns) if column not in table]
        if missing:
            raise FileError(f"lacks {', '.join(missing)}", _FOLLOW, file=path)
        with contents_of(path):
            for column in columns:
                if column not in ("kind", "tracks"):
                    table[column] = whole_numbers(table[column], _FOLLOW)
        tables.append(table)
    return Tracked(*tables)


def export_ctc(folder: str | os.PathLike[str], out_dir: str | os.PathLike[str]) -> list[Path]:
    """Write the tracks of each movie for the Cell Tracking Challenge, ``OUT/IMAGE``.

    `outline_folder.segmentation_from_outlines` takes them back. Merges are not in the format.

    Raises
    ------
    FileError
        There are no tracks, or a folder exists already.
    DataError
        The tracks were cut short, or are of other labels.
    """
    tracked = read_tracks(folder)
    followed = {*tracked.track_of["image"], *tracked.tracks["image"]}
    return [
        write_ctc(Path(out_dir) / movie.image, *_followed(movie, tracked))
        for movie in read_segmentation(folder)
        if movie.image in followed
    ]


def _followed(movie: Segmented, tracked: Tracked) -> Followed:
    """One movie of the folder; neither table has a row of it where it was not followed."""
    track_of = tracked.track_of[tracked.track_of["image"] == movie.image]
    tracks = tracked.tracks[tracked.tracks["image"] == movie.image]
    if len(track_of) or len(tracks):
        rows = track_of.groupby("frame").size().reindex(range(movie.frames), fill_value=0)
        lost = np.maximum(np.array(movie.cells_per_frame) - rows.to_numpy(), 0).sum()
        check_whole(track_of, tracks, int(lost), sum(movie.cells_per_frame), movie.root)
    return Followed((movie.labels(t) for t in range(movie.frames)), track_of, tracks)


def score_folder(
    folder: str | os.PathLike[str],
    truth: str | os.PathLike[str],
    *,
    image: str | None = None,
    division_tolerance: int = 2,
) -> TrackScores:
    """Score the tracks of a segmentation folder.

    Parameters
    ----------
    folder : path-like
        With tracks.
    truth : path-like
        A folder of the Cell Tracking Challenge, or a movie of `unstained simulate movie`.
    image : str, optional
        Which one, where the folder has several.
    division_tolerance : int
        Frames.

    Raises
    ------
    FileError
        Tracks or truth cannot be read.
    DataError
        The tracks were cut short, or are of other labels.
    InputError
        No such image, or several and none named.
    """
    movies = {movie.image: movie for movie in read_segmentation(folder)}
    if image is None and len(movies) == 1:
        image = next(iter(movies))
    if image is None or image not in movies:
        raise InputError(
            f"which image is {truth} the truth of? Not {image!r}",
            f"name one of {', '.join(movies)}",
        )
    result = _followed(movies[image], read_tracks(folder))
    if result.tracks.empty:
        raise InputError(f"the cells of {image} are not followed", _FOLLOW)
    return score_tracking(_truth(Path(truth)), result, division_tolerance=division_tolerance)


def _truth(folder: Path) -> Followed:
    movie_path = folder / "movie.ome.zarr"
    if not movie_path.exists():
        movie: CtcMovie = read_ctc(folder)
        return Followed(movie.frames(), movie.track_of, movie.tracks)
    from ..images.read import read_image

    labels = read_image(movie_path / "labels" / "cells")
    tracks = read_ctc_tracks(folder / "res_track.txt")
    rows = [
        (t, label)
        for t in range(labels.shape[0])
        for label in np.unique(labels.plane(t)).tolist()
        if label
    ]
    cells = pd.DataFrame(rows, columns=["frame", "label"], dtype=np.int64)
    frames = (labels.plane(t) for t in range(labels.shape[0]))
    return Followed(frames, cells.assign(track=cells["label"]), tracks)
