"""Mesenchymal stem cells of three phenotypes: how they are built, and where they stand.

A cell is a soma with arms. The outline runs from the tip of one arm along the soma to the next,
so two long arms make a spindle, several thin ones a star, many broad ones a flat cuboid. What a
`Cell` holds is all that `structures.render` needs: a movie moves and bends cells by replacing
numbers in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from ..errors import InputError
from .streams import Seed, stream

__all__ = ["PHENOTYPES", "SHARES", "Cell", "Phenotype", "build_cell", "outline_um", "place_cells"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Phenotype = Literal["spindle", "star", "flat"]

SHARES: Mapping[Phenotype, float] = {"spindle": 0.45, "star": 0.3, "flat": 0.25}
"""How many of the cells are of each phenotype."""

_MOST_COVERED = 0.8  # of the area; at confluence cells still leave gaps of about a fifth
_LEAST_UM2 = 250.0  # no cell covers less: of 20000 spindles the smallest has 414 um2
_CANDIDATES = 16
_ARM_UM = 20.0  # by which cells reach over the border of the area that their centers lie on
_REACH_UM = 60.0  # how far beyond the field cells are placed, so that some reach into it


@dataclass(frozen=True)
class _Build:
    """Ranges from which a phenotype's cells are drawn; lengths in micrometers."""

    arms: tuple[int, int]
    jitter: float  # of an arm's direction, share of the even angle
    arm: tuple[float, float]  # length from the center
    tip: tuple[float, float]  # half width
    web: float  # how far the membrane between two arms reaches towards the line of their tips
    soma: tuple[tuple[float, float], tuple[float, float]]  # half axes along and across
    nucleus: tuple[tuple[float, float], tuple[float, float]]
    volume_um3: tuple[float, float]


# SS, RS and FC cells: Haasters et al. (2009), J Anat 214:759; ranges ours
PHENOTYPES: Mapping[Phenotype, _Build] = {
    "spindle": _Build(
        arms=(2, 2),
        jitter=0.08,
        arm=(36, 85),
        tip=(0.8, 2.6),
        web=0.3,
        soma=((14, 24), (6.0, 10.0)),
        nucleus=((7.5, 10), (4.0, 5.5)),
        volume_um3=(1000, 2100),
    ),
    "star": _Build(
        arms=(3, 5),
        jitter=0.35,
        arm=(18, 48),
        tip=(0.8, 3.0),
        web=0.5,
        soma=((9, 13), (8.0, 11)),
        nucleus=((6.5, 8.5), (5.0, 6.5)),
        volume_um3=(1000, 2000),
    ),
    "flat": _Build(
        arms=(4, 6),
        jitter=0.4,
        arm=(26, 54),
        tip=(1.0, 5.0),
        web=0.9,
        soma=((19, 27), (16, 22)),
        nucleus=((8.5, 11), (6.5, 8.5)),
        volume_um3=(2000, 4200),
    ),
}


@dataclass(frozen=True)
class Cell:
    """One cell at one moment; lengths in micrometers, angles in radians.

    Attributes
    ----------
    label : int
        From 1 on.
    phenotype : {"spindle", "star", "flat"}
    y_um, x_um : float
        Center; the field's corner is (0, 0).
    angle_rad : float
        Of the long axis against the x axis, towards the y axis.
    arm_angle_rad, arm_um, tip_um : (A,) float arrays
        Of each arm: direction against the long axis (ascending), length from the center, half
        width of its tip.
    soma_um, nucleus_um : (float, float)
        Half axes along and across the long axis.
    volume_um3 : float
    detail : int
        Seed of what is smaller: ruffles, granules, nucleoli, the texture's place.
    roundness : float
        0: spread; 1: a ball, as at division.
    """

    label: int
    phenotype: Phenotype
    y_um: float
    x_um: float
    angle_rad: float
    arm_angle_rad: Floats
    arm_um: Floats
    tip_um: Floats
    soma_um: tuple[float, float]
    nucleus_um: tuple[float, float]
    volume_um3: float
    detail: int
    roundness: float = 0.0

    @property
    def ball_um(self) -> float:
        """Radius of a ball of the cell's volume."""
        return math.cbrt(3 * self.volume_um3 / (4 * math.pi))

    @property
    def shown_nucleus_um(self) -> tuple[float, float]:
        """Half axes of the nucleus at the cell's roundness; in a ball it is a ball, too."""
        along, across = self.nucleus_um
        ball = 0.62 * self.ball_um
        share = self.roundness
        return along + share * (ball - along), across + share * (ball - across)

    @property
    def elongation(self) -> float:
        """Long over short axis: the arms' reach along the axis over that across; 1 for a ball."""
        along = float(np.abs(self.arm_um * np.cos(self.arm_angle_rad)).max())
        across = float(np.abs(self.arm_um * np.sin(self.arm_angle_rad)).max())
        reach = max(along, self.soma_um[0]) / max(across, self.soma_um[1])
        return 1 + (max(reach, 1 / reach) - 1) * (1 - self.roundness)


