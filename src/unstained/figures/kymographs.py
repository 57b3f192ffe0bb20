"""Inside living cells: kymographs, their waves; what divisions hand on; how far frames are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter

from ..errors import InputError
from ..images.image import Array
from .style import PALETTE, house_style, need_columns, new_figure

__all__ = ["division_figure", "kymograph_figure", "validity_figure", "wave_figure"]


_OUTSIDE = "0.85"  # grey of places outside the cell
_LOWEST = 1e-3  # of the highest power, below which nothing is told apart
_SHOWN = 1e-2  # of the highest power, that reaches as far as the axes do


def kymograph_figure(
    profiles: Mapping[str, Array],
    differences: Mapping[str, Array],
    *,
    time_min: Array,
    position: Array,
    unit: str = "um",
) -> Figure:
    """Heatmaps of position over time, a row a marker, then a row a difference of two.

    Markers from their 1st to their 99th percentile; differences around 0 in standard deviations,
    red where the first of the two is higher. Grey is outside the cell.

    Parameters
    ----------
    profiles : mapping of str to (T, P) array
        NaN outside the cell.
    differences : mapping of str to (T, P) array
        By what is written beside them, such as "CD105 - STRO-1".
    time_min, position : (T,), (P,) array
        Equally spaced.
    unit : {"um", "length"}
        Of `position`: micrometers from the center, or share of the cell's length.
    """
    shape = (len(time_min), len(position))
    odd = [name for name, a in {**profiles, **differences}.items() if a.shape != shape]
    if odd or not profiles or min(shape) < 2:
        raise InputError(
            f"{len(profiles)} kymographs of {shape[0]} frames and {shape[1]} positions"
            + (f", but not {', '.join(odd)}" if odd else ""),
            "give (frames, positions) of two or more each",
        )
    labels = {"um": "position from center (µm)", "length": "position (share of length)"}
    hours, step, width = np.asarray(time_min) / 60, _step(time_min) / 60, _step(position)
    extent = (hours[0] - step / 2, hours[-1] + step / 2, *_ends(position, width))
    n = len(profiles) + len(differences)
    with house_style():
        figure = new_figure(5.2, 0.55 + 1.15 * n)
        axes = figure.subplots(n, 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for ax, (name, values) in zip(axes, {**profiles, **differences}.items(), strict=True):
            signed = name in differences and name not in profiles
            low, high = np.nanpercentile(values, [1, 99])
            most = max(abs(low), abs(high))
            shown = ax.imshow(
                values.T,
                origin="lower",
                aspect="auto",
                extent=extent,
                cmap="RdBu_r" if signed else "viridis",
                norm=Normalize(-most, most) if signed else Normalize(low, high),
                interpolation="nearest",
            )
            ax.set_facecolor(_OUTSIDE)
            ax.set_title(name, loc="left", pad=2, fontweight="bold")
            bar = figure.colorbar(shown, ax=ax, pad=0.01, aspect=12)
            bar.outline.set_linewidth(0.4)
            bar.set_label("sd" if signed else "intensity", fontsize=6.5)
            bar.ax.tick_params(labelsize=6)
        axes[n // 2].set_ylabel(labels[unit])
        axes[-1].set_xlabel("time (h)")
    return figure


def wave_figure(
    spectra: Mapping[str, Array],
    peaks: pd.DataFrame,
    *,
    frequency_per_min: Mapping[str, Array],
    wavenumber_per_um: Mapping[str, Array],
) -> Figure:
    """Power over frequency and wavenumber, a panel a marker, with the main periods marked.

    Positive wavenumbers travel towards positive positions. Filled marks are periods that noise
    does not make; open ones, "n.s.", may be noise.

    Parameters
    ----------
    spectra : mapping of str to (F, K) array
        Power, in any unit.
    peaks : DataFrame
        marker, period_min, period_um, velocity_um_per_min, significant; a marker may have none.
    frequency_per_min : mapping of str to (F,) array
        Of each marker, from 0 up.
    wavenumber_per_um : mapping of str to (K,) array
        Of each marker, ascending through 0.
    """
    need_columns(peaks, ["marker", "period_min", "period_um", "velocity_um_per_min", "significant"])
    if not spectra:
        raise InputError("no spectrum", "give one for each marker")
    columns = min(len(spectra), 2)
    rows = -(-len(spectra) // columns)
    with house_style():
        figure = new_figure(3.5 * columns, 0.4 + 2.3 * rows)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax, (marker, power) in zip(axes, spectra.items(), strict=False):
            of = peaks[peaks["marker"] == marker]
            axes_of = frequency_per_min[marker], wavenumber_per_um[marker]
            shown = _spectrum(ax, power, *axes_of, of)
            _mark(ax, of)
            ax.set_title(marker, fontweight="bold")
            ax.set_xlabel("frequency (1/h)")
            ax.set_ylabel("wavenumber (1/mm)")
            bar = figure.colorbar(shown, ax=ax, pad=0.01, aspect=18)
            bar.outline.set_linewidth(0.4)
            bar.set_label("power / highest (log$_{10}$)", fontsize=6.5)
            bar.ax.tick_params(labelsize=6)
        for ax in axes[len(spectra) :]:
            ax.set_visible(False)
    return figure


def division_figure(levels: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Sisters against each other, daughters against their mother, and the asymmetry.

    Parameters
    ----------
    levels : DataFrame
        A row for each division and marker: marker, mother_level, level_1, level_2.
    results : DataFrame
        A row for each marker: marker, asymmetry, low, high, random (of random pairs); divisions,
        where they are there, are written beside the marker.
    """
    _need(levels, ["marker", "mother_level", "level_1", "level_2"])
    _need(results, ["marker", "asymmetry", "low", "high", "random"])
    with house_style():
        figure = new_figure(7.2, 2.5)
        sisters, mothers, asymmetry = figure.subplots(1, 3)
        for i, row in enumerate(results.to_dict("records")):
            color, of = PALETTE[i % 8], levels[levels["marker"] == row["marker"]]
            of = of[(of[["mother_level", "level_1", "level_2"]] > 0).all(axis=1)]
            # in units of the marker's own newborn cells, so that markers share the axes
            typical = float(np.median(of[["level_1", "level_2"]].to_numpy()))
            first, second, mother = (
                of[name].to_numpy(float) / typical
                for name in ("level_1", "level_2", "mother_level")
            )
            style = {"s": 7, "color": color, "alpha": 0.5, "linewidths": 0}
            # which sister comes first is no matter: each pair both ways round
            sisters.scatter(np.r_[first, second], np.r_[second, first], **style)
            mothers.scatter(mother, first + second, **style)
            error = [[row["asymmetry"] - row["low"]], [row["high"] - row["asymmetry"]]]
            asymmetry.errorbar(
                row["asymmetry"],
                i,
                xerr=np.abs(error),
                fmt="o",
                ms=4,
                color=color,
                lw=1.2,
                capsize=2,
            )
            asymmetry.plot(row["random"], i, "x", color="0.3", ms=5, mew=1)
        for ax in (sisters, mothers):
            for axis, scale in ((ax.xaxis, ax.set_xscale), (ax.yaxis, ax.set_yscale)):
                scale("log", base=2)
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            ax.axline((1, 1), (2, 2), color="0.5", lw=0.7, ls="--", zorder=0)
        sisters.set_xlabel("one daughter / median newborn")
        sisters.set_ylabel("the other / median newborn")
        mothers.set_xlabel("mother / median newborn")
        mothers.set_ylabel("sum of daughters / median newborn")
        names = results["marker"].astype(str)
        if "divisions" in results:
            names = names + "\nn = " + results["divisions"].astype(str)
        asymmetry.set_yticks(range(len(results)), names)
        asymmetry.set_ylim(len(results) - 0.5, -0.7)
        asymmetry.set_xlim(0, 1.1 * float(results[["high", "random"]].max().max()))
        asymmetry.set_xlabel("asymmetry, |d$_1$ − d$_2$| / (d$_1$ + d$_2$)")
        asymmetry.plot([], [], "x", color="0.3", ms=5, label="random pairs")
        asymmetry.legend(loc="upper left", handlelength=1)
    return figure


