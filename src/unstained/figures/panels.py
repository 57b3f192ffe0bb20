"""Phase, stain, prediction and their difference, side by side for each marker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..errors import InputError
from .style import house_style, new_figure, scale_bar

__all__ = ["StainPanel", "stain_panels"]

Array = np.ndarray[Any, Any]

_LONGEST = 1.5  # height by width; a longer field is shown by its central part, and says so
_MOST_PX = 1200  # a side drawn; more would not be seen at journal width


@dataclass(frozen=True)
class StainPanel:
    """One row: a plane of the phase image, the stain and its prediction, each (Y, X).

    `note` is written over the prediction, as "r_s 0.75".
    """

    marker: str
    phase: Array
    stain: Array
    prediction: Array
    note: str = ""


def stain_panels(panels: Sequence[StainPanel], *, pixel_size_um: float | None = None) -> Figure:
    """Draw one row of four images for each marker.

    Stain and prediction share one grey scale, from the 0.5th to the 99.8th percentile of the
    measured stain; the difference (prediction - stain) is drawn from blue (too dark) to red (too
    bright) over half that range. A scale bar where the pixel size is known, and only there.

    Parameters
    ----------
    panels : sequence of StainPanel
        All of one shape.
    pixel_size_um : float, optional
        Side of a pixel, micrometers.

    Raises
    ------
    InputError
        No panel, or images of different shapes.
    """
    shapes = {a.shape for p in panels for a in (p.phase, p.stain, p.prediction)}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise InputError(f"images of shapes {sorted(shapes)}", "give (Y, X) images of one shape")
    height, width = next(iter(shapes))
    window, shown = _window(height, width)
    ratio = (window[0].stop - window[0].start) / (window[1].stop - window[1].start)
    with house_style():
        cell = 1.68
        figure = new_figure(7.2, 0.25 + len(panels) * (cell * ratio + 0.06), tight=True)
        axes = figure.subplots(len(panels), 4, squeeze=False)
        for row, panel in zip(axes, panels, strict=True):
            _draw(figure, row, panel, window)
        for ax, title in zip(
            axes[0], ("Phase", "Stain", "Prediction", "Prediction - stain"), strict=True
        ):
            ax.set_title(title.replace(" - ", " \u2212 "), pad=3)
        if pixel_size_um is not None:
            y, x = (s.stop - s.start for s in window)
            scale_bar(axes[0, 0], x, y, pixel_size_um)
        if shown:
            figure.supxlabel(shown, fontsize=6.5, color="0.35")
    return figure


def _draw(figure: Figure, row: Sequence[Axes], panel: StainPanel, window: Any) -> None:
    phase, stain, prediction = (
        np.asarray(a, dtype=np.float64)[window]
        for a in (panel.phase, panel.stain, panel.prediction)
    )
    low, high = np.percentile(stain, [0.5, 99.8])
    high = high if high > low else low + 1.0
    half = (high - low) / 2
    grey = Normalize(low, high)
    p_low, p_high = np.percentile(phase, [0.5, 99.5])
    _image(row[0], phase, "gray", Normalize(p_low, p_high if p_high > p_low else p_low + 1))
    _image(row[1], stain, "gray", grey)
    _image(row[2], prediction, "gray", grey)
    _image(row[3], prediction - stain, "RdBu_r", Normalize(-half, half))
    row[0].set_ylabel(panel.marker, fontsize=8, fontweight="bold", labelpad=3)
    if panel.note:
        row[2].text(
            0.03,
            0.97,
            panel.note,
            transform=row[2].transAxes,
            color="white",
            va="top",
            fontsize=6.5,
            bbox={"facecolor": "black", "alpha": 0.55, "edgecolor": "none", "pad": 1.5},
        )
    for axes, norm, cmap in (([row[1], row[2]], grey, "gray"), ([row[3]], None, "RdBu_r")):
        scale = ScalarMappable(norm or Normalize(-half, half), cmap)
        bar = figure.colorbar(
            scale,
            ax=axes[-1],
            fraction=0.05,
            pad=0.02,
            aspect=22,
            ticks=MaxNLocator(nbins=3, steps=[1, 2, 5, 10]),
            format=FuncFormatter(_short),
        )
        bar.outline.set_linewidth(0.4)
        bar.ax.tick_params(labelsize=5, length=1.5, width=0.4, pad=1)


def _short(value: float, _: int | None = None) -> str:
    """40000 as 40k: a number of five digits is wider than the bar it stands beside."""
    sign = "\u2212" if value < 0 else ""
    size = abs(value)
    return f"{sign}{size / 1000:g}k" if size >= 1000 else f"{sign}{size:g}"


def _image(ax: Axes, image: Array, cmap: str, norm: Normalize) -> None:
    step = max(1, int(np.ceil(max(image.shape) / _MOST_PX)))
    height, width = image.shape
    ax.imshow(
        image[::step, ::step],
        cmap=cmap,
        norm=norm,
        extent=(0, width, height, 0),
        interpolation="antialiased",
    )
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)


def _window(height: int, width: int) -> tuple[tuple[slice, slice], str]:
    """The whole field, or the central part of a long one, with the words that say so."""
    y, x = min(height, int(_LONGEST * width)), min(width, int(_LONGEST * height))
    if (y, x) == (height, width):
        return (slice(0, height), slice(0, width)), ""
    y0, x0 = (height - y) // 2, (width - x) // 2
    words = f"central {y} \u00d7 {x} px of {height} \u00d7 {width} px"
    return (slice(y0, y0 + y), slice(x0, x0 + x)), words
