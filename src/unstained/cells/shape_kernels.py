"""Outline and distances of one mask as machine code; import it late, it compiles.

The first use on a machine compiles for a quarter of a minute; the code is kept beside this file
(or in ``NUMBA_CACHE_DIR``), and later processes load it. All is in one file: numba does not see
that a function of another file, which kept code calls, has changed.
"""

from __future__ import annotations

import math

import numpy as np

from ..images.image import Array
from ..learning.machine_code import machine_code

__all__ = ["measure_mask", "trace_mask"]


_GROUP = 16  # vertices that are skipped together where they are too far
_BLOCK = 8  # side of the squares of pixels whose nearest vertices are looked for together
_DIRECTIONS = 64  # for the mean width of a shape; a square is then right to 0.02 %
_FINEST = 1 / 64  # of the search for the inscribed circle, pixels


@machine_code
def trace_mask(mask: Array) -> tuple[Array, Array]:
    """Walk around a mask on the edges between its pixels and others.

    Pixels that meet at a corner only are one piece. A piece is walked clockwise on the screen
    (y down), so that its area comes out positive, a hole the other way round.

    Parameters
    ----------
    mask : (Y, X) bool array
        Its outermost rows and columns are False.

    Returns
    -------
    corners : (N, 2) int64 array
        (y, x) of the pixel corners in order, one for each pixel edge; ring after ring. The outer
        corner of pixel (0, 0) is (0, 0).
    ends : (R,) int64 array
        Ring i is ``corners[ends[i - 1] : ends[i]]``.
    """
    height, width = mask.shape
    edges = 0
    tops = 0
    for y in range(1, height):
        for x in range(1, width):
            edges += (mask[y, x] != mask[y - 1, x]) + (mask[y, x] != mask[y, x - 1])
            tops += mask[y, x] and not mask[y - 1, x]
    corners = np.empty((edges, 2), np.int64)
    ends = np.empty(tops, np.int64)  # each ring has an edge above a pixel
    seen = np.zeros(mask.shape, np.bool_)  # edges above pixels
    steps = np.array(((0, 1), (1, 0), (0, -1), (-1, 0)))  # right, down, left, up
    # the pixel ahead to the left, as seen from the corner; the one to the right is the next
    ahead = np.array(((-1, 0), (0, 0), (0, -1), (-1, -1)))
    n = 0
    rings = 0
    for top in range(1, height):
        for left in range(1, width):
            if not mask[top, left] or mask[top - 1, left] or seen[top, left]:
                continue
            y, x, way = top, left, 0
            while not (way == 0 and seen[y, x]):
                if way == 0:
                    seen[y, x] = True
                corners[n, 0], corners[n, 1] = y, x
                n += 1
                y += steps[way, 0]
                x += steps[way, 1]
                right = (way + 1) % 4
                if mask[y + ahead[way, 0], x + ahead[way, 1]]:
                    way = (way + 3) % 4
                elif not mask[y + ahead[right, 0], x + ahead[right, 1]]:
                    way = right
            ends[rings] = n
            rings += 1
    return corners, ends[:rings].copy()


@machine_code
def edge_middles(corners: Array, ends: Array) -> Array:
    """(N, 2) middles of the pixel edges, as float64."""
    middles = np.empty(corners.shape, np.float64)
    first = 0
    for end in ends:
        for i in range(first, end):
            after = i + 1 if i + 1 < end else first
            middles[i, 0] = 0.5 * (corners[i, 0] + corners[after, 0])
            middles[i, 1] = 0.5 * (corners[i, 1] + corners[after, 1])
        first = end
    return middles


@machine_code
def smooth_rings(points: Array, ends: Array) -> Array:
    """Move each point of rings onto a parabola through itself and four points to each side.

    A staircase is longer than the line that it stands for (a circle by 5 %). The parabola is
    fitted along the ring, for y and x: weights (-21, 14, 39, 54, 59, 54, 39, 14, -21) / 231
    (Savitzky and Golay 1964, doi:10.1021/ac60214a047), which keep curvature, where a mean would
    shrink a small cell. Rings of fewer than 16 points stay as they are.

    Returns
    -------
    (N, 2) float64 array
    """
    weights = np.array((-21.0, 14.0, 39.0, 54.0, 59.0, 54.0, 39.0, 14.0, -21.0)) / 231.0
    smooth = np.zeros(points.shape, np.float64)
    first = 0
    for end in ends:
        size = end - first
        for i in range(size):
            if size < 16:
                smooth[first + i] = points[first + i]
                continue
            for k in range(9):
                near = first + (i + k - 4 + size) % size
                smooth[first + i, 0] += weights[k] * points[near, 0]
                smooth[first + i, 1] += weights[k] * points[near, 1]
        first = end
    return smooth


