"""Measures of the cells of one frame: totals known by hand, tiles that change nothing."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from unstained.cells.boxes import label_boxes
from unstained.cells.intensities import STATISTICS, cell_pixels, cell_statistics
from unstained.cells.measure import FrameCells, MeasureSettings, measure_frame
from unstained.cells.shape import shape_features
from unstained.errors import DataError, InputError

TOTAL, MEAN, SD = 0, 1, 2


def discs(size: int, *circles: tuple[int, float, float, float]) -> np.ndarray:
    """Labels of circles (label, y, x, radius), pixels."""
    y, x = np.mgrid[:size, :size]
    labels = np.zeros((size, size), np.int32)
    for label, cy, cx, radius in circles:
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = label
    return labels


def crowd(seed: int = 0, size: int = 180) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, a stain and nuclei of irregular cells, some of which touch each other and the edge.

    Random numbers, not ascending over the image, and not dense.
    """
    rng = np.random.default_rng(seed)
    mask = ndimage.gaussian_filter(rng.normal(size=(size, size)), 4) > 0.03
    number, n = ndimage.label(mask)
    names = np.concatenate([[0], rng.permutation(np.arange(5, 5 + 3 * n))[:n]]).astype(np.int32)
    labels = names[number]
    split = labels[:, size // 2 :]
    split[split > 0] += 1000  # cells across the middle are two that touch
    stain = rng.poisson(100 + 50 * (labels > 0) + np.arange(size) / 4).astype(np.uint16)
    nuclei, _ = ndimage.label(ndimage.gaussian_filter(rng.normal(size=(size, size)), 3) > 0.04)
    return labels, stain, nuclei.astype(np.int32)


def test_the_background_is_taken_from_every_pixel_of_a_total() -> None:
    # 4 x 5 pixels of 130 over a background of 100: 20 x 30 = 600; the camera's value does not count
    labels = np.zeros((40, 40), np.int32)
    labels[10:14, 20:25] = 7
    stain = np.where(labels > 0, 130, 100).astype(np.uint16)
    cells = measure_frame(labels, {"CD105": stain}, 0.5)
    assert cells.label.tolist() == [7]
    assert cells.background.tolist() == [[100.0]]
    assert cells.values[0, 0, [TOTAL, MEAN, SD]].tolist() == [600.0, 30.0, 0.0]


@pytest.mark.parametrize("level", [100, 100.0, np.float32(100), "100"])
def test_the_background_may_be_a_number_or_its_text(level: Any) -> None:
    settings = MeasureSettings(level)
    assert (type(settings.background), settings.level) == (str, 100.0)
    with pytest.raises(InputError, match="background"):
        MeasureSettings(True)  # type: ignore[arg-type]


def test_light_that_spills_out_of_a_cell_is_not_background() -> None:
    # spill of 90 over the 3 um (6 px) around the cell; the rest of the field has 10
    labels = discs(100, (1, 50, 50, 12))
    stain = np.where(discs(100, (1, 50, 50, 17)) > 0, 90.0, 10.0)
    cells = measure_frame(labels, {"a": stain}, 0.5)
    assert cells.background.tolist() == [[10.0]]
    assert cells.values[0, 0, TOTAL] == pytest.approx(80.0 * (labels > 0).sum())
    near = measure_frame(labels, {"a": stain}, 0.5, MeasureSettings("ring", gap_um=0, ring_um=2))
    assert near.background.tolist() == [[90.0]]


def test_a_ring_follows_a_background_that_differs_from_place_to_place() -> None:
    # 10 on the left, 30 on the right, both cells 5 above their surroundings
    labels = discs(120, (3, 60, 30, 10), (8, 60, 90, 10))
    ground = np.where(np.arange(120) < 60, 10.0, 30.0)[None].repeat(120, axis=0)
    stain = ground + 5.0 * (labels > 0)
    ring = measure_frame(labels, {"a": stain}, 1.0, MeasureSettings("ring"))
    assert ring.background[:, 0].tolist() == [10.0, 30.0]
    assert ring.values[:, 0, MEAN].tolist() == [5.0, 5.0]
    outside = measure_frame(labels, {"a": stain}, 1.0)
    assert np.ptp(outside.values[:, 0, MEAN]) == 20.0


def test_a_cell_without_a_ring_takes_the_level_outside() -> None:
    # cell 2 lies within cell 1, which fills its surroundings
    labels = discs(120, (1, 60, 60, 30))
    labels[55:65, 55:65] = 2
    stain = np.where(labels > 0, 50.0, 20.0)
    cells = measure_frame(labels, {"a": stain}, 1.0, MeasureSettings("ring", ring_um=5))
    assert cells.background[:, 0].tolist() == [20.0, 20.0]


def test_a_given_grey_value_is_subtracted_and_none_leaves_the_sum() -> None:
    labels = np.zeros((20, 20), np.int32)
    labels[5:10, 5:10] = 1  # 25 pixels of 8
    stain = np.where(labels > 0, 8.0, 3.0)
    given = measure_frame(labels, {"a": stain}, 1.0, MeasureSettings("2.5"))
    assert given.values[0, 0, TOTAL] == 25 * 5.5
    bare = measure_frame(labels, {"a": stain}, 1.0, MeasureSettings("none"))
    assert bare.values[0, 0, TOTAL] == 25 * 8


def test_a_confluent_field_shows_no_background_and_gives_no_total() -> None:
    labels = np.ones((50, 50), np.int32)
    labels[25:] = 2
    cells = measure_frame(labels, {"a": np.full((50, 50), 9.0)}, 1.0)
    assert np.isnan(cells.background).all()
    assert np.isnan(cells.values).all()
    filled = cells.with_background(np.array([4.0]))
    assert filled.values[:, 0, TOTAL].tolist() == [5.0 * 1250] * 2


def test_statistics_are_those_of_numpy_within_each_outline() -> None:
    labels, stain, _ = crowd()
    cells = measure_frame(labels, {"a": stain}, 1.0, MeasureSettings("none"))
    assert cells.label.size > 20
    for label, found in zip(cells.label, cells.raw[:, 0], strict=True):
        inside = stain[labels == label].astype(float)
        expected = [inside.sum(), inside.mean(), inside.std()]
        expected += np.percentile(inside, [5, 25, 50, 75, 95]).tolist()
        assert found == pytest.approx(expected, rel=1e-12)


def test_sixteen_bit_stains_do_not_wrap() -> None:
    labels = np.zeros((300, 300), np.int32)
    labels[10:290, 10:290] = 1  # 78,400 pixels of 65,535: far above 2^32
    stain = np.where(labels > 0, 65535, 0).astype(np.uint16)
    cells = measure_frame(labels, {"a": stain}, 1.0)
    assert cells.values[0, 0, TOTAL] == 78_400 * 65_535


def test_a_cell_with_a_pixel_that_is_no_number_has_no_values() -> None:
    labels = discs(60, (1, 15, 15, 8), (2, 45, 45, 8))
    stain = np.ones((60, 60))
    stain[15, 15] = np.nan
    cells = measure_frame(labels, {"a": stain}, 1.0)
    assert np.isnan(cells.values[0]).all()
    assert np.isfinite(cells.values[1]).all()


def test_place_border_and_neighbors() -> None:
    # centers (10, 10), (10, 40), (90, 95) px of 2 um: 60 um between the first two
    labels = discs(100, (1, 10, 10, 6), (2, 10, 40, 6), (4, 90, 95, 6))
    settings = MeasureSettings(neighbor_um=60.0)
    cells = measure_frame(labels, {}, 2.0, settings)
    assert cells.y_um[:2].tolist() == [20.0, 20.0]
    assert cells.x_um[:2].tolist() == [20.0, 80.0]
    assert cells.border.tolist() == [False, False, True]
    assert cells.neighbors.tolist() == [1, 1, 0]
    farther = measure_frame(labels, {}, 2.0, MeasureSettings(neighbor_um=59.9))
    assert farther.neighbors.tolist() == [0, 0, 0]


def test_label_free_channels_stand_behind_the_markers() -> None:
    labels = discs(60, (1, 30, 30, 10))
    phase = np.where(labels > 0, 5.0, 2.0)
    cells = measure_frame(labels, {"CD29": phase * 2}, 1.0, image={"phase": phase})
    assert cells.names == ("CD29", "phase")
    assert cells.values[0, :, MEAN].tolist() == [6.0, 3.0]


@pytest.mark.parametrize("background", ["outside", "ring", "none"])
def test_tiles_change_nothing(background: str) -> None:
    labels, stain, nuclei = crowd()

    def measured(tile_px: int) -> FrameCells:
        settings = MeasureSettings(background, gap_um=1, ring_um=3, tile_px=tile_px)
        return measure_frame(labels, {"a": stain}, 0.5, settings, nuclei=nuclei)

    whole, tiled = measured(1000), measured(37)
    assert len(whole.label) > 20
    for name in ("label", "y_um", "x_um", "border", "neighbors", "pixels"):
        np.testing.assert_array_equal(getattr(tiled, name), getattr(whole, name))
    np.testing.assert_array_equal(tiled.values, whole.values)
    pd.testing.assert_frame_equal(tiled.shape, whole.shape)


def test_shape_is_that_of_the_whole_image_nuclei_too() -> None:
    labels, _, nuclei = crowd(3)
    cells = measure_frame(labels, {}, 0.5, MeasureSettings(tile_px=50), nuclei=nuclei)
    expected = shape_features(labels, 0.5, nuclei)
    assert expected["nucleus_area_um2"].notna().sum() > 5
    pd.testing.assert_frame_equal(cells.shape, expected)


def test_boxes_are_those_of_scipy() -> None:
    labels, _, _ = crowd(1)
    label, box = label_boxes(labels, 41)
    expected = [
        (i, s[0].start, s[1].start, s[0].stop, s[1].stop)
        for i, s in enumerate(ndimage.find_objects(labels), 1)
        if s is not None
    ]
    assert np.column_stack([label, box]).tolist() == [list(row) for row in expected]


def test_a_label_that_is_nowhere_has_no_statistics() -> None:
    labels = np.array([[1, 1, 0], [3, 3, 3]])
    pixels = cell_pixels(labels, np.array([1, 2, 3]))
    assert pixels.size.tolist() == [2, 0, 3]
    found = cell_statistics(np.array([[4.0, 6.0, 99.0], [1.0, 1.0, 1.0]]), pixels)
    assert found[:, TOTAL].tolist()[::2] == [10.0, 3.0]
    assert np.isnan(found[1]).all()


class Mosaic:
    """A large image that is made where it is indexed: a disc of radius 40 px every 100 px."""

    def __init__(self, size: int, what: str) -> None:
        self.shape = (size, size)
        self.dtype = np.dtype(np.int32 if what == "labels" else np.uint16)
        self._what = what

    def __getitem__(self, index: tuple[slice, slice]) -> np.ndarray:
        y = np.arange(*index[0].indices(self.shape[0]))[:, None]
        x = np.arange(*index[1].indices(self.shape[1]))[None]
        inside = (y % 100 - 50) ** 2 + (x % 100 - 50) ** 2 <= 1600
        if self._what == "stain":
            return np.where(inside, 130, 100).astype(np.uint16)
        number = 1 + y // 100 * (self.shape[1] // 100) + x // 100
        return np.where(inside, number, 0).astype(np.int32)


def test_memory_is_that_of_a_tile_not_of_the_mosaic() -> None:
    # 3,000 px in int32 alone are 36 MB
    labels, stain = Mosaic(3000, "labels"), Mosaic(3000, "stain")
    settings = MeasureSettings(tile_px=300)
    measure_frame(Mosaic(300, "labels"), {"a": Mosaic(300, "stain")}, 1.0, settings)  # imports
    tracemalloc.start()
    try:
        cells = measure_frame(labels, {"a": stain}, 1.0, settings)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20e6
    assert len(cells.label) == 900
    n = int((Mosaic(100, "labels")[:, :] > 0).sum())
    assert cells.values[:, 0, TOTAL].tolist() == [30.0 * n] * 900


@pytest.mark.parametrize(
    ("labels", "stain", "says"),
    [
        (np.zeros((9, 9), int), np.zeros((9, 8)), "a has shape"),
        (np.zeros((9, 9)), np.zeros((9, 9)), "labels are float64"),
        (np.full((9, 9), -1), np.zeros((9, 9)), "a label is -1"),
    ],
)
def test_labels_and_stains_that_do_not_fit_are_refused(
    labels: np.ndarray, stain: np.ndarray, says: str
) -> None:
    with pytest.raises(DataError, match=says):
        measure_frame(labels, {"a": stain}, 1.0)


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="background 'somewhere'"):
        MeasureSettings("somewhere")
    with pytest.raises(InputError, match="neighbor_um"):
        MeasureSettings(neighbor_um=-1)
    with pytest.raises(InputError, match="pixel size 0"):
        measure_frame(np.zeros((9, 9), int), {}, 0)
    with pytest.raises(InputError, match="name of a marker"):
        measure_frame(np.zeros((9, 9), int), {"a": np.zeros((9, 9))}, 1, image={"a": np.ones(9)})


@pytest.mark.parametrize("background", ["outside", "none"])
def test_a_field_without_cells_gives_no_rows(background: str) -> None:
    cells = measure_frame(
        np.zeros((70, 70), int), {"a": np.ones((70, 70))}, 1.0, MeasureSettings(background)
    )
    assert cells.label.size == 0
    assert cells.values.shape == (0, 1, len(STATISTICS))
    assert len(cells.shape) == 0
