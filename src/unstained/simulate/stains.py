"""Stains: where a marker sits in a cell, how much light it gives, and what nobody can predict.

A stain is a visible pattern, that follows structures which delay light, mixed with a hidden one,
times a level for each cell. What the structures cannot tell has a known mean given them; with
that mean in its place the stain is the best prediction there is, and its correlation with the
stain is the ceiling.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np

from ..errors import InputError
from ..images.image import Array
from ..settings import check_settings
from .structures import Structures

__all__ = [
    "DEFAULT_MARKERS",
    "MARKERS",
    "Localization",
    "Marker",
    "Stain",
    "Wave",
    "chosen_markers",
    "pearson_r",
    "smooth_noise",
    "stain_of",
]

Localization = Literal["membrane", "vesicles", "diffuse", "perinuclear", "nuclear", "patches"]

_WAVELENGTH_UM = 0.6  # of the emitted light
_FILM_UM = 12.0  # size of the stuck film's patches


@dataclass(frozen=True)
class Marker:
    """A simulated stain.

    Attributes
    ----------
    localization : {"membrane", "vesicles", "diffuse", "perinuclear", "nuclear", "patches"}
        What it follows: area of the membranes; granules; thickness; cytoplasm near the nucleus;
        the nucleus; a texture of the membrane.
    photons : float
        Per pixel where a typical cell of level 1 is brightest, about.
    background : float
        Photons per pixel everywhere.
    hidden : float
        Share of the pattern inside cells that no label-free image shows, 0 to 1.
    level_sd : float
        Standard deviation of the logarithm of a cell's level, hidden too.
    elongation : float
        Exponent with which the level follows the cell's ratio of long to short axis, which the
        label-free image shows.
    unspecific : float
        Mean photons per pixel of dye that sticks to the dish in patches.
    speckles_per_mm2, speckle_photons : float
        Clumps of dye, and the photons of each at its peak.
    bleed : tuple of (str, float)
        Other markers whose light this channel lets through, and the share of it.

    Raises
    ------
    InputError
        A negative or non-finite number, a share outside 0 to 1, no photons, or an unknown
        localization.
    """

    localization: Localization = "diffuse"
    photons: float = 400.0
    background: float = 20.0
    hidden: float = 0.2
    level_sd: float = 0.3
    elongation: float = 0.0
    unspecific: float = 0.0
    speckles_per_mm2: float = 0.0
    speckle_photons: float = 300.0
    bleed: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if self.localization not in _SCALE:
            raise InputError(
                f"no localization {self.localization!r}", f"there are {', '.join(_SCALE)}"
            )
        check_settings(
            self, least={"elongation": -math.inf}, positive=("photons",), shares=("hidden",)
        )
        for what, share in self.bleed:
            if not 0 <= share <= 1:
                raise InputError(f"a marker's share {what} is {share}", "give 0 to 1")


# map value that counts as 1 for the photons: um of thickness, or membranes
_SCALE: Mapping[str, float] = {
    "membrane": 2.5,
    "vesicles": 1.0,
    "diffuse": 3.0,
    "perinuclear": 2.0,
    "nuclear": 4.0,
    "patches": 2.5,
}

MARKERS: Mapping[str, Marker] = {
    "NUCLEUS": Marker("nuclear", photons=600, hidden=0.05, level_sd=0.12),
    "BODY": Marker("diffuse", hidden=0.1, level_sd=0.25),
    "GRANULES": Marker("vesicles", photons=250, hidden=0.15, level_sd=0.3),
    "DAPI": Marker("nuclear", photons=900, background=30, hidden=0.05, level_sd=0.1),
    "CD105": Marker("membrane", photons=350, hidden=0.25, level_sd=0.3, elongation=0.25),
    "CD90": Marker("membrane", photons=500, hidden=0.2, level_sd=0.25, elongation=0.15),
    "CD73": Marker("patches", photons=300, hidden=0.45, level_sd=0.3, unspecific=6),
    "CD29": Marker("diffuse", photons=450, hidden=0.15, level_sd=0.2, elongation=0.1),
    "CD146": Marker("perinuclear", photons=250, hidden=0.3, level_sd=0.4, elongation=0.3),
    "CD106": Marker(
        "vesicles", photons=180, hidden=0.5, level_sd=0.5, unspecific=8, speckles_per_mm2=40
    ),
    "STRO-1": Marker(
        "perinuclear", photons=200, hidden=0.35, level_sd=0.5, speckles_per_mm2=60, elongation=0.3
    ),
    "CD44": Marker("membrane", photons=550, hidden=0.2, level_sd=0.25, bleed=(("CD29", 0.05),)),
}
"""Ready presets: three after their structure, DAPI, and the eight MSC markers of the paper. Their
localizations follow the markers' biology in outline; photons and shares are ours."""

