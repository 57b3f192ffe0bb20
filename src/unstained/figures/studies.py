"""What would make a model better: more images, more light, less dirt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from .style import PALETTE, house_style, legend_above, new_figure

__all__ = ["impurity_bars", "noise_curve", "size_curve"]

_LABELS = {"r_s": "r$_s$", "r_lap": "r$_{lap}$"}
_DIRTY = ("none", "training", "test", "both")


def size_curve(
    table: pd.DataFrame,
    growth: Mapping[str, Callable[[float], float] | None],
    *,
    unit: str = "training images",
) -> Figure:
    """Scores against the number of training images, with stars over steps that were tested.

    Parameters
    ----------
    table : DataFrame
        marker, score, size, mean, low, high, stars (of the step from the size before).
    growth : mapping
        For each score the fitted curve, drawn dotted to twice the largest size, or None.
    unit : str
        Of the sizes.
    """
    with house_style():
        figure = new_figure(6.2, 2.6)
        axes = figure.subplots(1, 2)
        for ax, score in zip(axes, _LABELS, strict=True):
            for j, (marker, rows) in enumerate(
                table[table["score"] == score].groupby("marker", sort=False)
            ):
                color = PALETTE[j % len(PALETTE)]
                _line(ax, rows, "size", "mean", ("low", "high"), color, str(marker))
                sure = rows[rows["stars"].astype(str).str.startswith("*")]
                for place, stars in zip(
                    sure[["size", "mean"]].to_numpy(), sure["stars"], strict=True
                ):
                    ax.annotate(stars, place, (0, 4), textcoords="offset points", ha="center")
            curve = growth.get(score)
            if curve is not None:
                x = np.geomspace(table["size"].min(), 2 * table["size"].max(), 100)
                y = [curve(size) for size in x]
                ax.plot(x, y, ":", color="0.3", lw=1, label="mean, extended")
            ax.set_xscale("log")
            sizes = sorted(table["size"].unique())
            ax.set_xticks(sizes, [f"{size:g}" for size in sizes])
            ax.minorticks_off()
            ax.set_xlabel(unit)
            ax.set_ylabel(_LABELS[score])
        legend_above(figure, axes[0])
    return figure


def noise_curve(table: pd.DataFrame) -> Figure:
    """Scores against the stain's signal-to-noise ratio, beside the ceiling.

    Left r_s, with c_max dashed, against snr_var; right r_lap against snr_rms.

    Parameters
    ----------
    table : DataFrame
        marker, light, test ("same": at the light of training), r_s, r_lap, snr_rms, snr_var,
        c_max, and low and high of the scores.
    """
    with house_style():
        figure = new_figure(6.2, 2.6)
        left, right = figure.subplots(1, 2)
        same = table[table["test"] == "same"]
        for j, (marker, rows) in enumerate(same.groupby("marker", sort=False)):
            color = PALETTE[j % len(PALETTE)]
            _line(left, rows, "snr_var", "r_s", ("r_s_low", "r_s_high"), color, str(marker))
            _line(right, rows, "snr_rms", "r_lap", ("r_lap_low", "r_lap_high"), color, str(marker))
        ratios = same["snr_var"][np.isfinite(same["snr_var"]) & (same["snr_var"] > 0)]
        if len(ratios):
            x = np.geomspace(ratios.min(), ratios.max(), 100)
            left.plot(x, np.sqrt(x / (1 + x)), "--", color="0.3", lw=1, label="c$_{max}$")
        left.set_xlabel("SNR, variances (snr_var)")
        left.set_ylabel(_LABELS["r_s"])
        right.set_xlabel("SNR, root mean square (snr_rms)")
        right.set_ylabel(_LABELS["r_lap"])
        for ax in (left, right):
            ax.set_xscale("log")
            ax.set_ylim(0, 1)
        right.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        right.xaxis.set_major_formatter("{x:g}")
        right.minorticks_off()
        left.legend(loc="lower right")
    return figure


def impurity_bars(table: pd.DataFrame) -> Figure:
    """Scores with dirt in no, the training, the test, and both sets of images.

    Parameters
    ----------
    table : DataFrame
        impurity, dirty ("none", "training", "test", "both"), marker, r_s, r_lap, with low, high.
    """
    with house_style():
        kinds = list(table["impurity"].unique())
        figure = new_figure(6.2, 2.3 * len(kinds))
        axes = figure.subplots(len(kinds), 2, squeeze=False)
        markers = list(table["marker"].unique())
        width = 0.8 / len(markers)
        for ax, (kind, score) in zip(axes.flat, product(kinds, _LABELS), strict=True):
            for j, marker in enumerate(markers):
                part = table[(table["impurity"] == kind) & (table["marker"] == marker)]
                part = part.set_index("dirty").loc[list(_DIRTY)]
                x = np.arange(len(_DIRTY)) + (j - (len(markers) - 1) / 2) * width
                value = part[score].to_numpy(float)
                color = PALETTE[j % len(PALETTE)]
                ax.bar(x, value, 0.92 * width, color=color, label=marker)
                ends = part[[f"{score}_low", f"{score}_high"]].to_numpy(float).T
                spread = np.abs(ends - value)
                if np.isfinite(spread).all():
                    ax.errorbar(x, value, spread, fmt="none", ecolor="0.2", lw=0.7)
            ax.set_xticks(range(len(_DIRTY)), _DIRTY)
            ax.set_ylabel(_LABELS[score])
            ax.set_title(f"{kind} in")
        legend_above(figure, axes[0, 0])
    return figure


def _line(
    ax: Axes,
    rows: pd.DataFrame,
    x: str,
    y: str,
    interval: tuple[str, str],
    color: str,
    label: str,
) -> None:
    rows = rows.sort_values(x)
    ax.plot(rows[x], rows[y], "o-", ms=3, lw=1.2, color=color, label=label)
    low, high = (rows[name].to_numpy(float) for name in interval)
    if np.isfinite(low).all() and np.isfinite(high).all():
        ax.fill_between(rows[x], low, high, color=color, alpha=0.15, lw=0)
