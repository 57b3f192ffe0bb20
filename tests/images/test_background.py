"""A background that was put in is taken out again, and stains keep their amount."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from unstained.errors import DataError, InputError
from unstained.images import pairs_from_folders, read_image
from unstained.images.background import (
    background_files,
    estimate_background,
    subtract_background,
    subtract_control,
)
from unstained.images.image import Image, as_image
from unstained.images.ome_zarr_writer import write_ome_zarr
from unstained.images.write import write_ome_tiff, write_png

Y, X = np.mgrid[:160, :200]
UNEVEN = 200 + 40 * X / 200 + 60 * (Y / 160 - 0.5) ** 2


def disks() -> np.ndarray:
    """Eight cells of radius 9 px and 500 grey values."""
    rng = np.random.default_rng(2)
    image = np.zeros((160, 200))
    for cy, cx in rng.uniform(15, [145, 185], (8, 2)):
        image[(Y - cy) ** 2 + (X - cx) ** 2 < 81] = 500
    return image


CELLS = disks()
NOISY = UNEVEN + CELLS + np.random.default_rng(4).normal(0, 10, CELLS.shape)


@pytest.mark.parametrize(("method", "within"), [("polynomial", 2.0), ("percentile", 2.0)])
def test_uneven_light_is_found_under_cells(method: str, within: float) -> None:
    found = estimate_background(NOISY, method=method, radius_px=40)
    assert np.abs(found - UNEVEN).mean() < within  # of a range of 55, noise 10


def crowd(side: int) -> np.ndarray:
    """Round cells of radius 14 px and 20 to 200 grey values over a third of the field."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:side, :side]
    image = np.zeros((side, side))
    while (image > 0).mean() < 1 / 3:
        cy, cx = rng.uniform(0, side, 2)
        height = np.sqrt(np.clip(1 - ((y - cy) ** 2 + (x - cx) ** 2) / 14**2, 0, 1))
        image = np.maximum(image, rng.uniform(20, 200) * height)
    return image


@pytest.mark.parametrize("shape", ["flat", "ramp", "bowl", "dome"])
def test_a_low_percentile_of_a_shaded_background_is_not_its_level(shape: str) -> None:
    # 80 grey values over 512 px are 10 within 64 px: as much would the low percentile be too low
    y, x = np.mgrid[:512, :512] / 511
    hollow = (x - 0.5) ** 2 + (y - 0.5) ** 2
    shading = {"flat": 0 * x, "ramp": 80 * x, "bowl": 160 * hollow, "dome": -160 * hollow}[shape]
    true = 200 + shading
    noisy = true + np.random.default_rng(5).normal(0, 2, true.shape)
    for image in (noisy, noisy + crowd(512)):
        off = estimate_background(image, method="percentile", radius_px=64) - true
        assert abs(off.mean()) < 0.5 * 2  # half of the noise
        assert np.percentile(np.abs(off), 95) < 2 * 2


def test_cells_keep_their_amount() -> None:
    cleaned = subtract_background(NOISY)
    assert cleaned.dtype == np.float32
    assert cleaned[CELLS > 0].mean() == pytest.approx(500, abs=3)
    # negative values stay: the mean of the background is 0, not half the noise
    assert cleaned[CELLS == 0].mean() == pytest.approx(0, abs=2)


def test_a_constant_background_is_the_median_of_what_is_free() -> None:
    image = np.full((64, 64), 100.0) + np.random.default_rng(0).normal(0, 5, (64, 64))
    image[20:30, 20:30] += 1000
    found = estimate_background(image, method="constant")
    assert np.ptp(found) == 0
    assert found[0, 0] == pytest.approx(100, abs=0.5)


def test_a_control_is_taken_away_without_its_noise() -> None:
    rng = np.random.default_rng(6)
    controls = np.stack([UNEVEN + rng.normal(0, 10, UNEVEN.shape) for _ in range(3)])
    cleaned = subtract_control(NOISY, controls)
    free = CELLS == 0
    assert cleaned[free].mean() == pytest.approx(0, abs=1)
    assert cleaned[free].std() == pytest.approx(10, rel=0.05)  # the image's own noise, no more


