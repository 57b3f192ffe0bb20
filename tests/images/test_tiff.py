"""TIFF: every flavor gives the same pixels, a crop reads little, and broken files are named."""

from __future__ import annotations

import copy
import logging
import struct
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from unstained.errors import DataError, FileError
from unstained.images import tiff
from unstained.images.image import Channel
from unstained.images.read import fields_of, read_image, read_labels
from unstained.images.tiff import open_tiff

NOISE = np.random.default_rng(0).integers(0, 65535, (3, 100, 130)).astype(np.uint16)

FLAVORS: dict[str, dict[str, Any]] = {
    "plain": {},
    "one strip": {"rowsperstrip": 100},
    "strips, LZW": {"compression": "lzw", "rowsperstrip": 7, "predictor": True},
    "tiles, deflate": {"compression": "zlib", "tile": (32, 48)},
    "tiles, plain": {"tile": (32, 48)},
    "bigtiff": {"bigtiff": True, "compression": "zstd"},
    "big endian": {"byteorder": ">"},
    "big endian, deflate": {"byteorder": ">", "compression": "zlib"},
    "no metadata": {"metadata": None, "compression": "zlib"},
    "imagej": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "ome": {"ome": True, "metadata": {"axes": "ZYX"}},
}


@pytest.mark.parametrize("flavor", FLAVORS)
def test_a_stack_of_any_flavor_keeps_its_16_bit_pixels(tmp_path: Path, flavor: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, NOISE, photometric="minisblack", **FLAVORS[flavor])
    image = read_image(path)
    assert image.shape == (1, 1, 3, 100, 130)
    assert image.dtype == np.dtype("=u2")
    np.testing.assert_array_equal(image.data[0, 0], NOISE)
    np.testing.assert_array_equal(image.data[0, 0, 1:, 31:66, 47:97], NOISE[1:, 31:66, 47:97])
    assert image.data[0, 0, 2, -1, -1] == NOISE[2, -1, -1]


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "f4", "f8"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_the_type_of_the_pixels_stays(tmp_path: Path, dtype: str, compression: Any) -> None:
    pixels = (np.arange(50 * 60).reshape(50, 60) % 251).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, compression=compression)
    image = read_image(tmp_path / "a.tif")
    assert image.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(image.plane(), pixels)


def test_a_crop_of_a_compressed_mosaic_decodes_only_its_tiles(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, NOISE[0], tile=(32, 32), compression="zlib", metadata=None)
    with tifffile.TiffFile(path) as tif:
        page = tif.pages.first
        places = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    # 130 px are 5 tiles across: rows 32-63, columns 64-95 are tile 1 * 5 + 2 = 7
    data = bytearray(path.read_bytes())
    for i, (offset, count) in enumerate(places):
        if i != 7:
            data[offset : offset + count] = bytes(count)
    path.write_bytes(data)
    image = read_image(path)
    np.testing.assert_array_equal(image.data[0, 0, 0, 32:64, 64:96], NOISE[0, 32:64, 64:96])
    with pytest.raises(FileError, match=r"a.tif: plane 0 cannot be decoded .*; the file may be"):
        _ = image.data[0, 0, 0, 31:64, 64:96]


@pytest.mark.skipif(sys.platform == "win32", reason="NTFS would fill the hole")
def test_a_100_gb_mosaic_opens_at_once_and_a_corner_of_it_is_read(tmp_path: Path) -> None:
    # 240000 x 240000 x 2 bytes = 115 GB, as a file with a hole where the pixels are
    path = tmp_path / "a.tif"
    side = 240_000
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        tif.write(shape=(side, 2), dtype="u2", metadata=None)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        tags = tif.pages.first.tags
        wide, count = tags["ImageWidth"], tags["StripByteCounts"]
        start = tif.pages.first.dataoffsets[0]
    size = side * side * 2
    data[wide.valueoffset : wide.valueoffset + 4] = side.to_bytes(4, "little")
    room = 8 if count.dtype == 16 else 4
    data[count.valueoffset : count.valueoffset + room] = (size % 2 ** (8 * room)).to_bytes(
        room, "little"
    )
    with path.open("wb") as file:
        file.write(data[:start])
        file.seek(start + size - 2)
        file.write((4711).to_bytes(2, "little"))
    image = read_image(path)
    assert image.shape == (1, 1, 1, side, side)
    corner = image.data[0, 0, 0, -100:, -100:]
    assert corner[-1, -1] == 4711
    assert corner.sum() == 4711


