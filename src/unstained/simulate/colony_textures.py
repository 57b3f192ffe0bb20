"""What colonies of the four classes are made of, as phase objects.

The paper tells them apart by eye: dense (pluripotent) colonies are small, uniform, fine-grained
cells behind a smooth rim; spread ones (progenitors) are larger bodies, uneven, in a looser
outline; differentiated ones dark bodies with long thin processes; debris is round bubbles with
bright rims. Sizes and delays here are ours, from what such cells measure: cells of pluripotent
colonies some 10 um across with a large nucleus, delays of living cells of 0.5 to 2.5 rad.

All lengths are in pixels of 0.8 um.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np

from ..images.image import Array

__all__ = ["PIXEL_SIZE_UM", "Cells", "Matter", "draw_cells", "matter"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

PIXEL_SIZE_UM = 0.8

# distance of neighboring cells, pixels
SPACING_PX: Mapping[str, float] = {
    "dense": 11.0,
    "spread": 25.0,
    "differentiated": 28.0,
    "debris": 11.0,
}
JITTER = 0.22  # of the spacing, standard deviation
DRIFT = 0.12  # of the spacing: how far a cell swings to and fro
PERIOD_H = (5.0, 15.0)  # of that swing


class Matter(NamedTuple):
    """A thin object: `path_rad` and `absorption` (base e), both (Y, X) float32 arrays."""

    path_rad: Array
    absorption: Array


class Cells(NamedTuple):
    """The cells that a colony of one class has or could have, around its center.

    Attributes
    ----------
    yx : (N, 2) float array
        Mean positions, pixels.
    swing : (N, 2, 3) float array
        For y and x: amplitude in pixels, period in hours, phase in radians.
    traits : (N, 6) float array
        Uniform in 0 to 1; each texture gives them a meaning.
    """

    yx: Floats
    swing: Floats
    traits: Floats

    def at(self, hour: float) -> Floats:
        """Positions at an hour, (N, 2), pixels."""
        amplitude, period_h, phase = np.moveaxis(self.swing, -1, 0)
        return np.asarray(
            self.yx + amplitude * np.sin(2 * np.pi * hour / period_h + phase), np.float64
        )


def draw_cells(
    class_: str, reach_px: float, rng: np.random.Generator, *, packing: float = 1.0
) -> Cells:
    """Draw cells on a shaken hexagonal lattice that covers a disk.

    Parameters
    ----------
    class_ : str
        One of `SPACING_PX`.
    reach_px : float
        Radius of the disk: as far as the colony will ever reach.
    rng : Generator
        One for each colony and class.
    packing : float
        Factor on the class's spacing.
    """
    spacing = SPACING_PX[class_] * packing
    n = int(np.ceil(reach_px / spacing)) + 2
    row, column = np.mgrid[-n : n + 1, -2 * n : 2 * n + 1].reshape(2, -1).astype(float)
    yx = np.stack([row * np.sqrt(0.75), column + 0.5 * (row % 2)], axis=1) * spacing
    yx = yx[np.hypot(yx[:, 0], yx[:, 1]) <= reach_px + spacing]
    yx += rng.normal(0, JITTER * spacing, yx.shape)
    swing = np.stack(
        [
            rng.uniform(0, DRIFT * spacing, yx.shape),
            rng.uniform(*PERIOD_H, yx.shape),
            rng.uniform(0, 2 * np.pi, yx.shape),
        ],
        axis=-1,
    )
    return Cells(yx, swing, rng.random((len(yx), 6)))


def matter(
    class_: str, region: Array, center: tuple[float, float], cells: Cells, hour: float
) -> Matter:
    """Fill a region with the cells of a class.

    Parameters
    ----------
    class_ : str
        One of `SPACING_PX`.
    region : (Y, X) bool array
        Nothing lies outside it.
    center : (float, float)
        The colony's, y, x in the region's pixels.
    cells : Cells
        Of this class, as `draw_cells` makes them.
    hour : float
        Since the first frame.
    """
    yx = cells.at(hour) + np.array(center)
    row, column = np.rint(yx).astype(int).T
    inside = (row >= 0) & (row < region.shape[0]) & (column >= 0) & (column < region.shape[1])
    inside[inside] = region[row[inside], column[inside]]
    if not inside.any():
        return Matter(np.zeros(region.shape, np.float32), np.zeros(region.shape, np.float32))
    depth = cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, 5)
    # the outline without the steps of its pixels
    depth = np.where(region, cv2.GaussianBlur(depth, (0, 0), 1.2), 0).astype(np.float32)
    return _TEXTURES[class_](depth, yx[inside], cells.traits[inside])


def _dense(depth: Array, yx: Floats, traits: Floats) -> Matter:
    """A plateau with a steep, smooth rim; small cells with nucleoli, fine seams between them."""
    distance, owner = _nearest(depth.shape, yx)
    height = (0.5 + traits[:, 0]).astype(np.float32)[owner]
    dome = height * np.clip(1 - (distance / 8.0) ** 2, 0, None)
    nucleoli = _dots(depth.shape, yx + 5.0 * (traits[:, 1:3] - 0.5), 0.9)
    nucleoli += _dots(depth.shape, yx + 6.0 * (traits[:, 3:5] - 0.5), 0.8)
    # a seam is as deep as its two cells are high
    path = 0.75 + 0.14 * dome + 0.17 * nucleoli - 0.1 * height * _seams(owner)
    return _clear(_rise(depth, 7.0) * path)


def _spread(depth: Array, yx: Floats, traits: Floats) -> Matter:
    """Large flat bodies, uneven in size and height, with gaps; each thick about its nucleus."""
    body, middle = np.zeros(depth.shape, np.float32), np.zeros(depth.shape, np.float32)
    for (y, x), trait, room in zip(yx, traits, _at(depth, yx), strict=True):
        if trait[0] < 0.08:
            continue  # a gap, which neighbors fill in part
        # at the border a cell ends where the colony does
        long = min(17.0 + 14.0 * trait[1], 1.2 * room + 5)
        short = min(10.0 + 8.0 * trait[2], 0.9 * room + 4)
        window, u, v = _around(depth.shape, y, x, 1.35 * long, np.pi * trait[3])
        theta = np.arctan2(v, u)
        bend = 1 + 0.2 * np.cos(3 * theta + np.float32(6.3 * trait[4]))
        bend += 0.1 * np.cos(5 * theta + np.float32(6.3 * trait[2]))
        rho2 = ((u / long) ** 2 + (v / short) ** 2) / bend**2
        height = 0.15 + 0.3 * trait[5] ** 1.5
        np.maximum(body[window], height * np.clip(1 - rho2, 0, None) ** 0.45, out=body[window])
        nucleus = (u - 2.0) ** 2 / 7.0**2 + v**2 / 5.0**2
        middle[window] += np.clip(1 - nucleus, 0, None) ** 0.7 * (0.08 + 0.3 * trait[5])
    nucleoli = _dots(depth.shape, yx + 4.0 * (traits[:, 1:3] - 0.5), 1.0)
    granules = np.zeros(depth.shape, np.float32)
    for pair in ((3, 4), (4, 1), (0, 5), (2, 3), (5, 3)):
        granules += _dots(depth.shape, yx + 20.0 * (traits[:, pair] - 0.5), 0.8)
    path = body + middle + (0.3 * nucleoli + 0.22 * granules) * np.clip(4 * body, 0, 1)
    return _clear(_rise(depth, 3.0) * path)


def _differentiated(depth: Array, yx: Floats, traits: Floats) -> Matter:
    """Dark, compact bodies and long thin processes that run from one to another."""
    bodies: Array = np.zeros(depth.shape, np.float32)
    lines = np.zeros(depth.shape, np.uint8)
    for (y, x), trait, room in zip(yx, traits, _at(depth, yx), strict=True):
        for k in range(1 + int(1.8 * trait[0])):
            _draw_process(lines, y, x, trait, k)
        if trait[1] < 0.25:
            continue
        for part in range(1 + int(4 * trait[5] ** 3)):  # alone or in a small clump
            long = min(5.0 + 9.0 * trait[2] ** 2, room + 2)
            short = min(4.0 + 3.0 * trait[(4 + part) % 6], room + 1)
            angle = np.pi * (trait[3] + 0.31 * part)
            away = 0.0 if part == 0 else 9.0
            y_part, x_part = y + away * np.sin(5 * angle), x + away * np.cos(5 * angle)
            window, u, v = _around(depth.shape, y_part, x_part, 1.6 * long, angle)
            # pointed at the ends, where the processes leave
            rho = np.hypot(np.abs(u / long) ** 0.75, v / short)
            height = 0.7 + 0.3 * trait[(1 + part) % 6]
            body = height * np.clip(1.15 - rho, 0, 1) ** 0.7
            np.maximum(bodies[window], body, out=bodies[window])
    threads = np.asarray(cv2.GaussianBlur(lines.astype(np.float32) / 255, (0, 0), 0.6))
    bodies = np.asarray(cv2.GaussianBlur(bodies, (0, 0), 0.8), np.float32)
    path = 0.55 * bodies + 0.4 * threads * np.clip(1 - 1.5 * bodies, 0, 1)
    edge = _rise(depth, 3.0)
    return Matter(np.asarray(edge * path, np.float32), np.asarray(0.8 * edge * bodies, np.float32))


def _draw_process(lines: Array, y: float, x: float, trait: Floats, k: int) -> None:
    """A curved line out of a body, its direction and bends from the cell's traits."""
    steps = np.arange(18)
    angle = 2 * np.pi * (trait[3] / 2 + k / 2 + 0.1 * trait[(k + 1) % 6])  # to either end
    bends = 0.55 * (trait[(k + 2) % 6] - 0.5) * np.sin(0.35 * steps + 6.3 * trait[(k + 3) % 6])
    heading = angle + np.cumsum(bends)
    length_px = 2.5 + 8.0 * trait[(k + 4) % 6] ** 1.5
    xy = np.stack([np.cos(heading), np.sin(heading)], axis=1).cumsum(axis=0) * length_px
    fixed = np.rint((xy + np.array([x, y])) * 16).astype(np.int32)  # sixteenths of a pixel
    cv2.polylines(lines, [fixed], False, (110 + int(145 * trait[k % 6]),), 1, cv2.LINE_AA, 4)


