"""Where colonies lie in a well, how large they are, and which part of them is what.

An outline is a radius over the angle: an ellipse with harmonics, a few for a compact colony,
many for a ragged one. Sizes are those of the paper's crops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from scipy import signal

from ..errors import InputError

__all__ = [
    "LONG_SIDE_PX",
    "MEDIAN_SIDE_PX",
    "SHORT_SIDE_PX",
    "Outline",
    "draw_outline",
    "outline_region",
    "parted",
    "place",
]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

# bounding boxes of the paper's crops, from 55 x 85 to 771 x 1298 px of 0.8 um
SHORT_SIDE_PX = (55.0, 771.0)
LONG_SIDE_PX = (85.0, 1298.0)
# our choice inside these: the geometric mean of a box's sides, log-normal
MEDIAN_SIDE_PX, SPREAD_OF_LOG = 200.0, 0.5
ASPECT = 1.7  # of the longest ellipses: 1298 / 771

ANGLES = 360
GRID_PX = 16  # positions are tried on a grid this coarse
CLEARANCE_PX = 40.0  # between colonies, so that their halos stay apart
ATTEMPTS = 10

# standard deviation of the radius, relative, and the highest harmonic
RAGGEDNESS = {
    "dense": (0.05, 8),
    "spread": (0.085, 16),
    "differentiated": (0.095, 10),
    "debris": (0.085, 7),
}


@dataclass(frozen=True)
class Outline:
    """A colony's shape, whatever class it is.

    Attributes
    ----------
    side_px : float
        Geometric mean of the sides of its bounding box at hour 0.
    aspect, angle_rad : float
        Of the ellipse beneath.
    waves : (2, H) float array
        Amplitude and phase of harmonics 2 to H + 1; a class takes the first few of them.
    border_angle_rad : float
        In which direction the second class of a mixed colony lies.
    """

    side_px: float
    aspect: float
    angle_rad: float
    waves: Floats
    border_angle_rad: float

    def points(self, class_: str, side_px: float) -> Floats:
        """The closed outline around (0, 0), (360, 2) as y, x in pixels.

        Scaled to `side_px`, and then into the paper's range of bounding boxes.
        """
        theta = np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)
        relative_sd, highest = RAGGEDNESS[class_]
        order = np.arange(2, highest + 1)
        amplitude, phase = self.waves[:, : order.size]
        # lower harmonics are stronger; the sum has the standard deviation named
        weight = order**-0.7 * amplitude
        weight *= relative_sd * np.sqrt(2 / (order**-1.4).sum())
        radius = np.exp((weight * np.cos(np.outer(theta, order) + phase)).sum(axis=1))
        u = radius * np.cos(theta) * np.sqrt(self.aspect)
        v = radius * np.sin(theta) / np.sqrt(self.aspect)
        sine, cosine = np.sin(self.angle_rad), np.cos(self.angle_rad)
        outline = np.stack([sine * u + cosine * v, cosine * u - sine * v], axis=1)
        outline -= (outline.max(axis=0) + outline.min(axis=0)) / 2
        short, long = sorted(np.ptp(outline, axis=0))
        scale = side_px / np.sqrt(short * long)
        # a pixel of room on either side: an outline's box is rounded outwards
        lower = max((SHORT_SIDE_PX[0] + 1) / short, (LONG_SIDE_PX[0] + 1) / long)
        upper = min((SHORT_SIDE_PX[1] - 2) / short, (LONG_SIDE_PX[1] - 2) / long)
        return np.asarray(outline * np.clip(scale, lower, upper))


def draw_outline(rng: np.random.Generator, largest_px: float) -> Outline:
    """Draw a colony's shape.

    Parameters
    ----------
    rng : Generator
        One for each colony.
    largest_px : float
        Sizes above it are drawn again: what a well can hold.
    """
    smallest_px = np.sqrt(SHORT_SIDE_PX[0] * LONG_SIDE_PX[0])
    side_px = 0.0
    while not smallest_px <= side_px <= largest_px:
        side_px = float(rng.lognormal(np.log(MEDIAN_SIDE_PX), SPREAD_OF_LOG))
    harmonics = max(highest for _, highest in RAGGEDNESS.values()) - 1
    waves = np.stack([rng.standard_normal(harmonics), rng.uniform(0, 2 * np.pi, harmonics)], axis=0)
    return Outline(
        side_px,
        float(rng.uniform(1, ASPECT)),
        float(rng.uniform(0, np.pi)),
        waves,
        float(rng.uniform(0, 2 * np.pi)),
    )


def outline_region(points: Floats, center: tuple[float, float], shape: tuple[int, int]) -> Bools:
    """Pixels inside an outline.

    Parameters
    ----------
    points : (N, 2) float array
        y, x around (0, 0), pixels.
    center : (float, float)
        Where (0, 0) lies, y, x, pixels.
    shape : (int, int)
        Of the image.

    Returns
    -------
    (Y, X) bool array
    """
    region = np.zeros(shape, np.uint8)
    xy = np.rint(points[:, ::-1] + np.array(center)[::-1]).astype(np.int32)
    cv2.fillPoly(region, [xy], (1,))
    return region.astype(bool)


def parted(region: Bools, share: float, angle_rad: float, wave_phase: float) -> Bools:
    """Which pixels of a region belong to its second class: one piece beside one piece.

    A wavy border crosses the region at right angles to a direction, such that the second class
    has `share` of the area; crumbs that the border or the outline cut off go to the other part.

    Parameters
    ----------
    region : (Y, X) bool array
        In one piece.
    share : float
        Between 0 and 1.
    angle_rad : float
        Direction of the second class, from x to y.
    wave_phase : float
        Where the border's waves are, radians.

    Returns
    -------
    (Y, X) bool array
        Inside the region only.
    """
    rows, columns = np.nonzero(region)
    along = columns * np.cos(angle_rad) + rows * np.sin(angle_rad)
    across = rows * np.cos(angle_rad) - columns * np.sin(angle_rad)
    length = max(float(np.ptp(across)), 1.0)
    turn = 2 * np.pi * (across - across.min()) / length
    along += 0.06 * length * np.sin(1.5 * turn + wave_phase)
    along += 0.03 * length * np.sin(4 * turn + 2 * wave_phase)
    second = np.zeros(region.shape, bool)
    second[rows, columns] = along > np.quantile(along, 1 - share)
    second = _largest_piece(second)
    return np.asarray(region & ~_largest_piece(region & ~second))


def _largest_piece(mask: Bools) -> Bools:
    _, label, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if len(stats) < 2:
        return mask
    return np.asarray(label == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])))


def place(
    reaches: Sequence[Sequence[Floats]], size: int, rng: np.random.Generator
) -> list[tuple[float, float]]:
    """Centers for colonies that keep `CLEARANCE_PX` from each other, inside the well.

    The largest come first, each anywhere where there is room. Where that fails `ATTEMPTS` times,
    they are packed: each goes where it has the most neighbors.

    Parameters
    ----------
    reaches : sequence of sequences of (N, 2) float arrays
        For each colony the outlines that it may take, y, x around (0, 0), pixels.
    size : int
        Side of the well, pixels.
    rng : Generator

    Returns
    -------
    list of (float, float)
        y, x for each colony, in the order given.

    Raises
    ------
    InputError
        They do not fit packed either.
    """
    footprints = [_footprint(outlines) for outlines in reaches]
    for attempt in range(ATTEMPTS + 1):
        packed = attempt == ATTEMPTS
        centers = _try_to_place(footprints, size // GRID_PX, rng, packed=packed)
        if centers is not None:
            return centers
    raise InputError(
        f"{len(reaches)} colonies do not fit into a well of {size} px",
        "give fewer colonies or a larger well",
    )


def _footprint(outlines: Sequence[Floats]) -> Bools:
    """Cells of the grid that a colony and half the clearance may touch, its center inside."""
    reach = int(max(np.abs(points).max() for points in outlines) / GRID_PX) + 4
    shape = (2 * reach + 1, 2 * reach + 1)
    union = np.zeros(shape, bool)
    for points in outlines:
        union |= outline_region(points / GRID_PX, (reach, reach), shape)
    # half the clearance, and one cell for what rounding to the grid may lose
    cells = int(np.ceil(CLEARANCE_PX / 2 / GRID_PX)) + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * cells + 1, 2 * cells + 1))
    return cv2.dilate(union.astype(np.uint8), disk).astype(bool)


def _try_to_place(
    footprints: Sequence[Bools], n: int, rng: np.random.Generator, *, packed: bool
) -> list[tuple[float, float]] | None:
    """Centers in pixels, or none where a colony finds no room; `n` cells a side."""
    centers: list[tuple[float, float]] = [(0.0, 0.0)] * len(footprints)
    border = max(footprint.shape[0] for footprint in footprints) // 2 + 1
    occupied = np.pad(np.zeros((n, n), np.float32), border, constant_values=1)
    for i in sorted(range(len(footprints)), key=lambda i: -int(footprints[i].sum())):
        footprint = footprints[i]
        reach = footprint.shape[0] // 2
        touched = signal.fftconvolve(occupied, footprint[::-1, ::-1], mode="same")
        places = np.argwhere(touched < 0.5)
        if not len(places):
            return None
        choice = int(rng.integers(len(places)))
        if packed:
            kernel = np.ones((2 * reach + 7, 2 * reach + 7))
            neighbors = signal.fftconvolve(occupied, kernel, mode="same")
            choice = int(np.argmax(neighbors[tuple(places.T)]))
        row, column = places[choice]
        around = np.s_[row - reach : row + reach + 1, column - reach : column + reach + 1]
        np.maximum(occupied[around], footprint, out=occupied[around])
        y, x = (np.array([row, column]) - border) * GRID_PX + rng.uniform(0, GRID_PX / 2, 2)
        centers[i] = (float(y), float(x))
    return centers
