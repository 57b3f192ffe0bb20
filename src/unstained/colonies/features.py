"""Hand-crafted features of patches: grey values, edges, grain, texture, profile and shape.

Grain is measured twice: in a plane as it is, and in what is left without its radial profile. The
bright and dark rings of a round cell are most of what a patch shows; without them, what lies in
the cell counts.

All features are the same for a patch and for its mirrors and quarter turns (up to rounding), so
nothing has to be learned about orientation. Filters along an axis are products with an S x S
matrix, which serves many small patches at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import cv2
import numpy as np
import scipy.fft
import scipy.ndimage

from ..errors import InputError
from ..images.image import Array
from ..learning.machine_code import one_blas_thread

__all__ = ["feature_names", "patch_features"]

LEAST_SIDE_PX = 8
SCALES_PX = (1.0, 1.6, 2.5, 4.0, 6.3)
"""Standard deviations of the Gaussian filters, about 2/3 of an octave apart."""
_STEPS_PX = (1, 2, 4)
_GREY_LEVELS = 16
_RINGS = 10
_AT_ONCE = 32  # patches; what is made of them then stays in the processor's cache
_TINY = 1e-6
_LEAST_LOG = 1e-3

_Named = Iterator[tuple[str, Array]]


def patch_features(x: Array) -> Array:
    """Features of each patch, plane by plane.

    Per plane, each from functions below: moments and quantiles of grey values; gradient, local
    spread, blobs and ridges at `SCALES_PX`, and the same without the radial profile; radial
    power spectrum; grey-level co-occurrence and local binary patterns at 1, 2, 4 px; profile
    about the center of the object; size and shape of the object.

    Parameters
    ----------
    x : (N, P, S, S) array
        Finite grey values of any unit; S is 8 or more. Features whose names contain
        ``log`` add 1e-3 before the logarithm, so give values of a spread of about 1.

    Returns
    -------
    (N, F) float32 array
        Columns are those of `feature_names`; finite, for a patch of one grey value too.

    Raises
    ------
    InputError
        Another shape, too small a patch, or values that are not finite.
    """
    if x.ndim != 4 or x.shape[2] != x.shape[3] or x.shape[2] < LEAST_SIDE_PX:
        raise InputError(
            f"patches of shape {x.shape}",
            f"give (N, P, S, S) patches of {LEAST_SIDE_PX} px a side or more",
        )
    found = np.empty((len(x), len(feature_names(x.shape[1]))), np.float32)
    with one_blas_thread():
        for start in range(0, len(x), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            block = np.ascontiguousarray(x[some], np.float32)
            if not np.isfinite(block).all():
                raise InputError("patches with values that are not finite", "remove those images")
            columns = [v for p in range(x.shape[1]) for _, v in _of_plane(block[:, p])]
            found[some] = np.stack(columns, axis=1)
    return found


@cache
def feature_names(planes: int) -> tuple[str, ...]:
    """What the columns of `patch_features` are: ``plane 0: gradient 1.6 px mean`` and so on."""
    blank = np.zeros((1, LEAST_SIDE_PX, LEAST_SIDE_PX), np.float32)
    names = [name for name, _ in _of_plane(blank)]
    return tuple(f"plane {p}: {name}" for p in range(planes) for name in names)


def _of_plane(x: Array) -> _Named:
    """(N, S, S) to names and (N,) arrays."""
    yield from _grey_values(x)
    yield from _grain(x)
    yield from _spectrum(x)
    yield from _co_occurrence(x)
    yield from _binary_patterns(x)
    mask = _object(x)
    yield from _shape(mask)
    yield from _profile(x, mask)
    rest = x - _radial_profile(x, mask)
    yield from ((f"without profile {name}", value) for name, value in _grain(rest))


def _log(x: Array) -> Array:
    return np.asarray(np.log(np.maximum(x, 0) + _LEAST_LOG))


def _moments(name: str, x: Array, weight: Array) -> _Named:
    """Mean, log spread, skewness, excess kurtosis of (N, M) values, weighted to sum 1 a row."""
    mean = (x * weight).sum(axis=1)
    away = x - mean[:, None]
    square = away * away
    weighted = square * weight
    sd = np.sqrt(weighted.sum(axis=1)) + _TINY
    yield f"{name} mean", mean
    yield f"{name} log sd", _log(sd)
    yield f"{name} skewness", (weighted * away).sum(axis=1) / sd**3
    yield f"{name} kurtosis", (weighted * square).sum(axis=1) / sd**4 - 3


def _grey_values(x: Array) -> _Named:
    flat = x.reshape(len(x), -1)  # (N, S * S)
    yield from _moments("grey", flat, np.full(flat.shape, 1 / flat.shape[1], np.float32))
    yield from _quantiles("grey", flat, (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99))


def _quantiles(name: str, x: Array, shares: tuple[float, ...]) -> _Named:
    """Of (N, M) values, each one of them."""
    places = [round(share * (x.shape[1] - 1)) for share in shares]
    ordered = np.partition(x, places, axis=1)
    for share, place in zip(shares, places, strict=True):
        yield f"{name} quantile {share:g}", ordered[:, place]


@cache
def _filter(side: int, sigma: float, order: int) -> Array:
    """(S, S) matrix that applies a derivative of a Gaussian along an axis, edges reflected."""
    matrix = scipy.ndimage.gaussian_filter1d(
        np.eye(side), sigma, axis=0, order=order, mode="reflect"
    )
    return np.asarray(matrix, np.float32)


def _filtered(x: Array, sigma: float, *orders: tuple[int, int]) -> Iterator[Array]:
    """(N, S, S) convolved with derivatives of a Gaussian, times sigma per order, in y and x."""
    n, side, _ = x.shape
    matrix = {order: _filter(side, sigma, order) for pair in orders for order in pair}
    # one large product for all patches is faster than many small ones
    columns = x.swapaxes(0, 1).reshape(side, n * side)  # (N, Y, X) to (Y, N X)
    along_y = {y: (matrix[y] @ columns).reshape(side * n, side) for y, _ in orders}  # (Y N, X)
    for order_y, order_x in orders:
        both = along_y[order_y] @ matrix[order_x].T * np.float32(sigma ** (order_y + order_x))
        yield np.ascontiguousarray(both.reshape(side, n, side).swapaxes(0, 1))  # (N, Y, X)


def _smoothed(x: Array, sigma: float) -> Array:
    """(N, S, S) convolved with a Gaussian."""
    return next(_filtered(x, sigma, (0, 0)))


def _length(a: Array, b: Array) -> Array:
    return np.asarray(np.sqrt(a * a + b * b))  # several times as fast as np.hypot


def _grain(x: Array) -> _Named:
    """Edges, spread, blobs and ridges by scale.

    With H the Hessian of the smoothed patch: blobs are trace H (the Laplacian of Gaussian),
    ridges the difference of the eigenvalues of H, sqrt((Hyy - Hxx)^2 + 4 Hxy^2).
    """
    even = np.full((len(x), x[0].size), 1 / x[0].size, np.float32)

    def flat(image: Array) -> Array:
        return image.reshape(len(x), -1)

    for sigma in SCALES_PX:
        scale = f"{sigma:g} px"
        smooth, y, x_, yy, xx, yx = _filtered(
            x, sigma, (0, 0), (1, 0), (0, 1), (2, 0), (0, 2), (1, 1)
        )
        yield from _moments(f"gradient {scale}", flat(_length(y, x_)), even)
        spread = np.sqrt(np.maximum(_smoothed(x**2, sigma) - smooth**2, 0))
        yield from _moments(f"local sd {scale}", flat(spread), even)
        yield from _moments(f"blobs {scale}", flat(yy + xx), even)
        ridges = _length(yy - xx, 2 * yx)
        yield from _moments(f"ridges {scale}", flat(ridges), even)
        yield from _quantiles(f"blobs {scale}", flat(yy + xx), (0.01, 0.99))


@cache
def _ring_of_frequency(side: int) -> Array:
    """(S, S) ring 0 ... 9 of each frequency, -1 for the mean; rings are even in log frequency."""
    f = np.abs(np.fft.fftfreq(side))
    radius = np.hypot(f[:, None], f)
    share = np.log(np.maximum(radius * side, 1)) / np.log(np.sqrt(0.5) * side)  # 0 to 1
    ring = np.minimum(share * _RINGS + 1e-6, _RINGS - 1).astype(int)
    ring[0, 0] = -1
    return np.asarray(ring)


def _spectrum(x: Array) -> _Named:
    """Log of the mean power in rings of frequency, from 1 / S to 0.71 per px."""
    ring = _ring_of_frequency(x.shape[1])
    power = np.abs(scipy.fft.fft2(x, axes=(1, 2))) ** 2 / x[0].size  # (N, S, S)
    for r in range(_RINGS):
        inside = ring == r
        mean = power[:, inside].mean(axis=1) if inside.any() else np.zeros(len(x), np.float32)
        yield f"spectrum log ring {r}", _log(mean)


def _levels(x: Array) -> Array:
    """(N, S, S) to 16 grey levels between mean - 2.5 sd and mean + 2.5 sd of each patch."""
    mean = x.mean(axis=(1, 2), keepdims=True)
    sd = x.std(axis=(1, 2), keepdims=True) + _TINY
    level = (x - mean) / sd * (_GREY_LEVELS / 5) + _GREY_LEVELS / 2
    return np.asarray(level.clip(0, _GREY_LEVELS - 1).astype(np.int64))


def _pairs(x: Array, step: int) -> Iterator[tuple[Array, Array]]:
    """Pixels and their neighbors at `step` px in the four directions."""
    yield x[:, :, :-step], x[:, :, step:]
    yield x[:, :-step], x[:, step:]
    yield x[:, :-step, :-step], x[:, step:, step:]
    yield x[:, step:, :-step], x[:, :-step, step:]


def _co_occurrence(x: Array) -> _Named:
    """Haralick's measures [1]_ of the symmetric co-occurrence matrix over all directions.

    .. [1] Haralick, Shanmugam, Dinstein (1973), IEEE Trans SMC 3:610,
       doi 10.1109/TSMC.1973.4309314.
    """
    level = _levels(x)
    k = _GREY_LEVELS
    first = np.arange(len(x))[:, None, None] * k * k
    i, j = np.indices((k, k))
    for step in _STEPS_PX:
        counts = np.zeros(len(x) * k * k)
        for a, b in _pairs(level, step):
            counts += np.bincount((first + a * k + b).ravel(), minlength=counts.size)
        p = counts.reshape(-1, k, k)
        p = (p + p.swapaxes(1, 2)) / (2 * p.sum(axis=(1, 2), keepdims=True))  # (N, K, K)
        mean = (p * i).sum(axis=(1, 2))
        variance = (p * i**2).sum(axis=(1, 2)) - mean**2
        together = (p * i * j).sum(axis=(1, 2)) - mean**2
        name = f"co-occurrence {step} px"
        yield f"{name} contrast", (p * (i - j) ** 2).sum(axis=(1, 2))
        yield f"{name} homogeneity", (p / (1 + (i - j) ** 2)).sum(axis=(1, 2))
        yield f"{name} correlation", together / (variance + _TINY)
        yield f"{name} entropy", -(p * np.log2(np.maximum(p, 1e-12))).sum(axis=(1, 2))
        yield f"{name} energy", (p**2).sum(axis=(1, 2))


_AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))


def _binary_patterns(x: Array) -> _Named:
    """Shares of uniform rotation-invariant local binary patterns [1]_ on the eight neighbors.

    Codes 0 to 8 have so many neighbors as bright as the pixel or brighter, side by side; 9 is
    all others. At 2 and 4 px the patch is smoothed first, by half the step.

    .. [1] Ojala, Pietikainen, Maenpaa (2002), IEEE TPAMI 24:971, doi 10.1109/TPAMI.2002.1017623.
    """
    for step in _STEPS_PX:
        image = x if step == 1 else _smoothed(x, step / 2)
        # as bright up to rounding, which depends on how the patch lies
        nearly = 1e-4 * image.std(axis=(1, 2), keepdims=True) + _TINY
        side = x.shape[1]
        reach = min(step, (side - 1) // 2)
        inner = slice(reach, side - reach)
        center = image[:, inner, inner]
        bright = np.stack(
            [
                image[
                    :,
                    reach + dy * reach : side - reach + dy * reach,
                    reach + dx * reach : side - reach + dx * reach,
                ]
                >= center - nearly
                for dy, dx in _AROUND
            ]
        )  # (8, N, S', S')
        changes = (bright != np.roll(bright, 1, axis=0)).sum(axis=0, dtype=np.uint8)
        code = np.where(changes <= 2, bright.sum(axis=0, dtype=np.uint8), 9)
        for c in range(10):
            yield f"binary pattern {step} px {c}", (code == c).mean(axis=(1, 2))


def _object(x: Array) -> Array:
    """(N, S, S) bool: what stands out from the background, holes filled.

    Otsu's threshold of the distance from the grey value of the border, smoothed by 1 px.
    A patch without structure has an empty one.
    """
    border = np.concatenate([x[:, 0], x[:, -1], x[:, 1:-1, 0], x[:, 1:-1, -1]], axis=1)
    away = np.abs(x - np.median(border, axis=1)[:, None, None])
    away = np.maximum(_smoothed(away, 1.0), 0)
    largest = away.max(axis=(1, 2), keepdims=True)
    grey = np.round(255 * away / (largest + _TINY)).astype(np.uint8)
    masks = np.zeros(x.shape, bool)
    for n, image in enumerate(grey):
        _, mask = cv2.threshold(image, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        masks[n] = _filled(mask)
    return masks


def _filled(mask: Array) -> Array:
    """(S, S) with all zeros that are not joined to the border set."""
    outline, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(mask.copy(), outline, -1, 1, cv2.FILLED).astype(bool)


def _shape(mask: Array) -> _Named:
    """Area, axes of the ellipse of the same second moments, outline, and the largest part's."""
    n, side = len(mask), mask.shape[1]
    at = np.arange(side, dtype=np.float64)
    area = mask.sum(axis=(1, 2))
    some = np.maximum(area, 1)
    y, x = (mask.sum(axis=axis) @ at / some for axis in (2, 1))
    yy, xx = (mask.sum(axis=axis) @ at**2 / some - m**2 for axis, m in ((2, y), (1, x)))
    yx = np.einsum("nij,i,j->n", mask, at, at, optimize=True) / some - y * x
    middle, half = (yy + xx) / 2, np.sqrt((yy - xx) ** 2 / 4 + yx**2)
    major, minor = (np.sqrt(np.maximum(v, 0)) for v in (middle + half, middle - half))
    yield "object log area", np.log(area + 1.0)
    yield "object major axis", 4 * major
    yield "object minor axis", 4 * minor
    yield "object elongation", (major + 1e-2) / (minor + 1e-2)
    largest, solidity, roundness, parts = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    for k, one in enumerate(mask.astype(np.uint8)):
        outline, _ = cv2.findContours(one, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        parts[k] = len(outline)
        if not outline:
            continue
        areas = [cv2.contourArea(part) for part in outline]
        part = outline[int(np.argmax(areas))]
        largest[k] = max(areas) / some[k]
        solidity[k] = max(areas) / max(cv2.contourArea(cv2.convexHull(part)), 1.0)
        roundness[k] = 4 * np.pi * max(areas) / max(cv2.arcLength(part, True), 1.0) ** 2
    yield "object parts", np.log(parts + 1)
    yield "object share of the largest part", largest
    yield "object solidity", solidity
    yield "object roundness", roundness


def _profile(x: Array, mask: Array) -> _Named:
    """Grey values inside and outside the object, and by distance from its center.

    Rings are eighths of half a patch; what no pixel falls into has the mean of the patch.
    """
    n = len(x)
    inside = mask.reshape(n, -1).astype(np.float32)
    flat = x.reshape(n, -1)
    for name, part in (("inside", inside), ("outside", 1 - inside)):
        weight = part / np.maximum(part.sum(axis=1, keepdims=True), 1)
        yield from _moments(name, flat, weight)
    weight = inside / np.maximum(inside.sum(axis=1, keepdims=True), 1)
    for sigma in SCALES_PX[:3]:
        yy, xx = _filtered(x, sigma, (2, 0), (0, 2))
        blobs = yy + xx
        yield from _moments(f"inside blobs {sigma:g} px", blobs.reshape(n, -1), weight)
    yield from _rings(x, mask)


def _from_center(mask: Array) -> tuple[Array, Array]:
    """(N, S) offsets of rows and of columns from each object's center, of the patch's if none."""
    side = mask.shape[1]
    at = np.arange(side, dtype=np.float32)
    some = mask.sum(axis=(1, 2))
    y, x = (
        np.where(some > 0, mask.sum(axis=axis) @ at / np.maximum(some, 1), (side - 1) / 2)
        for axis in (2, 1)
    )
    return at - y[:, None], at - x[:, None]


def _radial_profile(x: Array, mask: Array) -> Array:
    """(N, S, S) at each pixel the patch's mean at that distance from the object's center.

    Means are those of whole pixels of distance; a pixel between two of them counts for both, the
    nearer one more, and gets a value between theirs in the same shares.
    """
    y, x_ = _from_center(mask)
    away = _length(y[:, :, None], x_[:, None, :])
    nearer = away.astype(np.int64)
    share = (away - nearer).astype(np.float32)  # of the ring beyond
    rings = int(nearer.max()) + 2
    code = np.arange(len(x))[:, None, None] * rings + nearer

    def sums(values: Array) -> Array:
        near, far = (1 - share) * values, share * values
        found = np.bincount(code.ravel(), near.ravel(), minlength=len(x) * rings)
        return np.asarray(found + np.bincount(code.ravel() + 1, far.ravel(), minlength=found.size))

    mean = (sums(x) / np.maximum(sums(np.ones_like(x)), _TINY)).astype(np.float32)
    return np.asarray((1 - share) * mean[code] + share * mean[code + 1])


def _rings(x: Array, mask: Array) -> _Named:
    """By distance r from the object's center: mean, spread, and unevenness around it.

    Rings are eighths of half a patch; what no pixel falls into has the mean of the patch.
    In each of four double rings, harmonic m is |mean of x exp(i m angle)|: 1 for a side that
    is brighter, 2 for a bar or a pair.
    """
    n, side = len(x), x.shape[1]
    y, x_ = _from_center(mask)
    turn = (x_[:, None, :] + 1j * y[:, :, None]).astype(np.complex64)  # (N, S, S)
    away = np.abs(turn)
    turn /= np.maximum(away, 0.5)
    ring = np.minimum(away * (16 / side) + 1e-4, 8).astype(np.int64)  # 8: beyond
    code = (np.arange(n)[:, None, None] * 9 + ring).ravel()

    def sum_of(values: Array) -> Array:
        return np.bincount(code, weights=values.ravel(), minlength=9 * n).reshape(n, 9)

    count = np.maximum(sum_of(np.ones_like(x)), 1)
    level = x.mean(axis=(1, 2), keepdims=True)
    mean = sum_of(x - level) / count
    square = sum_of((x - level) ** 2) / count
    for r in range(8):
        yield f"ring {r} mean", mean[:, r] + level[:, 0, 0]
        yield f"ring {r} log sd", _log(np.sqrt(np.maximum(square[:, r] - mean[:, r] ** 2, 0)))
    wave = x - level
    for m in range(1, 5):
        wave = wave * turn
        pairs = [
            sums[:, 0:8:2] + sums[:, 1:8:2]
            for sums in (sum_of(wave.real), sum_of(wave.imag), count)
        ]  # (N, 4) each
        height = np.hypot(pairs[0], pairs[1]) / pairs[2]
        for r in range(4):
            yield f"rings {2 * r}-{2 * r + 1} harmonic {m}", height[:, r]
