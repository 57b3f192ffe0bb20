"""Colonies of images, movies and plates as a folder: a table, masks, tracks; nothing copied."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.api.types import is_integer_dtype

from ..errors import DataError, FileError, InputError, count_of, refuse_name
from ..images.atomic import atomic_dir, write_json
from ..images.fields import file_key
from ..images.image import Array, Channel, Image
from ..images.ome_zarr_writer import create_ome_zarr
from ..images.read import read_image, relative_source, split_selector
from ..images.versions import versions_of
from .detect import DetectSettings, detect_colonies
from .detect_sources import FileOptions, Source, find_sources
from .links import EVENT_COLUMNS, TRACK_COLUMNS, Linker

__all__ = [
    "TABLE",
    "ColonyCrop",
    "DetectedFiles",
    "check_places",
    "detect_files",
    "open_original",
    "pixel_sizes",
    "read_colonies",
    "read_crop",
]

TABLE, _ABOUT = "colonies.parquet", "detection.json"

_MASK_CHUNK_PX = 1024

_TEXT = ("id", "image", "mask", "well")
_WHOLE = ("t", "colony", "y0", "x0", "y1", "x1")
"""Columns that say where a colony is."""


class DetectedFiles(NamedTuple):
    """What was found in files.

    Attributes
    ----------
    folder : Path
    colonies, tracks, events : table
        As written; see `detect_files`.
    frames : int
        How many were looked at.
    notes : list of str
        What the user should know.
    """

    folder: Path
    colonies: pd.DataFrame
    tracks: pd.DataFrame
    events: pd.DataFrame
    frames: int
    notes: list[str]


class ColonyCrop(NamedTuple):
    """A colony's `pixels` (P, Y, X) of the original image, and its `mask` (Y, X) bool."""

    pixels: Array
    mask: Array


def detect_files(
    paths: Sequence[str | os.PathLike[str]],
    out_dir: str | os.PathLike[str],
    settings: DetectSettings | None = None,
    options: FileOptions | None = None,
    *,
    progress: Callable[[float], None] | None = None,
) -> DetectedFiles:
    """Find and follow colonies in images, folders of images, movies and plates.

    One frame is in memory at a time (and the labels of the one before). The new folder has

    - ``colonies.parquet``: a row for each colony and frame: `id`, `image` (relative to the
      folder, with ``/``; absolute on another drive) and the frame `t` inside it, `mask`, `well`,
      `field`, `frame`, `time_h`, `track`, and the columns of `Detection`
    - ``masks/``: the labels of each image as OME-Zarr, all frames
    - ``tracks.csv`` and ``events.csv`` (see `Links`; tracks are numbered through the folder),
      where a well has more than one frame
    - ``detection.json``: settings, versions, and the colonies of every frame, none included

    Parameters
    ----------
    paths : sequence of path-like
        Images (``PATH#CHANNEL`` too), folders of images, OME-Zarr plates. Files of a folder
        that end in ``_labels``, ``_classes``, ``_mask`` or ``_seg`` are no images.
    out_dir : path-like
        Must not exist yet; appears when all is done.
    settings : DetectSettings, optional
    options : FileOptions, optional
    progress : callable, optional
        Is told the share done.

    Returns
    -------
    DetectedFiles

    Raises
    ------
    FileError
        A file is absent or no image, or the folder exists.
    DataError
        No image, color, several planes, names that do not fit the pattern, two files that claim
        the same well and frame, or frames of different sizes.
    """
    refuse_name(paths, "a list of files", "[{}]")
    settings = DetectSettings() if settings is None else settings
    options = FileOptions() if options is None else options
    sources, notes = find_sources(paths, options)
    home = Path(out_dir)
    total = sum(source.image.shape[0] for source in sources)
    rows: list[pd.DataFrame] = []
    counts: dict[str, list[int]] = {}
    faint = 0
    linkers: dict[str, Linker] = {}
    with atomic_dir(out_dir) as folder:
        (folder / "masks").mkdir()
        for source in sources:
            before = sum(len(linker.tracks()) for linker in linkers.values())
            linker = linkers.setdefault(source.name, Linker(options.links, before + 1))
            for found, n_faint in _detect_source(source, folder, settings, linker):
                rows.append(_identified(found, source, home, options))
                counts.setdefault(source.path, []).append(len(found))
                faint += n_faint
                if progress is not None:
                    progress(len(rows) / total)
        table = _joined(rows)
        table.to_parquet(folder / TABLE, index=False)
        tracks, events = _of_all(linkers, sources)
        if total > len(linkers):
            tracks.to_csv(folder / "tracks.csv", index=False, lineterminator="\n")
            events.to_csv(folder / "events.csv", index=False, lineterminator="\n")
        notes += _notes(sources, counts, faint)
        about = _about(sources, home, settings, options)
        about |= {"colonies": len(table), "frames": total, "faint": faint, "notes": notes}
        for entry, source in zip(about["images"], sources, strict=True):
            entry["colonies_per_frame"] = counts[source.path]
        write_json(folder / _ABOUT, about)
    return DetectedFiles(Path(out_dir), table, tracks, events, total, notes)


