"""Predicted stains as planes of small images, for what classifies them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from ..errors import DataError
from ..images.image import as_image
from .panel import CARD, Panel
from .predict_plan import grid_of, halo_of
from .predictor import PredictOptions, Predictor

__all__ = ["StainPlanes"]

Array = np.ndarray[Any, Any]

_WHOLE_PX = 1024 * 1024
"""An image up to this size is predicted whole; a larger one tile by tile."""


class StainPlanes:
    """Stains of small images by a panel, one image at a time.

    Parameters
    ----------
    panel : Panel
    card : str
        Text of the model's card, which `save` writes again.

    Attributes
    ----------
    names : tuple of str
        Markers.
    context_px : int
        How far from a pixel the networks look.
    fingerprint : str
        SHA-256 of weights, markers and normalization.
    pixel_size_um : float or None
        Of the images that it learned from.
    learned_from : str
        In words.
    taught_groups : frozenset of str
        Groups whose stains it saw in training.
    """

    def __init__(self, panel: Panel, card: str = "") -> None:
        self.panel = panel
        self.names = panel.names
        self.context_px = halo_of(panel)
        self.pixel_size_um = panel.pixel_size_um
        self.fingerprint = _fingerprint(panel)
        data = panel.about.get("data", {})
        groups = data.get("groups", {})
        taught = [group for split in ("train", "validation") for group in groups.get(split, ())]
        self.taught_groups = frozenset(taught)
        self.learned_from = str(data.get("name", "unknown images"))
        self._card = card
        self._predictor = Predictor(panel, PredictOptions(), notify=lambda words: None)
        self._lock = Lock()

    @classmethod
    def load(cls, folder: str | Path) -> StainPlanes:
        """Of a model folder; errors as `Panel.load`."""
        panel = Panel.load(folder)
        card = Path(folder) / CARD
        return cls(panel, card.read_text(encoding="utf-8") if card.is_file() else "")

    def __call__(self, planes: Array, pixel_size_um: float | None = None) -> Array:
        """Predict.

        Parameters
        ----------
        planes : (P, Y, X) array
            Grey values.
        pixel_size_um : float, optional
            Another than the panel's is resampled, and the stains come back on the image's own
            pixels; not known, it is taken to be the panel's.

        Returns
        -------
        (M, Y, X) float32 array
            In the stains' own units.

        Raises
        ------
        DataError
            Other planes than in training.
        InputError
            A pixel size too far from the panel's.
        """
        if len(planes) != self.panel.planes:
            raise DataError(
                f"has {len(planes)} planes, and the model of the stain takes {self.panel.planes}",
                "give the planes that the stain was learned from",
            )
        size = pixel_size_um or self.pixel_size_um
        grid = grid_of(planes.shape[1:], size, self.pixel_size_um)
        if grid.resampled or planes[0].size > _WHOLE_PX:
            with self._lock:  # it makes its engines at the first image
                image = self._predictor(as_image(planes, "CYX", pixel_size_um=size))
            return image.planes().astype(np.float32, copy=False)
        found = self.panel.predict_stack(planes[None])
        return np.stack([found[name][0] for name in self.names])

    def save(self, folder: str | Path) -> None:
        """Write the model into a new folder, as `Panel.save`."""
        self.panel.save(folder, card=self._card)


def _fingerprint(panel: Panel) -> str:
    digest = hashlib.sha256(repr((panel.markers, panel.normalization)).encode())
    for member in panel.members:
        for name, tensor in member.network.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
