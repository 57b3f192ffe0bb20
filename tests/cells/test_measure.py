"""Measures of cells: totals known by hand, tiles that change nothing, folders to one table."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import typer
from scipy import ndimage
from typer.testing import CliRunner

from unstained.cell_table import OBS_COLUMNS, names_of, read_cells, traces_of, values_of
from unstained.cells.boxes import label_boxes
from unstained.cells.intensities import STATISTICS, cell_pixels, cell_statistics
from unstained.cells.measure import FrameCells, MeasureSettings, measure_frame
from unstained.cells.measure_files import FileOptions, measure_folder, measure_segmentation
from unstained.cells.segmentation_folder import create_segmentation
from unstained.cells.shape import shape_features
from unstained.cli.cells_measure import measure as measure_command
from unstained.errors import DataError, FileError, InputError
from unstained.images import (
    Channel,
    Image,
    as_image,
    read_image,
    read_labels,
    write_ome_zarr,
)
from unstained.staining.totals import label_totals

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


# one frame ---------------------------------------------------------------------------------


def test_the_background_is_taken_from_every_pixel_of_a_total() -> None:
    # 4 x 5 pixels of 130 over a background of 100: 20 x 30 = 600; the camera's value does not count
    labels = np.zeros((40, 40), np.int32)
    labels[10:14, 20:25] = 7
    stain = np.where(labels > 0, 130, 100).astype(np.uint16)
    cells = measure_frame(labels, {"CD105": stain}, 0.5)
    assert cells.label.tolist() == [7]
    assert cells.background.tolist() == [[100.0]]
    assert cells.values[0, 0, [TOTAL, MEAN, SD]].tolist() == [600.0, 30.0, 0.0]


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


# folders -----------------------------------------------------------------------------------


FRAMES = 3


def folder_with_movie(root: Path, *, interval: float | None = 120.0) -> Path:
    """Segmentation folder of a movie `film` of two cells, with its stains in ``root/stains``.

    Background 10; cell 1 is 20 above it in frame 0, 22 and 24 in the next; cell 2 always 40.
    """
    labels = np.stack([discs(64, (1, 20, 20 + t, 8), (2, 45, 45, 8)) for t in range(FRAMES)])
    above = np.array([20.0, 22.0, 24.0])[:, None, None]
    stain = (10 + above * (labels == 1) + 40 * (labels == 2)).astype(np.float32)
    movie = as_image(
        np.where(labels > 0, 7, 5).astype(np.uint16),
        "TYX",
        channels=["phase"],
        pixel_size_um=0.5,
        frame_interval_s=interval,
    )
    (root / "stains").mkdir(parents=True)
    write_ome_zarr(movie, root / "film.ome.zarr")
    predicted = as_image(stain, "TYX", channels=["CD105"], pixel_size_um=0.5)
    write_ome_zarr(predicted, root / "stains" / "film.ome.zarr")
    with create_segmentation(root / "cells", {"name": "truth"}) as writer:
        writer.add("film", movie, root / "film.ome.zarr", iter(labels))
    return root / "cells"


def folder_of_stills(root: Path, n: int = 2, size: int = 64) -> Path:
    """Segmentation folder of images ``s0 s1 ...`` with ``s0_CD44.tif ...`` in ``root/stains``."""
    (root / "stains").mkdir(parents=True)
    labels = discs(size, (1, 20, 20, 8), (2, 45, 45, 8))
    with create_segmentation(root / "cells", {"name": "truth"}) as writer:
        for i in range(n):
            phase = as_image(
                np.full((size, size), 3, np.uint8), "YX", channels=["C0"], pixel_size_um=1.0
            )
            tifffile.imwrite(root / f"s{i}.tif", phase.plane())
            stain = np.where(labels > 0, 5 + i, 2).astype(np.uint16)
            tifffile.imwrite(root / "stains" / f"s{i}_CD44.tif", stain)
            writer.add(f"s{i}", phase, root / f"s{i}.tif", [labels])
    return root / "cells"


def test_a_movie_becomes_a_table_with_times_tracks_and_totals(tmp_path: Path) -> None:
    folder = folder_with_movie(tmp_path)
    rows = [("film", t, label, label + 10) for t in range(FRAMES) for label in (1, 2)]
    pd.DataFrame(rows, columns=["image", "frame", "label", "track"]).to_csv(
        folder / "track_of.csv", index=False
    )
    pd.DataFrame(
        [("film", 11, 0, 2, 0), ("film", 12, 0, 2, 11)],
        columns=["image", "track", "begin", "end", "parent"],
    ).to_csv(folder / "tracks.csv", index=False)
    measure_folder(folder, tmp_path / "cells.h5ad", None, FileOptions(tmp_path / "stains"))
    cells = read_cells(tmp_path / "cells.h5ad")
    assert list(cells.obs.columns[: len(OBS_COLUMNS)]) == list(OBS_COLUMNS)
    assert cells.obs["time_s"].unique().tolist() == [0.0, 120.0, 240.0]
    assert cells.obs["parent"].tolist() == [0, 11] * FRAMES
    traces = traces_of(cells, "CD105", "mean")
    assert traces.track.tolist() == [11, 12]
    assert traces.values.tolist() == [[20.0, 22.0, 24.0], [40.0, 40.0, 40.0]]
    n = int((discs(64, (2, 45, 45, 8)) > 0).sum())
    assert traces_of(cells, "CD105").values[1].tolist() == [40.0 * n] * 3
    assert values_of(cells, ["CD105"], "background")[:, 0].tolist() == [10.0] * 6
    assert names_of(cells, "image") == ["phase"]
    assert values_of(cells, ["phase"], "mean")[:, 0].tolist() == [2.0] * 6
    assert values_of(cells, ["area_um2"])[1, 0] == pytest.approx(n * 0.25)
    about = cells.uns["unstained"]
    assert about["frame_interval_s"] == 120.0
    assert about["pixel_size_um"] == 0.5
    assert about["sources"]["image"].tolist() == ["film"]


def test_frames_without_a_known_interval_have_no_time_and_say_so(tmp_path: Path) -> None:
    folder = folder_with_movie(tmp_path, interval=None)
    options = FileOptions(tmp_path / "stains")
    cells, notes = measure_segmentation(folder, None, options)
    assert np.isnan(cells.obs["time_s"].to_numpy()[2:]).all()
    assert any("--frame-interval" in note for note in notes)
    given, _ = measure_segmentation(
        folder, None, FileOptions(tmp_path / "stains", frame_interval_s=60.0)
    )
    assert given.obs["time_s"].tolist() == [0.0, 0.0, 60.0, 60.0, 120.0, 120.0]


def test_stains_of_their_own_files_are_found_by_name_and_conditions_joined(tmp_path: Path) -> None:
    folder = folder_of_stills(tmp_path)
    (tmp_path / "c.csv").write_text("image,donor,passage\ns1.tif,B,3\ns0,A,5\n", "utf-8")
    options = FileOptions(tmp_path / "stains", conditions=tmp_path / "c.csv")
    cells, _ = measure_segmentation(folder, None, options)
    assert cells.obs["donor"].tolist() == ["A", "A", "B", "B"]
    assert cells.obs["passage"].tolist() == [5, 5, 3, 3]
    assert values_of(cells, ["CD44"], "mean")[:, 0].tolist() == [3.0, 3.0, 4.0, 4.0]
    assert names_of(cells, "image") == ["image"]  # a channel without a name


def test_a_longer_name_keeps_its_stains_from_a_shorter_one(tmp_path: Path) -> None:
    labels = discs(40, (1, 20, 20, 8))
    image = as_image(np.zeros((40, 40), np.uint8), "YX", pixel_size_um=1.0)
    (tmp_path / "stains").mkdir()
    with create_segmentation(tmp_path / "cells", {"name": "truth"}) as writer:
        for name, level in (("well", 3), ("well_1", 8)):
            tifffile.imwrite(tmp_path / f"{name}.tif", image.plane())
            stain = np.where(labels > 0, level, 0).astype(np.uint8)
            tifffile.imwrite(tmp_path / "stains" / f"{name}_CD44.tif", stain)
            writer.add(name, image, tmp_path / f"{name}.tif", [labels])
    cells, _ = measure_segmentation(tmp_path / "cells", None, FileOptions(tmp_path / "stains"))
    assert values_of(cells, ["CD44"], "mean")[:, 0].tolist() == [3.0, 8.0]


def test_a_marker_that_an_image_lacks_is_no_number_there(tmp_path: Path) -> None:
    folder = folder_of_stills(tmp_path)
    stain = np.full((64, 64), 6, np.uint8)
    tifffile.imwrite(tmp_path / "stains" / "s1_CD29.tif", stain)
    cells, notes = measure_segmentation(folder, None, FileOptions(tmp_path / "stains"))
    assert np.isnan(values_of(cells, ["CD29"])[:, 0]).tolist() == [True, True, False, False]
    assert any("CD29" in note for note in notes)


def test_stains_come_from_a_manifest_of_pairs(tmp_path: Path) -> None:
    folder = folder_of_stills(tmp_path)
    lines = [f"s{i}.tif,stains/s{i}_CD44.tif,CD105,g{i}" for i in range(2)]
    text = "\n".join(["phase,stain,marker,group", *lines])
    (tmp_path / "manifest.csv").write_text(text + "\n", "utf-8")
    cells, _ = measure_segmentation(folder, None, FileOptions(tmp_path / "manifest.csv"))
    assert names_of(cells, "marker") == ["CD105"]
    assert values_of(cells, ["CD105"], "mean")[:, 0].tolist() == [3.0, 3.0, 4.0, 4.0]


def test_simulated_pairs_give_the_totals_of_another_implementation(
    simulated: Path, tmp_path: Path
) -> None:
    rows = pd.read_csv(simulated)
    with create_segmentation(tmp_path / "cells", {"name": "truth"}) as writer:
        for phase, labels in rows[["phase", "labels"]].drop_duplicates().to_numpy():
            path = simulated.parent / phase
            cells_of = read_labels(simulated.parent / labels)
            writer.add(path.stem, read_image(path), path, [cells_of])
    settings = MeasureSettings(gap_um=0)  # as `label_totals`: all that is no cell is background
    cells, _ = measure_segmentation(tmp_path / "cells", settings, FileOptions(simulated))
    assert names_of(cells, "marker") == list(rows["marker"].unique())
    for row in rows.itertuples():
        stain = read_image(simulated.parent / str(row.stain)).plane()
        expected = label_totals(stain, read_labels(simulated.parent / str(row.labels)))
        own = cells[cells.obs["image"] == Path(str(row.phase)).stem]
        assert own.obs["label"].tolist() == expected.label.tolist()
        found = values_of(own, [str(row.marker)])[:, 0]
        np.testing.assert_allclose(found, expected.total, rtol=1e-6)


def test_channels_of_the_segmented_file_itself_can_be_stains(tmp_path: Path) -> None:
    labels = discs(64, (1, 20, 20, 8))
    planes = np.stack([np.full((64, 64), 3.0), np.where(labels > 0, 9.0, 2.0)])
    names = ("phase", "STRO-1")
    both = Image(planes[None, :, None], tuple(Channel(n) for n in names), pixel_size_um=1.0)
    write_ome_zarr(both, tmp_path / "one.ome.zarr")
    with create_segmentation(tmp_path / "cells", {"name": "truth"}) as writer:
        path = f"{tmp_path / 'one.ome.zarr'}#phase"
        writer.add("one", both.channel("phase"), path, [labels])
    cells, _ = measure_segmentation(tmp_path / "cells", None, FileOptions(channels=["STRO-1"]))
    assert names_of(cells, "marker", "image") == ["STRO-1", "phase"]
    assert values_of(cells, ["STRO-1"], "mean").tolist() == [[7.0]]
    with pytest.raises(DataError, match="no single channel 'CD29'"):
        measure_segmentation(tmp_path / "cells", None, FileOptions(channels=["CD29"]))


def test_a_confluent_frame_takes_the_background_of_the_others_and_says_so(tmp_path: Path) -> None:
    labels = np.stack([discs(64, (1, 30, 30, 12)), np.ones((64, 64), np.int32)])
    stain = np.stack([np.where(labels[0] > 0, 25, 10), np.full((64, 64), 14)]).astype(np.uint8)
    movie = as_image(stain, "TYX", channels=["phase"], pixel_size_um=1.0, frame_interval_s=1.0)
    (tmp_path / "stains").mkdir()
    write_ome_zarr(movie, tmp_path / "film.ome.zarr")
    named = as_image(stain, "TYX", channels=["CD44"], pixel_size_um=1.0)
    write_ome_zarr(named, tmp_path / "stains" / "film.ome.zarr")
    with create_segmentation(tmp_path / "cells", {"name": "truth"}) as writer:
        writer.add("film", movie, tmp_path / "film.ome.zarr", iter(labels))
    cells, notes = measure_segmentation(tmp_path / "cells", None, FileOptions(tmp_path / "stains"))
    assert values_of(cells, ["CD44"], "mean")[:, 0].tolist() == [15.0, 4.0]
    assert any("no background" in note for note in notes)


def test_cells_that_fill_every_frame_need_a_background_to_be_given(tmp_path: Path) -> None:
    image = as_image(np.full((64, 64), 9, np.uint8), "YX", pixel_size_um=1.0)
    tifffile.imwrite(tmp_path / "a.tif", image.plane())
    with create_segmentation(tmp_path / "cells", {"name": "truth"}) as writer:
        writer.add("a", image, tmp_path / "a.tif", [np.ones((64, 64), int)])
    with pytest.raises(DataError, match="leave no background"):
        measure_segmentation(tmp_path / "cells")
    cells, _ = measure_segmentation(tmp_path / "cells", MeasureSettings("4"))
    assert values_of(cells, ["image"]).tolist() == [[64 * 64 * 5.0]]


def test_frames_without_any_cell_are_refused(tmp_path: Path) -> None:
    image = as_image(np.zeros((64, 64), np.uint8), "YX", pixel_size_um=1.0)
    with create_segmentation(tmp_path / "cells", {"name": "truth"}) as writer:
        writer.add("a", image, None, [np.zeros((64, 64), int)])
    with pytest.raises(DataError, match="no frame has a cell"):
        measure_segmentation(tmp_path / "cells")


def test_an_unknown_pixel_size_is_refused(tmp_path: Path) -> None:
    image = as_image(np.zeros((64, 64), np.uint8), "YX")
    with create_segmentation(tmp_path / "cells", {"name": "truth"}) as writer:
        writer.add("a", image, None, [discs(64, (1, 30, 30, 9))])
    with pytest.raises(InputError, match="--pixel-size"):
        measure_segmentation(tmp_path / "cells")
    cells, _ = measure_segmentation(tmp_path / "cells", None, FileOptions(pixel_size_um=2.0))
    assert cells.n_obs == 1


def test_stains_that_are_missing_or_of_another_size_are_refused(tmp_path: Path) -> None:
    folder = folder_of_stills(tmp_path)
    (tmp_path / "stains" / "s1_CD44.tif").unlink()
    with pytest.raises(DataError, match=r"no s1\.\* with stains of image s1"):
        measure_segmentation(folder, None, FileOptions(tmp_path / "stains"))
    tifffile.imwrite(tmp_path / "stains" / "s1_CD44.tif", np.zeros((32, 64), np.uint8))
    with pytest.raises(DataError, match="32 x 64 pixels"):
        measure_segmentation(folder, None, FileOptions(tmp_path / "stains"))
    with pytest.raises(FileError, match="does not exist"):
        measure_segmentation(folder, None, FileOptions(tmp_path / "elsewhere"))


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("image,donor\ns0,A\n", "no row for image s1"),
        ("image,donor\ns0,A\ns1,B\ns1,C\n", "two rows for image s1"),
        ("name,donor\ns0,A\n", "no column image"),
        ("image,track\ns0,1\ns1,1\n", "column track"),
    ],
)
def test_conditions_that_do_not_fit_are_refused(tmp_path: Path, table: str, says: str) -> None:
    folder = folder_of_stills(tmp_path)
    (tmp_path / "c.csv").write_text(table, "utf-8")
    options = FileOptions(tmp_path / "stains", conditions=tmp_path / "c.csv")
    with pytest.raises(DataError, match=says):
        measure_segmentation(folder, None, options)


def test_tracks_of_other_cells_are_refused(tmp_path: Path) -> None:
    folder = folder_with_movie(tmp_path)
    (folder / "track_of.csv").write_text("image,frame,label,track\nother,0,1,1\n", "utf-8")
    (folder / "tracks.csv").write_text("image,track,begin,end,parent\nother,1,0,0,0\n", "utf-8")
    with pytest.raises(DataError, match="of other cells"):
        measure_segmentation(folder)


def test_the_command_writes_the_table_and_says_what_is_in_it(tmp_path: Path) -> None:
    folder = folder_with_movie(tmp_path)
    app = typer.Typer()
    app.command()(measure_command)
    out = tmp_path / "cells.h5ad"
    told = CliRunner().invoke(
        app, [str(folder), "--stains", str(tmp_path / "stains"), "--out", str(out)]
    )
    assert told.exit_code == 0, told.output
    assert "6 cells in 3 frames of 1 images" in told.output
    assert "markers: CD105" in told.output
    assert read_cells(out).n_obs == 6


def test_a_table_of_another_name_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in \.h5ad"):
        measure_folder(tmp_path / "none", tmp_path / "cells.csv")


# names --------------------------------------------------------------------------------------


def folder_of_one(root: Path, name: str, path: str) -> Path:
    """Segmentation folder of one image of 64 x 64 px with two cells, which lies at `path`."""
    labels = discs(64, (1, 20, 20, 8), (2, 45, 45, 8))
    image = as_image(np.zeros((64, 64), np.uint8), "YX", pixel_size_um=1.0)
    with create_segmentation(root / "cells", {"name": "truth"}) as writer:
        writer.add(name, image, path, [labels])
    return root / "cells"


def test_names_that_are_numbers_keep_their_zeros(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "001.tif", np.zeros((64, 64), np.uint8))
    folder = folder_of_one(tmp_path, "001", str(tmp_path / "001.tif"))
    (folder / "track_of.csv").write_text("image,frame,label,track\n001,0,1,1\n001,0,2,2\n")
    (folder / "tracks.csv").write_text("image,track,begin,end,parent\n001,1,0,0,0\n001,2,0,0,0\n")
    (tmp_path / "c.csv").write_text("image,donor\n001,A\n")
    cells, _ = measure_segmentation(folder, None, FileOptions(conditions=tmp_path / "c.csv"))
    assert cells.obs["track"].tolist() == [1, 2]
    assert cells.obs["donor"].tolist() == ["A", "A"]


def test_stains_in_a_file_of_several_fields_are_those_of_the_field(tmp_path: Path) -> None:
    from unstained.cells.segmentation_folder import read_segmentation
    from unstained.cells.stain_sources import own_stains
    from unstained.images.read import read_image

    path = tmp_path / "two.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        for level in (3, 8):
            tif.write(
                np.full((2, 64, 64), level, np.uint8),
                photometric="minisblack",
                metadata={"axes": "CYX", "Channel": {"Name": ["phase", "CD44"]}},
            )
    assert read_image(f"{path}#field=1#CD44").plane().max() == 8
    folder = folder_of_one(tmp_path, "two-field1", f"{path}#field=1#phase")
    (one,) = read_segmentation(folder)
    assert own_stains(one, ["CD44"]).images["CD44"].plane().tolist() == [[8] * 64] * 64


def test_an_image_beside_its_stains_is_no_stain(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((64, 64), np.uint8))
    tifffile.imwrite(tmp_path / "a_CD44.tif", np.ones((64, 64), np.uint8))
    folder = folder_of_one(tmp_path, "a", str(tmp_path / "a.tif"))
    cells, _ = measure_segmentation(folder, None, FileOptions(tmp_path))
    assert names_of(cells, "marker") == ["CD44"]


@pytest.mark.parametrize(
    ("file", "selector", "name", "predicted"),
    [("m.ome.zarr", "#phase", "m", "m_phase"), ("well 1.ome.zarr", "", "well-1", "well_1")],
)
def test_predictions_are_found_under_the_name_that_they_get(
    tmp_path: Path, file: str, selector: str, name: str, predicted: str
) -> None:
    plane = as_image(np.zeros((64, 64), np.uint8), "YX", channels=["phase"], pixel_size_um=1.0)
    write_ome_zarr(plane, tmp_path / file)
    folder = folder_of_one(tmp_path, name, f"{tmp_path / file}{selector}")
    (tmp_path / "stains").mkdir()
    stain = as_image(np.ones((64, 64), np.uint8), "YX", channels=["CD44"], pixel_size_um=1.0)
    write_ome_zarr(stain, tmp_path / "stains" / f"{predicted}.ome.zarr")
    cells, _ = measure_segmentation(folder, None, FileOptions(tmp_path / "stains"))
    assert names_of(cells, "marker") == ["CD44"]


def test_files_with_spaces_and_dots_keep_their_stains_and_conditions(tmp_path: Path) -> None:
    path = tmp_path / "well 1.5.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8))
    folder = folder_of_one(tmp_path, "well 1.5", str(path))
    (tmp_path / "stains").mkdir()
    stain = np.ones((64, 64), np.uint8)
    tifffile.imwrite(tmp_path / "stains" / "well 1.5_CD44.tif", stain)
    (tmp_path / "c.csv").write_text("image,donor\nwell 1.5.tif,A\n", "utf-8")
    options = FileOptions(tmp_path / "stains", conditions=tmp_path / "c.csv")
    cells, _ = measure_segmentation(folder, None, options)
    assert cells.obs["image"].tolist() == ["well-1.5"] * 2
    assert cells.obs["donor"].tolist() == ["A", "A"]
    assert names_of(cells, "marker") == ["CD44"]
