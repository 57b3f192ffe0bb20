"""Are the numbers of `unstained dynamics` right? Counted on simulated cells, whose truth is known.

    python benchmarks/dynamics.py [PART...] [--repeats 100] [--keep DIR]

Parts, all if none is named:

- times: how often the 95 % interval of a correlation time has the true one in it, and its bias
- correlations: the same of correlations between markers, overall and within cells
- measured: correlation times again, of stains that were rendered and measured
- error: a prediction's error measured against true stains, and carried through to the time
- inheritance: mother and daughters, over many divisions
- waves: periods of waves painted on cells, and what is found where there are none

Movies are rendered for `measured` and `waves`; elsewhere the levels of their cells are enough.
`measured` keeps the tables of its cells in DIR and takes them from there the next time.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData, read_h5ad

from unstained.cell_table import new_cells
from unstained.cells.measure import STATISTICS, measure_frame
from unstained.dynamics.correlation_times import CorrelationTimeSettings, correlation_time
from unstained.dynamics.correlations import compare_correlations
from unstained.dynamics.divisions import DivisionSettings, division_levels, inheritance
from unstained.dynamics.kymographs import CellFrame, KymographSettings, kymograph
from unstained.dynamics.model_error import error_bounds, error_in_time
from unstained.dynamics.periods import Periods, main_periods
from unstained.dynamics.traces import lineages, marker_traces
from unstained.dynamics.trends import relative_fluctuation
from unstained.errors import DataError
from unstained.simulate import MARKERS, Movie, MovieSettings, Optics
from unstained.simulate.lineage import ornstein_uhlenbeck

TAU_MIN = 40.0
INTERVAL_S = 120.0
FLUCTUATION_SD = 0.15
REACH_UM = 40.0  # of a cell from its center
MEASURED = ("CD105", "CD29")
MEASURED_FRAMES = 240
WAVE_MARKERS = ("CD105", "STRO-1")


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
            rng.standard_normal((n_cells,)),
            rng,
        ).T
    else:
        error = rng.standard_normal(values.shape)
    return values * (1 + case.error_sd * error)


def coverage(case: Case, repeats: int) -> str:
    """One line of the table."""
    rows = []
    first = 1000 * CASES.index(case)  # one seed gives cells alike in movies of any length
    for seed in range(first, first + repeats):
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


def times(repeats: int) -> None:
    """A row for each number of cells, frames and kind of error."""
    print(f"tau {TAU_MIN:g} min, frames every {INTERVAL_S / 60:g} min, {repeats} movies a row")
    print("start frames  error tau_e known cells median   mean    low   high  noise coverage  none")
    for case in CASES:
        began = time.perf_counter()
        print(f"{coverage(case, repeats)}  ({time.perf_counter() - began:.0f} s)", flush=True)


def measured_cells(seed: int) -> AnnData:
    """A rendered movie's cells, measured under their true outlines; totals, means, true levels."""
    movie = Movie(
        MovieSettings(
            frames=MEASURED_FRAMES,
            interval_s=INTERVAL_S,
            markers=MEASURED,
            wave_amplitude=0,  # another fluctuation, with periods of its own
            optics=Optics(source_points=1),  # of the label-free image, which is not looked at
            seed=seed,
        )
    )
    parent = {track.label: track.parent for track in movie.tracks}
    level_of = {track.label: (track.begin, track.level) for track in movie.tracks}
    obs, totals, means, true = [], [], [], []
    for t in range(movie.settings.frames):
        frame = movie.frame(t)
        found = measure_frame(frame.labels, frame.stains, movie.settings.optics.pixel_size_um)
        totals.append(found.values[:, :, STATISTICS.index("total")])
        means.append(found.values[:, :, STATISTICS.index("mean")])
        known = (level_of[label] for label in found.label)
        true.append(np.array([level[t - begin] for begin, level in known]))
        obs.append(
            pd.DataFrame(
                {
                    "image": "movie",
                    "frame": t,
                    "label": found.label,
                    "track": found.label,
                    "parent": [parent[label] for label in found.label],
                    "y_um": found.y_um,
                    "x_um": found.x_um,
                    "border": found.border,
                    "neighbors": found.neighbors,
                    "time_s": t * INTERVAL_S,
                }
            )
        )
    table = pd.DataFrame(np.concatenate(totals), columns=MEASURED)
    var = pd.DataFrame({"kind": "marker", "unit": "grey"}, index=list(MEASURED))
    layers = {"mean": np.concatenate(means), "level": np.concatenate(true)}
    return new_cells(pd.concat(obs, ignore_index=True), table, var, layers=layers)


