"""Colonies in one frame: the six steps of Witmer and Bhanu (2024), as one function."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd

from ..errors import DataError, InputError
from ..images.image import Array
from ..settings import check_settings
from .entropy import local_entropy

__all__ = ["DetectSettings", "Detection", "detect_colonies", "otsu_threshold", "to_uint8"]


_OTSU_BINS = 1024


@dataclass(frozen=True)
class DetectSettings:
    """How colonies are found. The defaults are the paper's, made for 0.8 um per pixel.

    Attributes
    ----------
    blur_px : int
        Side of the Gaussian kernel, odd; 1 is no blur.
    entropy_radius_px : int
        Of the disk in which grey values are counted.
    opening_radius_px : int
        Of the disk of the opening; 0 is no opening.
    min_area_px : int
        Smaller objects are removed.
    min_area_um2 : float, optional
        In place of `min_area_px`; then the pixel size must be known.
    min_contrast : float
        Ours, not the paper's: objects whose mean entropy is not so many standard deviations
        above that outside of all objects are removed; 0 keeps them. Otsu's threshold splits
        noise too, at its mean: the upper half of a normal distribution lies
        2 sqrt(2 / pi) / sqrt(1 - 2 / pi) = 2.65 standard deviations of the lower half above its
        mean. Objects in smooth noise reach 2.9, simulated colonies have 6.3 or more.
    window_percent : float
        Ours: a frame of more than 8 bits is stretched from this percentile to 100 less it.

    Raises
    ------
    InputError
        A value that cannot be.
    """

    blur_px: int = 3
    entropy_radius_px: int = 3
    opening_radius_px: int = 3
    min_area_px: int = 2000
    min_area_um2: float | None = None
    min_contrast: float = 4.0
    window_percent: float = 0.01

    def __post_init__(self) -> None:
        check_settings(
            self,
            least=dict.fromkeys(("blur_px", "entropy_radius_px", "min_area_px"), 1),
            positive=("min_area_um2",),
        )
        possible = {
            "blur_px": (self.blur_px % 2 == 1, "an odd number from 1 on"),
            "entropy_radius_px": (self.entropy_radius_px <= 100, "1 to 100"),
            "opening_radius_px": (self.opening_radius_px <= 100, "0 to 100"),
            "window_percent": (self.window_percent < 50, "0 to below 50"),
        }
        for name, (holds, wanted) in possible.items():
            if not holds:
                raise InputError(f"{name} is {getattr(self, name)}", f"give {wanted}")

    def smallest_px(self, pixel_size_um: float | None) -> float:
        """The least area of a colony in pixels.

        Raises
        ------
        InputError
            The area is given in um2, and the pixel size is not known.
        """
        if self.min_area_um2 is None:
            return self.min_area_px
        if pixel_size_um is None:
            raise InputError(
                f"an area of {self.min_area_um2:g} um2 for an image of unknown pixel size",
                "give the pixel size, or the area in pixels",
            )
        return self.min_area_um2 / pixel_size_um**2


class Detection(NamedTuple):
    """The colonies of one frame.

    Attributes
    ----------
    labels : (Y, X) int32 array
        The colony of each pixel, 0 is background.
    colonies : table
        A row for each colony, in the order of its label `colony` from 1 on: box `y0`, `x0`,
        `y1`, `x1` in pixels (the last two just outside), `area_px`, `area_um2`,
        `centroid_y_px`, `centroid_x_px`, `centroid_y_um`, `centroid_x_um` from the image's
        corner (the first pixel's center is at 0.5 px), `contrast` (see `DetectSettings`),
        `touches_border`. Micrometers are NaN where the pixel size is not known.
    threshold_bits : float
        Of the entropy; NaN where all of it is equal.
    faint : int
        Objects removed because of `min_contrast`.
    """

    labels: Array
    colonies: pd.DataFrame
    threshold_bits: float
    faint: int


class _Objects(NamedTuple):
    """Connected objects: labels (Y, X), and a row for each label with 0, the background."""

    labels: Array
    stats: Array  # (K, 5) x, y, width, height, area
    centroids_xy: Array  # (K, 2), first pixel's center at 0


def detect_colonies(
    image_yx: Array, settings: DetectSettings | None = None, pixel_size_um: float | None = None
) -> Detection:
    """Find colonies in a phase-contrast frame [1]_.

    Gaussian blur; local entropy; Otsu's threshold; opening by a disk; holes filled; small
    objects removed. Then, of our own, objects that stand out no more than noise are removed.

    Parameters
    ----------
    image_yx : (Y, X) array
        8 bits are taken as they are; see `to_uint8` for other types.
    settings : DetectSettings, optional
    pixel_size_um : float, optional
        Side of a pixel, micrometers.

    Returns
    -------
    Detection
        No colonies where there are none: an empty well gives an empty table.

    Raises
    ------
    InputError
        Not a (Y, X) plane, a pixel size that is not above 0, or an area in um2 without it.
    DataError
        Pixels that are NaN or infinite.

    Notes
    -----
    A well with few or small colonies has no second peak of entropy for Otsu to part; its
    threshold then lies within the background's peak, whose specks the opening removes, and
    outlines come out some pixels too wide.

    References
    ----------
    .. [1] Witmer and Bhanu (2024), Sci Rep 14:4489, doi 10.1038/s41598-024-54993-y.
    """
    settings = DetectSettings() if settings is None else settings
    if pixel_size_um is not None and not (math.isfinite(pixel_size_um) and pixel_size_um > 0):
        raise InputError(f"a pixel size of {pixel_size_um} um", "give a number above 0")
    smallest_px = settings.smallest_px(pixel_size_um)
    grey = to_uint8(image_yx, settings.window_percent)
    grey = cv2.GaussianBlur(grey, (settings.blur_px, settings.blur_px), 0)
    entropy = local_entropy(grey, settings.entropy_radius_px)
    del grey
    threshold = otsu_threshold(entropy)
    mask: Array = (entropy > threshold).view(np.uint8)  # nowhere where the threshold is NaN
    if settings.opening_radius_px > 0:
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, _disk(settings.opening_radius_px))
    _fill_holes(mask)
    found = _Objects(*cv2.connectedComponentsWithStats(mask, connectivity=8)[1:])
    del mask
    large = [k for k in range(1, len(found.stats)) if found.stats[k, 4] >= smallest_px]
    contrast = _contrasts(entropy, found, large)
    del entropy
    kept = [k for k in large if contrast[k] >= settings.min_contrast]
    number = np.zeros(len(found.stats), np.int32)
    number[kept] = np.arange(1, len(kept) + 1)
    for row in found.labels:  # row by row: as indices NumPy makes the labels twice as large
        row[:] = number[row]
    table = _table(found, kept, [contrast[k] for k in kept], pixel_size_um)
    return Detection(found.labels, table, threshold, len(large) - len(kept))


def to_uint8(image_yx: Array, window_percent: float = 0.01) -> Array:
    """Grey values of any type as 8 bits, neither wrapped nor saturated.

    8 bits stay as they are. Others are stretched linearly, so that the percentiles
    `window_percent` and 100 - `window_percent` of the frame become 0 and 255; what lies beyond
    (hot pixels, dust) is clipped.

    Raises
    ------
    InputError
        Not a (Y, X) plane with pixels.
    DataError
        Pixels that are NaN or infinite.
    """
    image: Array = np.asarray(image_yx)
    if image.ndim != 2 or image.size == 0 or image.dtype.kind not in "buif":
        raise InputError(
            f"an image of shape {image.shape} and type {image.dtype}", "give one (Y, X) plane"
        )
    if image.dtype == np.uint8:
        return image
    if image.dtype not in (np.uint16, np.float32):
        image = image.astype(np.float64)
    low, high = (float(v) for v in np.percentile(image, (window_percent, 100 - window_percent)))
    if not np.isfinite(image.max() - image.min()):
        raise DataError("holds pixels that are NaN or infinite", "crop the image or fill them")
    if high <= low:
        return np.zeros(image.shape, np.uint8)
    gain = 255 / (high - low)
    # limits of the image's own type: floats would make integers four times as large
    inside = np.clip(image, image.dtype.type(low), image.dtype.type(high))
    return np.asarray(cv2.convertScaleAbs(inside, alpha=gain, beta=-low * gain))


def otsu_threshold(values: Array) -> float:
    """Otsu's threshold: what parts the values into two classes as far apart as can be [1]_.

    The center of that bin of a histogram of 1024 bins from the least to the largest value which,
    as the last one of the lower class, makes w0 w1 (mu0 - mu1)^2 largest (shares w, means mu).

    Parameters
    ----------
    values : float array
        Finite.

    Returns
    -------
    float
        NaN where all values are equal.

    References
    ----------
    .. [1] Otsu (1979), IEEE Trans Syst Man Cybern 9:62.
    """
    least, largest = float(values.min()), float(values.max())
    if least == largest:
        return math.nan
    # the histogram's end lies outside it: one step on, so that the largest value is counted
    end = float(np.nextafter(np.float32(largest), np.float32(np.inf)))
    flat = np.ascontiguousarray(values, np.float32)
    counted = cv2.calcHist([flat], [0], None, [_OTSU_BINS], [least, end])
    count = np.asarray(counted, float).ravel()
    center = least + (np.arange(_OTSU_BINS) + 0.5) * (largest - least) / _OTSU_BINS
    below, total = count.cumsum(), count.sum()
    sum_below, sum_total = (count * center).cumsum(), float(count @ center)
    # neither class is empty: the first bin holds the least value, the last one the largest
    w0, w1 = below[:-1], total - below[:-1]
    between = w0 * w1 * (sum_below[:-1] / w0 - (sum_total - sum_below[:-1]) / w1) ** 2
    return float(center[np.argmax(between)])


def _disk(radius: int) -> Array:
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    inside: Array = y**2 + x**2 <= radius**2
    return inside.astype(np.uint8)


def _fill_holes(mask: Array) -> None:
    """Fill what the border cannot be reached from without crossing the mask, in place."""
    around = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    cv2.floodFill(around, None, (0, 0), 2)  # through edges, not corners
    mask[around[1:-1, 1:-1] == 0] = 1


def _contrasts(entropy: Array, found: _Objects, large: list[int]) -> dict[int, float]:
    """How far each object's mean entropy lies above that outside of all objects, in its sd."""
    outside = (found.labels == 0).view(np.uint8)
    if not outside.any():  # there is nothing that it could stand out from
        return dict.fromkeys(large, 0.0)
    mean, sd = (float(value.item()) for value in cv2.meanStdDev(entropy, mask=outside))
    contrast = {}
    for k in large:
        x, y, width, height = (int(v) for v in found.stats[k, :4])
        window = np.s_[y : y + height, x : x + width]
        inside = entropy[window][found.labels[window] == k]
        above = float(inside.mean(dtype=float)) - mean
        contrast[k] = above / sd if sd > 0 else math.inf
    return contrast


def _table(
    found: _Objects, kept: list[int], contrast: list[float], pixel_size_um: float | None
) -> pd.DataFrame:
    height, width = found.labels.shape
    x0, y0, columns, rows, area = found.stats[kept].astype(np.int64).reshape(-1, 5).T
    x, y = found.centroids_xy[kept].reshape(-1, 2).T + 0.5
    y1, x1 = y0 + rows, x0 + columns
    pixel = math.nan if pixel_size_um is None else pixel_size_um
    return pd.DataFrame(
        {
            "colony": np.arange(1, len(kept) + 1),
            "y0": y0,
            "x0": x0,
            "y1": y1,
            "x1": x1,
            "area_px": area,
            "area_um2": area * pixel**2,
            "centroid_y_px": y,
            "centroid_x_px": x,
            "centroid_y_um": y * pixel,
            "centroid_x_um": x * pixel,
            "contrast": np.array(contrast, float),
            "touches_border": (y0 == 0) | (x0 == 0) | (y1 == height) | (x1 == width),
        }
    )
