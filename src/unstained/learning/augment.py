"""Augmentation of geometry and intensity, drawn from a counter-based generator.

One affine warp serves crop, rotation, scale and mirror at once, in one resampling, and the
very same warp is applied to the label-free planes and to the stains.

Which mirrors and quarter turns are true to an image depends on its optics. In phase contrast
all eight are. Under oblique shading (differential interference contrast, or a phase image
with a direction) the grey value follows the derivative of the phase along one axis, and few are:
`find_symmetries` looks at the images and tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ALL_MOTIONS",
    "IDENTITY",
    "Augmentation",
    "Symmetry",
    "apply_symmetry",
    "crop_pair",
    "find_symmetries",
    "undo_symmetry",
    "vary_intensity",
]

_REACH = 4  # R, pixels; the largest lag at which differences are looked at
_BLOCKS = 24  # that the look of a few large images is measured on
_MANY_IMAGES = 16

Floats = NDArray[np.float32]
ReadWindow = Callable[[slice, slice], tuple[Floats, Floats]]


class Symmetry(NamedTuple):
    """A motion of the plane: first transpose (if set), then flip axis Y, then axis X."""

    transpose: bool = False
    flip_y: bool = False
    flip_x: bool = False

    def matrix(self) -> NDArray[np.float64]:
        """The 2 x 2 matrix that takes (x, y) of the moved image to (x, y) of the original."""
        m = np.diag([-1.0 if self.flip_x else 1.0, -1.0 if self.flip_y else 1.0])
        swap = np.array([[0.0, 1.0], [1.0, 0.0]])
        return swap @ m if self.transpose else m


IDENTITY = Symmetry()
ALL_MOTIONS = tuple(
    Symmetry(t, y, x) for t in (False, True) for y in (False, True) for x in (False, True)
)


@dataclass(frozen=True)
class Augmentation:
    """How far samples are varied; zero everywhere is none.

    Attributes
    ----------
    rotation_deg : float
        Rotation within +- this angle.
    scale : float
        Magnification within a factor exp(+- this).
    warped : float
        Share of the samples that are rotated and scaled; the others stay on the pixel grid,
        as sharp as the images that will be predicted.
    contrast : float
        Standard deviation of the logarithm of the contrast.
    brightness : float
        Standard deviation of an added constant, in standard deviations of the plane.
    noise : float
        Largest standard deviation of added noise, in standard deviations of the plane.
    symmetries : tuple of Symmetry
        One of these, at random; the identity alone for none.
    """

    rotation_deg: float = 0.0
    scale: float = 0.0
    warped: float = 1.0
    contrast: float = 0.0
    brightness: float = 0.0
    noise: float = 0.0
    symmetries: tuple[Symmetry, ...] = (IDENTITY,)


def apply_symmetry(planes: Floats, symmetry: Symmetry) -> Floats:
    """Move (..., Y, X) planes."""
    out = planes
    if symmetry.transpose:
        out = np.swapaxes(out, -1, -2)
    if symmetry.flip_y:
        out = out[..., ::-1, :]
    return out[..., ::-1] if symmetry.flip_x else out


def undo_symmetry(planes: Floats, symmetry: Symmetry) -> Floats:
    """Move (..., Y, X) planes back."""
    out = planes
    if symmetry.flip_x:
        out = out[..., ::-1]
    if symmetry.flip_y:
        out = out[..., ::-1, :]
    return np.swapaxes(out, -1, -2) if symmetry.transpose else out


def crop_pair(
    read: ReadWindow,
    shape_yx: tuple[int, int],
    size: int,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Cut one random patch from a field, moved and warped the same way in phase and stains.

    Parameters
    ----------
    read : callable
        ``read(rows, columns)`` gives the window's normalized phase (P, y, x) and stains
        (M, y, x), float32.
    shape_yx : (int, int)
        Of the field.
    size : int
        Side of the patch in pixels; beyond the field's edge it is mirrored.
    augmentation : Augmentation
        Geometry and symmetries are used here; intensity in `vary_intensity`.
    rng : numpy.random.Generator

    Returns
    -------
    (P, size, size), (M, size, size) float32 arrays
    """
    share = float(rng.random() < augmentation.warped)
    angle = share * np.deg2rad(augmentation.rotation_deg) * rng.uniform(-1, 1)
    zoom = np.exp(share * augmentation.scale * rng.uniform(-1, 1))
    symmetry = augmentation.symmetries[rng.integers(len(augmentation.symmetries))]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
    linear = turn @ symmetry.matrix()
    middle = (size - 1) / 2
    reach = np.abs(linear).sum(axis=1) * middle  # of the patch, in x and y
    end = np.array(shape_yx[::-1]) - 1
    center = np.array([_between(r, e - r, rng) for r, e in zip(reach, end, strict=True)])
    if np.isin(linear, (-1, 0, 1)).all():  # on the pixel grid nothing has to be resampled
        center = np.round(center - middle) + middle
    low = np.maximum(np.floor(center - reach).astype(int) - 1, 0)
    high = np.minimum(np.ceil(center + reach).astype(int) + 2, end + 1)
    phase, stains = read(slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0])))
    affine = np.column_stack([linear, center - low - linear @ np.full(2, middle)])
    return _warp(phase, affine, size), _warp(stains, affine, size)