def _debris(depth: Array, yx: Floats, traits: Floats) -> Matter:
    """Round bubbles of many sizes with bright rims.

    The rim of a sphere bends light inwards, which no thin object does; a delay below the
    medium's makes the same bright ring.
    """
    path = np.zeros(depth.shape, np.float32)
    for (y, x), trait, room in zip(yx, traits, _at(depth, yx), strict=True):
        radius = min(2.5 + 8.5 * trait[0] ** 2, room)
        if trait[5] < 0.15 or radius < 2:
            continue
        window, u, v = _around(depth.shape, y, x, radius + 4, 0.0)
        rho = np.hypot(u, v)
        shell = np.exp(-(((rho - radius + 1.5) / 1.3) ** 2))
        inside = np.clip((radius - rho) / 2.0, 0, 1)
        path[window] += (0.1 + 0.35 * trait[2]) * inside - (0.3 + 0.35 * trait[1]) * shell
    return _clear(np.clip(path, -0.7, 0.5) * (depth > 0))


_TEXTURES: Mapping[str, Callable[[Array, Floats, Floats], Matter]] = {
    "dense": _dense,
    "spread": _spread,
    "differentiated": _differentiated,
    "debris": _debris,
}


def _clear(path_rad: Array) -> Matter:
    """Matter that absorbs nothing."""
    return Matter(np.asarray(path_rad, np.float32), np.zeros(path_rad.shape, np.float32))


