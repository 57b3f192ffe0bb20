"""Main periods of a kymograph in time and space, and which of them exceed noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..errors import DataError, InputError
from ..images.image import Array
from ..settings import check_settings
from .kymographs import inner_fluctuation
from .missing_frames import filled_frames, mean_step, seen_often, thinned

__all__ = ["PeriodSettings", "Periods", "WavePeriod", "WaveSpectrum", "main_periods"]


_PAD = 2  # times the length: the spectrum is drawn between its independent points


@dataclass(frozen=True)
class PeriodSettings:
    """How periods are looked for.

    Attributes
    ----------
    peaks : int
        At most so many.
    level : float
        Below this chance of as high a peak in noise, a period is believed.
    least_amplitude : float
        Weaker waves, as a share of the local mean, are not looked for, however little noise would
        make them: over hundreds of frames the blurred edges of a cell that moves give waves of a
        few thousandths.
    surrogates : int
        Kymographs of noise that peaks are compared with.
    least_seen : float
        Share of the frames in which a position lies in the cell, to be used.
    shortest_um : float
        Shorter waves are not looked for: the microscope blurs them.
    least_cycles : float
        A period must fit so often into the movie: what a cell does once, such as growing or
        turning, is no period.
    seed : int
    """

    peaks: int = 3
    level: float = 0.05
    least_amplitude: float = 0.01
    surrogates: int = 199
    least_seen: float = 0.5
    shortest_um: float = 5.0
    least_cycles: float = 2.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(
            self,
            least={"peaks": 1, "least_cycles": 1},
            positive=("level", "least_seen"),
            shares=("least_seen",),
            below_one=("level",),
        )
        if self.surrogates < 19:
            raise InputError(
                f"surrogates is {self.surrogates}",
                "give at least 19: with fewer no chance below 0.05 can be told",
            )


class WaveSpectrum(NamedTuple):
    """Power of waves ``cos(2 pi (k u - f t))``.

    Attributes
    ----------
    frequency_per_min : (F,) array
        f, from 0 up.
    wavenumber_per_um : (K,) array
        k, ascending through 0; waves of positive k travel towards positive positions.
    power : (F, K) array
        Sums to 1.
    ratio : (F, K) array
        Power over that of noise with the same spectrum in time and the same in space.
    resolution_per_min, resolution_per_um : float
        1 over the duration and 1 over the length: what two waves must differ by.
    """

    frequency_per_min: Array
    wavenumber_per_um: Array
    power: Array
    ratio: Array
    resolution_per_min: float
    resolution_per_um: float


class WavePeriod(NamedTuple):
    """One peak of a spectrum.

    Attributes
    ----------
    period_min, period_um : float
    velocity_um_per_min : float
        ``period_um / period_min``, positive towards positive positions.
    standing : bool
        The wave that travels the other way has more than half the power.
    amplitude : float
        Of the wave, as a share of the local mean.
    p_value : float
        Chance that noise has a peak as high against its own mean anywhere.
    significant : bool
        ``p_value`` is below the level.
    """

    period_min: float
    period_um: float
    velocity_um_per_min: float
    standing: bool
    amplitude: float
    p_value: float
    significant: bool


class Periods(NamedTuple):
    """What `main_periods` found.

    Attributes
    ----------
    spectrum : WaveSpectrum
    peaks : tuple of WavePeriod
        Highest against noise first; none of less than the least amplitude, so there may be none.
    filled : float
        Share of the kymograph without a value: in whole frames filled in, elsewhere set to the
        mean.
    shortest_min : float
        Shorter periods are not looked for: twice the mean step of the frames that are there.
    """

    spectrum: WaveSpectrum
    peaks: tuple[WavePeriod, ...]
    filled: float
    shortest_min: float


def main_periods(
    values: Array,
    *,
    frame_interval_s: float,
    step_um: float,
    settings: PeriodSettings | None = None,
) -> Periods:
    """Periods of one marker's kymograph by the Fourier transform in time and space.

    The cell's profile and level are removed (`inner_fluctuation`), then each position's
    linear drift and each frame's mean; what was not seen is set to 0, the mean; a Hann window is
    laid over both axes. Where only every n-th frame is there, the movie is taken as one of these
    frames; other missing frames are first filled in from the waves of those that are there
    (`filled_frames`). Power is compared with that of noise in which no period of time belongs
    to a period of space: the product of one spectrum in time and one in space, red as they may be,
    by median polish of the logarithm of the power [1]_, which a few peaks do not move [2]_. The
    chance of a peak is that of as high a ratio anywhere in such noise, random in phase, that had
    the same gaps and went the same way.

    A wave must be travelling or standing *in the cell's own coordinates*: a profile that moves to
    and fro as a whole, as it does around the center of an outline whose arms stretch
    (``KymographSettings(center="outline")``), looks like one. What moves the whole cell at once,
    and periods longer than the cell or half the movie, cannot be seen.

    Parameters
    ----------
    values : (T, P) array
        NaN outside the cell.
    frame_interval_s, step_um : float
    settings : PeriodSettings, optional

    Returns
    -------
    Periods

    Raises
    ------
    InputError
        Steps that are not positive, or another shape.
    DataError
        Fewer than 8 frames or positions, more than half without a value, or nothing changes.

    References
    ----------
    .. [1] Tukey (1977), Exploratory Data Analysis, ch. 11.
    .. [2] Mann, Lees (1996), Climatic Change 33:409.
    """
    chosen = settings or PeriodSettings()
    if not (frame_interval_s > 0 and step_um > 0):
        raise InputError(f"steps of {frame_interval_s} s and {step_um} um", "give positive numbers")
    if np.ndim(values) != 2:
        raise InputError(f"a kymograph of shape {np.shape(values)}", "give (frames, positions)")
    values, every = thinned(np.asarray(values, np.float64))
    rest = seen_often(inner_fluctuation(values), chosen.least_seen)
    seen = np.isfinite(rest)
    rest = filled_frames(rest)
    plane = _prepared(rest)
    if not plane.std() > 1e-9:
        raise DataError("the stain does not change inside the cell", "leave the marker out")
    step_min = every * frame_interval_s / 60
    shortest_min = 2 * mean_step(seen) * step_min
    axes = _Axes(rest.shape, step_min, step_um, chosen, shortest_min)
    power = _power(plane, axes)
    background = _background(power, axes)
    ratio = power / background
    highest = _noise_ratios(background, seen, axes, chosen)
    spectrum = WaveSpectrum(
        axes.frequency,
        axes.wavenumber,
        power / power.sum(),
        ratio,
        axes.resolution[0],
        axes.resolution[1],
    )
    # a wave of amplitude A has |transform| = A / 2 times the sum of what it is multiplied by
    window = np.outer(_hann(seen.shape[0]), _hann(seen.shape[1]))
    amplitude = 2 * np.sqrt(power) / window[np.isfinite(rest)].sum()
    wanted = axes.wanted & (amplitude >= chosen.least_amplitude)
    peaks = tuple(
        _period(spectrum, power, amplitude, at, highest, chosen.level)
        for at in _peaks(ratio, wanted, chosen.peaks)
    )
    return Periods(spectrum, peaks, float(1 - seen.mean()), shortest_min)


class _Axes:
    """Frequencies of the padded transform, and which of them are looked at."""

    def __init__(
        self,
        shape: tuple[int, int],
        step_min: float,
        step_um: float,
        settings: PeriodSettings,
        shortest_min: float,
    ) -> None:
        t, p = (_PAD * n for n in shape)
        self.frequency = np.fft.rfftfreq(t, step_min)
        every = np.fft.fftfreq(p, step_um)
        # what is shorter than is looked for is not kept
        shortest = settings.shortest_um
        most = min(1 / shortest if shortest > 0 else math.inf, 0.99 * np.abs(every).max())
        self.columns = np.flatnonzero(np.abs(every) < most)
        self.columns = self.columns[np.argsort(every[self.columns])]
        self.wavenumber = every[self.columns]
        self.all = every
        self.resolution = (1 / (shape[0] * step_min), 1 / (shape[1] * step_um))
        f, k = self.frequency[:, None], np.abs(self.wavenumber[None, :])
        # the spectrum of noise is fitted to all that the movie tells, peaks are looked for above
        fitted = (
            (f > 0.99 * self.resolution[0])
            & (f < 0.99 * self.frequency[-1])
            & (k > 0.99 * self.resolution[1])
        )
        self.wanted = (
            fitted
            & (f > 0.99 * settings.least_cycles * self.resolution[0])
            & (f < 0.99 / shortest_min)
        )
        if not self.wanted.any():
            raise DataError(
                f"no wave from {shortest:g} um on fits into {shape[1] * step_um:g} um",
                "give a longer movie or cell, or a smaller shortest_um",
            )
        # of two rows of the padded transform one is independent; k as many below 0 as above
        rows = np.flatnonzero(fitted.any(axis=1))[::_PAD]
        above = np.flatnonzero(fitted.any(axis=0) & (self.wavenumber > 0))[::_PAD]
        below = [int(np.argmin(np.abs(self.wavenumber + self.wavenumber[j]))) for j in above]
        self.independent = (rows, np.array([*below[::-1], *above]))


def _prepared(rest: Array) -> Array:
    """Without drift and mean, gaps at 0, under a window; (T, P)."""
    seen = np.isfinite(rest)
    filled = np.where(seen, rest, 0.0)
    n = np.maximum(seen.sum(axis=0), 1)
    time = np.arange(len(rest), dtype=np.float64)[:, None]
    # a straight line at each position, over the frames in which it was seen
    center = (time * seen).sum(axis=0) / n
    t = np.where(seen, time - center, 0.0)
    slope = (t * filled).sum(axis=0) / np.maximum((t**2).sum(axis=0), 1e-12)
    filled = np.where(seen, filled - filled.sum(axis=0) / n - slope * t, 0.0)
    level = filled.sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    filled = np.where(seen, filled - level[:, None], 0.0)
    window = np.outer(_hann(len(rest)), _hann(rest.shape[1]))
    return np.asarray(filled * window)


def _hann(n: int) -> Array:
    """Hann window without its two zeros, so that every sample counts."""
    return np.asarray(np.hanning(n + 2)[1:-1])


def _power(plane: Array, axes: _Axes) -> Array:
    """(T, P) to (F, K), with k turned round: cos(2 pi (k u - f t)) peaks at (f, k)."""
    t, p = plane.shape
    # time over the half axis, space over the whole; numpy's exponent is -2 pi i (f t + k u)
    spectrum = np.fft.rfft(plane, _PAD * t, axis=0)
    spectrum = np.fft.ifft(spectrum, _PAD * p, axis=1)[:, axes.columns] * (_PAD * p)
    return np.asarray(np.abs(spectrum) ** 2)


def _background(power: Array, axes: _Axes) -> Array:
    """Power as a product of one spectrum in time and one in space, (F, K).

    Median polish of the logarithm at independent points, waves of both directions together.
    """
    rows, columns = axes.independent
    table = np.log(power[np.ix_(rows, columns)] + np.finfo(float).tiny)
    # both directions side by side: (f, k) of either is one column, (2 F, K / 2) in effect
    n = len(columns) // 2
    both = np.stack([table[:, :n][:, ::-1], table[:, n:]])  # (2, F, K / 2), |k| ascending
    of_time, of_space = np.zeros(len(rows)), np.zeros(n)
    for _ in range(4):
        of_space += np.median(both - of_time[:, None] - of_space, axis=(0, 1))
        of_time += np.median(both - of_time[:, None] - of_space, axis=(0, 2))
    of_time = _smooth(of_time)
    in_time = np.interp(axes.frequency, axes.frequency[rows], of_time)
    in_space = np.interp(np.abs(axes.wavenumber), axes.wavenumber[columns[n:]], of_space)
    # the median of an exponential variable is ln 2 of its mean
    return np.asarray(np.exp(in_time[:, None] + in_space) / math.log(2))


def _smooth(values: Array) -> Array:
    """Running mean of five; nearer to an end of as many as lie evenly around."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    reach = np.minimum(2, np.minimum(at, at[::-1]))
    return np.asarray((total[at + reach + 1] - total[at - reach]) / (2 * reach + 1))