def test_a_pyramid_is_one_image_with_levels(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        tif.write(NOISE[0], subifds=2, tile=(32, 32), metadata={"axes": "YX"})
        for step in (2, 4):
            tif.write(NOISE[0, ::step, ::step], subfiletype=1, tile=(32, 32))
    image = read_image(path)
    assert [level.shape[-2:] for level in (image.data, *image.levels)] == [
        (100, 130),
        (50, 65),
        (25, 33),
    ]
    np.testing.assert_array_equal(image.levels[1][0, 0, 0], NOISE[0, ::4, ::4])


def test_ome_facts_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    metadata = {
        "axes": "TCZYX",
        "PhysicalSizeX": 325,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 325,
        "PhysicalSizeYUnit": "nm",
        "PhysicalSizeZ": 2.0,
        "TimeIncrement": 2.0,
        "TimeIncrementUnit": "min",
        # OME colors are signed RGBA: 0x00FF00FF is green, 0xFF0000FF - 2**32 is red
        "Channel": {"Name": ["phase", "CD105"], "Color": [0x00FF00FF, 0xFF0000FF - 2**32]},
    }
    pixels = np.arange(2 * 2 * 3 * 8 * 9, dtype=np.uint16).reshape(2, 2, 3, 8, 9)
    tifffile.imwrite(path, pixels, metadata=metadata)
    image = read_image(path)
    np.testing.assert_array_equal(image.data[:], pixels)
    assert image.pixel_size_um == pytest.approx(0.325)
    assert (image.z_step_um, image.frame_interval_s) == (2.0, 120.0)
    assert image.channels == (Channel("phase", "00FF00"), Channel("CD105", "FF0000"))
    one = read_image(f"{path}#cd105")
    np.testing.assert_array_equal(one.data[:, 0], pixels[:, 1])


def test_imagej_facts_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = np.arange(4 * 2 * 8 * 9, dtype=np.uint16).reshape(4, 1, 2, 8, 9)
    red = np.zeros((3, 256), np.uint8)
    red[0] = range(256)
    tifffile.imwrite(
        path,
        pixels,
        imagej=True,
        resolution=(1 / 0.65, 1 / 0.65),
        metadata={
            "axes": "TZCYX",
            "unit": "um",
            "finterval": 30.0,
            "LUTs": [red, red[::-1]],
            "Labels": ["phase", "DAPI"] * 4,
        },
    )
    image = read_image(path)
    assert image.shape == (4, 2, 1, 8, 9)
    np.testing.assert_array_equal(image.data[:, :, 0], pixels[:, 0])
    assert image.pixel_size_um == pytest.approx(0.65, rel=1e-5)
    assert image.frame_interval_s == 30.0
    assert image.channels == (Channel("phase", "FF0000"), Channel("DAPI", "0000FF"))


@pytest.mark.parametrize(
    ("resolution", "unit", "expected"),
    [
        ((72, 72), "inch", None),
        ((300, 300), "inch", None),
        ((118.11, 118.11), "centimeter", None),  # 300 dpi
        ((1, 1), "none", None),
        ((20000, 20000), "centimeter", 0.5),  # 1e4 um / 2e4
        ((50800, 50800), "inch", 0.5),  # 25400 um / 50800
    ],
)
def test_a_printers_resolution_is_no_pixel_size(
    tmp_path: Path, resolution: Any, unit: str, expected: float | None
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, NOISE[0], resolution=resolution, resolutionunit=unit, metadata=None)
    assert read_image(path).pixel_size_um == pytest.approx(expected)


def test_an_absurd_size_in_the_file_is_unknown_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "YX", "PhysicalSizeX": 650.0, "PhysicalSizeY": 650.0}
    tifffile.imwrite(path, NOISE[0], metadata=metadata)
    with pytest.warns(UserWarning, match="pixel size of 650 um, which cannot be"):
        image = read_image(path)
    assert image.pixel_size_um is None


