"""Predicted stains as planes of images and of parts of them, for what classifies them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock

import numpy as np
import torch

from ..errors import DataError
from ..images.image import Array, Image
from .normalize import Statistics
from .panel import CARD, Panel
from .predict_plan import grid_of
from .predictor import PredictOptions, Predictor, finite_planes

__all__ = ["StainPlanes"]

_WHOLE_PX = 1024 * 1024
"""A whole image up to this size is predicted as single-cell images are: at once, and faster."""

_FEW_GROUPS = 3


class StainPlanes:
    """Stains of images and of parts of them by a panel, in float32 wherever it runs.

    Parameters
    ----------
    panel : Panel
    card : str
        Text of the model's card, which `save` writes again.

    Attributes
    ----------
    names : tuple of str
        Markers.
    fingerprint : str
        Of the panel.
    pixel_size_um : float or None
        Of the images that it learned from.
    learned_from : str
        In words.
    taught_groups : frozenset of str
        Groups whose stains it saw in training.
    """

    def __init__(self, panel: Panel, card: str | None = None) -> None:
        self.panel = panel
        self.names = panel.names
        self.pixel_size_um = panel.pixel_size_um
        self.fingerprint = panel.fingerprint
        data = panel.about.get("data", {})
        groups = data.get("groups", {})
        taught = [group for split in ("train", "validation") for group in groups.get(split, ())]
        self.taught_groups = frozenset(taught)
        self.learned_from = _learned_from(data.get("name"), taught, panel.about.get("parent"))
        self._card = card
        # a classifier learned from these very numbers: they must not depend on the machine
        self._predictor = Predictor(panel, PredictOptions(device="cpu", precision="float32"))
        self._statistics: dict[Hashable, Statistics] = {}
        self._lock = Lock()

    @classmethod
    def load(cls, folder: str | Path) -> StainPlanes:
        """Load a model folder; errors as for `Panel.load`."""
        panel = Panel.load(folder)
        card = Path(folder) / CARD
        return cls(panel, card.read_text(encoding="utf-8") if card.is_file() else None)

    def __call__(
        self,
        image: Image,
        window: tuple[slice, slice] | None = None,
        *,
        t: int = 0,
        frame: Hashable = None,
    ) -> Array:
        """Predict a frame, or a part of it as the whole frame has it.

        Parameters
        ----------
        image : Image
            Of another pixel size than the panel's it is resampled, and the stains come back on
            its own pixels; where the size is not known, it is taken to be the panel's.
        window : (slice, slice), optional
            Rows and columns.
        t : int
        frame : hashable, optional
            Name of the frame: what it is normalized with is measured once.

        Returns
        -------
        (M, Y, X) float32 array
            In the stains' own units.

        Raises
        ------
        DataError
            Other planes than in training, pixels that are not finite, a constant plane.
        InputError
            A pixel size too far from the panel's.
        """
        if image.n_planes != self.panel.planes:
            raise DataError(
                f"has {image.n_planes} planes, and the model of the stain takes "
                f"{self.panel.planes}",
                "give the planes that the stain was learned from",
            )
        if image.pixel_size_um is None:
            image = replace(image, pixel_size_um=self.pixel_size_um)
        image = self._predictor.checked(image)
        shape = image.shape[3], image.shape[4]
        y, x = window or (slice(0, shape[0]), slice(0, shape[1]))
        resampled = grid_of(shape, image.pixel_size_um, self.pixel_size_um).resampled
        if window is None and not resampled and shape[0] * shape[1] <= _WHOLE_PX:
            return self._at_once(finite_planes(image, t, y, x))
        with self._lock:  # engines are made at the first image
            statistics = self._statistics.get(frame)
            if statistics is None:
                statistics = self._predictor.statistics_of(image, t)
            if frame is not None:
                self._statistics[frame] = statistics
            return self._predictor.window(image, t, y, x, statistics)

    def _at_once(self, planes: Array) -> Array:
        # a classifier reads images within its own autocast
        with torch.autocast("cpu", enabled=False):
            found = self.panel.predict_stack(planes[None])
        return np.stack([found[name][0] for name in self.names])

    def save(self, folder: str | Path) -> None:
        """Write the model into a new folder, as `Panel.save`."""
        self.panel.save(folder, card=self._card)


def _learned_from(name: str | None, groups: Sequence[str], parent: str | None) -> str:
    words = "unknown images" if name is None else str(name)
    if 0 < len(groups) <= _FEW_GROUPS:
        words += f" ({', '.join(groups)})"
    elif groups:
        words += f" ({len(groups)} groups, {groups[0]} for example)"
    return words if parent is None else f"{words}, begun from the model {parent}"
