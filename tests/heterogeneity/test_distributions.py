"""Spread from cell to cell in percent of the mean."""

from __future__ import annotations

import numpy as np
import pytest

from unstained.errors import DataError
from unstained.heterogeneity.marker_spread import distributions


def test_the_spread_is_the_sd_in_percent_of_the_mean(make_table):
    # mean 4, deviations -2, 0, 2: sd = sqrt(8 / 2) = 2, so 50 %
    row = distributions(make_table({"A": [2.0, 4.0, np.nan, 6.0]})).iloc[0]
    assert row["sd_percent"] == pytest.approx(50)
    assert (row["n"], row["missing"], row["mean"], row["median"]) == (3, 1, 4, 4)
    assert row["skewness"] == pytest.approx(0)


def test_the_interval_holds_the_true_spread_of_a_large_sample(make_table):
    values = np.random.default_rng(0).normal(100, 20, 2000)
    row = distributions(make_table({"A": values}), draws=300).iloc[0]
    assert row["low"] < 20 < row["high"]
    # the error of an sd is about sd / sqrt(2 n): 20 / sqrt(4000) = 0.32, 95 % = +-0.62
    assert (row["high"] - row["low"]) / 2 == pytest.approx(0.62, rel=0.25)


def test_donors_that_differ_widen_the_interval(make_table):
    donor = np.repeat(np.arange(6), 50)
    values = 100 + 30 * np.random.default_rng(0).normal(size=6)[donor]
    values = values + np.random.default_rng(1).normal(0, 5, 300)
    cells = make_table({"A": values}, donor=donor)
    one = distributions(cells, draws=300).iloc[0]
    two = distributions(cells, groups="donor", draws=300).iloc[0]
    assert two["high"] - two["low"] > 2 * (one["high"] - one["low"])


@pytest.mark.parametrize(
    ("values", "said"),
    [([1.0], "1 cell"), ([3.0, 3.0], "the same"), ([-3.0, 1.0], "mean of A is -1")],
)
def test_markers_without_a_spread_are_refused(make_table, values, said):
    with pytest.raises(DataError, match=said):
        distributions(make_table({"A": values}))