def test_a_control_of_another_shape_or_exposure_is_refused() -> None:
    with pytest.raises(InputError, match="control is"):
        subtract_control(NOISY, UNEVEN[:-1])
    with pytest.raises(InputError, match="brighter than the image"):
        subtract_control(NOISY, 10 * UNEVEN)
    for smooth_px in (-1.0, np.nan):
        with pytest.raises(InputError, match=f"smooth_px is {smooth_px}; give pixels, 0 or more"):
            subtract_control(NOISY, UNEVEN, smooth_px=smooth_px)


def test_nan_and_unknown_methods_are_refused() -> None:
    broken = NOISY.copy()
    broken[0, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        estimate_background(broken)
    with pytest.raises(InputError, match="no method 'rolling'; one of polynomial"):
        estimate_background(NOISY, method="rolling")


def test_a_window_beyond_the_image_is_the_whole_image_and_nan_is_none() -> None:
    flat = np.full((8, 8), 5.0)
    for radius_px in (1e9, np.inf):
        found = estimate_background(flat, method="percentile", radius_px=radius_px)
        assert found == pytest.approx(flat)
    with pytest.raises(InputError, match="radius_px is nan"):
        estimate_background(flat, method="percentile", radius_px=np.nan)


def test_every_frame_of_a_control_counts(tmp_path: Path) -> None:
    # the median of 90, 100 and 140 is 100
    np.save(tmp_path / "a.npy", np.full((16, 16), 150.0))
    frames = np.stack([np.full((16, 16), level) for level in (140.0, 90.0, 100.0)])
    write_ome_zarr(as_image(frames, "TYX"), tmp_path / "control.ome.zarr")
    (written,) = background_files(
        [tmp_path / "a.npy"], tmp_path / "out", controls=[tmp_path / "control.ome.zarr"]
    )
    assert read_image(written).plane() == pytest.approx(50)


@pytest.mark.parametrize("n", [2, 4])
def test_a_control_with_other_channels_than_the_image_is_refused(tmp_path: Path, n: int) -> None:
    write_ome_zarr(as_image(np.ones((3, 16, 16)), "CYX"), tmp_path / "a.ome.zarr")
    write_ome_zarr(as_image(np.ones((n, 16, 16)), "CYX"), tmp_path / "control.ome.zarr")
    with pytest.raises(DataError, match=rf"has 3 channels .* the control {n} and 1; give"):
        list(
            background_files(
                [tmp_path / "a.ome.zarr"],
                tmp_path / "out",
                controls=[tmp_path / "control.ome.zarr"],
            )
        )


def test_arguments_are_not_changed() -> None:
    image = NOISY.copy()
    subtract_background(image)
    assert np.array_equal(image, NOISY)


def test_files_are_cleaned_under_their_names(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", NOISY.astype(np.uint16))
    np.save(tmp_path / "control.npy", UNEVEN.astype(np.uint16))
    (written,) = background_files([tmp_path / "a.npy"], tmp_path / "out")
    assert written.name == "a.ome.tif"
    for name in ("s.A1.npy", "s.A2.npy"):  # not cut at the first dot, where they are alike
        np.save(tmp_path / name, NOISY.astype(np.uint16))
    wells = background_files([tmp_path / "s.A1.npy", tmp_path / "s.A2.npy"], tmp_path / "wells")
    assert [path.name for path in wells] == ["s.A1.ome.tif", "s.A2.ome.tif"]
    assert read_image(written).plane()[CELLS > 0].mean() == pytest.approx(500, abs=3)
    (written,) = background_files(
        [tmp_path / "a.npy"], tmp_path / "out2", controls=[tmp_path / "control.npy"]
    )
    assert read_image(written).plane()[CELLS == 0].mean() == pytest.approx(0, abs=1)
    np.save(tmp_path / "small.npy", np.ones((9, 9)))
    with pytest.raises(DataError, match=r"a\.npy: control is \(9, 9\)"):
        list(
            background_files(
                [tmp_path / "a.npy"], tmp_path / "out3", controls=[tmp_path / "small.npy"]
            )
        )


def test_a_cleaned_folder_pairs_as_the_folder_of_images_did(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for folder in ("phase", "CD29"):
        (tmp_path / folder).mkdir()
        for name in ("Feld A1 (Kopie)", "b"):
            write_png(
                rng.integers(90, 110, (64, 64)).astype(np.uint8), tmp_path / folder / f"{name}.png"
            )
    written = list(background_files([tmp_path / "CD29"], tmp_path / "clean", method="constant"))
    assert [path.name for path in written] == ["Feld A1 (Kopie).ome.tif", "b.ome.tif"]
    pairs = pairs_from_folders(tmp_path / "phase", tmp_path / "clean", "CD29")
    assert [Path(p).name for p in pairs.table["phase"]] == ["Feld A1 (Kopie).png", "b.png"]
    assert [Path(p).name for p in pairs.table["stain"]] == [path.name for path in written]


def test_a_label_free_channel_beside_stains_stays_as_it_is(tmp_path: Path) -> None:
    planes = np.random.default_rng(0).integers(90, 110, (2, 64, 64)).astype(np.uint16)
    write_ome_tiff(as_image(planes, "CYX", channels=["Phase", "pH3"]), tmp_path / "a.ome.tif")
    told: list[str] = []
    (written,) = background_files(
        [tmp_path / "a.ome.tif"], tmp_path / "out", method="constant", notify=told.append
    )
    phase, stain = read_image(written).planes()
    np.testing.assert_array_equal(phase, planes[0])
    assert abs(float(np.median(stain))) < 2  # its background, 100, is gone
    assert [text.split(": ")[1] for text in told] == ["Phase stays as it is"]


def test_a_field_of_a_plate_is_an_image_and_not_a_folder_of_them(tmp_path: Path) -> None:
    image = as_image(np.random.default_rng(0).integers(90, 110, (64, 64)).astype(np.uint8), "YX")
    for place in ("plate.zarr/B/3/0", "plate.zarr/C/3/0", "without_ending"):
        write_ome_zarr(image, tmp_path / place)
    places = [
        tmp_path / place for place in ("plate.zarr/B/3/0", "plate.zarr/C/3/0", "without_ending")
    ]
    written = background_files(places, tmp_path / "out", method="constant")
    names = [path.name for path in written]
    assert names == ["plate_B_3_0.ome.tif", "plate_C_3_0.ome.tif", "without_ending.ome.tif"]


def test_a_movie_is_cleaned_plane_by_plane(tmp_path: Path) -> None:
    # of three frames each is read once, and when the first is written the last is not read yet
    frames = np.stack([CELLS + level for level in (100.0, 200.0, 300.0)]).astype(np.float32)
    write_ome_tiff(as_image(frames, "TYX"), tmp_path / "movie.ome.tif")
    read: list[int] = []
    plane = Image.plane

    def counted(self: Image, t: int = 0, c: int = 0, z: int = 0) -> np.ndarray:
        read.append(t)
        return plane(self, t, c, z)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image, "plane", counted)
        (path,) = background_files(
            [tmp_path / "movie.ome.tif"], tmp_path / "out", method="constant"
        )
    assert read == [0, 1, 2]
    found = read_image(path)
    assert found.shape == (3, 1, 1, 160, 200)
    for t in range(3):
        np.testing.assert_allclose(found.plane(t), CELLS, atol=1e-4)


@pytest.mark.parametrize(("method", "most"), [("polynomial", 28), ("percentile", 12)])
def test_memory_is_three_images_of_float64_or_one(method: str, most: float) -> None:
    # polynomial: what lies above the surface, or smoothed and sorted values, and about half of
    # them once more (8 + 8 + 4); percentile: the surface (4), and strips that weigh little in
    # a larger image
    image = np.tile(NOISY, (10, 8)).astype(np.float32)
    estimate_background(image, method=method)  # what is imported and kept is not counted
    tracemalloc.start()
    estimate_background(image, method=method)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / image.size < most  # bytes a pixel; 8 are one image of float64


def test_the_surface_of_a_plane_of_many_strips_is_the_one_that_was_put_in() -> None:
    y, x = np.mgrid[:900, :300] / 900  # strips have 256 rows, the last one fewer
    level = 200 + 30 * y - 50 * y**2 + 20 * x * y
    noise = np.random.default_rng(5).normal(0, 1, level.shape)
    # of 270,000 pixels of an sd of 1 the six terms are known to some 0.01
    np.testing.assert_allclose(estimate_background(level + noise), level, atol=0.05)
