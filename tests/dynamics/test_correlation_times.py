"""Correlation times: the bias of short traces known exactly, the truth inside the interval."""

from __future__ import annotations

import numpy as np
import pytest

from unstained.dynamics.autocorrelation import autocovariance, expected_sums
from unstained.dynamics.correlation_times import CorrelationTimeSettings, correlation_time
from unstained.errors import DataError, InputError
from unstained.simulate import Movie, MovieSettings


def ou(cells: int, frames: int, tau_frames: float, seed: int = 0) -> np.ndarray:
    """(C, T) Ornstein-Uhlenbeck traces of variance 1, by their recursion."""
    rng = np.random.default_rng(seed)
    rho = np.exp(-1 / tau_frames)
    x = np.empty((cells, frames))
    x[:, 0] = rng.standard_normal(cells)
    for t in range(1, frames):
        x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * rng.standard_normal(cells)
    return x


# autocovariance


def test_lagged_products_of_a_short_trace_by_hand() -> None:
    # mean 2: deviations -1, 0, 1, 0; lag 0: 1 + 1, lag 1: 0 + 0 + 0, lag 2: -1 + 0, lag 3: 0
    acf = autocovariance(np.array([[1.0, 2, 3, 2]]))
    assert acf.sums[0] == pytest.approx([2, 0, -1, 0], abs=1e-12)
    assert acf.pairs[0].tolist() == [4, 3, 2, 1]


def test_a_gap_takes_its_pairs_away() -> None:
    # mean 2: deviations -1, gap, 1, 0; lag 1: only the last two, lag 2: -1 x 1, lag 3: 0
    acf = autocovariance(np.array([[1.0, np.nan, 3, 2]]))
    assert acf.pairs[0].tolist() == [3, 1, 1, 1]
    assert acf.sums[0] == pytest.approx([2, 0, -1, 0], abs=1e-12)


def test_gapless_autocovariance_equals_statsmodels() -> None:
    from statsmodels.tsa.stattools import acovf

    x = ou(1, 50, 5.0)
    ours = autocovariance(x)
    theirs = acovf(x[0], adjusted=True, fft=False)  # over n - k pairs
    assert ours.covariance == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize(("trend", "degree"), [("mean", 0), ("line", 1)])
def test_expected_sums_are_those_of_the_projected_covariance(trend, degree) -> None:
    rng = np.random.default_rng(0)
    seen = rng.random((3, 13)) > 0.3
    scale = 0.5 + rng.random((3, 13))
    t = np.arange(13)
    rho = np.exp(-t / 4)
    ours = expected_sums(seen, rho, trend=trend, scale=scale)
    for c in range(3):
        i = np.flatnonzero(seen[c])
        covariance = np.outer(scale[c], scale[c]) * rho[np.abs(t[:, None] - t)]
        design = np.vander(i.astype(float), degree + 1)
        residual = np.eye(len(i)) - design @ np.linalg.pinv(design)
        whole = np.zeros((13, 13))
        whole[np.ix_(i, i)] = residual @ covariance[np.ix_(i, i)] @ residual
        assert ours[c] == pytest.approx([np.trace(whole, k) for k in range(13)], abs=1e-12)


def test_white_noise_less_its_mean_has_minus_a_share_of_its_variance_at_every_lag() -> None:
    # E[d_t d_s] = 1 (t = s) - 1 / n, so lag 0 sums to n - 1 and lag k to -(n - k) / n
    sums = expected_sums(np.ones((1, 5), bool), np.array([1.0, 0, 0, 0, 0]))
    assert sums[0] == pytest.approx([4, -0.8, -0.6, -0.4, -0.2])


# the fit