@machine_code
def _is_outer(corners: Array, first: int, end: int) -> bool:
    """Whether a ring runs around a piece, not a hole."""
    twice = 0
    for i in range(first, end):
        after = i + 1 if i + 1 < end else first
        twice += corners[i, 1] * corners[after, 0] - corners[after, 1] * corners[i, 0]
    return twice > 0


@machine_code
def _perimeter_and_dispersion(
    corners: Array, smooth: Array, ends: Array, center: tuple[float, float]
) -> tuple[float, float]:
    """Length of all rings; 1 - mean absolute deviation / mean of the outer rings' distances."""
    lengths = np.zeros(len(smooth))
    distances = np.zeros(len(smooth))
    outer = np.zeros(len(smooth))
    first = 0
    for end in ends:
        is_outer = _is_outer(corners, first, end)
        for i in range(first, end):
            after = i + 1 if i + 1 < end else first
            dy, dx = smooth[after, 0] - smooth[i, 0], smooth[after, 1] - smooth[i, 1]
            lengths[i] = math.sqrt(dy * dy + dx * dx)
            y = 0.5 * (smooth[after, 0] + smooth[i, 0]) - center[0]
            x = 0.5 * (smooth[after, 1] + smooth[i, 1]) - center[1]
            distances[i] = math.sqrt(y * y + x * x)
            outer[i] = lengths[i] if is_outer else 0.0
        first = end
    mean = (outer * distances).sum() / outer.sum()
    deviation = (outer * np.abs(distances - mean)).sum() / outer.sum()
    return lengths.sum(), 1 - deviation / mean


@machine_code
def _hull_perimeter(smooth: Array) -> float:
    """Pi times the mean width over all directions, which is what Cauchy's formula says."""
    angle = math.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    c, s = np.cos(angle), np.sin(angle)
    low, high = np.full(_DIRECTIONS, np.inf), np.full(_DIRECTIONS, -np.inf)
    for i in range(len(smooth)):
        for k in range(_DIRECTIONS):  # innermost: the processor then takes several at a time
            along = smooth[i, 0] * c[k] + smooth[i, 1] * s[k]
            low[k] = along if along < low[k] else low[k]
            high[k] = along if along > high[k] else high[k]
    return float(math.pi * (high - low).sum() / _DIRECTIONS)


@machine_code
def _to_segment(y: float, x: float, a: Array, b: Array) -> float:
    """Squared distance of a point from the line between two."""
    dy, dx = b[0] - a[0], b[1] - a[1]
    length = dy * dy + dx * dx
    along = 0.0
    if length > 0:
        along = min(1.0, max(0.0, ((y - a[0]) * dy + (x - a[1]) * dx) / length))
    ry, rx = y - a[0] - along * dy, x - a[1] - along * dx
    return float(ry * ry + rx * rx)


@machine_code
def _to_rings(y: float, x: float, smooth: Array, neighbors: Array, nearest: int) -> float:
    """Distance of a point from the lines that meet in its nearest vertex."""
    before = _to_segment(y, x, smooth[neighbors[nearest, 0]], smooth[nearest])
    after = _to_segment(y, x, smooth[nearest], smooth[neighbors[nearest, 1]])
    return math.sqrt(min(before, after))


@machine_code
def _ring_neighbors(ends: Array) -> Array:
    """(N, 2) positions of the vertices before and after each."""
    neighbors = np.empty((ends[-1], 2), np.int64)
    first = 0
    for end in ends:
        for i in range(first, end):
            neighbors[i, 0] = i - 1 if i > first else end - 1
            neighbors[i, 1] = i + 1 if i + 1 < end else first
        first = end
    return neighbors


@machine_code
def _circles(smooth: Array) -> Array:
    """(G, 3) center and radius of a circle around each group of vertices."""
    count = (len(smooth) + _GROUP - 1) // _GROUP
    circles = np.empty((count, 3), np.float64)
    for g in range(count):
        part = smooth[g * _GROUP : (g + 1) * _GROUP]
        y, x = part[:, 0].mean(), part[:, 1].mean()
        far = 0.0
        for i in range(len(part)):
            far = max(far, (part[i, 0] - y) ** 2 + (part[i, 1] - x) ** 2)
        circles[g, 0], circles[g, 1], circles[g, 2] = y, x, math.sqrt(far)
    return circles


