"""Writing OME-Zarr 0.5 (0.4 on request) over zarr-python: streamed, multiscale, sharded."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from zarr.codecs import BloscCodec

from ..errors import InputError
from .atomic import atomic_dir, remove_folder
from .image import NOTE, Array, Channel, Image, LazyArray
from .pyramid import Shrunk, block_mean, every_nth, fill
from .read import stem_of

__all__ = ["OmeZarrWriter", "Version", "create_ome_zarr", "write_ome_zarr"]

Version = Literal["0.4", "0.5"]

_SHARD_CHUNKS = 4
"""Chunks along each side of a shard, which is held in memory thrice: 4 x 512 = 2048 px."""

_STAGING = "staging"
_SCALE_FACTOR = 2  # between levels of the pyramid

_COLORS = ("00FFFF", "FF00FF", "FFFF00", "00FF00", "FF8000", "8080FF", "FF0000", "FFFFFF")
"""Given in turn to channels that have no color."""


@dataclass(frozen=True)
class _Layout:
    """What all arrays of one folder share."""

    version: Version
    chunk: int
    pixel_size_um: float | None
    frame_interval_s: float | None
    z_step_um: float | None
    codec: str = "zstd"

    def __post_init__(self) -> None:
        if self.version not in ("0.4", "0.5"):
            raise InputError(f"OME-Zarr version {self.version!r}", "give '0.5' or '0.4'")
        if self.chunk < 16:
            raise InputError(f"chunk {self.chunk}", "give a chunk of at least 16 px")

    def sharded(self, shape: Sequence[int]) -> bool:
        """Large planes go into shards, so that a mosaic is not a million files."""
        return self.version == "0.5" and max(shape[-2:]) > _SHARD_CHUNKS * self.chunk

    def shapes(self, shape: Sequence[int]) -> list[tuple[int, ...]]:
        """Shapes of all levels: the last one fits into one chunk."""
        levels = [tuple(shape)]
        while max(levels[-1][-2:]) > self.chunk:
            y, x = (math.ceil(size / _SCALE_FACTOR) for size in levels[-1][-2:])
            levels.append((*shape[:-2], y, x))
        return levels

    def array(
        self, group: zarr.Group, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> zarr.Array[Any]:
        """A new array with one channel, plane and frame to a chunk."""
        sides = [min(self.chunk, size) for size in shape[-2:]]
        common: dict[str, Any] = {
            "name": name,
            "shape": shape,
            "dtype": dtype,
            "chunks": (1, 1, 1, *sides),
            "fill_value": 0,
        }
        if self.version == "0.4":
            return group.create_array(
                **common,
                compressors=[{"id": "blosc", "cname": self.codec, "clevel": 3, "shuffle": 1}],
                chunk_key_encoding={"name": "v2", "separator": "/"},
            )
        shards = None
        if self.sharded(shape):
            shards = (1, 1, 1, *(side * _SHARD_CHUNKS for side in sides))
        return group.create_array(
            **common,
            shards=shards,
            compressors=BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
            dimension_names=list("tczyx"),
        )

    def multiscales(self, name: str, n_levels: int, *, shifted: bool) -> dict[str, Any]:
        """Metadata of a pyramid.

        The mean of f x f pixels lies (f - 1) / 2 pixels from the first of them: `shifted`.
        """
        units = {
            "t": None if self.frame_interval_s is None else "second",
            "z": None if self.z_step_um is None else "micrometer",
            "y": None if self.pixel_size_um is None else "micrometer",
        }
        units["x"] = units["y"]
        types = {"t": "time", "c": "channel"}
        axes = []
        for axis in "tczyx":
            unit = units.get(axis)
            entry = {"name": axis, "type": types.get(axis, "space")}
            axes.append(entry if unit is None else {**entry, "unit": unit})
        pixel = self.pixel_size_um or 1.0
        datasets = []
        for level in range(n_levels):
            factor = _SCALE_FACTOR**level
            scale = [self.frame_interval_s or 1.0, 1.0, self.z_step_um or 1.0]
            steps: list[dict[str, Any]] = [
                {"type": "scale", "scale": [*scale, pixel * factor, pixel * factor]}
            ]
            if shifted and level:
                shift = pixel * (factor - 1) / 2
                steps.append({"type": "translation", "translation": [0.0, 0.0, 0.0, shift, shift]})
            datasets.append({"path": str(level), "coordinateTransformations": steps})
        kind = {"name": name, "axes": axes, "datasets": datasets}
        return kind if self.version == "0.5" else {"version": "0.4", **kind}

    def set_metadata(self, group: zarr.Group, metadata: Mapping[str, Any]) -> None:
        """Store OME's metadata where the version wants it."""
        if self.version == "0.5":
            group.attrs.update({"ome": {"version": "0.5", **metadata}})
        else:
            group.attrs.update(dict(metadata))


