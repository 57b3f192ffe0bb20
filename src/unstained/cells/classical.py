"""The baseline: cells are where the image is rough; touching cells part at their necks."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import cv2
import numpy as np
from scipy import ndimage

from ..errors import DataError, InputError
from ..images.image import Array, LazyArray
from ..settings import changed_settings, check_settings
from .flooding import flood
from .partition import without_small

__all__ = ["ClassicalSettings", "Ground", "measure_ground", "otsu", "segment_classical"]

_OTSU_BINS = 256
_LARGEST = 2048  # sides beyond are measured in blocks
_BLOCK = 256  # px
_MICROMETERS = re.compile(r"(\w+)_um(2?)")


@dataclass(frozen=True)
class ClassicalSettings:
    """How cells are found without a model. Lengths are in pixels of the image.

    In pixels, since the images that they were chosen on do not tell their pixel size. The
    defaults are the best of 36 tried on all 14 sets of ``usiigaci/train`` (phase contrast, 10x):
    average precision 0.33 at an IoU of 0.5. With the settings chosen on the other 13 sets it is
    0.33 on the one left out too, so the choice flatters the baseline little.

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
        check_settings(
            self, least={"seed_distance_px": 1}, positive=("window_px", "threshold_scale")
        )

    def changed(
        self, changes: Mapping[str, Any], pixel_size_um: float | None = None
    ) -> ClassicalSettings:
        """The same settings but for `changes`, of which text is read as a number.

        Parameters
        ----------
        changes : mapping
            By name; `closing_um` in place of `closing_px`, `hole_um2` of `hole_px2` and so on
            are micrometers, rounded to whole pixels where the setting is one.
        pixel_size_um : float, optional

        Raises
        ------
        InputError
            A setting is not known or given twice, its value is not usable, or it is in
            micrometers and the pixel size is not known.
        """
        ready: dict[str, Any] = {}
        for name, value in changes.items():
            in_px = _MICROMETERS.sub(r"\1_px\2", name)
            if in_px not in {f.name for f in fields(self)}:
                raise InputError(
                    f"setting {name!r} is not known",
                    f"known: {', '.join(f.name for f in fields(self))}; lengths also as window_um, "
                    "areas as hole_um2",
                )
            if in_px in ready:
                raise InputError(f"{in_px} is given in pixels and in micrometers", "give it once")
            ready[in_px] = value if in_px == name else _pixels(name, value, pixel_size_um)
        for item in fields(self):
            if isinstance(item.default, int) and isinstance(ready.get(item.name), float):
                ready[item.name] = round(ready[item.name])
        return changed_settings(self, ready)


class Ground(NamedTuple):
    """What cells of an image are told from, measured once for all its tiles.

    Attributes
    ----------
    offset, scale : float
        Mean and standard deviation of the grey values; a constant image has the scale 0.
    threshold : float
        Of the logarithm of the roughness of the image so scaled; rougher pixels are cell.
    """

    offset: float
    scale: float
    threshold: float


def measure_ground(image: LazyArray, settings: ClassicalSettings) -> Ground:
    """Find the threshold of an image.

    Of an image of more than 2048 pixels a side, evenly spread blocks of 256 pixels are read, in
    full resolution, since roughness is of neighbors.

    Parameters
    ----------
    image : (Y, X) array-like
        Read by blocks.
    settings : ClassicalSettings

    Raises
    ------
    DataError
        Pixels are not finite.
    """
    blocks = [_checked(np.asarray(image[at])) for at in _blocks(image.shape)]
    grey = np.concatenate([block.ravel() for block in blocks]).astype(np.float64)
    offset, scale = float(grey.mean()), float(grey.std())
    if grey.min() == grey.max():
        return Ground(offset, 0.0, math.inf)
    scaled = Ground(offset, scale, math.inf)
    rough = np.concatenate([_roughness(b, scaled, settings.window_px).ravel() for b in blocks])
    level = float(np.median(rough))
    return Ground(offset, scale, level + settings.threshold_scale * (otsu(rough) - level))


