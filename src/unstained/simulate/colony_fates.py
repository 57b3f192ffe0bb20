"""What becomes of a colony: its class over time, as a continuous-time Markov chain.

The states are the six bins into which the paper [1]_ sorts its crops: four classes, and two
kinds of colony that show two classes at once. The initial shares are the paper's; it gives no
rates, so ours are chosen such that these shares last: see `FLUXES_PER_H`.

References
----------
.. [1] Witmer and Bhanu (2024), Sci Rep 14:4489, doi 10.1038/s41598-024-54993-y.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError

__all__ = [
    "CLASSES",
    "COUNTS",
    "EFFECT_ON",
    "FLUXES_PER_H",
    "MIXTURES",
    "STATES",
    "Fate",
    "check_rates",
    "default_rates",
    "parse_rates",
    "shares",
    "simulate_fate",
    "treated_rates",
]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int64]]

# the value of a pixel in a class mask is 1 + its place here; 0 is background
CLASSES = ("debris", "dense", "differentiated", "spread")
# which two classes a mixed colony shows: what it was, what it becomes
MIXTURES: Mapping[str, tuple[str, str]] = {
    "partly differentiated": ("spread", "differentiated"),
    "partly spread": ("dense", "spread"),
}
STATES = (*CLASSES, *MIXTURES)

# crops of each state in the paper, 21342 in all: 0.19/0.21/0.03/0.56 of the unmixed ones
COUNTS: Mapping[str, int] = {
    "debris": 3587,
    "dense": 3934,
    "differentiated": 656,
    "spread": 10506,
    "partly differentiated": 1436,
    "partly spread": 1223,
}

# Closed ways through the states, each with the share of all colonies that walks it per hour.
# What enters a state by a closed way also leaves it, so the initial shares are stationary.
FLUXES_PER_H: Mapping[tuple[str, ...], float] = {
    # differentiation, death, and a new colony where the debris was
    (
        "dense",
        "partly spread",
        "spread",
        "partly differentiated",
        "differentiated",
        "debris",
    ): 0.0012,
    # there and back again
    ("dense", "partly spread"): 0.0008,
    ("partly spread", "spread"): 0.0008,
    ("spread", "partly differentiated"): 0.0010,
    ("partly differentiated", "differentiated"): 0.0004,
    ("spread", "debris"): 0.0012,
}

# what the treatment hastens or slows: each step away from pluripotency
EFFECT_ON = (
    ("dense", "partly spread"),
    ("partly spread", "spread"),
    ("spread", "partly differentiated"),
    ("partly differentiated", "differentiated"),
)


class Fate(NamedTuple):
    """The episodes in one colony's life.

    Attributes
    ----------
    start_h : (K + 1,) float array
        When each of K episodes begins, hours since the first frame, and when the last one
        ends; inf where it never ends.
    state : (K,) int array
        Places in `STATES`.
    next_state : int
        What follows the last episode; its own state where that never ends.
    """

    start_h: Floats
    state: Integers
    next_state: int

    def episode(self, hour: float) -> int:
        """Number of the episode at an hour; a jump counts from its very moment on."""
        return int(np.searchsorted(self.start_h[1:], hour, side="right"))

    def at(self, hour: float) -> str:
        """The state at an hour."""
        return STATES[int(self.state[self.episode(hour)])]

    def progress(self, hour: float) -> float:
        """How far a mixed colony has become what it becomes, between 0.25 and 0.75.

        The border walks evenly from the side of the class that was there before to that of
        the class that follows. A colony that begins mixed begins at 0.5.
        """
        i = self.episode(hour)
        mixture = MIXTURES[STATES[self.state[i]]]
        follows = self.state[i + 1] if i + 1 < self.state.size else self.next_state
        begin = 0.5 if i == 0 else _side(mixture, int(self.state[i - 1]))
        end = _side(mixture, int(follows))
        length = self.start_h[i + 1] - self.start_h[i]
        passed = 0.0 if np.isinf(length) else (hour - self.start_h[i]) / length
        return float(begin + (end - begin) * passed)


def _side(mixture: tuple[str, str], state: int) -> float:
    """Where the border stands next to this state: the second class has a quarter or three."""
    return {mixture[0]: 0.25, mixture[1]: 0.75}.get(STATES[state], 0.5)


def shares() -> Floats:
    """Share of each state among the paper's crops, (6,) in the order of `STATES`."""
    counts = np.array([COUNTS[state] for state in STATES], float)
    return np.asarray(counts / counts.sum())


