"""Where in a cell a marker is, over time: profiles along an axis, frame after frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from ..errors import DataError, InputError
from ..images.image import Array
from ..settings import check_settings
from .profiles import Profile, body_shifts, cell_profile, long_axis, rebinned

__all__ = [
    "CellFrame",
    "Kymograph",
    "KymographSettings",
    "MarkerDifference",
    "inner_fluctuation",
    "kymograph",
    "marker_difference",
]


_RELATIVE_BINS = 50
_LEAST_WEIGHT = 0.5  # pixels across the axis that a bin needs


class CellFrame(NamedTuple):
    """One cell in one frame, cut out of the image.

    Attributes
    ----------
    frame : int
    mask : (Y, X) bool array
        The cell.
    stains : (M, Y, X) array
        Of each marker.
    """

    frame: int
    mask: Array
    stains: Array


@dataclass(frozen=True)
class KymographSettings:
    """How a cell becomes a profile.

    Attributes
    ----------
    axis : {"cell", "image"}
        ``"cell"``: along the cell's own long axis, which turns with it. ``"image"``: along x,
        averaged over the image's vertical axis as in the paper.
    center : {"body", "outline"}
        Where position 0 is. ``"outline"``: the center of the cell's outline, which moves whenever
        an arm stretches or is drawn in, and all that is in the cell with it. ``"body"``: the same
        in the median frame; the others are laid on it by the wide parts of the outline
        (`unstained.dynamics.profiles.body_shifts`).
    relative : bool
        Positions as a share of the cell's length, 0 to 1, in place of micrometers: for cells
        that stretch. There is no center then.
    step_um : float, optional
        Distance of positions; not given: 1, or the pixel where it is larger.
    least_anisotropy : float
        Of a cell rounder than this, ``(l1 - l2) / (l1 + l2)`` of its second moments, the axis of
        the frame before is kept: a ball has none of its own.
    """

    axis: Literal["cell", "image"] = "cell"
    center: Literal["body", "outline"] = "body"
    relative: bool = False
    step_um: float | None = None
    least_anisotropy: float = 0.1

    def __post_init__(self) -> None:
        check_settings(
            self,
            {"axis": ("cell", "image"), "center": ("body", "outline")},
            positive=("step_um",),
            below_one=("least_anisotropy",),
        )


class Kymograph(NamedTuple):
    """Profiles of M markers in T frames at P positions.

    Attributes
    ----------
    markers : tuple of str
    values : (M, T, P) float64 array
        Mean across the axis; NaN outside the cell and where it was not seen.
    position : (P,) array
        Micrometers from the cell's center (`KymographSettings.center`), or share of its length
        from end to end.
    unit : {"um", "length"}
        Of `position`.
    step_um : float
        Distance of two positions; of a share of length, at the median length.
    time_min : (T,) array
        Equally spaced.
    angle_rad : (T,) array
        Of the axis against x, towards y; continuous, without half turns. NaN where not seen.
    length_um : (T,) array
        Of the cell along the axis.
    """

    markers: tuple[str, ...]
    values: Array
    position: Array
    unit: str
    step_um: float
    time_min: Array
    angle_rad: Array
    length_um: Array


class MarkerDifference(NamedTuple):
    """How two markers move apart inside one cell.

    Attributes
    ----------
    first, second : str
    values : (T, P) array
        Standardized fluctuation of `first` less that of `second`; NaN where either is.
    r : float
        Correlation of the two fluctuations over positions and frames.
    share : float
        Of the two fluctuations' variance, what is in their difference: ``(1 - r) / 2``, 0 where
        they move as one, 1/2 where they have nothing in common, 1 where one mirrors the other.
    """

    first: str
    second: str
    values: Array
    r: float
    share: float


def kymograph(
    frames: Iterable[CellFrame],
    markers: Sequence[str],
    *,
    pixel_size_um: float,
    frame_interval_s: float,
    settings: KymographSettings | None = None,
) -> Kymograph:
    """Average the stains of one cell across an axis, frame by frame.

    Pixels are shared by the positions beside them, in proportion to their nearness. Only profiles
    are kept: memory does not grow with the images. The axis turns by less than a quarter from
    frame to frame; a cell that turns faster, or rounds up and stretches anew, may come back head
    to tail.

    Parameters
    ----------
    frames : iterable of CellFrame
        Of one cell, in ascending order; frames may be missing.
    markers : sequence of str
        Names of the stains.
    pixel_size_um, frame_interval_s : float
    settings : KymographSettings, optional

    Returns
    -------
    Kymograph
        From the cell's first frame to its last.

    Raises
    ------
    InputError
        Sizes that are not positive, positions closer than pixels, frames out of order, or stains
        that do not fit markers and mask.
    DataError
        No frame, or an empty mask.
    """
    chosen = settings or KymographSettings()
    if not (pixel_size_um > 0 and frame_interval_s > 0):
        raise InputError(
            f"pixels of {pixel_size_um} um every {frame_interval_s} s", "give positive numbers"
        )
    step = max(1.0, pixel_size_um) if chosen.step_um is None else chosen.step_um
    if step < pixel_size_um:
        raise InputError(
            f"positions {step:g} um apart in pixels of {pixel_size_um:g} um",
            "give step_um of a pixel or more",
        )
    profiles: dict[int, Profile] = {}
    axis: float | None = None
    for cell in frames:
        if profiles and cell.frame <= max(profiles):
            raise InputError(f"frame {cell.frame} after {max(profiles)}", "give them in order")
        if cell.stains.shape != (len(markers), *cell.mask.shape):
            raise InputError(
                f"stains of shape {cell.stains.shape} for {len(markers)} markers and a mask of "
                f"{cell.mask.shape}",
                "give (markers, Y, X)",
            )
        axis = _axis_of(cell.mask, axis, chosen)
        profiles[cell.frame] = cell_profile(cell.mask, cell.stains, axis, pixel_size_um)
    if not profiles:
        raise DataError("the cell is in no frame", "give a track that the labels hold")
    if chosen.relative:
        return _relative(profiles, tuple(markers), frame_interval_s)
    return _assembled(profiles, tuple(markers), step, pixel_size_um, frame_interval_s, chosen)


def inner_fluctuation(values: Array) -> Array:
    """What is left of a kymograph without the cell's mean profile and its level.

    With the profile p(u), the mean over time, and the level a(t), the least-squares factor of a
    frame against p, the rest is ``value / (a(t) p(u)) - 1``: what is constant in time or moves
    the whole cell at once is gone, and what travels within it stays.

    Parameters
    ----------
    values : (T, P) array
        NaN outside the cell.

    Returns
    -------
    (T, P) float64 array
        NaN where `values` is, and where the profile is below a tenth of its largest value: a
        ratio to almost nothing says nothing.

    Raises
    ------
    DataError
        Fewer than two frames, or no position with stain.
    """
    values = np.asarray(values, np.float64)
    seen = np.isfinite(values)
    if seen.any(axis=1).sum() < 2:
        raise DataError("the cell was seen in fewer than two frames", "give a longer track")
    times = seen.sum(axis=0)
    profile = np.where(seen, values, 0).sum(axis=0) / np.maximum(times, 1)
    # a position that few frames reach has a profile of those frames only
    profile[times < max(2, seen.any(axis=1).sum() // 4)] = 0
    usable = seen & (profile > 0.1 * profile.max())
    if not usable.any():
        raise DataError("the stain is nowhere above 0", "look at its background")
    weight = np.where(usable, profile, 0.0)  # (T, P)
    level = (weight * np.where(usable, values, 0)).sum(axis=1) / np.maximum(
        (weight**2).sum(axis=1), np.finfo(float).tiny
    )
    usable &= (level > 0)[:, None]
    out = np.full(values.shape, np.nan)
    expected = level[:, None] * profile[None, :]
    out[usable] = values[usable] / expected[usable] - 1
    return out


def marker_difference(made: Kymograph, first: str, second: str) -> MarkerDifference:
    """Difference of two markers' fluctuations in one cell, each standardized.

    Fluctuations are `inner_fluctuation`, standardized to mean 0 and variance 1 over all
    positions and frames where both are known.

    Raises
    ------
    InputError
        A marker that the kymograph does not have.
    DataError
        A marker does not change inside the cell.
    """
    parts = []
    for name in (first, second):
        if name not in made.markers:
            raise InputError(f"the kymograph has no {name}", f"there are {', '.join(made.markers)}")
        parts.append(inner_fluctuation(made.values[made.markers.index(name)]))
    both = np.isfinite(parts[0]) & np.isfinite(parts[1])
    for name, part in zip((first, second), parts, strict=True):
        if both.sum() < 2 or part[both].std() < 1e-9:
            raise DataError(f"{name} does not change inside the cell", "leave it out")
    z = [(part - part[both].mean()) / part[both].std() for part in parts]
    r = float(np.clip(np.mean(z[0][both] * z[1][both]), -1, 1))
    return MarkerDifference(first, second, z[0] - z[1], r, (1 - r) / 2)


def _axis_of(mask: Array, before: float | None, settings: KymographSettings) -> float:
    """The axis as an angle that continues `before`."""
    if settings.axis == "image":
        return 0.0
    angle, anisotropy = long_axis(mask)
    if before is None:
        return angle
    if anisotropy < settings.least_anisotropy:
        return before
    # of all directions along the line, angle + k pi, the nearest one
    return angle + math.pi * round((before - angle) / math.pi)


def _assembled(
    profiles: dict[int, Profile],
    markers: tuple[str, ...],
    step_um: float,
    pixel_um: float,
    interval_s: float,
    settings: KymographSettings,
) -> Kymograph:
    of_frames = list(profiles.values())
    aligned = settings.center == "body"
    shifts = body_shifts(of_frames) if aligned else np.zeros(len(of_frames))
    step = step_um / pixel_um
    rows = [rebinned(p, step, shift) for p, shift in zip(of_frames, shifts, strict=True)]
    low = min(start for start, _, _ in rows)
    high = max(start + width.size for start, width, _ in rows)
    first, last = min(profiles), max(profiles)
    values = np.full((len(markers), last - first + 1, high - low), np.nan)
    for frame, (start, width, light) in zip(profiles, rows, strict=True):
        inside = width >= _LEAST_WEIGHT * step
        at = np.flatnonzero(inside) + start - low
        values[:, frame - first, at] = light[:, inside] / width[inside]
    known = np.flatnonzero(np.isfinite(values).any(axis=(0, 1)))
    keep = slice(known[0], known[-1] + 1) if known.size else slice(0)
    position = np.arange(low, high) * step_um
    return Kymograph(
        markers,
        values[:, :, keep],
        position[keep],
        "um",
        step_um,
        *_over_time(profiles, interval_s),
    )


def _relative(
    profiles: dict[int, Profile], markers: tuple[str, ...], interval_s: float
) -> Kymograph:
    """From end to end of the cell in each frame."""
    position = (np.arange(_RELATIVE_BINS) + 0.5) / _RELATIVE_BINS
    first, last = min(profiles), max(profiles)
    values = np.full((len(markers), last - first + 1, _RELATIVE_BINS), np.nan)
    for frame, p in profiles.items():
        inside = np.flatnonzero(p.width >= _LEAST_WEIGHT)
        if inside.size > 1:
            place = (inside - inside[0] + 0.5) / (np.ptp(inside) + 1)
            for m, light in enumerate(p.light):
                mean = light[inside] / p.width[inside]
                values[m, frame - first] = np.interp(position, place, mean)
    time_min, angle, length = _over_time(profiles, interval_s)
    step_um = float(np.nanmedian(length)) / _RELATIVE_BINS
    return Kymograph(markers, values, position, "length", step_um, time_min, angle, length)


def _over_time(profiles: dict[int, Profile], interval_s: float) -> tuple[Array, Array, Array]:
    """Time in minutes, angle and length, (T,) each."""
    first, last = min(profiles), max(profiles)
    angle, length = np.full((2, last - first + 1), np.nan)
    for frame, p in profiles.items():
        angle[frame - first], length[frame - first] = p.angle_rad, p.length_um
    return np.arange(first, last + 1) * interval_s / 60, angle, length
