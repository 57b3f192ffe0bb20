"""Segment images, movies and folders into a segmentation folder, one frame at a time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import zarr

from ..errors import DataError, InputError
from ..images.image import Array, LazyArray
from ..images.read import GreyPlanes
from .lazy_plane import LazyPlane
from .segmentation_folder import create_segmentation
from .segmentation_sources import CellSource, SourceOptions, find_images
from .tiling import Found, both, label_tiles

if TYPE_CHECKING:
    from .adapters import Segmenter
    from .model import CellModel

__all__ = [
    "FrameSegmenter",
    "SegmentedFiles",
    "adapter_segmenter",
    "classical_segmenter",
    "model_segmenter",
    "segment_files",
]

TILE_PX = 2048
HALO_PX = 256
_FINEST_UM = 1e-3  # less than any pixel, so that no length is 0 px of it

_SCRATCH = "scratch"


@dataclass(frozen=True)
class FrameSegmenter:
    """What finds the cells of a frame.

    Attributes
    ----------
    about : mapping
        For ``segmentation.json``.
    begin : callable
        Is given a whole frame, lazily, and the micrometers of its pixels (or None), and gives
        the function from an image, or a tile of it, to its cells.
    halo_px : callable
        What tiles of large frames see beyond themselves, see `label_tiles`, by the micrometers
        of their pixels (or None).
    nuclei : bool
        Whether nuclei are found too.
    """

    about: Mapping[str, Any]
    begin: Callable[[LazyArray, float | None], Callable[[Array], Found]]
    halo_px: Callable[[float | None], int] = lambda _: HALO_PX
    nuclei: bool = False


class SegmentedFiles(NamedTuple):
    """What was made.

    Attributes
    ----------
    folder : Path
    images, frames, cells : int
    notes : list of str
        What the user should know.
    """

    folder: Path
    images: int
    frames: int
    cells: int
    notes: list[str]


def adapter_segmenter(segmenter: Segmenter, about: Mapping[str, Any]) -> FrameSegmenter:
    """A third-party segmenter; grey values are scaled by percentiles of the whole frame.

    A network that looks at blocks of its own may still draw a cell of a tiled frame a little
    otherwise than in the whole, since its blocks fall elsewhere.
    """

    def begin(frame: LazyArray, pixel: float | None) -> Callable[[Array], Found]:
        limits = segmenter.limits(frame)
        return lambda image: segmenter(image, pixel, limits)

    return FrameSegmenter(about, begin)


def classical_segmenter(changes: Mapping[str, Any]) -> FrameSegmenter:
    """`segment_classical`, with the threshold of the whole frame.

    Parameters
    ----------
    changes : mapping
        Settings, in pixels or micrometers; see `ClassicalSettings.changed`.

    Raises
    ------
    InputError
        One is not known or not usable.
    """
    from .classical import ClassicalSettings, measure_ground, segment_classical

    defaults = ClassicalSettings()
    defaults.changed(changes, _FINEST_UM)  # an unknown name shows before any image is opened

    def begin(frame: LazyArray, pixel: float | None) -> Callable[[Array], Found]:
        settings = defaults.changed(changes, pixel)
        ground = measure_ground(frame, settings)
        return lambda image: segment_classical(image, settings, ground)

    about = {"method": "classical", "settings": dict(changes), "defaults": asdict(defaults)}
    return FrameSegmenter(about, begin)


def model_segmenter(model: CellModel, about: Mapping[str, Any]) -> FrameSegmenter:
    """A trained model; grey values are scaled by the statistics of the whole frame."""
    from .normalize import BlankImage, measure_statistics

    nuclei = "nuclei" in model.map_names

    def none(image: Array) -> Found:
        zeros = np.zeros(image.shape, np.int32)
        return (zeros, zeros) if nuclei else zeros

    def begin(frame: LazyArray, pixel: float | None) -> Callable[[Array], Found]:
        try:
            statistics = measure_statistics(frame)
        except BlankImage:  # one dark frame must not end the segmentation of a movie
            return none
        return lambda image: model.segment_both(image, pixel, statistics)

    def halo_px(pixel: float | None) -> int:
        return max(HALO_PX, model.halo_px(pixel))

    return FrameSegmenter(about, begin, halo_px, nuclei)


def segment_files(
    paths: Sequence[str | os.PathLike[str]],
    out_dir: str | os.PathLike[str],
    segmenter: FrameSegmenter,
    options: SourceOptions | None = None,
    *,
    progress: Callable[[float], None] | None = None,
) -> SegmentedFiles:
    """Find the cells of images, movies and folders of them.

    One frame is in memory at a time; one that is larger than 2048 px and two halos along a
    side is segmented in tiles of 2048 px (see `label_tiles`), and then one tile is.

    Parameters
    ----------
    paths : sequence of path-like
        As for `find_images`.
    out_dir : path-like
        Must not exist yet; appears when all is done.
    segmenter : FrameSegmenter
    options : SourceOptions, optional
    progress : callable, optional
        Is told the share done.

    Returns
    -------
    SegmentedFiles
        A frame without cells is noted, not an error.

    Raises
    ------
    FileError
        A file is absent or no image, or the folder exists.
    DataError
        Color, several planes, pixels that are not finite, or labels that do not fit.
    """
    sources = find_images(paths, options)
    total = sum(source.image.shape[0] for source in sources)
    notes = _about_sizes(sources) + _about_colors(sources)
    done = cut = blank = 0
    with create_segmentation(out_dir, segmenter.about) as writer:
        scratch = writer.folder / _SCRATCH
        for source in sources:
            frames = _Frames(source, segmenter, scratch)

            def tell(t: int, before: int = done) -> None:
                if progress is not None:
                    progress((before + t) / total)

            nuclei = frames.nuclei() if segmenter.nuclei else None
            writer.add(source.name, source.image, source.path, frames.labels(tell), nuclei)
            done += source.image.shape[0]
            cut += frames.cut
            blank += frames.blank
        shutil.rmtree(scratch, ignore_errors=True)
        counts = [n for entry in writer.entries for n in entry["cells_per_frame"]]
        empty = sum(n == 0 for n in counts)
        if empty:
            notes.append(f"{empty} of {total} frames have no cell")
        if blank:
            notes.append(f"{blank} of {total} frames have one grey value: they show nothing")
        if cut:
            notes.append(
                f"{cut} cells are larger than what tiles see around them, which may have cut them"
            )
        writer.notes += notes
    return SegmentedFiles(Path(out_dir), len(sources), total, sum(counts), notes)


class _Frames:
    """The cells of an image frame by frame, with the nuclei of the frame that came last."""

    def __init__(self, source: CellSource, segmenter: FrameSegmenter, scratch: Path) -> None:
        image = source.image
        self.cut = self.blank = 0
        self._image = image
        self._path = source.path
        self._segmenter = segmenter
        self._scratch = scratch
        self._halo_px = segmenter.halo_px(image.pixel_size_um)
        self._nuclei: LazyArray | None = None

    def labels(self, tell: Callable[[int], None]) -> Iterator[LazyArray]:
        large = max(self._image.shape[3:]) > TILE_PX + 2 * self._halo_px
        frames = self._image.shape[0]
        for t in range(frames):
            try:
                found = self._in_tiles(t) if large else self._at_once(t)
            except (DataError, InputError) as error:
                if error.file is not None:
                    raise
                where = f"frame {t}: " if frames > 1 else ""
                raise type(error)(
                    f"{where}{error.reason}", error.remedy, file=self._path
                ) from error
            yield found
            tell(t + 1)

    def nuclei(self) -> Iterator[LazyArray]:
        for _ in range(self._image.shape[0]):
            if self._nuclei is not None:
                yield self._nuclei

    def _at_once(self, t: int) -> LazyArray:
        plane = self._image.plane(t)
        self.blank += int(plane.size > 0 and plane.min() == plane.max())
        segment = self._segmenter.begin(plane, self._image.pixel_size_um)
        labels, self._nuclei = both(segment(plane), plane.shape)
        return labels

    def _in_tiles(self, t: int) -> LazyArray:
        frame = LazyPlane(self._image.data, t)
        joined = label_tiles(
            self._segmenter.begin(frame, self._image.pixel_size_um),
            frame,
            tile=TILE_PX,
            halo=self._halo_px,
            out=self._on_disk("labels"),
            nuclei_out=self._on_disk("nuclei") if self._segmenter.nuclei else None,
        )
        self.cut += joined.cut
        self._nuclei = joined.nuclei
        labels: LazyArray = joined.labels
        return labels

    def _on_disk(self, name: str) -> zarr.Array[Any]:
        """Zeros of a frame's size."""
        return zarr.create_array(
            store=str(self._scratch / name),
            shape=self._image.shape[3:],
            chunks=(TILE_PX // 4, TILE_PX // 4),
            dtype=np.int32,
            fill_value=0,
            overwrite=True,
        )


def _about_colors(sources: Sequence[CellSource]) -> list[str]:
    saved = sum(isinstance(source.image.data, GreyPlanes) for source in sources)
    if not saved:
        return []
    return [
        f"{saved} of {len(sources)} images are saved in color; red, green and blue are equal in "
        "them, and one was taken"
    ]


def _about_sizes(sources: Sequence[CellSource]) -> list[str]:
    unsized = sum(source.image.pixel_size_um is None for source in sources)
    movies = [source.image for source in sources if source.image.shape[0] > 1]
    untimed = sum(movie.frame_interval_s is None for movie in movies)
    notes = []
    if unsized:
        notes.append(
            f"{unsized} of {len(sources)} images do not say their pixel size: measures in "
            "micrometers will need it; give --pixel-size"
        )
    if untimed:
        notes.append(
            f"{untimed} of {len(movies)} movies do not say the time between frames: what follows "
            "cells over time will need it; give --interval"
        )
    return notes
