"""Images of registered data sets whose cells are outlined or followed."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from .download import fetch

__all__ = ["FollowedMovie", "LabelledFiles", "standard_labels", "standard_movie"]


class LabelledFiles(NamedTuple):
    """An image and the image of its cells' labels; `group` is what a split keeps together."""

    image: Path
    labels: Path
    group: str


class FollowedMovie(NamedTuple):
    """Frames in order, and images of ids that stay with a cell, one for each frame."""

    frames: tuple[Path, ...]
    tracks: tuple[Path, ...]


def standard_labels(name: str) -> list[LabelledFiles]:
    """Images of a registered data set with every cell outlined; fetches the set where needed.

    ``usiigaci``: 14 phase-contrast frames of 1022 x 1024, outlined by hand, each a group of its
    own (``set02`` ... ``set41``). A few cells are in several pieces. The pixel size is unknown.

    Raises
    ------
    InputError
        The name is not registered, or the set has no outlines.
    """
    folder = _usiigaci(name, "outlined cells")
    return [
        LabelledFiles(part / "raw.tif", part / "instances.png", part.name)
        for part in sorted((folder / "train").iterdir())
        if part.is_dir()
    ]


def standard_movie(name: str) -> FollowedMovie:
    """Frames and tracks of a registered data set; fetches the set where needed.

    ``usiigaci``: 18 frames of T98G cells; the tracks are the publisher's tracker's, not made by
    hand. The interval is unknown.

    Raises
    ------
    InputError
        The name is not registered, or the set has no movie.
    """
    folder = _usiigaci(name, "movie") / "movie"
    frames = tuple(sorted(folder.glob("t*.tif")))
    return FollowedMovie(frames, tuple(folder / "tracks" / f"{f.stem}.png" for f in frames))


def _usiigaci(name: str, what: str) -> Path:
    if name != "usiigaci":
        raise InputError(f"no {what} in a data set {name!r}", "there is usiigaci")
    return fetch(name)
