"""Principal components as biplots, what they explain, and how markers go with shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator

from ..errors import InputError
from ..images.image import Array
from .heterogeneity import readable
from .style import PALETTE, house_style, new_figure

__all__ = ["Biplot", "biplot", "correlation_figure", "explained_figure"]


_REACH_SD = 3.0  # of the cells, where the circle of correlation 1 is drawn
_BOX_SD = 3.5  # half the side of the square that cells are drawn in
_APART_SD = 0.34  # between names that stand one above the other


class Biplot(NamedTuple):
    """What `biplot` draws; N cells, K variables.

    Attributes
    ----------
    scores : (N, C) float array
    correlations : (K, C) float array
        Of each variable with each component.
    names : sequence of str
    explained : (C,) float array
    """

    scores: Array
    correlations: Array
    names: Sequence[str]
    explained: Array


def biplot(
    drawn: Biplot, *, markers: Sequence[str] = (), color_by: pd.Series[Any] | None = None
) -> Figure:
    """Cells and variables on the first two components.

    Points are cells, in standard deviations of each component. Arrows are the correlations of the
    variables with the components; at the circle, at 3 standard deviations, a variable lies wholly
    in this plane. Markers are drawn full, others dashed. Cells beyond 3.5 standard deviations are
    drawn there.

    Parameters
    ----------
    drawn : Biplot
    markers : sequence of str
        Which of the names are markers.
    color_by : (N,) Series, optional
        Numbers are drawn as a scale, else each word has its color.
    """
    if drawn.scores.shape[1] < 2:
        raise InputError("one component", "a biplot needs two: give two variables")
    points = drawn.scores[:, :2] / drawn.scores[:, :2].std(axis=0)
    points = np.clip(points, -_BOX_SD, _BOX_SD)
    with house_style():
        figure = new_figure(5.4, 4.0)
        ax = figure.add_subplot()
        _cells(figure, ax, points, color_by)
        ax.add_patch(Circle((0, 0), _REACH_SD, fill=False, ec="0.7", lw=0.5))
        arrows = _REACH_SD * drawn.correlations[:, :2]
        _arrows(ax, arrows, drawn.names, markers)
        ax.set_xlim(-1.6 * _BOX_SD, 1.6 * _BOX_SD)
        ax.set_ylim(-1.06 * _BOX_SD, 1.06 * _BOX_SD)
        ax.set_aspect("equal")
        ticks = [-3, -2, -1, 0, 1, 2, 3]
        ax.set_xticks(ticks)
        ax.set_yticks(ticks)
        ax.set_title(f"{len(points)} cells", loc="left")
        share = 100 * np.asarray(drawn.explained)
        ax.set_xlabel(f"component 1 (SD of cells; {share[0]:.0f} % of the variance)")
        ax.set_ylabel(f"component 2 (SD of cells; {share[1]:.0f} %)")
    return figure


def _cells(figure: Figure, ax: Axes, points: Array, color_by: pd.Series[Any] | None) -> None:
    size = 4.0 if len(points) > 1000 else 8.0
    style: dict[str, Any] = {"s": size, "lw": 0, "alpha": 0.55, "rasterized": len(points) > 3000}
    if color_by is None:
        ax.scatter(*points.T, color="0.55", **style)
        return
    if len(color_by) != len(points):
        raise InputError(f"{len(color_by)} colors for {len(points)} cells", "give one a cell")
    if pd.api.types.is_numeric_dtype(color_by) and color_by.nunique() > len(PALETTE):
        shown = ax.scatter(
            points[:, 0], points[:, 1], c=color_by.to_numpy(float), cmap="viridis", **style
        )
        figure.colorbar(shown, ax=ax, shrink=0.6, label=str(color_by.name or ""))
        return
    words = color_by.astype(object).where(color_by.notna(), "not called").astype(str)
    for i, name in enumerate(sorted(words.unique(), key=lambda w: (w == "not called", w))):
        inside = (words == name).to_numpy()
        color = "0.75" if name == "not called" else PALETTE[i % len(PALETTE)]
        label = f"{name} ({inside.sum()})"
        ax.scatter(*points[inside].T, color=color, label=label, **style)
    legend = figure.legend(
        loc="outside upper center", ncols=4, markerscale=2, handletextpad=0.1, columnspacing=1
    )
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)


def _arrows(ax: Axes, arrows: Array, names: Sequence[str], markers: Sequence[str]) -> None:
    """Arrows, with their names in a column on either side, each tied to its arrow."""
    for side in (-1, 1):
        rows = np.flatnonzero((arrows[:, 0] >= 0) == (side > 0)).tolist()
        heights = _apart(arrows[rows, 1], _APART_SD, _BOX_SD)
        for i, height in zip(rows, heights, strict=True):
            is_marker = names[i] in markers
            color, dashes = ("black", "-") if is_marker else (PALETTE[5], (0, (3, 1.5)))
            x, y = arrows[i]
            ax.plot([0, x], [0, y], color=color, lw=0.9, ls=dashes, zorder=4)
            ax.plot(x, y, "o", ms=2.4, color=color, zorder=4)
            column = side * _BOX_SD
            ax.plot([x, column], [y, height], color=color, lw=0.3, alpha=0.6, zorder=3)
            ax.text(
                column + 0.06 * side,
                height,
                readable(names[i]),
                color=color,
                fontsize=6.5,
                fontweight="bold" if is_marker else "normal",
                ha="left" if side > 0 else "right",
                va="center",
                zorder=5,
            )


def _apart(height: Array, least: float, limit: float) -> Array:
    """Heights moved up and down until neighbors are `least` apart, within +-limit if they fit."""
    order = np.argsort(height)
    placed = height[order].astype(np.float64)
    least = min(least, 2 * limit / max(len(height) - 1, 1))
    for _ in range(300):
        short = np.maximum(least - np.diff(placed), 0) / 2
        placed[:-1] -= short
        placed[1:] += short
        placed = np.clip(placed, -limit, limit)
    moved = np.empty_like(placed)
    moved[order] = placed
    return moved


def explained_figure(table: pd.DataFrame, *, cells: int) -> Figure:
    """Share of the variance that each component explains, with intervals.

    Parameters
    ----------
    table : DataFrame
        component, explained, low, high, cumulative.
    cells : int
        From which it comes.
    """
    with house_style():
        figure = new_figure(3.5, 2.3)
        ax = figure.add_subplot()
        x = table["component"].to_numpy()
        share = 100 * table[["explained", "low", "high"]].to_numpy(float)
        ax.bar(x, share[:, 0], color=PALETTE[0], alpha=0.8, width=0.7)
        ax.vlines(x, share[:, 1], share[:, 2], color="0.2", lw=0.9)
        ax.plot(x, 100 * table["cumulative"], "o-", color=PALETTE[5], ms=2.5, lw=0.9, label="sum")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_xlabel(f"component ({cells} cells; bars: 95 % intervals)")
        ax.set_ylabel("variance explained (%)")
        ax.set_ylim(0, 103)
        ax.legend(loc="center right")
    return figure


def correlation_figure(table: pd.DataFrame) -> Figure:
    """Correlations of one set of variables with another; bold where sure after Holm.

    Parameters
    ----------
    table : DataFrame
        x, y, r, p_holm, n (cells), groups (0: cells are independent): one row a pair.
    """
    rows, columns = list(dict.fromkeys(table["x"])), list(dict.fromkeys(table["y"]))
    wide = table.pivot(index="x", columns="y", values="r").loc[rows, columns].to_numpy(float)
    sure = table.pivot(index="x", columns="y", values="p_holm").loc[rows, columns].to_numpy(float)
    with house_style():
        figure = new_figure(max(3.0, 1.5 + 0.42 * len(columns)), 1.25 + 0.23 * len(rows))
        ax = figure.add_subplot()
        shown = ax.imshow(wide, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
        for i, j in np.ndindex(wide.shape):
            if np.isfinite(wide[i, j]):
                ax.text(
                    j,
                    i,
                    f"{wide[i, j]:.2f}".replace("0.", ".", 1).replace("-.00", ".00"),
                    ha="center",
                    va="center",
                    color="white" if abs(wide[i, j]) > 0.65 else "black",
                    fontsize=6.5,
                    fontweight="bold" if sure[i, j] < 0.05 else "normal",
                )
        ax.set_xticks(range(len(columns)), [readable(c) for c in columns], rotation=40, ha="right")
        ax.set_yticks(range(len(rows)), [readable(r) for r in rows])
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        words = f"{table['n'].max()} cells"
        if (groups := int(table["groups"].max())) > 0:
            words += f" of {groups} groups"
        ax.set_title(words)
        label = "r (bold:\np < 0.05, Holm)" if len(rows) < 6 else "r (bold: p < 0.05, Holm)"
        figure.colorbar(shown, ax=ax, label=label, pad=0.02)
    return figure
