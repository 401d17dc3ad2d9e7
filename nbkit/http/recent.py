"""A cache of a fixed size: what was not used for the longest time makes room for what is new."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The values that were used last, at most `size` of them. Safe to use from several threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: dict[K, V] = {}  # in the order of their last use
        self._lock = threading.Lock()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return the value of a key, made where there is none."""
        dropped = None
        with self._lock:
            value = self._values.pop(key, None)
            if value is None:
                value = make()
            self._values[key] = value
            if len(self._values) > self._size:
                dropped = self._values.pop(next(iter(self._values)))
        del dropped  # after the lock is released: closing connections takes time
        return value

    def list_all(self) -> list[V]:
        """List all values."""
        with self._lock:
            return list(self._values.values())

    def take_all(self) -> list[V]:
        """Return all values, and forget them."""
        with self._lock:
            values = list(self._values.values())
            self._values.clear()
        return values

    def __len__(self) -> int:
        return len(self._values)
