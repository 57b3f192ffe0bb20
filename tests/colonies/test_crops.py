"""Crops and the patches drawn from inside their masks."""

from __future__ import annotations

import numpy as np
import pytest

from unstained.colonies import crops as crops_module
from unstained.colonies.crops import ArrayCrops, Crop, Crops, Patches, Prepared, prepare
from unstained.errors import DataError, InputError

PATCH, INSIDE = 32, 0.25


def blob(shape: tuple[int, int], center: tuple[int, int], radius: float) -> np.ndarray:
    y, x = np.indices(shape)
    return (y - center[0]) ** 2 + (x - center[1]) ** 2 <= radius**2


def drawn_from(mask: np.ndarray, patch: int = PATCH, inside: float = INSIDE) -> Prepared:
    """A crop whose pixels say where they are: y and x, which stay so when it is enlarged."""
    return prepare(Crop(np.indices(mask.shape).astype(np.float32), mask), patch, inside)


def fractions(ready: Prepared, mask: np.ndarray, patch: int = PATCH) -> np.ndarray:
    """Share of the mask in each patch that may be drawn."""
    y, x = np.rint(ready.pixels).astype(int)
    inside = mask[y, x]
    return np.array([inside[y : y + patch, x : x + patch].mean() for y, x in ready.corners])


@pytest.mark.parametrize(
    "mask",
    [
        blob((200, 200), (100, 100), 10),  # 314 px, 256 wanted
        blob((200, 200), (5, 190), 9),  # in a corner, patches are moved inside
        blob((200, 200), (100, 100), 4),  # 49 px: enlarged
        blob((64, 900), (32, 850), 12),  # off the center of a long crop
        blob((20, 26), (10, 13), 8),  # the crop is smaller than the patch
        blob((1500, 1500), (700, 200), 150),  # more than 4096 centers
    ],
    ids=["small", "corner", "tiny", "off center", "small crop", "large"],
)
def test_every_patch_of_a_blob_meets_the_fraction(mask: np.ndarray) -> None:
    found = fractions(drawn_from(mask), mask)
    assert found.min() >= INSIDE


@pytest.mark.parametrize("line", [np.s_[60, :], np.s_[:, 60], np.s_[60, 60]])
def test_a_thin_or_tiny_mask_is_enlarged_until_it_fills_enough(line: tuple[object, ...]) -> None:
    mask = np.zeros((1200, 1200), bool)
    mask[line] = True
    ready = drawn_from(mask)
    assert fractions(ready, mask).min() >= INSIDE
    # the line alone is enlarged, not the whole image
    assert ready.pixels.size < 2 * 50_000 * PATCH


def test_a_mask_of_which_patches_must_lie_wholly_inside() -> None:
    mask = np.eye(40, dtype=bool)
    found = fractions(drawn_from(mask, patch=16, inside=1.0), mask, 16)
    assert found.min() == 1


def test_a_shift_moves_no_patch_out_of_its_mask() -> None:
    mask = blob((200, 200), (100, 100), 10)
    patches = Patches(ArrayCrops([mask], [mask]), PATCH, INSIDE, shift=0.3)
    drawn = patches.draw(np.zeros(300, int), 0, np.column_stack([np.arange(300)] * 2))
    assert drawn.mean(axis=(1, 2, 3)).min() >= INSIDE


def test_without_a_mask_a_patch_is_moved_by_its_shift_at_most() -> None:
    image = np.arange(32, dtype=np.float32) + np.zeros((32, 1), np.float32)
    patches = Patches(ArrayCrops([image]), PATCH, INSIDE, shift=0.1)
    drawn = patches.draw(np.zeros(300, int), 0, np.column_stack([np.arange(300)] * 2))
    # column 16 moves by up to 3 px, a tenth of 32
    assert sorted(set(drawn[:, 0, 0, 16].tolist())) == [13, 14, 15, 16, 17, 18, 19]