def read_colonies(folder: str | os.PathLike[str]) -> pd.DataFrame:
    """The table of a folder that `detect_files` made.

    Raises
    ------
    FileError
        There is none, or it cannot be read.
    """
    path = Path(folder) / TABLE
    if not path.is_file():
        raise FileError(
            f"is no folder of detected colonies: it has no {TABLE}",
            "make one: unstained colonies detect IMAGE... --out DIR",
            file=folder,
        )
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise FileError(f"cannot be read ({error})", "detect again", file=path) from error


def check_places(table: pd.DataFrame, folder: str | os.PathLike[str]) -> None:
    """Refuse a table of colonies that `read_crop` cannot use.

    Raises
    ------
    FileError
        A column that says where colonies are is not there, or holds something else.
    """
    path = Path(folder) / TABLE
    for name in (*_TEXT, *_WHOLE):
        if name not in table:
            raise FileError(f"has no column {name}", "detect again", file=path)
        column = table[name]
        text = column.map(lambda value: isinstance(value, str)).all()
        if len(table) and not (text if name in _TEXT else is_integer_dtype(column)):
            kind = "text" if name in _TEXT else "whole numbers"
            raise FileError(f"column {name} is not all {kind}", "detect again", file=path)


def pixel_sizes(folder: str | os.PathLike[str]) -> dict[str, float | None]:
    """Micrometers per pixel of each `image` of the table, as it was detected; None: not known.

    Raises
    ------
    FileError
        ``detection.json`` is not there, or damaged.
    """
    path = Path(folder) / _ABOUT
    try:
        images = json.loads(path.read_text(encoding="utf-8"))["images"]
        return {entry["image"]: entry["pixel_size_um"] for entry in images}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileError(f"cannot be read ({error})", "detect again", file=path) from error


def read_crop(
    row: Mapping[str, Any] | pd.Series[Any], root: str | os.PathLike[str], margin_px: int = 0
) -> ColonyCrop:
    """Cut a colony out of its original image.

    Parameters
    ----------
    row : mapping
        Of the table: `image`, `t`, `mask`, `colony`, `y0`, `x0`, `y1`, `x1` are used.
    root : path-like
        The folder of the table.
    margin_px : int
        Pixels around the bounding box, as far as the image reaches.

    Returns
    -------
    ColonyCrop
        The mask holds this colony alone, where its box holds others too.

    Raises
    ------
    FileError
        The original image or the mask is no longer there.
    DataError
        Either has no such frame or box, or the mask not this colony: they, or the table, are not
        those of the detection.
    InputError
        A negative margin.
    """
    if margin_px < 0:
        raise InputError(f"a margin of {margin_px} px", "give 0 or more")
    home = Path(root).resolve()
    image, mask = (
        open_original(os.path.normpath(home / row["image"])),
        open_original(str(home / row["mask"])),
    )
    height, width = image.shape[3:]
    y0, x0 = (max(0, int(row[name]) - margin_px) for name in ("y0", "x0"))
    y1, x1 = min(height, int(row["y1"]) + margin_px), min(width, int(row["x1"]) + margin_px)
    ys, xs, t = slice(y0, y1), slice(x0, x1), int(row["t"])
    for one in (image, mask):
        if (
            not 0 <= t < one.shape[0]
            or not y0 < y1
            or not x0 < x1
            or one.shape[3:] != (height, width)
        ):
            raise _changed(row, one)
    inside = mask.planes(t, ys, xs)[0] == int(row["colony"])
    if not inside.any():
        raise _changed(row, mask)
    return ColonyCrop(image.planes(t, ys, xs), inside)


def _changed(row: Mapping[str, Any] | pd.Series[Any], image: Image) -> DataError:
    frames, *size = image.shape[0], *image.shape[3:]
    return DataError(
        f"has {count_of(frames, 'frame')} of {tuple(size)}, and not what the table says of colony "
        f"{row['colony']}: frame {row['t']}, rows {row['y0']} to {row['y1']}, columns "
        f"{row['x0']} to {row['x1']}",
        "put back the files of the detection, or detect again",
        file=image.source,
    )


def open_original(path: str) -> Image:
    """The lazy image of a path, kept open while few others are asked for.

    Raises
    ------
    FileError
        It is no longer there.
    """
    file = split_selector(path).path
    if not file.exists():
        raise FileError(
            "is not there", "put the image back where it was, or detect again", file=file
        )
    return _opened(*file_key(path))


