"""Predicted against measured totals of cells: scatter with band, differences, coverage."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..errors import InputError
from ..images.image import Array
from ..statistics import Interval, linear_fit
from .scatter import cloud, thousands
from .style import PALETTE, house_style, legend_above, new_figure

__all__ = ["bland_altman_figure", "coverage_figure", "totals_figure"]


def totals_figure(
    totals: Mapping[str, tuple[Array, Array]],
    bands: Mapping[str, tuple[Array, Array, Array]],
    level: float,
) -> Figure:
    """Predicted against measured totals, a panel for each marker.

    Dashed: equality; full: least-squares line of the predicted on the measured totals; shaded: the
    band in which the measured total of a cell is believed to lie, read from left to right at its
    predicted total.

    Parameters
    ----------
    totals : mapping of str to two (N,) arrays
        Predicted and measured totals, by marker.
    bands : mapping of str to three (K,) arrays
        Predicted totals, ascending, low and high end of the band there. Ends that are not finite
        are not drawn.
    level : float
        Of the bands, 0 ... 1.
    """
    figure, axes = _panels(list(totals))
    with house_style():
        for marker, ax in axes.items():
            predicted, measured = (np.asarray(a, np.float64) for a in totals[marker])
            factor, unit = thousands(measured)
            x, y = measured / factor, predicted / factor
            cloud(ax, x, y)
            if marker in bands and np.isfinite(np.concatenate(bands[marker])).all():
                at, low, high = (np.asarray(a, np.float64) / factor for a in bands[marker])
                label = f"{level:.0%} band"
                ax.fill_betweenx(at, low, high, color=PALETTE[1], alpha=0.3, lw=0, label=label)
            span = [min(x.min(), y.min()), max(x.max(), y.max())]
            ax.plot(span, span, color="0.45", lw=0.8, ls="--", label="equality")
            fit = linear_fit(x, y)
            words = f"{x.size} cells"
            if np.isfinite(fit.slope.estimate):
                ends = np.array([x.min(), x.max()])
                line = fit.intercept.estimate + fit.slope.estimate * ends
                ax.plot(ends, line, color=PALETTE[5], lw=1.4, label="fit")
                words = f"r = {fit.r:.2f}, slope {fit.slope.estimate:.2f}\n{words}"
            ax.text(0.04, 0.97, words, transform=ax.transAxes, va="top", fontsize=6.0)
            ax.set_box_aspect(1)
            ax.set_xlabel(f"measured total{unit}")
            ax.set_ylabel(f"predicted total{unit}")
        legend_above(figure, next(iter(axes.values())))
    return figure


def bland_altman_figure(
    totals: Mapping[str, tuple[Array, Array]],
    limits: Mapping[str, tuple[Interval, Interval, Interval]],
) -> Figure:
    """Difference against mean of predicted and measured totals, a panel for each marker.

    Parameters
    ----------
    totals : mapping of str to two (N,) arrays
        Predicted and measured totals, by marker.
    limits : mapping of str to three Interval
        Mean difference, lower and upper limit of agreement; their intervals are shaded.
    """
    figure, axes = _panels(list(totals))
    with house_style():
        for marker, ax in axes.items():
            predicted, measured = (np.asarray(a, np.float64) for a in totals[marker])
            factor, unit = thousands(measured)
            cloud(ax, (predicted + measured) / 2 / factor, (predicted - measured) / factor)
            ax.axhline(0, color="0.45", lw=0.8, ls="--", label="equality")
            names = ("mean difference", "limits of agreement (95 %)", None)
            for interval, label, color in zip(limits[marker], names, (5, 3, 3), strict=True):
                if np.isfinite(interval.low):
                    low, high = interval.low / factor, interval.high / factor
                    ax.axhspan(low, high, color=PALETTE[color], alpha=0.2, lw=0)
                if np.isfinite(interval.estimate):
                    height = interval.estimate / factor
                    ax.axhline(height, color=PALETTE[color], lw=1.2, label=label)
            ax.set_box_aspect(1)
            ax.set_xlabel(f"mean of both totals{unit}")
            ax.set_ylabel(f"predicted - measured{unit}")
        legend_above(figure, next(iter(axes.values())))
    return figure


def coverage_figure(table: pd.DataFrame, level: float) -> Figure:
    """Share of held-out cells within their band, group by group; a panel for each marker.

    Shares that are not known are left out, and so is a marker without one.

    Parameters
    ----------
    table : DataFrame
        marker, group, share, low, high; the group ``(mean)`` is drawn last and filled dark.
    level : float
        The share that was promised, 0 ... 1: dashed.
    """
    absent = [n for n in ("marker", "group", "share", "low", "high") if n not in table]
    if absent or table.empty:
        raise InputError(
            f"no {', '.join(absent) or 'row'} in the table of coverage", "give marker, group, share"
        )
    table = table[table["share"].notna()]
    if table.empty:
        raise InputError("no share of covered cells is known", "give one at least")
    most = int(table.groupby("marker").size().max())
    figure, axes = _panels(list(dict.fromkeys(table["marker"])), 0.5 + 0.16 * most)
    with house_style():
        for marker, ax in axes.items():
            rows = table[table["marker"] == marker]
            y = -np.arange(len(rows))
            color = ["black" if name == "(mean)" else PALETTE[0] for name in rows["group"]]
            ax.hlines(y, rows["low"], rows["high"], color=color, lw=1.1)
            ax.scatter(rows["share"], y, s=12, color=color, zorder=3)
            ax.axvline(level, color="0.45", lw=0.8, ls="--")
            ax.set_yticks(y, rows["group"].astype(str))
            ax.set_ylim(-most + 0.4, 0.6)
            ax.set_xlim(0, 1)
            ax.set_xlabel(f"cells in the {level:.0%} band")
    return figure


def _panels(names: list[str], height_in: float = 2.4) -> tuple[Figure, dict[str, Axes]]:
    """An empty panel with its title for each marker."""
    if not names:
        raise InputError("no marker to draw", "give one at least")
    columns = 2 if len(names) == 4 else min(len(names), 3)
    rows = -(-len(names) // columns)
    with house_style():
        figure = new_figure(2.6 if columns == 1 else 2.4 * columns, height_in * rows + 0.3)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax in axes[len(names) :]:
            ax.set_visible(False)
        for name, ax in zip(names, axes, strict=False):
            ax.set_title(name, fontweight="bold")
    return figure, dict(zip(names, axes, strict=False))
