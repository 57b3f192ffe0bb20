"""Bands hold the promised share of new totals, for cells and for groups that they never saw."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from unstained.cell_table import OBS_COLUMNS, new_cells, values_of
from unstained.cells.bands import Band, Bands, apply_bands, fit_band, held_out_coverage
from unstained.cells.measuring import Measuring
from unstained.errors import DataError, FileError, InputError

Cells = tuple[np.ndarray, np.ndarray, np.ndarray]


def table(totals: list[float], marker: str = "CD105") -> AnnData:
    """Cells with the totals of one marker, and an area."""
    n = len(totals)
    obs = pd.DataFrame({name: np.arange(n) for name in OBS_COLUMNS}).assign(image="a")
    columns = pd.DataFrame({marker: totals, "area_um2": 1.0})
    var = pd.DataFrame({"kind": ["marker", "shape"], "unit": ""}, index=columns.columns)
    return new_cells(obs, columns, var)


def cells(rng: np.random.Generator, groups: int, each: int, between: float) -> Cells:
    """Predicted and measured totals and groups; the error grows with the total.

    `between`: sd of what all cells of a group are off by, against 1 for cells.
    """
    group = np.repeat(np.arange(groups), each)
    predicted = rng.gamma(4, 25, groups * each)
    error = rng.normal(0, 1, groups * each) + between * rng.normal(0, 1, groups)[group]
    return predicted, predicted + 0.1 * predicted * error, group


def test_the_threshold_is_the_m_th_smallest_error() -> None:
    # 9 cells, too few for a line: errors 1 ... 9, m = ceil(10 x 0.6) = 6, so predicted -+ 6
    predicted = np.full(9, 50.0)
    band = fit_band(predicted, predicted + np.arange(1.0, 10.0), 0.6)
    assert band.threshold == 6
    low, high = band.interval(np.array([10.0, 50.0]))
    assert low.tolist() == [4.0, 44.0]
    assert high.tolist() == [16.0, 56.0]


def test_too_few_cells_promise_nothing() -> None:
    # ceil(10 x 0.95) = 10 > 9
    predicted = np.full(9, 50.0)
    band = fit_band(predicted, predicted + 1, 0.95)
    assert np.isinf(band.threshold)
    assert band.interval(50.0)[1] == np.inf


def test_groups_weigh_alike_whatever_their_cells() -> None:
    # K = 2: weights 1/3 each and 1/3 at infinity. Group a: errors 1 (8 times); b: 5 and 7.
    # up to 1: 1/3; up to 5: 1/2; up to 7: 2/3. At 0.6 the threshold is 7, at 0.5 it is 5
    predicted = np.full(10, 50.0)
    measured = predicted + np.array([1.0] * 8 + [5.0, 7.0])
    groups = ["a"] * 8 + ["b"] * 2
    assert fit_band(predicted, measured, 0.6, groups=groups).threshold == 7
    assert fit_band(predicted, measured, 0.5, groups=groups).threshold == 5
    assert fit_band(predicted, measured, 0.6).threshold == 1  # the seventh of ten
    assert np.isinf(fit_band(predicted, measured, 0.7, groups=groups).threshold)


def test_a_band_takes_bias_and_shrinkage_away() -> None:
    # the truth is 20 + 2 p exactly
    predicted = np.linspace(10, 200, 400)
    band = fit_band(predicted, 20 + 2 * predicted)
    low, high = band.interval(100.0)
    assert low == pytest.approx(220, rel=1e-6)
    assert high == pytest.approx(220, rel=1e-6)


def test_a_band_is_wider_where_errors_are_larger() -> None:
    predicted, measured, _ = cells(np.random.default_rng(0), 1, 4000, 0)
    band = fit_band(predicted, measured)
    low, high = band.interval(np.array([40.0, 160.0]))
    # errors are normal with sd 0.1 p, of which the middle 60 % reach to 0.84 sd; a band of one
    # width would have 16.8 for both
    assert high - low == pytest.approx(2 * 0.0842 * np.array([40, 160]), rel=0.25)


def test_bands_without_ends_and_markers_without_a_band_are_told() -> None:
    endless = Band(0.0, 1.0, 0.0, 0.0, 1.0, float("inf"), 5, 0)
    bands = Bands(0.99, {"CD105": endless, "CD29": replace(endless, threshold=2.0)})
    assert bands.notes(["CD29"]) == ()
    assert bands.notes(["CD105", "CD29", "CD44"]) == (
        "CD105: too few cells or groups were compared for a band of 99%: low and high are empty",
        "CD44: the bands are of others: low and high are empty",
    )


@pytest.mark.parametrize("level", [0.6, 0.9])
def test_new_cells_lie_in_the_band_as_often_as_promised(level: float) -> None:
    rng = np.random.default_rng(1)
    shares = []
    for _ in range(60):
        predicted, measured, _ = cells(rng, 1, 400, 0)
        band = fit_band(predicted[:200], measured[:200], level)
        low, high = band.interval(predicted[200:])
        shares.append(np.mean((measured[200:] >= low) & (measured[200:] <= high)))
    # one share has an sd of about 0.05, their mean of 0.007
    assert np.mean(shares) == pytest.approx(level, abs=0.025)


def test_cells_of_a_new_group_need_the_band_of_groups() -> None:
    # groups differ twice as much as cells: pooled cells promise too much of a new group
    rng = np.random.default_rng(2)
    pooled: list[float] = []
    grouped: list[float] = []
    for _ in range(150):
        predicted, measured, group = cells(rng, 6, 40, 2.0)
        new = group == 5
        for of, shares in ((None, pooled), (group[~new], grouped)):
            band = fit_band(predicted[~new], measured[~new], 0.6, groups=of)
            low, high = band.interval(predicted[new])
            shares.append(float(np.mean((measured[new] >= low) & (measured[new] <= high))))
    assert np.mean(pooled) < 0.58
    assert np.mean(grouped) > 0.6


def test_coverage_is_that_of_groups_that_were_left_out() -> None:
    rng = np.random.default_rng(3)
    predicted, measured, group = cells(rng, 8, 100, 0.3)
    measured[group == 7] += 1e4  # a group that is nothing like the others
    found = held_out_coverage(predicted, measured, 0.6, groups=group)
    assert found.table["group"].tolist() == [str(i) for i in range(8)]
    assert found.table["share"].iloc[7] == 0
    assert found.share == pytest.approx(found.table["share"].mean())
    assert found.low <= found.share <= found.high
    assert (found.table["low"] <= found.table["share"] + 1e-9).all()


def test_coverage_without_groups_is_over_folds_of_cells() -> None:
    predicted, measured, _ = cells(np.random.default_rng(4), 1, 1000, 0)
    found = held_out_coverage(predicted, measured, 0.6)
    assert len(found.table) == 5
    assert found.table["n"].sum() == 1000
    assert found.share == pytest.approx(0.6, abs=0.06)


def test_coverage_that_too_few_groups_can_tell_is_not_known() -> None:
    # two others promise 2/3 at most
    predicted, measured, group = cells(np.random.default_rng(5), 3, 50, 0)
    found = held_out_coverage(predicted, measured, 0.9, groups=group)
    assert found.table["share"].isna().all()
    assert np.isnan(found.share)
    with pytest.raises(InputError, match="1 group to hold out"):
        held_out_coverage(predicted, measured, groups=np.zeros(150))


def test_bands_come_back_from_json(tmp_path: Path) -> None:
    of = {
        "a": Band(1.5, 0.9, 0.1, 0.2, 0.01, 1.25, 70, 5),
        "b": Band(0.0, 1.0, 0.0, 0.0, 1.0, float("inf"), 3, 0),
    }
    bands = Bands(0.9, of, Measuring("ring", 3.0, 10.0, (0.5, 0.65)))
    assert Bands.read(bands.write(tmp_path / "bands.json")) == bands
    with pytest.raises(FileError, match="cannot be read as bands"):
        Bands.read(tmp_path / "none.json")
    (tmp_path / "x.json").write_text("[1]", "utf-8")
    with pytest.raises(FileError, match="unstained cells agree"):
        Bands.read(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ({"slope": "1"}, "CD105.slope is '1', not a finite number"),
        ({"threshold": -3}, "CD105 has the floor 1 and threshold -3"),
        ({"floor": 0}, "CD105 has the floor 0 and threshold 2"),
    ],
)
def test_bands_with_values_that_no_band_has_are_refused(
    tmp_path: Path, of: dict[str, object], said: str
) -> None:
    file = Bands(0.6, {"CD105": Band(0, 1, 0, 0, 1, 2, 9, 0)}).write(tmp_path / "bands.json")
    saved = json.loads(file.read_text())
    saved["markers"]["CD105"] |= of
    file.write_text(json.dumps(saved))
    with pytest.raises(FileError, match=rf"bands\.json: cannot be read as bands \({said}\)"):
        Bands.read(file)


def test_bands_of_a_level_that_is_no_share_are_refused(tmp_path: Path) -> None:
    file = Bands(7, {"CD105": Band(0, 1, 0, 0, 1, 2, 9, 0)}).write(tmp_path / "bands.json")
    with pytest.raises(FileError, match="level is 7, no share between 0 and 1"):
        Bands.read(file)


def test_a_table_gets_its_bands_where_there_is_a_total() -> None:
    bands = Bands(0.6, {"CD105": Band(0.0, 1.0, 0.0, 0.0, 1.0, 5.0, 100, 0)})
    before = table([10.0, np.nan])
    after = apply_bands(before, bands)
    assert values_of(after, ["CD105"], "low")[:, 0].tolist() == pytest.approx(
        [5, np.nan], nan_ok=True
    )
    assert values_of(after, ["CD105"], "high")[0, 0] == 15
    assert np.isnan(values_of(after, ["area_um2"], "low")).all()
    assert values_of(after, ["CD105"])[0, 0] == 10
    assert after.uns["unstained"]["band_level"] == 0.6
    assert "low" not in before.layers
    with pytest.raises(DataError, match="bands are of CD105, the cells have none"):
        apply_bands(table([1.0], "CD29"), bands)


@pytest.mark.parametrize("level", [0.0, 1.0, 60.0])
def test_a_level_that_is_no_share_is_refused(level: float) -> None:
    with pytest.raises(InputError, match="level"):
        fit_band([1.0, 2.0], [1.0, 2.0], level)


def test_totals_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(InputError, match="give one of each"):
        fit_band([1.0, 2.0], [1.0])
    with pytest.raises(InputError, match="no cell has"):
        fit_band([np.nan], [1.0])