def test_centers_of_a_large_square_mask_are_spread_over_rows_and_columns() -> None:
    mask = np.zeros((1200, 1200), bool)
    mask[100:1124, 100:1124] = True  # 1024 wide: every 256th pixel lies in four columns
    y, x = drawn_from(mask).corners.T
    assert y.size <= 4096
    for at in (y, x):
        count, _ = np.histogram(at, bins=8)
        assert count == pytest.approx(np.full(8, y.size / 8), rel=0.25)


def test_patches_of_an_image_without_a_mask_lie_anywhere_inside() -> None:
    image = np.zeros((1, 40, 50))
    y, x = prepare(Crop(image, None), PATCH, INSIDE).corners.T
    assert (y.min(), y.max(), x.min(), x.max()) == (0, 40 - PATCH, 0, 50 - PATCH)


def test_a_crop_smaller_than_the_patch_is_enlarged_with_its_shape() -> None:
    ready = prepare(Crop(np.zeros((2, 16, 24), np.uint16), None), PATCH, INSIDE)
    assert ready.pixels.shape == (2, 32, 48)  # 16 to 32 is twice
    assert ready.pixels.dtype == np.uint16


def test_a_crop_that_is_large_enough_keeps_its_pixels() -> None:
    image = np.random.default_rng(0).integers(0, 60000, (1, 40, 40)).astype(np.uint16)
    patches = Patches(ArrayCrops(list(image), [np.ones((40, 40), bool)]), 40, INSIDE)
    assert np.array_equal(patches.draw([0], 0, np.zeros((1, 2), int))[0], image)


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        (Crop(np.zeros((1, 40, 40)), np.zeros((40, 40), bool)), "colony 7: the mask is empty"),
        (Crop(np.zeros((1, 40, 40)), np.ones((40, 41), bool)), r"colony 7: .*\(40, 41\)"),
        (Crop(np.zeros((1, 0, 40)), None), r"colony 7: has shape \(1, 0, 40\)"),
        (Crop(np.full((1, 40, 40), np.nan), None), "colony 7: has pixels that are NaN"),
    ],
)
def test_what_cannot_be_cut_is_refused_by_name(crop: Crop, message: str) -> None:
    with pytest.raises(DataError, match=message):
        prepare(crop, PATCH, INSIDE, "colony 7")


# drawing -------------------------------------------------------------------------------------


def noise(n: int = 3, side: int = 60) -> list[np.ndarray]:
    return list(np.random.default_rng(1).normal(size=(n, side, side)).astype(np.float32))


def counters(n: int, a: int = 0, b: int = 0) -> np.ndarray:
    return np.tile([a, b], (n, 1))


def weak() -> Patches:
    return Patches(ArrayCrops(noise()), PATCH, INSIDE, flips=0.5, quarter_turns=True)


def test_equal_counters_draw_equal_patches_whatever_was_drawn_before() -> None:
    first, second = weak(), weak()
    second.draw([2, 0, 1], 5, counters(3, 9))
    one = first.draw([0, 1, 2], 5, counters(3, 1, 2))
    other = second.draw([2, 1, 0], 5, counters(3, 1, 2))
    assert np.array_equal(one, other[::-1])


@pytest.mark.parametrize(("seed", "a", "b"), [(6, 1, 2), (5, 2, 2), (5, 1, 3)])
def test_another_seed_or_counter_draws_another_patch(seed: int, a: int, b: int) -> None:
    one = weak().draw([0], 5, counters(1, 1, 2))
    assert not np.array_equal(one, weak().draw([0], seed, counters(1, a, b)))


def test_without_chances_a_patch_is_a_part_of_the_image() -> None:
    image = np.arange(60 * 60, dtype=np.float32).reshape(60, 60)
    patches = Patches(ArrayCrops([image]), PATCH, INSIDE)
    for step in range(20):
        (patch,) = patches.draw([0], 0, counters(1, step))[0]
        y, x = divmod(int(patch[0, 0]), 60)
        assert np.array_equal(patch, image[y : y + PATCH, x : x + PATCH])


