"""One frame of a lazy image."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..images.image import Array, LazyArray

__all__ = ["LazyPlane"]

_STRIP_PX = 1024


class LazyPlane:
    """Frame `t` of the only channel of an image as a (Y, X) array, read where it is indexed."""

    def __init__(self, data: LazyArray, t: int) -> None:
        self._data, self._t = data, t

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape[-2:]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._data.dtype

    def __getitem__(self, at: tuple[slice, slice]) -> Array:
        rows, columns = at
        start, stop, step = rows.indices(self.shape[0])
        if step == 1:
            return np.asarray(self._data[self._t, 0, 0, rows, columns])
        length = max(1, _STRIP_PX // step) * step  # few of many rows: not all of them at once
        strips = [
            self._data[self._t, 0, 0, slice(y, min(y + length, stop), step), columns]
            for y in range(start, stop, length)
        ]
        return np.concatenate(strips)
