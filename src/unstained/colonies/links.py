"""Colonies followed over the frames of a movie, with their merges and splits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..errors import InputError
from ..images.image import Array
from ..settings import check_settings

__all__ = [
    "EVENT_COLUMNS",
    "TRACK_COLUMNS",
    "LinkSettings",
    "Linker",
    "Links",
    "link_frames",
    "track_codes",
]


TRACK_COLUMNS = ("track", "first", "last", "parent")
EVENT_COLUMNS = ("frame", "kind", "parents", "children")


def track_codes(track: pd.Series[Any]) -> Array:
    """(N,) int: the same for rows of one track, a code of its own for a row without a track.

    No track is NaN, a blank cell, or 0, as `Links.track_of` has it.
    """
    text = track.astype(object).where(track.notna(), "").astype(str).str.strip()
    codes = pd.factorize(text)[0]
    none = text.isin(["", "0", "0.0"]).to_numpy()
    return np.where(none, len(codes) + np.arange(len(codes)), codes)


@dataclass(frozen=True)
class LinkSettings:
    """When two outlines are the same colony.

    Attributes
    ----------
    min_overlap : float
        Pixels that both cover over the smaller of both areas, above 0 to 1. The smaller one, so
        that a part of a colony that splits, and a small one that merges, are found. The number
        is ours: colonies move by less than their size in an hour.

    Raises
    ------
    InputError
        A share out of range.
    """

    min_overlap: float = 0.3

    def __post_init__(self) -> None:
        check_settings(self, positive=("min_overlap",), shares=("min_overlap",))


class Links(NamedTuple):
    """Colonies over time.

    Attributes
    ----------
    track_of : list of (K + 1,) int arrays
        For each frame the track of each label; 0 where the frame has no such label.
    tracks : table
        `track` from 1 on, `first` and `last` frame, `parent` (0: none), as in the Cell Tracking
        Challenge. A track that comes out of a merge has several parents, for which that format
        has no room: its `parent` is 0, and `events` names them.
    events : table
        `frame` (the first one after it), `kind` ("merge" or "split"), `parents` and `children`:
        tracks, joined by ``;``.
    """

    track_of: list[Array]
    tracks: pd.DataFrame
    events: pd.DataFrame


@dataclass
class _Track:
    first: int
    last: int
    parent: int


@dataclass
class Linker:
    """Takes the frames of one movie in turn and remembers only the last one.

    A colony goes on where it overlaps with one colony of the frame before, and that one with no
    other. Where one overlaps with several (split), or several with one (merge), the tracks end
    and new ones begin. A colony that is missed in a frame comes back as a new track.

    Attributes
    ----------
    settings : LinkSettings
    first_track : int
        Number of the first track, so that those of several movies differ.
    """

    settings: LinkSettings = field(default_factory=LinkSettings)
    first_track: int = 1
    _tracks: dict[int, _Track] = field(default_factory=dict, init=False)
    _events: list[tuple[int, str, str, str]] = field(default_factory=list, init=False)
    _before: tuple[int, Array, Array] | None = field(default=None, init=False)

    def add(self, frame: int, labels_yx: Array) -> Array:
        """The track of each label of the next frame.

        Parameters
        ----------
        frame : int
            Its number, larger than the last one's; some may be left out.
        labels_yx : (Y, X) int array
            0 is background.

        Returns
        -------
        (K + 1,) int array
            K is the largest label; 0 for the background and for labels that are not there.

        Raises
        ------
        InputError
            Frames out of order or of different sizes, or that are no labels.
        """
        labels_yx = np.asarray(labels_yx)
        if labels_yx.ndim != 2 or labels_yx.dtype.kind not in "bui" or labels_yx.min(initial=0) < 0:
            raise InputError(
                f"frame {frame} has shape {labels_yx.shape} and type {labels_yx.dtype}, its least "
                f"label is {labels_yx.min(initial=0)}",
                "give (Y, X) integer labels, 0 and above",
            )
        areas = _areas(labels_yx)
        track_of = np.zeros(areas.size, np.int64)
        linked = np.zeros((1, areas.size), bool)
        tracks_before = np.zeros(1, np.int64)
        if self._before is not None:
            last, labels_before, tracks_before = self._before
            _check(last, frame, labels_before, labels_yx)
            linked = _linked(labels_before, labels_yx, self.settings.min_overlap)
        children, parents = linked.sum(1), linked.sum(0)  # of each label before, of each now
        for label in np.flatnonzero(areas[1:]) + 1:
            before = np.flatnonzero(linked[:, label])
            if before.size == 1 and children[before[0]] == 1:
                track_of[label] = tracks_before[before[0]]
                self._tracks[int(track_of[label])].last = frame
            else:
                parent = int(tracks_before[before[0]]) if before.size == 1 else 0
                track_of[label] = self.first_track + len(self._tracks)
                self._tracks[int(track_of[label])] = _Track(frame, frame, parent)
        for label in np.flatnonzero(children > 1):
            self._event(frame, "split", tracks_before[[label]], track_of[linked[label]])
        for label in np.flatnonzero(parents > 1):
            self._event(frame, "merge", tracks_before[linked[:, label]], track_of[[label]])
        self._before = frame, labels_yx.copy(), track_of
        return track_of

    def tracks(self) -> pd.DataFrame:
        """The table of tracks (see `Links`) so far."""
        rows = [(n, t.first, t.last, t.parent) for n, t in self._tracks.items()]
        return pd.DataFrame(rows, columns=list(TRACK_COLUMNS))

    def events(self) -> pd.DataFrame:
        """The table of events (see `Links`) so far."""
        return pd.DataFrame(self._events, columns=list(EVENT_COLUMNS))

    def _event(self, frame: int, kind: str, parents: Array, children: Array) -> None:
        names = [";".join(map(str, sorted(tracks.tolist()))) for tracks in (parents, children)]
        self._events.append((frame, kind, names[0], names[1]))


def link_frames(labels_per_frame: Iterable[Array], settings: LinkSettings | None = None) -> Links:
    """Follow colonies over the frames of a movie; holds two frames at a time.

    Parameters
    ----------
    labels_per_frame : iterable of (Y, X) int arrays
        0 is background; frames are numbered from 0.
    settings : LinkSettings, optional

    Returns
    -------
    Links

    Raises
    ------
    InputError
        Frames of different sizes, or that are no labels.
    """
    linker = Linker(LinkSettings() if settings is None else settings)
    track_of = [linker.add(frame, labels) for frame, labels in enumerate(labels_per_frame)]
    return Links(track_of, linker.tracks(), linker.events())


def _check(last: int, frame: int, before: Array, now: Array) -> None:
    if frame <= last:
        raise InputError(f"frame {frame} after frame {last}", "give frames in the order of time")
    if before.shape != now.shape:
        raise InputError(
            f"frame {frame} has shape {now.shape}, frame {last} {before.shape}",
            "frames of a movie must be of one size: crop them",
        )


def _areas(labels: Array) -> Array:
    """(K + 1,) pixels of each label, those of the background first."""
    largest, band = int(labels.max(initial=0)), 256  # rows: NumPy counts copies of 64 bits
    areas = np.zeros(largest + 1, np.int64)
    for top in range(0, len(labels), band):
        areas += np.bincount(labels[top : top + band].ravel(), minlength=largest + 1)
    return areas


def _linked(before: Array, now: Array, min_overlap: float) -> Array:
    """Whether each label before (rows) and each now (columns) are the same colony."""
    n_before, n_now = int(before.max()) + 1, int(now.max()) + 1
    both = (before > 0) & (now > 0)
    pair = before[both].astype(np.int64) * n_now + now[both]
    overlap = np.bincount(pair, minlength=n_before * n_now).reshape(n_before, n_now)
    areas = np.minimum.outer(_areas(before), _areas(now))
    return (overlap > 0) & (overlap >= min_overlap * areas)