def test_pixels_that_are_not_square_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.6}
    tifffile.imwrite(path, NOISE[0], metadata=metadata)
    with pytest.warns(UserWarning, match=r"0\.5 um wide and 0\.6 um high"):
        assert read_image(path).pixel_size_um == 0.5


def test_axes_that_nobody_named_can_be_given(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, NOISE, photometric="minisblack", metadata=None)
    assert read_image(path).shape == (1, 1, 3, 100, 130)
    assert read_image(path, axes="TYX").shape == (3, 1, 1, 100, 130)
    named = read_image(path, axes="CYX", channel_names=["a", "b", "c"])
    assert [c.name for c in named.channels] == ["a", "b", "c"]
    with pytest.raises(DataError, match="name them, for example axes='TYX'"):
        read_image(path, axes="TCYX")


def test_several_positions_are_fields(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path) as tif:
        for i in range(3):
            tif.write(NOISE[i], metadata={"axes": "YX", "PhysicalSizeX": 0.1 * (i + 1)})
    assert fields_of(path) == [f"{path}#field={i}" for i in range(3)]
    with pytest.raises(DataError, match=r"holds 3 fields; choose one, for example .*#field=0"):
        read_image(path)
    second = read_image(fields_of(path)[1])
    np.testing.assert_array_equal(second.plane(), NOISE[1])
    assert second.pixel_size_um == pytest.approx(0.2)
    with pytest.raises(DataError, match="no field 3 among 3"):
        read_image(f"{path}#field=3")


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.97])
def test_a_truncated_file_is_never_read_as_a_shorter_one(
    tmp_path: Path, flavor: str, kept: float
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, NOISE, photometric="minisblack", **FLAVORS[flavor])
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(FileError, match=r"a.tif: .*; (copy it again|check that)"):
        read_image(path)


def test_a_header_that_is_cut_short_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*")
    with pytest.raises(FileError, match=r"a\.tif: is no readable TIFF file"):
        read_image(tmp_path / "a.tif")


def test_a_file_is_not_blamed_for_what_another_thread_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", NOISE[0])

    class Meanwhile(tifffile.TiffFile):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            log = logging.getLogger("tifffile")
            other = threading.Thread(target=log.warning, args=("invalid page offset of b.tif",))
            other.start()
            other.join()

    monkeypatch.setattr(tifffile, "TiffFile", Meanwhile)
    assert fields_of(tmp_path / "a.tif") == [str(tmp_path / "a.tif")]
    assert caplog.messages == ["invalid page offset of b.tif"]  # and it is still to be heard


def test_the_log_of_tifffile_is_as_it_was_after_a_broken_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", NOISE, photometric="minisblack")
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError):
        fields_of(tmp_path / "a.tif")
    assert caplog.messages == []  # what tifffile said is in our error
    logging.getLogger("tifffile").warning("another file")
    assert caplog.messages == ["another file"]


@pytest.mark.parametrize(
    ("tag", "type_", "value"),
    [
        (tifffile.TIFF.TAGS["RowsPerStrip"], 4, 0),
        (tifffile.TIFF.TAGS["StripOffsets"], 2, 8),  # 2: text
        (tifffile.TIFF.TAGS["StripByteCounts"], 2, 8),
    ],
)
def test_a_tag_with_which_nothing_can_be_counted_is_named(
    tag: int, type_: int, value: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((40, 40), np.uint8), compression="zlib")
    with tifffile.TiffFile(path) as tif:
        at = tif.pages.first.tags[tag].offset
    content = bytearray(path.read_bytes())
    content[at + 2 : at + 12] = struct.pack("<HII", type_, 1, value)  # type, count, value
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"a\.tif: is (no readable TIFF file|cut short)"):
        open_tiff(path)[0].plane()


def _bug(*_: object) -> None:
    raise ZeroDivisionError("ours")


