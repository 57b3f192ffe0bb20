"""How cells differ: histograms of each marker, and the heatmap between two trees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from ..errors import InputError
from ..images.image import Array
from .style import PALETTE, house_style, new_figure

__all__ = ["Heatmap", "cluster_heatmap", "distribution_figure"]


_COLORBAR = {"log2": "log$_2$ fold change", "fold": "fold change", "z": "SD from the mean"}


class Heatmap(NamedTuple):
    """What `cluster_heatmap` draws; N cells, K variables.

    Attributes
    ----------
    values : (N, K) float array
    names : sequence of str
        Of the variables.
    cell_tree, variable_tree : (N - 1, 4) and (K - 1, 4) float arrays
        SciPy's linkage matrices; that of variables is empty for one.
    cluster : (N,) int array
        From 1 on.
    """

    values: Array
    names: Sequence[str]
    cell_tree: Array
    variable_tree: Array
    cluster: Array


def distribution_figure(values: Mapping[str, Array], table: pd.DataFrame) -> Figure:
    """Histograms of the totals relative to their mean, one panel a marker, on one scale.

    Parameters
    ----------
    values : mapping of str to (N,) array
        Totals by marker; NaN is left out.
    table : DataFrame
        marker, sd_percent, low, high.
    """
    if not values:
        raise InputError("no marker to draw", "give one at least")
    stated = table.set_index("marker")
    relative = {name: v[np.isfinite(v)] / np.nanmean(v) for name, v in values.items()}
    everything = np.concatenate(list(relative.values()))
    low, high = (
        min(0.0, float(np.quantile(everything, 0.002))),
        float(np.quantile(everything, 0.998)),
    )
    n = min(v.size for v in relative.values())
    edges = np.linspace(low, high, int(np.clip(2 * n ** (1 / 3) * 1.5, 8, 40)) + 1)
    columns = min(len(values), 4)
    rows = -(-len(values) // columns)
    with house_style():
        figure = new_figure(max(2.4, 1.8 * columns), 1.45 * rows + 0.25)
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for i, (ax, (name, v)) in enumerate(zip(axes.ravel(), relative.items(), strict=False)):
            # what lies beyond the edges counts in the last bars
            share = np.histogram(np.clip(v, low, high), edges)[0] / v.size
            ax.stairs(100 * share, edges, fill=True, color=PALETTE[0], alpha=0.8)
            ax.axvline(1, color="0.25", lw=0.7, ls="--")
            row = stated.loc[name]
            words = f"SD {row['sd_percent']:.0f} %"
            if np.isfinite(row["low"]):
                words += f"\n[{row['low']:.0f}, {row['high']:.0f}]"
            words += f"\nn = {v.size}"
            ax.text(0.98, 0.95, words, transform=ax.transAxes, ha="right", va="top")
            ax.set_title(f"{name}", fontweight="bold", pad=2)
            if i % columns == 0:
                ax.set_ylabel("cells (%)")
        for ax in axes.ravel()[len(values) :]:
            ax.set_visible(False)
            above = axes[rows - 2, list(axes[rows - 1]).index(ax)]
            above.tick_params(labelbottom=True)
        figure.supxlabel("total intensity / mean", fontsize=7.5)
    return figure


def cluster_heatmap(drawn: Heatmap, *, markers: Sequence[str] = (), scale: str = "log2") -> Figure:
    """Variables in rows, cells in columns, a tree for each; markers' names in bold.

    Parameters
    ----------
    drawn : Heatmap
    markers : sequence of str
        Which of the names are markers.
    scale : {"log2", "fold", "z"}
        What the values are: colors are centered on 0, or on 1 for ``fold``.
    """
    from scipy.cluster.hierarchy import dendrogram, leaves_list
    from seaborn import heatmap

    n, k = drawn.values.shape
    if len(drawn.names) != k or len(drawn.cluster) != n:
        raise InputError(
            f"values {drawn.values.shape}, {len(drawn.names)} names", "give (N, K) and K names"
        )
    across = leaves_list(drawn.cell_tree)
    down = leaves_list(drawn.variable_tree) if k > 1 else np.zeros(1, int)
    picture = drawn.values[across][:, down].T  # (N, K) -> (K, N)
    middle = 1.0 if scale == "fold" else 0.0
    reach = max(float(np.quantile(np.abs(picture - middle), 0.98)), 1e-6)
    with house_style():
        figure = new_figure(7.2, 1.35 + 0.165 * max(k, 4))
        grid = figure.add_gridspec(
            3, 3, width_ratios=(0.1, 0.86, 0.018), height_ratios=(0.75, 0.1, 0.165 * max(k, 4))
        )
        middle_ax = figure.add_subplot(grid[2, 1])
        names = [str(drawn.names[i]) for i in down.tolist()]
        bar_ax = figure.add_subplot(grid[0, 2])
        heatmap(
            picture,
            ax=middle_ax,
            cbar_ax=bar_ax,
            cbar_kws={"extend": "both"},
            cmap="RdBu_r",
            vmin=middle - reach,
            vmax=middle + reach,
            xticklabels=False,
            yticklabels=[readable(name) for name in names],
            rasterized=True,  # thousands of cells are too many shapes for an SVG
        )
        middle_ax.yaxis.tick_right()
        for label, name in zip(middle_ax.get_yticklabels(), names, strict=True):
            label.set(fontweight="bold" if name in markers else "normal", rotation=0)
        middle_ax.tick_params(axis="y", length=0, pad=2)
        middle_ax.set_xlabel(f"{n} cells")
        bar_ax.set_ylabel(_COLORBAR.get(scale, scale), fontsize=6.5)
        _tree(
            figure.add_subplot(grid[0, 1]),
            dendrogram(drawn.cell_tree, no_plot=True),
            n,
            sideways=False,
        )
        _cluster_bar(figure.add_subplot(grid[1, 1]), np.asarray(drawn.cluster)[across])
        if k > 1:
            tree = dendrogram(drawn.variable_tree, no_plot=True)
            _tree(figure.add_subplot(grid[2, 0]), tree, k, sideways=True)
    return figure


def readable(name: str) -> str:
    """A variable's name for people: ``nucleus_area_um2`` becomes nucleus area."""
    for unit in ("_um2", "_um"):
        name = name.removesuffix(unit)
    return name.replace("_", " ")


