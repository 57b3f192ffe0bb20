"""A movie at a few times: the label-free image, and its stains in their colors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from ..errors import InputError
from ..images.image import Array
from .composite import blend, color_legend, marker_colors
from .style import house_style, new_figure, scale_bar

__all__ = ["snapshot_figure"]


def snapshot_figure(
    phase: Array, stains: Mapping[str, Array], *, time_min: Array, pixel_size_um: float
) -> Figure:
    """Frames side by side: label-free above, the composite of all stains below.

    Each image is drawn on the same limits at all times, so that what gets darker is darker.

    Parameters
    ----------
    phase : (N, Y, X) array
    stains : mapping of str to (N, Y, X) array
        By marker.
    time_min : (N,) array
        Minutes.
    pixel_size_um : float
        For the scale bar.

    Raises
    ------
    InputError
        Shapes that do not fit.
    """
    n, height, width = phase.shape
    odd = [name for name, stain in stains.items() if stain.shape != phase.shape]
    if odd or not stains or len(time_min) != n:
        raise InputError(
            f"{n} frames, {len(time_min)} times, {len(stains)} stains"
            + (f", {', '.join(odd)} of another shape" if odd else ""),
            "give (frames, Y, X) images of one shape, and a time for each",
        )
    colors = marker_colors(list(stains))
    limits = {name: tuple(np.percentile(stain, [35, 99.7])) for name, stain in stains.items()}
    black, white = np.percentile(phase, [0.5, 99.5])
    with house_style():
        side = min(7.2 / n, 2.4)
        figure = new_figure(side * n, 2 * side * height / width + 0.5)
        axes = figure.subplots(2, n, squeeze=False)
        for i, (above, below) in enumerate(axes.T):
            above.imshow(phase[i], cmap="gray", vmin=black, vmax=white)
            below.imshow(blend(None, {m: a[i] for m, a in stains.items()}, colors, limits=limits))
            above.set_title(f"{time_min[i] / 60:.3g} h", pad=3)
            above.set_axis_off()
            below.set_axis_off()
        scale_bar(axes[0, 0], width, height, pixel_size_um)
        color_legend(figure, colors, list(stains))
    return figure
