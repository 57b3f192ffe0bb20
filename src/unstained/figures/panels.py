"""Phase, stain, prediction and their difference, side by side for each marker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..errors import InputError
from ..images.image import Array
from .style import house_style, scale_bar, show_grey, show_plane

__all__ = ["StainPanel", "stain_panels"]


_LONGEST = 1.5  # of the sides; of a longer field a part is shown, and the figure says so
_IMAGE_IN, _LEFT_IN, _TOP_IN, _GAP_IN, _BAR_IN = 1.54, 0.2, 0.2, 0.04, 0.38  # inches


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
    bright) over half that range. A scale bar where the pixel size is known, and only there. Of
    a field longer than 1.5 times its width the part with the most measured stain is drawn.

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
    window = _window([p.stain for p in panels])
    y, x = (s.stop - s.start for s in window)
    with house_style():
        row_in = _IMAGE_IN * y / x
        bottom = 0.05 if (y, x) == (height, width) else 0.22
        figure = Figure(figsize=(7.2, _TOP_IN + len(panels) * (row_in + _GAP_IN) + bottom), dpi=200)
        for i, panel in enumerate(panels):
            axes = _row(figure, _TOP_IN + i * (row_in + _GAP_IN), row_in)
            _draw(figure, axes, panel, window)
            if i == 0:
                titles = ("Phase", "Stain", "Prediction", "Prediction \u2212 stain")
                for ax, title in zip(axes, titles, strict=False):
                    ax.set_title(title, pad=3)
                if pixel_size_um is not None:
                    scale_bar(axes[0], x, y, pixel_size_um)
        if (y, x) != (height, width):
            words = f"the {y} \u00d7 {x} px with the most stain, of {height} \u00d7 {width} px"
            figure.text(0.5, 0.01, words, ha="center", fontsize=6.5, color="0.35")
    return figure


def _row(figure: Figure, top_in: float, row_in: float) -> list[Axes]:
    """Axes of phase, stain, prediction, difference, grey bar, difference's bar."""
    wide, high = figure.get_size_inches()
    x = _LEFT_IN + _GAP_IN * np.array([0, 1, 2, 2]) + _IMAGE_IN * np.arange(4)
    x[3] += _BAR_IN
    bars = x[2:] + _IMAGE_IN + _GAP_IN
    y = (high - top_in - row_in) / high
    boxes = [(left, _IMAGE_IN) for left in x] + [(left, 0.06) for left in bars]
    return [figure.add_axes((left / wide, y, w / wide, row_in / high)) for left, w in boxes]


def _draw(
    figure: Figure, axes: Sequence[Axes], panel: StainPanel, window: tuple[slice, slice]
) -> None:
    phase, stain, prediction = (
        np.asarray(a, dtype=np.float64)[window]
        for a in (panel.phase, panel.stain, panel.prediction)
    )
    low, high = np.percentile(stain, [0.5, 99.8])
    high = high if high > low else low + 1.0
    grey, half = Normalize(low, high), (high - low) / 2
    signed = Normalize(-half, half)
    show_grey(axes[0], phase, np.percentile(phase, [0.5, 99.5]))
    show_plane(axes[1], stain, "gray", grey)
    show_plane(axes[2], prediction, "gray", grey)
    show_plane(axes[3], prediction - stain, "RdBu_r", signed)
    axes[0].set_ylabel(panel.marker, fontsize=8, fontweight="bold", labelpad=3)
    if panel.note:
        axes[2].text(
            0.03,
            0.97,
            panel.note,
            transform=axes[2].transAxes,
            color="white",
            va="top",
            fontsize=6.5,
            bbox={"facecolor": "black", "alpha": 0.55, "edgecolor": "none", "pad": 1.5},
        )
    for ax, norm, cmap in ((axes[4], grey, "gray"), (axes[5], signed, "RdBu_r")):
        bar = figure.colorbar(
            ScalarMappable(norm, cmap),
            cax=ax,
            ticks=MaxNLocator(nbins=4, steps=[1, 2, 5, 10]),
            format=FuncFormatter(_short),
        )
        bar.outline.set_linewidth(0.4)
        ax.tick_params(labelsize=5.5, length=1.5, width=0.4, pad=1)


def _short(value: float, _: int | None = None) -> str:
    """40000 as 40k: a number of five digits is wider than the bar it stands beside."""
    sign = "\u2212" if value < 0 else ""
    size = abs(value)
    return f"{sign}{size / 1000:g}k" if size >= 1000 else f"{sign}{size:g}"


def _window(stains: Sequence[Array]) -> tuple[slice, slice]:
    """The whole field; of a long one, the part where the measured stains vary most.

    Each stain counts by its variance about its own mean, as a share of the whole field's.
    """
    height, width = stains[0].shape
    y, x = min(height, int(_LONGEST * width)), min(width, int(_LONGEST * height))
    if (y, x) == (height, width):
        return slice(0, height), slice(0, width)
    along = np.zeros(max(height, width))
    for stain in stains:
        square = (np.asarray(stain, dtype=np.float64) - np.mean(stain)) ** 2
        along += square.mean(axis=int(height > width)) / (square.mean() or 1.0)
    size = max(y, x)
    start = int(np.argmax(np.convolve(along, np.ones(size), mode="valid")))
    long, short = slice(start, start + size), slice(0, min(height, width))
    return (long, short) if height > width else (short, long)