def build_cell(
    label: int, phenotype: Phenotype, y_um: float, x_um: float, rng: np.random.Generator
) -> Cell:
    """Draw a cell of a phenotype."""
    build = PHENOTYPES[phenotype]
    n_arms = int(rng.integers(build.arms[0], build.arms[1] + 1))
    even = 2 * math.pi / n_arms
    angles = even * (np.arange(n_arms) + build.jitter * rng.uniform(-1, 1, n_arms))
    if phenotype == "spindle" and rng.random() < 0.35:  # a short third arm
        angles = np.sort(np.append(angles % (2 * math.pi), rng.uniform(0.9, 2.2)))
    arms = rng.uniform(*build.arm, angles.size)
    if angles.size > n_arms:
        arms[1] *= 0.4
    along, across = (rng.uniform(*axis) for axis in build.soma)
    nucleus = (rng.uniform(*build.nucleus[0]), rng.uniform(*build.nucleus[1]))
    return Cell(
        label=label,
        phenotype=phenotype,
        y_um=y_um,
        x_um=x_um,
        angle_rad=float(rng.uniform(0, 2 * math.pi)),
        arm_angle_rad=angles,
        arm_um=arms,
        tip_um=rng.uniform(*build.tip, angles.size),
        soma_um=(along, across),
        nucleus_um=nucleus,
        volume_um3=float(rng.uniform(*build.volume_um3)),
        detail=int(rng.integers(2**31)),
    )


def outline_um(cell: Cell) -> Floats:
    """The cell's outline as a closed polygon.

    From each arm's tip along its shaft to the soma or the membrane stretched between it and the
    next arm; corners cut three times (Chaikin [1]_: the limit is a quadratic B-spline), then
    ruffled. With growing `roundness` it turns into the circle of a ball of the same volume.

    Returns
    -------
    (V, 2) float array
        y, x in micrometers, in the field.

    References
    ----------
    .. [1] Chaikin (1974), Computer Graphics and Image Processing 3:346.
    """
    corners = _corners(cell)
    corners = _corner_cutting(len(corners)) @ corners
    theta, radius = np.arctan2(corners[:, 1], corners[:, 0]), np.hypot(*corners.T)
    rng = np.random.default_rng(cell.detail)
    harmonics = np.arange(6, 26)
    size = rng.normal(0, 0.010, harmonics.size)
    turn = rng.uniform(0, 2 * math.pi, harmonics.size)
    ruffle = (size * np.cos(np.outer(theta, harmonics) + turn)).sum(1)
    radius *= 1 + np.clip(ruffle, -0.2, 0.2) * (1 - cell.roundness)
    radius += cell.roundness * (cell.ball_um - radius)
    u, v = radius * np.cos(theta), radius * np.sin(theta)
    bend = rng.normal(0, 0.0015) * (1 - cell.roundness)  # per um: the long axis is a parabola
    v = v + bend * u**2
    cos, sin = math.cos(cell.angle_rad), math.sin(cell.angle_rad)
    return np.stack([cell.y_um + sin * u + cos * v, cell.x_um + cos * u - sin * v], 1)