DEFAULT_MARKERS = ("NUCLEUS", "BODY", "GRANULES")
"""The markers of a field where none are named."""


class Wave(NamedTuple):
    """A marker's distribution that travels along the cells.

    The pattern is multiplied by ``1 + amplitude cos(2 pi (u / period_um - turn) + phase)``, u
    being the position along the cell's axis.

    Attributes
    ----------
    amplitude : float
        0 to 1.
    period_um : float
        In space.
    turn : float
        Time over the period in time.
    phase_rad : (L + 1,) float array
        Of each label; entry 0 is background.
    """

    amplitude: float
    period_um: float
    turn: float
    phase_rad: Array


class Stain(NamedTuple):
    """Photons per pixel of one stain, (Y, X) float32.

    `photons` is what reaches the camera, on average over shot noise; `expected` the mean of that
    over all that the structures do not tell.
    """

    photons: Array
    expected: Array


def chosen_markers(markers: Sequence[str] | Mapping[str, Marker]) -> dict[str, Marker]:
    """Markers by name: presets for names, or as given.

    Raises
    ------
    InputError
        No marker, an unknown name, the name ``phase``, or bleed-through from a marker that is
        not known.
    """
    if isinstance(markers, Mapping):
        chosen = dict(markers)
    else:
        unknown = [name for name in markers if name not in MARKERS]
        if unknown:
            raise InputError(
                f"no simulated marker {', '.join(unknown)}", f"there are {', '.join(MARKERS)}"
            )
        chosen = {name: MARKERS[name] for name in markers}
    if not chosen:
        raise InputError("no simulated marker is named", f"there are {', '.join(MARKERS)}")
    if "phase" in chosen:  # the label-free image has that name in every output
        raise InputError("a simulated marker named 'phase'", "give it another name")
    for name, marker in chosen.items():
        for other, _ in marker.bleed:
            if other == name or not (other in chosen or other in MARKERS):
                raise InputError(
                    f"light of {other!r} in the channel of {name}", "name another known marker"
                )
    return chosen


def stain_of(
    marker: Marker,
    cells: Structures,
    levels: Array,
    elongation: Array,
    rng: np.random.Generator,
    *,
    pixel_size_um: float,
    na: float = 0.3,
    wave: Wave | None = None,
    bleed: Sequence[tuple[float, Stain]] = (),
) -> Stain:
    """Fluorescence of one marker.

    ``photons * level * ((1 - hidden) V + hidden C P)``, blurred, plus background, dye on the
    dish, speckles and bleed-through. V is the visible pattern, C its carrier without detail, P a
    log-normal texture of mean 1 that nothing else depends on. A cell's level is
    ``levels * elongation ** marker.elongation``; `expected` has level 1 for `levels` and 1 for P.
    The blur is a Gaussian of standard deviation ``0.225 wavelength / na`` [1]_.

    Parameters
    ----------
    marker : Marker
    cells : Structures
        (Y, X).
    levels : (L + 1,) float array
        Hidden level of each label, mean 1 over cells; entry 0 is background and not used.
    elongation : (L + 1,) float array
        Ratio of long to short axis of each label.
    rng : numpy.random.Generator
        Of the dye on the dish and of speckles.
    pixel_size_um : float
    na : float
        Numerical aperture of the objective.
    wave : Wave, optional
        Hidden too: `expected` does not have it.
    bleed : sequence of (float, Stain)
        Shares of other stains.

    References
    ----------
    .. [1] Zhang, Zerubia, Olivo-Marin (2007), Applied Optics 46:1819.
    """
    visible, carrier = _pattern(marker.localization, cells)
    scale = np.float32(marker.photons / _SCALE[marker.localization])
    shown = np.asarray(elongation, np.float32) ** np.float32(marker.elongation)
    amount = (shown * scale)[cells.owner]
    hidden = np.float32(marker.hidden)
    expected: Array = amount * ((1 - hidden) * visible + hidden * carrier)
    actual: Array = amount * ((1 - hidden) * visible + hidden * carrier * cells.hidden)
    actual *= np.asarray(levels, np.float32)[cells.owner]
    if wave is not None:
        angle = cells.along_um * np.float32(2 * math.pi / wave.period_um)
        angle += (wave.phase_rad - 2 * math.pi * wave.turn).astype(np.float32)[cells.owner]
        actual *= 1 + np.float32(wave.amplitude) * np.cos(angle)
    if marker.unspecific > 0:
        actual += np.float32(marker.unspecific) * _film(actual.shape, pixel_size_um, rng)
        expected += np.float32(marker.unspecific)
    if marker.speckles_per_mm2 > 0:
        speckles, mean = _speckles(marker, actual.shape, pixel_size_um, rng)
        actual += speckles
        expected += np.float32(mean)
    sigma = 0.225 * _WAVELENGTH_UM / na / pixel_size_um
    actual = np.asarray(cv2.GaussianBlur(actual, (0, 0), sigma))
    expected = np.asarray(cv2.GaussianBlur(expected, (0, 0), sigma))
    for share, other in bleed:
        actual = actual + np.float32(share) * other.photons
        expected = expected + np.float32(share) * other.expected
    background = np.float32(marker.background)
    return Stain(np.asarray(actual + background), np.asarray(expected + background))


