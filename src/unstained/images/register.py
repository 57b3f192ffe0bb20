"""How far a stain lies from its label-free image, and whether that can be measured at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ..errors import InputError
from .image import Array

__all__ = ["Offset", "edge_map", "measure_offset", "move", "offset_of_edges", "phase_edges"]

_EDGE_PX = 2.0  # scale of an edge
_COARSE_PX = 16.0  # what is larger is shading, not edge
_LEAST_TILES = 4
_MOST_PLANES = 5
_SURE = 5.0  # unrelated images (isl, flipped) stay below 3.5, related ones reach 6 to 11
_TILE_PX = 64


@dataclass(frozen=True)
class Offset:
    """Where the stain lies, seen from the label-free image.

    Attributes
    ----------
    y_px, x_px : float
        The stain lies this far down and to the right; move it by the negative to correct it.
    error_px : float
        Standard error of the offset (the larger axis), from leaving out one part of the image
        after another; NaN where the parts are too few.
    confidence : float
        Height of the correlation peak above the other offsets, in standard errors over parts.
    sure : bool
        Confidence of 5 or more, and a peak inside the range that was looked at. If not, the
        offset is noise.
    """

    y_px: float
    x_px: float
    error_px: float
    confidence: float
    sure: bool

    @property
    def size_px(self) -> float:
        return float(np.hypot(self.y_px, self.x_px))


_UNKNOWN = Offset(float("nan"), float("nan"), float("nan"), 0.0, False)


def edge_map(image: Array) -> Array:
    """Strength of edges, whatever their sign: what phase contrast and a stain have in common.

    Local standard deviation (Gaussian, sigma 2 px) less its own local mean (16 px), divided by
    its standard deviation. The local deviation is used, not the gradient: obliquely lit images
    show an edge as a bright and a dark line, whose gradients lie to either side of it (2 px on
    the `isl` field).

    Parameters
    ----------
    image : (Y, X) array

    Returns
    -------
    (Y, X) float array
        Zeros for a constant image.
    """
    image = np.asarray(image, dtype=np.float64)
    image = image - image.mean()
    mean = ndimage.gaussian_filter(image, _EDGE_PX)
    variance = ndimage.gaussian_filter(image * image, _EDGE_PX) - mean * mean
    edge = np.sqrt(np.maximum(variance, 0))
    edge -= ndimage.gaussian_filter(edge, _COARSE_PX)
    sd = float(edge.std())
    return edge / sd if sd > 1e-9 * max(float(np.abs(image).max()), 1e-300) else np.zeros_like(edge)


def measure_offset(
    pairs: Iterable[tuple[Array, Array]] | tuple[Array, Array],
    *,
    max_shift_px: int | None = None,
) -> Offset:
    """Sub-pixel offset of a stain by correlating edge maps.

    The edge maps of up to five label-free planes are averaged and correlated with the stain's;
    the peak, refined by a parabola, is the offset. Whether it is one, and its error, is told by
    parts of 64 px, shifted by that offset and correlated each by itself: by how many of its
    standard errors the mean peak stands out, and how it moves when each part is left out
    (jackknife). The surfaces are not whitened as in phase correlation proper [1]_: between
    modalities that gives weight to noise.

    Structures that a stain does not share with the label-free image bias the result; out-of-
    focus planes under oblique light are displaced for optical reasons. On `isl`, registered
    by its publisher, 1.2 to 3 px are found (DAPI 1.4, MAP2 1.2, NFH 3.0, errors 0.6 to 0.9);
    shifts put in by hand are recovered to 0.2 px.

    Parameters
    ----------
    pairs : (phase, stain), or several
        Phase (Y, X) or (P, Y, X), stain (Y, X). Several are parts of one image pair, such as
        the single cells of a montage, with one offset in common.
    max_shift_px : int, optional
        Largest offset looked for; not given, a quarter of the smaller side, at most 128.

    Raises
    ------
    InputError
        The two differ in shape.

    References
    ----------
    .. [1] Guizar-Sicairos et al. (2008), Opt Lett 33:156, doi 10.1364/OL.33.000156
    """
    images = [pairs] if isinstance(pairs, tuple) else list(pairs)
    for phase, stain in images:
        if np.shape(phase)[-2:] != np.shape(stain):
            raise InputError(
                f"phase is {np.shape(phase)[-2:]}, stain {np.shape(stain)}",
                "both must be the same (Y, X)",
            )
    return offset_of_edges(
        [(phase_edges(phase), edge_map(stain)) for phase, stain in images], max_shift_px
    )


def offset_of_edges(
    edges: Sequence[tuple[Array, Array]], max_shift_px: int | None = None
) -> Offset:
    """The same from edge maps (`phase_edges`, `edge_map`), where one phase has several stains."""
    edges = [(a, b) for a, b in edges if a.any() and b.any()]
    if not edges:
        return _UNKNOWN
    side = min(min(a.shape) for a, _ in edges)
    reach = min(side // 4, 128) if max_shift_px is None else min(max_shift_px, side // 2)
    if reach < 2:
        return _UNKNOWN
    if len(edges) >= _LEAST_TILES:
        return _refined(np.stack([_surface(a, b, reach) for a, b in edges]), (0, 0))
    whole = np.mean([_surface(a, b, reach) for a, b in edges], axis=0)
    y, x = (int(i) - reach for i in np.unravel_index(int(whole.argmax()), whole.shape))
    tile = max(32, min(_TILE_PX, side // 6))
    parts = [part for a, b in edges for part in _parts(a, b, (y, x), tile)]
    if len(parts) < _LEAST_TILES:
        return _refined(whole[None], (0, 0))
    spread = _refined(np.stack([_surface(a, b, min(12, tile // 4)) for a, b in parts]), (y, x))
    # bright cells, which outweigh the others in the whole, place the peak better; in the mean of
    # parts all weigh alike, which tells chance from agreement
    fine_y, fine_x = _peak(whole)
    return replace(spread, y_px=fine_y, x_px=fine_x)


def move(image: Array, y_px: float, x_px: float) -> Array:
    """The image moved down by `y_px` and right by `x_px`, in its own type.

    Cubic splines; what comes in over the border repeats it. Whole pixels are not interpolated.

    Parameters
    ----------
    image : (Y, X) array
    y_px, x_px : float
        Pixels.
    """
    image = np.asarray(image)
    whole = y_px == round(y_px) and x_px == round(x_px)
    moved = ndimage.shift(
        image.astype(np.float64), (y_px, x_px), order=0 if whole else 3, mode="nearest"
    )
    if image.dtype.kind in "iu":
        info = np.iinfo(image.dtype)
        moved = np.clip(np.rint(moved), info.min, info.max)
    return moved.astype(image.dtype)


def phase_edges(phase: Array) -> Array:
    """Edge maps of up to five planes of a (P, Y, X) or (Y, X) image, added up."""
    planes = np.asarray(phase)
    planes = planes[None] if planes.ndim == 2 else planes  # (Y, X) -> (P, Y, X)
    chosen = np.unique(np.linspace(0, len(planes) - 1, _MOST_PLANES).round().astype(int))
    return np.asarray(np.sum([edge_map(planes[i]) for i in chosen], axis=0))


def _surface(phase: Array, stain: Array, reach: int) -> Array:
    """Correlation for stain offsets of -reach ... reach, (2 reach + 1, 2 reach + 1)."""
    height, width = phase.shape
    window = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]
    a = (phase - phase.mean()) * window
    b = (stain - stain.mean()) * window
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    if norm == 0:
        return np.zeros((2 * reach + 1, 2 * reach + 1))
    shape = (height + reach, width + reach)  # padded, so that nothing wraps around
    lags = np.ix_(*[np.arange(-reach, reach + 1)] * 2)
    product = np.fft.rfft2(b, shape) * np.conj(np.fft.rfft2(a, shape))
    overlap = np.abs(np.fft.rfft2(window, shape)) ** 2
    # the window favors small offsets; its own correlation says by how much
    weight = np.fft.irfft2(overlap, shape)[lags] / (window * window).sum()
    return np.asarray(np.fft.irfft2(product, shape)[lags] / norm / np.maximum(weight, 0.25))


def _parts(a: Array, b: Array, offset: tuple[int, int], tile: int) -> Iterator[tuple[Array, Array]]:
    """Tiles of the phase edges, with the stain's taken `offset` away, where both have them."""
    y, x = offset
    height, width = a.shape
    top, bottom = max(0, -y), min(height, height - y)
    left, right = max(0, -x), min(width, width - x)
    for y0 in range(top, bottom - tile + 1, tile):
        for x0 in range(left, right - tile + 1, tile):
            part = a[y0 : y0 + tile, x0 : x0 + tile]
            other = b[y0 + y : y0 + y + tile, x0 + x : x0 + x + tile]
            if part.any() and other.any():
                yield part, other


