"""Random numbers by place: equal places draw equal numbers, whoever asks and when."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError

__all__ = ["Seed", "stream"]

Seed = int | Sequence[int]


def stream(seed: Seed, *place: int) -> np.random.Generator:
    """A generator for one place of a simulation, for example (frame, channel).

    NumPy's seed sequence [1]_ turns seed and place into the key of a Philox generator, so
    streams of different places are independent and no order of work changes them.

    Raises
    ------
    InputError
        A negative seed.

    References
    ----------
    .. [1] https://numpy.org/doc/stable/reference/random/parallel.html
    """
    parts = [seed] if isinstance(seed, int) else list(seed)
    if any(part < 0 for part in parts):
        raise InputError(f"seed {seed}", "give whole numbers from 0 on")
    sequence = np.random.SeedSequence(parts, spawn_key=place)
    return np.random.Generator(np.random.Philox(sequence))
