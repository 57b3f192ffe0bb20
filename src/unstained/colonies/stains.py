"""Stains that a model predicts for the images to classify, as further planes of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..errors import InputError
from ..images.image import Array, Image
from ..images.kept import Kept

__all__ = ["STAIN", "Stained", "Stainer", "Stains", "own_planes"]

STAIN = "stain"
"""Folder of the stain's model in that of a classifier."""

_CACHE_BYTES = 2**30


class Stainer(Protocol):
    """What predicts stains; `staining.StainPlanes` is one.

    Attributes
    ----------
    names : tuple of str
        Markers, in the order of the planes.
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
    fingerprint: str
    pixel_size_um: float | None
    learned_from: str
    taught_groups: frozenset[str]

    def __call__(
        self,
        image: Image,
        window: tuple[slice, slice] | None = None,
        *,
        t: int = 0,
        frame: Hashable = None,
    ) -> Array:
        """(M, Y, X) stains of a frame, or of a window of it, in their own units, float32.

        `frame` names the frame: what is measured once on it need not be measured again.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write the model into a new folder."""
        ...


class Stains:
    """Which planes a classifier gets: some of the image's own, then the predicted stains.

    Predictions are kept while 1 GB lasts; of more than that, some are made again each time that
    an image is drawn.

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
        self._kept = Kept[Array](_CACHE_BYTES, lambda stains: stains.nbytes)

    def planes(self, key: Hashable, own: Array, predict: Callable[[], Array]) -> Array:
        """(P + M, Y, X) float32 planes of an image.

        Parameters
        ----------
        key : hashable
            Its name: it is predicted once.
        own : (P, Y, X) array
            Its own planes.
        predict : callable
            Gives its (M, Y, X) stains.

        Raises
        ------
        InputError
            It has fewer planes than the classifier is to see.
        """
        seen = own if self.own is None else own[self._checked(len(own))]
        stains = self._kept.get(key, predict)
        return np.concatenate([seen, stains], dtype=np.float32)

    def _checked(self, planes: int) -> list[int]:
        beyond = [plane for plane in self.own or () if not 0 <= plane < planes]
        if beyond:
            raise InputError(
                f"plane {beyond[0] + 1} is asked for, and images have {planes}",
                "name some of their planes, counted from 1",
            )
        return list(self.own or ())

    def as_dict(self) -> dict[str, Any]:
        """For a classifier's ``model.json``, and to recognize a comparison."""
        return {
            "markers": list(self.stainer.names),
            "own": None if self.own is None else list(self.own),
            "fingerprint": self.stainer.fingerprint,
        }


@runtime_checkable
class Stained(Protocol):
    """Images that may have predicted stains, as `examples.Examples`."""

    @property
    def stains(self) -> Stains | None: ...


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
    planes = [int(part) for part in parts if part.isdecimal()]
    if len(planes) < len(parts) or 0 in planes or len(set(planes)) < len(planes):
        raise InputError(
            f"planes {text!r}", "give their positions from 1, each once (1,2), or none"
        )
    return tuple(plane - 1 for plane in planes)
