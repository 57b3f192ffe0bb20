"""Resampling keeps positions, means and straight lines, wherever the image is cut."""

from __future__ import annotations

import numpy as np
import pytest

from unstained.errors import DataError
from unstained.images.resample import axis_weights, common_pixel_size, resample


def test_the_same_size_changes_nothing() -> None:
    weights = axis_weights(0, 9, step=1.0, length=9)
    np.testing.assert_array_equal(weights.matrix, np.eye(9, dtype=np.float32))


def test_a_straight_line_stays_one_and_in_place() -> None:
    # input pixel k has its center at k; output i of half a pixel at (i + 1/2) / 2 - 1/2
    line = np.arange(20.0)
    weights = axis_weights(4, 30, step=0.5, length=20)
    out = weights.matrix @ line[weights.start : weights.stop]
    np.testing.assert_allclose(out, (np.arange(4, 30) + 0.5) / 2 - 0.5, atol=1e-5)


def test_shrinking_averages_instead_of_picking() -> None:
    # stripes of 0 and 1: every second pixel would be all 0 or all 1
    stripes = np.tile([0.0, 1.0], 32)
    weights = axis_weights(0, 32, step=2.0, length=64)
    out = weights.matrix @ stripes[weights.start : weights.stop]
    np.testing.assert_allclose(out[1:-1], 0.5, atol=1e-6)


@pytest.mark.parametrize("step", [0.37, 0.8, 1.0, 1.9])
def test_a_part_equals_that_part_of_the_whole(step: float) -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(50, 60)).astype(np.float32)
    n = int(50 / step), int(60 / step)
    whole = [
        axis_weights(0, k, step=step, length=size) for k, size in zip(n, (50, 60), strict=True)
    ]
    full = resample(image, *whole)
    rows = axis_weights(7, 21, step=step, length=50)
    columns = axis_weights(3, 25, step=step, length=60)
    part = resample(image[rows.start : rows.stop, columns.start : columns.stop], rows, columns)
    np.testing.assert_allclose(part, full[7:21, 3:25], atol=1e-5)


def test_pixel_sizes_within_a_hundredth_are_one_and_unknown_ones_are_taken_for_it() -> None:
    assert common_pixel_size([0.65, None, 0.656]) == 0.65  # 0.656 / 0.65 = 1.0092
    assert common_pixel_size([None]) is None


def test_pixel_sizes_that_differ_by_more_are_refused() -> None:
    with pytest.raises(DataError, match=r"from 0\.65 to 0\.657 um; resample"):
        common_pixel_size([0.657, 0.65])  # 0.657 / 0.65 = 1.0108
