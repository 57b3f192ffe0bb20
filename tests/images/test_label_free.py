"""Images without stains, from tables, folders and names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from unstained.errors import DataError, FileError
from unstained.images import label_free_fields


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, name in enumerate(("a", "b")):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.full((8, 12), i, np.uint16))
    return tmp_path


def test_a_folder_gives_a_field_for_each_image(folder: Path) -> None:
    (folder / "notes.txt").write_text("no image")
    fields = label_free_fields([folder])
    assert [f.id for f in fields] == ["a", "b"]
    assert fields[1].read_phase().shape == (1, 8, 12)
    assert not fields[0].stains


def test_a_table_names_regions_and_cells(folder: Path) -> None:
    (folder / "new.csv").write_text("phase;region;cell\na.tif;0:4,0:6;one\nb.tif;;\n")
    first, second = label_free_fields([folder / "new.csv"])
    assert first.shape == (4, 6)
    assert first.row["cell"] == "one"
    assert second.shape == (8, 12)


def test_planes_are_joined(folder: Path) -> None:
    (field,) = label_free_fields([f"{folder / 'a.tif'};{folder / 'b.tif'}"])
    assert field.read_phase()[:, 0, 0].tolist() == [0, 1]


def test_what_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(FileError, match=r"none\.tif"):
        label_free_fields([folder / "none.tif"])
    (folder / "new.csv").write_text("phase\nnone.tif\n")
    with pytest.raises(DataError, match=r"row 1: .*none\.tif is not there"):
        label_free_fields([folder / "new.csv"])
    (folder / "new.csv").write_text("image\na.tif\n")
    with pytest.raises(DataError, match="column phase"):
        label_free_fields([folder / "new.csv"])
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        label_free_fields([folder / "empty"])


def test_rows_of_several_markers_are_one_field_and_a_pixel_size_is_kept(folder: Path) -> None:
    (folder / "new.csv").write_text("phase,marker,pixel_size_um\na.tif,A,0.65\na.tif,B,0.65\n")
    (field,) = label_free_fields([folder / "new.csv"])
    assert field.pixel_size_um == 0.65
    (folder / "new.csv").write_text("phase,pixel_size_um\na.tif,fine\n")
    with pytest.raises(DataError, match="row 1 has pixel_size_um 'fine'"):
        label_free_fields([folder / "new.csv"])
    (folder / "new.csv").write_text("phase,region\na.tif,0-4\n")
    with pytest.raises(DataError, match="row 1: region '0-4' is not understood"):
        label_free_fields([folder / "new.csv"])
