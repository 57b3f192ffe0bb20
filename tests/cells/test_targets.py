"""Maps that are learned, and how labels are made of them again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage import measure, morphology

from unstained.cells.partition import PartitionSettings, partition, prominent_peaks
from unstained.cells.targets import BORDER, HEIGHT, INTERIOR, NUCLEI, maps_of_outputs, target_maps
from unstained.errors import InputError

CUTS = PartitionSettings(interior=0.5, prominence=0.1, smooth_px=0.0, min_area_px=1)


def discs(*circles: tuple[float, float, float], shape: tuple[int, int] = (64, 64)) -> np.ndarray:
    """Labels of discs (y, x, radius); a later one lies over an earlier."""
    y, x = np.indices(shape)
    labels = np.zeros(shape, np.int32)
    for number, (cy, cx, radius) in enumerate(circles, start=1):
        labels[np.hypot(y - cy, x - cx) <= radius] = number
    return labels


def test_height_counts_pixels_from_the_border_in_shares_of_the_middle() -> None:
    labels = np.zeros((9, 9), np.int32)
    labels[2:7, 2:7] = 4
    # rings 1, 2, 3 pixels from the outside, divided by the 3 of the middle
    assert target_maps(labels)[HEIGHT][4].tolist() == pytest.approx(
        [0, 0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3, 0, 0]
    )


def test_touching_cells_have_a_valley_and_a_border_between_them() -> None:
    labels = np.zeros((11, 22), np.int32)
    labels[:, 1:11], labels[:, 11:21] = 1, 2
    maps = target_maps(labels)
    # columns 10 and 11 are each 1 px from the other cell; the middle is 5 px deep
    assert maps[HEIGHT][5, 9:13].tolist() == pytest.approx([2 / 5, 1 / 5, 1 / 5, 2 / 5])
    assert np.flatnonzero(maps[BORDER][5]).tolist() == [8, 9, 10, 11, 12, 13]
    assert maps[INTERIOR].sum() == 11 * 20


def test_a_cell_is_as_high_at_the_edge_of_the_image_as_far_from_its_border() -> None:
    labels = np.zeros((5, 8), np.int32)
    labels[:, :4] = 1
    assert target_maps(labels)[HEIGHT][2, :5].tolist() == [1, 0.75, 0.5, 0.25, 0]


def test_all_cells_reach_one_whatever_their_size_and_their_numbers() -> None:
    labels = discs((16, 16, 12), (48, 48, 3)) * 1000
    height = target_maps(labels)[HEIGHT]
    assert height[labels == 1000].max() == height[labels == 2000].max() == 1


def test_unknown_nuclei_stay_unknown() -> None:
    labels = discs((32, 32, 12))
    maps = target_maps(labels, np.full(labels.shape, np.nan, np.float32))
    assert len(maps) == 4
    assert np.isnan(maps[NUCLEI]).all()
    assert np.isfinite(np.delete(maps, NUCLEI, axis=0)).all()


def test_outputs_become_probabilities_and_a_height_of_0_to_1() -> None:
    outputs = np.array([0.0, 1.5, 0.0], np.float32).reshape(3, 1, 1)
    assert maps_of_outputs(outputs).ravel().tolist() == [0.5, 1.0, 0.5]


def test_labels_come_back_from_their_own_maps() -> None:
    labels = discs((20, 18, 11), (24, 40, 13), (50, 30, 9))
    maps = target_maps(labels)
    again = partition(maps[INTERIOR], maps[HEIGHT], CUTS)
    assert again.max() == 3
    for cell in (1, 2, 3):
        inside = labels == cell
        found = again == np.bincount(again[inside]).argmax()
        assert (inside & found).sum() / (inside | found).sum() > 0.97


def test_peaks_are_the_maxima_that_scikit_image_finds() -> None:
    rng = np.random.default_rng(0)
    height = ndimage.gaussian_filter(rng.random((90, 110)), 3)
    height = ((height - height.min()) / np.ptp(height)).astype(np.float32)
    cross = ndimage.generate_binary_structure(2, 1)
    maxima = measure.label(  # type: ignore[no-untyped-call]
        morphology.h_maxima(height.astype(np.float64), 0.2, footprint=cross),  # type: ignore[no-untyped-call]
        connectivity=1,
    )
    peaks = prominent_peaks(height, np.ones(height.shape, bool), 0.2)
    assert peaks.max() == maxima.max() > 5
    assert sorted(maxima[peaks > 0]) == list(range(1, maxima.max() + 1))


def test_a_dent_less_deep_than_the_prominence_does_not_cut() -> None:
    height = np.array([[0.5, 1.0, 0.75, 0.875, 0.5]], np.float32)
    mask = np.ones(height.shape, bool)
    # the second peak stands 0.875 - 0.75 = 0.125 above the way to the first
    assert np.flatnonzero(prominent_peaks(height, mask, 0.13)).tolist() == [1]
    assert np.flatnonzero(prominent_peaks(height, mask, 0.125)).tolist() == [1, 3]


def test_each_patch_of_interior_has_a_peak_and_a_flat_one_just_one() -> None:
    mask = np.zeros((5, 9), bool)
    mask[1:4, 1:4] = mask[1:4, 5:8] = True
    peaks = prominent_peaks(np.zeros(mask.shape, np.float32), mask, 0.1)
    assert np.argwhere(peaks).tolist() == [[1, 1], [1, 5]]


def test_holes_are_filled_and_specks_removed() -> None:
    interior = np.zeros((12, 12), np.float32)
    interior[1:8, 1:8] = 1
    interior[4, 4] = 0
    interior[10, 10] = 1
    labels = partition(interior, interior, CUTS._replace(min_area_px=2))
    assert labels.max() == 1
    assert (labels == 1).sum() == 49


def test_an_image_without_interior_has_no_cells() -> None:
    nothing = np.zeros((8, 8), np.float32)
    assert not partition(nothing, nothing, CUTS).any()


def test_maps_of_two_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="two maps of one"):
        partition(np.zeros((8, 8), np.float32), np.zeros((8, 9), np.float32), CUTS)
