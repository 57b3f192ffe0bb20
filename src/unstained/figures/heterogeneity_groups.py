"""Kinds of cells compared: levels of markers, sizes of effects, shares of the variance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..errors import InputError
from .heterogeneity import readable
from .style import PALETTE, house_style, new_figure

__all__ = ["effects_figure", "levels_figure", "shares_figure"]


def levels_figure(table: pd.DataFrame) -> Figure:
    """Mean of each variable in each class, relative to all cells, with intervals.

    Parameters
    ----------
    table : DataFrame
        variable, class, n, relative, low, high.
    """
    variables, classes = _order(table["variable"]), sorted(table["class"].unique())
    if not variables:
        raise InputError("no class to draw", "give a row of each variable and class")
    with house_style():
        figure = new_figure(max(3.5, min(7.2, 1 + 0.75 * len(variables))), 2.5)
        ax = figure.add_subplot()
        for i, name in enumerate(classes):
            part = table[table["class"] == name].set_index("variable").reindex(variables)
            x = np.arange(len(variables)) + (i - (len(classes) - 1) / 2) * 0.2
            color = PALETTE[i % len(PALETTE)]
            ax.vlines(x, part["low"], part["high"], color=color, lw=1.3)
            label = f"{name} ({int(part['n'].max())})"
            ax.plot(x, part["relative"], "o", color=color, ms=4, label=label)
        ax.axhline(1, color="0.6", lw=0.6, ls="--", zorder=0)
        ax.set_xticks(range(len(variables)), [readable(v) for v in variables])
        ax.set_ylabel("mean total / mean of all cells")
        figure.supxlabel("bars: 95 % intervals", fontsize=7)
        figure.legend(loc="outside upper center", ncols=4, handletextpad=0.1)
    return figure


def effects_figure(table: pd.DataFrame) -> Figure:
    """Differences in standard deviations of cells, one panel a pair of levels, or one of slopes.

    Full points are significant after Holm; a row without a point could not be compared.

    Parameters
    ----------
    table : DataFrame
        variable, effect, low, high, p_holm; a, b where levels are compared; what was counted:
        units, or n_a, n_b (cells) and groups (0: cells are the units).
    """
    variables = _order(table["variable"])
    pairs: list[tuple[str, pd.DataFrame]] = [("per SD of the factor", table)]
    if "a" in table:
        pairs = [(f"{a} - {b}", part) for (a, b), part in table.groupby(["a", "b"], sort=False)]
    columns = min(len(pairs), 4)
    rows = -(-len(pairs) // columns)
    drawn = table[["effect", "low", "high"]].to_numpy(float)
    reach = 1.08 * max(float(np.nanmax(np.abs(drawn), initial=0.0)), 0.3)
    with house_style():
        height = (0.5 + 0.2 * max(len(variables), 3)) * rows + 0.4
        figure = new_figure(min(7.2, 1 + 1.75 * columns), height)
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for ax, (title, part) in zip(axes.ravel(), pairs, strict=False):
            of = part.set_index("variable").reindex(variables)
            y = np.arange(len(variables))
            sure = (of["p_holm"] < 0.05).to_numpy()
            ax.axvline(0, color="0.6", lw=0.6, zorder=0)
            ax.hlines(y, of["low"], of["high"], color=PALETTE[0], lw=1.2)
            style: dict[str, Any] = {"marker": "o", "ls": "none", "ms": 4, "mec": PALETTE[0]}
            effect = of["effect"].to_numpy(float)
            ax.plot(effect[sure], y[sure], mfc=PALETTE[0], **style)
            ax.plot(effect[~sure], y[~sure], mfc="white", **style)
            ax.set_title(f"{title}\n{_counted(part)}")
            ax.set_xlim(-reach, reach)
            ax.set_yticks(y, [readable(v) for v in variables])
            ax.grid(axis="y", color="0.92", lw=0.5)
            ax.set_axisbelow(True)
        axes[0, 0].set_ylim(len(variables) - 0.4, -0.6)
        for ax in axes.ravel()[len(pairs) :]:
            ax.set_visible(False)
        words = f"{'difference' if 'a' in table else 'slope'} (SD of cells), 95 % interval"
        figure.supxlabel(f"{words};\nfull point: p < 0.05 after Holm", fontsize=7.5)
    return figure


def shares_figure(table: pd.DataFrame) -> Figure:
    """Share of the variance of each level, a point with its interval, one panel a level.

    Parameters
    ----------
    table : DataFrame
        variable, level, groups, share, low, high.
    """
    variables, levels = _order(table["variable"]), _order(table["level"])
    with house_style():
        size = (min(7.2, 1 + 1.6 * len(levels)), 0.75 + 0.2 * max(len(variables), 3))
        figure = new_figure(*size)
        axes = figure.subplots(1, len(levels), squeeze=False, sharex=True, sharey=True)[0]
        y = np.arange(len(variables))
        for i, (ax, level) in enumerate(zip(axes, levels, strict=True)):
            part = table[table["level"] == level].set_index("variable").reindex(variables)
            color = PALETTE[i % len(PALETTE)]
            share = 100 * part[["share", "low", "high"]].to_numpy(float)
            ax.barh(y, share[:, 0], color=color, alpha=0.55, height=0.6)
            ax.hlines(y, share[:, 1], share[:, 2], color="0.2", lw=1.1)
            ax.set_title(f"{level} (n = {int(part['groups'].max())})")
            ax.set_xlim(0, 100)
            ax.set_yticks(y, [readable(v) for v in variables])
        axes[0].set_ylim(len(variables) - 0.4, -0.6)
        figure.supxlabel("share of the variance (%), 95 % interval", fontsize=7.5)
    return figure


def _counted(part: pd.DataFrame) -> str:
    """What one panel's comparisons rest on; the most where variables differ."""
    if "n_a" not in part:
        return f"n = {int(part['units'].max())} units"
    words = f"n = {int(part['n_a'].max())}, {int(part['n_b'].max())} cells"
    groups = int(part["groups"].max())
    return f"{words} of {groups} groups" if groups else words


def _order(column: pd.Series[Any]) -> list[str]:
    return [str(value) for value in dict.fromkeys(column)]
