"""Predicted against measured amounts: may the intensity be read as expression?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..errors import InputError
from ..images.image import Array
from ..statistics import linear_fit
from .style import PALETTE, house_style, new_figure

__all__ = ["Amounts", "amount_scatter", "cloud", "thousands"]


_MANY = 3000  # from here on points hide one another: density is drawn


class Amounts(NamedTuple):
    """Measured and predicted amounts, (N,) each, and what they are of ("cell", "block")."""

    measured: Array
    predicted: Array
    unit: str = "block"
    groups: Sequence[str] | None = None
    classes: Sequence[str] | None = None


def amount_scatter(amounts: Mapping[str, Amounts]) -> Figure:
    """Draw predicted against measured amounts, a panel for each marker.

    The dashed line is equality, the full one the least-squares line with its 95 % interval of slope
    (over `groups` where given). Classes, where given, have their own colors.

    Parameters
    ----------
    amounts : mapping of str to Amounts
        By marker.
    """
    if not amounts:
        raise InputError("no amounts to draw", "give one marker at least")
    columns = 2 if len(amounts) == 4 else min(len(amounts), 3)
    rows = -(-len(amounts) // columns)
    with house_style():
        figure = new_figure(2.6 if columns == 1 else 2.4 * columns, 2.5 * rows)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for i, (marker, of_marker) in enumerate(amounts.items()):
            _panel(axes[i], marker, of_marker)
            if i % columns:
                axes[i].set_ylabel("")
        for ax in axes[len(amounts) :]:
            ax.set_visible(False)
    return figure


def _panel(ax: Axes, marker: str, amounts: Amounts) -> None:
    x, y = (np.asarray(a, dtype=np.float64) for a in amounts[:2])
    fit = linear_fit(x, y, groups=amounts.groups)
    factor, scale = thousands(x)
    x, y = x / factor, y / factor
    classes = [] if amounts.classes is None else [c for c in dict.fromkeys(amounts.classes) if c]
    if classes:
        of_class = np.asarray(amounts.classes)
        size = 2.0 if x.size > _MANY / 10 else 5.0
        for j, name in enumerate(classes):
            inside = of_class == name
            color = PALETTE[j % len(PALETTE)]
            ax.scatter(x[inside], y[inside], s=size, c=color, lw=0, alpha=0.6, label=name)
        ax.legend(markerscale=2.5, fontsize=5.5, handletextpad=0.1, loc="lower right", borderpad=0)
    else:
        cloud(ax, x, y)
    ends = np.array([x.min(), x.max()])
    span = [min(x.min(), y.min()), max(x.max(), y.max())]
    ax.set_box_aspect(1)
    ax.plot(span, span, color="0.45", lw=0.8, ls="--")
    if np.isfinite(fit.slope.estimate):
        line = fit.intercept.estimate / factor + fit.slope.estimate * ends
        ax.plot(ends, line, color=PALETTE[5], lw=1.4)
    ax.set_title(marker, fontweight="bold")
    words = f"r = {fit.r:.2f}, {fit.n} {amounts.unit}s\nslope {fit.slope:.2f}"
    ax.text(0.04, 0.97, words, transform=ax.transAxes, va="top", fontsize=6.0)
    what = "total" if amounts.unit == "cell" else "sum"
    ax.set_xlabel(f"measured {what} per {amounts.unit}{scale}")
    ax.set_ylabel(f"predicted{scale}")


def cloud(ax: Axes, x: Array, y: Array) -> None:
    """Points; of many, how many lie where."""
    if x.size >= _MANY:
        ax.hexbin(x, y, gridsize=45, bins="log", mincnt=1, cmap="viridis", lw=0.1)
    else:
        size = 3.0 if x.size > _MANY / 10 else 7.0
        ax.scatter(x, y, s=size, color=PALETTE[0], lw=0, alpha=0.45)


def thousands(x: Array) -> tuple[float, str]:
    """Power of 1000 that brings the largest value to 1 ... 1000, and how an axis tells it."""
    largest = float(np.abs(x).max()) if x.size else 0.0
    power = int(3 * (np.log10(largest) // 3)) if largest >= 1000 else 0
    return 10.0**power, f" ($10^{{{power}}}$)" if power else ""