@lru_cache(maxsize=32)
def _corner_cutting(n: int) -> Floats:
    """The matrix (8 n, n) that cuts the corners of a closed polygon three times."""
    cut = np.eye(n)
    for _ in range(3):
        after = np.roll(cut, -1, axis=0)
        # (V, n) and (V, n) interleaved -> (2 V, n)
        cut = np.stack([0.75 * cut + 0.25 * after, 0.25 * cut + 0.75 * after], 1).reshape(-1, n)
    return cut


def _corners(cell: Cell) -> Floats:
    """Control points of the outline around the cell's center, (5 A, 2) as u (along), v."""
    build = PHENOTYPES[cell.phenotype]
    along, across = cell.soma_um
    gap = np.diff(cell.arm_angle_rad, append=cell.arm_angle_rad[0] + 2 * math.pi)
    axis = np.stack([np.cos(cell.arm_angle_rad), np.sin(cell.arm_angle_rad)], 1)
    side = np.stack([-axis[:, 1], axis[:, 0]], 1)
    length, tip = cell.arm_um[:, None], cell.tip_um[:, None]
    middle = cell.arm_angle_rad + gap / 2
    # the line between neighboring tips is this far away in the middle direction
    other = np.roll(cell.arm_um, -1)
    chord = 2 * cell.arm_um * other * np.cos(gap / 2) / (cell.arm_um + other)
    soma = along * across / np.hypot(across * np.cos(middle), along * np.sin(middle))
    between = np.maximum(soma, build.web * chord)[:, None] * np.stack(
        [np.cos(middle), np.sin(middle)], 1
    )

    def flank(tip_corner: Floats, foot: Floats) -> Floats:
        """Half way down an arm, drawn in towards its axis the more, the less web there is."""
        half = (tip_corner + foot) / 2
        on_axis = (half * axis).sum(1, keepdims=True) * axis
        return np.asarray(on_axis + (half - on_axis) * (0.3 + 0.7 * build.web))

    left, right = length * axis - tip * side, length * axis + tip * side
    corners = [
        flank(left, np.roll(between, 1, axis=0)),
        left,
        right,
        flank(right, between),
        between,
    ]
    return np.stack(corners, 1).reshape(-1, 2)  # 5 x (A, 2) -> (A, 5, 2) -> (5 A, 2)


def place_cells(
    size_um: tuple[float, float],
    density_per_mm2: float,
    seed: Seed,
    *,
    shares: Mapping[Phenotype, float] = SHARES,
) -> list[Cell]:
    """Cells over a field and a little beyond, each where it is least crowded of 16 places.

    Parameters
    ----------
    size_um : (float, float)
        Height and width of the field.
    density_per_mm2 : float
        Cells per mm2; at least one is placed unless it is 0.
    seed : int or sequence of int
    shares : mapping of phenotype to float
        In what proportion they occur; need not sum to 1.

    Returns
    -------
    list of Cell
        Labelled from 1.

    Raises
    ------
    InputError
        A negative density, an unknown phenotype, shares that are negative or all 0, or more
        cells than fit: they would cover more than 80 % of the area.
    """
    if not (density_per_mm2 >= 0 and math.isfinite(density_per_mm2)):
        raise InputError(f"{density_per_mm2} cells per mm2", "give a number from 0 on")
    names = checked_shares(shares)
    height, width = (side + 2 * _REACH_UM for side in size_um)
    mean = density_per_mm2 * height * width * 1e-6
    n_cells = max(1, round(mean)) if density_per_mm2 > 0 else 0
    return crowd(n_cells, (height, width), seed, names, origin_um=-_REACH_UM)


def checked_shares(shares: Mapping[Phenotype, float]) -> dict[Phenotype, float]:
    """The shares, scaled to sum 1.

    Raises
    ------
    InputError
        An unknown phenotype, or shares that are negative or all 0.
    """
    unknown = [name for name in shares if name not in PHENOTYPES]
    if unknown:
        raise InputError(
            f"no phenotype {', '.join(map(str, unknown))}", f"there are {', '.join(PHENOTYPES)}"
        )
    total = sum(shares.values())
    if not (total > 0 and math.isfinite(total)) or min(shares.values()) < 0:
        raise InputError(f"shares {dict(shares)}", "give numbers from 0 on, not all 0")
    return {name: share / total for name, share in shares.items()}