def segment_classical(
    image: Array, settings: ClassicalSettings | None = None, ground: Ground | None = None
) -> Array:
    """Label cells by local standard deviation, Otsu's threshold and a distance watershed.

    1. roughness: s = sqrt(G * I^2 - (G * I)^2), G a Gaussian window; of log s, what is above
       Otsu's threshold [1]_ is cell
    2. closing, filling of small holes, shrinking, opening, removal of small objects
    3. seeds: peaks of the smoothed distance to the background; watershed of its negative

    For scale and comparison, not for measurements: Otsu's threshold splits an image without
    any cell too, and cells without necks between them stay together. With the `ground` of the
    whole image all steps are local, so that tiles give what the whole gives where their halo is
    wider than a clump of cells that touch; only a sliver of background that the edge of the halo
    cuts off may count as a hole.

    Parameters
    ----------
    image : (Y, X) array
        Label-free; any type and scale.
    settings : ClassicalSettings, optional
    ground : Ground, optional
        Of the image that this is a part of; measured here where not given.

    Returns
    -------
    (Y, X) int32 array
        Cells 1 to N; all 0 where the image is constant.

    Raises
    ------
    InputError
        No (Y, X) image.
    DataError
        Pixels are not finite.

    References
    ----------
    .. [1] Otsu (1979), IEEE Trans Syst Man Cybern 9:62. doi:10.1109/TSMC.1979.4310076
    """
    settings = settings or ClassicalSettings()
    image = np.asarray(image)
    if image.ndim != 2:
        raise InputError(f"an image of shape {image.shape}", "give one (Y, X) plane")
    if image.size == 0:
        return np.zeros(image.shape, np.int32)
    ground = measure_ground(image, settings) if ground is None else ground
    if not ground.scale > 0:
        return np.zeros(image.shape, np.int32)
    mask = _cell_mask(_checked(image), settings, ground)
    distance = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    smooth = _blurred(distance.astype(np.float64), settings.smooth_px)
    side = 2 * settings.seed_distance_px + 1
    peaks = (smooth == cv2.dilate(smooth, np.ones((side, side), np.uint8))) & mask
    seeds, _ = ndimage.label(peaks, np.ones((3, 3)))
    labels = flood(-smooth, seeds, mask)
    return without_small(labels, settings.min_area_px2)


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


def _pixels(name: str, value: Any, pixel_size_um: float | None) -> float:
    """A length or an area in micrometers, in pixels."""
    if pixel_size_um is None:
        raise InputError(
            f"setting {name} is in micrometers, and the pixel size of the image is not known",
            "give --pixel-size, or the setting in pixels",
        )
    try:
        given = float(value)
    except ValueError as error:
        raise InputError(f"setting {name} is {value!r}", "give a number") from error
    if not math.isfinite(given):
        raise InputError(f"setting {name} is {value}", "give a finite number")
    return given / pixel_size_um ** (2 if name.endswith("2") else 1)


def _checked(image: Array) -> Array:
    if not np.isfinite(image).all():
        raise DataError("pixels are not finite", "replace NaN and infinity")
    return image


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    spans = []
    for n in shape:
        every = -(-n // _LARGEST)  # of so many blocks, one is read
        side = n if every == 1 else _BLOCK
        spans.append([slice(at, min(at + side, n)) for at in range(0, n, every * side)])
    return ((rows, columns) for rows in spans[0] for columns in spans[1])


def _roughness(image: Array, ground: Ground, window_px: float) -> Array:
    """(Y, X) logarithm of the local standard deviation."""
    # small numbers: squares keep their digits
    grey = (image.astype(np.float64) - ground.offset) / ground.scale
    mean = _blurred(grey, window_px)
    variance = _blurred(grey**2, window_px) - mean**2
    return np.asarray(np.log(np.maximum(variance, 1e-6)) / 2)


def _cell_mask(image: Array, settings: ClassicalSettings, ground: Ground) -> Array:
    """(Y, X) bool: rough, closed, filled, opened."""
    mask = _roughness(image, ground, settings.window_px) > ground.threshold
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
