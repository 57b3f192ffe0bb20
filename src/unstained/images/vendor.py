"""CZI, ND2 and LIF, through readers of the extra ``formats``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, FileError, MissingExtra
from .image import Array, Channel, Image, LazyPlanes, choose_field

__all__ = ["open_vendor", "vendor_fields"]

_LUT_COLORS = {
    "red": "FF0000",
    "green": "00FF00",
    "blue": "0000FF",
    "cyan": "00FFFF",
    "magenta": "FF00FF",
    "yellow": "FFFF00",
    "gray": "FFFFFF",
    "grey": "FFFFFF",
}


def open_vendor(path: Path, *, field: int | None) -> tuple[Image, bool]:
    """Open one field of a CZI, ND2 or LIF file, lazily.

    Parameters
    ----------
    path : Path
        The ending chooses the reader.
    field : int, optional
        Scene, position or image, counted from 0; needed where there are several.

    Returns
    -------
    image : Image
    color : bool
        Whether its three channels are the samples of a color.

    Raises
    ------
    MissingExtra
        The extra ``formats`` is not installed.
    FileError
        Damaged, or not of the type that its name says.
    DataError
        No such field, or axes that are not usable.
    """
    with _readable(path):
        reader = _READERS[path.suffix.lower()]
        planes = reader(path, choose_field(field, reader.count(path), path, f"{path}#field=0"))
        return planes.image(), planes.color


def vendor_fields(path: Path) -> int:
    """Number of scenes, positions or images in a CZI, ND2 or LIF file."""
    with _readable(path):
        return _READERS[path.suffix.lower()].count(path)


class _VendorPlanes(LazyPlanes):
    """One field of a file; opened for each read, so that it goes to worker processes."""

    color = False

    def __init__(self, path: Path, field: int) -> None:
        self._path = path
        self._field = field
        self._names: Sequence[str | None] = ()
        self._colors: Sequence[str | None] = ()
        self._sizes: tuple[float | None, float | None, float | None] = (None, None, None)

    @staticmethod
    @abstractmethod
    def count(path: Path) -> int:
        """Number of fields."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._path, self._field)

    def _fix(self, sizes: dict[str, int], dtype: Any) -> None:
        """Take the shape from sizes of axes; refuse axes that are not ours."""
        odd = {axis: n for axis, n in sizes.items() if axis not in "TCZYXS" and n > 1}
        kind = np.dtype(dtype)
        if odd or kind.kind not in "buif":
            raise DataError(
                f"has pixels of type {kind} on axes {sizes}",
                "export it with axes T, C, Z, Y, X as OME-TIFF",
                file=self._path,
            )
        samples = sizes.get("S", 1)
        self.color = samples in (3, 4)
        if samples > 1 and sizes.get("C", 1) > 1:
            raise DataError(
                "has several channels, each of them in color",
                "export the grey values of each channel",
                file=self._path,
            )
        channels = samples if samples > 1 else sizes.get("C", 1)
        shape = (sizes.get("T", 1), channels, sizes.get("Z", 1), sizes["Y"], sizes["X"])
        super().__init__(shape, kind.newbyteorder("="))

    def _at(self, t: int, c: int, z: int) -> tuple[dict[str, int], int | None]:
        """Indices of the plane, and of the sample within it."""
        if self.color:
            return {"T": t, "C": 0, "Z": z}, c
        return {"T": t, "C": c, "Z": z}, None

    def image(self) -> Image:
        """With all facts of the file."""
        n_channels = self.shape[1]
        names = list(self._names)
        if len(names) != n_channels:
            names = list("RGBA"[:n_channels]) if self.color else [None] * n_channels
        colors = list(self._colors) if len(self._colors) == n_channels else [None] * n_channels
        pixel, z_step, interval = self._sizes
        return Image(
            self,
            tuple(Channel(n or f"C{i}", colors[i]) for i, n in enumerate(names)),
            pixel_size_um=pixel,
            frame_interval_s=interval,
            z_step_um=z_step,
            source=self._path,
        )


class _BioioPlanes(_VendorPlanes):
    """What CZI and ND2 share: facts come from a bioio reader."""

    def _facts(self, reader: Any) -> None:
        reader.set_scene(self._field)
        self._names = [str(name) for name in reader.channel_names or ()]
        physical = reader.physical_pixel_sizes
        interval = reader.time_interval
        seconds = getattr(interval, "total_seconds", None)
        self._sizes = (
            _positive(physical.X),
            _positive(physical.Z),
            _positive(seconds() if seconds else interval),
        )


class Nd2Planes(_BioioPlanes):
    """Nikon ND2 through bioio-nd2, which maps frames into memory."""

    def __init__(self, path: Path, field: int) -> None:
        super().__init__(path, field)
        self._reader: Any = None
        reader = self._open()
        self._facts(reader)
        self._fix(dict(zip(reader.dims.order, reader.dims.shape, strict=True)), reader.dtype)

    @staticmethod
    def count(path: Path) -> int:
        return len(_module("bioio_nd2").Reader(path).scenes)

    def _open(self) -> Any:
        if self._reader is None:
            self._reader = _module("bioio_nd2").Reader(self._path)
            self._reader.set_scene(self._field)
        return self._reader

    def _crop(self, t: int, c: int, z: int, y: slice, x: slice) -> Array:
        at, sample = self._at(t, c, z)
        order = "YX" if sample is None else "YXS"
        with _readable(self._path):
            block = self._open().get_image_data(order, **at, Y=y, X=x)
        return np.asarray(block if sample is None else block[..., sample], self.dtype)


