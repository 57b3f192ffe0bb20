"""The images of a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from unstained.errors import FileError
from unstained.images.folders import images_in, is_empty, natural_order


def test_images_are_listed_by_number_without_what_is_hidden_or_no_image(tmp_path: Path) -> None:
    for name in ("t10.tif", "t2.tif", "t02.TIF", "._t2.tif", "notes.txt", "a.lsm"):
        (tmp_path / name).touch()
    (tmp_path / "plate.zarr").mkdir()
    found = [path.name for path in images_in(tmp_path)]
    assert found == ["a.lsm", "plate.zarr", "t02.TIF", "t2.tif", "t10.tif"]


def test_a_file_is_no_folder_of_images(tmp_path: Path) -> None:
    (tmp_path / "a.tif").touch()
    with pytest.raises(FileError, match="is no folder"):
        images_in(tmp_path / "a.tif")


def test_what_finder_and_explorer_leave_fills_no_folder(tmp_path: Path) -> None:
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._a.tif"):
        (tmp_path / name).touch()
    assert is_empty(tmp_path)
    (tmp_path / ".hidden").touch()
    assert not is_empty(tmp_path)


def test_digits_that_are_no_numbers_are_letters() -> None:
    assert natural_order("x3\u00b24") < natural_order("x10")