class OmeZarrWriter:
    """Takes blocks of an image in any order; made by `create_ome_zarr`."""

    def __init__(self, array: zarr.Array[Any]) -> None:
        self._array = array
        self._lock = threading.Lock()

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, C, Z, Y, X)."""
        return self._array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        return np.dtype(self._array.dtype)

    def write(self, t: int, c: int, z: int, y0: int, x0: int, block: Array) -> None:
        """Write a (Y, X) block with its first pixel at (`y0`, `x0`).

        Blocks that begin and end at multiples of the chunk are fastest. May be called from
        several threads.

        Raises
        ------
        InputError
            The block does not fit into the image, or its type not into the image's.
        """
        block = np.asarray(block)
        stop = (t + 1, c + 1, z + 1, y0 + block.shape[0], x0 + block.shape[-1])
        inside = min(t, c, z, y0, x0) >= 0 and all(
            s <= n for s, n in zip(stop, self.shape, strict=True)
        )
        if block.ndim != 2 or not inside:
            raise InputError(
                f"block {block.shape} at t={t}, c={c}, z={z}, y={y0}, x={x0} for an image "
                f"of {self.shape}",
                "give (Y, X) blocks inside the image",
            )
        if not np.can_cast(block.dtype, self.dtype, "same_kind"):
            raise InputError(
                f"block of {block.dtype} for an image of {self.dtype}", "convert it first"
            )
        with self._lock:
            self._array[t, c, z, y0 : stop[3], x0 : stop[4]] = block.astype(self.dtype, copy=False)


@contextmanager
def create_ome_zarr(
    path: str | Path,
    shape_tczyx: Sequence[int],
    dtype: Any,
    channels: Sequence[Channel],
    pixel_size_um: float | None,
    *,
    frame_interval_s: float | None = None,
    version: Version = "0.5",
    chunk: int = 512,
    overwrite: bool = False,
    labels: bool = False,
    about: Mapping[str, Any] | None = None,
) -> Iterator[OmeZarrWriter]:
    """Write an OME-Zarr image block by block, for images larger than memory.

    When the block of code ends, the coarser levels are computed (block means, or every second
    pixel of labels, one block at a time) and the folder gets its final name; if it raises,
    nothing remains. Where planes are larger than a shard (4 x 4 chunks), blocks are first
    collected beside and then packed.

    Parameters
    ----------
    path : str or Path
        Final name of the folder.
    shape_tczyx : sequence of int
        (T, C, Z, Y, X).
    dtype : NumPy type
        Integer or float; pixels that are never written are 0.
    channels : sequence of Channel
        One for each channel, with name and color.
    pixel_size_um, frame_interval_s : float or None
        None where not known; then the file states no unit.
    version : {"0.5", "0.4"}
        Of OME-Zarr.
    chunk : int
        Side of a chunk, pixels.
    overwrite : bool
        Whether a folder of this name is replaced.
    labels : bool
        Whether the pixels are numbers of objects, of which there is no mean.
    about : mapping, optional
        Of `Image.about`.

    Yields
    ------
    OmeZarrWriter

    Raises
    ------
    FileError
        The folder exists, or cannot be written.
    InputError
        Shape, type or version are not usable.

    References
    ----------
    .. [1] https://ngff.openmicroscopy.org/0.5/
    """
    layout = _Layout(version, chunk, pixel_size_um, frame_interval_s, None)
    shape, kind = _checked(shape_tczyx, dtype, channels)
    path = Path(path)
    with atomic_dir(path, replace=overwrite) as part:
        group = _root(part, layout, about)
        if layout.sharded(shape):
            plain = _Layout("0.4", chunk, None, None, None, codec="lz4")
            side = zarr.open_group(part / _STAGING, mode="w", zarr_format=2)
            staging = plain.array(side, "0", shape, kind)
            yield OmeZarrWriter(staging)
            fill(layout.array(group, "0", shape, kind), lambda *at: staging[at])
            remove_folder(part / _STAGING)
        else:
            yield OmeZarrWriter(layout.array(group, "0", shape, kind))
        if labels:
            _finish_labels(group, layout, stem_of(path), {})
        else:
            _finish_image(group, layout, stem_of(path), channels)


def write_ome_zarr(
    image: Image,
    path: str | Path,
    *,
    version: Version = "0.5",
    labels: Mapping[str, LazyArray] | None = None,
    chunk: int = 512,
    overwrite: bool = False,
) -> Path:
    """Write an image as OME-Zarr, block by block: it need not fit into memory.

    Parameters
    ----------
    image : Image
    path : str or Path
        Final name of the folder.
    version : {"0.5", "0.4"}
        Of OME-Zarr.
    labels : mapping of name to integer array, optional
        Written as ``labels/NAME``: (Y, X), (T, Y, X) or (T, 1, Z, Y, X), as large as the
        image. Coarser levels take every second pixel.
    chunk, overwrite
        As for `create_ome_zarr`.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileError
        The folder exists, or cannot be written.
    InputError
        Labels that are not integers or of another size, or an unknown version.
    """
    layout = _Layout(
        version,
        chunk,
        image.pixel_size_um,
        image.frame_interval_s,
        image.z_step_um,
    )
    shape, kind = _checked(image.shape, image.dtype, image.channels)
    sets = {name: _labels_5d(name, array, shape) for name, array in (labels or {}).items()}
    path = Path(path)
    with atomic_dir(path, replace=overwrite) as part:
        group = _root(part, layout, image.about)
        fill(layout.array(group, "0", shape, kind), lambda *at: image.data[at])
        _finish_image(group, layout, stem_of(path), image.channels)
        if sets:
            inner = group.create_group("labels")
            layout.set_metadata(inner, {"labels": list(sets)})
        for name, array in sets.items():
            _write_labels(inner.create_group(name), layout, name, array)
    return path


def _checked(
    shape: Sequence[int], dtype: Any, channels: Sequence[Channel]
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    kind = np.dtype(dtype)
    if len(shape) != 5 or min(shape) < 1 or kind.kind not in "uif":
        raise InputError(
            f"an image of shape {tuple(shape)} and type {kind}",
            "give five axes T C Z Y X of at least 1, integers or floats",
        )
    if len(channels) != shape[1]:
        raise InputError(
            f"{len(channels)} channel names for {shape[1]} channels", "name each channel once"
        )
    return tuple(int(n) for n in shape), kind.newbyteorder("=")


def _root(folder: Path, layout: _Layout, about: Mapping[str, Any] | None) -> zarr.Group:
    group = zarr.open_group(folder, mode="w", zarr_format=3 if layout.version == "0.5" else 2)
    if about:
        group.attrs[NOTE] = dict(about)
    return group


def _coarser(
    group: zarr.Group,
    layout: _Layout,
    reduce: Callable[[Array, int], Array],
) -> tuple[zarr.Array[Any], int]:
    """Compute all levels from level 0; returns the coarsest and the number of levels."""
    finest = group["0"]
    assert isinstance(finest, zarr.Array)  # made by the caller
    source = finest
    shapes = layout.shapes(finest.shape)
    for number, shape in enumerate(shapes[1:], 1):
        target = layout.array(group, str(number), shape, np.dtype(finest.dtype))
        fill(target, Shrunk(source, _SCALE_FACTOR, reduce))
        source = target
    return source, len(shapes)


def _finish_image(
    group: zarr.Group, layout: _Layout, name: str, channels: Sequence[Channel]
) -> None:
    coarsest, n_levels = _coarser(group, layout, block_mean)
    entries = []
    for i, channel in enumerate(channels):
        color = channel.color or ("FFFFFF" if len(channels) == 1 else _COLORS[i % len(_COLORS)])
        entries.append(
            {
                "label": channel.name,
                "color": color.lstrip("#").upper(),
                "active": True,
                "window": _window(coarsest, i),
            }
        )
    model = "greyscale" if len(channels) == 1 else "color"
    omero = {"channels": entries, "rdefs": {"model": model, "defaultT": 0, "defaultZ": 0}}
    layout.set_metadata(
        group,
        {"multiscales": [layout.multiscales(name, n_levels, shifted=True)], "omero": omero},
    )


def _window(coarsest: zarr.Array[Any], channel: int) -> dict[str, float]:
    """Range to display: percentiles 0.1 and 99.9 of the coarsest level of up to 32 planes."""
    n_t, _, n_z = coarsest.shape[:3]
    places = list(np.ndindex(n_t, n_z))
    planes = [
        np.asarray(coarsest[t, channel, z]).ravel()
        for t, z in places[:: max(1, math.ceil(len(places) / 32))]
    ]
    values = np.concatenate(planes)
    values = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    low, high = np.percentile(values, (0.1, 99.9)) if values.size else (0.0, 1.0)
    dtype = np.dtype(coarsest.dtype)
    if dtype.kind == "f":
        least, most = (values.min(), values.max()) if values.size else (0.0, 1.0)
    else:
        least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    end = high if high > low else low + 1
    return {"start": float(low), "end": float(end), "min": float(least), "max": float(most)}


def _labels_5d(name: str, array: LazyArray, shape: tuple[int, ...]) -> LazyArray:
    """Labels with the five axes of the image, one channel."""
    t, _, z, y, x = shape
    wanted = (t, 1, z, y, x)
    if not name or "/" in name or "\\" in name or name.startswith("."):
        raise InputError(f"labels are named {name!r}", "give a plain name such as 'cells'")
    if np.dtype(array.dtype).kind not in "bui":
        raise InputError(f"labels {name!r} are of type {array.dtype}", "give integers")
    n_axes = len(array.shape)
    fits = {
        2: (t, z) == (1, 1) and tuple(array.shape) == (y, x),
        3: z == 1 and tuple(array.shape) == (t, y, x),
        5: tuple(array.shape) == wanted,
    }.get(n_axes, False)
    if not fits:
        raise InputError(
            f"labels {name!r} have shape {tuple(array.shape)}, the image {shape}",
            "give (Y, X), (T, Y, X) or (T, 1, Z, Y, X) of the image's size",
        )
    return array if n_axes == 5 else np.asarray(array).reshape(wanted)


def _write_labels(group: zarr.Group, layout: _Layout, name: str, array: LazyArray) -> None:
    dtype = np.dtype(array.dtype)
    kind = np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("=")
    shape = tuple(array.shape)
    fill(layout.array(group, "0", shape, kind), lambda *at: array[at])
    _finish_labels(group, layout, name, {"source": {"image": "../../"}})


def _finish_labels(group: zarr.Group, layout: _Layout, name: str, about: Mapping[str, Any]) -> None:
    _, n_levels = _coarser(group, layout, every_nth)
    version = {"version": "0.4"} if layout.version == "0.4" else {}
    layout.set_metadata(
        group,
        {
            "multiscales": [layout.multiscales(name, n_levels, shifted=False)],
            "image-label": {**version, **about},
        },
    )