def _rise(depth: Array, width_px: float) -> Array:
    """From 0 at the edge to 1 at `width_px` inside it, round as a drop's edge."""
    left = np.clip(1 - depth / width_px, 0, 1)
    return np.asarray(np.sqrt(1 - left**2))


def _at(values: Array, yx: Floats) -> Floats:
    """The values at the pixels of cells."""
    row, column = np.rint(yx).astype(int).T
    return np.asarray(values[row, column], np.float64)


def _nearest(shape: tuple[int, ...], yx: Floats) -> tuple[Array, Array]:
    """For each pixel the distance to the nearest cell, and which one it is."""
    empty = np.ones(shape, np.uint8)
    row, column = np.rint(yx).astype(int).T
    empty[row, column] = 0
    distance, mark = cv2.distanceTransformWithLabels(
        empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    number = np.zeros(int(mark.max()) + 1, int)
    number[mark[row, column]] = np.arange(len(yx))  # of two on one pixel the latter
    return distance, number[mark]


def _seams(owner: Array) -> Array:
    """1 along the borders between cells, blurred."""
    seam = np.zeros(owner.shape, np.float32)
    seam[:, 1:] = owner[:, 1:] != owner[:, :-1]
    seam[1:] = np.maximum(seam[1:], owner[1:] != owner[:-1])
    return np.asarray(np.clip(1.6 * cv2.GaussianBlur(seam, (0, 0), 1.1), 0, 1))


def _dots(shape: tuple[int, ...], yx: Floats, sd_px: float) -> Array:
    """Gaussian dots that reach 1 where they stand alone."""
    dots = np.zeros(shape, np.float32)
    row, column = np.rint(yx).astype(int).T
    inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    dots[row[inside], column[inside]] = 2 * np.pi * sd_px**2
    return np.asarray(cv2.GaussianBlur(dots, (0, 0), sd_px))


def _around(
    shape: tuple[int, ...], y: float, x: float, reach: float, angle: float
) -> tuple[tuple[slice, slice], Array, Array]:
    """The window around a cell, and its pixels' coordinates along the cell's axes."""
    y0, x0 = max(0, int(y - reach)), max(0, int(x - reach))
    y1, x1 = min(shape[0], int(y + reach) + 2), min(shape[1], int(x + reach) + 2)
    rows = np.arange(y0, y1, dtype=np.float32)[:, None] - np.float32(y)
    columns = np.arange(x0, x1, dtype=np.float32) - np.float32(x)
    sine, cosine = np.sin(angle), np.cos(angle)
    u = np.float32(cosine) * columns + np.float32(sine) * rows
    v = np.float32(cosine) * rows - np.float32(sine) * columns
    return np.s_[y0:y1, x0:x1], u, v
