"""How a classifier of colonies was trained: its patches, losses, pseudo-labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

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
    "class_patches",
    "class_shares",
    "colony_with_patches",
    "loss_curves",
    "sampling_weights",
]


def loss_curves(history: pd.DataFrame) -> Figure:
    """Losses of teacher and student over epochs, and the macro recall that chooses the weights.

    Parameters
    ----------
    history : DataFrame
        epoch, student_loss, teacher_loss and, if it was computed, validation; NaN is left out,
        as the student's during the teacher's pre-training.
    """
    need_columns(history, ["epoch", "student_loss", "teacher_loss"])
    scored = "validation" in history and bool(history["validation"].notna().any())
    with house_style():
        figure = new_figure(3.5, 3.4 if scored else 2.3)
        axes = figure.subplots(2 if scored else 1, 1, sharex=True, squeeze=False)[:, 0]
        for j, who in enumerate(("teacher", "student")):
            rows = history[history[f"{who}_loss"].notna()].sort_values("epoch")
            if rows.empty:  # an averaged teacher has none
                continue
            axes[0].plot(rows["epoch"], rows[f"{who}_loss"], color=PALETTE[j], lw=1.2, label=who)
        axes[0].set_ylim(bottom=min(0.0, *history[["student_loss", "teacher_loss"]].min()))
        axes[0].set_ylabel("loss")
        axes[0].legend()
        if scored:
            rows = history[history["validation"].notna()].sort_values("epoch")
            best = rows.iloc[int(rows["validation"].argmax())]
            axes[1].plot(rows["epoch"], rows["validation"], color=PALETTE[2], lw=1.2)
            axes[1].plot(
                best["epoch"], best["validation"], "o", ms=4, mfc="white", mec=PALETTE[2], mew=1
            )
            axes[1].set_ylabel("validation macro recall")
        axes[-1].set_xlabel("epoch")
    return figure


def class_patches(
    patches: Mapping[str, Sequence[Array]], *, scales: Sequence[str] | None = None
) -> Figure:
    """Patches of each class, one row a class.

    Parameters
    ----------
    patches : mapping of str to sequence of (Y, X) arrays
        For each class the same number of patches; one at each scale, or several examples. All
        are drawn at one size, each row in one grey scale (0.5th to 99.5th percentile).
    scales : sequence of str, optional
        Titles of the columns, such as "224 px".
    """
    numbers = {len(row) for row in patches.values()}
    if len(numbers) != 1 or 0 in numbers:
        raise InputError(
            f"{sorted(numbers)} patches a class", "give every class the same number, at least 1"
        )
    columns = numbers.pop()
    if scales is not None and len(scales) != columns:
        raise InputError(f"{len(scales)} titles for {columns} columns", "give one for each")
    with house_style():
        side = min(1.3, 6.6 / columns)
        figure = new_figure(side * columns + 0.4, side * len(patches) + 0.2)
        figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
        axes = figure.subplots(len(patches), columns, squeeze=False)
        for row, (name, images) in zip(axes, patches.items(), strict=True):
            grey = np.concatenate([np.asarray(image, dtype=np.float64).ravel() for image in images])
            limits = np.percentile(grey, [0.5, 99.5])
            for ax, image in zip(row, images, strict=True):
                show_grey(ax, image, limits)
            row[0].set_ylabel(name)
        for ax, title in zip(axes[0], scales or (), strict=False):
            ax.set_title(title, pad=3)
    return figure


def colony_with_patches(
    image: Array,
    mask: Array,
    boxes: Sequence[tuple[float, float, float, float]],
    *,
    labels: Sequence[str] | None = None,
) -> Figure:
    """A colony with the outline of its mask and the patches drawn from it.

    Parameters
    ----------
    image, mask : (Y, X) arrays
        The mask is nonzero inside the colony.
    boxes : sequence of (y0, x0, y1, x1)
        Patches in pixels of the image, the last two just outside.
    labels : sequence of str, optional
        What each patch was predicted to be: gives the boxes their color, and a legend.
    """
    inside = np.asarray(mask) != 0
    if image.shape != inside.shape or image.ndim != 2:
        raise InputError(f"image {image.shape}, mask {inside.shape}", "give two (Y, X) arrays")
    names = [""] * len(boxes) if labels is None else list(labels)
    if len(names) != len(boxes):
        raise InputError(f"{len(names)} labels for {len(boxes)} boxes", "give one for each")
    height, width = image.shape
    with house_style():
        wide = 3.5
        figure = new_figure(wide, wide * height / width + (0.3 if labels is not None else 0))
        ax = figure.add_subplot()
        show_grey(ax, image, np.percentile(image, [0.5, 99.5]))
        if inside.any() and not inside.all():
            # pixel centers lie at .5 in the extent of the image
            ax.contour(
                np.arange(width) + 0.5,
                np.arange(height) + 0.5,
                inside.astype(float),
                levels=[0.5],
                colors="white",
                linewidths=0.9,
            )
        colors = colors_of(dict.fromkeys(names))
        for (y0, x0, y1, x1), name in zip(boxes, names, strict=True):
            ax.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ec=colors[name], lw=1.2))
        # boxes may stick out where a patch is padded
        ax.set_xlim(min([0.0, *(b[1] for b in boxes)]), max([width, *(b[3] for b in boxes)]))
        ax.set_ylim(max([height, *(b[2] for b in boxes)]), min([0.0, *(b[0] for b in boxes)]))
        if labels is not None and boxes:
            handles = [
                Rectangle((0, 0), 1, 1, fill=False, ec=color, lw=1.2, label=name)
                for name, color in colors.items()
            ]
            legend_above(figure, handles, 4)
    return figure


def class_shares(table: pd.DataFrame, *, true: Mapping[str, float] | None = None) -> Figure:
    """Share of each class among the pseudo-labels over epochs, true shares dashed.

    Parameters
    ----------
    table : DataFrame
        epoch, class, share.
    true : mapping of str to float, optional
        Share of each class among the true labels, where they are known.
    """
    figure = _lines(table, "share", "share of the pseudo-labels", true)
    figure.axes[0].set_ylim(bottom=0)
    return figure


def sampling_weights(table: pd.DataFrame) -> Figure:
    """Sampling weight of each class over epochs, on a log scale; 1 is an even share of draws.

    Parameters
    ----------
    table : DataFrame
        epoch, class, weight. Weights are positive; NaN and 0 (a class without pseudo-labels)
        are left out.
    """
    used = table[table["weight"] > 0] if "weight" in table else table
    figure = _lines(used, "weight", "sampling weight", None)
    ax = figure.axes[0]
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.axhline(1, color="0.6", lw=0.6, zorder=0)
    return figure


def _lines(
    table: pd.DataFrame, column: str, label: str, levels: Mapping[str, float] | None
) -> Figure:
    need_columns(table, ["epoch", "class", column])
    names = list(dict.fromkeys([*table["class"].astype(str), *(levels or {})]))
    if not names:
        raise InputError(f"no {column} to draw", f"give rows of epoch, class, {column}")
    colors = colors_of(names)
    with house_style():
        figure = new_figure(3.5, 2.5)
        ax = figure.add_subplot()
        for name, color in colors.items():
            rows = table[table["class"].astype(str) == name].sort_values("epoch")
            ax.plot(rows["epoch"], rows[column], color=color, lw=1.2, label=name)
            if levels is not None and name in levels:
                ax.axhline(levels[name], color=color, lw=0.8, ls="--")
        ax.set_xlabel("epoch")
        ax.set_ylabel(label)
        if levels is not None:
            ax.plot([], [], color="0.3", lw=0.8, ls="--", label="true")
        legend_above(figure, ax, 4)
    return figure
