"""Markers of living cells over time: traces, two correlations as graphs, autocorrelation, power."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from ..errors import InputError
from ..images.image import Array
from .style import PALETTE, house_style, legend_above, need_columns, new_figure

__all__ = ["autocorrelation_figure", "correlation_graphs", "spectrum_figure", "trace_figure"]


_POSITIVE, _NEGATIVE = PALETTE[0], PALETTE[5]
_LEAST = 0.005  # correlation that has a line: one that does not round to 0.00
_WIDEST = 8.0  # points of a line that stands for a correlation of 1


def trace_figure(table: pd.DataFrame, *, label: str = "total expression") -> Figure:
    """Markers of some cells over time, a panel a marker, with the band of the prediction.

    A cell and its descendants have one color; a mother's last value is joined to its daughters'
    first by a dotted line. A gap in time is a gap in the line.

    Parameters
    ----------
    table : DataFrame
        marker, image, track, parent, lineage, time_min, value and, if they are known, low and
        high: `trace_table` of unstained.dynamics.
    label : str
        Of the value axes, without the marker.
    """
    need_columns(table, ["marker", "image", "track", "parent", "lineage", "time_min", "value"])
    markers = _markers(table)
    lineage = {name: PALETTE[i % 8] for i, name in enumerate(dict.fromkeys(table["lineage"]))}
    times = np.unique(table["time_min"].to_numpy(float))
    step = float(np.diff(times).min()) if len(times) > 1 else 0.0
    with house_style():
        figure = new_figure(3.5, 0.6 + 1.15 * len(markers))
        axes = figure.subplots(len(markers), 1, sharex=True, squeeze=False)[:, 0]
        for ax, marker in zip(axes, markers, strict=True):
            rows = table[table["marker"] == marker].sort_values("time_min")
            names = zip(rows["image"].astype(str), rows["track"].astype(int), strict=True)
            cells = dict(list(rows.groupby(pd.Series(list(names), index=rows.index))))
            for (image, _), cell in cells.items():
                color = lineage[cell["lineage"].iloc[0]]
                _trace(ax, cell, color, step)
                mother = cells.get((image, int(cell["parent"].iloc[0])))
                if mother is not None:
                    ends = [mother.iloc[-1], cell.iloc[0]]
                    ax.plot(
                        [end["time_min"] / 60 for end in ends],
                        [end["value"] for end in ends],
                        color=color,
                        lw=0.8,
                        ls=":",
                    )
            ax.set_title(marker, pad=2)  # on the left stands the power of ten
            ax.margins(x=0.01)
            ax.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=True)
        axes[-1].set_xlabel("time (h)")
        figure.supylabel(label, fontsize=7.5)
    return figure


def correlation_graphs(matrices: Mapping[str, Array], markers: Sequence[str]) -> Figure:
    """Correlations as graphs: markers on a circle, the wider a line the higher the correlation.

    Negative correlations are dashed, in another color. The value stands on the line.

    Parameters
    ----------
    matrices : mapping of str to (M, M) array
        One graph each, by title. Correlations that round to 0.00, and NaN, have no line.
    markers : sequence of str
        M names, clockwise from the top.
    """
    m = len(markers)
    odd = [name for name, r in matrices.items() if np.shape(r) != (m, m)]
    if odd or not matrices or m < 2:
        raise InputError(
            f"{len(matrices)} graphs of {m} markers", "give (M, M) correlations of two and more"
        )
    turn = np.pi / 2 - 2 * np.pi * np.arange(m) / m
    place = np.column_stack([np.cos(turn), np.sin(turn)])
    with house_style():
        figure = new_figure(min(7.2, 2.4 * len(matrices)), 2.6)
        axes = figure.subplots(1, len(matrices), squeeze=False)[0]
        for ax, (title, r) in zip(axes, matrices.items(), strict=True):
            pairs = [(i, j) for i in range(m) for j in range(i) if abs(r[i, j]) >= _LEAST]
            for k, (i, j) in enumerate(pairs):
                _edge(ax, place[i], place[j], float(r[i, j]), k)
            for (x, y), name in zip(place, markers, strict=True):
                ax.plot(x, y, "o", ms=27, mfc="white", mec="0.25", mew=0.9, zorder=4)
                size = float(np.clip(38 / max(len(name), 1), 4.5, 6.5))  # inside the circle
                ax.text(x, y, name, ha="center", va="center", fontsize=size, zorder=5)
            ax.set_title(title)
            ax.set_aspect("equal")
            ax.set_xlim(-1.35, 1.35)
            ax.set_ylim(-1.3, 1.3)
            ax.set_axis_off()
        handles = [
            Line2D([], [], color=_POSITIVE, lw=3, label="positive"),
            Line2D([], [], color=_NEGATIVE, lw=3, ls=(0, (1.5, 0.8)), label="negative"),
        ]
        signs = {bool(r[i, j] < 0) for r in matrices.values() for i in range(m) for j in range(i)}
        if True in signs:
            figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def autocorrelation_figure(curves: pd.DataFrame, fits: pd.DataFrame) -> Figure:
    """Autocorrelation of each marker with its band and the exponential fitted to its head.

    Parameters
    ----------
    curves : DataFrame
        marker, lag_min, acf, low, high.
    fits : DataFrame
        marker, tau_min, low, high, noise_share, head_min: the exponential is solid to `head_min`,
        where it was fitted, and dashed beyond. NaN in tau_min: no exponential. Where they are
        there, cells and lineages are written out.
    """
    need_columns(curves, ["marker", "lag_min", "acf", "low", "high"])
    need_columns(fits, ["marker", "tau_min", "low", "high", "noise_share", "head_min"])
    markers = _markers(curves)
    with house_style():
        figure, axes = _panels(len(markers), 0.5)
        for ax, marker, color in zip(axes.ravel(), markers, PALETTE * 9, strict=False):
            curve = curves[curves["marker"] == marker].sort_values("lag_min")
            lag = curve["lag_min"].to_numpy(float)
            ax.axhline(0, color="0.6", lw=0.6)
            ax.fill_between(lag, curve["low"], curve["high"], color=color, alpha=0.25, lw=0)
            ax.plot(lag, curve["acf"], ".", color=color, ms=3)
            fit = fits[fits["marker"] == marker].iloc[0]
            _exponential(ax, fit, float(lag[-1]))
            ax.set_title(marker, loc="left", pad=2)
        # bands of few cells at long lags would flatten the curves
        low, high = axes[0, 0].get_ylim()
        axes[0, 0].set_ylim(max(low, -1.05), min(high, 1.25))
        for ax in axes[-1]:
            ax.set_xlabel("lag (min)")
        for ax in axes[:, 0]:
            ax.set_ylabel("autocorrelation")
    return figure


def spectrum_figure(spectra: pd.DataFrame, periods: pd.DataFrame) -> Figure:
    """Power of each marker against period, with the red noise of its correlation time.

    Parameters
    ----------
    spectra : DataFrame
        marker, frequency_per_h, density, expected, lorentzian.
    periods : DataFrame
        marker, period_min, p: marked by a triangle and written out.
    """
    need_columns(spectra, ["marker", "frequency_per_h", "density", "expected", "lorentzian"])
    need_columns(periods, ["marker", "period_min", "p"])
    markers = _markers(spectra)
    with house_style():
        figure, axes = _panels(len(markers), 0.7)
        for ax, marker, color in zip(axes.ravel(), markers, PALETTE * 9, strict=False):
            of = spectra[spectra["marker"] == marker].sort_values("frequency_per_h")
            period = 60 / of["frequency_per_h"].to_numpy(float)
            ax.loglog(period, of["density"], color=color, lw=0.9, label="cells")
            ax.loglog(period, of["expected"], color="black", lw=0.9, label="red noise, as seen")
            ax.loglog(
                period, of["lorentzian"], color="0.45", lw=0.9, ls="--", label="red noise itself"
            )
            for row in periods[periods["marker"] == marker].to_dict("records"):
                top = float(np.interp(-row["period_min"], -period, of["density"]))
                ax.plot(row["period_min"], 1.6 * top, "v", color="black", ms=4)
                ax.annotate(
                    f"{row['period_min']:.3g} min",
                    (row["period_min"], 1.6 * top),
                    xytext=(0, 4),
                    textcoords="offset points",
                    ha="center",
                )
            ax.set_title(marker, loc="left", pad=2)
        axes[0, 0].invert_xaxis()
        for ax in axes[-1]:
            ax.set_xlabel("period (min)")
            ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.xaxis.set_major_formatter("{x:g}")
            ax.xaxis.set_minor_formatter(NullFormatter())
        for ax in axes[:, 0]:
            ax.set_ylabel("power density (variance · h)")
        legend_above(figure, axes[0, 0], 3)
    return figure


def _panels(n: int, margin_in: float) -> tuple[Figure, Any]:
    """`n` panels with common axes in at most two columns; (rows, columns) of axes."""
    columns = min(2, n)
    rows = -(-n // columns)
    figure = new_figure(3.5 if columns == 1 else 5.2, margin_in + 1.7 * rows)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for ax in axes.ravel()[n:]:
        ax.set_axis_off()
    return figure, axes


def _trace(ax: Axes, cell: pd.DataFrame, color: str, step: float) -> None:
    """One line, broken where frames are missing."""
    time = cell["time_min"].to_numpy(float)
    part = np.cumsum(np.diff(time, prepend=time[0]) > 1.5 * step)
    for _, rows in cell.groupby(part):
        hours = rows["time_min"] / 60
        if {"low", "high"} <= set(rows):
            ax.fill_between(hours, rows["low"], rows["high"], color=color, alpha=0.35, lw=0)
        ax.plot(hours, rows["value"], color=color, lw=0.6)


def _edge(ax: Axes, start: Array, stop: Array, r: float, k: int) -> None:
    line = (0, (1.5, 0.8)) if r < 0 else "-"
    color = _NEGATIVE if r < 0 else _POSITIVE
    ax.plot(*np.transpose([start, stop]), color=color, lw=_WIDEST * abs(r), ls=line, zorder=1)
    # diagonals cross in the middle: their values stand off it, on different sides
    across = abs(np.hypot(*(start - stop)) - 2) < 0.6
    x, y = start + (stop - start) * ((0.36 if k % 2 else 0.64) if across else 0.5)
    box = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 0.8}
    ax.text(x, y, f"{r:.2f}", ha="center", va="center", fontsize=6.5, bbox=box, zorder=3)


def _exponential(ax: Axes, fit: Any, last_min: float) -> None:
    """The fitted curve, and what was fitted in words."""
    tau = float(fit["tau_min"])
    if np.isfinite(tau):
        head = min(float(fit["head_min"]), last_min)
        for start, stop, line in ((0.0, head, "-"), (head, last_min, "--")):
            lag = np.linspace(start, stop, 100)
            curve = (1 - float(fit["noise_share"])) * np.exp(-lag / tau)
            ax.plot(lag, curve, color="black", lw=1.0, ls=line)
        lines = [f"τ = {tau:.3g} min"]
        if np.isfinite(fit["low"]):
            lines.append(f"({fit['low']:.3g} to {fit['high']:.3g})")
        lines.append(f"noise {float(fit['noise_share']):.0%}")
    else:
        lines = ["no correlation time"]
    if {"cells", "lineages"} <= set(fit.index):
        lines.append(f"{fit['cells']} cells, {fit['lineages']} lineages")
    text = "\n".join(lines)
    ax.text(0.97, 0.95, text, transform=ax.transAxes, ha="right", va="top", fontsize=6.5)


def _markers(table: pd.DataFrame) -> list[str]:
    if table.empty:
        raise InputError("nothing to draw", "give rows of at least one marker")
    return [str(name) for name in dict.fromkeys(table["marker"])]
