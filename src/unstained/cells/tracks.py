"""The tables of followed cells, and what follows from who is who: divisions, events."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..errors import DataError

__all__ = [
    "DIVISION_COLUMNS",
    "EVENT_COLUMNS",
    "EVENT_KINDS",
    "TRACK_AGAIN",
    "TRACK_COLUMNS",
    "TRACK_OF_COLUMNS",
    "TRACK_THESE",
    "Tracked",
    "check_whole",
    "tables_of",
]

TRACK_OF_COLUMNS = ("frame", "label", "track")
TRACK_COLUMNS = ("track", "begin", "end", "parent")
DIVISION_COLUMNS = ("frame", "mother", "daughter_1", "daughter_2")
EVENT_COLUMNS = ("frame", "kind", "tracks")
EVENT_KINDS = ("division", "merge", "gap", "appear", "disappear")
TRACK_AGAIN = "track again: unstained cells track DIR --overwrite"
TRACK_THESE = "follow these very labels: cells.track_labels"


class Tracked(NamedTuple):
    """Cells over time. Frames count from 0, tracks from 1.

    Attributes
    ----------
    track_of : table
        `frame`, `label`, `track`: one row for each cell of each frame.
    tracks : table
        `track`, `begin` and `end` (first and last frame), `parent` (track of the mother; 0: none
        known): L B E P of the Cell Tracking Challenge.
    divisions : table
        `frame` (the daughters' first), `mother`, `daughter_1`, `daughter_2`: tracks.
    events : table
        `frame`, `kind`, `tracks` (joined by ``;``): ``division`` (mother;daughters), ``merge``
        (the one that vanished;the one that goes on), ``gap`` (at the first frame missed),
        ``appear``, ``disappear`` (at the first frame without it).
    """

    track_of: pd.DataFrame
    tracks: pd.DataFrame
    divisions: pd.DataFrame
    events: pd.DataFrame


def check_whole(
    track_of: pd.DataFrame, tracks: pd.DataFrame, lost: int, cells: int, folder: Path | None
) -> None:
    """Refuse tables that were cut short, or are of other labels.

    Parameters
    ----------
    track_of, tracks : table
        With the column `image`.
    lost, cells : int
        How many cells of movies that were followed have no row in `track_of`; all cells.
    folder : Path or None
        That they were read from, for the error.

    Raises
    ------
    DataError
        A track has no row in `tracks`, or `lost` is not 0.
    """
    ending, again = ("", TRACK_THESE) if folder is None else (".csv", TRACK_AGAIN)
    keys = ["image", "track"]
    of_track = track_of[track_of["track"] > 0]
    known = pd.MultiIndex.from_frame(of_track[keys]).isin(pd.MultiIndex.from_frame(tracks[keys]))
    if not known.all():
        raise DataError(
            f"track {of_track['track'][~known].iloc[0]} of track_of{ending} is not in "
            f"tracks{ending}",
            again,
            file=folder,
        )
    if lost:
        raise DataError(
            f"track_of{ending} lacks {lost} of {cells} cells",
            f"it may be cut short, or the labels newer; {again}",
            file=folder,
        )


def tables_of(
    track_of: pd.DataFrame,
    tracks: pd.DataFrame,
    frames: int,
    merges: Sequence[tuple[int, int, int]] = (),
) -> Tracked:
    """Add divisions and events to the tracks of a movie.

    A track that is the parent of two divides. Of more than two children, the two of the lowest
    numbers are named in `divisions`; `tracks` has them all.

    Parameters
    ----------
    track_of, tracks : table
        See `Tracked`.
    frames : int
        Of the movie: a track that ends with it has not disappeared.
    merges : sequence of (frame, track, track)
        First frame of the merged cell, the track that vanished, the one that goes on.
    """
    begin_of = dict(zip(tracks["track"], tracks["begin"], strict=True))
    children: dict[int, list[int]] = {}
    for track, parent in sorted(zip(tracks["track"], tracks["parent"], strict=True)):
        children.setdefault(parent, []).append(track)
    divisions = sorted(
        (int(min(begin_of[d] for d in daughters[:2])), mother, *daughters[:2])
        for mother, daughters in children.items()
        if mother > 0 and len(daughters) > 1
    )
    events = [(t, "division", f"{m};{a};{b}") for t, m, a, b in divisions]
    events += [(t, "merge", f"{gone};{kept}") for t, gone, kept in merges]
    alone = tracks[(tracks["begin"] > 0) & (tracks["parent"] == 0)]
    explained = {*tracks["parent"], *(gone for _, gone, _ in merges)}
    lost = tracks[(tracks["end"] + 1 < frames) & ~tracks["track"].isin(explained)]
    missed = _gaps(track_of)
    for kind, frame, track in (
        ("gap", missed["frame"] + 1, missed["track"]),
        ("appear", alone["begin"], alone["track"]),
        ("disappear", lost["end"] + 1, lost["track"]),
    ):
        events += [(int(t), kind, str(n)) for t, n in zip(frame, track, strict=True)]
    return Tracked(
        track_of[list(TRACK_OF_COLUMNS)],
        tracks[list(TRACK_COLUMNS)],
        pd.DataFrame(divisions, columns=list(DIVISION_COLUMNS), dtype=np.int64),
        pd.DataFrame(sorted(events), columns=list(EVENT_COLUMNS)),
    )


def _gaps(track_of: pd.DataFrame) -> pd.DataFrame:
    """The last cell before each gap."""
    cells = track_of.sort_values(["track", "frame"])
    wait = cells.groupby("track")["frame"].shift(-1) - cells["frame"]
    return cells[wait > 1]
