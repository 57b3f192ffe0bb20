"""Images of single objects, and patches drawn from inside their masks."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np

from ..errors import DataError, InputError, refuse_name
from ..images.image import Array
from ..images.kept import Kept
from ..images.tiles import read_reflected
from ..learning.random import generator

__all__ = ["ArrayCrops", "Crop", "Crops", "Patches", "Prepared", "patch_corners", "prepare"]

_MOST_CENTERS = 4096
_CACHE_BYTES = 2 * 2**30


class Crop(NamedTuple):
    """One object: `pixels` (P, Y, X) of any type, and its `mask` (Y, X) bool, or None.

    `read_as` is the type that the file has, where stains were added and the pixels are floats.
    """

    pixels: Array
    mask: Array | None
    read_as: np.dtype[Any] | None = None


@runtime_checkable
class Crops(Protocol):
    """Many objects that are read one by one."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> Crop: ...

    def name_at(self, index: int) -> str:
        """What an error calls it."""
        ...


class ArrayCrops:
    """Crops in memory: (Y, X) or (P, Y, X) arrays, with or without masks.

    Raises
    ------
    InputError
        Masks that do not fit, or images that differ in planes.
    """

    def __init__(self, images: Iterable[Array], masks: Iterable[Array | None] | None = None):
        refuse_name(images, "images", "load_examples({})")
        # a generator is read once, and a Series counts by its index, not by position
        images, masks = list(images), None if masks is None else list(masks)
        if masks is not None and len(masks) != len(images):
            raise InputError(
                f"{len(masks)} masks for {len(images)} images", "give each image a mask, or none"
            )
        self._images, self._masks = images, masks
        planes = {np.shape(image)[0] if np.ndim(image) == 3 else 1 for image in images}
        if len(planes) > 1:
            raise InputError(
                f"images of {' and '.join(map(str, sorted(planes)))} planes",
                "give all images the same planes, as (Y, X) or (P, Y, X) arrays",
            )

    def __len__(self) -> int:
        return len(self._images)

    def read(self, index: int) -> Crop:
        image = np.asarray(self._images[index])
        if image.ndim not in (2, 3):
            raise InputError(
                f"image {index} has shape {image.shape}", "give (Y, X) or (P, Y, X) arrays"
            )
        mask = None if self._masks is None else self._masks[index]
        pixels = image[None] if image.ndim == 2 else image
        return Crop(pixels, None if mask is None else np.asarray(mask, bool))

    def name_at(self, index: int) -> str:
        return f"image {index}"


class Prepared(NamedTuple):
    """A crop ready to be cut.

    Attributes
    ----------
    pixels : (P, Y, X) array
        Y and X at least a patch, enlarged where they were not.
    corners : (K, 2) int array
        Upper left corners (y, x) that patches may have.
    masked : bool
        Whether a mask chose them.
    """

    pixels: Array
    corners: Array
    masked: bool


def prepare(crop: Crop, patch: int, inside: float, name: str = "the image") -> Prepared:
    """Enlarge a crop that is too small and find where patches may lie.

    A patch is centered on a pixel of the mask (and moved inside the image where it would
    leave it), and at least the share `inside` of it lies in the mask. An object too small for
    that is enlarged until it fills so much.

    Parameters
    ----------
    crop : Crop
    patch : int
        Side of a patch, pixels.
    inside : float
        0 to 1.
    name : str
        For errors.

    Raises
    ------
    DataError
        The mask is empty, has another shape than the image, or the image has no pixels, or
        some that are not finite.
    """
    pixels, mask = crop.pixels, crop.mask
    if not pixels.size:
        raise DataError(f"has shape {pixels.shape}", "remove it from the data", file=name)
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise DataError(
            "has pixels that are NaN or infinite", "repair the image or remove it", file=name
        )
    if mask is not None and mask.shape != pixels.shape[1:]:
        raise DataError(
            f"the mask is {mask.shape}, the image {pixels.shape[1:]}", "give one size", file=name
        )
    if mask is not None and not mask.any():
        raise DataError("the mask is empty", "outline the object or remove the image", file=name)
    zoom = max(1.0, patch / min(pixels.shape[1:]))
    while True:  # ends at the latest where one pixel of the mask has become a patch
        near = _around(pixels, mask, patch, zoom)
        larger, region = _enlarged(near.pixels, near.mask, zoom, patch)
        corners = patch_corners(region, larger.shape[1:], patch, inside)
        if len(corners):
            return Prepared(larger, corners, mask is not None)
        zoom *= 1.25


