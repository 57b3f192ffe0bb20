"""Each segmented image finds its own stains, by name or manifest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unstained.cell_table import names_of, values_of
from unstained.cells.measure import MeasureSettings
from unstained.cells.measure_files import FileOptions, measure_segmentation
from unstained.cells.segmentation_folder import create_segmentation
from unstained.errors import DataError, FileError
from unstained.images import as_image, write_ome_zarr
from unstained.images.read import name_of_source

Segment = Callable[[dict[str, str]], Path]


def test_a_longer_name_keeps_its_stains_from_a_shorter_one(tmp_path: Path) -> None:
    labels = np.zeros((40, 40), np.int32)
    labels[10:30, 10:30] = 1
    image = as_image(np.zeros((40, 40), np.uint8), "YX", pixel_size_um=1.0)
    (tmp_path / "stains").mkdir()
    with create_segmentation(tmp_path / "cells", {"name": "truth"}) as writer:
        for name, level in (("well", 3), ("well_1", 8)):
            tifffile.imwrite(tmp_path / f"{name}.tif", image.plane())
            stain = np.where(labels > 0, level, 0).astype(np.uint8)
            tifffile.imwrite(tmp_path / "stains" / f"{name}_CD44.tif", stain)
            writer.add(name, image, tmp_path / f"{name}.tif", [labels])
    cells, _ = measure_segmentation(tmp_path / "cells", None, FileOptions(tmp_path / "stains"))
    assert values_of(cells, ["CD44"], "mean")[:, 0].tolist() == [3.0, 8.0]


def test_a_marker_that_an_image_lacks_is_no_number_there(stills: Path, tmp_path: Path) -> None:
    stain = np.full((64, 64), 6, np.uint8)
    tifffile.imwrite(tmp_path / "stains" / "s1_CD29.tif", stain)
    cells, notes = measure_segmentation(stills, None, FileOptions(tmp_path / "stains"))
    assert np.isnan(values_of(cells, ["CD29"])[:, 0]).tolist() == [True, True, False, False]
    assert any("CD29" in note for note in notes)


def test_stains_come_from_a_manifest_of_pairs(stills: Path, tmp_path: Path) -> None:
    lines = [f"s{i}.tif,stains/s{i}_CD44.tif,CD105,g{i}" for i in range(2)]
    text = "\n".join(["phase,stain,marker,group", *lines])
    (tmp_path / "manifest.csv").write_text(text + "\n", "utf-8")
    cells, _ = measure_segmentation(stills, None, FileOptions(tmp_path / "manifest.csv"))
    assert names_of(cells, "marker") == ["CD105"]
    assert values_of(cells, ["CD105"], "mean")[:, 0].tolist() == [3.0, 3.0, 4.0, 4.0]


def test_stains_that_are_missing_or_of_another_size_are_refused(
    stills: Path, tmp_path: Path
) -> None:
    (tmp_path / "stains" / "s1_CD44.tif").unlink()
    with pytest.raises(DataError, match=r"no s1\.\* with stains of image s1"):
        measure_segmentation(stills, None, FileOptions(tmp_path / "stains"))
    tifffile.imwrite(tmp_path / "stains" / "s1_CD44.tif", np.zeros((32, 64), np.uint8))
    with pytest.raises(DataError, match="32 x 64 pixels"):
        measure_segmentation(stills, None, FileOptions(tmp_path / "stains"))
    with pytest.raises(FileError, match="does not exist"):
        measure_segmentation(stills, None, FileOptions(tmp_path / "elsewhere"))


@pytest.fixture
def two_fields(tmp_path: Path) -> Path:
    """A file of two fields with phase and CD44, of grey value 3 in the first, 8 in the second."""
    path = tmp_path / "two.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        for level in (3, 8):
            tif.write(
                np.full((2, 64, 64), level, np.uint8),
                photometric="minisblack",
                metadata={"axes": "CYX", "Channel": {"Name": ["phase", "CD44"]}},
            )
    return path


def means(folder: Path, stains: Path | None, channels: tuple[str, ...] = ()) -> list[float]:
    """Mean CD44 of the first cell of each image, without a background."""
    options = FileOptions(stains, channels)
    cells, _ = measure_segmentation(folder, MeasureSettings("none"), options)
    return [float(value) for value in values_of(cells, ["CD44"], "mean")[::2, 0]]


def test_stains_in_a_file_of_several_fields_are_those_of_the_field(
    segmented: Segment, two_fields: Path
) -> None:
    folder = segmented({"two-field1": f"{two_fields}#field=1#phase"})
    assert means(folder, None, ("CD44",)) == [8.0]


def test_rows_of_a_manifest_are_of_one_field_of_a_file(
    segmented: Segment, two_fields: Path, tmp_path: Path
) -> None:
    folder = segmented({f"two-field{i}": f"{two_fields}#field={i}#phase" for i in (1, 0)})
    rows = [f"two.ome.tif#field={i}#phase,two.ome.tif#field={i}#CD44,CD44,g" for i in (0, 1)]
    (tmp_path / "m.csv").write_text("\n".join(["phase,stain,marker,group", *rows]), "utf-8")
    assert means(folder, tmp_path / "m.csv") == [8.0, 3.0]


def test_an_image_with_a_semicolon_in_its_name_has_its_row(
    segmented: Segment, tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "a;b.tif", np.zeros((64, 64), np.uint8))
    tifffile.imwrite(tmp_path / "stain.tif", np.full((64, 64), 7, np.uint8))
    folder = segmented({"a": str(tmp_path / "a;b.tif")})
    (tmp_path / "m.csv").write_text("phase,stain,marker,group\na;b.tif,stain.tif,CD44,g\n", "utf-8")
    assert means(folder, tmp_path / "m.csv") == [7.0]


def test_regions_of_one_field_in_a_manifest_are_one_stain(stills: Path, tmp_path: Path) -> None:
    parts = ("0:32,0:64", "32:64,0:64")
    rows = [f's{i}.tif,stains/s{i}_CD44.tif,CD44,g,"{part}"' for i in (0, 1) for part in parts]
    (tmp_path / "m.csv").write_text("\n".join(["phase,stain,marker,group,region", *rows]), "utf-8")
    assert means(stills, tmp_path / "m.csv") == [5.0, 6.0]


def test_predictions_of_fields_of_a_file_go_to_their_field(
    segmented: Segment, two_fields: Path, tmp_path: Path
) -> None:
    sources = [f"{two_fields}#field={i}#phase" for i in (0, 1)]
    folder = segmented({f"two-field{i}": source for i, source in enumerate(sources)})
    (tmp_path / "stains").mkdir()
    for level, source in zip((4, 9), sources, strict=True):
        plane = np.full((64, 64), level, np.uint8)
        stain = as_image(plane, "YX", channels=["CD44"], pixel_size_um=1.0)
        write_ome_zarr(stain, tmp_path / "stains" / f"{name_of_source(source)}.ome.zarr")
    assert means(folder, tmp_path / "stains") == [4.0, 9.0]


def test_a_phase_image_finds_the_stains_of_its_field_and_takes_no_labels_for_one(
    segmented: Segment, tmp_path: Path
) -> None:
    for name in ("phase", "CD44", "labels", "cells", "nuclei"):
        tifffile.imwrite(tmp_path / f"Field00_{name}.tif", np.full((64, 64), 6, np.uint8))
    folder = segmented({"Field00_phase": str(tmp_path / "Field00_phase.tif")})
    cells, _ = measure_segmentation(folder, MeasureSettings("none"), FileOptions(tmp_path))
    assert names_of(cells, "marker") == ["CD44"]


def test_a_stain_that_may_be_of_two_images_is_refused(segmented: Segment, tmp_path: Path) -> None:
    images = {}
    for plate in ("p1", "p2"):
        (tmp_path / plate).mkdir()
        tifffile.imwrite(tmp_path / plate / "a.tif", np.zeros((64, 64), np.uint8))
        images[f"{plate}-a"] = str(tmp_path / plate / "a.tif")
    folder = segmented(images)
    (tmp_path / "stains").mkdir()
    tifffile.imwrite(tmp_path / "stains" / "a_CD44.tif", np.zeros((64, 64), np.uint8))
    with pytest.raises(DataError, match="may be of image p1-a or p2-a"):
        measure_segmentation(folder, None, FileOptions(tmp_path / "stains"))


def test_an_image_beside_its_stains_is_no_stain(segmented: Segment, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((64, 64), np.uint8))
    tifffile.imwrite(tmp_path / "a_CD44.tif", np.ones((64, 64), np.uint8))
    folder = segmented({"a": str(tmp_path / "a.tif")})
    cells, _ = measure_segmentation(folder, None, FileOptions(tmp_path))
    assert names_of(cells, "marker") == ["CD44"]


@pytest.mark.parametrize(
    ("file", "selector", "name", "predicted"),
    [("m.ome.zarr", "#phase", "m", "m_phase"), ("well 1.ome.zarr", "", "well-1", "well_1")],
)
def test_predictions_are_found_under_the_name_that_they_get(
    segmented: Segment, tmp_path: Path, file: str, selector: str, name: str, predicted: str
) -> None:
    plane = as_image(np.zeros((64, 64), np.uint8), "YX", channels=["phase"], pixel_size_um=1.0)
    write_ome_zarr(plane, tmp_path / file)
    folder = segmented({name: f"{tmp_path / file}{selector}"})
    (tmp_path / "stains").mkdir()
    stain = as_image(np.ones((64, 64), np.uint8), "YX", channels=["CD44"], pixel_size_um=1.0)
    write_ome_zarr(stain, tmp_path / "stains" / f"{predicted}.ome.zarr")
    cells, _ = measure_segmentation(folder, None, FileOptions(tmp_path / "stains"))
    assert names_of(cells, "marker") == ["CD44"]


def test_a_marker_of_two_words_is_a_stain(segmented: Segment, tmp_path: Path) -> None:
    for name in ("well1", "well1_CD105", "well1_Cell Mask", "well1_labels"):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.full((64, 64), 6, np.uint8))
    folder = segmented({"well1": str(tmp_path / "well1.tif")})
    cells, _ = measure_segmentation(folder, MeasureSettings("none"), FileOptions(tmp_path))
    assert sorted(names_of(cells, "marker")) == ["CD105", "Cell Mask"]
