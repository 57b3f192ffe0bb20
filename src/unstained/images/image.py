"""The one image type: a lazy array with axes T C Z Y X, and what its numbers mean."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import DataError, InputError

__all__ = [
    "AXES",
    "LARGEST_PIXEL_UM",
    "NOTE",
    "Array",
    "Channel",
    "Image",
    "LazyArray",
    "LazyPlanes",
    "Planes",
    "as_image",
    "check_size",
]

AXES = "TCZYX"
NOTE = "unstained"
"""What `Image.about` is called in files."""
LARGEST_PIXEL_UM = 100.0
"""A pixel this large sees no cell: a size above it is a mistake of units."""

Array = np.ndarray[Any, Any]
"""A NumPy array of any shape and type; docstrings say which."""


class LazyArray(Protocol):
    """What `Image.data` must offer: NumPy arrays and zarr arrays do."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, index: Any) -> Any: ...


# short names end the name: pH3, Trans-Golgi and DF-508 are stains, Ph3 is a phase ring
_LABEL_FREE = re.compile(
    r"(?<!pro)(?<!meta)(?<!ana)(?<!telo)(?<!inter)phase|bright.?field|dark.?field|label.?free"
    r"|transmi|diascop|trans.?(?:light|pmt)|^trans\d*$"
    r"|^(?:.*[_ ])?(?:bf|df|dic|tl|t-?pmt|ph[12l]?|(?-i:P[Hh]3))"
    r"(?:[_ -](?:\d{1,2}x?|image|channel)|\d{1,2}x)?$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Channel:
    """One channel of an image.

    `color` is an RGB hex string without ``#`` ("00FF00"), or None where the file has none.
    """

    name: str
    color: str | None = None

    @property
    def label_free(self) -> bool:
        """Whether the name says so: Phase, PH2, Brightfield, BF, DIC, TL, Trans ..."""
        return _LABEL_FREE.search(self.name) is not None


@dataclass(frozen=True, repr=False)
class Image:
    """An image, movie or mosaic; nothing is read before it is indexed.

    Attributes
    ----------
    data : LazyArray
        Axes (T, C, Z, Y, X), always five.
    channels : tuple of Channel
        As many as `data` has on axis C.
    pixel_size_um : float or None
        Side of a pixel in the sample, micrometers; None where it is not known.
    frame_interval_s : float or None
        Seconds from frame to frame.
    z_step_um : float or None
        Distance of planes, micrometers.
    source : Path or None
        The file it comes from.
    levels : tuple of LazyArray
        Coarser levels of a pyramid, finest first, without `data` itself.
    about : mapping
        How its pixels came to be, where `unstained` made them: `staining.predict` names the model
        in ``about["predicted_by"]``. JSON values; OME-Zarr and OME-TIFF keep them.
    """

    data: LazyArray
    channels: tuple[Channel, ...]
    pixel_size_um: float | None = None
    frame_interval_s: float | None = None
    z_step_um: float | None = None
    source: Path | None = None
    levels: tuple[LazyArray, ...] = field(default=())
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.data.shape) != 5:
            raise InputError(f"image has shape {self.data.shape}", "give five axes T C Z Y X")
        if len(self.channels) != self.data.shape[1]:
            raise InputError(
                f"{len(self.channels)} channel names for {self.data.shape[1]} channels",
                "name each channel once",
            )

    def __repr__(self) -> str:
        """What it is, without its pixels: ``<Image of phase: 1 x 1 x 1 x 8 x 9 (TCZYX) uint8>``."""
        names = ", ".join(channel.name for channel in self.channels)
        said = f"{' x '.join(map(str, self.shape))} (TCZYX) {self.dtype}"
        if self.pixel_size_um is not None:
            said += f", {self.pixel_size_um:g} um per pixel"
        if self.frame_interval_s is not None:
            said += f", {self.frame_interval_s:g} s per frame"
        kind = "Prediction" if self.predicted else "Image"
        return f"<{kind} of {names}: {said}{f', {self.source.name}' if self.source else ''}>"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """All pixels, (T, C, Z, Y, X): ``np.asarray(image)``, ``np.max(image)`` read them all."""
        return np.array(self.data, dtype, copy=copy)

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        t, c, z, y, x = self.data.shape
        return t, c, z, y, x

    @property
    def ndim(self) -> int:
        """5, known without a pixel: ``np.ndim`` would make an array of them all."""
        return len(self.data.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype

    @property
    def predicted(self) -> bool:
        """Whether a model made it, as far as `about` tells."""
        return bool(self.about.get("predicted_by"))

    @property
    def n_planes(self) -> int:
        """Planes of one frame: channels x z."""
        return self.shape[1] * self.shape[2]

    def plane(self, t: int = 0, c: int = 0, z: int = 0) -> Array:
        """One plane as a (Y, X) array."""
        return np.asarray(self.data[t, c, z])

    def planes(self, t: int = 0, y: slice = slice(None), x: slice = slice(None)) -> Array:
        """All planes of frame `t` as (C * Z, Y, X), channel by channel, cropped to `y`, `x`."""
        block = np.asarray(self.data[t, :, :, y, x])
        return block.reshape(-1, *block.shape[-2:])  # (C, Z, Y, X) -> (C * Z, Y, X)

    def channel(self, which: str | int) -> Image:
        """The image of one channel, by name or position.

        Raises
        ------
        DataError
            There is no such channel, or two have that name.
        """
        names = [c.name for c in self.channels]
        if isinstance(which, int | np.integer):
            found = [int(which)] if 0 <= which < len(names) else []
        else:
            found = [i for i, name in enumerate(names) if name.casefold() == which.casefold()]
            if not found and which.isdigit() and int(which) < len(names):
                found = [int(which)]
        if len(found) != 1:
            raise DataError(
                f"no single channel {which!r} among {', '.join(names)}",
                "give one of these names or a position from 0",
                file=self.source,
            )
        return self.channels_at(found)

    def channels_at(self, positions: Sequence[int]) -> Image:
        """The image of some channels, in the order given; positions count from 0.

        Raises
        ------
        DataError
            There is no channel at a position, or none is asked for.
        """
        chosen = list(positions)
        if not chosen or not all(0 <= i < len(self.channels) for i in chosen):
            raise DataError(
                f"channels {chosen} of {len(self.channels)} asked for",
                "give positions, counted from 0",
                file=self.source,
            )
        return replace(
            self,
            data=Planes(self.data, chosen),
            channels=tuple(self.channels[i] for i in chosen),
            levels=tuple(Planes(level, chosen) for level in self.levels),
        )

    def z_planes(self, start: int, stop: int) -> Image:
        """The planes start <= z < stop, counted from 0.

        Raises
        ------
        DataError
            It has fewer.
        """
        depth = self.shape[2]
        if not 0 <= start < stop <= depth:
            asked = f"plane {start}" if stop == start + 1 else f"planes {start}:{stop}"
            raise DataError(
                f"has {depth} planes in z, and {asked} of them asked for",
                "count from 0; a range ends after its last plane",
                file=self.source,
            )
        planes = range(start, stop)
        return replace(
            self,
            data=Planes(self.data, z=planes),
            levels=tuple(
                Planes(level, z=planes) for level in self.levels if level.shape[2] == depth
            ),
        )


def choose_field(field: int | None, n_fields: int, path: Path, first: str | Path) -> int:
    """The field that is meant: the only one, or the one that was chosen.

    Raises
    ------
    DataError
        Several and none chosen, or a number that is not there.
    """
    if field is None and n_fields > 1:
        raise DataError(f"holds {n_fields} fields", f"choose one, for example {first}", file=path)
    if not 0 <= (field or 0) < n_fields:
        raise DataError(f"has no field {field} among {n_fields}", "count from 0", file=path)
    return field or 0


class LazyPlanes(ABC):
    """A (T, C, Z, Y, X) array that is read plane by plane, each only where it is asked for.

    A file format gives `shape`, `dtype` and `_crop`; indexing with integers, slices and
    ``...`` is done here.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape = shape
        self.dtype = dtype

    @property
    def ndim(self) -> int:
        """5; dask asks for it."""
        return len(self.shape)

    @abstractmethod
    def _crop(self, t: int, c: int, z: int, y: slice, x: slice) -> Array:
        """One plane, cropped to `y`, `x` (start, stop, no step), as a (Y, X) array."""

    def __getitem__(self, index: Any) -> Any:
        spans, dropped = _spans(index, self.shape)
        t, c, z, y, x = spans
        block = np.empty([len(span) for span in spans], self.dtype)
        if block.size:
            y_part, y_step = _contiguous(y)
            x_part, x_step = _contiguous(x)
            for i, j, k in np.ndindex(len(t), len(c), len(z)):
                plane = self._crop(t[i], c[j], z[k], y_part, x_part)
                block[i, j, k] = plane[y_step, x_step]
        return block[tuple(0 if axis in dropped else slice(None) for axis in range(5))]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("an image in a file cannot be an array without a copy")
        block: Array = self[...]
        return block if dtype is None else block.astype(dtype)


def _spans(index: Any, shape: tuple[int, ...]) -> tuple[list[range], set[int]]:
    """Indices of each axis, and the axes that an integer takes away."""
    items = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis in items:
        at = items.index(Ellipsis)
        items[at : at + 1] = [slice(None)] * (len(shape) - len(items) + 1)
    items += [slice(None)] * (len(shape) - len(items))
    if len(items) != len(shape):
        raise IndexError(f"{len(items)} indices for the {len(shape)} axes {AXES}")
    spans, dropped = [], set()
    for axis, (item, size) in enumerate(zip(items, shape, strict=True)):
        if isinstance(item, slice):
            spans.append(range(size)[item])
        elif isinstance(item, int | np.integer):
            if not -size <= item < size:
                raise IndexError(f"index {item} on axis {AXES[axis]} of {size}")
            spans.append(range(int(item) % size, int(item) % size + 1))
            dropped.add(axis)
        else:
            raise IndexError(f"index {item!r} on axis {AXES[axis]}: give integers and slices")
    return spans, dropped


def _contiguous(span: range) -> tuple[slice, slice]:
    """The smallest run that holds `span`, and `span` as a slice of that run."""
    low, high = min(span[0], span[-1]), max(span[0], span[-1])
    return slice(low, high + 1), slice(None, None, span.step)


class Planes(LazyPlanes):
    """Some channels of another array and some planes in z, each in a given order; all else."""

    def __init__(
        self,
        data: LazyArray,
        channels: Sequence[int] | None = None,
        z: Sequence[int] | None = None,
    ) -> None:
        t, every_channel, every_z, height, width = data.shape
        self._channels = range(every_channel) if channels is None else tuple(channels)
        self._z = range(every_z) if z is None else tuple(z)
        super().__init__((t, len(self._channels), len(self._z), height, width), data.dtype)
        self._data = data

    def _crop(self, t: int, c: int, z: int, y: slice, x: slice) -> Array:
        return np.asarray(self._data[t, self._channels[c], self._z[z], y, x])


def check_size(name: str, value: float, largest: float = math.inf) -> None:
    """Refuse a pixel size (`name` ends in ``um``) or an interval that a user gave and cannot be.

    Raises
    ------
    InputError
        It is no number above 0 and at most `largest`.
    """
    number = isinstance(value, int | float | np.number) and math.isfinite(value)
    if not (number and 0 < value <= largest):
        most = "" if math.isinf(largest) else f" and at most {largest:g}"
        unit = "micrometers" if name.endswith("um") else "seconds"
        raise InputError(f"{name} is {value!r}", f"give {unit}, above 0{most}")


def as_image(
    array: Array,
    axes: str,
    *,
    channels: Sequence[str | Channel] = (),
    pixel_size_um: float | None = None,
    frame_interval_s: float | None = None,
) -> Image:
    """Wrap a NumPy array whose axes are named, for example ``"YX"``, ``"CYX"``, ``"TYX"``.

    Parameters
    ----------
    array : array
        As many axes as `axes` has letters; whole or real numbers, or truth values.
    axes : str
        Letters of ``TCZYX``, each at most once, with Y and X.
    channels : sequence of str or Channel
        Names; ``C0, C1 ...`` where not given.
    pixel_size_um, frame_interval_s : float, optional
        Micrometers, at most 100; seconds.

    Raises
    ------
    InputError
        The letters do not fit the array, it has no pixels or no numbers, or a size or interval
        cannot be.
    """
    array = np.asarray(array)
    if array.dtype.kind not in "buif":
        raise InputError(
            f"an array of type {array.dtype} and shape {array.shape} is no image",
            "give whole or real numbers; files are opened by images.read_image",
        )
    if (
        len(axes) != array.ndim
        or len(set(axes)) != len(axes)
        or not set("YX") <= set(axes) <= set(AXES)
    ):
        raise InputError(
            f"axes {axes!r} for an array of shape {array.shape}",
            "name each axis with one of T C Z Y X, Y and X among them",
        )
    if array.size == 0:
        raise InputError(f"an array of shape {array.shape} has no pixels", "give some each way")
    if pixel_size_um is not None:
        check_size("pixel_size_um", pixel_size_um, LARGEST_PIXEL_UM)
    if frame_interval_s is not None:
        check_size("frame_interval_s", frame_interval_s)
    present = [a for a in AXES if a in axes]
    ordered = array.transpose([axes.index(a) for a in present])
    full = ordered.reshape([array.shape[axes.index(a)] if a in axes else 1 for a in AXES])
    names = tuple(channels) or tuple(f"C{i}" for i in range(full.shape[1]))
    return Image(
        full,
        tuple(name if isinstance(name, Channel) else Channel(name) for name in names),
        pixel_size_um=pixel_size_um,
        frame_interval_s=frame_interval_s,
    )
