"""The one image type: a lazy array with axes T C Z Y X, and what its numbers mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import DataError, InputError

__all__ = ["AXES", "Array", "Channel", "Image", "LazyArray", "as_image"]

AXES = "TCZYX"

Array = np.ndarray[Any, Any]


class LazyArray(Protocol):
    """What `Image.data` must offer: NumPy arrays and zarr arrays do."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, index: Any) -> Any: ...


@dataclass(frozen=True)
class Channel:
    """One channel of an image.

    `color` is an RGB hex string without ``#`` ("00FF00"), or None where the file has none.
    """

    name: str
    color: str | None = None


@dataclass(frozen=True)
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
    """

    data: LazyArray
    channels: tuple[Channel, ...]
    pixel_size_um: float | None = None
    frame_interval_s: float | None = None
    z_step_um: float | None = None
    source: Path | None = None
    levels: tuple[LazyArray, ...] = field(default=())

    def __post_init__(self) -> None:
        if len(self.data.shape) != 5:
            raise InputError(f"image has shape {self.data.shape}", "give five axes T C Z Y X")
        if len(self.channels) != self.data.shape[1]:
            raise InputError(
                f"{len(self.channels)} channel names for {self.data.shape[1]} channels",
                "name each channel once",
            )

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        t, c, z, y, x = self.data.shape
        return t, c, z, y, x

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype

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
        InputError
            There is no such channel, or two have that name.
        """
        names = [c.name for c in self.channels]
        if isinstance(which, int):
            found = [which] if 0 <= which < len(names) else []
        else:
            found = [i for i, name in enumerate(names) if name.casefold() == which.casefold()]
            if not found and which.isdigit() and int(which) < len(names):
                found = [int(which)]
        if len(found) != 1:
            raise (
                InputError(
                    f"no single channel {which!r} among {', '.join(names)}",
                    "give one of these names or a position from 0",
                )
                if self.source is None
                else DataError(
                    f"no single channel {which!r} among {', '.join(names)}",
                    "give one of these names or a position from 0",
                    file=self.source,
                )
            )
        i = found[0]
        return replace(
            self,
            data=_Channels(self.data, i),
            channels=(self.channels[i],),
            levels=tuple(_Channels(level, i) for level in self.levels),
        )


class _Channels:
    """A lazy view of one channel."""

    def __init__(self, data: LazyArray, index: int) -> None:
        self._data = data
        self._index = index

    @property
    def shape(self) -> tuple[int, ...]:
        return (self._data.shape[0], 1, *self._data.shape[2:])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._data.dtype

    def __getitem__(self, index: Any) -> Any:
        index = index if isinstance(index, tuple) else (index,)
        index = index + (slice(None),) * (5 - len(index))
        t, c, *rest = index
        block = np.asarray(self._data[(t, slice(self._index, self._index + 1), *rest)])
        # the kept axis C stands behind T, unless an integer took T away
        axis = 0 if isinstance(t, int | np.integer) else 1
        return block[(slice(None),) * axis + (c,)]


def as_image(
    array: Array,
    axes: str,
    *,
    channels: Sequence[str] = (),
    pixel_size_um: float | None = None,
    frame_interval_s: float | None = None,
) -> Image:
    """Wrap a NumPy array whose axes are named, for example ``"YX"``, ``"CYX"``, ``"TYX"``.

    Parameters
    ----------
    array : array
        As many axes as `axes` has letters.
    axes : str
        Letters of ``TCZYX``, each at most once, with Y and X.
    channels : sequence of str
        Names; ``C0, C1 ...`` where not given.
    pixel_size_um, frame_interval_s : float, optional
        Micrometers; seconds.

    Raises
    ------
    InputError
        The letters do not fit the array.
    """
    array = np.asarray(array)
    if (
        len(axes) != array.ndim
        or len(set(axes)) != len(axes)
        or not set("YX") <= set(axes) <= set(AXES)
    ):
        raise InputError(
            f"axes {axes!r} for an array of shape {array.shape}",
            "name each axis with one of T C Z Y X, Y and X among them",
        )
    present = [a for a in AXES if a in axes]
    ordered = array.transpose([axes.index(a) for a in present])
    full = ordered.reshape([array.shape[axes.index(a)] if a in axes else 1 for a in AXES])
    names = tuple(channels) or tuple(f"C{i}" for i in range(full.shape[1]))
    return Image(
        full,
        tuple(Channel(name) for name in names),
        pixel_size_um=pixel_size_um,
        frame_interval_s=frame_interval_s,
    )