def fitted_times(
    markers: Sequence[str], traces: np.ndarray, lineage: np.ndarray, seed: int
) -> list[dict[str, Any]]:
    """Correlation times of each marker, with the trends taken out or not, and with an error."""
    rows = []
    for marker, own in zip(markers, traces, strict=True):
        values = relative_fluctuation(own)
        noise = np.random.default_rng((seed, 2)).standard_normal(values.shape)
        for trend, error in (("mean", 0.0), ("line", 0.0), ("line", 0.15)):
            found = correlation_time(
                values + error * noise,
                INTERVAL_S,
                groups=lineage,
                settings=CorrelationTimeSettings(trend=trend),
            )
            low, high = found.interval
            rows.append(
                {
                    "marker": marker,
                    "trend": trend,
                    "error": error,
                    "cells": len(values),
                    "frames": np.isfinite(values).sum() / len(values),
                    "tau": found.tau_min,
                    "low": low,
                    "high": high,
                    "noise": found.noise_share,
                    "inside": low <= TAU_MIN <= high,
                }
            )
    return rows


def measured_times(seed: int, keep: Path | None) -> list[dict[str, Any]]:
    """Of the totals of a rendered movie, of the means, and of the true levels in its frames."""
    kept = keep and keep / f"{seed}.h5ad"
    if kept and kept.is_file():
        cells = read_h5ad(kept)
    else:
        cells = measured_cells(seed)
        if kept:
            cells.write_h5ad(kept)
    rows = []
    for what, layer in (("totals", None), ("means", "mean"), ("levels", "level")):
        found = marker_traces(cells, layer=layer, least_frames=10)
        times = fitted_times(found.markers, found.values, found.lineage, seed)
        rows += [{"what": what, **row} for row in times]
    return rows


def level_times(seed: int) -> list[dict[str, Any]]:
    """Of the levels of as many cells, none cut off by the border."""
    rows = fitted_times(MEASURED, *levels(Case(15, MEASURED_FRAMES), seed, MEASURED), seed)
    return [{"what": "whole", **row} for row in rows]


def measured(repeats: int, keep: Path | None = None) -> None:
    """The same of stains that are rendered and measured, cells that move, grow and divide.

    `inside` is the share of the movies whose interval holds the time, `given` that of the
    intervals: the traces of some movies tell no time.
    """
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
    print("what    marker trend error cells frames median    low   high noise none inside  given")
    for times_of in (level_times, partial(measured_times, keep=keep)):
        with ProcessPoolExecutor(2, get_context("spawn")) as workers:
            rows = [row for found in workers.map(times_of, range(repeats)) for row in found]
        for key, of in pd.DataFrame(rows).groupby(["what", "marker", "trend", "error"]):
            what, marker, trend, error = key
            middle = of[["cells", "frames", "tau", "low", "high", "noise"]].median()
            given = of.loc[of["tau"].notna(), "inside"].mean()
            print(
                f"{what:6s} {marker:>7s} {trend:>5s} {error:5.2f} {middle['cells']:5.0f} "
                f"{middle['frames']:6.0f} "
                f"{middle['tau']:6.1f} {middle['low']:6.1f} {middle['high']:6.1f} "
                f"{middle['noise']:5.2f} {of['tau'].isna().sum():4d} "
                f"{of['inside'].mean():6.2f} {given:6.3f}",
                flush=True,
            )


