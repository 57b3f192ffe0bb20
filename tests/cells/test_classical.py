"""The classical baseline: cells on a quiet ground, parted at necks, none where nothing is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from skimage.filters import threshold_otsu

from unstained.cells.classical import ClassicalSettings, otsu, segment_classical
from unstained.cells.matching import average_precision, pool_scores, score_labels
from unstained.errors import InputError
from unstained.images import read_image, read_labels

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


def test_what_is_no_plane_is_refused() -> None:
    with pytest.raises(InputError, match="one \\(Y, X\\) plane"):
        segment_classical(np.zeros((2, 3, 4)))
    with pytest.raises(InputError, match="not finite"):
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
