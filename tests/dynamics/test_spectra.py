"""Spectra: SciPy's where it applies, red noise as expected, periods found."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter, periodogram

from unstained.dynamics.correlation_times import CorrelationTimeSettings, correlation_time
from unstained.dynamics.spectra import mean_spectrum
from unstained.errors import DataError, InputError


def ou(cells, frames, tau_frames, seed=0):
    rng = np.random.default_rng(seed)
    rho = np.exp(-1 / tau_frames)
    e = rng.standard_normal((cells, frames))
    e[:, 1:] *= np.sqrt(1 - rho**2)
    return lfilter([1], [1, -rho], e, axis=1)


@pytest.mark.parametrize("frames", [200, 201])
def test_whole_traces_have_the_mean_periodogram_of_scipy(frames) -> None:
    x = ou(20, frames, 20.0)
    ours = mean_spectrum(x, 120.0, correlation_time(x, 120.0))
    f, theirs = periodogram(x, fs=30.0, axis=1)  # 30 frames an hour
    n = len(ours.frequency_per_h)
    assert n == (frames - 1) // 2
    np.testing.assert_allclose(ours.frequency_per_h, f[1 : n + 1])
    np.testing.assert_allclose(ours.density, theirs.mean(axis=0)[1 : n + 1])


def test_the_expectation_holds_with_gaps_and_short_tracks() -> None:
    x = ou(400, 150, 20.0)
    rng = np.random.default_rng(1)
    x[rng.random(x.shape) < 0.2] = np.nan
    x[::2, 70:] = np.nan
    found = mean_spectrum(x, 60.0, correlation_time(x, 60.0))
    ratio = found.density / found.expected
    assert ratio.mean() == pytest.approx(1, abs=0.03)
    assert np.abs(ratio[:5] - 1).max() < 0.3


def test_a_long_trace_follows_the_lorentzian() -> None:
    x = ou(50, 3000, 20.0)
    fitted = correlation_time(x, 60.0)
    found = mean_spectrum(x, 60.0, fitted)
    # slower than tau and well below the highest frequency, where sampling folds power back
    slow = (found.frequency_per_h > 0.1) & (found.frequency_per_h < 2)
    assert (found.density / found.lorentzian)[slow].mean() == pytest.approx(1, abs=0.05)


def test_a_period_that_cells_share_is_found() -> None:
    rng = np.random.default_rng(2)
    phase = 2 * np.pi * rng.random((30, 1))
    x = ou(30, 600, 20.0) + 0.4 * np.sin(2 * np.pi * np.arange(600) / 30 + phase)
    found = mean_spectrum(x, 120.0, correlation_time(x, 120.0))
    assert found.periods[0].period_min == pytest.approx(60)
    assert found.periods[0].ratio > 3


def test_the_p_of_a_period_does_not_depend_on_the_level_of_the_interval() -> None:
    x = ou(12, 200, 20.0)
    p = {}
    for level in (0.5, 0.95):
        settings = CorrelationTimeSettings(level=level)
        found = mean_spectrum(x, 120.0, correlation_time(x, 120.0, settings=settings))
        p[level] = found.p
    # the ends of both intervals tell one standard error of the slowest harmonics
    np.testing.assert_allclose(p[0.5][:5], p[0.95][:5], rtol=0.05)


def test_red_noise_seldom_has_a_period() -> None:
    # 40 spectra, 5 %: more than 6 have a chance below 1 %
    false = 0
    for seed in range(40):
        x = ou(20, 200, 20.0, seed)
        false += bool(mean_spectrum(x, 60.0, correlation_time(x, 60.0)).periods)
    assert false <= 6


def test_bad_input_is_refused() -> None:
    x = ou(20, 100, 10.0)
    fitted = correlation_time(x, 60.0)
    with pytest.raises(InputError, match="significance"):
        mean_spectrum(x, 60.0, fitted, significance=0)
    with pytest.raises(DataError, match="5 frames"):
        mean_spectrum(x[:, :5], 60.0, fitted)
    noise = np.random.default_rng(0).standard_normal((40, 200))
    with pytest.raises(DataError, match="no correlation time"):
        mean_spectrum(noise, 60.0, correlation_time(noise, 60.0))