class CziPlanes(_BioioPlanes):
    """Zeiss CZI through bioio-czi; the tiles of a mosaic are put together as they are needed."""

    def __init__(self, path: Path, field: int) -> None:
        super().__init__(path, field)
        reader = self._reader(path)
        self._facts(reader)
        mosaic = "M" in reader.dims.order
        whole = reader.mosaic_xarray_dask_data if mosaic else reader.xarray_dask_data
        self._lazy = whole.data
        self._axes = tuple(str(axis) for axis in whole.dims)
        self._fix(dict(zip(self._axes, whole.shape, strict=True)), reader.dtype)

    @staticmethod
    def _reader(path: Path) -> Any:
        return _module("bioio_czi").Reader(path, chunk_dims=["Y", "X"])

    @staticmethod
    def count(path: Path) -> int:
        listed = len(CziPlanes._reader(path).scenes)
        with path.open("rb") as file:
            shapes = _module("aicspylibczi").CziFile(file).get_dims_shape()
        stored = len({s for shape in shapes for s in range(*shape.get("S", (0, 1)))})
        if stored != listed:
            raise DataError(
                f"stores {stored} scenes but describes {listed}",
                "export its scenes as OME-TIFF",
                file=path,
            )
        return listed

    def _crop(self, t: int, c: int, z: int, y: slice, x: slice) -> Array:
        at, sample = self._at(t, c, z)
        index: dict[str, Any] = {**at, "Y": y, "X": x, "S": sample}
        with _readable(self._path):
            block = self._lazy[tuple(index[axis] for axis in self._axes)].compute()
        return np.asarray(block, self.dtype)


class LifPlanes(_VendorPlanes):
    """Leica LIF through liffile. Each tile of a tile scan is a field."""

    def __init__(self, path: Path, field: int) -> None:
        super().__init__(path, field)
        with self._opened(path) as file:
            image, self._tile = _lif_fields(file)[field]
            sizes = {axis: int(n) for axis, n in image.sizes.items() if axis != "M"}
            self._fix(sizes, image.dtype)
            step = {axis: _step(image.coords.get(axis)) for axis in "XZT"}
            x, z = (None if step[a] is None else float(step[a] or 0) * 1e6 for a in "XZ")
            self._sizes = (_positive(x), _positive(z), _positive(step["T"]))  # from meters
            described = image.xml_element.findall(
                "./Data/Image/ImageDescription/Channels/ChannelDescription"
            )
            tables = [str(d.get("LUTName") or "") for d in described]
            self._colors = [_LUT_COLORS.get(name.lower()) for name in tables]
            self._names = [] if self.color else _distinct(tables)

    @staticmethod
    def count(path: Path) -> int:
        with LifPlanes._opened(path) as file:
            return len(_lif_fields(file))

    @staticmethod
    @contextmanager
    def _opened(path: Path) -> Iterator[Any]:
        with _module("liffile").LifFile(path) as file:
            yield file

    def _crop(self, t: int, c: int, z: int, y: slice, x: slice) -> Array:
        at, sample = self._at(t, c, z)
        with _readable(self._path), self._opened(self._path) as file:
            image, _ = _lif_fields(file)[self._field]
            pixels = image.asarray(out="memmap")
            index: dict[str, Any] = {**at, "Y": y, "X": x, "M": self._tile, "S": sample}
            kept = [axis for axis in image.dims if axis in "YX"]
            block = np.array(pixels[tuple(index[axis] for axis in image.dims)], self.dtype)
        return block if kept == ["Y", "X"] else block.T


_READERS: dict[str, type[CziPlanes] | type[Nd2Planes] | type[LifPlanes]] = {
    ".czi": CziPlanes,
    ".nd2": Nd2Planes,
    ".lif": LifPlanes,
}


def _lif_fields(file: Any) -> list[tuple[Any, int]]:
    return [(image, m) for image in file.images for m in range(int(image.sizes.get("M", 1)))]


def _distinct(names: Sequence[str]) -> list[str]:
    """Names, if they tell the channels apart."""
    return list(names) if all(names) and len(set(names)) == len(names) else []


def _step(coordinates: Any) -> float | None:
    if coordinates is None or len(coordinates) < 2:
        return None
    return float(coordinates[1] - coordinates[0])


def _positive(value: Any) -> float | None:
    return float(value) if value is not None and float(value) > 0 else None


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtra(
            f"reading this format needs {name}, which is not installed",
            'run: pip install "unstained[formats]"',
        ) from error


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn whatever a vendor's reader makes of a file into our errors."""
    try:
        yield
    except MissingExtra as error:
        raise MissingExtra(error.reason, error.remedy, file=path) from error.__cause__
    except (FileError, DataError):
        raise
    except Exception as error:  # the readers raise errors of many kinds for damaged files
        raise FileError(
            f"cannot be read ({str(error) or type(error).__name__})",
            "check that it is complete; else export it as OME-TIFF",
            file=path,
        ) from error
