"""PNG, JPEG, NumPy, color, selectors, what the caller gives, and bad input by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from unstained.errors import DataError, FileError, InputError
from unstained.images.image import Channel
from unstained.images.read import (
    fields_of,
    name_of_source,
    read_image,
    read_labels,
    split_selector,
)

GREY = (np.arange(200 * 300).reshape(200, 300) % 65521).astype(np.uint16)
BYTES = (GREY >> 8).astype(np.uint8)


def write_png_of(path: Path, pixels: Any) -> Path:
    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels)))
    return path


@pytest.mark.parametrize("pixels", [GREY, BYTES])
def test_a_grey_png_keeps_its_depth(tmp_path: Path, pixels: Any) -> None:
    image = read_image(write_png_of(tmp_path / "a.png", pixels))
    assert image.shape == (1, 1, 1, 200, 300)
    assert image.dtype == pixels.dtype
    np.testing.assert_array_equal(image.data[0, 0, 0, 20:30, 40:50], pixels[20:30, 40:50])


@pytest.mark.parametrize("pixels", [GREY, BYTES])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
@pytest.mark.parametrize("alpha", [False, True])
def test_grey_stored_as_rgb_is_one_channel(
    tmp_path: Path, pixels: Any, suffix: str, alpha: bool
) -> None:
    samples = [pixels] * 3 + ([np.full_like(pixels, 255)] if alpha else [])
    path = tmp_path / f"a{suffix}"
    save(path, np.stack(samples, -1))
    image = read_image(path)
    assert image.shape == (1, 1, 1, 200, 300)
    assert image.dtype == pixels.dtype
    np.testing.assert_array_equal(image.plane(), pixels)


def save(path: Path, pixels: Any) -> None:
    if path.suffix == ".png":
        write_png_of(path, pixels)
    elif path.suffix == ".npy":
        np.save(path, pixels)
    else:
        tifffile.imwrite(path, pixels, photometric="rgb")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_real_color_is_refused_with_a_hint_and_one_color_can_be_taken(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    save(path, np.stack([BYTES, BYTES // 2, BYTES * 0], -1))
    with pytest.raises(
        DataError, match=r"is a color image; export the grey values .*PATH#R.* axes TYX"
    ):
        read_image(path)
    green = read_image(f"{path}#g")
    assert green.channels == (Channel("G"),)
    np.testing.assert_array_equal(green.plane(), BYTES // 2)


def test_a_speck_of_color_is_found_when_its_block_is_read(tmp_path: Path) -> None:
    pixels = np.zeros((1000, 1000, 3), np.uint8)
    pixels[150, 150, 0] = 200  # between the blocks that are looked at when the file is opened
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
    image = read_image(tmp_path / "a.tif")
    assert image.data[0, 0, 0, 200:300, 200:300].sum() == 0
    with pytest.raises(DataError, match="is a color image"):
        _ = image.data[0, 0, 0, 100:200, 100:200]


def test_a_grey_rgb_file_has_no_channel_of_another_name(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    save(path, np.stack([BYTES] * 3, -1))
    with pytest.raises(DataError, match="no single channel 'DAPI'"):
        read_image(f"{path}#DAPI")


def test_jpeg_grey_and_grey_as_rgb_are_read(tmp_path: Path) -> None:
    smooth = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    for pixels in (smooth, np.stack([smooth] * 3, -1)):
        (tmp_path / "a.jpg").write_bytes(imagecodecs.jpeg8_encode(pixels, level=95))
        image = read_image(tmp_path / "a.jpg")
        assert image.shape == (1, 1, 1, 64, 256)
        assert np.abs(image.plane().astype(int) - smooth).max() <= 3


def test_labels_in_a_png_with_a_palette_are_its_numbers(tmp_path: Path) -> None:
    from PIL import Image as Pillow

    labels = np.zeros((20, 30), np.uint8)
    labels[5:9, 5:9] = 7
    picture = Pillow.fromarray(labels, "P")
    picture.putpalette([9, 8, 7] * 256)
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), labels)


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [
        ((6, 7), None, (1, 1, 1, 6, 7)),
        ((5, 6, 7), None, (1, 1, 5, 6, 7)),
        ((5, 6, 7), "TYX", (5, 1, 1, 6, 7)),
        ((2, 5, 6, 7), "CTYX", (5, 2, 1, 6, 7)),
        ((2, 3, 4, 6, 7), None, (2, 3, 4, 6, 7)),
    ],
)
def test_npy_axes(tmp_path: Path, shape: Any, axes: str | None, expected: Any) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape, np.float32))
    image = read_image(tmp_path / "a.npy", axes=axes)
    assert image.shape == expected
    assert image.dtype == np.float32


def test_npy_pixels_come_in_the_machines_byte_order(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.stack([GREY, GREY + 1]).astype(">u2"))
    image = read_image(tmp_path / "a.npy")
    assert image.dtype == np.dtype("=u2")
    np.testing.assert_array_equal(image.data[0, 0, 1, 5:9, 7:], GREY[5:9, 7:] + 1)
    np.save(tmp_path / "a.npy", GREY > 9)
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(read_image(tmp_path / "a.npy").plane(), GREY > 9)


def test_an_npy_of_unknown_axes_or_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((2, 5, 6, 7)))
    with pytest.raises(DataError, match="name them, for example axes='CZYX'"):
        read_image(path)
    np.save(path, np.array([{}, 1], object), allow_pickle=True)
    with pytest.raises(FileError, match="without Python objects"):
        read_image(path)
    np.save(path, np.zeros((6, 7), complex))
    with pytest.raises(DataError, match="holds complex128"):
        read_image(path)


# What the caller gives -----------------------------------------------------------------------


def test_facts_from_the_caller_replace_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "CYX", "PhysicalSizeX": 0.5, "Channel": {"Name": ["a", "b"]}}
    tifffile.imwrite(path, np.stack([GREY, GREY + 1]), metadata=metadata)
    image = read_image(
        path, pixel_size_um=0.65, frame_interval_s=120, channel_names=["phase", "DAPI"]
    )
    assert (image.pixel_size_um, image.frame_interval_s) == (0.65, 120.0)
    assert [c.name for c in image.channels] == ["phase", "DAPI"]
    chosen = read_image(f"{path}#DAPI", channel_names=["phase", "DAPI"])
    np.testing.assert_array_equal(chosen.plane(), GREY + 1)


@pytest.mark.parametrize("size", [0, -0.5, float("nan"), float("inf"), 100.5])
def test_an_absurd_pixel_size_from_the_caller_is_refused(tmp_path: Path, size: float) -> None:
    path = write_png_of(tmp_path / "a.png", GREY)
    with pytest.raises(InputError, match=r"pixel_size_um is .*; give micrometers, above 0 and"):
        read_image(path, pixel_size_um=size)


@pytest.mark.parametrize("interval", [0, -1.0, float("nan")])
def test_an_absurd_interval_from_the_caller_is_refused(tmp_path: Path, interval: float) -> None:
    path = write_png_of(tmp_path / "a.png", GREY)
    with pytest.raises(InputError, match=r"frame_interval_s is .*; give seconds, above 0"):
        read_image(path, frame_interval_s=interval)


def test_names_must_be_as_many_as_channels(tmp_path: Path) -> None:
    path = write_png_of(tmp_path / "a.png", GREY)
    for names in (["a", "b"], "a"):
        with pytest.raises(InputError, match=r"a.png: .* does not name 1 channels"):
            read_image(path, channel_names=names)


def test_a_selector_is_taken_apart(tmp_path: Path) -> None:
    assert split_selector("a.tif").channel is None
    one = split_selector("dir/a.tif#field=2#DAPI")
    assert (one.path, one.field, one.channel) == (Path("dir/a.tif"), 2, "DAPI")
    odd = write_png_of(tmp_path / "well#3.png", GREY)  # a file may have # in its name
    assert split_selector(odd).path == odd
    assert split_selector(f"{odd}#0").channel == "0"
    np.testing.assert_array_equal(read_image(f"{odd}#0").plane(), GREY)


def stack(path: Path) -> tuple[str, np.ndarray]:
    """Two channels, five planes each; every pixel differs."""
    pixels = np.arange(2 * 5 * 6 * 7, dtype=np.uint16).reshape(2, 5, 6, 7)
    tifffile.imwrite(path, pixels, ome=True, metadata={"axes": "CZYX"})
    return str(path), pixels


def test_planes_of_a_stack_are_chosen(tmp_path: Path) -> None:
    path, pixels = stack(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(read_image(f"{path}#z=3").planes(), pixels[:, 3])
    np.testing.assert_array_equal(
        read_image(f"{path}#z=1:4#1").planes(y=slice(2, 4)), pixels[1, 1:4, 2:4]
    )
    np.testing.assert_array_equal(read_image(f"{path}#0#z=0:5").planes(), pixels[0])


@pytest.mark.parametrize("z", ["5", "3:3", "4:2", "2:9"])
def test_planes_that_a_stack_lacks_are_refused(z: str, tmp_path: Path) -> None:
    path, _ = stack(tmp_path / "a.ome.tif")
    with pytest.raises(DataError, match=r"a\.ome\.tif: has 5 planes in z, and plane"):
        read_image(f"{path}#z={z}")


def test_planes_of_a_stack_have_results_of_their_own() -> None:
    names = [name_of_source(f"a/stack.tif#z={z}#phase") for z in ("3", "3:6", "4")]
    assert names == ["stack_z3_phase", "stack_z3-6_phase", "stack_z4_phase"]


@pytest.mark.parametrize("path", ["a.tif", "./a.tif", "b//a.tif", "../a.tif"])
def test_what_is_chosen_inside_a_file_does_not_depend_on_how_its_path_is_written(path: str) -> None:
    for inside in ("", "#field=2#z=1:3#DAPI", "#0", "#a#b"):
        assert split_selector(path + inside).inside == inside


def test_an_image_is_its_own_only_field(tmp_path: Path) -> None:
    path = write_png_of(tmp_path / "a.png", GREY)
    assert fields_of(path) == [str(path)]


# Bad input -----------------------------------------------------------------------------------


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for call in (read_image, read_labels, fields_of):
        with pytest.raises(FileError, match=r"none.tif: does not exist; check the path"):
            call(tmp_path / "none.tif")


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg", "a.npy", "a.czi"])
def test_an_empty_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(FileError, match=rf"{name}: is empty \(0 bytes\); copy it again"):
        read_image(tmp_path / name)


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg", "a.npy"])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 this is a spreadsheet" * 10)
    with pytest.raises(FileError) as caught:
        read_image(tmp_path / name)
    assert caught.value.file == str(tmp_path / name)
    assert caught.value.remedy


def test_an_unknown_type_is_named_with_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_text("x")
    with pytest.raises(FileError, match=r"not read \(.docx\); convert it to OME-TIFF .* .png,"):
        read_image(tmp_path / "a.docx")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["png", "jpg", "npy"])
def test_a_truncated_picture_is_named(tmp_path: Path, kind: str, kept: float) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "npy":
        np.save(path, GREY)
    else:
        encode = {"png": imagecodecs.png_encode, "jpg": imagecodecs.jpeg8_encode}[kind]
        path.write_bytes(encode(BYTES))
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(FileError, match=rf"a.{kind}: .*; "):
        read_image(path)


def test_importing_the_package_brings_nothing_heavy() -> None:
    code = (
        "import sys, unstained.images\n"
        "print([m for m in ('numpy', 'zarr', 'tifffile', 'pandas', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
