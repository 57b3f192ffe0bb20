"""Detection of colonies: found where they are, not found where there are none, in files too."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
import typer
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.morphology import disk, opening
from typer.testing import CliRunner

from unstained.cli.colonies_detect import detect as detect_command
from unstained.colonies.detect import (
    DetectSettings,
    detect_colonies,
    otsu_threshold,
    to_uint8,
)
from unstained.colonies.detect_sources import FileOptions
from unstained.colonies.detection_folder import detect_files, read_colonies, read_crop
from unstained.colonies.examples import load_examples
from unstained.errors import DataError, FileError, InputError
from unstained.images import as_image, read_image, read_labels, write_ome_zarr
from unstained.simulate.colony_wells import ColonySettings, WellFrame, plan_well, render_frame

SIZE = 320
SMALL = DetectSettings(min_area_px=300)


@pytest.fixture(scope="module")
def well() -> WellFrame:
    settings = ColonySettings(wells=1, frames=1, size=700, colonies=3, seed=5)
    return render_frame(settings, plan_well(settings, 0), 0)


def textured(*boxes: tuple[int, int, int, int], size: int = SIZE) -> np.ndarray:
    """A quiet field with rough rectangles y0, x0, y1, x1."""
    rng = np.random.default_rng(0)
    image = rng.normal(1000, 4, (size, size))
    for y0, x0, y1, x1 in boxes:
        image[y0:y1, x0:x1] += rng.normal(0, 150, (y1 - y0, x1 - x0))
    return image.clip(0, 65535).astype(np.uint16)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


# one frame ---------------------------------------------------------------------------------


def test_simulated_colonies_are_found_with_the_papers_settings(well: WellFrame) -> None:
    found = detect_colonies(well.image, pixel_size_um=0.8)
    assert len(found.colonies) == len(well.colonies) == 3
    for number in (1, 2, 3):
        true = well.labels == number
        label = int(np.bincount(found.labels[true]).argmax())
        assert label > 0
        assert iou(found.labels == label, true) > 0.7


def test_the_table_says_what_the_labels_show(well: WellFrame) -> None:
    found = detect_colonies(well.image, pixel_size_um=0.8)
    assert found.labels.dtype == np.int32
    for row in found.colonies.to_dict("records"):
        inside = found.labels == row["colony"]
        ys, xs = np.nonzero(inside)
        assert (row["y0"], row["x0"]) == (ys.min(), xs.min())
        assert (row["y1"], row["x1"]) == (ys.max() + 1, xs.max() + 1)
        assert row["area_px"] == inside.sum() >= 2000
        assert row["area_um2"] == pytest.approx(inside.sum() * 0.64)  # 0.8 um squared
        assert row["centroid_y_um"] == pytest.approx((ys.mean() + 0.5) * 0.8)
        assert row["centroid_x_px"] == pytest.approx(xs.mean() + 0.5)


def test_without_a_pixel_size_areas_in_um2_are_unknown() -> None:
    row = detect_colonies(textured((50, 50, 150, 150))).colonies.iloc[0]
    assert np.isnan([row["area_um2"], row["centroid_y_um"]]).all()
    assert row["area_px"] > 0


def test_a_hole_is_filled() -> None:
    image = textured((40, 40, 200, 200))
    image[100:140, 100:140] = textured()[100:140, 100:140]
    found = detect_colonies(image)
    assert len(found.colonies) == 1
    assert found.labels[120, 120] == 1


def test_colonies_at_the_border_are_marked() -> None:
    found = detect_colonies(textured((0, 100, 90, 200), (150, 100, 240, 200))).colonies
    assert found["touches_border"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("settings", "pixel_size_um", "count"),
    [
        (DetectSettings(), None, 1),  # 2000 px: the box of 30 x 30 px is too small
        (DetectSettings(min_area_px=500), None, 2),
        (DetectSettings(min_area_um2=500), 1.0, 2),
        (DetectSettings(min_area_um2=500), 0.5, 1),  # 500 um2 are 2000 px
    ],
)
def test_small_objects_are_removed(
    settings: DetectSettings, pixel_size_um: float | None, count: int
) -> None:
    image = textured((40, 40, 140, 140), (200, 200, 230, 230))
    assert len(detect_colonies(image, settings, pixel_size_um).colonies) == count


def test_an_area_in_um2_needs_a_pixel_size() -> None:
    with pytest.raises(InputError, match="unknown pixel size"):
        detect_colonies(textured(), DetectSettings(min_area_um2=500))


@pytest.mark.parametrize(("blur_px", "kernel"), [(1, [4]), (3, [1, 2, 1])])
def test_the_steps_are_those_of_other_implementations(blur_px: int, kernel: list[int]) -> None:
    from skimage.filters.rank import entropy

    image = to_uint8(textured((40, 40, 140, 140), (200, 150, 280, 250)))
    settings = DetectSettings(blur_px=blur_px, min_contrast=0)
    sums = image.astype(int)
    for axis in (0, 1):  # the binomial kernel is the Gaussian one of 3 x 3
        sums = ndimage.convolve1d(sums, kernel, axis, mode="mirror")
    theirs = entropy(((sums + 8) // 16).astype(np.uint8), disk(3))
    mask = opening(theirs > threshold_otsu(theirs, 1024), disk(3))
    labels, n = ndimage.label(ndimage.binary_fill_holes(mask), np.ones((3, 3)))
    areas = np.bincount(labels.ravel())
    kept = [k for k in range(1, n + 1) if areas[k] >= 2000]
    assert len(kept) == 2
    assert np.array_equal(detect_colonies(image, settings).labels > 0, np.isin(labels, kept))


def test_otsus_threshold_is_that_of_scikit_image() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(1, 0.3, 5000), rng.normal(4, 0.5, 900)]).astype(np.float32)
    width = (values.max() - values.min()) / 1024
    assert otsu_threshold(values) == pytest.approx(
        threshold_otsu(values, 1024), abs=1.01 * float(width)
    )


# nothing there -----------------------------------------------------------------------------


def test_an_empty_well_has_no_colonies() -> None:
    found = detect_colonies(textured(), pixel_size_um=0.8)
    assert len(found.colonies) == 0
    assert found.labels.max() == 0
    assert list(found.colonies.columns)[:3] == ["colony", "y0", "x0"]


def test_a_field_of_one_value_has_no_colonies() -> None:
    found = detect_colonies(np.full((64, 64), 7, np.uint16))
    assert len(found.colonies) == 0
    assert np.isnan(found.threshold_bits)


@pytest.mark.parametrize("sigma", [3, 5, 8, 12])
def test_smooth_noise_that_otsu_splits_is_left_out_and_counted(sigma: int) -> None:
    noise = ndimage.gaussian_filter(np.random.default_rng(2).normal(0, 1, (600, 600)), sigma)
    assert len(detect_colonies(noise, DetectSettings(min_contrast=0)).colonies) > 0
    found = detect_colonies(noise)
    assert len(found.colonies) == 0
    assert found.faint > 0


def test_the_least_contrast_lies_above_what_a_split_normal_distribution_has() -> None:
    values = np.random.default_rng(3).normal(0, 1, 400_000)
    upper, lower = values[values > 0], values[values <= 0]
    split = (upper.mean() - lower.mean()) / lower.std()
    assert split == pytest.approx(2.65, abs=0.02)
    assert DetectSettings().min_contrast > 1.3 * split


def test_a_single_colony_in_a_large_well_is_found() -> None:
    # 0.7 % of the field: the entropy has one peak, in which Otsu's threshold lies
    found = detect_colonies(textured((400, 500, 500, 600), size=1200))
    assert len(found.colonies) == 1
    truth = np.zeros((1200, 1200), bool)
    truth[400:500, 500:600] = True
    assert iou(found.labels > 0, truth) > 0.7


# grey values -------------------------------------------------------------------------------


def test_8_bits_stay_as_they_are() -> None:
    image = np.arange(100, 200, dtype=np.uint8).reshape(10, 10)
    assert np.array_equal(to_uint8(image), image)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32, np.float32, np.float64])
def test_other_types_are_stretched_in_order_and_never_wrap(dtype: type) -> None:
    image = np.linspace(-3000 if np.dtype(dtype).kind != "u" else 0, 30000, 400).reshape(20, 20)
    found = to_uint8(image.astype(dtype), 0)
    assert (np.diff(found.ravel().astype(int)) >= 0).all()
    assert (found.min(), found.max()) == (0, 255)
    assert found.ravel()[100] == pytest.approx(255 * 100 / 399, abs=1)


def test_a_hot_pixel_does_not_flatten_the_image() -> None:
    image = textured((50, 50, 150, 150))
    hot = image.copy()
    hot[5, 5] = 65535
    assert np.abs(to_uint8(hot).astype(int) - to_uint8(image))[50:150, 50:150].max() <= 2


def test_nan_is_refused() -> None:
    image = np.zeros((20, 20))
    image[3, 3] = np.nan
    with pytest.raises(DataError, match="NaN"):
        detect_colonies(image)


@pytest.mark.parametrize(
    "given",
    [
        {"blur_px": 2},
        {"entropy_radius_px": 0},
        {"opening_radius_px": -1},
        {"min_area_px": 0},
        {"min_area_um2": 0.0},
        {"min_contrast": -1.0},
        {"window_percent": 50.0},
    ],
)
def test_settings_that_cannot_be_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(given))):
        DetectSettings(**given)  # type: ignore[arg-type]


# files -------------------------------------------------------------------------------------


def write_tiff(path: Path, image: np.ndarray, **given: object) -> Path:
    tifffile.imwrite(path, image, resolution=(12500, 12500), resolutionunit="CENTIMETER", **given)
    return path


@pytest.fixture
def wells(tmp_path: Path) -> Path:
    """Two frames of one well, and the labels beside them."""
    folder = tmp_path / "images"
    folder.mkdir()
    for frame, shift in enumerate((0, 5)):
        image = textured((40, 40 + shift, 140, 140 + shift), (180, 100, 260, 200))
        write_tiff(folder / f"well03_frame00{frame}.tif", image)
        write_tiff(folder / f"well03_frame00{frame}_labels.tif", (image > 1100).astype(np.uint8))
    return folder


def test_a_folder_of_frames_becomes_a_movie(wells: Path, tmp_path: Path) -> None:
    found = detect_files([wells], tmp_path / "out", options=FileOptions(interval_h=2))
    table = read_colonies(tmp_path / "out")
    pd.testing.assert_frame_equal(table, found.colonies)
    assert table["id"].tolist() == [
        "well03_f000_c001",
        "well03_f000_c002",
        "well03_f001_c001",
        "well03_f001_c002",
    ]
    assert table["track"].tolist() == [1, 2, 1, 2]
    assert table["time_h"].tolist() == [0, 0, 2, 2]
    assert table["image"].iloc[0] == "../images/well03_frame000.tif"
    assert table["area_um2"].tolist() == pytest.approx(table["area_px"] * 0.64)
    assert "2 files" in found.notes[0]  # the labels are no images
    tracks = pd.read_csv(tmp_path / "out" / "tracks.csv")
    assert tracks[["track", "first", "last", "parent"]].to_numpy().tolist() == [
        [1, 0, 1, 0],
        [2, 0, 1, 0],
    ]


def test_the_report_counts_every_frame(wells: Path, tmp_path: Path) -> None:
    write_tiff(wells / "well03_frame002.tif", textured())
    found = detect_files([wells], tmp_path / "out")
    about = json.loads((tmp_path / "out" / "detection.json").read_text())
    assert [entry["colonies_per_frame"] for entry in about["images"]] == [[2], [2], [0]]
    assert about["settings"]["min_area_px"] == 2000
    assert (about["frames"], about["colonies"]) == (3, 4)
    assert "1 frames have no colony" in found.notes


def test_opencv_from_another_package_loses_no_result(
    wells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> Distribution:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(Distribution, "from_name", absent)
    detect_files([wells], tmp_path / "out")
    about = json.loads((tmp_path / "out" / "detection.json").read_text())
    assert about["versions"]["cv2"] == cv2.__version__


def test_crops_are_cut_from_the_original_with_their_own_mask(wells: Path, tmp_path: Path) -> None:
    detect_files([wells], tmp_path / "out")
    row = read_colonies(tmp_path / "out").iloc[3]
    crop = read_crop(row, tmp_path / "out", margin_px=4)
    original = tifffile.imread(wells / "well03_frame001.tif")
    y0, x0, y1, x1 = (int(row[name]) for name in ("y0", "x0", "y1", "x1"))
    assert np.array_equal(crop.pixels[0], original[y0 - 4 : y1 + 4, x0 - 4 : x1 + 4])
    assert crop.mask.dtype == bool
    assert crop.mask.sum() == row["area_px"]
    assert not crop.mask[:4].any()


def test_a_crop_has_no_mask_of_the_neighbor_in_its_box(tmp_path: Path) -> None:
    # an L, and a square between its arms
    image = textured((20, 20, 200, 80), (140, 20, 200, 200), (40, 110, 110, 180))
    write_tiff(tmp_path / "a.tif", image)
    row = detect_files([tmp_path / "a.tif"], tmp_path / "out").colonies.iloc[0]
    crop = read_crop(row, tmp_path / "out")
    assert crop.mask.shape[1] > 170  # the box of the L holds the square
    assert crop.mask.sum() == row["area_px"]


def test_masks_are_ome_zarr_labels(wells: Path, tmp_path: Path) -> None:
    detect_files([wells], tmp_path / "out")
    row = read_colonies(tmp_path / "out").iloc[0]
    labels = read_labels(tmp_path / "out" / row["mask"])
    expected = detect_colonies(tifffile.imread(wells / "well03_frame000.tif")).labels
    assert np.array_equal(labels, expected)
    assert read_image(tmp_path / "out" / row["mask"]).pixel_size_um == pytest.approx(0.8)


def test_a_movie_file_is_read_frame_by_frame(tmp_path: Path) -> None:
    frames = [textured((40, 40 + s, 140, 140 + s)) for s in (0, 4, 8)]
    movie = as_image(np.stack(frames), "TYX", pixel_size_um=0.8, frame_interval_s=1800)
    write_ome_zarr(movie, tmp_path / "B4_movie.ome.zarr")
    found = detect_files([tmp_path / "B4_movie.ome.zarr"], tmp_path / "out").colonies
    assert found["well"].unique().tolist() == ["B4"]
    assert found["frame"].tolist() == found["t"].tolist() == [0, 1, 2]
    assert found["time_h"].tolist() == [0, 0.5, 1]
    assert found["track"].tolist() == [1, 1, 1]
    assert found["mask"].unique().tolist() == ["masks/B4.zarr"]
    crop = read_crop(found.iloc[2], tmp_path / "out")
    x0 = int(found["x0"].iloc[2])
    assert np.array_equal(crop.pixels[0][:, :3], frames[2][crop_rows(found), x0 : x0 + 3])


def crop_rows(found: pd.DataFrame) -> slice:
    return slice(int(found["y0"].iloc[2]), int(found["y1"].iloc[2]))


def test_a_plate_gives_its_wells(tmp_path: Path) -> None:
    import zarr

    plate = zarr.open_group(tmp_path / "plate.zarr", mode="w", zarr_format=3)
    plate.attrs["ome"] = {"version": "0.5", "plate": {"wells": [{"path": "B/3"}, {"path": "C/10"}]}}
    for path in ("B/3", "C/10"):
        group = plate.create_group(path)
        group.attrs["ome"] = {"version": "0.5", "well": {"images": [{"path": "0"}, {"path": "1"}]}}
        for field in ("0", "1"):
            image = as_image(textured((40, 40, 140, 140)), "YX", pixel_size_um=0.8)
            write_ome_zarr(image, tmp_path / "plate.zarr" / path / field)
    found = detect_files([tmp_path / "plate.zarr"], tmp_path / "out").colonies
    assert found["id"].tolist() == [
        "B3_f000_c001",
        "B3-1_f000_c001",
        "C10_f000_c001",
        "C10-1_f000_c001",
    ]
    assert found["well"].tolist() == ["B3", "B3", "C10", "C10"]
    assert found["track"].tolist() == [1, 2, 3, 4]
    assert read_crop(found.iloc[3], tmp_path / "out").mask.any()
    assert not (tmp_path / "out" / "tracks.csv").exists()


def test_a_pattern_names_well_and_frame(tmp_path: Path) -> None:
    write_tiff(tmp_path / "P1-h07.tif", textured((40, 40, 140, 140)))
    options = FileOptions(pattern=r"(?P<well>P\d)-h(?P<frame>\d+)")
    found = detect_files([tmp_path], tmp_path / "out", options=options).colonies
    assert found["id"].tolist() == ["P1_f007_c001"]
    other = FileOptions(pattern=r"(?P<well>Q\d)")
    with pytest.raises(DataError, match="does not fit"):
        detect_files([tmp_path / "P1-h07.tif"], tmp_path / "other", options=other)
    with pytest.raises(InputError, match="well"):
        FileOptions(pattern=r"P(\d)")


def test_files_whose_names_say_no_well_and_no_frame_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    write_tiff(folder / "morning.tif", textured())
    write_tiff(folder / "day_t001.tif", textured())  # of the well "day"
    assert not any("no well" in note for note in detect_files([folder], tmp_path / "one").notes)
    write_tiff(folder / "evening.tif", textured())
    found = detect_files([folder], tmp_path / "two")
    assert (
        "2 names say no well or frame (the first: evening): each is a well of its own; "
        "see --pattern" in found.notes
    )


def test_two_files_of_one_frame_are_refused(tmp_path: Path) -> None:
    for name in ("A1_x.tif", "A1_y.tif"):
        write_tiff(tmp_path / name, textured())
    with pytest.raises(DataError, match="both are frame 0 of well A1"):
        detect_files([tmp_path], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unknown_pixel_size_is_a_note(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", textured((40, 40, 140, 140)))
    found = detect_files([tmp_path / "a.tif"], tmp_path / "out")
    assert any("--pixel-size" in note for note in found.notes)
    assert found.colonies["area_um2"].isna().all()
    given = FileOptions(pixel_size_um=2.0)
    sized = detect_files([tmp_path / "a.tif"], tmp_path / "sized", options=given).colonies
    assert sized["area_um2"].tolist() == (4 * sized["area_px"]).tolist()


def test_what_cannot_be_used_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "empty").mkdir()
    color = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "color.tif", color, photometric="rgb")
    two = as_image(np.stack([textured(), textured()]), "CYX", channels=("phase", "DAPI"))
    write_ome_zarr(two, tmp_path / "two.zarr")
    for name, error, words in (
        ("notes.txt", FileError, "type that is not read"),
        ("absent.tif", FileError, "does not exist"),
        ("empty", DataError, "without images"),
        ("color.tif", DataError, "color"),
        ("two.zarr", DataError, "2 channels"),
    ):
        with pytest.raises(error, match=words):
            detect_files([tmp_path / name], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    one = detect_files(
        [tmp_path / "two.zarr"], tmp_path / "out", options=FileOptions(channel="phase")
    )
    assert one.frames == 1


def test_frames_of_different_sizes_are_refused_by_name(wells: Path, tmp_path: Path) -> None:
    write_tiff(wells / "well03_frame002.tif", textured(size=300))
    with pytest.raises(DataError, match="one size") as caught:
        detect_files([wells], tmp_path / "out")
    assert "frame002" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_moved_image_is_told(wells: Path, tmp_path: Path) -> None:
    detect_files([wells], tmp_path / "out")
    row = read_colonies(tmp_path / "out").iloc[0]
    (wells / "well03_frame000.tif").unlink()
    with pytest.raises(FileError, match="put the image back"):
        read_crop(row, tmp_path / "out")


@pytest.mark.parametrize("change", [{"t": 9}, {"y0": 900, "y1": 990}, {"colony": 77}])
def test_a_colony_that_is_not_in_its_files_is_told(
    wells: Path, tmp_path: Path, change: dict[str, int]
) -> None:
    detect_files([wells], tmp_path / "out")
    row = read_colonies(tmp_path / "out").iloc[0].to_dict() | change
    with pytest.raises(DataError, match=r"has 1 frame of .* not what the table says of colony"):
        read_crop(row, tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.drop(columns="well"), "has no column well; detect again"),
        (lambda table: table.assign(well=None), "column well is not all text"),
        (lambda table: table.assign(y0="a"), "column y0 is not all whole numbers"),
    ],
)
def test_a_table_of_colonies_that_was_changed_is_refused_by_column(
    wells: Path, tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], said: str
) -> None:
    table = detect_files([wells], tmp_path / "out").colonies
    change(table).to_parquet(tmp_path / "out" / "colonies.parquet")
    with pytest.raises(FileError, match=rf"colonies\.parquet: {said}"):
        load_examples(tmp_path / "out")


def test_codes_of_classes_in_a_table_of_colonies_are_no_labels(wells: Path, tmp_path: Path) -> None:
    table = detect_files([wells], tmp_path / "out").colonies
    table.assign(label=1).to_parquet(tmp_path / "out" / "colonies.parquet")
    with pytest.raises(DataError, match=r"colonies\.parquet: column label .*write classes as text"):
        load_examples(tmp_path / "out")


def test_an_experiment_can_move_as_a_whole(wells: Path, tmp_path: Path) -> None:
    detect_files([wells], wells / "found")
    wells.rename(tmp_path / "moved")
    row = read_colonies(tmp_path / "moved" / "found").iloc[0]
    assert row["image"] == "../well03_frame000.tif"
    assert read_crop(row, tmp_path / "moved" / "found").mask.any()


def test_the_command_reports_and_takes_settings(wells: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(detect_command)
    arguments = [str(wells), "--out", str(tmp_path / "out"), "--pixel-size", "1", "--interval", "1"]
    result = CliRunner().invoke(app, [*arguments, "--min-area-um2", "9000"])
    assert result.exit_code == 0, result.output
    # boxes of 10,000 and 8,000 px of 1 um2: one of each frame is large enough
    assert "2 colonies in 2 frames" in result.output
    assert "1 tracks, 0 merges, 0 splits" in result.output


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32, np.float64])
def test_values_beyond_the_window_become_its_limits_whatever_the_type(kind: type) -> None:
    # of 0 to 1000 one each, percentiles 25 and 75 are 250 and 750: 500 lies half way, at 127.5
    image = np.arange(1001, dtype=kind)[None]
    eight = to_uint8(image, window_percent=25)[0]
    assert eight[[0, 250]].tolist() == [0, 0]
    assert eight[500] in (127, 128)
    assert eight[[750, 1000]].tolist() == [255, 255]


def test_a_frame_of_16_bits_takes_few_bytes_a_pixel() -> None:
    # entropy of 32 bits (4), labels of 32 bits (4), mask and what lies outside (1 each)
    frame = np.random.default_rng(0).integers(0, 4000, (900, 1000)).astype(np.uint16)
    detect_colonies(frame[:50])  # what is compiled and kept
    tracemalloc.start()
    detect_colonies(frame)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / frame.size < 12
