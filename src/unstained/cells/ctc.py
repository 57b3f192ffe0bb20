"""Tracks in the format of the Cell Tracking Challenge, in and out.

    maskTTT.tif       result: a 16-bit image of each frame; a pixel holds its cell's track
    res_track.txt     result: a line "L B E P" for each track: label, first and last frame, parent
    man_trackTTT.tif  truth, the same
    man_track.txt     truth, the same

A track of the Challenge is there in every frame from B to E [1]_. So a track with gaps is written
as pieces, each the parent of the next, and pieces that are the only child of a parent and begin
after a gap are joined again when they are read.

References
----------
.. [1] https://celltrackingchallenge.net/annotations/ ; Ulman et al. (2017), Nat Methods 14:1141,
   doi:10.1038/nmeth.4473.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..errors import DataError, FileError
from ..images.image import Array

__all__ = ["CtcMovie", "is_ctc", "read_ctc", "read_ctc_tracks", "write_ctc"]


_KINDS = (("man_track", "man_track.txt"), ("mask", "res_track.txt"))  # images, tracks
_MOST = np.iinfo(np.uint16).max
_COLUMNS = ["track", "begin", "end", "parent"]


class CtcMovie(NamedTuple):
    """What a folder of the Challenge holds.

    Attributes
    ----------
    files : list of Path
        Label images, one for each frame.
    track_of, tracks : table
        As in `unstained.cells.Tracked`.
    """

    files: list[Path]
    track_of: pd.DataFrame
    tracks: pd.DataFrame

    def frames(self) -> Iterator[Array]:
        """(Y, X) label images, one at a time."""
        from ..images.read import read_labels

        return (read_labels(file) for file in self.files)


def write_ctc(
    out_dir: str | os.PathLike[str],
    frames: Iterable[Array],
    track_of: pd.DataFrame,
    tracks: pd.DataFrame,
) -> Path:
    """Write a result, ``maskTTT.tif`` and ``res_track.txt``, into a new folder.

    Parameters
    ----------
    out_dir : path-like
        Must not exist yet.
    frames : iterable of (Y, X) int arrays
        Labels; asked for one at a time.
    track_of : table
        `frame`, `label`, `track`; other cells are left out.
    tracks : table
        `track`, `parent` (0: none).

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    DataError
        More tracks than 16 bits hold.
    FileError
        The folder exists or cannot be written.
    """
    import tifffile

    from ..images.atomic import atomic_dir, write_text

    piece_of, pieces = _in_pieces(track_of, tracks)
    if len(pieces) > _MOST:
        raise DataError(
            f"there are {len(pieces)} tracks; the format holds {_MOST}", "export parts of the movie"
        )
    numbers = {
        t: group[["label", "piece"]].to_numpy(np.int64) for t, group in piece_of.groupby("frame")
    }
    digits = max(3, len(str(pieces["E"].max())))
    with atomic_dir(out_dir) as folder:
        for t, labels in enumerate(frames):
            known = numbers.get(t, np.zeros((0, 2), np.int64))
            order = np.argsort(known[:, 0])
            label, piece = known[order].T
            relabelled = np.zeros(labels.shape, np.uint16)
            if label.size:
                at = np.minimum(np.searchsorted(label, labels), label.size - 1)
                relabelled = np.where(label[at] == labels, piece[at], 0).astype(np.uint16)
            tifffile.imwrite(folder / f"mask{t:0{digits}d}.tif", relabelled, compression="zlib")
        lines = (" ".join(map(str, row)) for row in pieces.itertuples(index=False))
        text = "".join(f"{line}\n" for line in lines)
        write_text(folder / "res_track.txt", text)
    return Path(out_dir)


def _in_pieces(track_of: pd.DataFrame, tracks: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tracks without gaps: (frame, label, piece) of each cell, and L B E P of each piece."""
    cells = track_of[track_of["track"] > 0].sort_values(["track", "frame"])
    track, frame = cells["track"].to_numpy(np.int64), cells["frame"].to_numpy(np.int64)
    new_track = np.diff(track, prepend=0) != 0
    begins = new_track | (np.diff(frame, prepend=-1) != 1)
    piece = np.cumsum(begins)
    ends = np.append(begins[1:], True)[: piece.size]
    last_of = dict(zip(track.tolist(), piece.tolist(), strict=True))
    mother_of = dict(zip(tracks["track"].tolist(), tracks["parent"].tolist(), strict=True))
    parent = [
        last_of.get(mother_of.get(own, 0), 0) if is_new else number - 1
        for own, is_new, number in zip(
            track[begins].tolist(), new_track[begins].tolist(), piece[begins].tolist(), strict=True
        )
    ]
    pieces = pd.DataFrame(
        {"L": piece[begins], "B": frame[begins], "E": frame[ends], "P": parent}, dtype=np.int64
    )
    return cells.assign(piece=piece), pieces