def validity_figure(
    frames: pd.DataFrame, *, few: Sequence[int] = (), frame_interval_s: float | None = None
) -> Figure:
    """Distance of each frame from the training cells with its limit, and the share outside.

    Parameters
    ----------
    frames : DataFrame
        frame, distance, limit, far, outside: `Validity.frames` of unstained.dynamics.
    few : sequence of int
        Frames that are not judged: gaps in the lines.
    frame_interval_s : float, optional
        For an axis in hours; else it counts frames.
    """
    _need(frames, ["frame", "distance", "limit", "far", "outside"])
    gaps = pd.DataFrame({"frame": few, "distance": np.nan, "limit": np.nan, "outside": np.nan})
    rows = pd.concat([frames, gaps.assign(far=False)]) if few else frames
    rows = rows.sort_values("frame")
    scale = 1.0 if frame_interval_s is None else frame_interval_s / 3600
    time = rows["frame"].to_numpy(float) * scale
    far = rows["far"].to_numpy(bool)
    distance = rows["distance"].to_numpy(float)
    # a frame between two gaps has no line
    limit_mark, outside_mark = ("_", ".") if few else ("", "")
    with house_style():
        figure = new_figure(3.5, 3.0)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        upper.plot(time, distance, color=PALETTE[0], lw=0.8)
        upper.plot(time[~far], distance[~far], "o", ms=3, color=PALETTE[0], label="inside")
        upper.plot(time[far], distance[far], "D", ms=3.5, color=PALETTE[5], label="beyond")
        line = {"color": "0.3", "lw": 0.9, "ls": "--", "label": "limit"}
        upper.plot(time, rows["limit"], marker=limit_mark, ms=4, **line)
        upper.set_ylim(min(0.0, np.nanmin(distance) * 1.1), None)
        upper.set_ylabel("energy distance")
        upper.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.2)
        lower.plot(time, 100 * rows["outside"], color=PALETTE[1], lw=1.0, marker=outside_mark)
        lower.set_ylim(0, max(10.0, 110 * float(rows["outside"].max())))
        lower.set_ylabel("cells outside (%)")
        lower.set_xlabel("frame" if frame_interval_s is None else "time (h)")
    return figure