def _around(pixels: Array, mask: Array | None, patch: int, zoom: float) -> Crop:
    """What patches can reach: the mask's box and, once enlarged, a patch on each side."""
    if mask is None:
        return Crop(pixels, None)
    margin = int(np.ceil(patch / zoom)) + 1
    box = [np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)]
    ys, xs = (slice(max(0, at[0] - margin), at[-1] + 1 + margin) for at in box)
    # a copy: a view would keep the whole image in memory
    return Crop(np.array(pixels[:, ys, xs]), mask[ys, xs])


def _enlarged(
    pixels: Array, mask: Array | None, zoom: float, patch: int
) -> tuple[Array, Array | None]:
    if zoom == 1.0:
        return pixels, mask
    height, width = (max(patch, round(zoom * side)) for side in pixels.shape[1:])
    kind = pixels.dtype if pixels.dtype in (np.uint8, np.uint16, np.float32) else np.float32
    larger = np.stack(
        [
            cv2.resize(plane.astype(kind), (width, height), interpolation=cv2.INTER_LINEAR)
            for plane in pixels
        ]
    )
    if mask is None:
        return larger, None
    region = cv2.resize(
        mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
    )
    return larger, region.astype(bool)


def patch_corners(
    mask: Array | None, shape_yx: tuple[int, ...], patch: int, inside: float
) -> Array:
    """(K, 2) corners of allowed patches, at most 4096, spread evenly over the mask."""
    height, width = shape_yx
    if mask is None:
        y, x = (np.arange(n - patch + 1) for n in (height, width))
        step = max(1, int(np.ceil(np.sqrt(y.size * x.size / _MOST_CENTERS))))
        grid = np.meshgrid(y[::step], x[::step], indexing="ij")
        return np.stack([g.ravel() for g in grid], axis=1)
    y, x = np.nonzero(mask)
    if y.size > _MOST_CENTERS:  # by chance: every n-th pixel may be one column of the mask
        some = generator(0).choice(y.size, _MOST_CENTERS, replace=False)
        y, x = y[some], x[some]
    y = np.clip(y - patch // 2, 0, height - patch)
    x = np.clip(x - patch // 2, 0, width - patch)
    total = cv2.integral(mask.astype(np.uint8))  # (Y + 1, X + 1) sums above and left
    area = total[y + patch, x + patch] - total[y, x + patch] - total[y + patch, x] + total[y, x]
    enough = area >= inside * patch**2
    return np.stack([y[enough], x[enough]], axis=1)


def _window(
    pixels: Array, y: int, x: int, side: int, reach: int, rng: np.random.Generator
) -> Array:
    """A patch moved by up to `reach` pixels from (`y`, `x`)."""
    if reach == 0:
        return pixels[:, y : y + side, x : x + side]
    dy, dx = rng.integers(-reach, reach + 1, 2)
    window = (slice(y + dy, y + dy + side), slice(x + dx, x + dx + side))
    return read_reflected(lambda ys, xs: pixels[:, ys, xs], window, pixels.shape[1:])


class Patches:
    """Patches of crops, drawn by counters: the same counters give the same patch.

    Crops are read once and kept while 2 GB last.

    Parameters
    ----------
    crops : Crops
    patch : int
        Side in pixels.
    inside : float
        See `prepare`.
    flips : float
        Chance of a mirror along each axis: the weak view.
    quarter_turns : bool
        Whether a weak view is also turned by a multiple of 90 degrees.
    shift : float
        Share of its side by which it is moved at most, mirrored beyond the image; where a mask
        says where patches lie, they are not moved out of it.
    integers : (str, str), optional
        Integer type of pixels that the crops must have the size of, and which images have it;
        the first crop's where not given. Floats are let through, unless they are of 0 to 1.
    """

    def __init__(
        self,
        crops: Crops,
        patch: int,
        inside: float,
        *,
        flips: float = 0.0,
        quarter_turns: bool = False,
        shift: float = 0.0,
        integers: tuple[str, str] | None = None,
    ) -> None:
        self.crops, self.patch, self.inside = crops, patch, inside
        self.flips, self.quarter_turns = flips, quarter_turns
        self.reach = round(shift * patch)
        self.integers = integers
        self._kept = Kept[Prepared](_CACHE_BYTES, lambda p: p.pixels.nbytes + p.corners.nbytes)
        self._lock = threading.Lock()

    def prepared(self, index: int) -> Prepared:
        """Crop `index`, from memory if it was read before."""

        def made() -> Prepared:
            crop, name = self.crops.read(index), self.crops.name_at(index)
            self._check_type(crop.read_as or crop.pixels.dtype, name)
            self._check_scale(crop, name)
            return prepare(crop, self.patch, self.inside, name)

        return self._kept.get(index, made)

    def _check_type(self, dtype: np.dtype[Any], name: str) -> None:
        """The same grey values in 8 and in 16 bits would mean different things."""
        if dtype.kind not in "iu":
            return
        with self._lock:
            self.integers = self.integers or (str(dtype), name)
            kind, has_it = self.integers
        if np.dtype(kind).itemsize != dtype.itemsize:
            raise DataError(
                f"has pixels of {dtype}, and {has_it} of {kind}",
                "save all images, of training and later, with one bit depth",
                file=name,
            )

    def _check_scale(self, crop: Crop, name: str) -> None:
        """Floats may be grey values as they were, and are not where they were scaled to 0 ... 1."""
        pixels = crop.pixels
        if self.integers is None or pixels.dtype.kind != "f" or crop.read_as is not None:
            return
        if pixels.size and 0 <= pixels.min() < pixels.max() <= 1:
            kind, has_it = self.integers
            raise DataError(
                f"has pixels of 0 to 1, and {has_it} of {kind}",
                "give the grey values as they were, of training and later",
                file=name,
            )

    def draw(
        self,
        indices: Sequence[int] | Array,
        seed: int,
        counters: Array,
        *,
        moved: bool = True,
    ) -> Array:
        """One weak view of each image; not `moved`, the patch as it lies in the image.

        Parameters
        ----------
        indices : (N,) ints
        seed : int
        counters : (N, 2) ints
            What the patch of each depends on besides the seed and the image.

        Returns
        -------
        (N, P, S, S) float32 array

        Raises
        ------
        DataError
            As `prepare`, or the images differ in planes or in the bits of their integers.
        """
        views: list[Array] = []
        for index, (a, b) in zip(np.asarray(indices).tolist(), counters.tolist(), strict=True):
            ready = self.prepared(index)
            if views and len(ready.pixels) != len(views[0]):
                raise DataError(
                    f"has {len(ready.pixels)} planes, and others have {len(views[0])}",
                    "give all images the same planes",
                    file=self.crops.name_at(index),
                )
            rng = generator(seed, index, a, b)
            y, x = ready.corners[rng.integers(len(ready.corners))]
            reach = self.reach if moved and not ready.masked else 0
            view = _window(ready.pixels, y, x, self.patch, reach, rng)
            if not moved:
                views.append(view)
                continue
            flip_y, flip_x = rng.random(2) < self.flips
            view = view[:, ::-1] if flip_y else view
            view = view[:, :, ::-1] if flip_x else view
            if self.quarter_turns:
                view = np.rot90(view, int(rng.integers(4)), axes=(1, 2))
            views.append(view)
        return np.stack(views).astype(np.float32)
