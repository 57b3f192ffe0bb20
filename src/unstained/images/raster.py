"""PNG, JPEG and NumPy files."""

from __future__ import annotations

import struct
from pathlib import Path
from tokenize import TokenError
from typing import Any

import imagecodecs
import numpy as np

from ..errors import DataError, FileError
from .image import Array, Channel, Image, LazyArray, LazyPlanes, as_image

__all__ = ["open_npy", "open_raster", "read_palette_indices"]

_DAMAGED = "copy it again from its origin, or write it again"
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_PALETTE = 3


class RasterPlanes(LazyPlanes):
    """A PNG or JPEG file, decoded when a plane is first asked for and then kept."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        super().__init__(shape, dtype)
        self._path = path
        self._pixels: Array | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return RasterPlanes, (self._path, self.shape, self.dtype)

    def _crop(self, t: int, c: int, z: int, y: slice, x: slice) -> Array:
        if self._pixels is None:
            self._pixels = _decode(self._path)
        return self._pixels[y, x, c]


def open_raster(path: Path) -> tuple[Image, bool]:
    """Open a PNG or JPEG file; the second value says whether its samples are a color.

    Raises
    ------
    FileError
        The file cannot be decoded.
    """
    pixels = _decode(path)
    samples = pixels.shape[2]
    data = RasterPlanes(path, (1, samples, 1, *pixels.shape[:2]), pixels.dtype)
    data._pixels = pixels  # decoded already to be checked
    names = {1: "C", 2: "CA", 3: "RGB", 4: "RGBA"}[samples]
    channels = ("C0",) if samples == 1 else tuple(names)
    return Image(data, tuple(Channel(name) for name in channels), source=path), samples > 1


def _decode(path: Path) -> Array:
    """Pixels as (Y, X, S)."""
    data = path.read_bytes()
    decode = imagecodecs.png_decode if data[:8] == _PNG_SIGNATURE else imagecodecs.jpeg8_decode
    try:
        pixels = np.asarray(decode(data))
    except (RuntimeError, ValueError, EOFError) as error:
        raise FileError(f"cannot be decoded ({error})", _DAMAGED, file=path) from error
    if decode is imagecodecs.jpeg8_decode and b"\xff\xd9" not in data[-1024:]:
        raise FileError("is cut short: a JPEG file without an end", _DAMAGED, file=path)
    return pixels.reshape(*pixels.shape[:2], -1)  # (Y, X) or (Y, X, S) -> (Y, X, S)


def read_palette_indices(path: Path) -> Array | None:
    """Numbers of the colors of a PNG with a palette as (Y, X); None for another PNG.

    Label images are often stored so.
    """
    with path.open("rb") as file:
        head = file.read(26)
    if head[:8] != _PNG_SIGNATURE or len(head) < 26:
        return None
    if struct.unpack(">B", head[25:26])[0] != _PNG_PALETTE:
        return None
    from PIL import Image as Pillow

    try:
        with Pillow.open(path) as image:
            return np.array(image)
    except (OSError, SyntaxError) as error:
        raise FileError(f"cannot be decoded ({error})", _DAMAGED, file=path) from error


def open_npy(path: Path, *, axes: str | None) -> tuple[Image, bool]:
    """Open a ``.npy`` array, mapped into memory.

    Parameters
    ----------
    path : Path
    axes : str, optional
        One letter of ``TCZYX`` for each axis. Without it two axes are YX, three are ZYX
        (planes of one field), five are TCZYX.

    Raises
    ------
    FileError
        Not a NumPy file, cut short, or one with Python objects.
    DataError
        The axes or the type are not usable.
    """
    try:
        array = np.lib.format.open_memmap(path, mode="r")  # refuses Python objects
    except (ValueError, EOFError, TokenError) as error:  # its header is Python
        raise FileError(
            f"is no readable NumPy array ({error})",
            "write it again with numpy.save, without Python objects",
            file=path,
        ) from error
    if array.dtype.kind not in "buif" or array.size == 0:
        raise DataError(
            f"holds {array.dtype} of shape {array.shape}", "save integers or floats", file=path
        )
    color = axes is None and array.ndim == 3 and array.shape[2] in (3, 4) and array.shape[0] > 4
    names = axes or ("YXC" if color else {2: "YX", 3: "ZYX", 5: "TCZYX"}.get(array.ndim))
    if names is None:
        raise DataError(
            f"has shape {array.shape}, whose axes are not known",
            "name them, for example axes='CZYX'",
            file=path,
        )
    image = as_image(array, names, channels="RGBA"[: array.shape[2]] if color else ())
    return Image(NpyPlanes(path, names, image.data), image.channels, source=path), color


class NpyPlanes(LazyPlanes):
    """A ``.npy`` file, mapped into memory for each read."""

    def __init__(self, path: Path, axes: str, ordered: LazyArray) -> None:
        kind = np.dtype(np.uint8) if ordered.dtype.kind == "b" else ordered.dtype.newbyteorder("=")
        super().__init__(ordered.shape, kind)
        self._path = path
        self._axes = axes

    def _crop(self, t: int, c: int, z: int, y: slice, x: slice) -> Array:
        array = np.lib.format.open_memmap(self._path, mode="r")
        return np.array(as_image(array, self._axes).data[t, c, z, y, x], self.dtype)
