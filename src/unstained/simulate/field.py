"""One simulated field: cells, their label-free image, their stains, and the truth about them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError
from ..images.image import Array
from ..settings import check_settings
from .camera import Camera, dust, expose, floaters, uneven_illumination
from .cells import SHARES, Cell, Phenotype, place_cells
from .optics import Optics, check_workers, image_of
from .stains import (
    DEFAULT_MARKERS,
    MARKERS,
    Marker,
    Stain,
    Wave,
    chosen_markers,
    pearson_r,
    smooth_noise,
    stain_of,
)
from .streams import Seed, seed_parts, stream
from .structures import Structures, render

__all__ = ["Dish", "SimulatedField", "check_pixel", "expose_stains", "label_free", "simulate_field"]


DENSITY_PER_MM2 = 150.0
ROUND_SHARE = 0.04  # of cells in a growing culture
_ROUND_HEIGHT_UM = 7.0  # of a round cell's middle above the dish: the radius of 1400 um3
_VOLUME_POWER = 0.7  # of the spread; tuned on real phase contrast, see benchmarks/realism.py
# an oil immersion resolves 0.2 um, four pixels of the finest; a nucleus is as large as the coarsest
_PIXEL_UM = (0.05, 10.0)
_HAZE_UM = 20.0  # standard deviation of the Gaussian that smooths it


@dataclass(frozen=True)
class Dish:
    """What is imaged beside cells, and how unevenly it is lit.

    Attributes
    ----------
    illumination : float
        Share by which the darkest corner of the label-free image lies below the brightest point.
    dust : float
        Grains per megapixel in the light path.
    debris_per_mm2 : float
        Crumbs on the dish, which the label-free image shows.
    haze : float
        Relative standard deviation of smooth, 40 um wide variations of the light.
    floaters_per_mm2 : float
        Cells and crumbs that float in the medium, far out of focus: faint rings.
    """

    illumination: float = 0.05
    dust: float = 6.0
    debris_per_mm2: float = 900.0
    haze: float = 0.01
    floaters_per_mm2: float = 20.0

    def __post_init__(self) -> None:
        check_settings(self, below_one=("illumination", "haze"))


@dataclass(frozen=True)
class SimulatedField:
    """A field and the truth about it.

    Attributes
    ----------
    phase : (Y, X) uint16 array
        The label-free image.
    stains : dict of (Y, X) uint16 arrays
        As a camera would see them.
    expected : dict of (Y, X) float32 arrays
        Grey values of each stain without noise and with the mean in place of all that the
        structures do not tell: the best prediction that anything can make from them.
    labels, nuclei : (Y, X) int32 arrays
        The cell of each pixel, of each nuclear pixel; 0 is background.
    ceiling : dict of float
        Pearson r of stain and `expected`: what r_s cannot, on average, surpass.
    cells : list of Cell
        All that were placed, some of them beyond the border.
    pixel_size_um : float
    """

    phase: Array
    stains: dict[str, Array]
    expected: dict[str, Array]
    labels: Array
    nuclei: Array
    ceiling: dict[str, float]
    cells: list[Cell]
    pixel_size_um: float


def simulate_field(
    size: int = 512,
    *,
    markers: Sequence[str] | Mapping[str, Marker] = DEFAULT_MARKERS,
    seed: Seed = 0,
    density_per_mm2: float = DENSITY_PER_MM2,
    shares: Mapping[Phenotype, float] = SHARES,
    round_share: float = ROUND_SHARE,
    spread: float = 1.0,
    optics: Optics | None = None,
    camera: Camera | None = None,
    dish: Dish | None = None,
    workers: int = 1,
) -> SimulatedField:
    """Simulate a square field; the same arguments give the same field.

    Parameters
    ----------
    size : int
        Side in pixels, at least 64.
    markers : sequence of str, or mapping of str to Marker
        Names out of `MARKERS`, or markers of your own.
    seed : int or sequence of int
        Not negative.
    density_per_mm2 : float
        Cells per mm2.
    shares : mapping of phenotype to float
        Of spindle, star and flat cells; need not sum to 1.
    round_share : float
        Share of cells that are round, as before division: bright in phase contrast.
    spread : float
        Factor, 0.3 to 1.5, of the length of arms, soma and nucleus. Area goes with its square,
        volume with its power 0.7: cells that have not spread are small and thick.
    optics : Optics, optional
        With modality, pixel size (0.05 to 10 um) and defocus; default `Optics()`.
    camera : Camera, optional
        Default `Camera()`. The stains are taken with it, too, each photon of a marker being a
        photo-electron.
    dish : Dish, optional
        Default `Dish()`.
    workers : int
        Threads; no number of them changes a pixel.

    Raises
    ------
    InputError
        The field is too small, a marker is not known, the density is negative or more cells than
        fit, no worker, or what the parts refuse.
    """
    if size < 64:
        raise InputError(f"a simulated field of {size} px", "give at least 64")
    check_workers(workers)
    chosen = chosen_markers(markers)
    optics, camera, dish = optics or Optics(), camera or Camera(), dish or Dish()
    pixel = optics.pixel_size_um
    check_pixel(pixel)
    cells = place_cells((size * pixel, size * pixel), density_per_mm2, seed, shares=shares)
    cells = _some_round(_spread(cells, spread), round_share, stream(seed, 5))
    parts = seed_parts(seed)
    structures = render(
        cells,
        (size, size),
        pixel,
        wavelength_um=optics.wavelength_um,
        debris_per_mm2=dish.debris_per_mm2,
        seed=(*parts, 1),
    )
    with ThreadPoolExecutor(workers) as pool:
        phase = pool.submit(
            label_free, structures, optics, camera, dish, (*parts, 2), workers=workers
        )
        levels = {
            name: _levels(marker, len(cells), stream(seed, 3, _number(name)))
            for name, marker in chosen.items()
        }
        stains = expose_stains(
            chosen, structures, cells, levels, optics, camera, (*parts, 4), pool=pool
        )
        taken = {name: (image, grey) for name, image, grey in stains}
        phase_image = phase.result()
    return SimulatedField(
        phase=phase_image,
        stains={name: image for name, (image, _) in taken.items()},
        expected={name: grey for name, (_, grey) in taken.items()},
        labels=structures.labels,
        nuclei=structures.nuclei,
        ceiling={name: pearson_r(image, grey) for name, (image, grey) in taken.items()},
        cells=cells,
        pixel_size_um=pixel,
    )


def check_pixel(pixel_size_um: float) -> None:
    """Refuse pixels that are finer or coarser than those of any image of cells.

    Raises
    ------
    InputError
        Below 0.05 or above 10 um.
    """
    finest, coarsest = _PIXEL_UM
    if not finest <= pixel_size_um <= coarsest:
        raise InputError(
            f"pixels of {pixel_size_um:g} um in the sample", f"give {finest:g} to {coarsest:g}"
        )


def label_free(
    structures: Structures,
    optics: Optics,
    camera: Camera,
    dish: Dish,
    seed: Seed,
    *,
    frame: int = 0,
    workers: int = 1,
) -> Array:
    """The label-free image of structures as (Y, X) uint16.

    Round cells are imaged by themselves, 7 um out of focus; the intensities are multiplied.
    Lamp, dust and what floats depend on `seed` alone, the noise on `frame`, too: a movie has one
    lamp.
    """
    intensity = image_of(structures.path_rad, optics, workers=workers)
    if structures.lifted_rad.any():
        # farther from the objective, which is below the dish
        place_um = optics.defocus_um - _ROUND_HEIGHT_UM
        intensity *= image_of(structures.lifted_rad, optics, defocus_um=place_um, workers=workers)
    shape = intensity.shape
    intensity *= uneven_illumination(shape, dish.illumination, stream(seed, 0))
    grains = stream(seed, 1)
    intensity *= dust(shape, int(grains.poisson(dish.dust * shape[0] * shape[1] / 2**20)), grains)
    if dish.haze > 0:
        size_px = _HAZE_UM / optics.pixel_size_um
        intensity *= 1 + np.float32(dish.haze) * smooth_noise(shape, size_px, stream(seed, 3))
    if dish.floaters_per_mm2 > 0:
        intensity *= floaters(shape, dish.floaters_per_mm2, optics, stream(seed, 4))
    return expose(intensity, camera, stream(seed, 2, frame))


def expose_stains(
    markers: Mapping[str, Marker],
    structures: Structures,
    cells: Sequence[Cell],
    levels: Mapping[str, Array],
    optics: Optics,
    camera: Camera,
    seed: Seed,
    *,
    frame: int = 0,
    waves: Mapping[str, Wave] | None = None,
    pool: ThreadPoolExecutor | None = None,
) -> list[tuple[str, Array, Array]]:
    """Every stain as (name, uint16 image, expected grey values), both (Y, X).

    `levels` has (L + 1,) values for each marker, L being the highest label. Dye on the dish and
    speckles depend on `seed` alone, the noise on `frame`, too.
    """
    elongation = _elongation(cells, len(next(iter(levels.values()))))

    def light(name: str, marker: Marker, bleed: list[tuple[float, Stain]]) -> Stain:
        return stain_of(
            marker,
            structures,
            levels.get(name, np.ones(len(elongation))),
            elongation,
            stream(seed, 0, _number(name)),
            pixel_size_um=optics.pixel_size_um,
            na=optics.na,
            wave=(waves or {}).get(name),
            bleed=bleed,
        )

    def take(name: str) -> tuple[str, Array, Array]:
        marker = markers[name]
        # what bleeds is another dye's light alone: no background, and no third dye
        others = [
            (share, light(other, _alone(markers.get(other, MARKERS.get(other, marker))), []))
            for other, share in marker.bleed
        ]
        stain = light(name, marker, others)
        per_unit = np.float32(1 / camera.photons_per_unit)
        image = expose(stain.photons * per_unit, camera, stream(seed, 1, _number(name), frame))
        expected = stain.expected * np.float32(camera.gain) + np.float32(camera.offset)
        return name, image, expected

    return list(map(take, markers)) if pool is None else list(pool.map(take, markers))


def _number(name: str) -> int:
    """A number for a marker that does not depend on which others there are."""
    return zlib.crc32(name.encode())


def _alone(marker: Marker) -> Marker:
    return replace(marker, background=0.0, bleed=())


def _spread(cells: list[Cell], scale: float) -> list[Cell]:
    if not 0.3 <= scale <= 1.5:
        raise InputError(f"cells spread {scale} times as far", "give 0.3 to 1.5")
    return [
        replace(
            cell,
            arm_um=cell.arm_um * scale,
            tip_um=cell.tip_um * scale,
            soma_um=(cell.soma_um[0] * scale, cell.soma_um[1] * scale),
            nucleus_um=(cell.nucleus_um[0] * scale, cell.nucleus_um[1] * scale),
            volume_um3=cell.volume_um3 * scale**_VOLUME_POWER,
        )
        for cell in cells
    ]


def _some_round(cells: list[Cell], share: float, rng: np.random.Generator) -> list[Cell]:
    if not 0 <= share <= 1:
        raise InputError(f"a share of round cells of {share}", "give 0 to 1")
    chosen = rng.random(len(cells)) < share
    return [
        replace(cell, roundness=0.95) if is_round else cell
        for cell, is_round in zip(cells, chosen.tolist(), strict=True)
    ]


def _levels(marker: Marker, n_cells: int, rng: np.random.Generator) -> Array:
    """Log-normal levels of mean 1; entry 0 is background."""
    z = rng.standard_normal(n_cells + 1)
    return np.asarray(np.exp(marker.level_sd * z - marker.level_sd**2 / 2))


def _elongation(cells: Sequence[Cell], n_labels: int) -> Array:
    """Long over short axis of each label."""
    ratio = np.ones(n_labels)
    for cell in cells:
        ratio[cell.label] = cell.elongation
    return ratio
