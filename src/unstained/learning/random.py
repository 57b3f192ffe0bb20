"""Random numbers that depend on where they are used, not on what was drawn before.

A sample's augmentation is a function of (seed, step, index) alone, so that a resumed run and
any number of workers draw the very numbers of an uninterrupted one.
"""

from __future__ import annotations

import numpy as np

__all__ = ["generator"]


def generator(seed: int, *counters: int) -> np.random.Generator:
    """A generator for one place: equal places draw equal numbers, others independent ones.

    Philox [1]_ takes the seed as its key and up to three counters as its starting point.

    Parameters
    ----------
    seed : int
        Of the whole run; not negative.
    *counters : int
        For example step and index in the batch; at most three, not negative.

    References
    ----------
    .. [1] Salmon et al. (2011), SC'11, doi 10.1145/2063384.2063405.
    """
    # the lowest word counts the draws themselves
    words = (0, *counters) + (0,) * (3 - len(counters))
    if len(words) != 4 or min(words) < 0 or seed < 0:
        raise ValueError(f"seed {seed} and counters {counters}: at most three, none negative")
    return np.random.Generator(
        np.random.Philox(key=np.array([seed, 0], np.uint64), counter=np.array(words, np.uint64))
    )
