"""Predicted against measured totals: matched cell by cell, lines and limits known by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from anndata import AnnData
from scipy import stats
from typer.testing import CliRunner

from unstained.cell_table import new_cells, read_cells, write_cells
from unstained.cells.agreement_report import agree_files, agreement_lines
from unstained.cells.bands import Bands
from unstained.cells.cell_agreement import agreement, bland_altman, match_cells
from unstained.cells.familiar import Reference
from unstained.cli.cells_measure import agree as agree_command
from unstained.errors import DataError, FileError, InputError


def table(
    totals: np.ndarray, *, area: np.ndarray | None = None, donors: int = 0, marker: str = "CD105"
) -> AnnData:
    """Cells 1 ... N of image ``a`` with one marker, an area and, if asked for, donors in turn."""
    n = len(totals)
    zero = np.zeros(n)
    obs = pd.DataFrame(
        {
            "image": "a",
            "frame": 0,
            "time_s": zero,
            "label": np.arange(1, n + 1),
            "track": 0,
            "parent": 0,
            "y_um": zero,
            "x_um": zero,
            "border": False,
            "neighbors": 0,
        }
    )
    if donors:
        obs["donor"] = [f"d{i % donors}" for i in range(n)]
    size = np.arange(100.0, 100.0 + n) if area is None else area
    columns = pd.DataFrame({marker: totals, "area_um2": size})
    var = pd.DataFrame(
        {"kind": ["marker", "shape"], "unit": ["grey", "um2"]}, index=columns.columns
    )
    return new_cells(obs, columns, var)


def test_cells_are_matched_by_their_keys_not_by_their_order() -> None:
    measured = table(np.array([1.0, 2.0, 3.0]))
    predicted = table(np.array([10.0, 20.0, 30.0]))[[2, 0]].copy()
    matched = match_cells(predicted, measured)
    assert matched.cells["label"].tolist() == [3, 1]
    assert matched.cells["predicted"].tolist() == [30.0, 10.0]
    assert matched.cells["measured"].tolist() == [3.0, 1.0]
    assert (matched.only_predicted, matched.only_measured) == (0, 1)


def test_images_can_be_the_groups() -> None:
    one = table(np.arange(3.0))
    assert match_cells(one, one, "image").cells["group"].tolist() == ["a"] * 3


def test_cells_of_other_outlines_are_refused() -> None:
    one = table(np.arange(4.0))
    other = table(np.arange(4.0), area=np.array([100.0, 101.0, 55.0, 103.0]))
    with pytest.raises(DataError, match=r"1 of 4 cells have another area .* cell 3"):
        match_cells(one, other)


def test_tables_with_nothing_in_common_are_refused() -> None:
    with pytest.raises(DataError, match="no marker is in both tables: CD29 against CD105"):
        match_cells(table(np.arange(3.0), marker="CD29"), table(np.arange(3.0)))
    moved = table(np.arange(3.0))
    moved.obs["frame"] = 5
    with pytest.raises(DataError, match="none of 3 and 3 cells"):
        match_cells(moved, table(np.arange(3.0)))
    with pytest.raises(DataError, match="no column donor"):
        match_cells(table(np.arange(3.0)), table(np.arange(3.0)), "donor")


def test_a_prediction_of_half_the_truth_has_r_1_slope_one_half_and_half_the_error() -> None:
    # measured 2 4 6 8, predicted 1 2 3 4: differences -1 -2 -3 -4, bias -2.5;
    # relative error (1 + 2 + 3 + 4) / (2 + 4 + 6 + 8) = 0.5
    x = np.array([2.0, 4.0, 6.0, 8.0])
    row = agreement(match_cells(table(x / 2), table(x))).iloc[0]
    assert row["r"] == pytest.approx(1)
    assert row["slope"] == pytest.approx(0.5)
    assert row["intercept"] == pytest.approx(0)
    assert row["bias"] == pytest.approx(-2.5)
    assert row["relative_error"] == pytest.approx(0.5)
    assert row["n"] == 4


def test_limits_of_agreement_are_those_of_bland_and_altman() -> None:
    # differences 1 and 3 many times: mean 2, sd about 1; limits 2 -+ 1.96
    d = np.array([1.0, 3.0] * 50)
    found = bland_altman(d + 7, np.full(100, 7.0))
    sd = np.sqrt(100 / 99)  # 100 squares of 1 over n - 1
    assert found.mean.estimate == pytest.approx(2)
    assert found.low.estimate == pytest.approx(2 - 1.96 * sd, abs=1e-4)
    assert found.high.estimate == pytest.approx(2 + 1.96 * sd, abs=1e-4)
    low, high = stats.t.interval(0.95, 99, 2, sd / 10)
    assert found.mean[1:3] == pytest.approx((low, high))
    # 1.71 sd / sqrt(n) is Bland and Altman's standard error of a limit
    half = stats.t.ppf(0.975, 99) * 1.71 * sd / 10
    assert found.high.high - found.high.estimate == pytest.approx(half, rel=0.01)


def test_with_groups_the_intervals_know_that_cells_of_a_donor_go_together() -> None:
    # all cells of a donor are off by the same amount: 8 values, not 400
    rng = np.random.default_rng(0)
    x = rng.normal(100, 10, 400)
    off = np.array([-6.0, -2.0, 2.0, 6.0] * 2)[np.arange(400) % 8]
    p, m = table(x + off, donors=8), table(x, donors=8)
    alone = agreement(match_cells(p, m)).iloc[0]
    grouped = agreement(match_cells(p, m, "donor")).iloc[0]
    assert grouped["groups"] == 8
    assert alone["bias_high"] - alone["bias_low"] < 1
    assert grouped["bias_high"] - grouped["bias_low"] > 4
    for name in ("r", "bias", "lower_limit", "upper_limit", "relative_error"):
        assert grouped[name] == pytest.approx(alone[name], rel=1e-6, abs=1e-6)
        assert grouped[f"{name}_low"] <= grouped[name] <= grouped[f"{name}_high"]


def test_two_groups_have_no_intervals_and_a_note(tmp_path: Path) -> None:
    predicted, measured = written(tmp_path, 300, 2)
    found = agree_files(predicted, measured, tmp_path / "out", group="donor")
    row = found.table.iloc[0]
    bounds = [c for c in found.table if c.endswith(("_low", "_high"))]
    assert len(bounds) == 2 * 7
    assert row[bounds].isna().all()
    assert np.isfinite(
        row[["r", "slope", "bias", "lower_limit", "relative_error"]].astype(float)
    ).all()
    said = "CD105: 2 groups are too few for intervals, which are over groups: 3 are needed"
    assert said in found.notes
    mean = found.coverage[found.coverage["group"] == "(mean)"].iloc[0]
    assert np.isnan([mean["low"], mean["high"]]).all()
    limits = bland_altman([1.0, 2.0, 4.0], [1.0, 1.0, 1.0], groups=["a", "a", "b"])
    # differences 0, 1, 3
    assert limits.mean.estimate == pytest.approx(4 / 3)
    assert np.isnan([limits.mean.low, limits.low.high, limits.high.low]).all()


def test_the_bias_of_three_groups_has_students_interval() -> None:
    # means of the groups 0, 1 and 5, two cells each: mean 2, SD sqrt(7), t(2) .975 = 4.303
    off = [-1.0, 1.0, 0.0, 2.0, 4.0, 6.0]
    found = bland_altman(off, np.zeros(6), groups=["a", "a", "b", "b", "c", "c"]).mean
    assert found == pytest.approx(
        (2, 2 - 4.303 * (7 / 3) ** 0.5, 2 + 4.303 * (7 / 3) ** 0.5, 6), abs=1e-3
    )


def test_a_constant_marker_has_no_correlation_and_one_cell_no_line() -> None:
    row = agreement(match_cells(table(np.arange(5.0)), table(np.full(5, 3.0)))).iloc[0]
    assert np.isnan(row["r"])
    assert np.isnan(row["slope"])
    one = agreement(match_cells(table(np.array([2.0])), table(np.array([1.0])))).iloc[0]
    assert one["n"] == 1
    assert one["bias"] == 1
    assert np.isnan(one["lower_limit"])


def test_cells_without_a_stain_are_left_out_and_counted() -> None:
    measured = table(np.array([1.0, np.nan, 3.0, 4.0]))
    matched = match_cells(table(np.arange(4.0)), measured)
    assert len(matched.cells) == 3
    assert matched.unpaired == {"CD105": 1}


def test_tables_without_a_pair_of_totals_are_refused_with_what_they_have() -> None:
    predicted = table(np.array([np.nan, 2.0, np.nan]))
    measured = table(np.array([1.0, np.nan, 3.0]))
    with pytest.raises(DataError, match=r"of the 3 cells .* CD105: 1 predicted, 2 measured"):
        match_cells(predicted, measured)


def written(root: Path, n: int, donors: int) -> tuple[Path, Path]:
    rng = np.random.default_rng(3)
    x = rng.normal(1000, 200, n)
    tables = {"p": table(x + rng.normal(0, 40, n), donors=donors), "m": table(x, donors=donors)}
    return tuple(write_cells(t, root / f"{name}.h5ad") for name, t in tables.items())  # type: ignore[return-value]


def test_the_report_has_tables_figures_bands_and_a_reference(tmp_path: Path) -> None:
    predicted, measured = written(tmp_path, 600, 6)
    found = agree_files(predicted, measured, tmp_path / "out", group="donor")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "agreement.csv",
        "cells.csv",
        "coverage.csv",
        "bands.json",
        "reference.json",
        *(f"{n}.{s}" for n in ("scatter", "bland_altman", "coverage") for s in ("png", "svg")),
    }
    assert found.coverage["group"].tolist() == [*(f"d{i}" for i in range(6)), "(mean)"]
    band = Bands.read(tmp_path / "out" / "bands.json").markers["CD105"]
    assert band.groups == 6
    assert Reference.read(tmp_path / "out" / "reference.json").features == ("area_um2",)


def test_the_reference_is_of_the_training_cells_where_these_are_given(tmp_path: Path) -> None:
    # compared cells have areas of 100 ... 699, those of the training 100 ... 499, as uniform: the
    # 200 above are farther from the middle than any of these
    predicted, measured = written(tmp_path, 600, 0)
    training = write_cells(table(np.ones(400), donors=8), tmp_path / "training.h5ad")
    found = agree_files(predicted, measured, tmp_path / "out", training=training)
    reference = Reference.read(tmp_path / "out" / "reference.json")
    assert reference.cells == "training cells, training.h5ad"
    assert float(reference.median[0]) == pytest.approx(299.5, abs=20)
    compared = pd.read_csv(tmp_path / "out" / "cells.csv")
    flagged = 600 - len(compared)
    assert flagged == pytest.approx(200, abs=15)
    assert compared["label"].max() == pytest.approx(400, abs=10)  # label 400 has an area of 499
    assert found.bands.markers["CD105"].n < len(compared)
    assert f"{flagged} of 600 predicted cells lie outside of the training cells" in "".join(
        found.notes
    )


def test_without_training_cells_the_report_says_whose_the_reference_is(tmp_path: Path) -> None:
    predicted, measured = written(tmp_path, 300, 0)
    found = agree_files(predicted, measured, tmp_path / "out")
    assert any("of the compared cells" in n and "--training" in n for n in found.notes)
    assert "compared" in Reference.read(tmp_path / "out" / "reference.json").cells


def test_another_background_of_the_two_tables_is_told(tmp_path: Path) -> None:
    paths = written(tmp_path, 300, 0)
    for path, background in zip(paths, ("none", "outside"), strict=True):
        cells = read_cells(path)
        how = {"background": background, "gap_um": 3.0, "ring_um": 10.0}
        cells.uns["unstained"] = {"settings": how, "sources": {"pixel_size_um": [0.65]}}
        write_cells(cells, path)
    notes = " ".join(agree_files(*paths, tmp_path / "out").notes)
    assert "predicted totals have background none" in notes
    assert "measured ones background outside" in notes


def test_a_band_that_groups_are_too_few_for_holds_within_them_and_says_so(tmp_path: Path) -> None:
    # 0.9 / (1 - 0.9) = 9 groups are needed
    predicted, measured = written(tmp_path, 300, 3)
    found = agree_files(predicted, measured, tmp_path / "out", group="donor", level=0.9)
    assert any("3 groups are too few to promise 90%" in n and "needed: 9" in n for n in found.notes)
    band = found.bands.markers["CD105"]
    assert np.isfinite(band.threshold)
    assert band.groups == 0


def test_a_coverage_that_is_not_known_is_no_0_and_has_no_figure(tmp_path: Path) -> None:
    # of two donors one is left to fit on, and a band of 60 % for a new one needs two
    predicted, measured = written(tmp_path, 200, 2)
    found = agree_files(predicted, measured, tmp_path / "out", group="donor")
    assert not list((tmp_path / "out").glob("coverage.[ps]*g"))
    assert found.coverage["group"].tolist() == ["d0", "d1", "(mean)"]
    assert found.coverage["covered"].isna().all()


def test_the_command_says_how_far_they_agree_and_that_cells_are_not_independent(
    tmp_path: Path,
) -> None:
    predicted, measured = written(tmp_path, 300, 0)
    app = typer.Typer()
    app.command()(agree_command)
    told = CliRunner().invoke(
        app, [str(predicted), str(measured), "--out", str(tmp_path / "out"), "--level", "0.9"]
    )
    assert told.exit_code == 0, told.output
    assert "CD105: 300 cells, r 0.98" in told.output
    assert "give --group" in told.output


def test_what_is_not_defined_is_said_in_words_and_not_as_nan(tmp_path: Path) -> None:
    # no stain: 0 in all cells against 1 ... 40; four cells for each of ten donors
    p, m = np.arange(1.0, 41.0), np.zeros(40)
    of_p = write_cells(table(p, donors=10), tmp_path / "p.h5ad")
    of_m = write_cells(table(m, donors=10), tmp_path / "m.h5ad")
    found = agree_files(of_p, of_m, tmp_path / "out", group="donor", level=0.99)
    (line,) = agreement_lines(found)
    assert "nan" not in line
    assert "no r and no slope" in line
    assert "error more than 10 times the measured totals, which are near 0" in line
    assert line.endswith("held-out coverage of the 99% band not known")


def test_cells_outside_of_the_training_are_not_said_to_lack_a_total(tmp_path: Path) -> None:
    # 60 familiar cells of areas about 100 um2, and 2 of 10,000 um2; all have both totals
    rng = np.random.default_rng(0)
    area = np.concatenate([rng.normal(100, 5, 60), [1e4, 1e4]])
    x = rng.normal(50, 5, 62)
    of_p = write_cells(table(x + 1, area=area), tmp_path / "p.h5ad")
    of_m = write_cells(table(x, area=area), tmp_path / "m.h5ad")
    taught = write_cells(table(x, area=rng.normal(100, 5, 62)), tmp_path / "t.h5ad")
    found = agree_files(of_p, of_m, tmp_path / "out", training=taught)
    assert any("of 62 predicted cells lie outside of the training cells" in n for n in found.notes)
    assert not any("no predicted or no measured" in note for note in found.notes)
    far = write_cells(table(x, area=np.full(62, 1e4)), tmp_path / "far.h5ad")
    with pytest.raises(DataError, match=r"far\.h5ad: all 62 predicted cells lie outside"):
        agree_files(far, of_m, tmp_path / "none", training=taught)


def test_tables_without_a_common_marker_are_refused_by_name(tmp_path: Path) -> None:
    x = np.arange(3.0)
    of_p = write_cells(table(x, marker="CD29"), tmp_path / "p.h5ad")
    of_m = write_cells(table(x), tmp_path / "m.h5ad")
    with pytest.raises(DataError, match=r"p\.h5ad, .*m\.h5ad: no marker is in both"):
        agree_files(of_p, of_m, tmp_path / "out")


def test_predicted_stains_in_place_of_measured_ones_are_refused(tmp_path: Path) -> None:
    predicted, measured = written(tmp_path, 60, 6)
    made = read_cells(predicted)
    made.uns["unstained"] = {"predicted": ["CD105"]}
    told = write_cells(made, tmp_path / "told.h5ad")
    with pytest.raises(DataError, match=r"told\.h5ad: has CD105 as a model predicted it"):
        agree_files(measured, told, tmp_path / "swapped")
    assert agree_files(told, measured, tmp_path / "right").table["n"].tolist() == [60]
    # predicted is another marker, which is not compared
    made.uns["unstained"] = {"predicted": ["CD44"]}
    beside = write_cells(made, tmp_path / "beside.h5ad")
    assert agree_files(measured, beside, tmp_path / "beside").table["n"].tolist() == [60]


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is not there"):
        agree_files(tmp_path / "p.h5ad", tmp_path / "m.h5ad", tmp_path / "out")


def test_limits_of_agreement_are_of_two_columns_of_one_length_and_a_level_below_1() -> None:
    with pytest.raises(InputError, match=r"\(3,\) predicted, \(2,\) measured"):
        bland_altman([1.0, 2.0, 3.0], [1.0, 2.0])
    with pytest.raises(InputError, match="level 95"):
        bland_altman([1.0, 2.0, 3.0], [1.0, 2.0, 4.0], level=95)
