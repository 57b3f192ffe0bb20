"""CZI from its maker's library, LIF made by hand, ND2 through a stand-in; absence of the extra."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unstained.errors import DataError, FileError, MissingExtra
from unstained.images.image import Channel
from unstained.images.read import fields_of, read_image

PIXELS = np.random.default_rng(0).integers(0, 60000, (2, 2, 3, 50, 70)).astype(np.uint16)


def czi_of(path: Path, scenes: int = 1) -> Path:
    writer = pytest.importorskip("pylibCZIrw.czi", reason="the extra `formats` is not installed")
    with writer.create_czi(str(path)) as czi:
        for scene in range(scenes):
            for t, c, z in np.ndindex(2, 2, 3):
                plane = PIXELS[t, c, z][..., None] // (scene + 1)
                where = (100 * scene - 30, 20)  # anywhere on the stage
                czi.write(plane, location=where, plane={"T": t, "C": c, "Z": z}, scene=scene)
        # meters
        czi.write_metadata(
            channel_names={0: "phase", 1: "DAPI"}, scale_x=0.65e-6, scale_y=0.65e-6, scale_z=2e-6
        )
    return path


def test_czi_pixels_and_facts(tmp_path: Path) -> None:
    image = read_image(czi_of(tmp_path / "a.czi"))
    assert image.shape == (2, 2, 3, 50, 70)
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image.data[:], PIXELS)
    np.testing.assert_array_equal(image.data[1, 1, 2, 10:30, 40:], PIXELS[1, 1, 2, 10:30, 40:])
    assert [c.name for c in image.channels] == ["phase", "DAPI"]
    assert image.pixel_size_um == pytest.approx(0.65)
    assert image.z_step_um == pytest.approx(2.0)


def test_tiles_of_a_czi_mosaic_are_one_image(tmp_path: Path) -> None:
    writer = pytest.importorskip("pylibCZIrw.czi", reason="the extra `formats` is not installed")
    path = tmp_path / "a.czi"
    with writer.create_czi(str(path)) as czi:
        for row, column in np.ndindex(3, 2):
            tile = np.full((50, 70, 1), 10 * row + column + 1, np.uint16)
            czi.write(tile, location=(70 * column - 30, 50 * row), plane={"C": 0})
        czi.write_metadata(scale_x=1e-6, scale_y=1e-6)
    image = read_image(path)
    assert image.shape == (1, 1, 1, 150, 140)
    # rows 40-59 lie in tiles 0 and 1, columns 60-79 in tiles 0 and 1
    crop = image.data[0, 0, 0, 40:60, 60:80]
    np.testing.assert_array_equal(crop[::19, ::19], [[1, 2], [11, 12]])


def test_scenes_that_a_czi_does_not_describe_are_not_dropped(tmp_path: Path) -> None:
    # the maker's library stores two scenes but writes no list of scenes
    with pytest.raises(DataError, match="stores 2 scenes but describes 1; export"):
        read_image(czi_of(tmp_path / "a.czi", scenes=2))


def test_a_broken_czi_is_named(tmp_path: Path) -> None:
    path = czi_of(tmp_path / "a.czi")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(FileError, match=r"a.czi: cannot be read .*; check that it is complete"):
        read_image(path)


def lif_of(path: Path) -> Path:
    """A LIF file of version 2: XML in UTF-16, then one block of memory; axes T, Z, C, Y, X."""
    stored = PIXELS.transpose(0, 2, 1, 3, 4).astype("<u2")
    plane = 50 * 70 * 2
    axes = [  # id, elements, length in m or s = (elements - 1) * step, bytes from one to the next
        (1, 70, 69 * 0.5e-6, 2),
        (2, 50, 49 * 0.5e-6, 140),
        (3, 3, 2 * 1.5e-6, 2 * plane),
        (4, 2, 1 * 120.0, 6 * plane),
    ]
    dimensions = "".join(
        f'<DimensionDescription DimID="{i}" NumberOfElements="{n}" Origin="0" Length="{length}" '
        f'Unit="{"s" if i == 4 else "m"}" BitInc="0" BytesInc="{step}"/>'
        for i, n, length, step in axes
    )
    channels = "".join(
        '<ChannelDescription DataType="0" ChannelTag="0" Resolution="16" NameOfMeasuredQuantity="" '
        f'Min="0" Max="1" Unit="" LUTName="{name}" IsLUTInverted="0" BytesInc="{c * plane}" '
        'BitInc="0"/>'
        for c, name in enumerate(["Gray", "Green"])
    )
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="a.lif" Visibility="1"><Data/><Children>'
        '<Element Name="field 1" Visibility="1"><Data><Image><ImageDescription>'
        f"<Channels>{channels}</Channels><Dimensions>{dimensions}</Dimensions>"
        "</ImageDescription></Image></Data>"
        f'<Memory Size="{stored.nbytes}" MemoryBlockID="MemBlock_1"/><Children/></Element>'
        "</Children></Element></LMSDataContainerHeader>"
    ).encode("utf-16-le")
    head = struct.pack("<IIBI", 0x70, len(xml) + 5, 0x2A, len(xml) // 2) + xml
    name = "MemBlock_1".encode("utf-16-le")
    block = struct.pack("<IIBQBI", 0x70, 0, 0x2A, stored.nbytes, 0x2A, len(name) // 2) + name
    path.write_bytes(head + block + stored.tobytes())
    return path


def test_lif_pixels_and_facts(tmp_path: Path) -> None:
    pytest.importorskip("liffile", reason="the extra `formats` is not installed")
    image = read_image(lif_of(tmp_path / "a.lif"))
    assert image.shape == (2, 2, 3, 50, 70)
    np.testing.assert_array_equal(image.data[:], PIXELS)
    np.testing.assert_array_equal(image.data[1, 0, 2, 10:30, 40:], PIXELS[1, 0, 2, 10:30, 40:])
    assert image.channels == (Channel("Gray", "FFFFFF"), Channel("Green", "00FF00"))
    assert image.pixel_size_um == pytest.approx(0.5)
    assert image.z_step_um == pytest.approx(1.5)
    assert image.frame_interval_s == pytest.approx(120.0)


def test_a_truncated_lif_is_named(tmp_path: Path) -> None:
    pytest.importorskip("liffile", reason="the extra `formats` is not installed")
    path = lif_of(tmp_path / "a.lif")
    data = path.read_bytes()
    for kept in (0.001, 0.5):
        path.write_bytes(data[: int(kept * len(data))])
        with pytest.raises(FileError, match=r"a.lif: .*; "):
            _ = read_image(path).data[-1, -1, -1]


class Nd2StandIn:
    """The part of bioio's reader interface that is used, over PIXELS stored as T, Z, C, Y, X."""

    def __init__(self, path: Path) -> None:
        self.scenes = ("A1", "A2")
        self.scene = 0
        self.dims = SimpleNamespace(order="TZCYX", shape=(2, 3, 2, 50, 70))
        self.dtype = np.dtype(np.uint16)
        self.channel_names = ["phase", "DAPI"]
        self.physical_pixel_sizes = SimpleNamespace(X=0.65, Y=0.65, Z=None)
        self.time_interval = 30.0

    def set_scene(self, scene: int) -> None:
        self.scene = scene

    def get_image_data(self, order: str, *, T: int, C: int, Z: int, Y: slice, X: slice) -> Any:
        assert order == "YX"
        return PIXELS[T, C, Z, Y, X] // (self.scene + 1)


