"""What an experimenter knows of images stands beside their cells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unstained.cell_table import names_of, values_of
from unstained.cells.measure_files import FileOptions, measure_segmentation
from unstained.errors import DataError

Segment = Callable[[dict[str, str]], Path]


def test_stains_of_their_own_files_are_found_by_name_and_conditions_joined(
    stills: Path, tmp_path: Path
) -> None:
    (tmp_path / "c.csv").write_text("image,donor,passage\ns1.tif,B,3\ns0,A,5\n", "utf-8")
    options = FileOptions(tmp_path / "stains", conditions=tmp_path / "c.csv")
    cells, _ = measure_segmentation(stills, None, options)
    assert cells.obs["donor"].tolist() == ["A", "A", "B", "B"]
    assert cells.obs["passage"].tolist() == [5, 5, 3, 3]
    assert values_of(cells, ["CD44"], "mean")[:, 0].tolist() == [3.0, 3.0, 4.0, 4.0]
    assert names_of(cells, "image") == ["image"]  # a channel without a name


def test_a_table_of_excel_s_is_read_with_its_numbers(stills: Path, tmp_path: Path) -> None:
    text = "image;donor;passage;dose\r\nplate\\s1.tif;B;3;0.5\r\ns0;A;5;\r\n"
    (tmp_path / "c.csv").write_text(text, "utf-8-sig")
    options = FileOptions(tmp_path / "stains", conditions=tmp_path / "c.csv")
    cells, _ = measure_segmentation(stills, None, options)
    assert cells.obs["donor"].tolist() == ["A", "A", "B", "B"]
    assert cells.obs["passage"].tolist() == [5, 5, 3, 3]
    np.testing.assert_equal(cells.obs["dose"].tolist(), [np.nan, np.nan, 0.5, 0.5])


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("image,donor\ns0,A\n", "no row for image s1"),
        ("image,donor\ns0,A\ns1,B\ns1,C\n", "two rows for image s1"),
        ("name,donor\ns0,A\n", "no column image"),
        ("image,track\ns0,1\ns1,1\n", "column track"),
        ("image,outside\ns0,1\ns1,1\n", "column outside"),
        ("image,dose mg/mL\ns0,1\ns1,1\n", "column dose mg/mL cannot be kept"),
        ("_index,image\n0,s0\n1,s1\n", "column _index cannot be kept"),
        ("image;dose\ns0;1\ns1;0,5\n", "column dose holds '0,5'; write numbers with a point"),
    ],
)
def test_conditions_that_do_not_fit_are_refused(
    stills: Path, tmp_path: Path, table: str, says: str
) -> None:
    (tmp_path / "c.csv").write_text(table, "utf-8")
    options = FileOptions(tmp_path / "stains", conditions=tmp_path / "c.csv")
    with pytest.raises(DataError, match=says):
        measure_segmentation(stills, None, options)


def test_names_that_are_numbers_keep_their_zeros(segmented: Segment, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "001.tif", np.zeros((64, 64), np.uint8))
    folder = segmented({"001": str(tmp_path / "001.tif")})
    (folder / "track_of.csv").write_text("image,frame,label,track\n001,0,1,1\n001,0,2,2\n")
    (folder / "tracks.csv").write_text("image,track,begin,end,parent\n001,1,0,0,0\n001,2,0,0,0\n")
    (tmp_path / "c.csv").write_text("image,donor\n001,A\n")
    cells, _ = measure_segmentation(folder, None, FileOptions(conditions=tmp_path / "c.csv"))
    assert cells.obs["track"].tolist() == [1, 2]
    assert cells.obs["donor"].tolist() == ["A", "A"]


@pytest.mark.parametrize("name", ["NA", "nan", "null", "None"])
def test_an_image_whose_name_means_nothing_to_other_programs_has_its_tracks_and_conditions(
    name: str, segmented: Segment, tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / f"{name}.tif", np.zeros((64, 64), np.uint8))
    folder = segmented({name: str(tmp_path / f"{name}.tif")})
    rows = f"{name},0,1,1\n{name},0,2,2\n"
    (folder / "track_of.csv").write_text(f"image,frame,label,track\n{rows}")
    tracks = "".join(f"{name},{track},0,0,0\n" for track in (1, 2))
    (folder / "tracks.csv").write_text(f"image,track,begin,end,parent\n{tracks}")
    (tmp_path / "c.csv").write_text(f"image,donor\n{name},{name}\n")
    cells, _ = measure_segmentation(folder, None, FileOptions(conditions=tmp_path / "c.csv"))
    assert cells.obs["track"].tolist() == [1, 2]
    assert cells.obs["image"].tolist() == [name, name]
    assert cells.obs["donor"].tolist() == [name, name]


def test_files_with_spaces_and_dots_keep_their_stains_and_conditions(
    segmented: Segment, tmp_path: Path
) -> None:
    path = tmp_path / "well 1.5.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8))
    folder = segmented({"well 1.5": str(path)})
    (tmp_path / "stains").mkdir()
    stain = np.ones((64, 64), np.uint8)
    tifffile.imwrite(tmp_path / "stains" / "well 1.5_CD44.tif", stain)
    (tmp_path / "c.csv").write_text("image,donor\nwell 1.5.tif,A\n", "utf-8")
    options = FileOptions(tmp_path / "stains", conditions=tmp_path / "c.csv")
    cells, _ = measure_segmentation(folder, None, options)
    assert cells.obs["image"].tolist() == ["well-1.5"] * 2
    assert cells.obs["donor"].tolist() == ["A", "A"]
    assert names_of(cells, "marker") == ["CD44"]
