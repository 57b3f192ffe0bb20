"""TIFF, OME-TIFF and ImageJ TIFF: only the strips and tiles under a crop are read."""

from __future__ import annotations

import logging
import math
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile

from ..errors import DataError, FileError, UnstainedError
from .image import Array, Channel, Image, LazyPlanes, choose_field
from .kept import Kept
from .tiff_metadata import Facts, facts_of

__all__ = ["open_tiff", "tiff_fields"]

_CACHE_BYTES = 64 << 20
"""Decoded strips and tiles that are kept for the next crop."""

_CUT_SHORT = ("invalid page offset", "corrupted tag list", "invalid offset to")
_RGB = (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)


@dataclass(frozen=True)
class _File:
    """A TIFF file, closed between reads, and the lock that all its resolutions share."""

    tif: tifffile.TiffFile
    lock: threading.RLock = dataclass_field(default_factory=threading.RLock)


class TiffPlanes(LazyPlanes):
    """One resolution of one series of a TIFF file.

    Uncompressed planes are mapped into memory; others are decoded strip by strip or tile by
    tile. The file is opened for each read, so that nothing stays locked and copies go to
    worker processes.
    """

    def __init__(
        self, path: Path, field: int, level: int, order: str, file: _File | None = None
    ) -> None:
        self._args = (path, field, level, order)
        self._path = path
        self._segments = Kept[Array](_CACHE_BYTES, lambda block: block.nbytes)
        with nullcontext(file.tif) if file else _opened(path) as tif:
            series = _fields(tif, path)[field].levels[level]
            page = series.keyframe
            with _faults(path):
                self._offset: int | None = series.dataoffset if _mappable(page) else None
            _check_sides(series, path)
            _check_complete(series, self._offset, path)
        self._file = file or _File(tif)
        self._series = series
        depth = page.shaped[1]
        if depth != 1:
            raise DataError("has volumetric tiles", "save it as planes", file=path)
        self._samples = page.shaped[0] * page.shaped[4]
        self._leading = tuple(series.shape[: len(order)])
        self._order = order  # the axis of ours that each leading axis stands for
        size = dict(zip(order, self._leading, strict=True))
        shape = [size.get(axis, 1) for axis in "TCZ"]
        shape[1] *= self._samples
        height, width = page.shaped[2:4]
        super().__init__((*shape, height, width), _native(page.dtype, path))

    def __reduce__(self) -> tuple[Any, ...]:
        return TiffPlanes, self._args

    def _crop(self, t: int, c: int, z: int, y: slice, x: slice) -> Array:
        channel, sample = divmod(c, self._samples)
        at = {"T": t, "C": channel, "Z": z}
        index = [at[axis] for axis in self._order]
        number = int(np.ravel_multi_index(index, self._leading)) if index else 0
        separate = self._series.keyframe.shaped[0]
        s, i = (sample, 0) if separate > 1 else (0, sample)
        with self._file.lock:
            block = self._plane_crop(number, s, y, x)[..., i]
        if block.shape != (y.stop - y.start, x.stop - x.start):
            raise FileError("ends too early", "copy it again from its origin", file=self._path)
        return np.ascontiguousarray(block, self.dtype)

    @contextmanager
    def _decoding(self, number: int) -> Iterator[None]:
        """Turn whatever tifffile and its decoders raise for broken bytes into our error."""
        try:
            yield
        except Exception as error:
            raise FileError(
                f"plane {number} cannot be decoded ({error})",
                "the file may be damaged: copy it again from its origin",
                file=self._path,
            ) from error

    def _plane_crop(self, number: int, separate: int, y: slice, x: slice) -> Array:
        """(Y, X, S) crop of plane `number`."""
        frame = self._series.keyframe
        if self._offset is not None:
            offset = self._offset + number * frame.nbytes
            return self._mapped(self._path, offset, number, separate, y, x)
        with self._decoding(number):
            self._file.tif.filehandle.open()
        try:
            with self._decoding(number):
                page = self._series[number]
            if page is None:
                raise FileError(
                    f"plane {number} is missing (another file of the set may be absent)",
                    "bring all files of the set into one folder",
                    file=self._path,
                )
            handle = page.parent.filehandle
            with self._decoding(number):
                handle.open()
            try:
                if _mappable(frame) and page.is_contiguous:
                    where, offset = Path(handle.path), page.dataoffsets[0]
                    return self._mapped(where, offset, number, separate, y, x)
                return self._decoded(page, number, separate, y, x)
            finally:
                handle.close()
        finally:
            self._file.tif.filehandle.close()

    def _mapped(
        self, path: Path, offset: int, number: int, separate: int, y: slice, x: slice
    ) -> Array:
        frame = self._series.keyframe
        shape = frame.shaped  # (separate S, depth, Y, X, contiguous S)
        dtype = np.dtype(self._file.tif.byteorder + frame.dtype.char)
        with self._decoding(number):  # the file may have changed since it was opened
            mapped = np.memmap(path, dtype, "r", offset=offset, shape=shape)
        return np.array(mapped[separate, 0, y, x])

    def _decoded(self, page: Any, number: int, separate: int, y: slice, x: slice) -> Array:
        frame = self._series.keyframe
        _, _, height, width, samples = frame.shaped
        high, wide = (
            (frame.tilelength, frame.tilewidth)
            if frame.is_tiled
            else (min(frame.rowsperstrip, height), width)
        )
        down, across = math.ceil(height / high), math.ceil(width / wide)
        if len(page.databytecounts) < frame.shaped[0] * down * across:
            raise _truncated(self._path, f"plane {number} lacks strips or tiles")
        out = np.zeros((y.stop - y.start, x.stop - x.start, samples), self.dtype)
        for row in range(y.start // high, (y.stop - 1) // high + 1):
            for column in range(x.start // wide, (x.stop - 1) // wide + 1):
                segment = (separate * down + row) * across + column
                if page.databytecounts[segment] == 0:
                    continue  # a sparse file has no bytes where all is 0
                decode = partial(self._segment, page, number, segment)
                block = self._segments.get((number, segment), decode)
                top, left = row * high, column * wide
                y0, y1 = max(top, y.start), min(top + block.shape[0], y.stop)
                x0, x1 = max(left, x.start), min(left + block.shape[1], x.stop)
                part = block[y0 - top : y1 - top, x0 - left : x1 - left]
                out[y0 - y.start : y1 - y.start, x0 - x.start : x1 - x.start] = part
        return out

    def _segment(self, page: Any, number: int, segment: int) -> Array:
        """One decoded strip or tile as (Y, X, S)."""
        offset, count = page.dataoffsets[segment], page.databytecounts[segment]
        handle = page.parent.filehandle
        with self._decoding(number):
            handle.seek(offset)
            data = handle.read(count)
        if len(data) < count:
            raise FileError("ends too early", "copy it again from its origin", file=self._path)
        frame = self._series.keyframe
        with self._decoding(number):
            return np.asarray(frame.decode(data, segment, jpegtables=page.jpegtables)[0][0])


def open_tiff(
    path: Path, *, field: int | None = None, axes: str | None = None
) -> tuple[Image, bool]:
    """Open one field of a TIFF file.

    Parameters
    ----------
    path : Path
    field : int, optional
        Position of the series; needed where the file holds several fields.
    axes : str, optional
        Letters of T, C, Z for the axes before Y and X, where the file does not name them.

    Returns
    -------
    image : Image
        Lazy. Samples of a pixel (RGB) are channels.
    color : bool
        Whether the samples of a pixel are meant as a color.

    Raises
    ------
    FileError
        Not a TIFF file, or cut short.
    DataError
        The axes or the type of the pixels are not usable.
    """
    with _opened(path) as tif:
        fields = _fields(tif, path)
        chosen = choose_field(field, len(fields), path, f"{path}#field=0")
        series = fields[chosen]
        order = _order(series, axes, path)
        color, samples = _color(series, path)
        with _faults(path):
            facts = facts_of(tif, chosen)
        file = _File(tif)
        levels = [TiffPlanes(path, chosen, i, order, file) for i in range(len(series.levels))]
    _warn_unless_square(facts, path)
    n_channels = levels[0].shape[1]
    return (
        Image(
            levels[0],
            _channels(facts, n_channels, samples if color else 1),
            pixel_size_um=facts.pixel_size_um,
            frame_interval_s=facts.frame_interval_s,
            z_step_um=facts.z_step_um,
            source=path,
            levels=tuple(levels[1:]),
            about=facts.about,
        ),
        color,
    )


def _warn_unless_square(facts: Facts, path: Path) -> None:
    width, height = facts.pixel_size_um, facts.pixel_height_um
    if width and height and abs(width / height - 1) > 0.01:
        warnings.warn(
            f"{path}: pixels are {width:g} um wide and {height:g} um high; the width is used",
            stacklevel=4,
        )


def tiff_fields(path: Path) -> int:
    """Number of fields (positions) in a TIFF file."""
    with _opened(path) as tif:
        return len(_fields(tif, path))


def _channels(facts: Facts, n_channels: int, samples: int) -> tuple[Channel, ...]:
    if len(facts.channels) == n_channels:
        return facts.channels
    if samples > 1 and n_channels == samples:
        return tuple(Channel(name) for name in "RGBA"[:samples])
    return tuple(Channel(f"C{i}") for i in range(n_channels))


def _fields(tif: tifffile.TiffFile, path: Path) -> list[Any]:
    """Series that are fields; thumbnails, labels and overviews are not."""
    with _faults(path):
        every = list(tif.series)
    if not every:
        raise FileError("holds no image", "check how it was saved", file=path)
    if tif.is_ome:
        return every
    area = [math.prod(series.keyframe.shaped[2:4]) for series in every]
    return [
        s
        for s, a in zip(every, area, strict=True)
        if 4 * a > max(area) and not s.keyframe.is_reduced
    ]


def _order(series: Any, axes: str | None, path: Path) -> str:
    """The axis of T, C, Z that each axis before the plane stands for."""
    leading = series.axes[: len(series.axes) - len(series.keyframe.axes)]
    if not set("YX") <= set(series.axes) or series.axes[len(leading) :] != series.keyframe.axes:
        raise DataError(
            f"has axes {series.axes} of shape {series.shape}",
            "save it as planes, each with Y and X",
            file=path,
        )
    given = None if axes is None else axes.removesuffix("YX")
    named = "".join(axis if axis in "TCZ" else "?" for axis in leading)
    if given is not None:
        named = given
    elif named.count("?") == 1 and "Z" not in named:
        named = named.replace("?", "Z")  # as ImageJ does with a stack that says nothing
    usable = len(named) == len(leading) and len(set(named)) == len(named)
    if not usable or not set(named) <= set("TCZ"):
        raise DataError(
            f"has axes {series.axes} of shape {series.shape}, of which "
            f"{len(leading)} must be named with letters of T, C, Z (given: {axes})",
            f"name them, for example axes={'TCZ'[: len(leading)] + 'YX'!r}",
            file=path,
        )
    return named


class _Color(NamedTuple):
    is_color: bool
    samples: int


def _color(series: Any, path: Path) -> _Color:
    page = series.keyframe
    samples = page.shaped[0] * page.shaped[4]
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE and not page.is_imagej:
        table = None if page.colormap is None else np.asarray(page.colormap, np.int64)
        if table is not None and (np.diff(table, axis=1) < 0).any():
            raise DataError(
                "stores numbers of colors in a palette, not intensities",
                "save it as 8-bit or 16-bit grey",
                file=path,
            )
    return _Color(page.photometric in _RGB and samples in (3, 4), samples)


def _native(dtype: np.dtype[Any] | None, path: Path) -> np.dtype[Any]:
    if dtype is None or dtype.kind not in "buif":
        raise DataError(f"has pixels of type {dtype}", "save it as integers or floats", file=path)
    return np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("=")


def _mappable(page: Any) -> bool:
    return bool(page.is_memmappable and page.is_final)


def _check_sides(series: Any, path: Path) -> None:
    """Refuse sides of images, strips and tiles with which nothing can be counted."""
    page = series.keyframe
    segment = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip,)
    if not _whole((*series.shape, *page.shaped, *segment)) or min(segment) < 1:
        raise FileError(
            f"is no readable TIFF file (planes of {page.shaped}, strips or tiles of {segment})",
            "check that it is the right file",
            file=path,
        )


def _whole(numbers: Iterable[object]) -> bool:
    return all(isinstance(number, int | np.integer) for number in numbers)


def _check_complete(series: Any, offset: int | None, path: Path) -> None:
    """Refuse a file whose pixels lie behind its end."""
    size = path.stat().st_size
    if offset is not None:
        end = offset + math.prod(series.shape) * series.dtype.itemsize
    else:
        n_pages = len(series)
        some = {round(i * (n_pages - 1) / 15) for i in range(16)}
        with _faults(path):
            pages = [series[i] for i in sorted(some)]
        own = [p for p in pages if p is not None and p.parent is series.keyframe.parent]
        for page in own:
            listed = (*page.dataoffsets, *page.databytecounts)
            if len(listed) != 2 * len(page.dataoffsets) or not _whole(listed):
                raise _truncated(path, "a list of its strips or tiles is")
        ends = [
            start + count
            for page in own
            for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)
        ]
        end = max(ends, default=0)
    if end > size:
        raise _truncated(path, f"has {size} bytes, its pixels reach to byte {end}")


