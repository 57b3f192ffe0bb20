"""Wells of colonies over hours: what is in them, and each frame when it is asked for.

A frame depends on (settings, well, frame) alone: it is the same whether or not others are made,
and by however many workers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..images.image import Array
from ..settings import check_settings
from .camera import Camera, dust, expose, uneven_illumination
from .colony_fates import (
    CLASSES,
    MIXTURES,
    Fate,
    check_rates,
    default_rates,
    simulate_fate,
    treated_rates,
)
from .colony_shapes import (
    LONG_SIDE_PX,
    SHORT_SIDE_PX,
    Outline,
    draw_outline,
    outline_region,
    parted,
    place,
)
from .colony_textures import PIXEL_SIZE_UM, Cells, draw_cells, matter
from .optics import Optics, image_of
from .streams import stream

__all__ = [
    "MULTI_LABEL",
    "WELL_PX",
    "Colony",
    "ColonySettings",
    "ColonyState",
    "Look",
    "Well",
    "WellFrame",
    "plan_well",
    "render_frame",
]


WELL_PX = 2908  # stitched wells of the paper
SMALLEST_WELL_PX = 384
# the paper's crops over its frames: 21342 / (15 sequences * 48 h)
COLONIES_PER_WELL = 29.6
MULTI_LABEL = "multi-label"

GROWTH, GROWTH_H = 1.3, 36.0  # sides grow towards this factor, with this time constant
DEBRIS_SHRINKS = 0.65  # of a side
# how colonies of a class differ where `variation` is 1: standard deviations, our choice
HEIGHT_SD, PACKING_SD = 0.15, 0.1  # of the logarithms of delay and of the cells' spacing
FOCUS_SD_UM = 4.0  # the depth of field is wavelength / NA^2 = 6 um
MOST_VARIATION = 6.0
MOST_CHANGES = 10_000  # of a colony's state, which are drawn one by one
PACKING_RANGE = (0.35, 3.0)  # cells of 4 um are none, and colonies hold several
HALO_PX = 40  # around a colony, until its light is that of the empty field
# 4 condenser points differ from 100 by 6 % of the contrast (root mean square)
OPTICS = Optics(
    pixel_size_um=PIXEL_SIZE_UM,
    ring_na=(0.11, 0.15),
    ring_margin_na=0.004,
    ring_transmission=0.3,
    source_points=4,
)
CAMERA = Camera(photons_per_unit=4000.0)
UNEVEN = 0.12  # of the lamp over the well
DUST_PER_MPX = 1.5

# the last counter of each generator: what the numbers are for
_LAYOUT, _FATE, _SHAPE, _LAMP, _NOISE = range(5)
_LOOK = 7
_CELLS = 8  # and one for each class


@dataclass(frozen=True)
class ColonySettings:
    """An experiment on colonies.

    Attributes
    ----------
    wells, frames : int
        How many.
    frame_interval_h : float
        Hours between frames.
    size : int
        Side of a well in pixels of 0.8 um.
    colonies : int, optional
        In each well; without it as many per area as the paper has.
    treated : float
        Share of the wells that are treated, spread evenly over them.
    effect : float
        Factor on the rates of `EFFECT_ON` in treated wells; 1 is no effect.
    rates_per_h : tuple of tuples of float, optional
        (6, 6) transition rates of untreated wells, from row to column in the order of
        `STATES`; without it `default_rates`.
    variation : float
        Factor on how much colonies of a class differ in the height and spacing of their cells
        and in focus. From 3 on classes overlap, as they do to people who label real wells.
    seed : int
        The same seed gives the same pixels.

    Raises
    ------
    InputError
        A value that cannot be.
    """

    wells: int = 4
    frames: int = 6
    frame_interval_h: float = 1.0
    size: int = WELL_PX
    colonies: int | None = None
    treated: float = 0.5
    effect: float = 2.0
    rates_per_h: tuple[tuple[float, ...], ...] | None = None
    variation: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(
            self,
            least={"wells": 1, "frames": 1, "colonies": 1},
            positive=("frame_interval_h",),
            shares=("treated",),
        )
        if self.size < SMALLEST_WELL_PX:
            raise InputError(
                f"a well of {self.size} px holds no colony of the paper's sizes",
                f"give at least {SMALLEST_WELL_PX}",
            )
        if self.variation > MOST_VARIATION:
            raise InputError(f"a variation of {self.variation}", f"give 0 to {MOST_VARIATION:g}")
        leaving = max(float(self.rates(treated=x).sum(1).max()) for x in (False, True))
        changes = leaving * self.frames * self.frame_interval_h
        if not changes <= MOST_CHANGES:
            raise InputError(
                f"{self.frames} frames, {self.frame_interval_h:g} h apart: up to {changes:.2g} "
                "changes of each colony",
                f"give shorter times or lower rates: {MOST_CHANGES} changes at most",
            )

    def n_colonies(self) -> int:
        """In each well."""
        if self.colonies is not None:
            return self.colonies
        return max(1, round(COLONIES_PER_WELL * (self.size / WELL_PX) ** 2))

    def is_treated(self, well: int) -> bool:
        """Whether a well is treated; it does not depend on how many wells there are."""
        return math.floor((well + 1) * self.treated) > math.floor(well * self.treated)

    def rates(self, *, treated: bool) -> Array:
        """Transition rates per hour in treated or untreated wells, (6, 6)."""
        rates = default_rates() if self.rates_per_h is None else np.array(self.rates_per_h, float)
        rates = check_rates(rates)
        return treated_rates(rates, self.effect if treated else 1.0)


class Look(NamedTuple):
    """How a colony differs from others of its class: factors on height and spacing, focus."""

    height: float
    packing: float
    defocus_um: float


class Colony(NamedTuple):
    """One colony over all hours.

    Attributes
    ----------
    number : int
        From 1 on; its value in label images.
    center : (float, float)
        Of its bounding box, y, x in pixels of the well.
    outline : Outline
    fate : Fate
    look : Look
    """

    number: int
    center: tuple[float, float]
    outline: Outline
    fate: Fate
    look: Look


class Well(NamedTuple):
    """A well and its colonies, before anything is drawn."""

    number: int
    treated: bool
    colonies: list[Colony]


class ColonyState(NamedTuple):
    """What is true of a colony in one frame.

    Attributes
    ----------
    well, frame, colony : int
        Wells and frames from 0, colonies from 1 on.
    time_h : float
        Since the first frame.
    class_ : str
        One of `CLASSES`, or `MULTI_LABEL` where it shows two.
    state : str
        One of `STATES`: says of a mixed colony which two.
    treated : bool
    area_um2 : float
    box : (int, int, int, int)
        y0, x0, y1, x1 in pixels; the last two just outside.
    centroid_um : (float, float)
        y, x in the well.
    """

    well: int
    frame: int
    colony: int
    time_h: float
    class_: str
    state: str
    treated: bool
    area_um2: float
    box: tuple[int, int, int, int]
    centroid_um: tuple[float, float]


class WellFrame(NamedTuple):
    """A frame and the truth about it.

    Attributes
    ----------
    image : (Y, X) uint16 array
        Phase contrast.
    labels : (Y, X) uint16 array
        The colony of each pixel, 0 is background.
    classes : (Y, X) uint8 array
        1 + place in `CLASSES` for each pixel, 0 is background.
    colonies : list of ColonyState
    """

    image: Array
    labels: Array
    classes: Array
    colonies: list[ColonyState]


def plan_well(settings: ColonySettings, well: int) -> Well:
    """Draw a well's colonies: where they lie, what shape they have, what becomes of them.

    Raises
    ------
    InputError
        There is no such well, or more colonies than fit.
    """
    if not 0 <= well < settings.wells:
        raise InputError(f"well {well} of {settings.wells}", "wells count from 0")
    treated = settings.is_treated(well)
    rates = settings.rates(treated=treated)
    until_h = settings.frames * settings.frame_interval_h
    numbers = range(1, settings.n_colonies() + 1)
    # what the paper's largest box allows, and what a small well can hold
    largest_px = min(math.sqrt(SHORT_SIDE_PX[1] * LONG_SIDE_PX[1]), 0.4 * settings.size) / GROWTH
    outlines = [draw_outline(stream(settings.seed, well, n, _SHAPE), largest_px) for n in numbers]
    reaches = [
        [outline.points(class_, GROWTH * outline.side_px) for class_ in CLASSES]
        for outline in outlines
    ]
    centers = place(reaches, settings.size, stream(settings.seed, well, 0, _LAYOUT))
    fates = [simulate_fate(rates, until_h, stream(settings.seed, well, n, _FATE)) for n in numbers]
    looks = [_draw_look(stream(settings.seed, well, n, _LOOK), settings.variation) for n in numbers]
    rows = zip(numbers, centers, outlines, fates, looks, strict=True)
    return Well(well, treated, [Colony(*row) for row in rows])


def _draw_look(rng: np.random.Generator, variation: float) -> Look:
    height, packing = np.exp(variation * rng.normal(0, (HEIGHT_SD, PACKING_SD)))
    packing = np.clip(packing, *PACKING_RANGE)
    return Look(float(height), float(packing), float(variation * rng.normal(0, FOCUS_SD_UM)))


def render_frame(settings: ColonySettings, well: Well, frame: int) -> WellFrame:
    """Image a well at one time, with the truth.

    Colonies lie too far apart to change each other's light, so each is imaged in a window of its
    own; their contrasts are added up on the empty field.

    Parameters
    ----------
    settings : ColonySettings
    well : Well
        As `plan_well` makes it.
    frame : int
        From 0 on.

    Raises
    ------
    InputError
        There is no such frame.
    """
    if not 0 <= frame < settings.frames:
        raise InputError(f"frame {frame} of {settings.frames}", "frames count from 0")
    hour = frame * settings.frame_interval_h
    shape = (settings.size, settings.size)
    light = np.ones(shape, np.float32)
    labels, classes = np.zeros(shape, np.uint16), np.zeros(shape, np.uint8)
    states = []
    for colony in well.colonies:
        window, kinds = _kinds(colony, hour, settings.size)
        light[window] += _contrast(settings, well, colony, kinds, window, hour)
        inside = kinds > 0
        labels[window][inside] = colony.number
        classes[window][inside] = kinds[inside]
        states.append(_state(well, frame, hour, colony, inside, window))
    lamp_rng = stream(settings.seed, well.number, 0, _LAMP)
    light *= uneven_illumination(shape, UNEVEN, lamp_rng)
    light *= dust(shape, round(DUST_PER_MPX * settings.size**2 / 1e6), lamp_rng)
    image = expose(light, CAMERA, stream(settings.seed, well.number, frame, _NOISE))
    return WellFrame(image, labels, classes, states)


Window = tuple[slice, slice]


def _kinds(colony: Colony, hour: float, size: int) -> tuple[Window, Array]:
    """The window of a colony and its halo, and the class of each pixel there, 0 outside."""
    state = colony.fate.at(hour)
    mixture = MIXTURES.get(state, (state,))
    side_px = colony.outline.side_px * (GROWTH - (GROWTH - 1) * math.exp(-hour / GROWTH_H))
    if state == "debris":
        side_px *= DEBRIS_SHRINKS
    points = colony.outline.points(mixture[0], side_px)
    low = np.floor(points.min(axis=0) + colony.center).astype(int) - HALO_PX
    high = np.ceil(points.max(axis=0) + colony.center).astype(int) + HALO_PX + 1
    (y0, x0), (y1, x1) = np.clip(low, 0, size), np.clip(high, 0, size)
    center = (colony.center[0] - y0, colony.center[1] - x0)
    region = outline_region(points, center, (int(y1 - y0), int(x1 - x0)))
    kinds = np.where(region, 1 + CLASSES.index(mixture[0]), 0).astype(np.uint8)
    if len(mixture) == 2:
        angle = colony.outline.border_angle_rad
        second = parted(region, colony.fate.progress(hour), angle, colony.outline.angle_rad)
        kinds[second] = 1 + CLASSES.index(mixture[1])
    return np.s_[y0:y1, x0:x1], kinds


def _contrast(
    settings: ColonySettings, well: Well, colony: Colony, kinds: Array, window: Window, hour: float
) -> Array:
    """What a colony adds to the light of the empty field in its window."""
    path_rad, absorption = np.zeros(kinds.shape, np.float32), np.zeros(kinds.shape, np.float32)
    center = (colony.center[0] - window[0].start, colony.center[1] - window[1].start)
    for kind in np.unique(kinds[kinds > 0]):
        cells = _cells(settings, well.number, colony, CLASSES[kind - 1])
        part = matter(CLASSES[kind - 1], kinds == kind, center, cells, hour)
        path_rad += np.float32(colony.look.height) * part.path_rad
        absorption += part.absorption
    defocus_um = colony.look.defocus_um
    image = image_of(path_rad, OPTICS, absorption=absorption, defocus_um=defocus_um)
    return image - np.float32(1)


def _cells(settings: ColonySettings, well: int, colony: Colony, class_: str) -> Cells:
    """A colony's cells of one class: the same in every frame."""
    points = colony.outline.points(class_, GROWTH * colony.outline.side_px)
    reach_px = float(np.hypot(*points.T).max())
    purpose = _CELLS + CLASSES.index(class_)
    rng = stream(settings.seed, well, colony.number, purpose)
    return draw_cells(class_, reach_px, rng, packing=colony.look.packing)


def _state(
    well: Well, frame: int, hour: float, colony: Colony, inside: Array, window: Window
) -> ColonyState:
    rows, columns = np.nonzero(inside)
    rows, columns = rows + window[0].start, columns + window[1].start
    state = colony.fate.at(hour)
    return ColonyState(
        well=well.number,
        frame=frame,
        colony=colony.number,
        time_h=hour,
        class_=MULTI_LABEL if state in MIXTURES else state,
        state=state,
        treated=well.treated,
        area_um2=rows.size * PIXEL_SIZE_UM**2,
        box=(int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1),
        centroid_um=(
            float(rows.mean() + 0.5) * PIXEL_SIZE_UM,
            float(columns.mean() + 0.5) * PIXEL_SIZE_UM,
        ),
    )
