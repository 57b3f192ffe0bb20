"""How good a classifier of colonies is, beside others, and what it found in the wells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..errors import InputError
from ..images.image import Array
from .style import (
    PALETTE,
    colors_of,
    house_style,
    legend_above,
    need_columns,
    new_figure,
    show_grey,
)

__all__ = [
    "confusion_figure",
    "fractions_figure",
    "label_curve",
    "methods_figure",
    "mistakes_grid",
    "reliability_figure",
]


def label_curve(table: pd.DataFrame) -> Figure:
    """Macro recall against the labelled share that was asked for, one line a method.

    Parameters
    ----------
    table : DataFrame
        method, labelled (share of all images, 0 ... 1), value, low, high (may be NaN).
    """
    need_columns(table, ["method", "labelled", "value", "low", "high"])
    with house_style():
        colors = colors_of(table["method"].unique())
        longest = max(map(len, colors))
        # where long names stand one in a row, the curves keep their height
        figure = new_figure(max(3.5, 0.5 + 0.055 * longest), 2.7 + 0.1 * len(colors))
        ax = figure.add_subplot()
        for name, color in colors.items():
            rows = table[table["method"].astype(str) == name].sort_values("labelled")
            x = 100 * rows["labelled"].to_numpy(float)
            ax.plot(x, rows["value"], "o-", ms=3, lw=1.2, color=color, label=name)
            _band(ax, x, rows, color)
        shares = sorted(100 * table["labelled"].unique())
        ax.set_xscale("log")
        ax.set_xticks(shares, [f"{share:g}" for share in shares])
        ax.minorticks_off()
        ax.set_xlabel("labelled part of all images (%)")
        ax.set_ylabel("macro recall")
        legend_above(figure, ax, 3)
    return figure


def methods_figure(table: pd.DataFrame) -> Figure:
    """Each method's macro recall with its interval, best above.

    Parameters
    ----------
    table : DataFrame
        method, value, low, high (may be NaN).
    """
    need_columns(table, ["method", "value", "low", "high"])
    rows = table.sort_values("value", ignore_index=True)
    value = rows["value"].to_numpy(float)
    y = np.arange(len(rows))
    with house_style():
        # names with settings in them are long, and the axis must keep its place
        longest = int(rows["method"].astype(str).str.len().max())
        wide = 3.5 + 0.055 * max(0, longest - 20)
        figure = new_figure(wide, 0.6 + 0.22 * max(len(rows), 3))
        ax = figure.add_subplot()
        ax.hlines(y, rows["low"], rows["high"], color=PALETTE[0], lw=1.2)
        ax.plot(value, y, "o", ms=4, color=PALETTE[0])
        ax.xaxis.set_major_locator(MaxNLocator(5))
        for at, number in zip(y, value, strict=True):
            ax.annotate(
                f"{number:.3f}",
                (1, at),
                (3, 0),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                va="center",
            )
        ax.set_yticks(y, rows["method"].astype(str))
        ax.set_ylim(-0.6, len(rows) - 0.4)
        ax.grid(axis="y", color="0.9", lw=0.5)
        ax.set_axisbelow(True)
        ax.set_xlabel("macro recall")
    return figure


def confusion_figure(confusion: npt.ArrayLike, names: Sequence[str], *, title: str = "") -> Figure:
    """Confusion matrix: counts, and in color and brackets the share of the true class.

    Parameters
    ----------
    confusion : (K, K) int array
        Rows true, columns predicted.
    names : sequence of str
        The K classes.
    title : str
        Whose predictions they are.
    """
    matrix = np.asarray(confusion)
    k = len(names)
    if matrix.shape != (k, k):
        raise InputError(f"a matrix of {matrix.shape} for {k} names", "give (K, K)")
    total = matrix.sum(axis=1, keepdims=True)
    share = matrix / np.where(total > 0, total, 1)
    with house_style():
        side = 0.55 * k + 1.2
        figure = new_figure(side + 0.5, side)
        ax = figure.add_subplot()
        drawn = ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for i, j in np.ndindex(k, k):
            percent = f"\n({100 * share[i, j]:.0f} %)" if total[i, 0] else ""
            color = "white" if share[i, j] > 0.55 else "black"
            ax.text(j, i, f"{matrix[i, j]}{percent}", color=color, ha="center", va="center")
        ax.set_xticks(range(k), names, rotation=40, ha="right", rotation_mode="anchor")
        ax.set_yticks(range(k), names)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        ax.set_xlabel("predicted class")
        ax.set_ylabel("true class")
        _title(figure, title)
        bar = figure.colorbar(drawn, ax=ax, shrink=0.8)
        bar.set_label("share of the true class")
        bar.outline.set_linewidth(0.4)
    return figure


def reliability_figure(table: pd.DataFrame) -> Figure:
    """Frequency against probability, one panel a class, above the number of rows in each bin.

    Parameters
    ----------
    table : DataFrame
        Of `statistics.reliability_table`: class, bin_low, bin_high, n, confidence, frequency,
        low, high.
    """
    need_columns(
        table, ["class", "bin_low", "bin_high", "n", "confidence", "frequency", "low", "high"]
    )
    names = list(table["class"].unique())
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    with house_style():
        figure = new_figure(0.4 + 1.7 * columns, 0.3 + 2.1 * rows)
        grid = figure.subplots(
            2 * rows, columns, squeeze=False, sharex=True, height_ratios=[3, 1] * rows
        )
        for i, name in enumerate(names):
            curve, counts = grid[2 * (i // columns) : 2 * (i // columns) + 2, i % columns]
            part = table[table["class"] == name]
            curve.plot([0, 1], [0, 1], color="0.6", lw=0.7, ls="--")
            curve.vlines(part["confidence"], part["low"], part["high"], color="0.6", lw=0.9)
            curve.plot(part["confidence"], part["frequency"], "o-", ms=3, lw=1, color=PALETTE[0])
            curve.set(ylim=(0, 1), xlim=(0, 1), title=str(name))
            width = part["bin_high"] - part["bin_low"]
            counts.bar(part["bin_low"], part["n"], width, align="edge", color="0.7", ec="white")
            counts.set_yscale("log")
            counts.set_ylim(bottom=0.8)
            counts.minorticks_off()
            counts.set_xlabel("probability")
            if i % columns == 0:
                curve.set_ylabel("frequency")
                counts.set_ylabel("rows")
        for i in range(len(names), rows * columns):
            for ax in grid[2 * (i // columns) : 2 * (i // columns) + 2, i % columns]:
                ax.set_axis_off()
    return figure


def mistakes_grid(
    patches: Mapping[tuple[str, str], Array], names: Sequence[str], *, title: str = ""
) -> Figure:
    """Misclassified patches, one for each true and predicted class.

    Parameters
    ----------
    patches : mapping of (true, predicted) to (Y, X) array
        Pairs that never occurred may be missing; a right one may be given for the diagonal.
    names : sequence of str
        Classes in the order of rows (true) and columns (predicted).
    title : str
        Whose predictions they are.
    """
    unknown = {name for pair in patches for name in pair} - set(names)
    if unknown:
        raise InputError(f"class {sorted(unknown)[0]!r}", f"the classes are {', '.join(names)}")
    k = len(names)
    with house_style():
        side = min(1.2, 6.4 / k)
        figure = new_figure(side * k + 0.5, side * k + 0.4)
        axes = figure.subplots(k, k, squeeze=False)
        for (i, true), (j, predicted) in (
            ((i, t), (j, p)) for i, t in enumerate(names) for j, p in enumerate(names)
        ):
            ax = axes[i, j]
            image = patches.get((true, predicted))
            if image is not None:
                show_grey(ax, image, np.percentile(image, [0.5, 99.5]))
            else:
                ax.set(xticks=[], yticks=[], aspect="equal", facecolor="0.96")
                ax.spines[:].set_visible(False)
                words = "none" if i != j else ""
                ax.text(0.5, 0.5, words, color="0.5", ha="center", va="center")
            if i == 0:
                ax.set_title(predicted, pad=3)
            if j == 0:
                ax.set_ylabel(true)
        _title(figure, title)
        figure.supxlabel("predicted class", fontsize=7.5)
        figure.supylabel("true class", fontsize=7.5)
    return figure


def fractions_figure(table: pd.DataFrame, *, condition: str = "treatment") -> Figure:
    """Share of each class over time with intervals, one panel a class, one line a condition.

    Parameters
    ----------
    table : DataFrame
        Of `colonies.group_fractions`: the condition, time_h (or frame), class, fraction, low,
        high.
    condition : str
        Column of the condition.
    """
    hour = "time_h" if "time_h" in table else "frame"
    need_columns(table, [condition, hour, "class", "fraction", "low", "high"])
    names = list(table["class"].unique())
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    with house_style():
        figure = new_figure(0.4 + 1.7 * columns, 0.4 + 1.6 * rows)
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True)
        colors = colors_of(table[condition].unique())
        for ax, name in zip(axes.flat, names, strict=False):
            for given, color in colors.items():
                of_class = table[(table["class"] == name) & (table[condition].astype(str) == given)]
                part = of_class.sort_values(hour)
                x = part[hour].to_numpy(float)
                # a share of 0 lies on the axis and is drawn whole
                style = {"ms": 2, "lw": 1.1, "color": color, "clip_on": False}
                ax.plot(x, part["fraction"], "o-", label=given, **style)
                _band(ax, x, part, color)
            ax.set_title(str(name))
            ax.set_ylim(bottom=0)
        for ax in axes.flat[len(names) :]:
            ax.set_axis_off()
        for ax in axes[:, 0]:
            ax.set_ylabel("share of colonies")
        for i in range(len(names)):
            if i + columns >= len(names):
                axes.flat[i].set_xlabel("time (h)" if hour == "time_h" else "frame")
                axes.flat[i].tick_params(labelbottom=True)
        legend_above(figure, axes[0, 0], 4)
    return figure


def _title(figure: Figure, words: str) -> None:
    """Above all panels, in as many lines as the figure is narrow."""
    if words:
        figure.suptitle(fill(words, int(figure.get_figwidth() / 0.06)), fontsize=7.5)


def _band(ax: Axes, x: Array, rows: pd.DataFrame, color: str) -> None:
    low, high = rows["low"].to_numpy(float), rows["high"].to_numpy(float)
    ax.fill_between(x, low, high, where=np.isfinite(low + high), color=color, alpha=0.15, lw=0)