def _spectrum(
    ax: Axes, power: Array, frequency_per_min: Array, wavenumber_per_um: Array, peaks: pd.DataFrame
) -> Any:
    """The part that holds power or a period to be believed, as an image of its logarithm."""
    height = np.asarray(power, float) / np.max(power)
    sure = peaks[peaks["significant"].astype(bool)]
    # the part with a hundredth of the highest power, and a little more
    highest = frequency_per_min[np.flatnonzero(height.max(axis=1) > _SHOWN)[-1]]
    highest = max(highest, *(1 / sure["period_min"]), 0)
    last = max(8, int(np.searchsorted(frequency_per_min, 1.2 * highest)))
    most = np.abs(wavenumber_per_um[height.max(axis=0) > _SHOWN]).max()
    most = 1.2 * max(most, *(1 / sure["period_um"]), 0)
    keep = np.flatnonzero(np.abs(wavenumber_per_um) <= most)
    f, k = 60 * frequency_per_min[: last + 1], 1000 * wavenumber_per_um[keep]
    df, dk = _step(f), _step(k)
    shown = ax.imshow(
        np.log10(np.maximum(height[: last + 1, keep].T, _LOWEST)),
        origin="lower",
        aspect="auto",
        extent=(f[0] - df / 2, f[-1] + df / 2, *_ends(k, dk)),
        cmap="magma",
        vmin=np.log10(_LOWEST),
        vmax=0,
        interpolation="nearest",
    )
    ax.axhline(0, color="white", lw=0.5, ls=":")
    return shown


def _mark(ax: Axes, peaks: pd.DataFrame) -> None:
    """Main periods as points with what they are, in the corner that is farthest from them."""
    x_low, x_high = ax.get_xlim()
    y_low, y_high = ax.get_ylim()
    lines, places = [], []
    for i, row in enumerate(peaks.to_dict("records"), 1):
        f = 60 / row["period_min"]
        k = np.sign(row["velocity_um_per_min"]) * 1000 / row["period_um"]
        sure = "" if row["significant"] else " (n.s.)"
        lines.append(f"{i}: {row['period_min']:.0f} min, {row['period_um']:.0f} µm{sure}")
        if not (x_low < f < x_high and y_low < k < y_high):
            continue
        places.append(((f - x_low) / (x_high - x_low), (k - y_low) / (y_high - y_low)))
        face = PALETTE[4] if row["significant"] else "none"
        ax.plot(f, k, "o", ms=4.5, mfc=face, mec=PALETTE[4], mew=1)
        number = ax.annotate(
            str(i), (f, k), xytext=(4, 2), textcoords="offset points", color="white", fontsize=7
        )
        number.set_path_effects([withStroke(linewidth=1.5, foreground="black")])
    right, top = _free_corner(places, len(lines))
    ax.text(
        0.98 if right else 0.02,
        0.97 if top else 0.03,
        "\n".join(lines),
        transform=ax.transAxes,
        ha="right" if right else "left",
        va="top" if top else "bottom",
        fontsize=6.5,
        color="white",
        bbox={"facecolor": "black", "alpha": 0.55, "edgecolor": "none", "pad": 1.5},
    )


def _free_corner(places: Sequence[tuple[float, float]], lines: int) -> tuple[bool, bool]:
    """Right and top of the corner in which text of some lines lies farthest from the points.

    Places are shares of the axes. The text is about half as wide and each line 0.08 as high.
    """

    def away(corner: tuple[bool, bool]) -> float:
        size = (0.5, 0.08 * max(lines, 1))
        return min(
            (
                max(abs(at - end) / side for at, end, side in zip(place, corner, size, strict=True))
                for place in places
            ),
            default=0.0,
        )

    return max(((True, True), (True, False), (False, True), (False, False)), key=away)


def _step(values: Array) -> float:
    return float((values[-1] - values[0]) / (len(values) - 1))


def _ends(values: Array, step: float) -> tuple[float, float]:
    return float(values[0] - step / 2), float(values[-1] + step / 2)


def _need(table: pd.DataFrame, columns: Sequence[str]) -> None:
    need_columns(table, columns)
    if table.empty:
        raise InputError("a table without rows", f"give {', '.join(columns)}")
