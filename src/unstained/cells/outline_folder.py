"""From outlines drawn by hand to a segmentation folder, and back for correction."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from ..cell_table import plain_name
from ..errors import DataError, FileError, InputError
from ..images.atomic import atomic_dir
from ..images.fields import file_of
from ..images.folders import natural_order
from ..images.image import Array, Image
from ..images.read import SUFFIXES, read_image, read_labels
from .ctc import is_ctc, read_ctc
from .outline_files import OUTLINE_SUFFIXES, read_outlines, write_geojson, write_imagej
from .outlines import Filled, Outline, fill_outlines, trace_outlines
from .painted import check_painted
from .segmentation_folder import create_segmentation, read_segmentation
from .segmentation_sources import (
    CellSource,
    SourceOptions,
    find_images,
    image_key,
    is_plain_folder,
)
from .track_files import write_tracks
from .tracks import Tracked, tables_of

__all__ = ["Drawn", "Exported", "export_outlines", "segmentation_from_outlines"]

Format = Literal["imagej", "geojson"]

_WRITERS = {"imagej": (write_imagej, ".zip"), "geojson": (write_geojson, ".geojson")}


class Drawn(NamedTuple):
    """What came of the outlines.

    Attributes
    ----------
    cells : dict of str to tuple of int
        By image: cells of each frame.
    notes : tuple of str
        Overlaps, outlines without a pixel, outlines over the image's edge.
    tracks : dict of str to int
        By image: how many tracks came with the outlines.
    """

    cells: dict[str, tuple[int, ...]]
    notes: tuple[str, ...]
    tracks: dict[str, int]


class Exported(NamedTuple):
    """Files of outlines, and `notes` on images without a cell, which have none."""

    files: tuple[Path, ...]
    notes: tuple[str, ...]


def segmentation_from_outlines(
    images: Sequence[str | os.PathLike[str]],
    outlines: Sequence[str | os.PathLike[str]],
    out_dir: str | os.PathLike[str],
    options: SourceOptions | None = None,
    *,
    nuclei: Sequence[str | os.PathLike[str]] = (),
) -> Drawn:
    """Write a segmentation folder from outlines that were drawn by hand, or come from elsewhere.

    Of a folder of the Cell Tracking Challenge the tracks are taken too. A truth of the Challenge
    may hold markers in place of outlines: right to follow, too small to measure.

    Parameters
    ----------
    images : sequence of path-like
        Images and movies, or folders of them.
    outlines : sequence of path-like
        One for each image: ImageJ ROIs, GeoJSON, an image of labels, or a folder of the Cell
        Tracking Challenge (see `ctc`; ``01_GT`` is ``01_GT/TRA``). With several images it belongs
        to the one whose name it begins with (``01_RES``), else to the only one in its folder. Any
        other folder stands for the files of outlines and images of labels in it.
    out_dir : path-like
        Must not exist yet.
    options : SourceOptions, optional
    nuclei : sequence of path-like
        The same of nuclei, numbered in any way, but no folder of the Challenge; one for each
        image, or none. What belongs to which cell, `shape_features` finds.

    Returns
    -------
    Drawn

    Raises
    ------
    InputError
        No outlines, or not one file for each image.
    FileError, DataError
        A file is absent or holds no outlines; outlines lie outside their image, or do not say to
        which frame of a movie they belong; an image of labels is none.
    """
    sources = find_images(images, options)
    pairs = _matched(sources, [file for path in outlines for file in _files_at(Path(path))])
    inner = [file for path in nuclei for file in _files_at(Path(path))]
    of_nuclei = _matched(sources, inner, "nuclei") if inner else []
    nuclei_of = {source.name: file for source, file in of_nuclei}
    notes: list[str] = []
    followed: dict[str, Tracked] = {}
    with create_segmentation(out_dir, {"kind": "outlines drawn by hand"}) as writer:
        for source, file in pairs:
            movie = read_ctc(file) if is_ctc(file) else None
            frames = _label_frames(source, file, notes) if movie is None else movie.frames()
            inside = nuclei_of.get(source.name)
            drawn = None if inside is None else _label_frames(source, inside, notes)
            name = writer.add(source.name, source.image, source.path, frames, drawn)
            if movie is not None:
                followed[name] = tables_of(movie.track_of, movie.tracks, len(movie.files))
        if followed:
            write_tracks(followed, writer.folder)
    made = read_segmentation(out_dir)
    return Drawn(
        {entry.image: entry.cells_per_frame for entry in made},
        tuple(notes),
        {image: len(tables.tracks) for image, tables in followed.items()},
    )


def export_outlines(
    folder: str | os.PathLike[str], out_dir: str | os.PathLike[str], kind: Format = "imagej"
) -> Exported:
    """Write the outlines of a segmentation folder for correction in ImageJ or QuPath.

    One file ``NAME.zip`` or ``NAME.geojson`` for each image with a cell;
    `segmentation_from_outlines` takes them back.

    Raises
    ------
    InputError
        Another format.
    FileError
        There is no such folder, or `out_dir` exists.
    DataError
        No image has a cell.
    """
    if kind not in _WRITERS:
        raise InputError(f"format {kind!r}", f"choose {' or '.join(_WRITERS)}")
    write, suffix = _WRITERS[kind]
    names, notes = [], []
    with atomic_dir(out_dir) as part:
        for entry in read_segmentation(folder):
            outlines: list[Outline] = []
            for t in range(entry.frames):
                outlines += trace_outlines(entry.labels(t), t if entry.frames > 1 else None)
            if not outlines:
                notes.append(f"{entry.image} has no cell, so no file of outlines")
                continue
            names.append(f"{entry.image}{suffix}")
            write(outlines, part / names[-1])
        if not names:
            raise DataError("no image has a cell", "there is nothing to export", file=folder)
    return Exported(tuple(Path(out_dir) / name for name in names), tuple(notes))


def _files_at(path: Path) -> list[Path]:
    """The files of outlines that a folder holds; else the path itself.

    ``01_GT/TRA`` of ``01_GT``, where the Challenge has the tracks of a truth.
    """
    if is_ctc(path / "TRA"):
        return [path / "TRA"]
    if is_ctc(path) or not is_plain_folder(path):
        return [path]
    known = (*OUTLINE_SUFFIXES, *SUFFIXES)
    inside = [p for p in path.iterdir() if p.suffix.lower() in known and p.name[0] != "."]
    if not inside:
        raise DataError("is a folder without outlines", f"read are {', '.join(known)}", file=path)
    return sorted(inside, key=lambda p: natural_order(p.name))


def _matched(
    sources: Sequence[CellSource], files: Sequence[Path], what: str = "outlines"
) -> list[tuple[CellSource, Path]]:
    """Each image with its file: labels inside it, else by name, else by folder; never by order."""
    for file in files:
        if not file.exists():
            raise FileError("does not exist", "check the path", file=file)
    if len(sources) == len(files) == 1:
        return [(sources[0], files[0])]
    if len(sources) != len(files):
        raise InputError(
            f"{len(sources)} images and {len(files)} files of {what}",
            f"give one file of {what} for each image; files of a folder that are the frames of "
            "one movie need --movie",
        )
    pairs = []
    for source in sources:
        # the longest name wins: "well1" is not meant where there is a "well10"
        named = [f for f in files if _owner(f, sources) == image_key(source.name)]
        folder = Path(source.path).parent
        alone = sum(Path(other.path).parent == folder for other in sources) == 1
        beside = [f for f in files if alone and f.absolute().parent == folder]
        inside = [f for f in files if f.absolute().is_relative_to(file_of(source.path))]
        found = inside or named or beside
        if len(found) != 1:
            raise InputError(
                f"{len(found)} files of {what} fit the image {source.name}",
                f"name one so that it begins with {source.name}, or put it into the image's folder",
            )
        pairs.append((source, found[0]))
    if len({file for _, file in pairs}) != len(pairs):
        raise InputError(f"one file of {what} fits several images", "give each image its own")
    return pairs


def _owner(file: Path, sources: Sequence[CellSource]) -> str | None:
    """The longest name of an image, but for endings, that a file's name begins with."""
    # the Challenge's truth is 01_GT/TRA
    name = plain_name((file.parent if file.name == "TRA" else file).name).casefold()
    held = [image_key(source.name) for source in sources]
    # no digit may follow: well10 is not of well1, whether or not there is a well10
    fit = (h for h in held if name.startswith(h) and not name[len(h) : len(h) + 1].isdigit())
    return max(fit, key=len, default=None)