@machine_code
def _nearest(
    y: float, x: float, smooth: Array, circles: Array, neighbors: Array, start: int
) -> tuple[float, int]:
    """Distance of a point from the outline, and the nearest vertex; `start` is a first guess."""
    best = start
    least = (smooth[start, 0] - y) ** 2 + (smooth[start, 1] - x) ** 2
    reach = math.sqrt(least)
    for g in range(len(circles)):
        away = reach + circles[g, 2]
        dy, dx = circles[g, 0] - y, circles[g, 1] - x
        if dy * dy + dx * dx > away * away:
            continue
        for i in range(g * _GROUP, min(len(smooth), (g + 1) * _GROUP)):
            dy, dx = smooth[i, 0] - y, smooth[i, 1] - x
            squared = dy * dy + dx * dx
            if squared < least:
                least = squared
                best = i
        reach = math.sqrt(least)
    return _to_rings(y, x, smooth, neighbors, best), best


@machine_code
def _nearest_vertices(
    mask: Array, top: int, outline: Array, circles: Array, neighbors: Array
) -> tuple[Array, Array]:
    """Of `_BLOCK` rows the nearest vertex of each pixel's center, of equal ones the first.

    Vertices that are farther from a square's center than the nearest one by more than twice
    the half diagonal are the nearest of none of its pixels.

    Returns
    -------
    nearest, squared : (_BLOCK, X + _BLOCK) int64, float64 arrays
        The vertex and its squared distance; anything where a square has no pixel of the mask.
    """
    width = mask.shape[1]
    nearest = np.empty((_BLOCK, width + _BLOCK), np.int64)  # the last square may reach out
    squared = np.empty(nearest.shape, np.float64)
    place = np.arange(_BLOCK * _BLOCK)
    best, least = np.empty(place.size, np.int64), np.empty(place.size, np.float64)
    guess = 0
    for left in range(0, width, _BLOCK):
        if not mask[top : top + _BLOCK, left : left + _BLOCK].any():
            continue
        ys, xs = top + place // _BLOCK + 0.5, left + place % _BLOCK + 0.5
        cy, cx = top + 0.5 * _BLOCK, left + 0.5 * _BLOCK
        guess = _nearest(cy, cx, outline, circles, neighbors, guess)[1]
        dy, dx = outline[guess, 0] - cy, outline[guess, 1] - cx
        reach = math.sqrt(dy * dy + dx * dx) + math.sqrt(2.0) * _BLOCK
        least[:] = np.inf
        for g in range(len(circles)):
            dy, dx = circles[g, 0] - cy, circles[g, 1] - cx
            if dy * dy + dx * dx > (reach + circles[g, 2]) ** 2:
                continue
            for i in range(g * _GROUP, min(len(outline), (g + 1) * _GROUP)):
                y, x = outline[i, 0], outline[i, 1]
                if (y - cy) ** 2 + (x - cx) ** 2 > reach * reach:
                    continue
                for k in range(place.size):  # the processor takes several at a time
                    dy, dx = y - ys[k], x - xs[k]
                    near = dy * dy + dx * dx
                    best[k] = i if near < least[k] else best[k]
                    least[k] = near if near < least[k] else least[k]
        nearest[:, left : left + _BLOCK] = best.reshape((_BLOCK, _BLOCK))
        squared[:, left : left + _BLOCK] = least.reshape((_BLOCK, _BLOCK))
    return nearest, squared


@machine_code
def _depth(mask: Array, outline: Array, neighbors: Array) -> tuple[float, float, float]:
    """Mean distance of the pixels' centers from the outline; y and x of the innermost."""
    circles = _circles(outline)
    total, count, best, most = 0.0, 0, 0, -1.0
    inner_y, inner_x = 0.0, 0.0
    for row in range(mask.shape[0]):
        if row % _BLOCK == 0:
            nearest, squared = _nearest_vertices(mask, row, outline, circles, neighbors)
        for column in range(mask.shape[1]):
            if mask[row, column]:
                y, x = row + 0.5, column + 0.5
                dy, dx = outline[best, 0] - y, outline[best, 1] - x
                if dy * dy + dx * dx > squared[row % _BLOCK, column]:
                    best = nearest[row % _BLOCK, column]  # else the last pixel's is as near
                distance = _to_rings(y, x, outline, neighbors, best)
                total += distance
                count += 1
                if distance > most:
                    most, inner_y, inner_x = distance, y, x
    return total / count, inner_y, inner_x