def carried_error(repeats: int) -> None:
    """How long an error lasts is measured with true stains, then taken out of the fluctuation.

    Beside it the range that is left where only the error's size is known.
    """
    print(
        "start frames  error tau_e found_sd found_tau  with: tau cov  without: tau cov  range holds"
    )
    for case in (Case(15, 360, 0.075), Case(15, 360, 0.1, 10.0), Case(15, 360, 0.1, 40.0)):
        rows = []
        for seed in range(repeats):
            values, lineage = levels(case, seed, ("CD105",))
            true = relative_fluctuation(values[0])
            rng = np.random.default_rng((seed, 1))
            predicted = relative_fluctuation(with_error(true, case, rng))
            error = error_in_time(predicted, true, INTERVAL_S)
            lasts = error.tau_min if error.lasting_share > error.white_share else 0.0
            sd = error.sd * np.sqrt(1 - error.constant_share)
            plain = correlation_time(predicted, INTERVAL_S, groups=lineage)
            told = error_bounds(predicted, INTERVAL_S, sd, error_tau_min=[lasts], groups=lineage)
            row = told.table.iloc[0]
            guessed = error_bounds(predicted, INTERVAL_S, case.error_sd, groups=lineage).table
            held = guessed["low"].min() <= TAU_MIN <= guessed["high"].max()
            inside = plain.interval[0] <= TAU_MIN <= plain.interval[1]
            rows.append(
                (
                    error.sd,
                    lasts,
                    plain.tau_min,
                    inside,
                    row["tau_min"],
                    row["low"] <= TAU_MIN <= row["high"],
                    held,
                )
            )
        of = np.array(rows, float)
        median, mean = np.nanmedian(of, axis=0), of.mean(axis=0)
        print(
            f"{case.cells:5d} {case.frames:6d} {case.error_sd:6.3f} {case.error_tau_min:5.0f} "
            f"{median[0]:8.3f} {median[1]:9.1f} {median[2]:10.1f} {mean[3]:4.2f} "
            f"{median[4]:12.1f} {mean[5]:4.2f} {mean[6]:12.2f}",
            flush=True,
        )


def handed_on(_: int) -> None:
    """Inheritance in a large field; a cell near its edge counts as cut, and has no level."""
    settings = MovieSettings(
        frames=240,
        interval_s=600,
        size=4096,
        cells=60,
        markers=("CD105",),
        cycle_h=10,
        death_per_h=0,
        mother_daughter=0.7,
        partition=0.3,
        seed=3,
    )
    movie = Movie(settings)
    side = settings.size * settings.optics.pixel_size_um
    obs = pd.DataFrame(
        [
            ("movie", track.begin + i, track.label, track.label, track.parent, y, x)
            for track in movie.tracks
            for i, (y, x) in enumerate(zip(track.y_um, track.x_um, strict=True))
        ],
        columns=["image", "frame", "label", "track", "parent", "y_um", "x_um"],
    )
    edge = np.minimum(obs[["y_um", "x_um"]], side - obs[["y_um", "x_um"]]).min(axis=1)
    obs = obs.assign(time_s=600.0 * obs["frame"], border=edge < REACH_UM, neighbors=0)
    level = np.concatenate([track.level[:, 0] for track in movie.tracks])
    var = pd.DataFrame({"kind": ["marker"], "unit": ["level"]}, index=["CD105"])
    cells = new_cells(obs, pd.DataFrame({"CD105": level}), var)
    found = division_levels(cells, DivisionSettings(window_min=0))
    result = inheritance(found)[0]
    print(f"{result.divisions} divisions, {result.left_out} left out, {result.families} families")
    c, partition = settings.mother_daughter, settings.partition
    for name, true in (
        ("mother_r", c),
        ("sister_r", c**2 - (1 - c**2) * partition),
        ("sister_r_given_mother", -partition),
    ):
        one = getattr(result, name)
        print(f"{name:>22s} {one.estimate:6.2f} [{one.low:.2f}, {one.high:.2f}], true {true:.2f}")


