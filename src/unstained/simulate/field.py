"""One simulated field: cells as phase objects, their phase contrast, their stains.

A cell has a body, a nucleus and granules; light is delayed by each. The stains follow these
structures, times a level for each cell that no phase image can tell: so the best possible
score is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import fft, ndimage

from ..errors import InputError

__all__ = ["MARKERS", "PIXEL_SIZE_UM", "Marker", "SimulatedField", "simulate_field"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

PIXEL_SIZE_UM = 0.65  # a 10x objective on a camera with pixels of 6.5 um
CELLS_PER_MPX = 160
CUTOFF = 0.30  # cycles per pixel that the objective still passes
RING = 0.018  # cycles per pixel; light below it meets the phase ring: the wider, the more halo
RING_AMPLITUDE = 0.6  # what the ring lets through
PHASE_RAD = {"body": 0.5, "nucleus": 0.25, "granules": 0.4}  # delay at a structure's peak
PHASE_PHOTONS = 4000.0  # per pixel, where there is no cell
CAMERA_OFFSET, READ_NOISE = 100.0, 3.0  # grey values; gain is 1 per photon
STAIN_BACKGROUND = 15.0  # photons per pixel
BLUR_PX = 1.2  # standard deviation of the fluorescence's point spread


@dataclass(frozen=True)
class Marker:
    """A simulated stain.

    Attributes
    ----------
    body, nucleus, granules : float
        Share of each structure in the stain.
    hidden : float
        Standard deviation of the logarithm of a cell's level, which the phase does not show.
    photons : float
        Per pixel at the peak of a cell of level 1.
    """

    body: float = 0.0
    nucleus: float = 0.0
    granules: float = 0.0
    hidden: float = 0.2
    photons: float = 400.0


MARKERS: Mapping[str, Marker] = {
    "NUCLEUS": Marker(nucleus=1.0, hidden=0.15, photons=600.0),
    "BODY": Marker(body=1.0, nucleus=-0.3, hidden=0.35),
    "GRANULES": Marker(body=0.15, granules=1.0, hidden=0.5, photons=250.0),
}


class SimulatedField(NamedTuple):
    """A field and the truth about it.

    Attributes
    ----------
    phase : (Y, X) uint16 array
        Zernike phase contrast.
    stains : dict of (Y, X) uint16 arrays
        As a camera would see them.
    expected : dict of (Y, X) float arrays
        Each stain without noise and with every cell at the mean level: the best prediction
        that anything can make from the structures alone.
    labels : (Y, X) int32 array
        The cell of each pixel, 0 is background.
    ceiling : dict of float
        Pearson r of stain and `expected`: what r_s cannot, on average, surpass.
    """

    phase: np.ndarray[Any, Any]
    stains: dict[str, np.ndarray[Any, Any]]
    expected: dict[str, Floats]
    labels: np.ndarray[Any, Any]
    ceiling: dict[str, float]


def simulate_field(
    size: int = 512, *, markers: Sequence[str] = tuple(MARKERS), seed: int | Sequence[int] = 0
) -> SimulatedField:
    """Simulate a square field; the same arguments give the same field.

    Parameters
    ----------
    size : int
        Side in pixels, at least 64.
    markers : sequence of str
        Names out of `MARKERS`.
    seed : int or sequence of int
        For NumPy's generator.

    Raises
    ------
    InputError
        The field is too small or a marker is not known.
    """
    if size < 64:
        raise InputError(f"a simulated field of {size} px", "give at least 64")
    unknown = [name for name in markers if name not in MARKERS]
    if unknown or not markers:
        raise InputError(
            f"no simulated marker {', '.join(unknown) or 'is named'}",
            f"there are {', '.join(MARKERS)}",
        )
    random = np.random.default_rng(seed)
    structures, labels = _structures(size, random)
    path_rad = sum(PHASE_RAD[name] * structures[name] for name in PHASE_RAD)
    phase = _camera(PHASE_PHOTONS * _phase_contrast(np.asarray(path_rad)), random)
    stains, expected, ceiling = {}, {}, {}
    for name in markers:
        marker = MARKERS[name]
        spread = marker.hidden * random.standard_normal(labels.max() + 1)
        level = np.exp(spread - marker.hidden**2 / 2)  # log-normal with mean 1
        stains[name] = _camera(_fluorescence(structures, marker, level[labels]), random)
        expected[name] = CAMERA_OFFSET + _fluorescence(structures, marker, 1.0)
        ceiling[name] = float(np.corrcoef(stains[name].ravel(), expected[name].ravel())[0, 1])
    return SimulatedField(phase, stains, expected, labels, ceiling)


def _structures(
    size: int, random: np.random.Generator
) -> tuple[dict[str, Floats], np.ndarray[Any, Any]]:
    """Body, nuclei and granules, each 1 at a cell's peak, and the label image."""
    body, nucleus, points = (np.zeros((size, size)) for _ in range(3))
    labels = np.zeros((size, size), np.int32)
    n_cells = max(3, round(CELLS_PER_MPX * size**2 / 2**20))
    for label, (y, x) in enumerate(random.uniform(0, size, (n_cells, 2)), start=1):
        window, u, v = _cell_frame(y, x, size, random)
        semi_u, semi_v = random.uniform(18, 40), random.uniform(10, 18)
        outline = _wobble(np.arctan2(v / semi_v, u / semi_u), random)
        rho = np.hypot(u / semi_u, v / semi_v) / outline
        thickness = np.clip(1 - rho**2, 0, None) ** 0.75
        shift = random.uniform(-0.2, 0.2) * semi_u
        rho_nucleus = np.hypot((u - shift) / (0.35 * semi_u), v / (0.55 * semi_v))
        body[window] += thickness
        nucleus[window] += np.sqrt(np.clip(1 - rho_nucleus**2, 0, None))
        # granules lie where the body is, more of them where it is thick
        chance = 0.05 * thickness * (rho_nucleus > 1)
        points[window] += random.random(thickness.shape) < chance
        labels[window][thickness > 0] = label
    # a granule of 1.2 px (sd) has the peak 1, wherever it stands alone
    granules = ndimage.gaussian_filter(points, 1.2) * (2 * np.pi * 1.2**2)
    return {"body": body, "nucleus": nucleus, "granules": granules}, labels


