"""Errors of known size and duration are found again and taken out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from unstained.cell_table import Traces, new_cells, write_cells
from unstained.cli.dynamics_checks import _say_bounds, error
from unstained.dynamics.model_error import (
    correlation_bounds,
    error_bounds,
    error_in_time,
    error_of_traces,
)
from unstained.errors import DataError, InputError

Array = np.ndarray[Any, Any]

INTERVAL_S = 240.0


def _decaying(cells: int, frames: int, tau_min: float, seed: int) -> Array:
    """Ornstein-Uhlenbeck traces of variance 1."""
    rng = np.random.default_rng(seed)
    rho = math.exp(-INTERVAL_S / 60 / tau_min)
    out = rng.standard_normal((cells, frames))
    for t in range(1, frames):
        out[:, t] = rho * out[:, t - 1] + math.sqrt(1 - rho**2) * out[:, t]
    return out


@pytest.fixture(scope="module")
def truth() -> Array:
    return 0.15 * _decaying(60, 200, 40.0, 2)


def test_a_white_error_is_gone_from_lag_0_and_leaves_the_correlation_time(truth: Array):
    error = 0.1 * np.random.default_rng(1).standard_normal(truth.shape)
    bounds = error_bounds(truth + error, INTERVAL_S, 0.1, error_tau_min=[0])
    row = bounds.table.iloc[0]
    # 0.1^2 / (0.15^2 + 0.1^2) = 0.31; removed means take a little of the slower part
    assert row["share"] == pytest.approx(0.31, abs=0.03)
    assert row["possible"]
    assert row["low"] < 40 < row["high"]


def test_a_constant_error_is_no_part_of_a_fluctuation(truth: Array):
    error = 0.3 * np.random.default_rng(2).standard_normal((len(truth), 1))
    row = error_bounds(truth + error, INTERVAL_S, 0.3, error_tau_min=[math.inf]).table.iloc[0]
    assert row["share"] == pytest.approx(0, abs=1e-9)
    assert row["low"] < 40 < row["high"]


def test_an_error_that_lasts_is_taken_out_of_the_correlation_time(truth: Array):
    error = 0.15 * _decaying(*truth.shape, 8.0, 3)
    mixed = truth + error
    with_it = error_bounds(mixed, INTERVAL_S, 0.0, error_tau_min=[8]).table.iloc[0]
    without = error_bounds(mixed, INTERVAL_S, 0.15, error_tau_min=[8]).table.iloc[0]
    assert with_it["high"] < 40
    assert without["low"] < 40 < without["high"]
    # half of the variance, a little more as removed means take from the slower part
    assert without["share"] == pytest.approx(0.53, abs=0.05)


def test_a_white_error_that_the_traces_have_no_noise_for_is_not_possible(truth: Array):
    table = error_bounds(truth, INTERVAL_S, 0.1, error_tau_min=[0, 40]).table
    assert table["possible"].tolist() == [False, True]
    assert math.isnan(table["tau_min"].iloc[0])


def test_an_error_larger_than_the_fluctuation_cannot_last_as_it_does(truth: Array):
    bounds = error_bounds(truth, INTERVAL_S, 0.5, error_tau_min=[40, math.inf])
    assert bounds.table["share"].tolist() == pytest.approx([1, 0], abs=1e-9)
    assert bounds.table["possible"].tolist() == [False, True]


def test_an_error_larger_than_the_fluctuation_may_be_all_of_it(truth: Array, capsys):
    # lasting 40 min it is (0.5 / 0.15)^2 = 11 times the variance, for ever nothing of it: somewhere
    # between just below 1, with nothing left that could have a time
    bounds = error_bounds(truth, INTERVAL_S, 0.5)
    assert bounds.share == pytest.approx((0, 1), abs=1e-9)
    assert not bounds.always_told
    _say_bounds("A", bounds)
    said = capsys.readouterr().out
    assert said.startswith("A: 0% to 100% of the fluctuation may be error; correlation time")
    assert said.endswith(" min, or none that can be told\n")


def test_an_error_that_is_known_to_last_and_is_too_large_does_not_fit(truth: Array, capsys):
    bounds = error_bounds(truth, INTERVAL_S, 0.5, error_tau_min=[40])
    assert math.isnan(bounds.share[0])
    assert math.isnan(bounds.share[1])
    _say_bounds("A", bounds)
    assert "so large an error does not fit" in capsys.readouterr().out


def test_a_time_that_one_possible_error_takes_away_is_not_sure(truth: Array):
    # variance 0.15^2 lasting 40 min and 0.1^2 of noise: an error of 0.149 that lasts as long is a
    # share of 0.68, and leaves noise only
    noisy = truth + 0.1 * np.random.default_rng(9).standard_normal(truth.shape)
    bounds = error_bounds(noisy, INTERVAL_S, 0.149, error_tau_min=[40, math.inf])
    assert bounds.table["possible"].tolist() == [True, True]
    assert bounds.table["tau_min"].isna().tolist() == [True, False]
    assert bounds.share[1] == pytest.approx(0.68, abs=0.03)
    assert not bounds.always_told


def test_by_default_the_error_may_last_from_one_frame_to_for_ever(truth: Array):
    bounds = error_bounds(truth, INTERVAL_S, 0.05)
    taus = bounds.table["error_tau_min"].tolist()
    assert (taus[0], taus[-1]) == (0, math.inf)
    low, high = bounds.tau_min
    assert low < 40 < high
    assert bounds.always_told
    # never more than (0.05 / 0.15)^2 and what removed means take of it
    assert 0 <= bounds.share[0] < bounds.share[1] < 0.14


def test_constant_white_and_lasting_parts_of_an_error_are_told_apart():
    rng = np.random.default_rng(4)
    shape = (150, 200)
    truth = rng.random(shape)
    parts = (0.3 * rng.standard_normal((150, 1)), 0.2 * rng.standard_normal(shape))
    error = parts[0] + parts[1] + 0.25 * _decaying(*shape, 30.0, 5)
    found = error_in_time(truth + error, truth, INTERVAL_S)
    # variances 0.09, 0.04 and 0.0625 of 0.1925
    assert found.sd == pytest.approx(math.sqrt(0.1925), rel=0.08)
    assert found.constant_share == pytest.approx(0.468, abs=0.08)
    assert found.white_share == pytest.approx(0.208, abs=0.04)
    assert found.lasting_share == pytest.approx(0.325, abs=0.06)
    assert found.tau_min == pytest.approx(30, rel=0.15)


def test_a_white_error_has_no_constant_part():
    rng = np.random.default_rng(6)
    truth = rng.random((100, 20))
    found = error_in_time(truth + 0.2 * rng.standard_normal(truth.shape), truth, INTERVAL_S)
    assert found.constant_share < 0.02
    assert found.white_share > 0.9
    assert found.sd == pytest.approx(0.2, rel=0.05)


def _traces(track: list[int], values: Array) -> Traces:
    image = np.array(["m"] * len(track))
    time = np.arange(values.shape[1]) * INTERVAL_S
    return Traces(image, np.array(track), np.zeros(len(track), int), time, values, INTERVAL_S)


def test_cells_of_two_tables_are_matched_by_track_and_a_common_factor_is_no_error():
    rng = np.random.default_rng(7)
    level = np.array([10.0, 100.0, 1000.0])[:, None]
    truth = level * (1 + 0.1 * _decaying(3, 400, 20.0, 8))
    predicted = 2 * (truth + 0.05 * level * rng.standard_normal(truth.shape))
    # the other way round, with a cell that the truth lacks
    rows = np.concatenate([predicted[::-1], predicted[:1]])
    found = error_of_traces(_traces([3, 2, 1, 9], rows), _traces([1, 2, 3], truth))
    assert found.sd == pytest.approx(0.05, rel=0.1)
    assert found.white_share > 0.9
    with pytest.raises(DataError, match="no cell in common"):
        error_of_traces(_traces([4, 5, 6], predicted), _traces([1, 2, 3], truth))
    with pytest.raises(DataError, match="400 frames predicted, 5 true"):
        error_of_traces(_traces([1, 2, 3], predicted), _traces([1, 2, 3], truth[:, :5]))


def test_independent_errors_hide_correlation():
    # r = 0.3 at half error in both: 0.3 / sqrt(0.5 * 0.5)
    assert correlation_bounds(0.3, (0.5, 0.5), (0, 0)) == pytest.approx((0.3, 0.6))


def test_errors_that_go_together_feign_correlation():
    # at the bounds of equal shares s: (0.3 - s) / (1 - s), -0.4 at s = 0.5
    low, high = correlation_bounds(0.3, (0.5, 0.5), (0, 1))
    assert (low, high) == pytest.approx((-0.4, 0.6))


def test_the_error_of_one_may_be_small_where_that_of_the_other_is_large():
    # at q = 1 and s2 = 0.1 the derivative by s1 of (0.9 - sqrt(s1 s2)) / sqrt((1 - s1) (1 - s2))
    # is 0 where sqrt(s1) = sqrt(0.1) / 0.9, s1 = 0.1235: 0.7889 / sqrt(0.8765 x 0.9) = 0.8882;
    # with s1 nine times s2 throughout the least would be 0.9, at no error
    low, _ = correlation_bounds(0.9, (0.9, 0.1), (0, 1))
    assert low == pytest.approx(0.8882, abs=1e-4)


def test_a_fluctuation_that_may_be_all_error_says_nothing():
    assert correlation_bounds(0.9, (1.0, 0.1)) == (-1, 1)


def test_impossible_numbers_are_refused(truth: Array):
    with pytest.raises(InputError, match="error_sd is -1"):
        error_bounds(truth, INTERVAL_S, -1)
    with pytest.raises(InputError, match="error_tau_min"):
        error_bounds(truth, INTERVAL_S, 0.1, error_tau_min=[])
    with pytest.raises(InputError, match="shares"):
        correlation_bounds(0.3, (1.5, 0))
    with pytest.raises(InputError, match="correlation 2"):
        correlation_bounds(2, (0.1, 0.1))
    with pytest.raises(InputError, match="predicted"):
        error_in_time(truth, truth[:2], INTERVAL_S)
    with pytest.raises(DataError, match="1 cells with two frames"):
        error_in_time(truth[:1], 0 * truth[:1], INTERVAL_S)
    with pytest.raises(DataError, match="differ by nothing"):
        error_in_time(truth, truth, INTERVAL_S)


def test_the_command_says_what_errors_may_do_to_correlations(tmp_path, truth: Array) -> None:
    names = ["A", "B"]
    frames = truth.shape[1]
    obs = pd.DataFrame(
        {
            "image": "m",
            "frame": np.tile(np.arange(frames), 20),
            "time_s": np.tile(np.arange(frames) * INTERVAL_S, 20),
            "label": np.repeat(np.arange(20) + 1, frames),
            "track": np.repeat(np.arange(20) + 1, frames),
            **dict.fromkeys(("parent", "neighbors"), 0),
            **dict.fromkeys(("y_um", "x_um"), 0.0),
            "border": False,
        }
    )
    values = pd.DataFrame({"A": 1 + truth[:20].ravel(), "B": 1 + truth[20:40].ravel()})
    var = pd.DataFrame({"kind": "marker", "unit": ""}, index=names)
    path = write_cells(new_cells(obs, values, var), tmp_path / "cells.h5ad")
    commands = typer.Typer()
    commands.command()(error)
    arguments = [str(path), "--out", str(tmp_path / "out"), "--relative-error", "0.05"]
    result = CliRunner().invoke(commands, arguments)
    assert result.exit_code == 0, result.output
    row = pd.read_csv(tmp_path / "out" / "error_correlations.csv").iloc[0]
    # independent cells: r about 0; an eleventh of each variance may be error that goes together
    assert abs(row["r"]) < 0.2
    assert row["low"] < row["r"] - 0.05
