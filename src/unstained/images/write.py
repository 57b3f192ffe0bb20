"""Writing OME-TIFF and PNG; OME-Zarr has a module of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from ..errors import InputError
from .atomic import atomic_path, json_text
from .image import NOTE, Array, Image

__all__ = ["write_ome_tiff", "write_png"]

_OME_TYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")
"""What OME-XML has a name for."""


def write_ome_tiff(
    image: Image, path: str | Path, *, tile: int = 512, overwrite: bool = False
) -> Path:
    """Write an image as tiled, compressed OME-TIFF, tile by tile.

    Parameters
    ----------
    image : Image
        Need not fit into memory.
    path : str or Path
        Should end in ``.ome.tif``.
    tile : int
        Side of a tile, pixels; a multiple of 16.
    overwrite : bool
        Whether a file of this name is replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    FileError
        The file exists or cannot be written.
    InputError
        The type of the pixels or the tile is not usable.
    """
    import tifffile

    if image.dtype.name not in _OME_TYPES or tile < 16 or tile % 16:
        raise InputError(
            f"pixels of type {image.dtype}, tile {tile}",
            "give integers of up to 32 bits or floats of 32 or 64, and a tile that is a multiple "
            "of 16",
        )
    path = Path(path)
    metadata = _ome_metadata(image)
    n_bytes = int(np.prod(image.shape, dtype=np.int64)) * image.dtype.itemsize
    with (
        atomic_path(path, replace=overwrite) as part,
        tifffile.TiffWriter(part, ome=True, bigtiff=n_bytes > 2**31) as tif,
    ):
        tif.write(
            _tiles(image, tile),
            shape=image.shape,
            dtype=image.dtype,
            tile=(tile, tile),
            photometric="minisblack",
            compression="zlib",
            predictor=True,
            metadata=metadata,
        )
    return path


def _ome_metadata(image: Image) -> dict[str, Any]:
    channels: dict[str, Any] = {"Name": [channel.name for channel in image.channels]}
    if all(channel.color for channel in image.channels):
        channels["Color"] = [_ome_color(str(channel.color)) for channel in image.channels]
    metadata: dict[str, Any] = {"axes": "TCZYX", "Channel": channels}
    if image.about:
        metadata["CommentAnnotation"] = {"Namespace": NOTE, "Value": json_text(image.about)}
    if image.pixel_size_um is not None:
        for axis in "XY":
            metadata[f"PhysicalSize{axis}"] = image.pixel_size_um
            metadata[f"PhysicalSize{axis}Unit"] = "µm"
    if image.z_step_um is not None:
        metadata["PhysicalSizeZ"] = image.z_step_um
        metadata["PhysicalSizeZUnit"] = "µm"
    if image.frame_interval_s is not None:
        metadata["TimeIncrement"] = image.frame_interval_s
        metadata["TimeIncrementUnit"] = "s"
    return metadata


def _ome_color(rgb: str) -> int:
    """OME stores red, green, blue, alpha in one signed 32-bit number."""
    number = int(rgb.lstrip("#"), 16) << 8 | 0xFF
    return number - 2**32 if number >= 2**31 else number


def _tiles(image: Image, side: int) -> Iterator[Array]:
    """All tiles in the order of the file; a band of tiles is read at once."""
    n_t, n_c, n_z, height, width = image.shape
    for t, c, z in np.ndindex(n_t, n_c, n_z):
        for top in range(0, height, side):
            band = np.asarray(image.data[t, c, z, top : top + side])
            for left in range(0, width, side):
                yield np.ascontiguousarray(band[:, left : left + side])


def write_png(array: Array, path: str | Path) -> Path:
    """Write one plane as PNG; a file of this name is replaced.

    Parameters
    ----------
    array : (Y, X) or (Y, X, 3) or (Y, X, 4) array of uint8 or uint16
        Grey, color, or color with transparency.
    path : str or Path

    Returns
    -------
    Path
        The file.

    Raises
    ------
    FileError
        It cannot be written.
    InputError
        Another shape or type.
    """
    array = np.asarray(array)
    usable = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if not usable or array.dtype not in (np.uint8, np.uint16) or array.size == 0:
        raise InputError(
            f"an array of shape {array.shape} and type {array.dtype} is no PNG",
            "scale it to uint8 or uint16, (Y, X) or (Y, X, 3)",
        )
    path = Path(path)
    with atomic_path(path) as part:
        part.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(array)))
    return path