def _truncated(path: Path, how: str) -> FileError:
    return FileError(
        f"is cut short: {how}",
        "copy it again from its origin, or write it again",
        file=path,
    )


class _Notes(logging.Filter):
    """What tifffile says about a file instead of raising, kept from its log.

    One filter for good, which tells the threads apart: several open files at once, and what is
    said is of the file that the same thread opens. Outside of `heard` all goes to the log.
    """

    def __init__(self) -> None:
        super().__init__()
        self._own = threading.local()

    @contextmanager
    def heard(self) -> Iterator[list[str]]:
        """A list that grows by what this thread's tifffile says."""
        before: list[str] | None = getattr(self._own, "texts", None)
        texts: list[str] = []
        self._own.texts = texts
        try:
            yield texts
        finally:
            self._own.texts = before

    def filter(self, record: logging.LogRecord) -> bool:
        texts: list[str] | None = getattr(self._own, "texts", None)
        if texts is None or record.levelno < logging.WARNING:
            return True
        texts.append(record.getMessage())
        return False


_NOTES = _Notes()
logging.getLogger("tifffile").addFilter(_NOTES)


@contextmanager
def _opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF file; its faults are raised as our errors."""
    with _NOTES.heard() as texts:
        with _faults(path):
            tif = tifffile.TiffFile(path)
        with tif:
            with _faults(path):
                _ = len(tif.pages)  # walks to the last page, which finds a file that is cut short
            if any(sign in text for text in texts for sign in _CUT_SHORT):
                raise _truncated(path, "its list of planes leads behind its end")
            yield tif


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    """Turn whatever broken headers, tags and OME-XML raise into our error.

    Only what tifffile reads stands inside: a bug of ours is no damage of the file.
    """
    try:
        yield
    except (UnstainedError, OSError, MemoryError):
        raise
    except Exception as error:
        raise FileError(
            f"is no readable TIFF file ({error})", "check that it is the right file", file=path
        ) from error
