"""Random numbers by place: equal places draw equal numbers, whoever asks and when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index

import numpy as np

from ..errors import InputError

__all__ = ["Seed", "seed_parts", "stream"]

Seed = int | Sequence[int]


def seed_parts(seed: Seed) -> tuple[int, ...]:
    """The whole numbers of a seed, of whatever integer type.

    Raises
    ------
    InputError
        One of them is negative or not whole.
    """
    try:
        parts = tuple(map(index, seed if isinstance(seed, Iterable) else (seed,)))
    except TypeError:
        parts = (-1,)
    if min(parts, default=0) < 0:
        raise InputError(f"seed {seed}", "give whole numbers from 0 on")
    return parts


def stream(seed: Seed, *place: int) -> np.random.Generator:
    """A generator for one place of a simulation, for example (frame, channel).

    NumPy's seed sequence [1]_ turns seed and place into the key of a Philox generator, so
    streams of different places are independent and no order of work changes them.

    Raises
    ------
    InputError
        A seed that is negative or not whole.

    References
    ----------
    .. [1] https://numpy.org/doc/stable/reference/random/parallel.html
    """
    sequence = np.random.SeedSequence(seed_parts(seed), spawn_key=place)
    return np.random.Generator(np.random.Philox(sequence))
