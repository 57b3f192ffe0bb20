"""The classical baseline: cells on a quiet ground, parted at necks, none where nothing is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from skimage.filters import threshold_otsu

from unstained.cells.classical import (
    ClassicalSettings,
    measure_ground,
    otsu,
    segment_classical,
)
from unstained.cells.matching import average_precision, pool_scores, score_labels
from unstained.cells.segmenting import classical_segmenter
from unstained.errors import DataError, InputError
from unstained.images import as_image, read_image, read_labels

LOOSE = ClassicalSettings(threshold_scale=1.0, window_px=3, min_area_px2=150)


def rough_disks(*disks: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Image and labels: disks (y, x, radius) of strong grain on weak noise."""
    rng = np.random.default_rng(0)
    yy, xx = np.mgrid[:160, :200]
    labels = np.zeros(yy.shape, int)
    for number, (y, x, radius) in enumerate(disks, 1):
        labels[(yy - y) ** 2 + (xx - x) ** 2 <= radius**2] = number
    return np.where(labels > 0, 20, 1) * rng.standard_normal(yy.shape) + 1000, labels


def test_rough_disks_on_a_quiet_ground_are_found() -> None:
    image, truth = rough_disks((40, 50, 22), (110, 140, 25))
    found = segment_classical(image, LOOSE)
    assert average_precision(truth, found, [0.75]).tolist() == [1.0]


def test_two_disks_that_touch_part_at_their_neck() -> None:
    image, truth = rough_disks((80, 60, 26), (80, 106, 26))
    assert ndimage.label(truth)[1] == 1
    found = segment_classical(image, LOOSE)
    assert average_precision(truth, found, [0.6]).tolist() == [1.0]


def test_brightness_and_contrast_do_not_matter() -> None:
    image, _ = rough_disks((40, 50, 22), (110, 140, 25))
    assert np.array_equal(
        segment_classical(image, LOOSE), segment_classical(image * 0.01 + 7, LOOSE)
    )


def test_a_constant_image_has_no_cell() -> None:
    assert not segment_classical(np.full((30, 40), 7, np.uint16)).any()


def test_small_objects_are_left_out_and_numbers_have_no_gap() -> None:
    image, _ = rough_disks((40, 50, 22), (110, 140, 8))
    found = segment_classical(image, replace(LOOSE, min_area_px2=900))
    # pi 8^2 = 201 px of the small one, pi 22^2 = 1521 px of the large one
    assert np.unique(found).tolist() == [0, 1]
    assert found[40, 50] == 1


def test_otsu_is_that_of_scikit_image() -> None:
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(0, 1, 4000), rng.normal(6, 1.5, 1500)])
    assert otsu(values) == pytest.approx(threshold_otsu(values))


def test_a_part_is_segmented_by_the_ground_of_the_whole() -> None:
    image, _ = rough_disks((40, 50, 22), (110, 140, 25))
    ground = measure_ground(image, LOOSE)
    whole = segment_classical(image, LOOSE)
    part = segment_classical(image[:78], LOOSE, ground)
    # the disk in the upper part is the same; its window reaches 4 x 3 px down at most
    assert np.array_equal(part > 0, whole[:78] > 0)


def test_the_threshold_of_a_large_image_is_found_in_blocks_spread_over_it() -> None:
    # 2 x 2048 columns: one block of 256 in 2; grain of 1 and of 20 in equal shares
    rng = np.random.default_rng(0)
    rows = np.arange(200)[:, None]
    image = np.where(rows < 100, 1, 20) * rng.standard_normal((200, 4096)) + 500
    read = []

    class Watched:
        shape, dtype = image.shape, image.dtype

        def __getitem__(self, at: tuple[slice, slice]) -> np.ndarray:
            read.append(image[at])
            return image[at]

    blocks = measure_ground(Watched(), LOOSE)
    whole = measure_ground(image[:, :2048], LOOSE)
    assert sum(part.size for part in read) == 200 * 2048
    assert len(read) == 8
    # log 1 = 0 and log 20 = 3, in units of the image's standard deviation of 14.2, that is
    # -2.65 and 0.35: the threshold lies between them, wherever half of the image is read
    assert -2.65 < blocks.threshold < 0.35
    assert blocks.threshold == pytest.approx(whole.threshold, abs=0.1)


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"closing_um": "1.3"}, "closing_px", 3),  # 1.3 / 0.5 = 2.6
        ({"hole_um2": 100}, "hole_px2", 400),  # 100 / 0.25
        ({"window_um": 0.6}, "window_px", 1.2),
        ({"closing_px": "5"}, "closing_px", 5),
    ],
)
def test_micrometers_become_pixels_of_the_image(changes, name, value) -> None:
    settings = ClassicalSettings().changed(changes, pixel_size_um=0.5)
    assert settings == replace(ClassicalSettings(), **{name: value})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"closing_um": 1}, "pixel size of the image is not known"),
        ({"threshold_um": 1}, "'threshold_um' is not known"),
        ({"closing_px": "wide"}, "closing_px is 'wide'"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, said) -> None:
    with pytest.raises(InputError, match=said):
        ClassicalSettings().changed(changes)
    with pytest.raises(InputError, match="give it once"):
        ClassicalSettings().changed({"closing_px": 1, "closing_um": 1}, 0.5)


def test_lengths_below_a_micrometer_are_judged_in_the_pixels_of_the_image() -> None:
    segmenter = classical_segmenter({"seed_distance_um": "0.4"})
    blank = np.zeros((8, 8))
    assert not np.any(segmenter.begin(blank, 0.1)(blank))  # 4 px
    with pytest.raises(InputError, match="seed_distance_px is 0"):
        segmenter.begin(blank, 1.0)


def test_what_is_no_plane_is_refused() -> None:
    with pytest.raises(InputError, match="one \\(Y, X\\) plane"):
        segment_classical(np.zeros((2, 3, 4)))
    with pytest.raises(InputError, match="one \\(Y, X\\) plane"):
        segment_classical(as_image(np.zeros((3, 4)), "YX"))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="not finite"):
        segment_classical(np.array([[0.0, np.nan]]))
    with pytest.raises(InputError, match="above 0"):
        ClassicalSettings(window_px=0)


def test_on_real_cells_the_baseline_is_what_the_docs_say(
    data_set: Callable[[str], Path],
) -> None:
    # 0.33 over all 14 sets; two of them here
    train = data_set("usiigaci") / "train"
    scores = []
    for name in ("set03", "set22"):
        found = segment_classical(read_image(train / name / "raw.tif").plane())
        scores.append(score_labels(read_labels(train / name / "instances.png"), found))
    assert pool_scores(scores).at[0].average_precision.estimate > 0.38