def crowd(
    n_cells: int,
    size_um: tuple[float, float],
    seed: Seed,
    shares: Mapping[Phenotype, float],
    *,
    origin_um: float = 0.0,
) -> list[Cell]:
    """`n_cells` cells on an area that begins at (`origin_um`, `origin_um`).

    Raises
    ------
    InputError
        They would cover more than 80 % of the area.
    """
    rng = stream(seed, 0)
    names = list(shares)
    room = room_um2(size_um)
    if n_cells * _LEAST_UM2 > _MOST_COVERED * room:  # so many are not even drawn
        covering = f"the smallest would cover {n_cells * _LEAST_UM2 / room:.0%}"
        raise _too_many(n_cells, size_um, covering)
    kinds = rng.choice(len(names), n_cells, p=[shares[name] for name in names])
    cells: list[Cell] = []
    anchors = np.empty((0, 3))  # y, x, radius of three discs along each cell
    covered = 0.0
    for i, kind in enumerate(kinds.tolist()):
        cell = build_cell(i + 1, names[kind], 0.0, 0.0, rng)
        covered += resting_area_um2(cell)
        if covered > _MOST_COVERED * room:
            raise _too_many(n_cells, size_um, f"{i + 1} of them cover {covered / room:.0%}")
        places = origin_um + rng.uniform(0, 1, (_CANDIDATES, 2)) * size_um
        best, anchors = _least_crowded(cell, places, anchors)
        cells.append(moved(cell, *best))
    return cells


def _too_many(n_cells: int, size_um: tuple[float, float], covering: str) -> InputError:
    return InputError(
        f"{n_cells} cells do not fit on {size_um[0]:.0f} x {size_um[1]:.0f} um: "
        f"{covering}, and {_MOST_COVERED:.0%} can be",
        "lower the density or enlarge the field",
    )


def room_um2(size_um: tuple[float, float]) -> float:
    """Area that cells can cover whose centers lie in a rectangle: their arms reach beyond it."""
    return (size_um[0] + 2 * _ARM_UM) * (size_um[1] + 2 * _ARM_UM)


def resting_area_um2(cell: Cell) -> float:
    """Area of the cell's outline when it is spread, without ruffles."""
    return polygon_area(_corner_cutting(5 * len(cell.arm_um)) @ _corners(cell))


def _least_crowded(cell: Cell, places: Floats, anchors: Floats) -> tuple[Floats, Floats]:
    """The place whose discs keep most clear of `anchors` (N, 3), and these with the cell's."""
    reach = 0.5 * float(np.quantile(cell.arm_um, 0.8))
    direction = np.array([math.sin(cell.angle_rad), math.cos(cell.angle_rad)])
    # (P, 1, 2) + (3, 2) -> (P, 3, 2)
    discs = places[:, None] + np.outer((-1, 0, 1), reach * direction)
    radius = max(cell.soma_um[1], 0.45 * reach)
    best = 0
    if len(anchors):
        # (P, 3, 1) - (N,) -> (P, 3, N)
        apart = np.hypot(discs[..., :1] - anchors[:, 0], discs[..., 1:] - anchors[:, 1])
        best = int((apart - anchors[:, 2] - radius).min(axis=(1, 2)).argmax())
    own = np.column_stack([discs[best], np.full(3, radius)])
    return places[best], np.concatenate([anchors, own])


def moved(cell: Cell, y_um: float, x_um: float) -> Cell:
    """The same cell at another place."""
    return replace(cell, y_um=float(y_um), x_um=float(x_um))


def polygon_area(vertices: Sequence[Sequence[float]] | Floats) -> float:
    """Area inside a closed polygon (V, 2), by the shoelace formula."""
    y, x = np.asarray(vertices, float).T
    return float(abs(np.dot(y, np.roll(x, -1)) - np.dot(x, np.roll(y, -1))) / 2)
