"""What was read or computed last stays in memory, while it fits."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Kept"]

T = TypeVar("T")


class Kept(Generic[T]):
    """The most recently used values, of so many bytes together; one at the least.

    Threads may share it; a value that two of them ask for at once may be made twice.

    Parameters
    ----------
    most_bytes : int
    size_of : callable
        Bytes of a value.
    """

    def __init__(self, most_bytes: int, size_of: Callable[[T], int]) -> None:
        self._most, self._size_of = most_bytes, size_of
        self._values: OrderedDict[Hashable, T] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key; made where it is not there."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        made = make()
        with self._lock:
            if key not in self._values:
                self._values[key] = made
                self._bytes += self._size_of(made)
            while self._bytes > self._most and len(self._values) > 1:
                _, old = self._values.popitem(last=False)
                self._bytes -= self._size_of(old)
        return made
