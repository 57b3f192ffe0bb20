"""A segmentation folder: what was found, where the images lie, and what is wrong with it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import typer
from scipy import ndimage
from typer.testing import CliRunner

from unstained.cells import segmenting as module
from unstained.cells.frame_order import check_frames
from unstained.cells.segmentation_folder import create_segmentation, read_segmentation
from unstained.cells.segmentation_sources import SourceOptions, find_images
from unstained.cells.segmenting import FrameSegmenter, classical_segmenter, segment_files
from unstained.cli.cells_segment import segment as segment_command
from unstained.errors import DataError, FileError, InputError
from unstained.images import as_image


def components(image: np.ndarray) -> np.ndarray:
    return ndimage.label(image > 0)[0]


SEGMENTER = FrameSegmenter({"method": "test"}, lambda whole, pixel_size_um: components)


def frame(*cells: tuple[int, int]) -> np.ndarray:
    """Squares of 3 x 3 px on 20 x 24 px."""
    image = np.zeros((20, 24), np.uint8)
    for y, x in cells:
        image[y : y + 3, x : x + 3] = 200
    return image


@pytest.fixture
def movie() -> np.ndarray:
    """Two cells, none, one."""
    return np.stack([frame((2, 2), (10, 12)), frame(), frame((5, 5))])


# The folder --------------------------------------------------------------------------------


def test_labels_are_read_as_they_were_written(tmp_path: Path, movie: np.ndarray) -> None:
    labels = np.where(movie > 0, 70_000, 0)
    image = as_image(movie, "TYX", pixel_size_um=0.65, frame_interval_s=300)
    with create_segmentation(tmp_path / "seg", {"method": "test"}) as writer:
        writer.add("m", image, None, labels, nuclei=labels // 2)
    (one,) = read_segmentation(tmp_path / "seg")
    assert one.labels(0).dtype == np.int32
    assert all(np.array_equal(one.labels(t), labels[t]) for t in range(3))
    assert np.array_equal(one.nuclei(2), labels[2] // 2)
    assert (one.frames, one.pixel_size_um, one.frame_interval_s) == (3, 0.65, 300)
    assert one.cells_per_frame == (1, 0, 1)
    assert one.labels_image.pixel_size_um == 0.65


def test_the_file_says_what_the_brief_promises(tmp_path: Path, movie: np.ndarray) -> None:
    with create_segmentation(tmp_path / "seg", {"method": "test"}) as writer:
        writer.add("m", as_image(movie, "TYX"), tmp_path / "m.tif", movie)
    about = json.loads((tmp_path / "seg" / "segmentation.json").read_text())
    assert about["segmenter"] == {"method": "test"}
    assert about["images"] == [
        {
            "image": "m",
            "path": "../m.tif",
            "labels": "labels/m.ome.zarr",
            "nuclei": None,
            "frames": 3,
            "pixel_size_um": None,
            "frame_interval_s": None,
            "cells_per_frame": [1, 0, 1],
        }
    ]


def test_names_are_unique_on_systems_that_ignore_case_and_fit_into_files(tmp_path: Path) -> None:
    image = as_image(frame(), "YX")
    with create_segmentation(tmp_path / "seg", {}) as writer:
        names = [writer.add(name, image, None, [frame()]) for name in ("a", "A", "a", "x/y:z")]
    assert names == ["a", "A-2", "a-3", "x-y-z"]


def test_a_folder_that_failed_is_not_there(tmp_path: Path, movie: np.ndarray) -> None:
    image = as_image(movie, "TYX")
    with (
        pytest.raises(DataError, match="3 frames and labels for 2"),
        create_segmentation(tmp_path / "seg", {}) as writer,
    ):
        writer.add("m", image, None, movie[:2])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (np.zeros((4, 20, 24), int), "3 frames and more labels"),
        (np.zeros((3, 20, 25), int), "the image's size"),
        (np.zeros((3, 20, 24)), "of type float64"),
        (np.full((3, 20, 24), -1), "from -1 to -1"),
        (np.full((3, 20, 24), 2**31), "0 .background. to 2147483647"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    tmp_path: Path, movie: np.ndarray, labels: np.ndarray, reason: str
) -> None:
    with (
        pytest.raises(DataError, match=reason),
        create_segmentation(tmp_path / "seg", {}) as writer,
    ):
        writer.add("m", as_image(movie, "TYX"), None, labels)


def test_a_segmentation_is_never_overwritten(tmp_path: Path) -> None:
    with create_segmentation(tmp_path / "seg", {}):
        pass
    with (
        pytest.raises(FileError, match="exists already"),
        create_segmentation(tmp_path / "seg", {}),
    ):
        pass


def test_what_is_no_segmentation_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"it has no segmentation\.json; make one: unstained cells"):
        read_segmentation(tmp_path)
    with pytest.raises(FileError, match="is not there"):
        read_segmentation(tmp_path / "absent")
    (tmp_path / "segmentation.json").write_text('{"images": [{"image": "a"}]}')
    with pytest.raises(FileError, match="cannot be read"):
        read_segmentation(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": None}, "labels is None, not text"),
        ({"path": 3}, "path is 3, not text"),
        ({"pixel_size_um": "0.65"}, "pixel_size_um is '0.65', not a finite number"),
        ({"pixel_size_um": 0}, "pixel_size_um is 0"),
        ({"frames": 1.5}, "frames is 1.5, not a whole number"),
    ],
)
def test_an_entry_that_was_changed_by_hand_is_named(
    change: dict[str, object], said: str, tmp_path: Path
) -> None:
    with create_segmentation(tmp_path / "seg", {}) as writer:
        writer.add("a", as_image(frame(), "YX"), None, [frame()])
    file = tmp_path / "seg" / "segmentation.json"
    about = json.loads(file.read_text(encoding="utf-8"))
    about["images"][0] |= change
    file.write_text(json.dumps(about), encoding="utf-8")
    with pytest.raises(FileError, match=rf"segmentation\.json: cannot be read .*{said}"):
        read_segmentation(tmp_path / "seg")


@pytest.mark.parametrize("names", [["../../a"], ["a", "A"], [""]])
def test_names_that_would_write_elsewhere_or_over_one_another_are_refused(
    tmp_path: Path, names: list[str]
) -> None:
    with create_segmentation(tmp_path / "seg", {}) as writer:
        for _ in names:
            writer.add("a", as_image(frame(), "YX"), None, [frame()])
    file = tmp_path / "seg" / "segmentation.json"
    about = json.loads(file.read_text(encoding="utf-8"))
    for entry, name in zip(about["images"], names, strict=True):
        entry["image"] = name
    file.write_text(json.dumps(about), encoding="utf-8")
    with pytest.raises(FileError, match="no plain name that no other image has"):
        read_segmentation(tmp_path / "seg")


def test_frames_that_the_folder_does_not_tell_of_are_not_dropped(
    tmp_path: Path, movie: np.ndarray
) -> None:
    with create_segmentation(tmp_path / "seg", {}) as writer:
        writer.add("a", as_image(movie, "TYX"), None, movie)
    file = tmp_path / "seg" / "segmentation.json"
    about = json.loads(file.read_text(encoding="utf-8"))
    about["images"][0]["frames"] -= 1
    file.write_text(json.dumps(about), encoding="utf-8")
    (one,) = read_segmentation(tmp_path / "seg")
    with pytest.raises(FileError, match=f"has {len(movie)} frames, and segmentation.json says"):
        one.labels(0)


def test_a_frame_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with create_segmentation(tmp_path / "seg", {}) as writer:
        writer.add("a", as_image(frame(), "YX"), None, [frame()])
    (one,) = read_segmentation(tmp_path / "seg")
    with pytest.raises(InputError, match="give 0 to 0"):
        one.labels(1)
    with pytest.raises(FileError, match="which image"):
        one.open_image()


# Files to a folder -------------------------------------------------------------------------


def test_the_original_is_found_again_after_both_were_moved(
    tmp_path: Path, movie: np.ndarray
) -> None:
    home = tmp_path / "here"
    (home / "images").mkdir(parents=True)
    tifffile.imwrite(home / "images" / "m.tif", movie, metadata={"axes": "TYX"}, imagej=True)
    made = segment_files([home / "images" / "m.tif"], home / "seg", SEGMENTER)
    assert (made.images, made.frames, made.cells) == (1, 3, 3)
    home.rename(tmp_path / "there")
    (one,) = read_segmentation(tmp_path / "there" / "seg")
    assert np.array_equal(one.open_image().plane(2), movie[2])
    (tmp_path / "there" / "images" / "m.tif").unlink()
    with pytest.raises(FileError, match="put the image back"):
        one.open_image()


def test_a_folder_is_many_images_or_one_movie(tmp_path: Path, movie: np.ndarray) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    for name, image in zip(("t9", "t10", "t8"), movie[[1, 2, 0]], strict=True):
        tifffile.imwrite(folder / f"{name}.tif", image)
    tifffile.imwrite(folder / "t8_labels.tif", movie[0])  # no image
    segment_files([folder], tmp_path / "many", SEGMENTER)
    assert [one.image for one in read_segmentation(tmp_path / "many")] == ["t8", "t9", "t10"]
    options = SourceOptions(pixel_size_um=0.5, frame_interval_s=60, movie=True)
    segment_files([folder], tmp_path / "one", SEGMENTER, options)
    (one,) = read_segmentation(tmp_path / "one")
    assert one.image == "m"
    assert one.cells_per_frame == (2, 0, 1)
    image = one.open_image()
    assert (image.shape[0], image.pixel_size_um, image.frame_interval_s) == (3, 0.5, 60)
    assert np.array_equal(image.plane(2), movie[2])


def test_a_movie_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    seen = []
    for grey in (1, 2):
        for name in ("t1.tif", "t2.tif"):
            tifffile.imwrite(tmp_path / name, np.full((8, 9), grey, np.uint8), compression="zlib")
            os.utime(tmp_path / name, (grey, grey))  # s; as fast as a test is, no clock ticks
        (found,) = find_images([tmp_path], SourceOptions(movie=True))
        seen.append(found.image.plane(1).max())
    assert seen == [1, 2]


def test_two_wells_in_a_folder_are_not_one_movie(tmp_path: Path, movie: np.ndarray) -> None:
    for name, image in zip(("a_t1", "a_t2", "b_t1"), movie, strict=True):
        tifffile.imwrite(tmp_path / f"{name}.tif", image)
    with pytest.raises(DataError, match=r"2 series: a_t#, b_t#; give each movie a folder"):
        find_images([tmp_path], SourceOptions(movie=True))
    assert len(find_images([tmp_path])) == 3


def test_a_movie_that_lacks_a_frame_is_refused(tmp_path: Path) -> None:
    # t05 as frame 3 would be at 1800 s, not 2400 s
    for name in ("t01", "t02", "t03", "t05", "t06"):
        tifffile.imwrite(tmp_path / f"{name}.tif", frame())
    with pytest.raises(DataError, match=r"between t03\.tif and t05\.tif, 2 apart .* are 1: times"):
        find_images([tmp_path], SourceOptions(movie=True, frame_interval_s=600))
    assert len(find_images([tmp_path])) == 5  # five stills lack nothing


def test_a_channel_is_chosen_however_its_path_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.arange(2 * 8 * 9, dtype=np.uint16).reshape(2, 8, 9)
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "a.tif", pixels, imagej=True, metadata={"axes": "CYX"})
    monkeypatch.chdir(tmp_path)
    for spec in ("in/a.tif#1", "./in/a.tif#1", "in//a.tif#1", "in/../in#1", "./in/#1"):
        (found,) = find_images([spec])
        np.testing.assert_array_equal(found.image.plane(), pixels[1])


@pytest.mark.parametrize(
    ("names", "gap"),
    [
        ("t0 t10 t20", None),
        ("t0 t10 t30", "t10.tif and t30.tif"),
        ("d1_t1 d1_t2 d1_t3 d2_t1 d2_t2", None),
        ("d1_t1 d1_t2 d1_t4 d2_t1 d2_t2", "d1_t2.tif and d1_t4.tif"),
        ("d1_t1 d1_t2 d2_t1 d2_t2 d4_t1", "d2_t1.tif and d4_t1.tif"),
        ("A1_00d23h30m A1_00d23h45m A1_01d00h00m", None),  # 15 minutes
        ("A1_00d23h15m A1_00d23h30m A1_01d00h00m", "A1_00d23h30m.tif and A1_01d00h00m.tif"),
        ("d1_h22 d1_h23 d2_h00", None),
        ("d1_h21 d1_h22 d2_h00", "d1_h22.tif and d2_h00.tif"),
        ("f1_600s f2_1200s f4_2400s", "f2_1200s.tif and f4_2400s.tif"),
        ("115001 120003 121002", None),  # ten minutes and a second or so by the clock
        ("115001 120003 122002", "120003.tif and 122002.tif"),
        ("20260131 20260201 20260202", None),
        ("00-00 01-30 03-00 04-30", None),  # 90 minutes
        ("00-00 01-30 04-30 06-00", "01-30.tif and 04-30.tif|00-00.tif and 01-30.tif"),
        ("d01_t01 d01_t02 d02_t01 d02_t02", None),
        ("d01_t01 d01_t02 d01_t04 d02_t01", "d01_t02.tif and d01_t04.tif"),
        ("t1 t01 t2", "have one number"),
    ],
)
def test_steps_of_the_numbers_in_names_show_what_is_missing(
    tmp_path: Path, names: str, gap: str | None
) -> None:
    files = [tmp_path / f"{name}.tif" for name in names.split()]
    if gap is None:
        check_frames(files)
        return
    with pytest.raises(DataError, match=gap):
        check_frames(files)


def test_equal_stems_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for name in ("set01", "set02"):
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "raw.tif", frame())
    found = find_images([tmp_path / "set01" / "raw.tif", tmp_path / "set02" / "raw.tif"])
    assert [source.name for source in found] == ["set01-raw", "set02-raw"]


def test_one_channel_of_several_is_chosen_and_remembered(tmp_path: Path) -> None:
    two = np.stack([frame(), frame((2, 2))])
    tifffile.imwrite(tmp_path / "a.ome.tif", two, metadata={"axes": "CYX"}, ome=True)
    with pytest.raises(DataError, match="2 channels"):
        segment_files([tmp_path / "a.ome.tif"], tmp_path / "seg", SEGMENTER)
    segment_files([tmp_path / "a.ome.tif"], tmp_path / "seg", SEGMENTER, SourceOptions(channel="1"))
    (one,) = read_segmentation(tmp_path / "seg")
    assert (one.image, one.cells_per_frame) == ("a", (1,))
    assert np.array_equal(one.open_image().plane(), two[1])


def test_frames_without_cells_and_sizes_that_are_not_known_are_noted(
    tmp_path: Path, movie: np.ndarray
) -> None:
    tifffile.imwrite(tmp_path / "m.tif", movie, metadata={"axes": "TYX"}, imagej=True)
    made = segment_files([tmp_path / "m.tif"], tmp_path / "seg", SEGMENTER)
    assert any(note == "1 of 3 frames have no cell" for note in made.notes)
    assert any("give --pixel-size" in note for note in made.notes)
    assert any(
        "1 of 1 movies do not say the time between frames" in note and "give --interval" in note
        for note in made.notes
    )
    about = json.loads((tmp_path / "seg" / "segmentation.json").read_text())
    assert about["notes"] == made.notes


def test_black_images_and_grey_ones_saved_in_color_are_noted(tmp_path: Path) -> None:
    grey = frame((2, 2))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 24, 3), np.uint8), photometric="rgb")
    tifffile.imwrite(tmp_path / "b.tif", np.stack([grey] * 3, axis=-1), photometric="rgb")
    tifffile.imwrite(tmp_path / "c.tif", grey)
    images = [tmp_path / f"{name}.tif" for name in "abc"]
    made = segment_files(images, tmp_path / "seg", SEGMENTER)
    assert not any("--interval" in note for note in made.notes)  # no movie
    assert made.cells == 2
    assert "1 of 3 frames have one grey value: they show nothing" in made.notes
    assert any(note.startswith("2 of 3 images are saved in color") for note in made.notes)


def test_a_large_frame_in_tiles_is_the_frame_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    image = (ndimage.gaussian_filter(rng.random((200, 230)), 3) > 0.51).astype(np.uint8)
    image[::40] = 0  # no object is higher than 39 px ...
    image[:, ::40] = 0  # ... or wider
    tifffile.imwrite(tmp_path / "a.tif", image)

    def begin(whole: np.ndarray, pixel_size_um: float | None) -> object:
        mean = np.asarray(whole[::2, ::3]).mean()  # of the frame, not of the tile

        def cells(tile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            labels = ndimage.label(tile > mean)[0]
            return labels, np.where(ndimage.binary_erosion(labels > 0), labels, 0)

        return cells

    segmenter = FrameSegmenter({}, begin, halo_px=lambda _: 64, nuclei=True)
    segment_files([tmp_path / "a.tif"], tmp_path / "at_once", segmenter)
    monkeypatch.setattr(module, "TILE_PX", 64)
    segment_files([tmp_path / "a.tif"], tmp_path / "tiles", segmenter)
    (whole,), (tiled,) = (read_segmentation(tmp_path / name) for name in ("at_once", "tiles"))
    assert whole.cells_per_frame == tiled.cells_per_frame
    for of_whole, of_tiles in ((whole.labels(), tiled.labels()), (whole.nuclei(), tiled.nuclei())):
        pairs = np.unique(np.stack([of_whole.ravel(), of_tiles.ravel()]), axis=1)
        assert pairs.shape[1] == np.unique(of_whole).size == np.unique(of_tiles).size
    assert not (tmp_path / "tiles" / "scratch").exists()


def test_pixels_that_are_no_numbers_are_told_with_file_and_frame(tmp_path: Path) -> None:
    movie = np.ones((3, 20, 24), np.float32)
    movie[:, 4:9, 4:9] = 7
    movie[2, 5, 5] = np.nan
    tifffile.imwrite(tmp_path / "m.tif", movie, metadata={"axes": "TYX"}, imagej=True)
    with pytest.raises(DataError, match=r"m\.tif: frame 2: pixels are not finite"):
        segment_files([tmp_path / "m.tif"], tmp_path / "seg", classical_segmenter({}))


def test_tiles_of_a_frame_share_the_threshold_of_the_classical_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # cells on the left; the right is quiet, where a threshold of its own would find cells
    rng = np.random.default_rng(0)
    yy, xx = np.mgrid[:200, :700]
    disks = ((yy % 66 - 33) ** 2 + (xx % 66 - 33) ** 2 <= 20**2) & (xx < 198)
    image = 1000 + np.where(disks, 20, 1) * rng.standard_normal(yy.shape)
    tifffile.imwrite(tmp_path / "a.tif", image.astype(np.float32))
    segmenter = classical_segmenter({"min_area_px2": 150, "threshold_scale": 1})
    segmenter = replace(segmenter, halo_px=lambda _: 64)
    segment_files([tmp_path / "a.tif"], tmp_path / "at_once", segmenter)
    monkeypatch.setattr(module, "TILE_PX", 128)
    segment_files([tmp_path / "a.tif"], tmp_path / "tiles", segmenter)
    (whole,), (tiled,) = (read_segmentation(tmp_path / name) for name in ("at_once", "tiles"))
    assert whole.cells_per_frame == tiled.cells_per_frame == (9,)
    assert np.array_equal(whole.labels() > 0, tiled.labels() > 0)


def test_frames_are_asked_for_one_at_a_time(tmp_path: Path, movie: np.ndarray) -> None:
    asked: list[int] = []

    def labels() -> Iterator[np.ndarray]:
        for t in range(3):
            asked.append(t)
            yield movie[t]

    done: list[list[int]] = []

    def nuclei() -> Iterator[np.ndarray]:
        for t in range(3):
            done.append(list(asked))
            yield movie[t]

    with create_segmentation(tmp_path / "seg", {}) as writer:
        writer.add("m", as_image(movie, "TYX"), None, labels(), nuclei())
    assert done == [[0], [0, 1], [0, 1, 2]]


# The command -------------------------------------------------------------------------------


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(segment_command)
    return app


def test_the_command_segments_and_reports(
    app: typer.Typer, tmp_path: Path, movie: np.ndarray
) -> None:
    tifffile.imwrite(tmp_path / "m.tif", movie, metadata={"axes": "TYX"}, imagej=True)
    arguments = [str(tmp_path / "m.tif"), "--method", "classical", "--pixel-size", "0.5"]
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "seg")])
    assert result.exit_code == 0, result.output
    assert "cells in 3 frames of 1 image: " in result.stdout
    (one,) = read_segmentation(tmp_path / "seg")
    assert one.pixel_size_um == 0.5


def test_settings_of_the_classical_method_are_given_in_micrometers(
    app: typer.Typer, tmp_path: Path
) -> None:
    image = np.zeros((90, 90), np.float32)
    image[20:60, 20:60] = np.random.default_rng(0).normal(0, 9, (40, 40))
    tifffile.imwrite(tmp_path / "a.tif", image)
    # 40 x 40 px of 0.5 um are 400 um2, less what is shrunk
    for least, cells in (("100", 1), ("900", 0)):
        out = tmp_path / f"seg{least}"
        words = ["--pixel-size", "0.5", "--set", f"min_area_um2={least}", "--out", str(out)]
        words = [str(tmp_path / "a.tif"), "--method", "classical", *words]
        assert CliRunner().invoke(app, words).exit_code == 0
        (one,) = read_segmentation(out)
        assert one.cells_per_frame == (cells,)
    about = json.loads((out / "segmentation.json").read_text())
    assert about["segmenter"]["settings"] == {"min_area_um2": "900"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "neither a model nor a method"),
        (["--method", "magic"], "method 'magic' is not known"),
        (["--method", "classical", "--model", "x"], "--model with --method classical"),
        (["--method", "classical", "--diameter", "9"], "--diameter is for --method cellpose"),
        (["--method", "stardist", "--set", "closing_px=3"], "--set is for --method classical"),
        (["--method", "classical", "--set", "closing=3"], "known: window_px, threshold_scale"),
        (["--method", "classical", "--set", "closing_um=3"], "a.tif: setting closing_um is in mic"),
    ],
)
def test_the_command_refuses_what_it_would_not_use(
    app: typer.Typer, tmp_path: Path, arguments: list[str], reason: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", frame())
    command = [str(tmp_path / "a.tif"), "--out", str(tmp_path / "seg"), *arguments]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, InputError)
    assert reason in str(result.exception)
    assert not (tmp_path / "seg").exists()