def _noise_ratios(background: Array, seen: Array, axes: _Axes, settings: PeriodSettings) -> Array:
    """Highest ratio in each of the surrogates, (S,)."""
    rng = np.random.default_rng(settings.seed)
    # waves too short to be kept go on as the shortest that are
    gain = np.empty((len(axes.frequency), len(axes.all)))
    gain[:, axes.columns] = np.sqrt(background)
    rest = np.setdiff1d(np.arange(len(axes.all)), axes.columns)
    gain[:, rest] = np.sqrt(background[:, :1])
    highest = np.empty(settings.surrogates)
    for i in range(settings.surrogates):
        # twice as large as needed, for the ends of a transform's period are neighbors
        white = np.fft.rfft2(rng.standard_normal((_PAD * seen.shape[0], _PAD * seen.shape[1])).T)
        made = np.fft.irfft2(white * gain.T, s=(gain.shape[1], _PAD * seen.shape[0])).T
        rest_of_noise = np.where(seen, made[: seen.shape[0], : seen.shape[1]], np.nan)
        power = _power(_prepared(filled_frames(rest_of_noise)), axes)
        highest[i] = (power / _background(power, axes))[axes.wanted].max()
    return highest


def _peaks(ratio: Array, wanted: Array, most: int) -> list[tuple[int, int]]:
    """Highest points, each more than two independent steps from those before it."""
    left = np.where(wanted, ratio, -1.0)
    found: list[tuple[int, int]] = []
    reach = 2 * _PAD
    while len(found) < most and left.max() > 0:
        i, j = (int(n) for n in np.unravel_index(int(left.argmax()), left.shape))
        around = ratio[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
        if ratio[i, j] >= around.max():  # not the flank of a peak beyond the edge
            found.append((i, j))
            left[max(i - reach, 0) : i + reach + 1, max(j - reach, 0) : j + reach + 1] = -1
        else:
            left[i, j] = -1
    return found


def _period(
    spectrum: WaveSpectrum,
    power: Array,
    amplitude: Array,
    at: tuple[int, int],
    highest: Array,
    level: float,
) -> WavePeriod:
    i, j = at
    f = _vertex(spectrum.frequency_per_min, np.log(power[:, j]), i)
    k = _vertex(spectrum.wavenumber_per_um, np.log(power[i]), j)
    mirror = int(np.argmin(np.abs(spectrum.wavenumber_per_um + spectrum.wavenumber_per_um[j])))
    p_value = float((1 + (highest >= spectrum.ratio[at]).sum()) / (1 + highest.size))
    return WavePeriod(
        1 / f,
        1 / abs(k),
        f / k,
        bool(power[i, mirror] > power[at] / 2),
        float(amplitude[at]),
        p_value,
        p_value < level,
    )


def _vertex(axis: Array, height: Array, i: int) -> float:
    """Where the parabola through a peak's three points has its top."""
    if not 0 < i < len(axis) - 1:
        return float(axis[i])
    low, mid, high = height[i - 1 : i + 2]
    bend = low - 2 * mid + high
    shift = 0.5 * (low - high) / bend if bend < 0 else 0.0
    return float(axis[i] + np.clip(shift, -0.5, 0.5) * (axis[1] - axis[0]))
