"""Comparisons by what is replicated, and shares of the variance."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp, ttest_ind
from statsmodels.formula.api import mixedlm

from unstained.errors import DataError, InputError
from unstained.heterogeneity.factors import compare_factor, trend_of_factor
from unstained.heterogeneity.variance import variance_shares


def nested(seed, donors, variances, cells=10):
    """y and the columns donor, passage (3), well (2) of a simulated experiment."""
    rng = np.random.default_rng(seed)
    wells = np.arange(donors * 3 * 2)
    well = np.repeat(wells, cells)
    y = rng.normal(0, np.sqrt(variances[3]), well.size)
    for variance, code in zip(variances, (wells // 6, wells // 2, wells), strict=False):
        y += rng.normal(0, np.sqrt(variance), code.max() + 1)[code][well]
    return y, {"donor": well // 6, "passage": well // 2 % 3, "well": well % 2}


def wells(seed, shift, between=1.0):
    """Four wells of each of two media, 30 cells a well."""
    rng = np.random.default_rng(seed)
    well = np.repeat(np.arange(8), 30)
    y = rng.normal(0, between, 8)[well] + rng.normal(size=240) + shift * (well < 4)
    return y[:, None], np.where(well < 4, "a", "b"), well


def test_media_are_compared_by_the_means_of_their_wells():
    y, medium, well = wells(0, 2.0)
    row = compare_factor(y, ["A"], medium, well).iloc[0]
    mean = np.array([y[well == w].mean() for w in range(8)])
    theirs = ttest_ind(mean[:4], mean[4:])
    assert row["p"] == pytest.approx(theirs.pvalue)
    assert (row["design"], row["units"], row["a"], row["b"]) == ("between", 8, "a", "b")
    sd = np.sqrt(np.mean([y[well == w].var(ddof=1) for w in range(8)]))
    assert row["effect"] == pytest.approx((mean[:4].mean() - mean[4:].mean()) / sd)
    # all wells have as many cells: the mixed model says the same
    assert row["mixed"] == pytest.approx(row["effect"], abs=1e-3)


def test_media_on_the_same_donors_are_compared_inside_them():
    rng = np.random.default_rng(0)
    donor, medium = np.repeat(np.arange(5), 40), np.tile(["a", "b"], 100)
    y = 10 * rng.normal(size=5)[donor] + 0.5 * (medium == "a") + rng.normal(size=200)
    row = compare_factor(y[:, None], ["A"], medium, donor).iloc[0]
    inside = [
        y[(donor == d) & (medium == "a")].mean() - y[(donor == d) & (medium == "b")].mean()
        for d in range(5)
    ]
    assert row["design"] == "within"
    assert row["p"] == pytest.approx(ttest_1samp(inside, 0).pvalue)


def test_wells_that_differ_by_chance_are_rarely_called_different():
    tables = [wells(seed, 0.0) for seed in range(60)]
    p = [compare_factor(y, ["A"], medium, well).iloc[0]["p"] for y, medium, well in tables]
    assert np.mean(np.array(p) < 0.05) <= 0.15  # 60 at 5 %: 9 or more in 1 of 250 cases


def test_too_few_units_are_said_and_not_tested():
    y, medium, well = wells(0, 2.0)
    some = well < 5  # four wells against one
    row = compare_factor(y[some], ["A"], medium[some], well[some]).iloc[0]
    assert np.isnan(row["p"])
    assert row["note"] == "4 and 1 units: two of each are needed"


def test_one_level_is_refused():
    y, _, well = wells(0, 0.0)
    with pytest.raises(DataError, match="all cells are of a"):
        compare_factor(y, ["A"], np.full(240, "a"), well)
    with pytest.raises(InputError, match="one row a cell"):
        compare_factor(y, ["A"], ["a"], well)


def test_holm_is_over_all_markers_and_pairs():
    y, medium, well = wells(0, 2.0)
    table = compare_factor(np.column_stack([y, y]), ["A", "B"], medium, well)
    assert table["p_holm"].tolist() == pytest.approx([2 * p for p in table["p"]])


def test_a_density_of_each_well_is_a_trend_over_wells():
    rng = np.random.default_rng(0)
    well = np.repeat(np.arange(10), 50)
    density = np.linspace(10, 100, 10)[well]
    y = density / density.std() + rng.normal(size=500)
    row = trend_of_factor(y[:, None], ["A"], density, well).iloc[0]
    # a slope of 1 per SD of density, in units of a spread of 1 within wells
    assert row["low"] < 1 < row["high"]
    assert row["effect"] == pytest.approx(1, abs=0.15)
    assert (row["design"], row["units"]) == ("between", 10)


def test_neighbors_of_cells_are_a_trend_inside_wells():
    rng = np.random.default_rng(0)
    well, neighbors = np.repeat(np.arange(6), 60), rng.integers(0, 8, 360).astype(float)
    y = 5 * well - 0.5 * neighbors / neighbors.std() + rng.normal(size=360)
    row = trend_of_factor(y[:, None], ["A"], neighbors, well).iloc[0]
    assert row["design"] == "within"
    assert row["effect"] == pytest.approx(-0.45, abs=0.12)  # -0.5 / SD within, sqrt(1 + 0.25)
    with pytest.raises(DataError, match="in all cells"):
        trend_of_factor(y[:, None], ["A"], np.ones(360), well)


def test_variances_are_those_of_statsmodels():
    y, levels = nested(3, 6, (1, 0.5, 0.25, 1.25))
    keep = np.random.default_rng(0).random(y.size) < 0.7  # unequal numbers of cells
    columns = {name: code[keep] for name, code in levels.items()}
    found = variance_shares(y[keep], columns, draws=2)
    frame = pd.DataFrame({"y": y[keep], **columns})
    frame["well"] = frame["passage"] * 2 + frame["well"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = mixedlm(
            "y ~ 1",
            frame,
            groups="donor",
            re_formula="1",
            vc_formula={"passage": "0 + C(passage)", "well": "0 + C(well)"},
        ).fit()
    expected = [theirs.cov_re.iloc[0, 0], *theirs.vcomp, theirs.scale]
    assert found["variance"].to_numpy() == pytest.approx(expected, rel=2e-3)
    assert found["groups"].tolist() == [6, 18, 36, int(keep.sum())]


def test_shares_are_recovered_on_average():
    truth = np.array([0.4, 0.0, 0.1, 0.5])
    shares = [
        variance_shares(*nested(seed, 20, truth), draws=1)["share"].to_numpy() for seed in range(12)
    ]
    assert np.mean(shares, axis=0) == pytest.approx(truth, abs=0.06)


@pytest.mark.parametrize("donors", [3, 12])
def test_the_interval_of_a_share_holds_the_truth_as_often_as_it_says(donors):
    # 0.95 counted in 120 experiments has an SD of 0.02; a parametric bootstrap has 0.8 for a few
    # donors. Unequal numbers of cells: what is drawn for equal ones is about right
    truth, held = np.array([0.4, 0.1, 0.1, 0.4]), np.zeros(4)
    for seed in range(120):
        y, levels = nested(seed, donors, tuple(truth))
        keep = np.random.default_rng(seed).random(y.size) < 0.5
        found = variance_shares(
            y[keep], {name: of[keep] for name, of in levels.items()}, draws=1000
        )
        held += (found["low"] <= truth) & (truth <= found["high"])
    assert (held / 120 > 0.88).all()


def test_the_interval_between_two_groups_is_that_of_their_mean_squares():
    # two donors of two cells, means 0 and 3: Q of donors is 4.5 / chi^2(1), of cells 4 / chi^2(2),
    # and the variance of donors the first less half the second. As chi^2(2) is exponential and
    # 4 / x > 9 / z where x < 4 z / 9, donors share nothing in P = E[1 - exp(-(4/9) Z / 2)], Z ~
    # chi^2(1): 1 - (1 + 4/9)^-0.5 = 0.168 of the draws
    y = np.array([-1.0, 1.0, 2.0, 4.0])
    table = variance_shares(y, {"donor": ["a", "a", "b", "b"]}, level=1 - 2 * 0.16, draws=20_000)
    assert table["low"][0] == 0
    table = variance_shares(y, {"donor": ["a", "a", "b", "b"]}, level=1 - 2 * 0.18, draws=20_000)
    assert table["low"][0] > 0


def test_wells_of_one_name_on_two_donors_are_two_wells():
    y, levels = nested(0, 3, (1, 1, 1, 1))
    assert variance_shares(y, levels, draws=1)["groups"].tolist() == [3, 9, 18, y.size]


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ({"donor": np.zeros(8)}, "all cells are of one donor"),
        ({"donor": np.repeat([0, 1], 4), "well": np.repeat([5, 6], 4)}, "each donor has one well"),
        ({"donor": np.repeat([0, 1], 4), "well": np.arange(8)}, "each well has one cell"),
    ],
)
def test_levels_that_cannot_be_told_apart_are_refused(levels, said):
    with pytest.raises(DataError, match=said):
        variance_shares(np.arange(8.0), levels)


def test_the_mixed_model_does_not_run_away_where_wells_differ_much():
    # L-BFGS, "converged", gave effects of -1.0 and -3.7 here, with errors of 1e7
    for seed in (0, 1):
        row = compare_factor(*_named(*wells(seed, 2.0))).iloc[0]
        assert row["mixed"] == pytest.approx(row["effect"], abs=0.01)
        assert row["mixed_high"] - row["mixed_low"] < 5


def _named(y, medium, well):
    return y, ["A"], medium, well


def test_a_marker_that_does_not_vary_leaves_the_others_their_comparison():
    values = np.column_stack([np.arange(8.0), np.full(8, 3.0), np.full(8, np.nan)])
    names = ["CD105", "CD73", "CD29"]
    medium, well = np.repeat(["a", "b"], 4), np.repeat(["1", "2", "3", "4"], 2)
    for table in (
        compare_factor(values, names, medium, well),
        trend_of_factor(values, names, np.repeat([1, 2, 3, 5], 2), well),
    ):
        assert np.isfinite(table["p"]).tolist() == [True, False, False]
        assert table["p_holm"][0] == table["p"][0]  # what was not tested counts for nothing
        assert table["note"].tolist() == ["", *["cells of a group do not vary"] * 2]


def test_a_trend_over_two_wells_is_said_and_not_tested():
    values, well = np.arange(8.0)[:, None], np.repeat(["1", "2"], 4)
    row = trend_of_factor(values, ["A"], np.repeat([1, 2], 4), well).iloc[0]
    assert np.isnan(row["p"])
    assert row["note"].startswith("2 units")


def test_a_marker_of_zeros_has_no_difference_and_no_percent():
    values = np.column_stack([np.zeros(20), np.random.default_rng(0).normal(size=20)])
    medium, well = np.repeat(["a", "b"], 10), np.repeat(["w1", "w2", "w3", "w4"], 5)
    table = compare_factor(values, ["zeros", "noise"], medium, well).set_index("variable")
    assert table.loc["zeros", "note"] == "cells of a group do not vary"
    assert table.loc["zeros", ["effect", "percent", "p"]].isna().all()
    assert table.loc["noise", ["effect", "percent", "p"]].notna().all()
