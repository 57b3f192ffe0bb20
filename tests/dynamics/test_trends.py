"""Detrending takes out what it says, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from unstained.dynamics.trends import common_slope, detrend, relative_fluctuation
from unstained.errors import DataError, InputError

NAN = np.nan


def test_the_mean_is_that_of_the_frames_seen() -> None:
    out = detrend([[1.0, NAN, 3.0], [5.0, 5.0, 5.0]], "mean")
    np.testing.assert_array_equal(out, [[-1, NAN, 1], [0, 0, 0]])


def test_a_line_with_a_gap_is_taken_out_whole() -> None:
    out = detrend([[1.0, 3.0, NAN, 7.0, 9.0]], "line")
    np.testing.assert_allclose(out, [[0, 0, NAN, 0, 0]], atol=1e-12)


def test_a_running_mean_of_three_frames_by_hand() -> None:
    # windows (0, 3), (0, 3, 0), (3, 0, 3), (0, 3): means 1.5, 1, 2, 1.5
    out = detrend([[0.0, 3.0, 0.0, 3.0]], "running", frame_interval_s=60, window_min=3)
    np.testing.assert_allclose(out, [[-1.5, 2, -2, 1.5]])


def test_the_ends_of_an_even_window_weigh_half() -> None:
    # 8 min of 2 min frames: weights 1/2 1 1 1 1/2, of 4; at the first frame 1 1 1/2, of 2.5
    trace = np.array([[0.0, 8.0, 0.0, 0.0, 8.0]])
    mean = trace - detrend(trace, "running", frame_interval_s=120, window_min=8)
    np.testing.assert_allclose(mean, [[8 / 2.5, 8 / 3.5, (8 + 4) / 4, (4 + 8) / 3.5, 8 / 2.5]])


def test_a_running_mean_steps_over_gaps() -> None:
    # windows (0), gap, (6, 0), (6, 0)
    out = detrend([[0.0, NAN, 6.0, 0.0]], "running", frame_interval_s=60, window_min=3)
    np.testing.assert_allclose(out, [[0, NAN, 3, -3]])


def test_what_all_cells_share_is_gone_where_cells_come_and_go() -> None:
    rng = np.random.default_rng(0)
    bleaching = -0.1 * np.arange(40)
    level = 5 * rng.standard_normal((30, 1))
    traces = level + bleaching + np.zeros((30, 40))
    traces[:10, :15] = NAN
    traces[20:, 30:] = NAN
    out = detrend(traces, "population")
    assert np.nanmax(np.abs(out)) < 1e-3


def test_none_is_a_copy() -> None:
    traces = np.array([[1.0, 2.0]])
    out = detrend(traces, "none")
    out[0, 0] = 7
    assert traces[0, 0] == 1


def test_relative_fluctuations_have_mean_1() -> None:
    # means 2 and 20: the cell of ten times the level fluctuates alike
    out = relative_fluctuation([[1.0, 3.0, NAN], [10.0, 30.0, NAN], [-1.0, 0.0, NAN]])
    np.testing.assert_allclose(out, [[0.5, 1.5, NAN], [0.5, 1.5, NAN], [NAN, NAN, NAN]])


def test_bad_input_is_refused() -> None:
    two = np.ones((2, 10))
    with pytest.raises(InputError, match="detrending 'cubic'"):
        detrend(two, "cubic")
    with pytest.raises(InputError, match="window"):
        detrend(two, "running")
    with pytest.raises(InputError, match="2 frames"):
        detrend(two, "running", frame_interval_s=60, window_min=2)
    with pytest.raises(DataError, match="population"):
        detrend(two[:1], "population")
    with pytest.raises(DataError, match="one frame"):
        detrend(two[:, :1])
    with pytest.raises(DataError, match="positive mean"):
        relative_fluctuation(-two)


def test_growth_that_cells_share_is_told_from_fluctuations_that_they_do_not() -> None:
    rng = np.random.default_rng(1)
    noise = 0.1 * rng.standard_normal((40, 60))
    growth = 0.01 * np.arange(60)  # a frame; of 5 min, so 0.12 an hour
    grown = common_slope(1 + growth + noise, 300)
    assert grown.estimate == pytest.approx(0.12, rel=0.1)
    assert grown.low > 0
    still = common_slope(1 + noise, 300)
    assert still.low < 0 < still.high


def test_a_slope_of_one_lineage_has_no_interval() -> None:
    slope = common_slope([[1.0, 2.0, NAN, 4.0], [2.0, NAN, 4.0, 5.0]], 3600, groups=["a", "a"])
    assert slope.estimate == pytest.approx(1.0)
    assert np.isnan(slope.low)