def spindles(seed: int, amplitude: float) -> list[list[CellFrame]]:
    """Two spindle-shaped cells, with a marker all over them and one at the nucleus."""
    movie = Movie(
        MovieSettings(
            frames=120,
            interval_s=240,
            size=384,
            cells=2,
            markers=WAVE_MARKERS,
            shares={"spindle": 1.0},
            speed_um_per_h=5,
            cycle_h=60,
            cycle_cv=0,
            death_per_h=0,
            wave_amplitude=amplitude,
            seed=seed,
        )
    )
    stains = [movie.image().channel(name) for name in movie.settings.markers]
    frames: list[list[CellFrame]] = [[], []]
    for t in range(120):
        labels = movie.structures(t).labels
        light = np.stack([np.asarray(stain.plane(t), float) for stain in stains])
        # as `unstained cells measure` does it
        light -= np.median(light[:, labels == 0], axis=1)[:, None, None]
        for label in (1, 2):
            if (labels == label).any():
                frames[label - 1].append(CellFrame(t, labels == label, light))
    return frames


def waves(_: int) -> None:
    """Waves of 120 min and 40 um, and none, around the body and around the outline's center."""
    pixel_um = MovieSettings().optics.pixel_size_um
    rows = []
    for amplitude in (0.15, 0.0):
        for seed in range(100, 112):
            for label, frames in enumerate(spindles(seed, amplitude), 1):
                for center in ("body", "outline"):
                    made = kymograph(
                        frames,
                        WAVE_MARKERS,
                        pixel_size_um=pixel_um,
                        frame_interval_s=240,
                        settings=KymographSettings(center=center),
                    )
                    for marker, values in zip(made.markers, made.values, strict=True):
                        cell = {"center": center, "amplitude": amplitude, "marker": marker}
                        try:
                            found = main_periods(values, frame_interval_s=240, step_um=made.step_um)
                        except DataError as error:
                            print(f"{seed} {label} {cell}: {error}", flush=True)
                            continue
                        row = cell | _judged(found)
                        rows.append(row)
                        print(f"{seed} {label} {row}", flush=True)
    for (center, amplitude, name), of in pd.DataFrame(rows).groupby(
        ["center", "amplitude", "marker"]
    ):
        print(
            f"{center}, amplitude {amplitude}, {name}, {len(of)} cells: {of['in_time'].sum()} at "
            f"120 min, {of['in_space'].sum()} at 40 um, {of['both'].sum()} both, "
            f"{of['significant'].sum()} significant; median "
            f"{of['min'].median():.0f} min, {of['um'].median():.0f} um, "
            f"amplitude {of['found'].median():.3f}"
        )


def _judged(found: Periods) -> dict[str, Any]:
    """The highest peak beside the painted wave; none where all that moves is too weak."""
    if not found.peaks:
        missed = dict.fromkeys(("in_time", "in_space", "both", "significant"), False)
        return missed | dict.fromkeys(("p", "min", "um", "found"), math.nan)
    peak, spectrum = found.peaks[0], found.spectrum
    in_time = abs(1 / peak.period_min - 1 / 120) < spectrum.resolution_per_min
    in_space = abs(1 / peak.period_um - 1 / 40) < spectrum.resolution_per_um
    return {
        "in_time": in_time,
        "in_space": in_space,
        "both": in_time and in_space,
        "significant": peak.significant,
        "p": peak.p_value,
        "min": round(peak.period_min, 1),
        "um": round(peak.period_um, 1),
        "found": round(peak.amplitude, 4),
    }


PARTS: dict[str, Callable[[int], None]] = {
    "times": times,
    "correlations": correlations,
    "measured": measured,
    "error": carried_error,
    "inheritance": handed_on,
    "waves": waves,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--repeats", type=int, default=100)
    told = "of `measured`, for the tables of its cells; empty it when the simulator changed"
    parser.add_argument("--keep", type=Path, metavar="DIR", help=told)
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no part {', '.join(unknown)}: choose {', '.join(PARTS)}")
    parts = {**PARTS, "measured": partial(measured, keep=asked.keep)}
    for name in asked.parts or parts:
        print(f"== {name}", flush=True)
        parts[name](asked.repeats)


if __name__ == "__main__":
    main()