def test_the_correlation_time_of_a_movie_lies_in_its_interval_at_its_coverage() -> None:
    # 30 movies: 95 % is 28.5; fewer than 25 have a chance of 1 % at that coverage
    inside = 0
    for seed in range(30):
        movie = Movie(
            MovieSettings(
                frames=180, cells=15, size=1024, markers=("CD105",), tau_min=40.0, seed=seed
            )
        )
        traces = np.full((len(movie.tracks), 180), np.nan)
        for c, track in enumerate(movie.tracks):
            traces[c, track.begin : track.end + 1] = track.level[:, 0] / track.level[:, 0].mean()
        noise = 0.1 * np.random.default_rng(seed).standard_normal(traces.shape)
        founder = {0: 0}
        for track in movie.tracks:
            founder[track.label] = founder[track.parent] or track.label
        found = correlation_time(
            traces + noise, 120.0, groups=[founder[track.label] for track in movie.tracks]
        )
        inside += found.interval[0] <= 40 <= found.interval[1]
    assert inside >= 25


def test_short_traces_do_not_shorten_the_correlation_time() -> None:
    # traces of 2.5 tau: the raw curve reaches 1/e of its start at less than half of tau
    found = correlation_time(ou(2000, 50, 20.0), 120.0)
    assert found.tau_min == pytest.approx(40, rel=0.12)  # the interval is +- 11 %
    raw = found.lag_min[found.acf_raw < 1 / np.e][0]
    assert raw < 20
    curve = found.acf[: found.head_lags]
    assert curve == pytest.approx(np.exp(-found.lag_min[: found.head_lags] / 40), abs=0.04)


def test_white_noise_stays_at_lag_0() -> None:
    x = ou(100, 400, 20.0)
    noisy = x + 0.5 * np.random.default_rng(1).standard_normal(x.shape)
    found = correlation_time(noisy, 60.0)
    # 0.25 of a variance of 1 + 0.25
    assert found.noise_share == pytest.approx(0.2, abs=0.02)
    assert found.tau_min == pytest.approx(20, rel=0.1)
    assert found.sd == pytest.approx(1, rel=0.05)
    assert found.exponential([0.0, found.tau_min]) == pytest.approx(
        (1 - found.noise_share) * np.array([1, np.exp(-1)])
    )


def test_gaps_do_not_move_it() -> None:
    x = ou(200, 300, 20.0)
    holes = x.copy()
    holes[np.random.default_rng(1).random(x.shape) < 0.3] = np.nan
    whole, part = correlation_time(x, 60.0), correlation_time(holes, 60.0)
    assert part.tau_min == pytest.approx(whole.tau_min, rel=0.03)


def test_a_line_in_each_cell_is_harmless_where_the_trend_is_a_line() -> None:
    slope = np.random.default_rng(1).standard_normal((300, 1)) * 0.05
    x = ou(300, 200, 20.0) + slope * np.arange(200)
    found = correlation_time(x, 60.0, settings=CorrelationTimeSettings(trend="line"))
    assert found.tau_min == pytest.approx(20, rel=0.1)
    # the mean alone leaves it in
    assert "does not decay" in correlation_time(x, 60.0).note


def test_a_known_correlated_error_is_taken_out() -> None:
    x = ou(300, 400, 20.0)
    error = 0.7 * ou(300, 400, 3.0, seed=1)
    found = correlation_time(x + error, 60.0, error_sd=np.full(x.shape, 0.7), error_tau_min=3.0)
    assert found.tau_min == pytest.approx(20, rel=0.1)
    # 0.49 of 1.49, less what the means take from both
    assert found.error_share == pytest.approx(0.33, abs=0.03)
    assert correlation_time(x + error, 60.0).tau_min < 17


def test_cells_of_one_lineage_count_once() -> None:
    x = ou(10, 300, 20.0)
    twice = np.concatenate([x, x])
    one = correlation_time(x, 60.0)
    grouped = correlation_time(twice, 60.0, groups=[*range(10), *range(10)])
    assert grouped.interval == pytest.approx(one.interval)
    assert grouped.groups == 10
    naive = correlation_time(twice, 60.0)
    assert naive.interval[1] - naive.interval[0] < one.interval[1] - one.interval[0]


def test_the_interval_grows_evenly_as_tau_moves_between_points_of_the_grid() -> None:
    # the same noise, tau 2 % longer each time, through two steps of the grid (0.2 in log tau):
    # a parabola through three points made widths that jumped by 31 %
    settings = CorrelationTimeSettings(head_lags=17)
    intervals = [
        correlation_time(ou(50, 360, tau, seed=9), 60.0, settings=settings).interval
        for tau in np.exp(np.linspace(2.9, 3.3, 21))
    ]
    widths = np.array([np.log(high / low) for low, high in intervals])
    assert widths[1:] / widths[:-1] == pytest.approx(np.ones(20), abs=0.04)


