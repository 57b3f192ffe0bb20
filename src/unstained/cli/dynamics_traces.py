"""``unstained dynamics traces`` and ``correlation``: markers of living cells over time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from ..errors import InputError, contents_of
from ..images.atomic import write_csv
from ._dynamics import (
    Border,
    Cells,
    Least,
    Out,
    named,
    relative_traces,
    save_both,
    say_absent,
    say_slopes,
    say_traces,
)
from ._tables import check_folder, new_folder
from ._words import listed

if TYPE_CHECKING:
    from ..dynamics.correlation_times import CorrelationTime
    from ..dynamics.correlations import ComparedCorrelations
    from ..dynamics.spectra import Spectrum
    from ..dynamics.traces import MarkerTraces
    from ..dynamics.trends import Detrend

__all__ = ["correlation", "traces"]

# what `correlation` may write; there may be none of some
_RESULTS = (
    "autocorrelation",
    "correlation",
    "correlation_times",
    "correlations",
    "periods",
    "spectra",
)

_Markers = Annotated[
    str | None, typer.Option(metavar="A,B,...", help="Any variables; all markers if not given.")
]
_Layer = Annotated[
    str | None,
    typer.Option(help="In place of totals: mean, p50 or another; means do not follow the area."),
]
_Window = Annotated[float | None, typer.Option(metavar="MIN", help="Of the running mean, minutes.")]


def traces(
    cells: Cells,
    out: Out,
    markers: _Markers = None,
    layer: _Layer = None,
    detrend: Annotated[
        str, typer.Option(help="none, mean, line, running (a high-pass filter) or population.")
    ] = "none",
    window_min: _Window = None,
    least_frames: Least = 10,
    border: Border = False,
    lineages: Annotated[
        int, typer.Option(metavar="N", help="Drawn: those with the cells seen for longest.")
    ] = 1,
) -> None:
    """Expression of followed cells over time, totals with the band of the prediction.

    Writes traces.csv with all cells, traces.png and traces.svg with some.
    """
    from ..dynamics.traces import trace_table
    from ..figures.dynamics import trace_figure

    method = _method(detrend)
    check_folder(out)
    with contents_of(cells):
        found = _detrended(_read(cells, markers, layer, least_frames, border), method, window_min)
    table = trace_table(found)
    new_folder(out, "traces")
    write_csv(table, out / "traces.csv")
    frames = table.groupby(["lineage", "image", "track"], sort=False).size()
    by_lineage = frames.groupby(level="lineage", sort=False).max().sort_values(ascending=False)
    longest = by_lineage.index[: max(lineages, 1)]
    drawn = table[table["lineage"].isin(longest)]
    what = f"{'total' if layer is None else layer} expression"
    label = what if detrend == "none" else f"{what}, less {detrend}"
    save_both(trace_figure(drawn, label=label), out, "traces")
    say_traces(found)
    if found.low is None and layer is None:
        print("note: the table has no band of the prediction (layers low and high)")
    print(f"{len(longest)} of the lineages drawn: {out}")


def correlation(
    cells: Cells,
    out: Out,
    markers: _Markers = None,
    layer: _Layer = None,
    detrend: Annotated[
        str, typer.Option(help="mean, line, running (a high-pass filter) or population.")
    ] = "mean",
    window_min: _Window = None,
    absolute: Annotated[
        bool, typer.Option("--absolute", help="Do not divide by each cell's mean.")
    ] = False,
    frame: Annotated[
        int | None, typer.Option(help="Overall correlation in this frame, not of means.")
    ] = None,
    least_frames: Least = 10,
    border: Border = False,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
) -> None:
    """Correlation between markers, over cells and over time; correlation times; spectra.

    Writes correlations.csv, correlation_times.csv, autocorrelation.csv, spectra.csv, periods.csv,
    correlation.json, and figures as PNG and SVG.
    """
    from ..dynamics.correlations import CorrelationSettings, compare_correlations
    from ..dynamics.spectra import mean_spectrum

    method = _method(detrend)
    if method == "none":
        raise InputError("fluctuations without --detrend", "choose mean or line, at least")
    check_folder(out)
    with contents_of(cells):
        levels = _read(cells, markers, layer, least_frames, border)
        relative = levels if absolute else relative_traces(levels)
        # the fit of a correlation time takes means and lines itself, and knows what that does
        own = method in ("mean", "line")
        changes = relative if own else _detrended(relative, method, window_min)
        trend: Any = "line" if method == "line" else "mean"
        times, spectra = {}, {}
        for marker, values in zip(levels.markers, changes.values, strict=True):
            fitted = _time_of(marker, values, levels, trend)
            times[marker] = fitted
            if math.isfinite(fitted.tau_min):
                step_s = levels.frame_interval_s
                spectra[marker] = mean_spectrum(values, step_s, fitted, trend=trend)
        compared = None
        if len(times) > 1:
            share = [1 - fitted.noise_share for fitted in times.values()]
            # without a correlation time, noise and fluctuation could not be told apart
            known = all(math.isfinite(f.tau_min) and f.noise_share < 1 for f in times.values())
            compared = compare_correlations(
                levels.values,
                _detrended(relative, "line", None).values if method == "line" else changes.values,
                groups=levels.lineage,
                frame=_frame_index(levels, frame),
                reliability=share if known else None,
                settings=CorrelationSettings(seed=seed),
            )
    new_folder(out, *_RESULTS)
    say_traces(levels)
    _report_times(times, out)
    _report_spectra(spectra, out)
    if compared is not None:
        _report_correlations(compared, levels.markers, out)
    else:
        print("note: no correlations: they need two markers")
    _write_json(times, spectra, compared, levels, out / "correlation.json")
    if len(set(levels.lineage.tolist())) < 2:
        print("note: one lineage has no intervals: they come from comparing lineages")
    if method == "mean":
        say_slopes(relative)
    if method == "running":
        print("note: a running mean takes slow fluctuations away: correlation times are too short")
    print(f"tables and figures: {out}")


def _read(
    cells: Path, markers: str | None, layer: str | None, least_frames: int, border: bool
) -> MarkerTraces:
    from ..cell_table import read_cells
    from ..dynamics.traces import marker_traces

    names = listed(markers) or None
    table = read_cells(cells)
    found = marker_traces(table, names, layer=layer, least_frames=least_frames, border=border)
    say_absent(cells, table, "parent", *([] if border else ["border"]))
    tracks = table.obs.loc[table.obs["track"] > 0, ["image", "track"]].drop_duplicates()
    if len(tracks) > len(found.track):
        where = "" if border or "border" not in table.obs else " away from the image's edge"
        print(
            f"note: {len(tracks) - len(found.track)} of {len(tracks)} followed cells left out: "
            f"fewer than {least_frames} frames{where}"
        )
    return found


def _method(name: str) -> Detrend:
    from ..dynamics.trends import Detrend

    for method in get_args(Detrend):
        if name == method:
            return method  # type: ignore[no-any-return]
    raise InputError(f"--detrend {name}", f"choose {', '.join(get_args(Detrend))}")


def _detrended(found: MarkerTraces, method: Detrend, window_min: float | None) -> MarkerTraces:
    """All markers detrended; their bands go along."""
    import numpy as np

    from ..dynamics.trends import detrend

    parts = []
    for marker, one in zip(found.markers, found.values, strict=True):
        with named(marker):
            parts.append(
                detrend(one, method, frame_interval_s=found.frame_interval_s, window_min=window_min)
            )
    values = np.stack(parts)
    taken = found.values - values
    low, high = (None if band is None else band - taken for band in (found.low, found.high))
    return found._replace(values=values, low=low, high=high)


def _time_of(marker: str, values: Any, levels: MarkerTraces, trend: Any) -> CorrelationTime:
    from ..dynamics.correlation_times import CorrelationTimeSettings, correlation_time

    with named(marker):
        return correlation_time(
            values,
            levels.frame_interval_s,
            groups=levels.lineage,
            settings=CorrelationTimeSettings(trend=trend),
        )


def _frame_index(levels: MarkerTraces, frame: int | None) -> int | None:
    """Place of a frame among those of the traces, which begin with the first followed cell."""
    if frame is None:
        return None
    first = round(float(levels.time_min[0]) * 60 / levels.frame_interval_s)
    last = first + len(levels.time_min) - 1
    if not first <= frame <= last:
        raise InputError(f"--frame {frame}", f"cells are followed in frames {first} to {last}")
    return frame - first


def _report_times(times: dict[str, CorrelationTime], out: Path) -> None:
    import pandas as pd

    from ..figures.dynamics import autocorrelation_figure

    rows, curves = [], []
    for marker, fitted in times.items():
        low, high = fitted.interval
        step_min = float(fitted.lag_min[1])
        rows.append(
            {
                "marker": marker,
                "tau_min": fitted.tau_min,
                "low": low,
                "high": high,
                "noise_share": fitted.noise_share,
                "sd": fitted.sd,
                "head_min": fitted.head_lags * step_min,
                "cells": fitted.cells,
                "lineages": fitted.groups,
                "note": fitted.note,
            }
        )
        columns = {
            name: getattr(fitted, name) for name in ("lag_min", "acf", "low", "high", "acf_raw")
        }
        curves.append(pd.DataFrame({"marker": marker, **columns}))
        if math.isnan(fitted.tau_min):
            print(f"  {marker}: no correlation time, {fitted.note}")
        else:
            print(
                f"  {marker}: correlation time {fitted.tau_min:.1f} min"
                f"{_range(low, high, '.1f')}, noise {fitted.noise_share:.0%} of the variance"
                + (f"; {fitted.note}" if fitted.note else "")
            )
    table, curve = pd.DataFrame(rows), pd.concat(curves)
    write_csv(table, out / "correlation_times.csv")
    write_csv(curve, out / "autocorrelation.csv")
    save_both(autocorrelation_figure(curve, table), out, "autocorrelation")


def _report_spectra(spectra: dict[str, Spectrum], out: Path) -> None:
    import pandas as pd

    from ..figures.dynamics import spectrum_figure

    if not spectra:
        print("note: no spectra and periods: no marker has a correlation time")
        return
    names = ("frequency_per_h", "density", "expected", "lorentzian", "p")
    density = pd.concat(
        pd.DataFrame({"marker": marker, **{name: getattr(one, name) for name in names}})
        for marker, one in spectra.items()
    )
    periods = pd.DataFrame(
        [(marker, *period) for marker, one in spectra.items() for period in one.periods],
        columns=["marker", "period_min", "ratio", "p"],
    )
    for row in periods.to_dict("records"):
        print(
            f"  {row['marker']}: period of {row['period_min']:.3g} min, {row['ratio']:.1f} times "
            f"red noise, p = {row['p']:.2g}"
        )
    write_csv(density, out / "spectra.csv")
    write_csv(periods, out / "periods.csv")
    save_both(spectrum_figure(density, periods), out, "spectra")


def _report_correlations(
    compared: ComparedCorrelations, markers: tuple[str, ...], out: Path
) -> None:
    import pandas as pd

    from ..figures.dynamics import correlation_graphs

    parts = {
        "overall": compared.overall,
        "fluctuation": compared.fluctuation,
        "difference": compared.difference,
    }
    if compared.corrected is not None:
        parts["fluctuation without noise"] = compared.corrected
    rows = []
    for i, first in enumerate(markers):
        for j in range(i + 1, len(markers)):
            for name, part in parts.items():
                values = [float(bound[i, j]) for bound in (part.r, part.low, part.high)]
                rows.append((first, markers[j], name, *values, part.n))
    columns = ["marker_1", "marker_2", "correlation", "r", "low", "high", "cells"]
    table = pd.DataFrame(rows, columns=columns)
    write_csv(table, out / "correlations.csv")
    for (one, other), pair in table.groupby(["marker_1", "marker_2"], sort=False):
        text = ", ".join(
            f"{row['correlation']} {row['r']:.2f}{_range(row['low'], row['high'], '.2f')}"
            for row in pair.to_dict("records")
            if math.isfinite(row["r"])
        )
        print(f"  {one} and {other}: {text or 'not known'}")
    known = set(table.loc[table["r"].notna(), "correlation"])
    if "overall" not in known:
        n = parts["overall"].n
        print(f"note: no correlation over cells: there are {n}, and three that differ are needed")
    drawn = {
        f"{name} correlation ({parts[name].n} cells)": parts[name].r
        for name in ("overall", "fluctuation")
        if name in known
    }
    if drawn:
        save_both(correlation_graphs(drawn, markers), out, "correlations")


def _range(low: float, high: float, digits: str) -> str:
    """An interval in words; nothing where there is none."""
    return f" ({low:{digits}} to {high:{digits}})" if not math.isnan(low + high) else ""


def _write_json(
    times: dict[str, CorrelationTime],
    spectra: dict[str, Spectrum],
    compared: ComparedCorrelations | None,
    levels: MarkerTraces,
    path: Path,
) -> None:
    from ..images.atomic import write_json

    said: dict[str, Any] = {
        "cells": len(levels.track),
        "lineages": len(set(levels.lineage.tolist())),
        "frame_interval_s": levels.frame_interval_s,
        "correlation_times": {
            marker: {
                "tau_min": fitted.tau_min,
                "interval": fitted.interval,
                "noise_share": fitted.noise_share,
                "note": fitted.note,
            }
            for marker, fitted in times.items()
        },
        "periods": {
            marker: [period._asdict() for period in one.periods] for marker, one in spectra.items()
        },
    }
    if compared is not None:
        said["markers"] = list(levels.markers)
        for name in ("overall", "fluctuation", "difference", "corrected"):
            part = getattr(compared, name)
            if part is not None:
                said[name] = {key: getattr(part, key) for key in ("r", "low", "high")}
    write_json(path, said)
