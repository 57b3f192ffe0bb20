"""Indexing of lazy images is that of NumPy, and reads no plane that is not asked for."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unstained.errors import DataError, InputError
from unstained.images.image import Array, Channel, Image, LazyPlanes, as_image

STACK = np.arange(2 * 3 * 4 * 5 * 6).reshape(2, 3, 4, 5, 6)


class Watched(LazyPlanes):
    """STACK, with a list of what was read."""

    def __init__(self) -> None:
        super().__init__(STACK.shape, STACK.dtype)
        self.read: list[tuple[Any, ...]] = []

    def _crop(self, t: int, c: int, z: int, y: slice, x: slice) -> Array:
        self.read.append((t, c, z, y.start, y.stop, x.start, x.stop))
        return STACK[t, c, z, y, x]


@pytest.mark.parametrize(
    "index",
    [
        0,
        (1, 2, 3),
        (slice(None), -1),
        (..., 2),
        (0, ..., slice(1, 4), slice(None, None, 2)),
        (slice(None, None, -1), 0, 0, slice(4, None, -2), slice(2, 2)),
        (0, 0, 0, 0, 0),
    ],
)
def test_a_lazy_array_is_indexed_like_numpy(index: Any) -> None:
    np.testing.assert_array_equal(Watched()[index], STACK[index])


def test_only_what_is_asked_for_is_read() -> None:
    lazy = Watched()
    _ = lazy[1, :2, 3, 1:4, 2:6:3]
    # columns 2 and 5 lie in the run 2 ... 5
    assert lazy.read == [(1, 0, 3, 1, 4, 2, 6), (1, 1, 3, 1, 4, 2, 6)]


def test_an_index_outside_raises_as_numpy_does() -> None:
    with pytest.raises(IndexError, match="index 2 on axis T of 2"):
        Watched()[2]
    with pytest.raises(IndexError, match="6 indices"):
        Watched()[0, 0, 0, 0, 0, 0]


def test_a_channel_is_found_by_name_in_any_case_and_by_position() -> None:
    image = Image(Watched(), (Channel("Phase"), Channel("DAPI"), Channel("MAP2")))
    for which in ("dapi", "1", 1):
        one = image.channel(which)
        assert one.channels == (Channel("DAPI"),)
        np.testing.assert_array_equal(one.data[:], STACK[:, 1:2])
    with pytest.raises(DataError, match="'GFP' among Phase, DAPI, MAP2; give one of these"):
        image.channel("GFP")


def test_two_channels_of_one_name_are_not_guessed_between() -> None:
    image = as_image(np.zeros((2, 4, 4)), "CYX", channels=["Cy5", "Cy5"])
    with pytest.raises(DataError, match="no single channel 'Cy5'"):
        image.channel("Cy5")
    assert image.channel(1).shape == (1, 1, 1, 4, 4)


def test_named_axes_are_put_in_order() -> None:
    image = as_image(STACK[0, :, 0], "CYX", channels=["a", "b", "c"], pixel_size_um=0.5)
    assert image.shape == (1, 3, 1, 5, 6)
    np.testing.assert_array_equal(image.plane(c=2), STACK[0, 2, 0])
    turned = as_image(STACK[0, :, 0].transpose(2, 0, 1), "XCY")
    np.testing.assert_array_equal(turned.data, image.data)


def test_planes_run_channel_by_channel() -> None:
    image = Image(Watched(), (Channel("a"), Channel("b"), Channel("c")))
    planes = image.planes(t=1, y=slice(0, 2))
    # plane number = channel * 4 + z
    assert planes.shape == (12, 2, 6)
    np.testing.assert_array_equal(planes[2 * 4 + 3], STACK[1, 2, 3, :2])


def test_axes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="axes 'YX' for an array of shape"):
        as_image(np.zeros((2, 3, 4)), "YX")
    with pytest.raises(InputError, match="five axes"):
        Image(np.zeros((3, 4)), (Channel("a"),))
    with pytest.raises(InputError, match="2 channel names for 1 channels"):
        as_image(np.zeros((3, 4)), "YX", channels=["a", "b"])


def test_an_image_shows_what_it_is_and_none_of_its_pixels() -> None:
    watched = Watched()
    image = Image(watched, (Channel("phase"), Channel("A"), Channel("B")), 0.65)
    assert repr(image) == (
        f"<Image of phase, A, B: 2 x 3 x 4 x 5 x 6 (TCZYX) {STACK.dtype}, 0.65 um per pixel>"
    )
    assert watched.read == []


def test_an_image_as_an_array_is_all_of_its_pixels() -> None:
    image = Image(Watched(), (Channel("a"), Channel("b"), Channel("c")))
    assert (np.ndim(image), np.shape(image)) == (5, STACK.shape)
    assert image.data.read == []  # type: ignore[attr-defined]
    for lazy_or_not in (image, as_image(STACK, "TCZYX")):
        np.testing.assert_array_equal(np.asarray(lazy_or_not), STACK)
    assert np.max(image) == 2 * 3 * 4 * 5 * 6 - 1
    assert np.asarray(image, np.float32).dtype == np.float32
    assert image.channel("b").data.ndim == 5  # dask.array.from_array(image.data) asks


def test_a_channel_s_position_is_a_whole_number_of_numpy_too() -> None:
    image = as_image(STACK, "TCZYX", channels=["a", "b", "c"])
    assert image.channel(np.int64(1)).channels == (Channel("b"),)
    for positions in ([3], [-1], []):
        with pytest.raises(DataError, match="of 3 asked for; give positions"):
            image.channels_at(positions)


def test_channels_keep_the_color_that_they_are_given() -> None:
    image = as_image(STACK, "TCZYX", channels=[Channel("a", "00FF00"), "b", "c"])
    assert image.channels == (Channel("a", "00FF00"), Channel("b"), Channel("c"))


@pytest.mark.parametrize(
    "array",
    ["image.tif", Path("image.tif"), np.zeros((4, 4), complex), np.zeros((4, 4), object), None],
    ids=["text", "path", "complex", "object", "none"],
)
def test_what_holds_no_numbers_is_no_image(array: Any) -> None:
    with pytest.raises(InputError, match=r"is no image; .* images.read_image"):
        as_image(array, "YX")


def test_an_array_without_pixels_is_refused() -> None:
    with pytest.raises(InputError, match=r"shape \(0, 4\) has no pixels"):
        as_image(np.zeros((0, 4)), "YX")


@pytest.mark.parametrize("size", [0, -0.5, math.nan, math.inf, 650, "0.65"])
def test_a_pixel_size_that_cannot_be_is_refused(size: Any) -> None:
    with pytest.raises(InputError, match="give micrometers, above 0 and at most 100"):
        as_image(np.zeros((4, 4)), "YX", pixel_size_um=size)
    with pytest.raises(InputError, match="frame_interval_s is nan; give seconds, above 0"):
        as_image(np.zeros((4, 4)), "YX", frame_interval_s=math.nan)
