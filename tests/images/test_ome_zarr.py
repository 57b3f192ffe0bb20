"""OME-Zarr: written by us, read by ome-zarr-py and by us; plates, labels, pyramids, shards."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from unstained.errors import DataError, FileError, InputError
from unstained.images.image import Array, Channel, Image, LazyPlanes, as_image
from unstained.images.ome_zarr_writer import (
    OmeZarrWriter,
    create_ome_zarr,
    write_ome_zarr,
)
from unstained.images.pyramid import block_mean
from unstained.images.read import fields_of, read_image, read_labels

CHANNELS = (Channel("DAPI", "0000FF"), Channel("CD105", "00FF00"))


def movie(height: int = 70, width: int = 90) -> Image:
    """2 frames, 2 channels, 3 planes of 16-bit noise with all facts known."""
    pixels = np.random.default_rng(0).integers(0, 60000, (2, 2, 3, height, width))
    return Image(pixels.astype(np.uint16), CHANNELS, 0.65, 120.0, 1.5)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_image_comes_back_as_it_was(tmp_path: Path, version: Any) -> None:
    image = replace(movie(), about={"predicted_by": ["1a2b"], "options": {"tta": False}})
    write_ome_zarr(image, tmp_path / "a.zarr", version=version, chunk=32)
    back = read_image(tmp_path / "a.zarr")
    assert back.dtype == np.uint16
    np.testing.assert_array_equal(back.data[:], image.data)
    assert back.channels == CHANNELS
    assert (back.pixel_size_um, back.frame_interval_s, back.z_step_um) == (0.65, 120.0, 1.5)
    assert back.about == image.about
    assert back.predicted
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_an_image_from_elsewhere_says_nothing_of_how_it_was_made(tmp_path: Path) -> None:
    plain = write_ome_zarr(movie(), tmp_path / "plain.zarr")
    assert "unstained" not in zarr.open_group(plain, mode="r").attrs
    assert read_image(plain).about == {}
    zarr.open_group(plain, mode="a").attrs["unstained"] = "by hand"
    assert not read_image(plain).predicted


@pytest.mark.parametrize("labels", [False, True])
def test_an_image_is_called_as_its_folder_without_the_endings(tmp_path: Path, labels: bool) -> None:
    folder = tmp_path / "phase_z00.ome.zarr"
    with create_ome_zarr(folder, (1, 1, 1, 20, 20), int, CHANNELS[:1], 0.65, labels=labels):
        pass
    write_ome_zarr(movie(), tmp_path / "a.b.zarr")
    names = [
        zarr.open_group(path, mode="r").attrs["ome"]["multiscales"][0]["name"]
        for path in (folder, tmp_path / "a.b.zarr")
    ]
    assert names == ["phase_z00", "a.b"]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_py_reads_image_levels_channels_and_labels(tmp_path: Path, version: Any) -> None:
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    image = movie()
    cells = np.zeros((70, 90), np.int32)
    cells[5:20, 7:30] = 300
    one = Image(image.data[:1, :, :1], CHANNELS, 0.65)
    write_ome_zarr(one, tmp_path / "a.zarr", version=version, chunk=32, labels={"cells": cells})
    location = parse_url(tmp_path / "a.zarr", mode="r")
    assert location is not None
    assert location.fmt.version == version
    nodes = {node.zarr.basename(): node for node in Reader(location)()}
    seen = nodes["a.zarr"]
    np.testing.assert_array_equal(seen.data[0].compute(), one.data)
    # 70 x 90 -> 35 x 45 -> 18 x 23, which fits into one chunk of 32
    assert [level.shape[-2:] for level in seen.data] == [(70, 90), (35, 45), (18, 23)]
    assert seen.metadata["channel_names"] == ["DAPI", "CD105"]
    assert seen.metadata["colormap"][0] == [[0, 0, 0], [0, 0, 1]]
    scale = seen.metadata["coordinateTransformations"][1][0]["scale"]
    assert scale == [1.0, 1.0, 1.0, 1.3, 1.3]
    np.testing.assert_array_equal(nodes["cells"].data[0].compute()[0, 0, 0], cells)


def test_the_metadata_of_0_5_is_what_the_standard_shows(tmp_path: Path) -> None:
    one = Image(np.full((1, 1, 1, 40, 40), 7, np.uint16), (Channel("phase"),), 0.5)
    write_ome_zarr(one, tmp_path / "a.zarr", chunk=32)
    ome = json.loads((tmp_path / "a.zarr" / "zarr.json").read_text())["attributes"]["ome"]
    assert ome["version"] == "0.5"
    scales = ome["multiscales"][0]
    assert [axis["name"] for axis in scales["axes"]] == ["t", "c", "z", "y", "x"]
    assert scales["axes"][4] == {"name": "x", "type": "space", "unit": "micrometer"}
    assert "unit" not in scales["axes"][0]  # the interval is not known
    first, second = scales["datasets"]
    assert first["coordinateTransformations"] == [{"type": "scale", "scale": [1, 1, 1, 0.5, 0.5]}]
    # the mean of pixels 0 and 1 lies at 0.5 px = 0.25 um
    assert second["coordinateTransformations"][1]["translation"] == [0, 0, 0, 0.25, 0.25]
    channel = ome["omero"]["channels"][0]
    assert (channel["label"], channel["color"]) == ("phase", "FFFFFF")
    assert channel["window"] == {"start": 7.0, "end": 8.0, "min": 0.0, "max": 65535.0}
    array = json.loads((tmp_path / "a.zarr" / "0" / "zarr.json").read_text())
    assert array["dimension_names"] == ["t", "c", "z", "y", "x"]
    assert array["chunk_grid"]["configuration"]["chunk_shape"] == [1, 1, 1, 32, 32]


def test_the_standards_own_models_accept_what_we_write(tmp_path: Path) -> None:
    from ome_zarr_models import open_ome_zarr

    labels = {"cells": np.ones((70, 90), np.uint16)}
    one = Image(movie().data[:1, :, :1], CHANNELS, 0.65)
    for version in ("0.4", "0.5"):
        path = tmp_path / f"{version}.zarr"
        write_ome_zarr(one, path, version=version, chunk=32, labels=labels)  # type: ignore[arg-type]
        assert open_ome_zarr(zarr.open_group(path, mode="r"), version=version).attributes  # type: ignore[arg-type]


def test_coarser_pixels_are_the_mean_of_four() -> None:
    fine = np.array([[1, 3, 10], [5, 10, 20], [100, 104, 7]], np.uint16)
    # (1 + 3 + 5 + 10) / 4 = 4.75; (10 + 20) / 2 = 15; (100 + 104) / 2 = 102; 7 alone
    np.testing.assert_array_equal(block_mean(fine, 2), [[5, 15], [102, 7]])
    assert block_mean(fine, 2).dtype == np.uint16
    np.testing.assert_allclose(block_mean(fine[:2, :2].astype(float), 2), [[4.75]])


def test_means_of_large_numbers_do_not_overflow() -> None:
    fine = np.full((4, 4), 65535, np.uint16)
    np.testing.assert_array_equal(block_mean(fine, 2), fine[:2, :2])


def test_levels_and_labels_shrink_each_in_its_way(tmp_path: Path) -> None:
    image = movie(64, 64)
    one = Image(image.data[:1, :1, :1], (Channel("a"),), 1.0)
    cells = np.arange(64 * 64).reshape(64, 64).astype(np.int32)
    write_ome_zarr(one, tmp_path / "a.zarr", chunk=32, labels={"cells": cells})
    level = read_image(tmp_path / "a.zarr").levels[0]
    expected = one.plane()[:2, 2:4].mean()
    assert level[0, 0, 0, 0, 1] == round(float(expected))
    coarse = read_image(tmp_path / "a.zarr/labels/cells").levels[0]
    np.testing.assert_array_equal(coarse[0, 0, 0], cells[::2, ::2])
    np.testing.assert_array_equal(read_labels(tmp_path / "a.zarr"), cells)
    assert read_labels(tmp_path / "a.zarr").dtype == np.int32


def test_blocks_in_any_order_make_the_image(tmp_path: Path) -> None:
    image = movie(100, 130)
    path = tmp_path / "a.zarr"
    with create_ome_zarr(path, image.shape, "u2", CHANNELS, 0.65, chunk=32) as writer:
        assert not path.exists()
        for t, c, z in reversed(list(np.ndindex(2, 2, 3))):
            for y in (50, 0):
                for x in (70, 0):  # no multiple of the chunk
                    block = image.data[t, c, z, y : y + 50, x : x + 70]
                    writer.write(t, c, z, y, x, block)
    back = read_image(path)
    np.testing.assert_array_equal(back.data[:], image.data)
    assert len(back.levels) == 3  # 130 -> 65 -> 33 -> 17


@pytest.mark.parametrize("through", ["blocks", "whole"])
def test_a_large_plane_goes_into_shards_and_comes_back(tmp_path: Path, through: str) -> None:
    # shards of 4 x 16 = 64 px: 300 x 140 px make 5 x 3 of them, of 19 x 9 chunks
    pixels = np.random.default_rng(1).random((1, 1, 1, 300, 140)).astype(np.float32)
    path = tmp_path / "a.zarr"
    if through == "whole":
        write_ome_zarr(Image(pixels, (Channel("a"),)), path, chunk=16)
    else:
        with create_ome_zarr(path, pixels.shape, "f4", [Channel("a")], None, chunk=16) as writer:
            for y in range(0, 300, 60):
                writer.write(0, 0, 0, y, 0, pixels[0, 0, 0, y : y + 60])
    array = zarr.open_array(path / "0", mode="r")
    assert array.shards == (1, 1, 1, 64, 64)
    assert array.chunks == (1, 1, 1, 16, 16)
    assert len([p for p in (path / "0" / "c").rglob("*") if p.is_file()]) == 15
    np.testing.assert_array_equal(read_image(path).data[:], pixels)
    assert sorted(p.name for p in path.iterdir()) == ["0", "1", "2", "3", "4", "5", "zarr.json"]
    np.testing.assert_allclose(
        read_image(path).levels[0][0, 0, 0, 3, 4], pixels[0, 0, 0, 6:8, 8:10].mean(), rtol=1e-6
    )


def test_a_large_image_is_written_a_block_at_a_time(tmp_path: Path) -> None:
    class Watched(LazyPlanes):
        most = 0

        def _crop(self, t: int, c: int, z: int, y: slice, x: slice) -> Array:
            block = np.zeros((y.stop - y.start, x.stop - x.start), np.uint8)
            self.most = max(self.most, block.size)
            return block

    data = Watched((1, 1, 1, 3000, 5000), np.dtype(np.uint8))
    write_ome_zarr(Image(data, (Channel("a"),)), tmp_path / "a.zarr", chunk=128)
    assert data.most == 1024 * 1024  # four shards of 4 x 4 chunks of 128 px


def test_a_crop_reads_only_the_chunks_below_it(tmp_path: Path) -> None:
    pixels = np.ones((128, 128), np.uint8)
    path = write_ome_zarr(as_image(pixels, "YX"), tmp_path / "a.zarr", chunk=32)
    for chunk in (path / "0" / "c" / "0" / "0" / "0").rglob("*"):
        if chunk.is_file() and chunk.relative_to(path / "0/c/0/0/0").as_posix() != "1/2":
            chunk.write_bytes(b"broken")
    image = read_image(path)
    assert image.data[0, 0, 0, 32:64, 64:96].all()
    with pytest.raises(FileError, match=r"a.zarr: a chunk cannot be read .*; copy it again"):
        _ = image.data[0, 0, 0, 30:64, 64:96]


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with create_ome_zarr(tmp_path / "a.zarr", (1, 1, 1, 64, 64), "u1", [Channel("a")], 1) as w:
            w.write(0, 0, 0, 0, 0, np.ones((64, 64), np.uint8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zarr.Array, "__setitem__", full)
    with pytest.raises(FileError, match=r"a.zarr: cannot be written: No space left.*; free some"):
        write_ome_zarr(movie(), tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_replaced_only_on_request(tmp_path: Path) -> None:
    write_ome_zarr(movie(), tmp_path / "a.zarr")
    with pytest.raises(FileError, match="exists already"):
        write_ome_zarr(movie(), tmp_path / "a.zarr")
    write_ome_zarr(movie(32, 32), tmp_path / "a.zarr", overwrite=True)
    assert read_image(tmp_path / "a.zarr").shape == (2, 2, 3, 32, 32)


def test_blocks_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with create_ome_zarr(tmp_path / "a.zarr", (1, 1, 1, 64, 64), "u1", [Channel("a")], 1) as writer:
        with pytest.raises(InputError, match="inside the image"):
            writer.write(0, 0, 0, 60, 0, np.ones((8, 8), np.uint8))
        with pytest.raises(InputError, match="block of float64 for an image of uint8"):
            writer.write(0, 0, 0, 0, 0, np.ones((8, 8)))


def test_wrong_labels_and_versions_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    image = as_image(np.zeros((64, 64), np.uint8), "YX")
    for labels in (np.zeros((64, 63), int), np.zeros((64, 64))):
        with pytest.raises(InputError, match="labels 'cells'"):
            write_ome_zarr(image, tmp_path / "a.zarr", labels={"cells": labels})
    with pytest.raises(InputError, match="OME-Zarr version"):
        write_ome_zarr(image, tmp_path / "a.zarr", version="0.3")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_pixel_size_stays_unknown(tmp_path: Path) -> None:
    write_ome_zarr(as_image(np.zeros((64, 64), np.uint8), "YX"), tmp_path / "a.zarr")
    back = read_image(tmp_path / "a.zarr")
    assert back.pixel_size_um is None
    assert back.frame_interval_s is None


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    """Wells A/1 with two fields and B/2 with one."""
    path = tmp_path / "plate.zarr"
    root = zarr.open_group(path, mode="w", zarr_format=3)
    wells = {"A/1": 2, "B/2": 1}
    listed = [{"path": well, "rowIndex": i, "columnIndex": i} for i, well in enumerate(wells)]
    root.attrs["ome"] = {"version": "0.5", "plate": {"wells": listed}}
    for value, (well, n_fields) in enumerate(wells.items(), 1):
        images = [{"path": str(i)} for i in range(n_fields)]
        group = root.create_group(well)
        group.attrs["ome"] = {"version": "0.5", "well": {"images": images}}
        for i in range(n_fields):
            pixels = np.full((40, 40), 10 * value + i, np.uint8)
            write_ome_zarr(as_image(pixels, "YX"), path / well / str(i))
    return path


def test_a_plate_lists_its_fields_and_each_is_an_image(plate: Path) -> None:
    fields = fields_of(plate)
    inside = [Path(field).relative_to(plate).as_posix() for field in fields]
    assert inside == ["A/1/0", "A/1/1", "B/2/0"]
    assert [int(read_image(field).plane()[0, 0]) for field in fields] == [10, 11, 20]
    assert read_image(plate / "B/2").plane()[0, 0] == 20  # a well with one field is that field
    with pytest.raises(DataError, match=r"plate.zarr: holds 3 fields; choose one.*0"):
        read_image(plate)
    with pytest.raises(FileError, match="does not exist"):
        read_image(plate / "C/9/0")


def test_a_file_of_axes_tyx_with_foreign_units_is_understood(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    group.create_array("s0", data=np.arange(2 * 8 * 9, dtype=">u2").reshape(2, 8, 9))
    axes = [
        {"name": "t", "type": "time", "unit": "minute"},
        {"name": "y", "type": "space", "unit": "nanometer"},
        {"name": "x", "type": "space", "unit": "nanometer"},
    ]
    inner = [{"type": "scale", "scale": [1, 325, 325]}]
    outer = [{"type": "scale", "scale": [2, 2, 2]}]
    datasets = [{"path": "s0", "coordinateTransformations": inner}]
    group.attrs["multiscales"] = [
        {"version": "0.4", "axes": axes, "datasets": datasets, "coordinateTransformations": outer}
    ]
    image = read_image(tmp_path / "a.zarr")
    assert image.shape == (2, 1, 1, 8, 9)
    # 325 nm x 2 = 0.65 um; 1 min x 2 = 120 s
    assert image.pixel_size_um == pytest.approx(0.65)
    assert image.frame_interval_s == 120.0
    assert image.dtype == np.dtype("=u2")
    np.testing.assert_array_equal(image.plane(t=1), np.arange(72, 144).reshape(8, 9))


def test_a_folder_that_is_no_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no readable OME-Zarr folder"):
        read_image(tmp_path)
    zarr.open_group(tmp_path / "empty.zarr", mode="w")
    with pytest.raises(FileError, match=r"empty.zarr: is a folder without an OME-Zarr image"):
        read_image(tmp_path / "empty.zarr")


def test_labels_must_be_chosen_where_there_are_several(tmp_path: Path) -> None:
    image = as_image(np.zeros((64, 64), np.uint8), "YX")
    ones: Array = np.ones((64, 64), np.uint16)
    write_ome_zarr(image, tmp_path / "a.zarr", labels={"cells": ones, "nuclei": 2 * ones})
    with pytest.raises(DataError, match="cells, nuclei; give its folder"):
        read_labels(tmp_path / "a.zarr")
    assert read_labels(tmp_path / "a.zarr/labels/nuclei")[0, 0] == 2


def test_writer_is_what_create_yields(tmp_path: Path) -> None:
    with create_ome_zarr(tmp_path / "a.zarr", (1, 1, 1, 8, 8), "f4", [Channel("a")], 1) as writer:
        assert isinstance(writer, OmeZarrWriter)
        assert (writer.shape, writer.dtype) == ((1, 1, 1, 8, 8), np.dtype("f4"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda ome: ome.update(multiscales="x"), "metadata that cannot be read"),
        (lambda ome: ome["multiscales"][0]["axes"][0].update(name="x"), "axes xczyx"),
    ],
)
def test_metadata_of_another_kind_are_named(change: Any, said: str, tmp_path: Path) -> None:
    write_ome_zarr(movie(), tmp_path / "a.zarr")
    file = tmp_path / "a.zarr" / "zarr.json"
    told = json.loads(file.read_text(encoding="utf-8"))
    change(told["attributes"]["ome"])
    file.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises((DataError, FileError), match=said):
        read_image(tmp_path / "a.zarr")