def _tree(ax: Axes, tree: Any, n: int, *, sideways: bool) -> None:
    """Branches of a dendrogram whose leaves stand at 0 ... n - 1."""
    lines = []
    for leaf, height in zip(tree["icoord"], tree["dcoord"], strict=True):
        x = (np.asarray(leaf) - 5) / 10
        lines.append(np.column_stack([height, x] if sideways else [x, height]))
    highest = max(float(np.max(tree["dcoord"])), 1e-9)
    ax.add_collection(LineCollection(lines, colors="0.25", linewidths=0.5 if n > 60 else 0.7))
    if sideways:
        ax.set_xlim(1.03 * highest, 0)
        ax.set_ylim(n - 0.5, -0.5)
    else:
        ax.set_xlim(-0.5, n - 0.5)
        ax.set_ylim(0, 1.03 * highest)
    ax.set_axis_off()


def _cluster_bar(ax: Axes, cluster: Array) -> None:
    """A colored strip with the number of each cluster, which lie from left to right."""
    count = int(cluster.max())
    colors = ListedColormap([PALETTE[i % len(PALETTE)] for i in range(count)])
    ax.imshow(
        cluster[None], aspect="auto", cmap=colors, vmin=0.5, vmax=count + 0.5, interpolation="none"
    )
    ax.text(1.005, 0.5, "cluster", transform=ax.transAxes, va="center")
    for number in range(1, count + 1):
        at = np.flatnonzero(cluster == number)
        if at.size > 0.03 * cluster.size:
            ax.text(
                at.mean(), 0, f"{number}", ha="center", va="center", fontsize=6, fontweight="bold"
            )
    ax.set_axis_off()
