"""Subtract what is not stain: camera offset, stray light, unspecific binding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from ..errors import DataError, FileError, InputError
from .image import Array, Image, LazyPlanes
from .quality import foreground_mask

__all__ = ["background_files", "estimate_background", "subtract_background", "subtract_control"]

_METHODS = ("polynomial", "percentile", "constant")
_ROUNDS = 8
_LOW_PERCENT = 5.0  # of the blocks around, which is taken for background
_LEAST_BLOCK_PX = 4  # of smaller ones there would be too many to fit surfaces through
_BAND_PX = 256  # rows of an image that are looked at together
_LEAST_SHARE = 0.02  # of the pixels must be background for a surface to be fitted


def subtract_background(
    image: Array, *, method: str = "polynomial", radius_px: float = 64.0
) -> Array:
    """The image less its own estimated background; see `estimate_background`.

    Returns
    -------
    (Y, X) float32 array
        Background at 0; values below it stay negative, since cutting them off would bias every
        mean.
    """
    image = np.asarray(image)
    level = estimate_background(image, method=method, radius_px=radius_px)
    return np.asarray(np.subtract(image, level, out=level, casting="same_kind"))


def subtract_control(image: Array, control: Array, *, smooth_px: float = 8.0) -> Array:
    """The image less a control without primary antibody.

    What the secondary antibody alone shows (unspecific binding, autofluorescence, offset) is
    taken for background, smoothed by a Gaussian since its noise and its cells are not those of
    the image. Both must have been taken with one exposure.

    Parameters
    ----------
    image : (Y, X) array
    control : (Y, X) or (N, Y, X) array
        One control image or several, whose median is taken pixel by pixel.
    smooth_px : float
        Sigma of the Gaussian, pixels; 0 for none.

    Returns
    -------
    (Y, X) float32 array

    Raises
    ------
    InputError
        Shapes differ, `smooth_px` is not 0 or more, or the control is brighter than the image all
        over: another exposure.
    """
    if not 0 <= smooth_px < np.inf:
        raise InputError(f"smooth_px is {smooth_px}", "give pixels, 0 or more")
    image = _plane(image).astype(np.float64)
    controls = np.asarray(control, dtype=np.float64)
    level = np.median(controls, axis=0) if controls.ndim == 3 else controls
    if level.shape != image.shape:
        raise InputError(
            f"control is {level.shape}, image {image.shape}", "both must be the same (Y, X)"
        )
    if float(np.median(level)) > float(np.quantile(image, 0.99)):
        raise InputError(
            f"the control (median {np.median(level):g}) is brighter than the image "
            f"(99 % below {np.quantile(image, 0.99):g})",
            "take both with one exposure, or let the background be estimated",
        )
    if smooth_px > 0:
        level = ndimage.gaussian_filter(level, smooth_px, mode="nearest")
    return _float32(image - level)


def estimate_background(
    image: Array, *, method: str = "polynomial", radius_px: float = 64.0
) -> Array:
    """The background under a stain, without a control image.

    Parameters
    ----------
    image : (Y, X) array
    method : str
        "polynomial": a surface of second order through the background pixels, found by fitting
        and leaving out what lies 3 standard deviations above it, until nothing changes; for
        uneven light and cells that leave some of the field free. "percentile": a surface of
        second order through the background within about `radius_px` of each place, found like
        the other from what lies low in a window of 2 `radius_px` (`_percentile`); for backgrounds
        of any form where no object is larger than the window. "constant": the median of the
        background.
    radius_px : float
        Half the window of "percentile", pixels; larger than the largest object.

    Returns
    -------
    (Y, X) float32 array

    Raises
    ------
    InputError
        No such method, or no background is left to fit.
    """
    image = _plane(image)
    if method not in _METHODS:
        raise InputError(f"no method {method!r}", f"one of {', '.join(_METHODS)}")
    if method == "percentile":
        return _percentile(image, radius_px)
    free = ~foreground_mask(image)
    if method == "constant":
        values = image[_enough(free)].astype(np.float64)
        return np.full(image.shape, np.median(values, overwrite_input=True), dtype=np.float32)
    return _surface(image, free)


def background_files(
    images: Sequence[Path],
    folder: Path,
    *,
    controls: Sequence[Path] = (),
    method: str = "polynomial",
    radius_px: float = 64.0,
    notify: Callable[[str], None] = lambda text: None,
) -> Iterator[Path]:
    """Subtract the background of files, plane by plane, into OME-TIFF files of one folder.

    Channels that are label-free by their names, beside others, stay as they are.

    Parameters
    ----------
    images : sequence of Path
        Images, or folders of images.
    folder : Path
        Gets a file ``NAME.ome.tif`` for each image.
    controls : sequence of Path
        Images of the secondary antibody alone, of the same shape or with one plane for all
        channels, each of their frames a control; without them the background
        is estimated by `method` (`estimate_background`).
    notify : callable
        Is told which channels stay as they are.

    Yields
    ------
    Path
        Each file, when it is written.

    Raises
    ------
    FileError
        Two images have one name.
    DataError
        An image does not fit the controls, or has no background.
    """
    from .read import name_of_source, read_image, split_selector, stem_of
    from .write import write_ome_tiff

    images = [file for path in images for file in _files(path)]
    # a file keeps its name, so that a folder of results pairs as the folder of images did
    plain = [path.is_file() and split_selector(path).path == path for path in images]
    names = [
        stem_of(path) if own else name_of_source(str(path))
        for path, own in zip(images, plain, strict=True)
    ]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise FileError(
            f"several images are named {', '.join(sorted(twice))}", "treat them one by one"
        )
    opened = [read_image(path) for path in controls]
    for path, name in zip(images, names, strict=True):
        image = read_image(path)
        levels = _levels(opened, image, path)
        left = [c.name for c in image.channels if c.label_free and len(image.channels) > 1]
        if left:
            notify(f"{path}: {', '.join(left)} stays as it is: label-free, by its name")
        target = folder / f"{name}.ome.tif"
        try:
            planes = _Cleaned(_cleaner(image, left, levels, method, radius_px), image.shape)
            write_ome_tiff(replace(image, data=planes, levels=()), target)
        except InputError as error:
            raise DataError(error.reason, error.remedy, file=path) from error
        yield target


def _cleaner(
    image: Image,
    left: Sequence[str],
    levels: Mapping[tuple[int, int], Sequence[Array]],
    method: str,
    radius_px: float,
) -> Callable[[int, int, int], Array]:
    """What makes one plane of the image, (t, c, z), without background; channels `left` stay."""

    def cleaned(t: int, c: int, z: int) -> Array:
        plane = image.plane(t, c, z)
        if image.channels[c].name in left:
            return _float32(plane)
        if levels[c, z]:
            return subtract_control(plane, np.stack(levels[c, z]))
        return subtract_background(plane, method=method, radius_px=radius_px)

    return cleaned


class _Cleaned(LazyPlanes):
    """Planes computed on request; the last one is kept, since a writer reads it in pieces."""

    def __init__(self, make: Callable[[int, int, int], Array], shape: tuple[int, ...]) -> None:
        super().__init__(shape, np.dtype(np.float32))
        self._make = make
        self._at: tuple[int, int, int] | None = None
        self._plane = np.empty((0, 0), np.float32)

    def _crop(self, t: int, c: int, z: int, y: slice, x: slice) -> Array:
        if self._at != (t, c, z):
            self._at = None
            self._plane, self._at = self._make(t, c, z), (t, c, z)
        return self._plane[y, x]


def _files(path: Path) -> list[Path]:
    """The images of a folder; anything else as it is."""
    from .folders import images_in, is_zarr

    if not path.is_dir() or is_zarr(path):
        return [path]
    inside = images_in(path)
    if not inside:
        raise FileError("holds no image", "name images, or a folder of images", file=path)
    return inside


def _levels(
    controls: Sequence[Image], image: Image, path: Path
) -> dict[tuple[int, int], list[Array]]:
    """What the controls show in each channel and plane; a single plane serves all.

    Frames of a control are controls of their own.
    """
    for control in controls:
        if control.shape[3:] != image.shape[3:]:
            raise DataError(
                f"control is {control.shape[3:]}, image {image.shape[3:]}",
                "both must be the same (Y, X)",
                file=path,
            )
        if control.n_planes > 1 and control.shape[1:3] != image.shape[1:3]:
            raise DataError(
                "has {} channels and {} planes in z, the control {} and {}".format(
                    *image.shape[1:3], *control.shape[1:3]
                ),
                "give a control with the same ones, or with one plane for all",
                file=path,
            )
    return {
        (c, z): [
            control.plane(t) if control.n_planes == 1 else control.plane(t, c, z)
            for control in controls
            for t in range(control.shape[0])
        ]
        for c, z in np.ndindex(image.shape[1:3])
    }


def _percentile(image: Array, radius_px: float) -> Array:
    """A surface through background blocks of a quarter radius, enlarged.

    The level of a block is its median. Background is, to begin with, the quarter of the blocks in
    the window that stands out least from a low percentile of the levels, smoothed; then what lies
    less than 3 SD above the surface through it (`_local_surface`). The percentile by itself would
    be too low by half the range that shading has within the window.
    """
    if not radius_px >= 4:  # NaN neither
        raise InputError(f"radius_px is {radius_px}", "4 or more, and larger than an object")
    height, width = image.shape
    # a window that goes beyond the image on all sides is one block
    block = max(_LEAST_BLOCK_PX, int(min(radius_px / 4, max(height, width))))
    ny, nx = -(-height // block), -(-width // block)
    level = np.empty((ny, nx))
    for row in range(ny):  # all at once would be several copies of the image
        strip = image[row * block : (row + 1) * block].astype(np.float64)
        beyond = (0, block - len(strip)), (0, nx * block - width)
        strip = np.pad(strip, beyond, mode="edge").reshape(block, nx, block)
        level[row] = np.median(strip, axis=(0, 2))
    low = ndimage.percentile_filter(level, _LOW_PERCENT, size=9, mode="nearest")
    low = ndimage.gaussian_filter(low, 4, mode="nearest")
    above = level - low
    free = above <= ndimage.percentile_filter(above, 25, size=9, mode="nearest")
    for _ in range(_ROUNDS):
        surface = _local_surface(level, free, low)
        kept = _not_above(level - surface, free)
        if np.array_equal(kept, free):
            break
        free = kept
    y = (np.arange(height) - (block - 1) / 2) / block
    x = (np.arange(width) - (block - 1) / 2) / block
    found = np.empty(image.shape, np.float32)
    for band in _bands(height):  # coordinates of all pixels are twice the image
        at = np.meshgrid(y[band], x, indexing="ij")
        ndimage.map_coordinates(surface, at, found[band], order=1, mode="nearest")
    return found


def _local_surface(level: Array, free: Array, low: Array) -> Array:
    """At each block the surface of second order through the `free` ones, near ones weighing most.

    Least squares with Gaussian weights (sigma of 4 blocks) in coordinates about each block, so
    that the surface's constant is the value there. `low` where the free blocks weigh less than
    ten at the place itself.
    """
    u = np.arange(-12, 13) / 4
    weight = np.exp(-(u**2) / 2)

    def moment(a: Array, y: int, x: int) -> Array:
        rows = ndimage.correlate1d(a, weight * u**y, axis=0, mode="constant")
        return np.asarray(ndimage.correlate1d(rows, weight * u**x, axis=1, mode="constant"))

    powers = [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0)]
    there = free.astype(np.float64)
    left = {(y, x): moment(there, y, x) for y in range(5) for x in range(5 - y)}
    right = np.stack([moment(there * level, *p) for p in powers], axis=-1)  # (ny, nx, 6)
    tiny = 1e-6 * np.eye(len(powers))  # free blocks in a row leave a term open: it becomes 0
    surface = low.copy()
    for row, known in enumerate(left[0, 0] >= 10):
        normal = np.array([[left[a + c, b + d][row] for c, d in powers] for a, b in powers])
        normal = np.moveaxis(normal, -1, 0)[known] + tiny  # (6, 6, nx) -> (nx, 6, 6)
        surface[row, known] = np.linalg.solve(normal, right[row, known, :, None])[:, 0, 0]
    return surface


def _surface(image: Array, free: Array) -> Array:
    """The surface of second order through the free pixels, (Y, X) float32."""
    y, x = np.linspace(-1, 1, image.shape[0]), np.linspace(-1, 1, image.shape[1])

    def surface(w: Array, band: slice) -> Array:
        """Some of its rows, float64: all at once would be 8 bytes a pixel, and some more."""
        v = y[band]
        bent = (w[0] + w[2] * v + w[5] * v * v)[:, None] + (w[1] * x + w[3] * x * x)
        return np.asarray(np.multiply.outer(w[4] * v, x) + bent)

    lowest = np.quantile(image.astype(np.float64), 0.25, overwrite_input=True)
    free = _enough(free | (image <= lowest))
    rest = np.empty(image.shape, np.float64)
    for _ in range(_ROUNDS):
        step = max(1, int(free.sum()) // 200_000)
        at = np.flatnonzero(free)[::step].copy()  # a view would keep all of them
        v, u = (a[i] for a, i in zip((y, x), np.divmod(at, x.size), strict=True))  # (N,)
        terms = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=-1)  # (N, 6)
        w = np.linalg.lstsq(terms, image.ravel()[at].astype(np.float64), rcond=None)[0]
        for band in _bands(y.size):
            rest[band] = image[band] - surface(w, band)
        kept = _enough(_not_above(rest, free))
        if np.array_equal(kept, free):
            break
        free = kept
    del rest
    found = np.empty(image.shape, np.float32)
    for band in _bands(y.size):
        found[band] = surface(w, band)
    return found


def _bands(height: int) -> Iterator[slice]:
    """Rows of an image that are looked at together, of all its rows."""
    for top in range(0, height, _BAND_PX):
        yield slice(top, top + _BAND_PX)


def _not_above(rest: Array, free: Array) -> Array:
    """What lies at most 3 SD above a surface; SD from the free pixels below it: no cell is."""
    below = rest[free & (rest < 0)]
    sd = float(np.sqrt(np.mean(below**2))) if below.size else 0.0
    return np.asarray(rest <= 3 * sd)


def _enough(free: Array) -> Array:
    if float(free.mean()) < _LEAST_SHARE:
        raise InputError(
            f"{100 * free.mean():.1f} % of the pixels are background, "
            f"{100 * _LEAST_SHARE:.0f} % are needed",
            'use method "percentile", or a control image',
        )
    return free


def _plane(image: Array) -> Array:
    image = np.asarray(image)
    if image.ndim != 2:
        raise InputError(f"image has shape {image.shape}", "give one plane (Y, X)")
    if not np.isfinite(image).all():
        raise InputError("the image holds NaN or infinite values", "repair it first")
    return image


def _float32(image: Array) -> Array:
    return np.asarray(image, dtype=np.float32)
