"""What one gets without a model: phase grey values, their local spread, the mean stain.

A model that does not beat these has learned nothing about the stain. Each baseline is a straight
line `offset + slope * feature` fitted on training pixels, so that its sign, its plane and its units
are chosen without a look at the test images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ..images.image import Array
from ..statistics import correlation_moments, moments_correlation

if TYPE_CHECKING:
    from ..images.fields import Field

__all__ = ["BASELINES", "Baseline", "default_baselines", "fit_baselines", "local_sd"]


BASELINES = ("phase", "local SD", "mean stain")

_MAX_PIXELS = 16_000_000  # training pixels that a baseline sees: two numbers need no more


@dataclass(frozen=True)
class Baseline:
    """`offset + slope * feature` of one plane of the phase image.

    Attributes
    ----------
    name : str
        One of `BASELINES`.
    plane : int
        Plane of the phase image.
    slope, offset : float
        Of the stain against the feature, on training pixels; slope 0 for the mean stain.
    window_px : int
        Side of the window of the local SD.
    fitted : bool
        False where there was no training split: then only r_s and r_lap mean something.
    """

    name: str
    plane: int
    slope: float
    offset: float
    window_px: int
    fitted: bool

    def predict(self, phase: Array) -> Array:
        """The baseline's stain (Y, X) float64 from a phase image (P, Y, X)."""
        if self.name == "mean stain":
            return np.full(phase.shape[1:], self.offset)
        return self.offset + self.slope * _feature(self.name, phase[self.plane], self.window_px)


def local_sd(plane: Array, window_px: int) -> Array:
    """Standard deviation within a square window around each pixel, (Y, X) float64."""
    x = np.asarray(plane, dtype=np.float64)
    x = x - x.mean()  # differences of squares lose no digits to a large offset
    size = (window_px, window_px)
    mean, square = cv2.blur(x, size), cv2.blur(x * x, size)
    return np.asarray(np.sqrt(np.maximum(square - mean * mean, 0)))


def fit_baselines(
    fields: Sequence[Field], marker: str, *, window_px: int = 15
) -> tuple[Baseline, ...]:
    """Fit the baselines of one marker on training fields.

    The plane is the one whose feature has the largest |r| with the stain over all pixels seen;
    fields are taken evenly spaced until some 16 million pixels are read. All count alike,
    whatever their `weight`.

    Parameters
    ----------
    fields : sequence of Field
        Training fields that have `marker`; at least one.
    marker : str
        Stain to fit.
    window_px : int
        Side of the window of the local SD: about a nucleus at 20x.
    """
    pixels = int(np.prod(fields[0].shape))
    count = int(np.clip(_MAX_PIXELS // max(pixels, 1), 1, len(fields)))
    chosen = [fields[i] for i in np.linspace(0, len(fields) - 1, count).astype(int)]
    moments: dict[str, Array] = {}
    for field in chosen:
        phase, stain = field.read_phase(), field.read_stain(marker)
        for name in BASELINES[:2]:
            rows = [correlation_moments(_feature(name, plane, window_px), stain) for plane in phase]
            moments[name] = moments.get(name, 0) + np.array(rows)  # (P, 6)
    lines = [_best_line(name, moments[name], window_px) for name in BASELINES[:2]]
    n, total = moments["phase"][0][[0, 2]]
    return (*lines, Baseline("mean stain", 0, 0.0, float(total / n), window_px, True))


def default_baselines(planes: int, *, window_px: int = 15) -> tuple[Baseline, ...]:
    """Baselines where nothing can be fitted: middle plane, sign as it is, no mean stain."""
    return tuple(Baseline(name, planes // 2, 1.0, 0.0, window_px, False) for name in BASELINES[:2])


def _feature(name: str, plane: Array, window_px: int) -> Array:
    return local_sd(plane, window_px) if name == "local SD" else plane.astype(np.float64)


def _best_line(name: str, moments: Array, window_px: int) -> Baseline:
    r = np.nan_to_num(moments_correlation(moments))
    plane = int(np.argmax(np.abs(r)))
    n, sx, sy, sxx, _, sxy = moments[plane]
    spread = n * sxx - sx**2
    slope = float((n * sxy - sx * sy) / spread) if r[plane] != 0 else 0.0
    return Baseline(name, plane, slope, float((sy - slope * sx) / n), window_px, True)