def is_ctc(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder holds the tracks of a truth or a result."""
    return any((Path(folder) / name).is_file() for _, name in _KINDS)


def read_ctc(folder: str | os.PathLike[str]) -> CtcMovie:
    """Read a truth (``man_track``) or a result (``mask``, ``res_track.txt``) folder.

    Raises
    ------
    FileError
        No such folder, no label images, a frame that is missing, or tracks that cannot be read.
    DataError
        Images and tracks do not belong together.
    """
    from ..images.read import read_labels

    folder = Path(folder)
    for stem, name in _KINDS:
        files = _numbered(folder, stem)
        if files and (folder / name).is_file():
            break
    else:
        raise FileError(
            "is no folder of the Cell Tracking Challenge",
            "it holds mask000.tif ... and res_track.txt, or man_track000.tif ... and man_track.txt",
            file=folder,
        )
    tracks = read_ctc_tracks(folder / name)
    rows = [
        (t, label)
        for t, file in enumerate(files)
        for label in np.unique(read_labels(file)).tolist()
        if label
    ]
    cells = pd.DataFrame(rows, columns=["frame", "label"], dtype=np.int64)
    unknown = sorted(set(cells["label"]) - set(tracks["track"]))
    if unknown:
        raise DataError(
            f"label {unknown[0]} of the images is not in {name}",
            "give images and tracks of one movie",
            file=folder,
        )
    whole, joined = _joined(tracks)
    track_of = cells.assign(track=cells["label"].map(whole))
    return CtcMovie(files, track_of, joined)


def read_ctc_tracks(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read lines of L B E P: a table of `track`, `begin`, `end`, `parent`.

    Raises
    ------
    FileError
        It is not there, or a line is not four whole numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise FileError("is not there", "give a file with lines L B E P", file=path)
    rows = []
    # what is no text shows as a line that is no numbers
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    for i, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 4 or not all(word.isdecimal() for word in words):
            raise FileError(f"line {i} is {line!r}", "give four whole numbers, L B E P", file=path)
        rows.append([int(word) for word in words])
    return pd.DataFrame(rows, columns=_COLUMNS, dtype=np.int64)


def _numbered(folder: Path, stem: str) -> list[Path]:
    """``stemTTT.tif`` in order, without a frame missing."""
    found = {
        int(match[1]): file
        for file in (folder.iterdir() if folder.is_dir() else ())
        if (match := re.fullmatch(rf"{stem}(\d+)\.tif", file.name))
    }
    missing = sorted(set(range(len(found))) - found.keys())
    if missing:
        raise FileError(
            f"has {len(found)} images {stem}TTT.tif, but not of frame {missing[0]}",
            "number the frames from 0 on",
            file=folder,
        )
    return [found[t] for t in range(len(found))]


def _joined(tracks: pd.DataFrame) -> tuple[dict[int, int], pd.DataFrame]:
    """Join pieces over gaps: the track of each piece, and the tracks."""
    rows = {int(row[0]): row for row in tracks.itertuples(index=False, name=None)}
    children = tracks["parent"].value_counts().to_dict()
    whole: dict[int, int] = {}
    ends: dict[int, int] = {}
    for number, begin, end, parent in sorted(rows.values(), key=lambda row: row[1]):
        if parent and parent not in rows:
            raise DataError(
                f"track {number} has the parent {parent}, which is not there", "mend the file"
            )
        goes_on = parent and children[parent] == 1 and begin > rows[parent][2] + 1
        whole[number] = whole.get(parent, parent) if goes_on else number
        ends[whole[number]] = end
    kept = [
        (number, begin, ends[number], whole.get(parent, 0))
        for number, begin, _, parent in rows.values()
        if whole[number] == number
    ]
    return whole, pd.DataFrame(kept, columns=_COLUMNS, dtype=np.int64)