def test_nd2_positions_and_axes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # no ND2 file can be written here: this shows our side of the interface only
    monkeypatch.setitem(sys.modules, "bioio_nd2", SimpleNamespace(Reader=Nd2StandIn))  # type: ignore[arg-type]
    path = tmp_path / "a.nd2"
    path.write_bytes(b"x")
    assert fields_of(path) == [f"{path}#field=0", f"{path}#field=1"]
    with pytest.raises(DataError, match="holds 2 fields; choose one"):
        read_image(path)
    image = read_image(f"{path}#field=1")
    np.testing.assert_array_equal(image.data[:], PIXELS // 2)
    assert [c.name for c in image.channels] == ["phase", "DAPI"]
    assert (image.pixel_size_um, image.z_step_um, image.frame_interval_s) == (0.65, None, 30.0)


def test_the_reader_of_nd2_has_what_the_stand_in_has() -> None:
    real = pytest.importorskip("bioio_nd2", reason="the extra `formats` is not installed").Reader
    for name in vars(Nd2StandIn(Path())).keys() - {"scene"}:
        assert hasattr(real, name), name
    assert hasattr(real, "get_image_data")


def test_a_file_that_is_no_nd2_is_named(tmp_path: Path) -> None:
    pytest.importorskip("bioio_nd2", reason="the extra `formats` is not installed")
    path = tmp_path / "a.nd2"
    path.write_bytes(b"this is no microscope's file")
    with pytest.raises(FileError, match=r"a.nd2: cannot be read"):
        read_image(path)


@pytest.mark.parametrize(
    ("suffix", "module"), [("czi", "bioio_czi"), ("nd2", "bioio_nd2"), ("lif", "liffile")]
)
def test_without_the_extra_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"x")
    with pytest.raises(MissingExtra, match=rf"a.{suffix}: .*{module}.*unstained\[formats\]"):
        read_image(path)