def pearson_r(a: Array, b: Array) -> float:
    """Pearson correlation of two images; 0 where one of them is constant."""
    a = np.asarray(a, np.float32) - np.float32(np.mean(a, dtype=np.float64))
    b = np.asarray(b, np.float32) - np.float32(np.mean(b, dtype=np.float64))
    norm = math.sqrt(float(np.vdot(a, a)) * float(np.vdot(b, b)))
    return float(np.vdot(a, b)) / norm if norm > 0 else 0.0


def _pattern(localization: Localization, cells: Structures) -> tuple[Array, Array]:
    """What the light path shows of it, and the same without detail: (Y, X) each."""
    if localization == "nuclear":
        return cells.nucleus_um, cells.nucleus_um
    if localization == "perinuclear":
        return cells.perinuclear_um, cells.perinuclear_um
    if localization == "diffuse":
        return cells.thickness_um, cells.thickness_um
    if localization == "membrane":
        return cells.membrane, cells.membrane
    if localization == "vesicles":
        return cells.granules + np.float32(0.06) * cells.thickness_um, (
            np.float32(0.15) * cells.perinuclear_um
        )
    # patches: the texture that also roughens the path, drawn sharper
    return cells.membrane * np.clip(1 + 3 * (cells.visible - 1), 0, None), cells.membrane


def smooth_noise(shape: tuple[int, ...], sigma_px: float, rng: np.random.Generator) -> Array:
    """Gaussian noise of variance 1, smoothed by a Gaussian: made coarse and stretched, (Y, X)."""
    step = sigma_px / 2
    small = [max(4, math.ceil(n / step) + 4) for n in shape]
    noise = np.asarray(cv2.GaussianBlur(rng.standard_normal(small, np.float32), (0, 0), 2.0))
    # over what a Gaussian of 2 px leaves of white noise
    noise = noise * np.float32(2 * math.sqrt(math.pi) * 2.0)
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC))


def _film(shape: tuple[int, ...], pixel_um: float, rng: np.random.Generator) -> Array:
    """Patches of mean 1: the exponential of smooth noise."""
    noise = smooth_noise(shape, _FILM_UM / pixel_um, rng)
    return np.asarray(np.exp(noise * np.float32(0.8) - np.float32(0.8**2 / 2)))


def _speckles(
    marker: Marker, shape: tuple[int, ...], pixel_um: float, rng: np.random.Generator
) -> tuple[Array, float]:
    """Clumps of 0.8 um as light per pixel, and their mean."""
    area_px = shape[0] * shape[1]
    density = marker.speckles_per_mm2 * pixel_um**2 * 1e-6  # per pixel
    n = int(rng.poisson(density * area_px))
    light = np.zeros(shape, np.float32)
    place = rng.integers(0, shape, (n, 2))
    peak = rng.uniform(0.5, 1.5, n) * marker.speckle_photons
    np.add.at(light, (place[:, 0], place[:, 1]), peak.astype(np.float32))
    spread = 2 * math.pi * (0.8 / pixel_um) ** 2
    light = cv2.GaussianBlur(light, (0, 0), 0.8 / pixel_um) * np.float32(spread)
    return light, density * marker.speckle_photons * spread
