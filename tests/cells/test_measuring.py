"""Numbers learned from cells serve only cells that were measured in the same way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from unstained.cell_table import read_cells
from unstained.cells.bands import Band, Bands, apply_bands
from unstained.cells.measure import MeasureSettings
from unstained.cells.measure_files import FileOptions, measure_folder, measure_segmentation
from unstained.cells.measuring import Measuring, check_measuring, measuring_of
from unstained.errors import DataError

MakeFilm = Callable[[float | None], Path]

BAND = Band(0.0, 1.0, 0.0, 0.0, 1.0, 5.0, 100, 0)


def how(background: str = "outside", *sizes: float, gap_um: float = 3.0) -> Measuring:
    return Measuring.by(MeasureSettings(background, gap_um=gap_um), sizes or (0.5,))


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (how("100"), how("100.0")),
        (how("none"), how("0")),
        (how("none", gap_um=1), how("none", gap_um=2)),  # nothing is looked for in the gap
        (how("outside", 0.5), how("outside", 0.504)),
        (how("outside", 0.5, 0.65), how("outside", 0.65)),
    ],
)
def test_tables_that_differ_in_nothing_that_counts_fit(then: Measuring, now: Measuring) -> None:
    assert check_measuring(then, now, "the bands") == ()


@pytest.mark.parametrize(
    ("then", "now", "says"),
    [
        (how("none"), how("outside"), "with background none.*these have background outside"),
        (how(gap_um=1), how(gap_um=2), r"outside \(1 um\)"),
        (how("outside", 0.5), how("outside", 0.65), "pixels of 0.5 um; .* pixels of 0.65 um"),
        (how("outside", 0.5), how("outside", 0.5, 0.65), "pixels of 0.5, 0.65 um"),
    ],
)
def test_another_background_or_pixel_size_is_refused(
    then: Measuring, now: Measuring, says: str
) -> None:
    with pytest.raises(DataError, match=says):
        check_measuring(then, now, "the bands")


def test_grey_values_of_other_pixels_can_be_compared() -> None:
    then, now = how("outside", 0.5), how("outside", 0.65)
    assert check_measuring(then, now, "the reference", pixels=False) == ()


def test_what_is_not_known_is_said() -> None:
    (note,) = check_measuring(None, how(), "the bands")
    assert "behind the bands were measured is not known" in note


def test_a_table_knows_how_it_was_measured_after_it_was_written(
    make_film: MakeFilm, tmp_path: Path
) -> None:
    settings = MeasureSettings("ring", gap_um=1, ring_um=2)
    measure_folder(make_film(1.0), tmp_path / "cells.h5ad", settings)
    found = measuring_of(read_cells(tmp_path / "cells.h5ad"))
    assert found == Measuring("ring", 1.0, 2.0, (0.5,))


def test_bands_of_another_background_are_refused_before_cells_are_measured(
    make_film: MakeFilm, tmp_path: Path
) -> None:
    bands = Bands(0.6, {"CD105": BAND}, how("none")).write(tmp_path / "bands.json")
    options = FileOptions(tmp_path / "no stains yet", bands=bands)
    with pytest.raises(
        DataError, match="the bands were made of cells measured with background none"
    ):
        measure_folder(make_film(1.0), tmp_path / "cells.h5ad", None, options)
    assert not (tmp_path / "cells.h5ad").exists()


def test_bands_of_another_pixel_size_are_refused_in_python_too(
    make_film: MakeFilm, tmp_path: Path
) -> None:
    cells, _ = measure_segmentation(make_film(1.0), None, FileOptions(tmp_path / "stains"))
    with pytest.raises(DataError, match=r"pixels of 0\.65 um"):
        apply_bands(cells, Bands(0.6, {"CD105": BAND}, how("outside", 0.65)))


def test_bands_that_do_not_say_how_are_used_with_a_note(
    make_film: MakeFilm, tmp_path: Path
) -> None:
    bands = Bands(0.6, {"CD105": BAND}).write(tmp_path / "bands.json")
    options = FileOptions(tmp_path / "stains", bands=bands)
    cells, notes = measure_folder(make_film(1.0), tmp_path / "cells.h5ad", None, options)
    assert any("not known" in note for note in notes)
    assert "low" in cells.layers
