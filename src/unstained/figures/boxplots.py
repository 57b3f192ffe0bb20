"""Scores of models on markers: boxes, every pair outside them, stars between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..errors import InputError
from .style import PALETTE, house_style, legend_above, new_figure

__all__ = ["score_boxplots"]

_FEW = 8  # below, quartiles say less than the values themselves: all are drawn
_NO_BOX = 5  # below, there is no box but a line at the median


def score_boxplots(
    scores: pd.DataFrame,
    comparisons: pd.DataFrame | None = None,
    *,
    label: str = "r$_s$",
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Draw a box for each marker and model.

    Box: quartiles with the median; whiskers to the last value within 1.5 times the box;
    everything beyond is drawn as a point. Fewer than eight values are all drawn as points, fewer
    than five without a box. Comparisons that are not significant are not drawn.

    Parameters
    ----------
    scores : DataFrame
        marker, model, value: one row a pair. NaN is left out.
    comparisons : DataFrame, optional
        marker, model_a, model_b, stars, as `staining.compare.compare_models` gives.
    label : str
        Of the value axis.
    limits : (low, high), optional
        Of the value axis; from the data where not given.
    """
    scores = scores[np.isfinite(scores["value"].to_numpy(float))]
    if not len(scores):
        raise InputError("no finite score to draw", "give rows of marker, model, value")
    markers = list(dict.fromkeys(scores["marker"]))
    models = list(dict.fromkeys(scores["model"]))
    with house_style():
        width = max(3.5, min(7.2, 0.9 + 0.32 * len(markers) * (len(models) + 1)))
        figure = new_figure(width, 2.8)
        ax = figure.add_subplot()
        position = {
            (marker, model): i + (j - (len(models) - 1) / 2) * 0.8 / len(models)
            for i, marker in enumerate(markers)
            for j, model in enumerate(models)
        }
        for j, model in enumerate(models):
            _boxes(ax, scores, markers, model, position, PALETTE[j % len(PALETTE)], len(models))
        if comparisons is not None:
            _brackets(ax, scores, comparisons, position)
        if scores["value"].min() < 0:
            ax.axhline(0, color="0.6", lw=0.6, zorder=0)
        ax.set_xticks(range(len(markers)), [_counted(scores, marker) for marker in markers])
        ax.set_xlim(-0.6, len(markers) - 0.4)
        ax.tick_params(axis="x", length=0)
        ax.set_ylabel(label)
        if limits is not None:
            ax.set_ylim(*limits)
        handles = [
            Patch(facecolor=PALETTE[j % len(PALETTE)], alpha=0.75, label=model)
            for j, model in enumerate(models)
        ]
        if len(models) > 1:
            legend_above(figure, handles, 5)
    return figure


def _boxes(
    ax: Axes,
    scores: pd.DataFrame,
    markers: list[str],
    model: str,
    position: dict[tuple[str, str], float],
    color: str,
    n_models: int,
) -> None:
    of_model = scores[scores["model"] == model]
    for marker in markers:
        values = of_model.loc[of_model["marker"] == marker, "value"].to_numpy(float)
        if not values.size:
            continue
        x = position[marker, model]
        if values.size < _FEW:
            face = "white" if values.size >= _NO_BOX else color
            ax.plot(
                np.full(values.size, x), values, "o", ms=3, mfc=face, mec="0.2", mew=0.5, zorder=4
            )
        if values.size < _NO_BOX:
            half = 0.31 / n_models
            ax.plot([x - half, x + half], [np.median(values)] * 2, color="black", lw=1.1, zorder=3)
            continue
        line: dict[str, Any] = {"color": "0.2", "lw": 0.7}
        ax.boxplot(
            [values],
            positions=[x],
            widths=0.62 / n_models,
            patch_artist=True,
            manage_ticks=False,
            boxprops={"facecolor": color, "alpha": 0.75, "edgecolor": "0.2", "linewidth": 0.7},
            medianprops={"color": "black", "lw": 1.1},
            whiskerprops=line,
            capprops=line,
            showfliers=values.size >= _FEW,
            flierprops={
                "marker": "o",
                "ms": 2.2,
                "mfc": color,
                "mec": "0.2",
                "mew": 0.3,
            },
        )


def _brackets(
    ax: Axes,
    scores: pd.DataFrame,
    comparisons: pd.DataFrame,
    position: dict[tuple[str, str], float],
) -> None:
    """A bracket with stars over each significant comparison, short ones lowest."""
    low, high = float(scores["value"].min()), float(scores["value"].max())
    step = 0.075 * (high - low or 1.0)
    floor = (scores.groupby("marker")["value"].max() + 0.6 * step).to_dict()
    drawn = comparisons[comparisons["stars"].str.startswith("*")]
    spans = [
        (abs(position[m, a] - position[m, b]), m, a, b, text)
        for m, a, b, text in drawn[["marker", "model_a", "model_b", "stars"]].itertuples(
            index=False, name=None
        )
        if (m, a) in position and (m, b) in position
    ]
    for _, marker, a, b, text in sorted(spans):
        left, right = sorted((position[marker, a], position[marker, b]))
        y = floor[marker]
        ax.plot([left, left, right, right], [y, y + step / 4, y + step / 4, y], color="0.2", lw=0.6)
        ax.text((left + right) / 2, y + step / 8, text, ha="center", va="bottom", fontsize=6.5)
        floor[marker] = y + 1.25 * step


def _counted(scores: pd.DataFrame, marker: str) -> str:
    """Marker with its number of pairs; a range where models differ."""
    n = scores[scores["marker"] == marker].groupby("model").size()
    count = f"{n.min()}" if n.min() == n.max() else f"{n.min()}-{n.max()}"
    return f"{marker}\n(n = {count})"
