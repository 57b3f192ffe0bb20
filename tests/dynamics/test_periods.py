"""Painted waves are found again; noise is not taken for one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.signal import lfilter

from unstained.dynamics.kymographs import CellFrame, kymograph
from unstained.dynamics.missing_frames import filled_frames
from unstained.dynamics.periods import PeriodSettings, main_periods
from unstained.errors import DataError, InputError
from unstained.simulate import Movie, MovieSettings

Array = np.ndarray[Any, Any]

FRAMES, STEP_S, POSITIONS = 120, 240.0, 90
FAST = PeriodSettings(surrogates=39, peaks=1)


def _noise(seed: int) -> Array:
    """Red noise of variance 1: 0.8 of it stays from frame to frame, 0.9 from place to place."""
    plane = np.random.default_rng(seed).standard_normal((FRAMES + 50, POSITIONS + 50))
    for axis, r in enumerate((0.8, 0.9)):
        plane = lfilter([math.sqrt(1 - r**2)], [1, -r], plane, axis=axis)
    return np.asarray(plane[50:, 50:])


def _wave(period_min: float, period_um: float, amplitude: float) -> Array:
    t = np.arange(FRAMES)[:, None] * STEP_S / 60
    u = np.arange(POSITIONS)[None, :]
    return amplitude * np.cos(2 * math.pi * (u / period_um - t / period_min) + 1)


def _main(values: Array, settings: PeriodSettings = FAST) -> Any:
    return main_periods(values, frame_interval_s=STEP_S, step_um=1.0, settings=settings)


@pytest.mark.parametrize("towards", [1, -1])
def test_a_travelling_wave_in_noise_gives_periods_velocity_and_direction(towards: int):
    rest = 0.1 * _noise(0) + _wave(100, 25 * towards, 0.15)
    found = _main(50 * (1 + rest))
    peak = found.peaks[0]
    # one step of the spectrum is 1 / 480 min and 1 / 90 um
    assert abs(1 / peak.period_min - 1 / 100) < 0.3 / 480
    assert abs(1 / peak.period_um - 1 / 25) < 0.3 / 90
    assert peak.velocity_um_per_min == pytest.approx(towards * 0.25, rel=0.1)
    assert peak.amplitude == pytest.approx(0.15, rel=0.15)
    assert peak.significant
    assert not peak.standing


def test_a_wave_of_half_a_percent_is_left_out_however_sure():
    values = 50 * (1 + 0.0005 * _noise(0) + _wave(100, 25, 0.005))
    assert _main(values).peaks == ()
    believed = PeriodSettings(surrogates=39, peaks=1, least_amplitude=0.003)
    assert _main(values, believed).peaks[0].significant


def test_a_weak_wave_does_not_stand_before_a_strong_one():
    # 0.6 % where noise is least stands higher over it than 6 % where noise is more
    noise = 0.05 * lfilter([1], [1, -0.95], _noise(0), axis=0)
    values = 50 * (1 + noise + _wave(60, 20, 0.06) + _wave(12, 5.5, 0.006))
    every = PeriodSettings(surrogates=39, peaks=1, least_amplitude=0)
    assert _main(values, every).peaks[0].period_min == pytest.approx(12, rel=0.05)
    peak = _main(values).peaks[0]
    assert peak.period_min == pytest.approx(60, rel=0.05)
    assert peak.significant


def test_what_fits_into_the_movie_less_than_twice_is_no_period():
    values = 50 * (1 + 0.1 * _noise(0) + _wave(400, 25, 0.3))
    assert _main(values).peaks[0].period_min <= 240
    once = PeriodSettings(surrogates=39, peaks=1, least_cycles=1)
    assert _main(values, once).peaks[0].period_min == pytest.approx(400, rel=0.1)


def test_two_opposite_waves_are_a_standing_one():
    rest = 0.05 * _noise(1) + _wave(100, 25, 0.1) + _wave(100, -25, 0.1)
    assert _main(50 * (1 + rest)).peaks[0].standing


def test_red_noise_has_a_significant_peak_as_rarely_as_stated():
    found = [_main(50 * (1 + 0.1 * _noise(10 + i))).peaks[0].significant for i in range(20)]
    # 1 in 20 expected; 5 or more have the chance 0.003
    assert sum(found) < 5


def test_power_over_that_of_noise_is_1_on_average_in_noise():
    spectrum = _main(50 * (1 + 0.1 * _noise(5))).spectrum
    f, k = spectrum.frequency_per_min > 2 / 480, np.abs(spectrum.wavenumber_per_um) > 1 / 90
    assert spectrum.ratio[np.ix_(f, k)].mean() == pytest.approx(1, abs=0.12)


def test_profile_level_and_drift_are_no_period():
    t = np.linspace(0, 1, FRAMES)[:, None]
    profile = 1 + np.exp(-0.5 * ((np.arange(POSITIONS) - 40) / 15) ** 2)
    level = 1 + 0.5 * np.sin(2 * math.pi * 4 * t)
    drift = 1 + 0.3 * t * np.linspace(-1, 1, POSITIONS)
    values = 50 * profile * level * drift * (1 + 0.01 * _noise(2) + _wave(60, 18, 0.02))
    peak = _main(values).peaks[0]
    assert peak.period_min == pytest.approx(60, rel=0.03)
    assert peak.period_um == pytest.approx(18, rel=0.06)


def test_gaps_and_a_ragged_edge_do_not_hide_a_wave():
    values = 50 * (1 + 0.1 * _noise(3) + _wave(100, 25, 0.15))
    values[30:36] = np.nan
    ends = 6 + np.round(5 * np.random.default_rng(0).random(FRAMES)).astype(int)
    for t, end in enumerate(ends):
        values[t, :end] = np.nan
        values[t, POSITIONS - end :] = np.nan
    found = _main(values)
    assert 0 < found.filled < 0.3
    assert found.peaks[0].significant
    assert abs(1 / found.peaks[0].period_min - 1 / 100) < 0.5 / 480
    assert abs(1 / found.peaks[0].period_um - 1 / 25) < 0.5 / 80


_KEPT = {
    "every second": lambda t: t % 2 == 0,
    "all but every fourth": lambda t: t % 4 != 3,
    "all but every fifth": lambda t: t % 5 != 4,
    "five of eight": lambda t: t % 8 < 5,
    "all but an hour": lambda t: (t < 50) | (t >= 65),
}


@pytest.mark.parametrize("kept", _KEPT)
@pytest.mark.parametrize(("period_min", "period_um"), [(120, 40), (27, 13.7)])
def test_missing_frames_make_no_period_of_a_wave(kept: str, period_min: float, period_um: float):
    values = 50 * (1 + 0.05 * _noise(3) + _wave(period_min, period_um, 0.15))
    values[~_KEPT[kept](np.arange(FRAMES))] = np.nan
    found = _main(values, PeriodSettings(surrogates=39, peaks=3))
    sure = [peak for peak in found.peaks if peak.significant]
    assert len(sure) == 1
    assert abs(1 / sure[0].period_min - 1 / period_min) < 0.5 / 480
    assert abs(1 / sure[0].period_um - 1 / period_um) < 0.5 / 90
    assert sure[0].amplitude == pytest.approx(0.15, rel=0.25)


def test_periods_below_twice_the_mean_step_are_not_looked_for():
    # 4 min between frames: all tell 8 min, every second one 16, two of four 16 and a little
    values = 50 * (1 + 0.1 * _noise(3))
    assert _main(values).shortest_min == pytest.approx(8)
    for keep, expected in ((lambda t: t % 2 == 0, 16), (lambda t: t % 4 < 2, 8 * 117 / 59)):
        some = values.copy()
        some[~keep(np.arange(FRAMES))] = np.nan
        found = _main(some, PeriodSettings(surrogates=19, peaks=9))
        assert found.shortest_min == pytest.approx(expected)
        assert min(peak.period_min for peak in found.peaks) > expected


def test_noise_with_missing_frames_has_a_significant_peak_as_rarely_as_stated():
    found = []
    for i in range(10):
        values = 50 * (1 + 0.1 * _noise(30 + i))
        values[3::4] = np.nan
        found.append(_main(values).peaks[0].significant)
    # 1 in 20 expected; 4 or more of 10 have the chance 0.001
    assert sum(found) < 4


def test_a_frame_that_is_there_is_left_as_it_is_and_one_of_a_wave_is_put_in():
    wave = _wave(100, 25, 0.15)
    values = wave.copy()
    values[8:-8:7] = np.nan
    filled = filled_frames(values)
    seen = np.isfinite(values)
    np.testing.assert_array_equal(filled[seen], values[seen])
    # in the middle within a tenth of the wave, whose mean square is 0.15^2 / 2
    middle = np.s_[30:-30, 20:-20]
    error = (filled - wave)[middle][~seen[middle]]
    assert error.size > 0
    assert math.sqrt((error**2).mean()) < 0.1 * 0.15 / math.sqrt(2)


def test_the_spectrum_is_the_periodogram_of_numpy_with_positive_k_for_positive_velocity():
    found = _main(50 * (1 + 0.01 * _noise(4) + _wave(120, 30, 0.1)))
    i, j = np.unravel_index(found.spectrum.power.argmax(), found.spectrum.power.shape)
    # 480 min and 90 um hold whole numbers of periods: the top is on the grid
    assert 1 / found.spectrum.frequency_per_min[i] == pytest.approx(120)
    assert 1 / found.spectrum.wavenumber_per_um[j] == pytest.approx(30)


def test_the_waves_of_a_simulated_movie_are_recovered_within_the_resolution():
    # 120 frames of 4 min: four periods of 120 min; waves of 40 um along cells of 60 to 140 um
    movie = Movie(
        MovieSettings(
            frames=120,
            interval_s=240,
            size=256,
            cells=1,
            markers=("CD105",),
            shares={"spindle": 1.0},
            speed_um_per_h=5,
            cycle_h=60,
            cycle_cv=0,
            death_per_h=0,
            seed=13,
        )
    )
    stain = movie.image().channel("CD105")

    def frames() -> Any:
        for t in range(120):
            mask = movie.structures(t).labels == 1
            yield CellFrame(t, mask, stain.plane(t)[None])

    made = kymograph(frames(), ["CD105"], pixel_size_um=0.65, frame_interval_s=240)
    found = main_periods(made.values[0], frame_interval_s=240, step_um=made.step_um, settings=FAST)
    peak = found.peaks[0]
    assert peak.significant
    assert abs(1 / peak.period_min - 1 / 120) < found.spectrum.resolution_per_min
    assert abs(1 / peak.period_um - 1 / 40) < found.spectrum.resolution_per_um


def test_what_is_too_short_or_constant_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="5 frames of 90 positions"):
        _main(1 + 0.1 * rng.random((5, 90)))
    with pytest.raises(DataError, match="does not change"):
        _main(np.ones((FRAMES, POSITIONS)))
    with pytest.raises(DataError, match="no wave from 50 um on fits into 40 um"):
        _main(1 + 0.1 * rng.random((60, 40)), PeriodSettings(shortest_um=50))
    with pytest.raises(InputError, match=r"shape \(90,\)"):
        _main(np.ones(90))
    with pytest.raises(InputError, match="steps of 0 s"):
        main_periods(np.ones((9, 9)), frame_interval_s=0, step_um=1)
    with pytest.raises(InputError, match=r"least_cycles is 0\.5"):
        PeriodSettings(least_cycles=0.5)
    with pytest.raises(InputError, match="surrogates is 5"):
        PeriodSettings(surrogates=5)