def test_a_cell_without_which_there_is_nothing_to_fit_leaves_no_interval() -> None:
    x = ou(2, 300, 20.0)
    x[1, 2:] = np.nan
    found = correlation_time(x, 60.0)
    assert np.isfinite(found.tau_min)
    assert np.isnan(found.interval).all()
    x[1] = 5.0
    assert "2 groups" in correlation_time(x, 60.0).note


def test_one_cell_has_a_correlation_time_but_no_interval() -> None:
    found = correlation_time(ou(1, 1440, 20.0), 120.0)
    assert 20 < found.tau_min < 80
    assert np.isnan(found.interval).all()


def test_noise_alone_has_no_correlation_time_but_a_reason() -> None:
    found = correlation_time(np.random.default_rng(0).standard_normal((40, 200)), 60.0)
    assert np.isnan(found.tau_min)
    assert "noise" in found.note
    assert found.noise_share > 0.9


@pytest.mark.parametrize(
    ("traces", "what"),
    [
        (np.zeros((0, 5)), "no cell"),
        (np.full((3, 5), np.nan), "no cell"),
        (np.ones((3, 1)), "one frame"),
        (np.arange(12.0).reshape(3, 4), "more than 4 frames"),
        (np.full((3, 50), 1e6 / 3), "constant"),
    ],
)
def test_traces_that_cannot_be_fitted_are_refused(traces, what) -> None:
    with pytest.raises(DataError, match=what):
        correlation_time(traces, 60.0)


def test_arguments_that_cannot_be_are_refused() -> None:
    x = ou(3, 30, 5.0)
    with pytest.raises(InputError, match="shape"):
        correlation_time(x[0], 60.0)
    with pytest.raises(InputError, match="frame_interval_s"):
        correlation_time(x, 0.0)
    with pytest.raises(InputError, match="groups"):
        correlation_time(x, 60.0, groups=[1, 2])
    with pytest.raises(InputError, match="error_sd"):
        correlation_time(x, 60.0, error_sd=np.ones((3, 29)))
    with pytest.raises(InputError, match="negative"):
        correlation_time(x, 60.0, error_sd=-np.ones((3, 30)))
    with pytest.raises(InputError, match="head_lags"):
        CorrelationTimeSettings(head_lags=2)


def test_every_second_frame_numbered_as_before_is_refused_and_not_called_noise() -> None:
    traces = np.cumsum(np.random.default_rng(0).normal(size=(20, 60)), axis=1)
    traces[:, 1::2] = np.nan
    with pytest.raises(DataError, match="follow one another"):
        correlation_time(traces, 600)


@pytest.mark.parametrize("scale", [1e200, 1e-170])
def test_the_unit_of_the_traces_does_not_matter(scale: float) -> None:
    x = ou(20, 200, 10.0)
    plain, scaled = (
        correlation_time(k * x, 60.0, error_sd=np.full(x.shape, 0.1 * k)) for k in (1.0, scale)
    )
    assert scaled.tau_min == pytest.approx(plain.tau_min)
    assert scaled.sd == pytest.approx(scale * plain.sd)
    assert scaled.error_share == pytest.approx(plain.error_share)


def test_one_cell_has_no_interval_and_the_note_says_why() -> None:
    found = correlation_time(ou(1, 2000, 10.0), 60.0)
    assert np.isfinite(found.tau_min)
    assert np.isnan(found.interval).all()
    assert found.note == "no interval: it comes from comparing cells or lineages, and there is one"
    assert correlation_time(ou(20, 200, 10.0), 60.0).note == ""


@pytest.mark.parametrize("interval", ["a", None, -1.0, float("nan")])
def test_an_interval_that_is_no_time_is_refused(interval) -> None:
    with pytest.raises(InputError, match="give seconds between frames"):
        correlation_time(ou(5, 50, 5.0), interval)
