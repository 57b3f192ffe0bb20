"""The look that all figures share: sizes of a journal page, colors that everyone can tell apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ..errors import InputError
from ..images.atomic import atomic_path
from ..images.image import Array

__all__ = [
    "PALETTE",
    "colors_of",
    "house_style",
    "legend_above",
    "need_columns",
    "new_figure",
    "nice_length",
    "save_figure",
    "scale_bar",
    "show_grey",
    "show_plane",
]

# Okabe, Ito (2008), Color Universal Design: told apart with any color vision
PALETTE = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#999999",
    "#F0E442",
    "#000000",
)

_MOST_PX = 1200  # a side drawn; more would not be seen at journal width

_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 7.0,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Within this context artists are made in the house style; settings come back afterwards."""
    with mpl.rc_context(_STYLE):
        yield


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty figure, inches; 3.5 is one column of a journal page, 7.2 its full width."""
    return Figure(figsize=(width_in, height_in), dpi=200, layout="constrained")


def legend_above(figure: Figure, of: Axes | Sequence[Any], most: int | None = None) -> None:
    """A legend over all panels: rows even, at most `most` entries wide, and none off the sides.

    `of` is an axes whose labelled artists are its entries, or their handles.
    """
    handles = of.get_legend_handles_labels()[0] if isinstance(of, Axes) else of
    rows = 1 if most is None else -(-len(handles) // most)
    for columns in range(-(-len(handles) // rows), 0, -1):
        legend = figure.legend(handles=handles, loc="outside upper center", ncols=columns)
        if legend.get_window_extent().width <= figure.bbox.width or columns == 1:
            return
        legend.remove()


def save_figure(figure: Figure, path: str | PathLike[str], *, dpi: int = 200) -> Path:
    """Write PNG, SVG or PDF, by the suffix of `path`, under its final name in one step."""
    target = Path(path)
    with house_style(), atomic_path(target) as part:
        figure.savefig(part, dpi=dpi, format=target.suffix.lstrip(".") or "png")
    return target


def need_columns(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse a table that lacks columns to draw."""
    absent = [name for name in columns if name not in table]
    if absent:
        raise InputError(
            f"no column {', '.join(absent)} among {', '.join(map(str, table.columns))}",
            f"give {', '.join(columns)}",
        )


def colors_of(names: Iterable[Any]) -> dict[str, str]:
    """A color of `PALETTE` for each name, in its order."""
    return {str(name): PALETTE[j % len(PALETTE)] for j, name in enumerate(names)}


def show_plane(ax: Axes, image: Array, cmap: str, norm: Normalize) -> None:
    """Draw a (Y, X) image in pixel coordinates, thinned to what can be seen, without a frame."""
    height, width = image.shape
    step = max(1, int(np.ceil(max(image.shape) / _MOST_PX)))
    ax.imshow(
        image[::step, ::step],
        cmap=cmap,
        norm=norm,
        extent=(0, width, height, 0),
        interpolation="antialiased",
    )
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


def show_grey(ax: Axes, image: Array, limits: npt.ArrayLike) -> None:
    """`show_plane` in grey; limits are the values drawn black and white."""
    low, high = (float(value) for value in np.asarray(limits))
    norm = Normalize(low, high if high > low else low + 1)
    show_plane(ax, np.asarray(image, dtype=np.float64), "gray", norm)


def nice_length(most: float) -> float:
    """The largest of 1, 2, 5 x 10^k that is not above `most`."""
    power = 10.0 ** np.floor(np.log10(most))
    return float(max(step * power for step in (1, 2, 5) if step * power <= most * (1 + 1e-9)))


def scale_bar(ax: Axes, width_px: int, height_px: int, pixel_size_um: float) -> float:
    """Draw a bar of a round length, at most a quarter of the width; its length in micrometers."""
    length_um = nice_length(width_px * pixel_size_um / 4)
    length_px = length_um / pixel_size_um
    margin = 0.05 * min(width_px, height_px)
    x1, y = width_px - margin, height_px - margin
    text = f"{length_um:g} µm" if length_um < 1000 else f"{length_um / 1000:g} mm"
    halo = {"facecolor": "black", "alpha": 0.55, "edgecolor": "none", "pad": 1.5}
    ax.plot([x1 - length_px, x1], [y, y], color="white", lw=2.2, solid_capstyle="butt")
    ax.text(
        x1 - length_px / 2,
        y - 0.6 * margin,
        text,
        color="white",
        ha="center",
        va="bottom",
        fontsize=6.5,
        bbox=halo,
    )
    return length_um
