"""What every cell of a movie does: where it crawls, how it stretches, divides, dies, expresses.

Cells do not see one another, so each is computed over its whole life at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.signal import lfilter

from ..errors import InputError
from .cells import Cell, build_cell, checked_shares, crowd, resting_area_um2, room_um2
from .stains import Marker
from .streams import stream

if TYPE_CHECKING:
    from .movie import MovieSettings

__all__ = ["Track", "cell_at", "grow_lineage", "ornstein_uhlenbeck", "persistent_walk"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_BORDER_UM = 8.0  # how near to the field's border a cell's center comes
# by all cells of a frame together, of what founders may cover 0.8 of: those that crawl overlap
_MOST_COVERED = 1.5


@dataclass(frozen=True)
class Track:
    """One cell over its life of N = end - begin + 1 frames.

    Attributes
    ----------
    label, parent : int
        From 1 on; parent 0 is none.
    begin, end : int
        First and last frame.
    fate : str
        ``"divides"``, ``"dies"`` or ``"lives"`` (to the movie's end).
    build : Cell
        As it would be at rest.
    y_um, x_um, angle_rad, volume_um3, roundness : (N,) float arrays
    stretch : (N, A) float array
        Factor of each arm's length.
    mean : (M,) float array
        The cell's own mean of each marker, in units of the spread between cells.
    fluctuation : (N, M) float array
        Ornstein-Uhlenbeck process of each marker, variance 1.
    level : (N, M) float array
        Expression: ``exp(level_sd mean + fluctuation_sd fluctuation)``, of mean 1.
    """

    label: int
    parent: int
    begin: int
    end: int
    fate: str
    build: Cell
    y_um: Floats
    x_um: Floats
    angle_rad: Floats
    volume_um3: Floats
    roundness: Floats
    stretch: Floats
    mean: Floats
    fluctuation: Floats
    level: Floats


@dataclass(frozen=True)
class _Birth:
    """What a cell starts with."""

    frame: int
    parent: int
    build: Cell
    age: float  # share of its life that is over
    mean: Floats  # (M,)
    fluctuation: Floats  # (M,)


def cell_at(track: Track, t: int) -> Cell:
    """The cell of a track in frame `t`, which it must live in."""
    i = t - track.begin
    return replace(
        track.build,
        y_um=float(track.y_um[i]),
        x_um=float(track.x_um[i]),
        angle_rad=float(track.angle_rad[i]),
        arm_um=track.build.arm_um * track.stretch[i],
        volume_um3=float(track.volume_um3[i]),
        roundness=float(track.roundness[i]),
    )


def grow_lineage(settings: MovieSettings, markers: Mapping[str, Marker]) -> list[Track]:
    """All tracks of a movie, ordered by label: founders first, then daughters as they are born.

    Raises
    ------
    InputError
        More cells than fit, at the start or once they have divided: spread, they would cover
        more than 1.5 times the area.
    """
    rng = stream(settings.seed, 10)
    side = settings.size * settings.optics.pixel_size_um
    shares = checked_shares(settings.shares)
    founders = crowd(settings.cells, (side, side), (settings.seed, 11), shares)
    n_markers = len(markers)
    births = [
        _Birth(
            0,
            0,
            cell,
            float(rng.uniform(0, 0.9)),
            _equally_correlated(rng, settings.level_correlation, n_markers),
            _equally_correlated(rng, settings.fluctuation_correlation, n_markers),
        )
        for cell in founders
    ]
    covered_um2, n_cells = np.zeros(settings.frames), np.zeros(settings.frames, int)
    tracks: list[Track] = []
    while len(tracks) < len(births):
        label = len(tracks) + 1
        own = stream(settings.seed, 12, label)
        track = _live(settings, markers, births[label - 1], label, own)
        tracks.append(track)
        lived = slice(track.begin, track.end + 1)
        n_cells[lived] += 1
        covered_um2[lived] += resting_area_um2(track.build)
        share = covered_um2[lived] / room_um2((side, side))
        if share.max() > _MOST_COVERED:
            t = track.begin + int(np.argmax(share > _MOST_COVERED))
            raise InputError(
                f"in frame {t} the {n_cells[t]} cells or more do not fit on {side:.0f} x "
                f"{side:.0f} um: they cover more than {_MOST_COVERED:.0%} of it",
                "give fewer frames or cells, a larger field or a longer cycle",
            )
        if track.fate == "divides" and track.end + 1 < settings.frames:
            births += _divide(settings, track, own)
    return tracks


def _live(
    settings: MovieSettings,
    markers: Mapping[str, Marker],
    birth: _Birth,
    label: int,
    rng: np.random.Generator,
) -> Track:
    """One cell from its birth to its end: where it is, its shape, its expression."""
    interval_min = settings.interval_s / 60
    n, fate, to_division = _life_span(settings, birth, rng)
    build = replace(birth.build, label=label)

    steps = np.arange(n)
    side = settings.size * settings.optics.pixel_size_um
    walk = persistent_walk(
        n, interval_min, settings.speed_um_per_h / 60, settings.persistence_min, rng
    )
    start = np.array([build.y_um, build.x_um])
    place = _folded(walk + start, _BORDER_UM, side - _BORDER_UM)
    # the axis turns freely, by a radian in some ten persistence times
    turn = math.sqrt(interval_min / (10 * settings.persistence_min))
    angle = build.angle_rad + np.concatenate([[0], np.cumsum(turn * rng.standard_normal(n - 1))])
    n_arms = len(build.arm_um)
    arms = ornstein_uhlenbeck(
        n,
        interval_min,
        np.full(n_arms, settings.shape_tau_min),
        np.eye(n_arms),
        rng.standard_normal(n_arms),
        rng,
    )
    mitosis = max(1.0, settings.mitosis_min / interval_min)
    ending = np.clip(1 - (n - 1 - steps) / mitosis, 0, 1) if fate != "lives" else 0 * steps
    starting = np.clip(1 - steps / mitosis, 0, 1) if birth.parent else 0 * steps
    # a cell doubles its volume from birth to division
    age = birth.age + (1 - birth.age) * steps / to_division
    volume = birth.build.volume_um3 * (1 + age)
    if fate == "dies":
        volume = volume * (1 - 0.5 * ending)
    fluctuation = ornstein_uhlenbeck(
        n,
        interval_min,
        np.array([settings.tau_of(name) for name in markers]),
        _correlations(settings.fluctuation_correlation, len(markers)),
        birth.fluctuation,
        rng,
    )
    level_sd = np.array([marker.level_sd for marker in markers.values()])
    log_level = level_sd * birth.mean + settings.fluctuation_sd * fluctuation
    log_level -= (level_sd**2 + settings.fluctuation_sd**2) / 2
    return Track(
        label=label,
        parent=birth.parent,
        begin=birth.frame,
        end=birth.frame + n - 1,
        fate=fate,
        build=build,
        y_um=place[:, 0],
        x_um=place[:, 1],
        angle_rad=angle,
        volume_um3=volume,
        roundness=np.maximum(ending, starting).astype(float),
        stretch=np.exp(settings.shape_sd * arms),
        mean=birth.mean,
        fluctuation=fluctuation,
        level=np.exp(log_level),
    )


def _life_span(
    settings: MovieSettings, birth: _Birth, rng: np.random.Generator
) -> tuple[int, str, int]:
    """Frames in which a cell is seen, what ends its track, and frames from birth to division."""
    interval_min = settings.interval_s / 60
    spread = max(0.3, 1 + settings.cycle_cv * rng.standard_normal())
    cycle = max(2, round(settings.cycle_h * 60 * spread / interval_min))  # frames
    to_division = max(1, round(cycle * (1 - birth.age)))
    to_death = math.inf
    if settings.death_per_h > 0:
        to_death = max(1, round(rng.exponential(60 / settings.death_per_h) / interval_min))
    end, left = min(to_division, to_death), settings.frames - birth.frame
    if left < end:
        return left, "lives", to_division
    return int(end), "divides" if to_division <= to_death else "dies", to_division


def _divide(settings: MovieSettings, mother: Track, rng: np.random.Generator) -> list[_Birth]:
    """Two daughters side by side along the mother's axis.

    A daughter's level is ``c m + sqrt(1 - c**2) e`` of its mother's m, so that it has variance 1
    and correlation c with it; the e of the two sisters have correlation -partition.
    """
    c, n_markers = settings.mother_daughter, len(mother.mean)
    last = cell_at(mother, mother.end)
    reach = 0.8 * last.ball_um * np.array([math.sin(last.angle_rad), math.cos(last.angle_rad)])
    own = [
        _sisters(rng, correlation, settings.partition, n_markers)
        for correlation in (settings.level_correlation, settings.fluctuation_correlation)
    ]
    births = []
    for k, side in enumerate((-1, 1)):
        build = build_cell(
            0, last.phenotype, last.y_um + side * reach[0], last.x_um + side * reach[1], rng
        )
        births.append(
            _Birth(
                mother.end + 1,
                mother.label,
                replace(build, angle_rad=last.angle_rad, volume_um3=mother.volume_um3[-1] / 2),
                0.0,
                c * mother.mean + math.sqrt(1 - c**2) * own[0][k],
                c * mother.fluctuation[-1] + math.sqrt(1 - c**2) * own[1][k],
            )
        )
    return births


def _sisters(
    rng: np.random.Generator, correlation: float, partition: float, n_markers: int
) -> tuple[Floats, Floats]:
    """Two sets of normal numbers whose correlation is -partition."""
    first, other = (_equally_correlated(rng, correlation, n_markers) for _ in range(2))
    return first, -partition * first + math.sqrt(1 - partition**2) * other


def persistent_walk(
    n: int,
    interval_min: float,
    speed_um_per_min: float,
    persistence_min: float,
    rng: np.random.Generator,
) -> Floats:
    """Persistent random walk in two dimensions [1]_, from (0, 0).

    Velocity is an Ornstein-Uhlenbeck process; velocity and displacement over an interval are
    drawn from their exact joint distribution, so that the mean squared displacement is
    ``2 S**2 P**2 (t / P - 1 + exp(-t / P))`` for every interval.

    Parameters
    ----------
    n : int
        Frames, at least 1.
    interval_min, speed_um_per_min, persistence_min : float
        Time step, root mean square speed S, persistence P.
    rng : numpy.random.Generator

    Returns
    -------
    (N, 2) float array
        y, x in micrometers.

    References
    ----------
    .. [1] Fuerth (1920), Z. Physik 2:244; Gillespie (1996), Phys. Rev. E 54:2084.
    """
    sigma = speed_um_per_min / math.sqrt(2)  # of each component
    p, a = persistence_min, math.exp(-interval_min / persistence_min)
    # over an interval h, of the part that the velocity at its start does not tell (variance of v,
    # covariance, variance of the displacement), each over sigma^2
    vv = 1 - a**2
    vx = p * (1 - a) ** 2
    xx = p**2 * (2 * interval_min / p - 3 + 4 * a - a**2)
    root = np.linalg.cholesky(np.array([[vv, vx], [vx, xx + 1e-15]]))
    noise = rng.standard_normal((n, 2, 2)) @ root.T * sigma  # (N, component, [v, x])
    start = sigma * rng.standard_normal(2)
    # velocity at the start of each interval, (N, 2)
    velocity = np.concatenate([start[None], noise[:-1, :, 0]])
    velocity = lfilter([1.0], [1.0, -a], velocity, axis=0)
    step = p * (1 - a) * velocity[:-1] + noise[:-1, :, 1]
    return np.concatenate([np.zeros((1, 2)), np.cumsum(step, axis=0)])


def ornstein_uhlenbeck(
    n: int,
    interval_min: float,
    tau_min: Floats,
    correlation: Floats,
    start: Floats,
    rng: np.random.Generator,
) -> Floats:
    """Ornstein-Uhlenbeck processes of mean 0 and variance 1, sampled exactly [1]_.

    ``z(t + h) = rho z(t) + e`` with ``rho_i = exp(-h / tau_i)`` and
    ``cov(e_i, e_j) = C_ij (1 - rho_i rho_j)``: the autocorrelation of each is
    ``exp(-t / tau_i)``, and C is their correlation at equal times.

    Parameters
    ----------
    n : int
        Frames, at least 1.
    interval_min : float
    tau_min : (M,) float array
    correlation : (M, M) float array
        C, positive semi-definite.
    start : (M,) float array
        Values in the first frame.
    rng : numpy.random.Generator

    Returns
    -------
    (N, M) float array

    References
    ----------
    .. [1] Gillespie (1996), Phys. Rev. E 54:2084.
    """
    rho = np.exp(-interval_min / np.asarray(tau_min, float))
    covariance = correlation * (1 - np.outer(rho, rho))
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.clip(values, 0, None))
    noise = rng.standard_normal((n - 1, len(rho))) @ root.T
    out = np.concatenate([np.asarray(start, float)[None], noise])
    for i, r in enumerate(rho):
        out[:, i] = lfilter([1.0], [1.0, -r], out[:, i])
    return out


def _correlations(correlation: float, n: int) -> Floats:
    return np.full((n, n), correlation) + (1 - correlation) * np.eye(n)


def _equally_correlated(rng: np.random.Generator, correlation: float, n: int) -> Floats:
    """`n` standard normal numbers, each two of them correlated by `correlation`."""
    values, vectors = np.linalg.eigh(_correlations(correlation, n))
    return np.asarray(vectors * np.sqrt(np.clip(values, 0, None)) @ rng.standard_normal(n))


def _folded(place: Floats, low: float, high: float) -> Floats:
    """Positions reflected at `low` and `high`."""
    width = high - low
    around = np.mod(place - low, 2 * width)
    return low + np.minimum(around, 2 * width - around)
