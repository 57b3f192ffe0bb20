"""What is written is read again by others and by us; a full disk leaves nothing."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from unstained.errors import FileError, InputError
from unstained.images.image import Array, Channel, Image, LazyPlanes
from unstained.images.read import read_image
from unstained.images.write import write_ome_tiff, write_png

CHANNELS = (Channel("DAPI", "0000FF"), Channel("CD105", "FF8000"))
PIXELS = np.random.default_rng(0).integers(0, 60000, (2, 2, 3, 70, 90)).astype(np.uint16)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_an_ome_tiff_comes_back_as_it_was(tmp_path: Path, dtype: str) -> None:
    pixels = (PIXELS % 251).astype(dtype)
    path = write_ome_tiff(
        Image(pixels, CHANNELS, 0.65, 120.0, 1.5), tmp_path / "a.ome.tif", tile=32
    )
    back = read_image(path)
    assert back.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(back.data[:], pixels)
    assert back.channels == CHANNELS
    assert (back.pixel_size_um, back.frame_interval_s, back.z_step_um) == (0.65, 120.0, 1.5)
    np.testing.assert_array_equal(tifffile.imread(path), pixels)
    assert [p.name for p in tmp_path.iterdir()] == ["a.ome.tif"]


def test_an_ome_tiff_says_that_it_was_predicted(tmp_path: Path) -> None:
    about = {"predicted_by": ["1a2b"], "learned_from": ["µ < 1 & day 2"]}
    image = Image(PIXELS, CHANNELS, about=about)
    assert read_image(write_ome_tiff(image, tmp_path / "a.ome.tif")).about == about
    plain = write_ome_tiff(replace(image, about={}), tmp_path / "plain.ome.tif")
    assert read_image(plain).about == {}
    # a comment of another program, or of one that only seems to be ours
    for text in ("not JSON", "[1]"):
        odd = tmp_path / "odd.ome.tif"
        note = {"Namespace": "unstained", "Value": text}
        tifffile.imwrite(odd, PIXELS[0, 0, 0], metadata={"axes": "YX", "CommentAnnotation": note})
        assert not read_image(odd).predicted


class Wide(LazyPlanes):
    """An image that says how much of it was asked for at once."""

    most = 0

    def _crop(self, t: int, c: int, z: int, y: slice, x: slice) -> Array:
        block = np.zeros((y.stop - y.start, x.stop - x.start), np.uint8)
        self.most = max(self.most, block.size)
        return block


def test_an_ome_tiff_is_written_a_band_of_tiles_at_a_time(tmp_path: Path) -> None:
    data = Wide((1, 1, 1, 4000, 3000), np.dtype(np.uint8))
    write_ome_tiff(Image(data, (Channel("a"),)), tmp_path / "a.ome.tif", tile=256)
    assert data.most == 256 * 3000


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("samples", [None, 3])
def test_a_png_comes_back_as_it_was(tmp_path: Path, dtype: Any, samples: int | None) -> None:
    pixels = PIXELS[0, 0, 0].astype(dtype)
    if samples:
        pixels = np.stack([pixels, pixels // 2, pixels // 3], -1)
    path = write_png(pixels, tmp_path / "a.png")
    if samples is None:
        back = read_image(path)
        assert back.dtype == dtype
        np.testing.assert_array_equal(back.plane(), pixels)
    else:
        green = read_image(f"{path}#G")
        np.testing.assert_array_equal(green.plane(), pixels[..., 1])
    if dtype == np.uint8:
        np.testing.assert_array_equal(np.asarray(Pillow.open(path)), pixels)


@pytest.mark.parametrize("array", [np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8)])
def test_what_is_no_png_is_refused(tmp_path: Path, array: Array) -> None:
    with pytest.raises(InputError, match="is no PNG; scale it to uint8 or uint16"):
        write_png(array, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tifffile.TiffWriter, "write", full)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FileError, match=r"a.ome.tif: cannot be written: No space left.*; free"):
        write_ome_tiff(Image(PIXELS, CHANNELS), tmp_path / "a.ome.tif")
    with pytest.raises(FileError, match=r"a.png: cannot be written: No space left.*; free"):
        write_png(PIXELS[0, 0, 0], tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_no_file(tmp_path: Path) -> None:
    class Interrupted(Wide):
        def _crop(self, t: int, c: int, z: int, y: slice, x: slice) -> Array:
            if y.start > 0:
                raise KeyboardInterrupt
            return super()._crop(t, c, z, y, x)

    data = Interrupted((1, 1, 1, 100, 100), np.dtype(np.uint8))
    with pytest.raises(KeyboardInterrupt):
        write_ome_tiff(Image(data, (Channel("a"),)), tmp_path / "a.ome.tif", tile=32)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_image_is_replaced_only_on_request(tmp_path: Path) -> None:
    image = Image(PIXELS, CHANNELS)
    path = write_ome_tiff(image, tmp_path / "a.ome.tif")
    with pytest.raises(FileError, match="exists already"):
        write_ome_tiff(image, path)
    write_ome_tiff(Image(PIXELS[:1], CHANNELS), path, overwrite=True)
    assert read_image(path).shape[0] == 1


@pytest.mark.parametrize("dtype", ["int64", "uint64", "float16", "bool"])
def test_an_ome_tiff_of_a_type_that_ome_does_not_know_is_refused(
    tmp_path: Path, dtype: str
) -> None:
    image = Image(np.zeros((1, 1, 1, 4, 4), dtype), (Channel("a"),))
    with pytest.raises(InputError, match=f"pixels of type {dtype}"):
        write_ome_tiff(image, tmp_path / "a.ome.tif")
    assert list(tmp_path.iterdir()) == []