@lru_cache(maxsize=32)
def _opened(path: str, changed_ns: int, size: int) -> Image:
    return read_image(path)


# What becomes of it ------------------------------------------------------------------------


def _detect_source(
    source: Source, folder: Path, settings: DetectSettings, linker: Linker
) -> Iterator[tuple[pd.DataFrame, int]]:
    """The colonies of each frame with their tracks, and how many were too faint."""
    image, path = source.image, folder / source.mask
    shape = (image.shape[0], 1, 1, *image.shape[3:])
    pixel = image.pixel_size_um
    colonies = [Channel("colonies")]
    with create_ome_zarr(
        path, shape, np.int32, colonies, pixel, chunk=_MASK_CHUNK_PX, labels=True
    ) as writer:
        for t in range(shape[0]):
            frame = source.first_frame + t
            try:
                found = detect_colonies(image.plane(t), settings, pixel)
                track_of = linker.add(frame, found.labels)
            except (DataError, InputError) as error:
                reason = f"frame {frame}: {error.reason}"
                raise DataError(reason, error.remedy, file=source.path) from error
            writer.write(t, 0, 0, 0, 0, found.labels)
            numbers = found.colonies["colony"].to_numpy()
            yield found.colonies.assign(t=t, track=track_of[numbers]), found.faint


def _identified(
    found: pd.DataFrame, source: Source, home: Path, options: FileOptions
) -> pd.DataFrame:
    """Which image, well, frame and hour the colonies of one frame belong to."""
    frame = source.first_frame + found["t"]
    interval_s = source.image.frame_interval_s
    in_file_h = np.nan if interval_s is None else interval_s / 3600
    interval_h = in_file_h if options.interval_h is None else options.interval_h
    names = [
        f"{source.frame_name(t)}_c{colony:03}"
        for t, colony in zip(found["t"], found["colony"], strict=True)
    ]
    table = found.assign(
        id=pd.Series(names, dtype=object),
        image=relative_source(source.path, home),
        mask=source.mask,
        well=source.well,
        field=source.field,
        frame=frame,
        time_h=frame * interval_h,
    )
    first = ["id", "image", "t", "mask", "well", "field", "frame", "time_h", "colony", "track"]
    return table[first + [name for name in table.columns if name not in first]]


def _joined(rows: list[pd.DataFrame]) -> pd.DataFrame:
    """All frames; the types of the columns are kept where no frame has a colony."""
    filled = [part for part in rows if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else rows[0]


def _of_all(
    linkers: Mapping[str, Linker], sources: Sequence[Source]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tracks and events of all movies, with their place in front."""
    place = {source.name: (source.well, source.field) for source in sources}
    tables = []
    for columns, kind in ((TRACK_COLUMNS, Linker.tracks), (EVENT_COLUMNS, Linker.events)):
        parts = []
        for name, linker in linkers.items():
            part = kind(linker)
            part.insert(0, "well", place[name][0])
            part.insert(1, "field", place[name][1])
            parts.append(part)
        filled = [part for part in parts if len(part)]
        empty = pd.DataFrame(columns=["well", "field", *columns])
        tables.append(pd.concat(filled, ignore_index=True) if filled else empty)
    return tables[0], tables[1]


def _notes(sources: Sequence[Source], counts: Mapping[str, Sequence[int]], faint: int) -> list[str]:
    unsized = sum(source.image.pixel_size_um is None for source in sources)
    empty = sum(n == 0 for numbers in counts.values() for n in numbers)
    notes = []
    if unsized:
        notes.append(
            f"{unsized} of {len(sources)} images do not say their pixel size: areas in um2 are "
            "missing; give --pixel-size"
        )
    if empty:
        notes.append(f"{empty} frames have no colony")
    if faint:
        notes.append(
            f"{faint} objects stood out no more than noise and were left out (--min-contrast 0 "
            "keeps them)"
        )
    return notes


def _about(
    sources: Sequence[Source], home: Path, settings: DetectSettings, options: FileOptions
) -> dict[str, Any]:
    return {
        "what": "colonies found by unstained colonies detect",
        **versions_of("unstained"),
        "versions": versions_of("numpy", "numba", "cv2", "zarr"),
        "settings": asdict(settings),
        "options": asdict(options),
        "images": [
            {
                "image": relative_source(source.path, home),
                "mask": source.mask,
                "well": source.well,
                "field": source.field,
                "first_frame": source.first_frame,
                "frames": source.image.shape[0],
                "pixel_size_um": source.image.pixel_size_um,
                "frame_interval_s": source.image.frame_interval_s,
            }
            for source in sources
        ],
    }