def _cell_frame(
    y: float, x: float, size: int, random: np.random.Generator
) -> tuple[tuple[slice, slice], Floats, Floats]:
    """The window around a cell, and its pixels' coordinates along the cell's axes."""
    reach = 60
    y0, x0 = max(0, int(y) - reach), max(0, int(x) - reach)
    window = np.s_[y0 : min(size, int(y) + reach), x0 : min(size, int(x) + reach)]
    rows, columns = np.mgrid[window].astype(float)
    angle = random.uniform(0, np.pi)
    u = np.cos(angle) * (columns - x) + np.sin(angle) * (rows - y)
    v = np.cos(angle) * (rows - y) - np.sin(angle) * (columns - x)
    return window, u, v


def _wobble(theta: Floats, random: np.random.Generator) -> Floats:
    """An outline's radius over its ellipse's: 1 plus three harmonics."""
    radius = np.ones_like(theta)
    for harmonic in (2, 3, 5):
        radius += (
            0.08
            * random.standard_normal()
            * np.cos(harmonic * theta + random.uniform(0, 2 * np.pi))
        )
    return np.clip(radius, 0.6, 1.4)


def _phase_contrast(path_rad: Floats) -> Floats:
    """Zernike phase contrast of a thin object, 1 where there is none.

    The object's wave exp(i path) meets, in the Fourier plane, a ring that delays the
    undiffracted light by a quarter of a wave and lets only a part of it through (positive
    contrast: cells dark, with a bright halo, since the ring also meets coarse detail), and the
    objective's aperture.
    """
    side = path_rad.shape[0]
    frequency = np.hypot(fft.fftfreq(side)[:, None], fft.fftfreq(side)[None, :])
    inside_ring = np.exp(-((frequency / RING) ** 2))
    passed = 1 + (-1j * RING_AMPLITUDE - 1) * inside_ring
    aperture = 1 / (1 + (frequency / CUTOFF) ** 16)  # an edge soft enough not to ring
    wave = fft.ifft2(fft.fft2(np.exp(1j * path_rad)) * passed * aperture)
    return np.asarray(np.abs(wave) ** 2 / RING_AMPLITUDE**2)


def _fluorescence(
    structures: Mapping[str, Floats], marker: Marker, level: Floats | float
) -> Floats:
    """Photons per pixel, blurred by the optics."""
    dye = (
        marker.body * structures["body"]
        + marker.nucleus * structures["nucleus"]
        + marker.granules * structures["granules"]
    )
    blurred = ndimage.gaussian_filter(np.clip(dye, 0, None) * level, BLUR_PX)
    return np.asarray(marker.photons * blurred + STAIN_BACKGROUND)


def _camera(photons: Floats, random: np.random.Generator) -> np.ndarray[Any, Any]:
    """What a 16-bit camera of gain 1 makes of it: shot noise, read noise, offset."""
    grey = random.poisson(photons) + random.normal(CAMERA_OFFSET, READ_NOISE, photons.shape)
    return np.asarray(np.clip(np.rint(grey), 0, 65535), np.uint16)
