"""Which real images are shown beside simulated ones, and on what grey scale.

Light, since building the docs needs it too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# of `usiigaci`: large cells, small cells, the movie
SHOWN = ("train/set03/raw.tif", "train/set13/raw.tif", "movie/t09.tif")
BLACK, WHITE = 0.5, 1.7  # times the median of an image


def shown(image: Array) -> Array:
    """A part of 400 x 400 px of an image, (Y, X), as 8 bits."""
    part = image[100:500, 100:500] / np.median(image)
    return np.asarray(np.clip((part - BLACK) / (WHITE - BLACK) * 255, 0, 255), np.uint8)