def default_rates() -> Floats:
    """Transition rates per hour, (6, 6), from row to column, under which `shares` last.

    rate(i -> j) = flux(i -> j) / share(i); the diagonal is 0.
    """
    flux = np.zeros((len(STATES), len(STATES)))
    for way, per_h in FLUXES_PER_H.items():
        for state, follows in zip(way, (*way[1:], way[0]), strict=True):
            flux[STATES.index(state), STATES.index(follows)] += per_h
    return np.asarray(flux / shares()[:, None])


def treated_rates(rates_per_h: Floats, effect: float) -> Floats:
    """Rates in a treated well: those of `EFFECT_ON` times `effect`.

    Raises
    ------
    InputError
        The effect is negative or not finite.
    """
    if not (np.isfinite(effect) and effect >= 0):
        raise InputError(
            f"a treatment effect of {effect}", "give a factor of at least 0; 1 is no effect"
        )
    treated = np.array(rates_per_h, float)
    for state, follows in EFFECT_ON:
        treated[STATES.index(state), STATES.index(follows)] *= effect
    return treated


def check_rates(rates_per_h: Floats) -> Floats:
    """The rates as (6, 6) floats with a diagonal of 0.

    Raises
    ------
    InputError
        Another shape; a rate off the diagonal that is negative or not finite.
    """
    rates = np.array(rates_per_h, float)
    n = len(STATES)
    if rates.shape != (n, n):
        raise InputError(
            f"transition rates of shape {rates.shape}",
            f"give ({n}, {n}) rates per hour, from row to column, in the order {', '.join(STATES)}",
        )
    np.fill_diagonal(rates, 0)
    wrong = np.argwhere(~(np.isfinite(rates) & (rates >= 0)))
    if wrong.size:
        i, j = wrong[0]
        raise InputError(
            f"a rate of {rates[i, j]} per hour from {STATES[i]} to {STATES[j]}",
            "give a finite rate of at least 0",
        )
    return rates


def parse_rates(named: object) -> Floats:
    """Rates out of ``{"dense": {"spread": 0.02}}``, per hour; those not named are 0.

    Raises
    ------
    InputError
        Not such a table, a state that does not exist, or what `check_rates` refuses.
    """
    rates = np.zeros((len(STATES), len(STATES)))
    form = 'give {"dense": {"spread": 0.02}, ...}: per hour, from and to'
    if not isinstance(named, dict) or not all(isinstance(to, dict) for to in named.values()):
        raise InputError(f"transition rates as {type(named).__name__} of other things", form)
    for state, follows in named.items():
        for other, rate in follows.items():
            if state not in STATES or other not in STATES:
                raise InputError(
                    f"a rate from {state!r} to {other!r}", f"there are {', '.join(STATES)}"
                )
            if not isinstance(rate, int | float):
                raise InputError(f"a rate of {rate!r} from {state} to {other}", form)
            rates[STATES.index(state), STATES.index(other)] = rate
    return check_rates(rates)


def simulate_fate(
    rates_per_h: Floats, until_h: float, rng: np.random.Generator, *, first: str | None = None
) -> Fate:
    """Draw one colony's states until an hour, exactly: exponential waits, then a jump [1]_.

    A longer life has the same beginning: numbers are drawn episode by episode.

    Parameters
    ----------
    rates_per_h : (6, 6) float array
        From row to column, per hour, as `check_rates` gives them.
    until_h : float
        The last episode is the one that holds this hour.
    rng : Generator
        One for each colony.
    first : str, optional
        State at hour 0; without it drawn by `shares`.

    References
    ----------
    .. [1] Gillespie (1977), J Phys Chem 81:2340, doi 10.1021/j100540a008.
    """
    state = int(rng.choice(len(STATES), p=shares())) if first is None else STATES.index(first)
    start_h, states = [0.0], []
    while True:
        states.append(state)
        leaving = rates_per_h[state].sum()
        if leaving == 0:
            start_h.append(np.inf)
            break
        start_h.append(start_h[-1] + rng.exponential(1 / leaving))
        state = int(rng.choice(len(STATES), p=rates_per_h[state] / leaving))
        if start_h[-1] > until_h:
            break
    return Fate(np.array(start_h), np.array(states), state)