def test_a_bug_of_ours_is_not_told_as_damage_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((40, 40), np.uint8), compression="zlib")
    image = open_tiff(tmp_path / "a.tif")[0]
    for name in ("_order", "_color"):
        with monkeypatch.context() as broken:
            broken.setattr(tiff, name, _bug)
            with pytest.raises(ZeroDivisionError):
                open_tiff(tmp_path / "a.tif")
    monkeypatch.setattr(tiff.TiffPlanes, "_decoded", _bug)
    with pytest.raises(ZeroDivisionError):
        image.plane()


def test_text_under_the_name_of_a_tiff_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_text("Dear colleague, here are the images")
    with pytest.raises(FileError, match=r"a.tif: is no readable TIFF file .*; check that"):
        read_image(path)


def test_a_lost_file_of_a_set_is_missed_not_read_as_zeros(tmp_path: Path) -> None:
    first, second = tmp_path / "a.ome.tif", tmp_path / "b.ome.tif"
    tifffile.imwrite(first, NOISE[:2], metadata={"axes": "ZYX"})
    with tifffile.TiffFile(first) as tif:
        xml = str(tif.ome_metadata)
    lost = (
        '<TiffData IFD="0" FirstZ="1" PlaneCount="1"><UUID FileName="b.ome.tif">u</UUID></TiffData>'
    )
    xml = xml[: xml.index("<TiffData")] + (
        '<TiffData IFD="0" FirstZ="0" PlaneCount="1"/>' + lost + xml[xml.index("</Pixels>") :]
    )
    tifffile.imwrite(first, NOISE[:2], description=xml.encode(), metadata=None)
    assert not second.exists()
    with pytest.raises(FileError, match="another file of the set may be absent"):
        _ = read_image(first).data[0, 0, 1]


def test_a_palette_of_colors_is_refused_and_a_grey_one_is_not(tmp_path: Path) -> None:
    grey = np.repeat(np.arange(256, dtype=np.uint16)[None] * 257, 3, 0)
    pixels = NOISE[0].astype(np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, photometric="palette", colormap=grey)
    np.testing.assert_array_equal(read_image(path).plane(), pixels)
    tifffile.imwrite(path, pixels, photometric="palette", colormap=grey[:, ::-1])
    with pytest.raises(DataError, match="numbers of colors in a palette"):
        read_image(path)


def test_an_image_goes_to_a_worker_process(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, NOISE, photometric="minisblack", compression="zlib")
    image = read_image(path)
    _ = image.plane()
    there = copy.deepcopy(image)  # by the same protocol as a process pool
    np.testing.assert_array_equal(there.data[0, 0], NOISE)


def test_the_file_is_not_held_open(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for flavor in ({}, {"compression": "zlib"}):
        tifffile.imwrite(path, NOISE, photometric="minisblack", **flavor)
        image = read_image(path)
        _ = image.plane()
        assert image.data._file.tif.filehandle.closed  # type: ignore[attr-defined]


def test_labels_of_many_cells_are_read_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, NOISE[0].astype(np.int32) * 3)
    labels = read_labels(path)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, NOISE[0].astype(np.int32) * 3)
    tifffile.imwrite(path, NOISE[0].astype(np.float32))  # ImageJ keeps many labels as float
    np.testing.assert_array_equal(read_labels(path), NOISE[0])
    tifffile.imwrite(path, NOISE[0] / np.float32(7))
    with pytest.raises(DataError, match="numbers that are not integers"):
        read_labels(path)
    tifffile.imwrite(path, NOISE, photometric="minisblack")
    with pytest.raises(DataError, match="give one plane of labels"):
        read_labels(path)


@pytest.mark.parametrize(
    ("sound", "broken"),
    [
        (b'SizeC="3"', b'SizeC="u"'),
        (b'SizeX="', b'SizeQ="'),
        (b'TimeIncrement="2.0"', b'TimeIncrement="2.x"'),
    ],
)
def test_ome_xml_with_a_flipped_byte_is_named(sound: bytes, broken: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, NOISE, metadata={"axes": "CYX", "TimeIncrement": 2.0})
    content = path.read_bytes()
    assert sound in content
    path.write_bytes(content.replace(sound, broken))
    with pytest.raises(FileError, match=r"a\.ome\.tif: is no readable TIFF file"):
        read_image(path)