def test_flips_and_turns_come_as_often_as_they_should() -> None:
    image = np.arange(16, dtype=np.float32).reshape(4, 4)
    patches = Patches(ArrayCrops([image]), 4, INSIDE, flips=0.25)
    drawn = patches.draw(np.zeros(4000, int), 0, np.column_stack([np.arange(4000)] * 2))[:, 0]
    flipped_y = drawn[:, 0].min(axis=1) == 12  # the last row came first
    flipped_x = drawn[:, 0, 0] % 4 == 3
    # 4 standard deviations of sqrt(0.25 * 0.75 / 4000) = 0.007
    assert [flipped_y.mean(), flipped_x.mean()] == pytest.approx([0.25, 0.25], abs=0.028)
    assert (flipped_y & flipped_x).mean() == pytest.approx(0.0625, abs=0.016)


def test_images_of_other_planes_are_refused_by_name() -> None:
    class Mixed(ArrayCrops):
        def __init__(self) -> None:
            super().__init__(noise())

        def read(self, index: int) -> Crop:
            return Crop(np.zeros((1 + index, 60, 60)), None)

    with pytest.raises(DataError, match="image 1: has 2 planes, and others have 1"):
        Patches(Mixed(), PATCH, INSIDE).draw([0, 1], 0, counters(2))


# crops in memory and the cache ---------------------------------------------------------------


class Counted(ArrayCrops):
    """Counts how often each image is read."""

    def __init__(self, images: list[np.ndarray]) -> None:
        super().__init__(images)
        self.reads: list[int] = []

    def read(self, index: int) -> Crop:
        self.reads.append(index)
        return super().read(index)


def test_an_image_is_read_once() -> None:
    crops = Counted(noise())
    patches = Patches(crops, PATCH, INSIDE)
    for step in range(3):
        patches.draw([0, 1, 2], 0, counters(3, step))
    assert crops.reads == [0, 1, 2]


def test_what_is_kept_is_bounded_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Patches(Counted(noise()), PATCH, INSIDE).prepared(0)
    monkeypatch.setattr(crops_module, "_CACHE_BYTES", 2 * (one.pixels.nbytes + one.corners.nbytes))
    crops = Counted(noise())
    patches = Patches(crops, PATCH, INSIDE)
    for index in (0, 1, 2, 1, 2, 0):  # 0 goes when 2 comes
        patches.prepared(index)
    assert crops.reads == [0, 1, 2, 0]


def test_planes_masks_and_names_of_crops_in_memory() -> None:
    crops = ArrayCrops([np.zeros((4, 5)), np.zeros((1, 6, 7))], [None, np.ones((6, 7))])
    assert isinstance(crops, Crops)
    assert len(crops) == 2
    assert crops.read(0).pixels.shape == (1, 4, 5)
    assert crops.read(0).mask is None
    mask = crops.read(1).mask
    assert mask is not None
    assert mask.dtype == bool
    assert crops.name_at(1) == "image 1"


def test_images_that_differ_in_planes_are_refused() -> None:
    with pytest.raises(InputError, match="1 and 2 planes"):
        ArrayCrops([np.zeros((4, 5)), np.zeros((2, 4, 5))])


def test_masks_must_be_as_many_as_images() -> None:
    with pytest.raises(InputError, match="1 masks for 2 images"):
        ArrayCrops([np.zeros((4, 5))] * 2, [None])


def test_an_image_of_four_axes_is_refused() -> None:
    with pytest.raises(InputError, match="image 0 has shape"):
        ArrayCrops([np.zeros((1, 2, 4, 5))]).read(0)


def test_a_view_that_is_not_moved_is_the_patch_as_it_lies() -> None:
    image = np.arange(144, dtype=np.float32).reshape(12, 12)
    patches = Patches(ArrayCrops([image]), 12, 0.25, flips=1.0, quarter_turns=True, shift=0.25)
    counters = np.array([[0, 0]])
    assert np.array_equal(patches.draw([0], 0, counters, moved=False)[0, 0], image)
    assert not np.array_equal(patches.draw([0], 0, counters)[0, 0], image)