def vary_intensity(phase: Floats, augmentation: Augmentation, rng: np.random.Generator) -> Floats:
    """Change contrast and brightness of all planes alike, and add noise."""
    gain = np.exp(augmentation.contrast * rng.standard_normal())
    shift = augmentation.brightness * rng.standard_normal()
    out = phase * np.float32(gain) + np.float32(shift)
    level = augmentation.noise * rng.random()
    if level > 0:
        out += np.float32(level) * rng.standard_normal(phase.shape, dtype=np.float32)
    return out


def find_symmetries(images: Sequence[Floats]) -> tuple[Symmetry, ...]:
    """Tell which motions of the plane leave the look of images unchanged.

    The look is summed up by the third moment of the grey-level differences over short lags
    [1]_: s(d) = <(I(r + d) - I(r))^3>, d within 4 pixels. It is odd in d: zero but for chance
    where an image has no direction, large along the axis of oblique shading, where dark
    follows bright. Its chance part is measured from block to block (of single-cell images: from
    image to image). An image whose s stays within 1.5 times the chance part has no direction and
    allows all eight motions. Otherwise a motion is allowed where s of the moved image differs from
    s by less than half its norm.

    Both limits are ours, set between blobs with and without simulated shading, cells in plain
    phase contrast (ratios 0.3 to 1.0) and neurons under oblique shading (2.0 to 2.7).

    Parameters
    ----------
    images : sequence of (P, Y, X) float32 arrays
        Normalized.

    Returns
    -------
    tuple of Symmetry
        The identity first.

    References
    ----------
    .. [1] Mendel (1991), Proc. IEEE 79:278, on cumulants as features blind to symmetric noise.
    """
    skews = np.stack([_skew(block) for block in _blocks(images)])  # (K, 2 R + 1, 2 R + 1)
    skew = skews.mean(axis=0)
    norm = np.sqrt(np.mean(skew**2))
    chance = np.sqrt(np.mean(skews.var(axis=0, ddof=1)) / len(skews))
    if norm < 1.5 * chance:
        return ALL_MOTIONS
    return tuple(
        motion
        for motion in ALL_MOTIONS
        if np.sqrt(np.mean((apply_symmetry(skew, motion) - skew) ** 2)) < 0.5 * norm
    )


def _blocks(images: Sequence[Floats]) -> Iterator[Floats]:
    """Blocks of about one size, some 24 in all; of many images each is a block.

    Blocks of a small image would be noisier than those of a large one, and pass for chance.
    """
    if len(images) >= _MANY_IMAGES:
        yield from images
        return
    side = max(1, int(np.sqrt(sum(image[0].size for image in images) / _BLOCKS)))
    for image in images:
        height, width = image.shape[-2:]
        n_y, n_x = max(1, height // side), max(1, width // side)
        for i in range(n_y):
            for j in range(n_x):
                rows = slice(i * height // n_y, (i + 1) * height // n_y)
                yield image[:, rows, j * width // n_x : (j + 1) * width // n_x]


def _skew(planes: Floats) -> Floats:
    """(2 R + 1, 2 R + 1) third moments of differences, by lag (dy, dx)."""
    side = 2 * _REACH + 1
    skew = np.zeros(side * side, np.float32)
    for i in range(side * side // 2):  # the other half is its negative
        difference = _difference(planes, i // side - _REACH, i % side - _REACH)
        skew[i] = np.mean(difference * difference * difference)
        skew[-1 - i] = -skew[i]
    return skew.reshape(side, side)


def _difference(planes: Floats, dy: int, dx: int) -> Floats:
    height, width = planes.shape[-2:]
    a = planes[:, max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)]
    b = planes[:, max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)]
    clipped: Floats = np.clip(a - b, -6, 6)  # dirt must not outweigh all else
    return clipped


def _between(low: float, high: float, rng: np.random.Generator) -> float:
    return float(rng.uniform(low, high)) if high > low else (low + high) / 2


def _warp(planes: Floats, affine: NDArray[np.float64], size: int) -> Floats:
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    out = np.empty((len(planes), size, size), np.float32)
    for plane, target in zip(planes, out, strict=True):
        cv2.warpAffine(
            plane, affine, (size, size), target, flags=flags, borderMode=cv2.BORDER_REFLECT_101
        )
    return out
