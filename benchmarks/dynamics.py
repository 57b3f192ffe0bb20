"""How often the 95 % interval of a correlation time has the true one in it, and its bias.

python benchmarks/dynamics.py [--repeats 100]

Levels of expression of simulated movies (`unstained.simulate`), with tracks that begin at divisions
and end at them, as they are and with the error of a prediction on them: no frame is rendered.
Then correlations between markers: overall, within cells, their difference.
"""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

import numpy as np

from unstained.dynamics.correlation_times import correlation_time
from unstained.dynamics.correlations import compare_correlations
from unstained.dynamics.traces import lineages
from unstained.dynamics.trends import relative_fluctuation
from unstained.simulate import MARKERS, Movie, MovieSettings
from unstained.simulate.lineage import ornstein_uhlenbeck

TAU_MIN = 40.0
INTERVAL_S = 120.0
FLUCTUATION_SD = 0.15


class Case(NamedTuple):
    """Cells at the start, frames, and the error of the prediction: share of the level, minutes."""

    cells: int
    frames: int
    error_sd: float = 0.0
    error_tau_min: float = 0.0
    known: bool = False


CASES = (
    Case(15, 120),
    Case(15, 360),
    Case(15, 1440),
    Case(50, 120),
    Case(50, 360),
    Case(15, 360, 0.075),
    Case(15, 360, 0.15),
    Case(15, 1440, 0.15),
    Case(50, 120, 0.15),
    Case(50, 360, 0.1, 10.0, known=False),
    Case(50, 360, 0.1, 10.0, known=True),
)


def levels(case: Case, seed: int, markers: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(M, C, T) levels of every cell, NaN before and after its life, and its (C,) lineage."""
    movie = Movie(
        MovieSettings(
            frames=case.frames,
            interval_s=INTERVAL_S,
            cells=case.cells,
            size=2048,
            markers=markers,
            tau_min=TAU_MIN,
            fluctuation_sd=FLUCTUATION_SD,
            seed=seed,
        )
    )
    values = np.full((len(markers), len(movie.tracks), case.frames), np.nan)
    for c, track in enumerate(movie.tracks):
        values[:, c, track.begin : track.end + 1] = track.level.T
    image = np.full(len(movie.tracks), "movie")
    labels = [track.label for track in movie.tracks]
    return values, lineages(image, labels, [track.parent for track in movie.tracks])


def with_error(values: np.ndarray, case: Case, rng: np.random.Generator) -> np.ndarray:
    """Levels of one marker as predicted: with a relative error of its own correlation time."""
    n_cells, n_frames = values.shape
    if case.error_tau_min > 0:
        error = ornstein_uhlenbeck(
            n_frames,
            INTERVAL_S / 60,
            np.full(n_cells, case.error_tau_min),
            np.eye(n_cells),
            rng.standard_normal(n_cells),
            rng,
        ).T
    else:
        error = rng.standard_normal(values.shape)
    return values * (1 + case.error_sd * error)


def coverage(case: Case, repeats: int) -> str:
    """One line of the table."""
    rows = []
    for seed in range(repeats):
        values, lineage = levels(case, seed, ("CD105",))
        rng = np.random.default_rng((seed, 1))
        traces = relative_fluctuation(with_error(values[0], case, rng))
        error = np.full(traces.shape, case.error_sd) if case.known else None
        found = correlation_time(
            traces, INTERVAL_S, groups=lineage, error_sd=error, error_tau_min=case.error_tau_min
        )
        rows.append((found.tau_min, *found.interval, found.noise_share, len(traces)))
    tau, low, high, noise, cells = np.array(rows).T
    inside = (low <= TAU_MIN) & (high >= TAU_MIN)
    return (
        f"{case.cells:5d} {case.frames:6d} {case.error_sd:6.3f} {case.error_tau_min:5.0f} "
        f"{'yes' if case.known else 'no':>5s} {cells.mean():5.0f} "
        f"{np.nanmedian(tau):6.1f} {np.exp(np.nanmean(np.log(tau))):6.1f} "
        f"{np.nanmedian(low):6.1f} {np.nanmedian(high):6.1f} {np.nanmean(noise):6.3f} "
        f"{inside.mean():8.3f} {int(np.isnan(tau).sum()):5d}"
    )


def log_normal(correlation: float, first: float, second: float) -> float:
    """Correlation of exp(first x) and exp(second y) where normal x and y correlate so."""
    return float(
        np.expm1(correlation * first * second) / np.sqrt(np.expm1(first**2) * np.expm1(second**2))
    )


def correlations(repeats: int) -> None:
    """Logarithms of levels correlate by 0.6 between cells, by 0.2 within them."""
    names = ("CD105", "CD29")
    spread = [MARKERS[name].level_sd for name in names]
    overall = log_normal(0.6, *spread)
    within = log_normal(0.2, FLUCTUATION_SD, FLUCTUATION_SD)
    true = {"overall": overall, "fluctuation": within, "difference": overall - within}
    print("start frames correlation   true   mean     sd coverage")
    for case in (Case(15, 360), Case(50, 360), Case(50, 1440)):
        found = []
        for seed in range(repeats):
            values, lineage = levels(case, seed, names)
            change = np.stack([relative_fluctuation(one) for one in values])
            found.append(compare_correlations(values, change, groups=lineage))
        for name, r in true.items():
            parts = [getattr(one, name) for one in found]
            values = np.array([part.r[0, 1] for part in parts])
            inside = [part.low[0, 1] <= r <= part.high[0, 1] for part in parts]
            print(
                f"{case.cells:5d} {case.frames:6d} {name:>11s} {r:6.3f} {values.mean():6.3f} "
                f"{values.std():6.3f} {np.mean(inside):8.3f}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=100)
    repeats = parser.parse_args().repeats
    print(f"tau {TAU_MIN:g} min, frames every {INTERVAL_S / 60:g} min, {repeats} movies a row")
    print("start frames  error tau_e known cells median   mean    low   high  noise coverage  none")
    for case in CASES:
        began = time.perf_counter()
        print(f"{coverage(case, repeats)}  ({time.perf_counter() - began:.0f} s)", flush=True)
    correlations(repeats)


if __name__ == "__main__":
    main()
