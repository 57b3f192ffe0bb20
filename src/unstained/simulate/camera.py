"""What a camera makes of light: shot noise, read noise, gain, offset; and a dirty light path."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy import ndimage

from ..errors import InputError
from ..images.image import Array
from ..settings import check_settings
from .optics import Optics, image_of

__all__ = ["Camera", "dust", "expose", "floaters", "uneven_illumination"]


_EXACT_BELOW = 10.0  # electrons; above, three moments of the Poisson distribution are matched
_FLOATER_UM = (3.0, 8.0)  # radii, of debris to cells
_FLOATER_INDEX = 0.02  # refractive index above the medium's, as cells in suspension have
_FLOATER_HEIGHTS_UM = (250.0, 400.0)  # within a chamber or a dish of medium
_FLOATER_PIXELS = 6  # side of the pixels they are imaged on: so far out of focus they are smooth


@dataclass(frozen=True)
class Camera:
    """A camera; the defaults are those of a scientific CMOS camera.

    Attributes
    ----------
    photons_per_unit : float
        Photo-electrons per pixel where the intensity is 1.
    gain : float
        Grey values per photo-electron.
    offset : float
        Grey value in the dark.
    read_noise : float
        Standard deviation in electrons.
    bits : int
        Grey values reach from 0 to 2**bits - 1.

    Raises
    ------
    InputError
        A negative or non-finite number, a gain of 0, or bits outside 1 to 16.
    """

    photons_per_unit: float = 10_000.0
    gain: float = 1.0
    offset: float = 100.0
    read_noise: float = 2.0
    bits: int = 16

    def __post_init__(self) -> None:
        check_settings(self, least={"bits": 1}, positive=("photons_per_unit", "gain"))
        if self.bits > 16:
            raise InputError(f"a camera of {self.bits} bits", "give 1 to 16")


def expose(intensity: Array, camera: Camera, rng: np.random.Generator) -> Array:
    """Take a picture.

    ``grey = offset + gain * (Poisson(photons_per_unit * intensity) + read_noise * N(0, 1))``,
    rounded and clipped: the variance follows the photon transfer curve [1]_
    ``gain * (mean - offset) + (gain * read_noise)**2`` (and 1/12 of rounding).

    From 10 electrons on, with mean m and variance v = m + read_noise**2, the electrons are
    Cornish-Fisher's expansion ``m + sqrt(v - 2 b**2) z + b (z**2 - 1)``, b = m / (6 v), of a
    normal z: mean and variance are exact, the third moment is m to within 0.02.

    Parameters
    ----------
    intensity : array
        Relative intensity, not negative (values below 0 count as 0).
    camera : Camera
    rng : numpy.random.Generator
        Advanced by the call.

    Returns
    -------
    uint16 array
        Of the same shape.

    Raises
    ------
    InputError
        The intensity is not finite.

    References
    ----------
    .. [1] Janesick, Photon Transfer (SPIE 2007), doi 10.1117/3.725073.
    """
    mean = np.maximum(np.asarray(intensity, np.float32), 0) * np.float32(camera.photons_per_unit)
    if not np.isfinite(mean).all():
        raise InputError("the intensity is not finite everywhere", "remove NaN and infinity")
    read = np.float32(camera.read_noise**2)
    variance = mean + read
    skew = mean / np.maximum(variance, np.float32(1e-6)) * np.float32(1 / 6)
    variance -= 2 * skew**2
    z = rng.standard_normal(mean.shape, np.float32)
    electrons = np.sqrt(np.maximum(variance, 0, out=variance), out=variance)
    electrons *= z
    electrons += mean
    np.square(z, out=z)
    z -= 1
    z *= skew
    electrons += z
    few = mean < _EXACT_BELOW
    if few.any():
        noise = rng.normal(0, camera.read_noise, int(few.sum()))
        electrons[few] = rng.poisson(mean[few]) + noise
    electrons *= np.float32(camera.gain)
    electrons += np.float32(camera.offset)
    np.rint(electrons, out=electrons)
    np.clip(electrons, 0, 2**camera.bits - 1, out=electrons)
    return np.asarray(electrons, np.uint16)


def uneven_illumination(shape: tuple[int, int], strength: float, rng: np.random.Generator) -> Array:
    """The lamp's intensity over the field: a quadratic hill with a random center.

    Parameters
    ----------
    shape : (int, int)
        Y, X.
    strength : float
        Share by which the darkest point lies below the brightest, 0 up to below 1.
    rng : numpy.random.Generator

    Returns
    -------
    (Y, X) float32 array
        Mean 1.

    Raises
    ------
    InputError
        A strength outside 0 to 1.
    """
    if not 0 <= strength < 1:
        raise InputError(f"illumination uneven by {strength}", "give a share from 0 to below 1")
    cy, cx = rng.uniform(-0.3, 0.3, 2)
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    fall = np.add.outer((y - np.float32(cy)) ** 2, (x - np.float32(cx)) ** 2)
    fall -= fall.min()
    peak = float(fall.max())
    lamp = 1 - np.float32(strength / peak if peak > 0 else 0) * fall
    return np.asarray(lamp / lamp.mean())


def dust(
    shape: tuple[int, int],
    count: int,
    rng: np.random.Generator,
    *,
    radius_px: float = 6.0,
    depth: float = 0.08,
) -> Array:
    """Transmission of dust in the light path, out of focus: soft discs with a bright core.

    Parameters
    ----------
    shape : (int, int)
        Y, X.
    count : int
        Of grains.
    rng : numpy.random.Generator
    radius_px : float
        Mean radius of a grain's disc, camera pixels.
    depth : float
        Mean share of light that a disc takes away, 0 to 1.

    Returns
    -------
    (Y, X) float32 array
        1 where there is none.

    Raises
    ------
    InputError
        A negative count or radius, or a depth outside 0 to 1.
    """
    if count < 0 or not radius_px > 0 or not 0 <= depth <= 1:
        raise InputError(
            f"{count} grains of dust of radius {radius_px} px and depth {depth}",
            "give a count from 0, a radius above 0, a depth from 0 to 1",
        )
    passed = np.ones(shape, np.float32)
    for _ in range(count):
        cy, cx = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        radius = radius_px * rng.uniform(0.5, 1.5)
        taken = min(1.0, depth * rng.uniform(0.4, 1.6))
        reach = math.ceil(2 * radius) + 2
        y0, x0 = max(0, int(cy) - reach), max(0, int(cx) - reach)
        window = np.s_[y0 : int(cy) + reach, x0 : int(cx) + reach]
        rows, columns = np.ogrid[window[0].start : shape[0], window[1].start : shape[1]]
        rows, columns = rows[: 2 * reach], columns[:, : 2 * reach]
        distance = np.hypot(rows - cy, columns - cx) / radius
        disc = 1 / (1 + np.exp((distance - 1) / 0.12)) * (1 - 1.3 * np.exp(-((3 * distance) ** 2)))
        view = passed[y0 : y0 + disc.shape[0], x0 : x0 + disc.shape[1]]
        view *= 1 - taken * disc.astype(np.float32)
    return np.asarray(ndimage.gaussian_filter(passed, 0.7)) if count else passed


def floaters(
    shape: tuple[int, int], per_mm2: float, optics: Optics, rng: np.random.Generator
) -> Array:
    """Light that has passed cells and crumbs floating in the medium, far above the focus.

    Balls in two layers, each imaged by the microscope out of focus (`image_of`) on pixels of
    six times the size. In phase contrast each becomes a faint ring: the condenser's annulus at
    that height.

    Parameters
    ----------
    shape : (int, int)
        Y, X.
    per_mm2 : float
        Balls of both layers.
    optics : Optics
    rng : numpy.random.Generator

    Returns
    -------
    (Y, X) float32 array
        1 where there is none.

    Raises
    ------
    InputError
        A negative number of balls.
    """
    if not (per_mm2 >= 0 and math.isfinite(per_mm2)):
        raise InputError(f"{per_mm2} floating balls per mm2", "give a number from 0 on")
    pixel = optics.pixel_size_um * _FLOATER_PIXELS
    points = max(optics.source_points, optics.coarse_points)
    coarse = replace(optics, pixel_size_um=pixel, source_points=points, coarse_points=0)
    small = (math.ceil(shape[0] / _FLOATER_PIXELS) + 1, math.ceil(shape[1] / _FLOATER_PIXELS) + 1)
    y, x = (np.arange(n) * pixel for n in small)
    mean = per_mm2 * 1e-6 * small[0] * small[1] * pixel**2 / len(_FLOATER_HEIGHTS_UM)
    passed = np.ones(shape, np.float32)
    for height_um in _FLOATER_HEIGHTS_UM:
        thickness = np.zeros(small)
        for _ in range(int(rng.poisson(mean))):
            cy, cx = rng.uniform(0, y[-1]), rng.uniform(0, x[-1])
            radius = rng.uniform(*_FLOATER_UM)
            under_root = radius**2 - np.add.outer((y - cy) ** 2, (x - cx) ** 2)
            thickness += 2 * np.sqrt(np.maximum(under_root, 0))
        path = 2 * math.pi / optics.wavelength_um * _FLOATER_INDEX * thickness
        image = image_of(path, coarse, defocus_um=height_um)
        size = (small[1] * _FLOATER_PIXELS, small[0] * _FLOATER_PIXELS)
        passed *= cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)[: shape[0], : shape[1]]
    return passed