def _label_frames(source: CellSource, file: Path, notes: list[str]) -> Iterator[Array]:
    """The labels of every frame of an image."""
    if file.suffix.lower() not in OUTLINE_SUFFIXES:
        for number, labels in enumerate(_drawn_labels(source.image, file)):
            check_painted(labels, file, number)
            yield labels
        return
    outlines = read_outlines(file)
    frames = source.image.shape[0]
    by_frame: dict[int, list[Outline]] = {t: [] for t in range(frames)}
    for outline in outlines:
        t = 0 if frames == 1 and outline.frame is None else outline.frame
        if t not in by_frame:
            at = "no frame" if t is None else f"frame {t}"
            raise DataError(
                f"outline {outline.name!r} is of {at}, and {source.name} has {frames}",
                "give each ROI its position in the movie (from 1), or each object its frame",
                file=file,
            )
        by_frame[t].append(outline)
    shape = source.image.shape[3:]
    for t, drawn in by_frame.items():
        try:
            filled = fill_outlines(drawn, shape)
        except DataError as error:
            raise DataError(error.reason, error.remedy, file=file) from error
        notes += _notes(filled, source.name if frames == 1 else f"{source.name}, frame {t}")
        yield filled.labels


def _drawn_labels(image: Image, file: Path) -> Iterator[Array]:
    """Labels that were painted as an image."""
    if image.shape[0] == 1:
        yield read_labels(file)
        return
    labels = read_image(file, axes="TYX" if file.suffix.lower() in (".tif", ".tiff") else None)
    for t in range(labels.shape[0]):
        yield labels.plane(t)


def _notes(filled: Filled, where: str) -> Iterator[str]:
    if filled.overlap_px:
        yield f"{where}: {filled.overlap_px} px lie in several outlines; the smallest got them"
    if filled.empty:
        yield f"{where}: no pixel is left for {', '.join(filled.empty)}"
    if filled.clipped:
        yield f"{where}: cut off at the image's edge: {', '.join(filled.clipped)}"
