"""Bring a panel's predictions to the stains' units, on validation pairs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..images.image import as_image
from ..statistics import correlation_moments
from .predict_plan import halo_of, stride_of
from .predictor import PredictOptions, Predictor

if TYPE_CHECKING:
    from ..images.fields import Field
    from ..images.pairs import Pairs
    from .panel import Panel

__all__ = ["calibrated"]

_PIXELS = 16_000_000  # more are thinned out evenly, field by field


def calibrated(panel: Panel, pairs: Pairs, device: str = "auto") -> Panel:
    """The panel with its units fitted: least squares of measured on predicted stains.

    Correlation is blind to scale, and a network trained on it predicts amounts that are right but
    for a factor; the mean of several networks varies less than each. The line through the pixels
    of the validation pairs, by weight, brings them to the stain's units. A marker without
    validation pairs, or whose prediction does not rise with the stain, keeps its units. No
    correlation changes.

    Parameters
    ----------
    panel : Panel
    pairs : Pairs
        Of which those of split "validation" are used.
    device : str
        Where to predict; in float32, lest rounding enter the units.
    """
    options = PredictOptions(device=device, precision="float32")
    predictor = Predictor(panel, options, notify=lambda text: None)
    moments = np.zeros((len(panel.names), 6))
    for field in _thinned(pairs.of_split("validation").fields()):
        wide, (y, x) = field.with_context(halo_of(panel), align_px=stride_of(panel))
        image = as_image(wide.read_phase(), "CYX", pixel_size_um=panel.pixel_size_um)
        stains = predictor(image).planes()[:, y, x]  # (M, Y, X)
        for i, marker in enumerate(panel.markers):
            if marker.name in field.stains:
                # above the background: sums of squares lose no digits to a large offset
                measured = field.read_stain(marker.name).astype(np.float64) - marker.offset
                alone = correlation_moments(stains[i] - marker.offset, measured)
                moments[i] += field.weight * alone
    n, sx, sy, sxx, _, sxy = moments.T  # x predicted, y measured
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (n * sxy - sx * sy) / (n * sxx - sx**2)
        intercept = (sy - slope * sx) / n
    fitted = np.isfinite(intercept) & (slope > 0)
    markers = tuple(
        replace(m, offset=m.offset + float(intercept[i]), scale=m.scale * float(slope[i]))
        if fitted[i]
        else m
        for i, m in enumerate(panel.markers)
    )
    return replace(panel, markers=markers)


def _thinned(fields: list[Field]) -> list[Field]:
    pixels = sum(field.shape[0] * field.shape[1] for field in fields)
    return fields[:: max(1, -(-pixels // _PIXELS))]
