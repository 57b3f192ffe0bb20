"""A cache of what was used last, as much as fits into memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Kept"]

T = TypeVar("T")


class Kept(Generic[T]):
    """The most recently used values: as many as fit, and at least one.

    Threads may share it; a value that two of them ask for at once may be made twice.

    Parameters
    ----------
    most : int
        What the sizes may add up to.
    size_of : callable
        Size of a value: its bytes, or 1 to count.
    """

    def __init__(self, most: int, size_of: Callable[[T], int]) -> None:
        self._most, self._size_of = most, size_of
        self._values: OrderedDict[Hashable, T] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key; computed where it is not kept."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        made = make()
        with self._lock:
            if key not in self._values:
                self._values[key] = made
                self._size += self._size_of(made)
            while self._size > self._most and len(self._values) > 1:
                _, old = self._values.popitem(last=False)
                self._size -= self._size_of(old)
        return made