def _refined(surfaces: Array, start: tuple[int, int]) -> Offset:
    """Peak of the mean of (N, L, L) surfaces, around `start`, with its error over the parts."""
    count = len(surfaces)
    mean = surfaces.mean(axis=0)
    y, x = _peak(mean)
    if count < _LEAST_TILES:
        return Offset(start[0] + y, start[1] + x, float("nan"), 0.0, False)
    left_out = np.array([_peak((mean * count - one) / (count - 1)) for one in surfaces])
    spread = (count - 1) / count * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0)
    error = float(np.sqrt(spread.max()))
    at = np.unravel_index(int(mean.argmax()), mean.shape)
    heights = surfaces[:, at[0], at[1]] - np.median(surfaces, axis=(1, 2))
    deviation = float(heights.std(ddof=1)) / np.sqrt(count)
    confidence = float(heights.mean() / deviation) if deviation > 0 else float("inf")
    inside = min(at) > 0 and max(at) < mean.shape[0] - 1
    sure = bool(inside and confidence >= _SURE)
    return Offset(start[0] + y, start[1] + x, error, confidence, sure)


def _peak(surface: Array) -> tuple[float, float]:
    """Highest point, refined by a parabola on each axis, from the middle of the surface."""
    reach = surface.shape[0] // 2
    y, x = (int(i) for i in np.unravel_index(int(surface.argmax()), surface.shape))
    down = _vertex(surface[y - 1 : y + 2, x]) if 0 < y < 2 * reach else 0.0
    right = _vertex(surface[y, x - 1 : x + 2]) if 0 < x < 2 * reach else 0.0
    return y + down - reach, x + right - reach


def _vertex(three: Array) -> float:
    before, here, after = (float(v) for v in three)
    bend = before - 2 * here + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0
