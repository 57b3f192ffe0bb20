"""Stains that a model predicts for the images to classify, as further planes of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import InputError
from ..images.image import Array
from .kept import Kept

__all__ = ["STAIN", "Stainer", "Stains", "own_planes"]

STAIN = "stain"
"""Folder of the stain's model in that of a classifier."""

_CACHE_BYTES = 2**30


class Stainer(Protocol):
    """What predicts stains; `staining.StainPlanes` is one.

    Attributes
    ----------
    names : tuple of str
        Markers, in the order of the planes.
    context_px : int
        How far beyond an object a prediction looks.
    fingerprint : str
        Changes with the model.
    pixel_size_um : float or None
        Of the stained images that taught it.
    learned_from : str
        What they are called.
    taught_groups : frozenset of str
        Their groups.
    """

    names: tuple[str, ...]
    context_px: int
    fingerprint: str
    pixel_size_um: float | None
    learned_from: str
    taught_groups: frozenset[str]

    def __call__(self, planes: Array, pixel_size_um: float | None) -> Array:
        """(P, Y, X) grey values to (M, Y, X) stains in their own units, float32."""
        ...

    def save(self, folder: Path) -> None:
        """Write the model into a new folder."""
        ...


class Stains:
    """Which planes a classifier gets: some of the image's own, then the predicted stains.

    Predictions are kept while 1 GB lasts.

    Parameters
    ----------
    stainer : Stainer
        Gets all planes of the image.
    own : sequence of int, optional
        Positions from 0 of the image's own planes that the classifier sees too; all where not
        given, perhaps none.
    """

    def __init__(self, stainer: Stainer, own: Sequence[int] | None = None) -> None:
        self.stainer = stainer
        self.own = None if own is None else tuple(own)
        self._kept = Kept[Array](_CACHE_BYTES, lambda planes: planes.nbytes)

    def planes(
        self, key: Hashable, pixels: Array, inside: tuple[slice, slice], size_um: float | None
    ) -> Array:
        """(P + M, Y, X) float32 planes of the object `key`.

        Parameters
        ----------
        pixels : (P, Y, X) array
            Of the object and what surrounds it.
        inside : (slice, slice)
            Where it lies in them.
        size_um : float or None
            Micrometers per pixel.
        """
        where = (slice(None), *inside)

        def made() -> Array:
            own = pixels if self.own is None else pixels[self._checked(len(pixels))]
            stains = self.stainer(pixels, size_um)
            return np.concatenate([own[where], stains[where]], dtype=np.float32)

        return self._kept.get(key, made)

    def _checked(self, planes: int) -> list[int]:
        beyond = [plane for plane in self.own or () if not 0 <= plane < planes]
        if beyond:
            raise InputError(
                f"plane {beyond[0] + 1} is asked for, and images have {planes}",
                "name some of their planes, counted from 1",
            )
        return list(self.own or ())

    def as_dict(self) -> dict[str, Any]:
        """For a classifier's ``model.json``, and to know a comparison again."""
        return {
            "markers": list(self.stainer.names),
            "own": None if self.own is None else list(self.own),
            "fingerprint": self.stainer.fingerprint,
        }


def own_planes(text: str | None) -> tuple[int, ...] | None:
    """``1,2`` to (0, 1), ``none`` to (), nothing to None: all.

    Raises
    ------
    InputError
        Something else.
    """
    if text is None:
        return None
    parts = [] if text.strip().casefold() == "none" else [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts) or len(set(parts)) < len(
        parts
    ):
        raise InputError(
            f"planes {text!r}", "give their positions from 1, each once (1,2), or none"
        )
    return tuple(int(part) - 1 for part in parts)
