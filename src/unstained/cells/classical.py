"""The baseline: cells are where the image is rough; touching cells part at their necks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from ..errors import InputError
from ..images.image import Array
from .flooding import flood

__all__ = ["ClassicalSettings", "otsu", "segment_classical"]

_OTSU_BINS = 256


@dataclass(frozen=True)
class ClassicalSettings:
    """How cells are found without a model. Lengths are in pixels of the image.

    The defaults are the best of 36 tried on all 14 sets of ``usiigaci/train`` (phase contrast,
    10x): average precision 0.33 at an IoU of 0.5. With the settings chosen on the other 13 sets
    it is 0.33 on the one left out too, so the choice flatters the baseline little.

    Attributes
    ----------
    window_px : float
        Standard deviation of the Gaussian window in which the roughness is measured.
    threshold_scale : float
        Times Otsu's threshold of the roughness's logarithm, counted from the logarithm's
        median: below 1 more is cell.
    closing_px : int
        Radius of the disk that closes gaps; 0 is no closing.
    hole_px2 : int
        Larger holes stay holes.
    shrink_px : int
        Radius of the disk by which the mask is made smaller, since the window reaches beyond
        the cell.
    opening_px : int
        Radius of the disk that takes away thin bridges; 0 is no opening.
    min_area_px2 : int
        Smaller cells are removed.
    smooth_px : float
        Standard deviation of the Gaussian that smooths the distance to the background before
        its peaks become seeds.
    seed_distance_px : int
        Seeds are at least so far apart (along rows and columns).
    """

    window_px: float = 1.5
    threshold_scale: float = 1.6
    closing_px: int = 2
    hole_px2: int = 1000
    shrink_px: int = 4
    opening_px: int = 0
    min_area_px2: int = 1000
    smooth_px: float = 3.0
    seed_distance_px: int = 20

    def __post_init__(self) -> None:
        lengths = (
            self.closing_px,
            self.hole_px2,
            self.shrink_px,
            self.opening_px,
            self.min_area_px2,
        )
        if min(lengths) < 0 or min(self.window_px, self.threshold_scale) <= 0:
            raise InputError(
                f"lengths {lengths}, window {self.window_px}, scale {self.threshold_scale}",
                "give lengths of at least 0, and a window and a scale above 0",
            )
        if self.smooth_px < 0 or self.seed_distance_px < 1:
            raise InputError(
                f"smoothing {self.smooth_px}, distance of seeds {self.seed_distance_px}",
                "give at least 0 and at least 1 px",
            )


def segment_classical(image: Array, settings: ClassicalSettings | None = None) -> Array:
    """Label cells by local standard deviation, Otsu's threshold and a distance watershed.

    1. roughness: s = sqrt(G * I^2 - (G * I)^2), G a Gaussian window; of log s, what is above
       Otsu's threshold [1]_ is cell
    2. closing, filling of small holes, shrinking, opening, removal of small objects
    3. seeds: peaks of the smoothed distance to the background; watershed of its negative

    For scale and comparison, not for measurements: Otsu's threshold splits an image without
    any cell too, and cells without necks between them stay together.

    Parameters
    ----------
    image : (Y, X) array
        Label-free; any type and scale.
    settings : ClassicalSettings, optional

    Returns
    -------
    (Y, X) int32 array
        Cells 1 to N; all 0 where the image is constant.

    Raises
    ------
    InputError
        No (Y, X) image, or pixels that are not finite.

    References
    ----------
    .. [1] Otsu (1979), IEEE Trans Syst Man Cybern 9:62. doi:10.1109/TSMC.1979.4310076
    """
    settings = settings or ClassicalSettings()
    if image.ndim != 2:
        raise InputError(f"an image of shape {image.shape}", "give one (Y, X) plane")
    if not np.isfinite(image).all():
        raise InputError("pixels are not finite", "replace NaN and infinity")
    if image.size == 0 or image.min() == image.max():
        return np.zeros(image.shape, np.int32)
    mask = _cell_mask(image, settings)
    distance = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    smooth = _blurred(distance.astype(np.float64), settings.smooth_px)
    side = 2 * settings.seed_distance_px + 1
    peaks = (smooth == cv2.dilate(smooth, np.ones((side, side), np.uint8))) & mask
    seeds, _ = ndimage.label(peaks, np.ones((3, 3)))
    labels = flood(-smooth, seeds, mask)
    return _without_small(labels, settings.min_area_px2)


def otsu(values: Array) -> float:
    """The threshold that parts `values` into two classes of least variance [1]_.

    Of a histogram of 256 bins over their range; the center of the lower class's last bin.

    References
    ----------
    .. [1] Otsu (1979), IEEE Trans Syst Man Cybern 9:62. doi:10.1109/TSMC.1979.4310076
    """
    count, edges = np.histogram(values, _OTSU_BINS)
    center = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(count)[:-1].astype(np.float64)
    above = count.sum() - below
    sums = np.cumsum(count * center)
    gap = sums[:-1] / below - (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    # variance between the classes, but for a constant factor
    return float(center[int(np.argmax(below * above * gap**2))])


def _cell_mask(image: Array, settings: ClassicalSettings) -> Array:
    """(Y, X) bool: rough, closed, filled, opened."""
    grey = image.astype(np.float64)
    grey = (grey - grey.mean()) / grey.std()  # small numbers: squares keep their digits
    mean = _blurred(grey, settings.window_px)
    variance = _blurred(grey**2, settings.window_px) - mean**2
    rough = np.log(np.maximum(variance, 1e-6)) / 2
    level = float(np.median(rough))
    mask = rough > level + settings.threshold_scale * (otsu(rough) - level)
    mask = _with_disk(mask, cv2.MORPH_CLOSE, settings.closing_px)
    holes, _ = ndimage.label(~mask)
    area = np.bincount(holes.ravel())
    mask |= (area <= settings.hole_px2)[holes] & (holes > 0)
    mask = _with_disk(mask, cv2.MORPH_ERODE, settings.shrink_px)
    return _with_disk(mask, cv2.MORPH_OPEN, settings.opening_px)


def _blurred(image: Array, sigma_px: float) -> Array:
    return cv2.GaussianBlur(image, (0, 0), sigma_px) if sigma_px > 0 else image


def _with_disk(mask: Array, operation: int, radius: int) -> Array:
    if radius == 0:
        return mask
    reach = np.arange(-radius, radius + 1)
    disk = (reach[:, None] ** 2 + reach**2 <= radius**2).astype(np.uint8)
    return cv2.morphologyEx(mask.astype(np.uint8), operation, disk) > 0


def _without_small(labels: Array, min_area_px2: int) -> Array:
    """Cells of less area become background, the others are numbered anew."""
    area = np.bincount(labels.ravel())
    kept = area >= max(min_area_px2, 1)
    kept[0] = False
    number = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return np.asarray(number[labels])