@machine_code
def _free_radius(y: float, x: float, points: Array, neighbors: Array) -> float:
    """Radius of the largest circle near a place that holds none of the points or lines."""
    circles = _circles(points)
    radius, guess = _nearest(y, x, points, circles, neighbors, 0)
    step = 0.5
    while step >= _FINEST:  # uphill in ever smaller steps
        best_y, best_x, best = y, x, radius
        for k in range(9):
            to_y, to_x = y + step * (k // 3 - 1), x + step * (k % 3 - 1)
            distance, guess = _nearest(to_y, to_x, points, circles, neighbors, guess)
            if distance > best:
                best_y, best_x, best = to_y, to_x, distance
        if best > radius + 1e-9:
            y, x, radius = best_y, best_x, best
        else:
            step *= 0.5
    return radius


@machine_code
def _outside(middles: Array, corners: Array) -> Array:
    """(N, 2) centers of the other pixels at the edges of a mask."""
    outside = np.empty(middles.shape, np.float64)
    for i in range(len(middles)):
        # half a step along the edge, turned to the left
        outside[i, 0] = middles[i, 0] - (middles[i, 1] - corners[i, 1])
        outside[i, 1] = middles[i, 1] + (middles[i, 0] - corners[i, 0])
    return outside


@machine_code
def _depth_and_girth(
    mask: Array, corners: Array, middles: Array, outline: Array, ends: Array
) -> tuple[float, float]:
    """Mean distance from the outline; radius of the inscribed circle.

    Pixels know the circle to half a pixel: the largest one within the outline touches it where it
    strays inward (smoothed once more, it does so less), the largest one that holds no other
    pixel's center may reach over an edge by half a pixel. The mean of both is taken.
    """
    neighbors = _ring_neighbors(ends)
    depth, y, x = _depth(mask, outline, neighbors)
    alone = np.empty(neighbors.shape, np.int64)  # points without lines between them
    for i in range(len(alone)):
        alone[i, 0], alone[i, 1] = i, i
    within = _free_radius(y, x, smooth_rings(outline, ends), neighbors)
    without = _free_radius(y, x, _outside(middles, corners), alone)
    return depth, 0.5 * (within + without)


@machine_code
def _moments(mask: Array) -> tuple[float, float, float, float, float, float]:
    """Pixels, center (y, x) and second central moments yy, xx, yx of the pixels' squares."""
    n, sy, sx = 0, 0.0, 0.0
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            if mask[y, x]:
                n += 1
                sy += y
                sx += x
    cy, cx = sy / n, sx / n
    yy, xx, yx = 0.0, 0.0, 0.0
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            if mask[y, x]:
                yy += (y - cy) ** 2
                xx += (x - cx) ** 2
                yx += (y - cy) * (x - cx)
    # a square of side 1 has the moment 1/12 along each axis
    return n, cy + 0.5, cx + 0.5, yy / n + 1 / 12, xx / n + 1 / 12, yx / n


@machine_code
def _mean_distance(mask: Array, center: tuple[float, float]) -> float:
    """Mean distance of a shape's points from its center.

    Over the square of a pixel at distance d the mean is d + 1 / (24 d) + ..., since the Laplacian
    of the distance is 1 / d; sqrt(d^2 + 1/12) is the same and finite at d = 0.
    """
    total, n = 0.0, 0
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            if mask[y, x]:
                dy, dx = y + 0.5 - center[0], x + 0.5 - center[1]
                total += math.sqrt(dy * dy + dx * dx + 1 / 12)
                n += 1
    return total / n


@machine_code
def measure_mask(
    mask: Array,
) -> tuple[float, float, float, float, float, float, float, float, float]:
    """Size and distances of one mask, in pixels.

    Parameters
    ----------
    mask : (Y, X) bool array
        Its outermost rows and columns are False, and it has a pixel.

    Returns
    -------
    area, perimeter, aspect ratio, mean distance and mean squared distance from the center,
    dispersion, mean depth, girth (radius), perimeter of the convex hull
    """
    area, cy, cx, yy, xx, yx = _moments(mask)
    corners, ends = trace_mask(mask)
    middles = edge_middles(corners, ends)
    smooth = smooth_rings(middles, ends)
    perimeter, dispersion = _perimeter_and_dispersion(corners, smooth, ends, (cy, cx))
    depth, girth = _depth_and_girth(mask, corners, middles, smooth, ends)
    half = 0.5 * (yy + xx)
    spread = math.sqrt(0.25 * (yy - xx) ** 2 + yx * yx)
    aspect = math.sqrt((half + spread) / (half - spread))
    return (
        area,
        perimeter,
        aspect,
        _mean_distance(mask, (cy, cx)),
        yy + xx,
        dispersion,
        depth,
        girth,
        _hull_perimeter(smooth),
    )
