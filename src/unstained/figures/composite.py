"""All markers in their colors over the phase image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import is_color_like, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..errors import InputError
from ..images.image import Array
from .style import house_style, new_figure, scale_bar

__all__ = ["blend", "color_legend", "composite_figure", "marker_colors"]


# told apart on grey; blue for nuclei as everyone expects it, lightened to be seen
_COLORS = ("00FF00", "FF00FF", "00FFFF", "FFFF00", "FF8000", "FF4040", "B0FF60", "FFFFFF")
_PHASE_WEIGHT = 0.45  # brightness of the phase image, 0 ... 1
_NUCLEAR = ("DAPI", "HOECHST", "DNA", "DRAQ5", "H2B")


def marker_colors(markers: Sequence[str]) -> dict[str, str]:
    """A hex color (RRGGBB) for each marker: blue for a nuclear one, the rest in a fixed order."""
    free = iter(_COLORS * (1 + len(markers) // len(_COLORS)))
    return {
        m: "4060FF" if any(word in m.upper() for word in _NUCLEAR) else next(free) for m in markers
    }


def blend(
    phase: Array | None,
    stains: Mapping[str, Array],
    colors: Mapping[str, str] | None = None,
    *,
    limits: Mapping[str, tuple[float, float]] | None = None,
) -> Array:
    """Mix stains, each in its color, with a grey phase image.

    Stains add up; the grey picture shows through where they are dark:
    ``1 - (1 - 0.45 * phase) * prod(1 - stain * color)`` (screen). A picture for the eye
    only: measure on the stains.

    Parameters
    ----------
    phase : (Y, X) array or None
        One plane; None for black.
    stains : mapping of str to (Y, X) array
        By marker.
    colors : mapping of str to str, optional
        RRGGBB with or without ``#``; `marker_colors` where not given.
    limits : mapping of str to (low, high), optional
        Values drawn black and full; 35th and 99.7th percentile where not given.

    Returns
    -------
    (Y, X, 3) uint8 array

    Raises
    ------
    InputError
        Images of different shapes, none, or a color that is none.
    """
    shapes = {np.shape(a) for a in (*stains.values(), *([] if phase is None else [phase]))}
    if len(shapes) != 1:
        raise InputError(f"images of shapes {sorted(shapes)}", "give (Y, X) images of one shape")
    shape = shapes.pop()
    colors = {**marker_colors(list(stains)), **(colors or {})}
    dark = np.ones((*shape, 3), dtype=np.float32)
    if phase is not None:
        dark *= 1 - _PHASE_WEIGHT * _stretched(phase, *np.percentile(phase, [0.5, 99.5]))[..., None]
    for marker, stain in stains.items():
        low, high = (limits or {}).get(marker) or np.percentile(stain, [35, 99.7])
        rgb = np.array(_rgb(colors[marker]), dtype=np.float32)
        dark *= 1 - _stretched(stain, low, high)[..., None] * rgb
    return np.asarray(np.round(255 * (1 - dark)), dtype=np.uint8)


def _rgb(color: str) -> tuple[float, float, float]:
    if not is_color_like("#" + color.lstrip("#")):
        raise InputError(f"color {color!r}", "give RRGGBB, such as 00FF00")
    return to_rgb("#" + color.lstrip("#"))


def composite_figure(
    phase: Array,
    stains: Mapping[str, Array],
    colors: Mapping[str, str] | None = None,
    *,
    measured: Mapping[str, Array] | None = None,
    pixel_size_um: float | None = None,
) -> Figure:
    """Draw the phase image, the composite of predicted stains and, if given, of measured ones.

    Parameters
    ----------
    phase : (Y, X) array
        One plane.
    stains : mapping of str to (Y, X) array
        Predictions by marker.
    colors : mapping of str to str, optional
        RRGGBB by marker.
    measured : mapping of str to (Y, X) array, optional
        Measured stains of the same markers; both composites are then drawn on their limits.
    pixel_size_um : float, optional
        For the scale bar.
    """
    colors = {**marker_colors(list(stains)), **(colors or {})}
    reference = measured or stains
    limits = {m: tuple(np.percentile(a, [35, 99.7])) for m, a in reference.items()}
    black, white = np.percentile(phase, [0.5, 99.5])
    grey = np.round(255 * _stretched(phase, black, white)).astype(np.uint8)
    pictures = {"Phase": np.repeat(grey[..., None], 3, axis=2)}
    if measured:
        pictures["Measured stains"] = blend(phase, measured, colors, limits=limits)
    pictures["Predicted stains"] = blend(phase, stains, colors, limits=limits)
    height, width = np.shape(phase)
    with house_style():
        # panels of one height, at most 7.2 x 6 inches together
        each = min(7.2 / len(pictures), 6.0 * width / height)
        figure = new_figure(each * len(pictures), each * height / width + 0.42)
        axes = figure.subplots(1, len(pictures), squeeze=False)[0]
        for ax, (title, picture) in zip(axes, pictures.items(), strict=True):
            ax.imshow(picture, interpolation="antialiased")
            ax.set_title(title, pad=3)
            ax.set_axis_off()
        if pixel_size_um is not None:
            scale_bar(axes[0], width, height, pixel_size_um)
        color_legend(figure, colors, list(stains))
    return figure


def color_legend(figure: Figure, colors: Mapping[str, str], markers: Sequence[str]) -> None:
    """The color of each marker, below all panels."""
    patches = [
        Patch(facecolor="#" + colors[m].lstrip("#"), edgecolor="0.3", linewidth=0.4, label=m)
        for m in markers
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=min(len(markers), 8))


def _stretched(image: Array, low: float, high: float) -> Array:
    span = high - low if high > low else 1.0
    stretched = (np.asarray(image, dtype=np.float32) - low) / span
    return np.asarray(np.clip(stretched, 0, 1), dtype=np.float32)
