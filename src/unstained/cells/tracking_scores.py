"""How well cells were followed, against the truth.

The truth and the result are graphs: a vertex for each cell of each frame, an edge from each cell
to the next of its track and from a mother's last to her daughters' first. TRA and DET of the Cell
Tracking Challenge weigh the operations that turn the result into the truth [1]_.

References
----------
.. [1] Matula et al. (2015), PLoS ONE 10:e0144959, doi:10.1371/journal.pone.0144959.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise, zip_longest
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..errors import DataError, InputError
from ..images.image import Array

__all__ = ["WEIGHTS", "Followed", "TrackScores", "score_tracking"]


# What an operation costs by the Challenge: split a vertex, add one, delete one; delete an edge,
# add one, change what it means (same cell, or mother and daughter).
WEIGHTS = {"NS": 5.0, "FN": 10.0, "FP": 1.0, "ED": 1.0, "EA": 1.5, "EC": 1.0}

_Node = tuple[int, int]  # frame, label


class Followed(NamedTuple):
    """Labels of a movie and the tracks that they belong to.

    Attributes
    ----------
    frames : iterable of (Y, X) int arrays
    track_of : table
        `frame`, `label`, `track`; cells that are not in it, or with track 0, are not looked at.
    tracks : table
        `track`, `parent` (0: none).
    """

    frames: Iterable[Array]
    track_of: pd.DataFrame
    tracks: pd.DataFrame


class TrackScores(NamedTuple):
    """Scores of tracks; all from 0 to 1, NaN where there is nothing to score.

    Attributes
    ----------
    tra, det : float
        1 - min(AOGM, AOGM0) / AOGM0 over vertices and edges, and over vertices alone.
    operations : dict of str to int
        NS, FN, FP, ED, EA, EC, see `WEIGHTS`.
    link_precision, link_recall : float
        Edges of the result that are true, and true edges that the result has.
    division_precision, division_recall, division_f1 : float
    divisions : dict of str to int
        `true`, `found` and `right`.
    idf1 : float
        Identity F1 [1]_: true and found tracks are paired one to one so that most cells agree;
        2 agreeing / (true cells + found cells).
    followed_share : float
        Frames followed over frames lived, summed over the true tracks.
    complete_share : float
        True tracks that one track of the result holds from begin to end, and nothing else.
    followed : table
        One row for each true track: `track`, `frames` that it has, `followed` (the longest run
        with one and the same found track; a missed frame neither counts nor breaks it),
        `complete`.

    References
    ----------
    .. [1] Ristani et al. (2016), ECCV Workshops, doi:10.1007/978-3-319-48881-3_2.
    """

    tra: float
    det: float
    operations: dict[str, int]
    link_precision: float
    link_recall: float
    division_precision: float
    division_recall: float
    division_f1: float
    divisions: dict[str, int]
    idf1: float
    followed_share: float
    complete_share: float
    followed: pd.DataFrame


def score_tracking(
    truth: Followed, result: Followed, *, division_tolerance: int = 2
) -> TrackScores:
    """Score tracks by the truth; frames are read once, in pairs.

    A true cell is found by the cell of the result that covers more than half of it. FN counts
    true cells that none covers; FP cells that cover no true one; NS the further true cells of a
    cell that covers several. Between cells that cover exactly one, ED counts edges that are not
    in the truth, and EC those that mean something else there; EA counts true edges that are
    missing. AOGM = sum of `WEIGHTS` times these, AOGM0 = 10 true cells + 1.5 true edges.

    A division is right where both frames of birth differ by at most the tolerance, the mothers
    cover one another in the last frames before the earlier one, and two daughters each in the
    first frames from the later one on.

    Parameters
    ----------
    truth, result : Followed
    division_tolerance : int
        Frames.

    Returns
    -------
    TrackScores

    Raises
    ------
    DataError
        Movies of different lengths or sizes, or a truth without cells.
    InputError
        A negative tolerance.
    """
    if division_tolerance < 0:
        raise InputError(f"a tolerance of {division_tolerance} frames", "give 0 or more")
    true_track, found_track = _track_of(truth.track_of), _track_of(result.track_of)
    if not true_track:
        raise DataError("the truth has no cells", "look at the labels of the truth")
    match = _match(truth.frames, result.frames, true_track, found_track)  # true -> found
    true_edges, found_edges = _edges(truth), _edges(result)
    covers = pd.Series(list(match.values()), dtype=object).value_counts().to_dict()
    back = {found: true for true, found in match.items() if covers[found] == 1}
    mapped = {
        (back[a], back[b]): kind for (a, b), kind in found_edges.items() if a in back and b in back
    }
    operations = {
        "NS": len(match) - len(covers),
        "FN": len(true_track) - len(match),
        "FP": len(found_track) - len(covers),
        "ED": sum(edge not in true_edges for edge in mapped),
        "EA": sum(edge not in mapped for edge in true_edges),
        "EC": sum(true_edges.get(edge, kind) != kind for edge, kind in mapped.items()),
    }
    right = sum(true_edges.get(edge) == kind for edge, kind in mapped.items())
    ids = {true: found_track[found] for true, found in match.items()}
    divisions = _divisions(truth, result, true_track, ids, division_tolerance)
    followed = _followed(true_track, ids, found_track)
    n_right, n_true, n_found = divisions["right"], divisions["true"], divisions["found"]
    return TrackScores(
        _score(operations, len(true_track), len(true_edges)),
        _score({name: operations[name] for name in ("NS", "FN", "FP")}, len(true_track), 0),
        operations,
        _share(right, len(found_edges)),
        _share(right, len(true_edges)),
        _share(n_right, n_found),
        _share(n_right, n_true),
        _share(2 * n_right, n_true + n_found),
        divisions,
        _idf1(true_track, ids, found_track),
        _share(float(followed["followed"].sum()), len(true_track)),
        float(followed["complete"].mean()),
        followed,
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _score(operations: dict[str, int], vertices: int, edges: int) -> float:
    """1 - min(AOGM, AOGM0) / AOGM0."""
    aogm = sum(WEIGHTS[name] * count for name, count in operations.items())
    from_nothing = WEIGHTS["FN"] * vertices + WEIGHTS["EA"] * edges
    return 1 - min(aogm, from_nothing) / from_nothing


def _track_of(table: pd.DataFrame) -> dict[_Node, int]:
    return {
        (int(frame), int(label)): int(track)
        for frame, label, track in zip(table["frame"], table["label"], table["track"], strict=True)
        if track > 0
    }


def _match(
    true_frames: Iterable[Array],
    found_frames: Iterable[Array],
    true_track: dict[_Node, int],
    found_track: dict[_Node, int],
) -> dict[_Node, _Node]:
    """The cell that covers more than half of each true one."""
    match: dict[_Node, _Node] = {}
    for t, (true, found) in enumerate(zip_longest(true_frames, found_frames)):
        if true is None or found is None or true.shape != found.shape:
            sizes = [None if labels is None else labels.shape for labels in (true, found)]
            raise DataError(
                f"frame {t} of the truth is {sizes[0]}, of the result {sizes[1]}",
                "give the truth of the very movie that was followed",
            )
        inside = true > 0
        labels, others = true[inside].astype(np.int64), found[inside].astype(np.int64)
        label, area = np.unique(labels, return_counts=True)
        area_of = dict(zip(label.tolist(), area.tolist(), strict=True))
        pairs, both = np.unique(np.stack([labels, others], axis=1), axis=0, return_counts=True)
        for (one, other), n in zip(pairs.tolist(), both.tolist(), strict=True):
            known = (t, one) in true_track and (t, other) in found_track
            if known and 2 * n > area_of[one]:
                match[t, one] = (t, other)
    return match


def _edges(followed: Followed) -> dict[tuple[_Node, _Node], str]:
    """Edges with what they mean: within a ``"track"``, or from a ``"parent"``.

    The Challenge's tracks have no gaps: over one, the earlier part is the later one's parent.
    """
    cells = followed.track_of[followed.track_of["track"] > 0].sort_values(["track", "frame"])
    nodes = list(zip(cells["frame"].tolist(), cells["label"].tolist(), strict=True))
    track = cells["track"].tolist()
    edges = {
        (one, other): "track" if other[0] == one[0] + 1 else "parent"
        for i, (one, other) in enumerate(pairwise(nodes))
        if track[i] == track[i + 1]
    }
    first = dict(zip(reversed(track), reversed(nodes), strict=True))
    last = dict(zip(track, nodes, strict=True))
    for child, parent in _parents(followed.tracks):
        if parent in last and child in first:
            edges[last[parent], first[child]] = "parent"
    return edges


def _parents(tracks: pd.DataFrame) -> list[tuple[int, int]]:
    """Child and parent of each track that has one."""
    known = tracks[tracks["parent"] > 0]
    return list(zip(known["track"].tolist(), known["parent"].tolist(), strict=True))


def _divided(followed: Followed) -> dict[int, tuple[int, list[int]]]:
    """Mother: frame of the first daughter, and the daughters, where there are two at least."""
    cells = followed.track_of[followed.track_of["track"] > 0]
    begin = cells.groupby("track")["frame"].min().to_dict()
    daughters: dict[int, list[int]] = {}
    for child, parent in _parents(followed.tracks):
        if child in begin and parent in begin:
            daughters.setdefault(parent, []).append(child)
    return {
        mother: (min(begin[child] for child in children), children)
        for mother, children in daughters.items()
        if len(children) > 1
    }


def _divisions(
    truth: Followed,
    result: Followed,
    true_track: dict[_Node, int],
    ids: dict[_Node, int],
    tolerance: int,
) -> dict[str, int]:
    """How many divisions are true, found, and right."""
    seen: dict[tuple[int, int], int] = {}  # true track, frame: found track
    for node, found in ids.items():
        seen[true_track[node], node[0]] = found
    true, results = _divided(truth), _divided(result)
    mothers_of: dict[int, set[int]] = {}
    for (track, _), found in seen.items():
        mothers_of.setdefault(track, set()).add(found)

    def tracks_at(track: int, frames: range) -> set[int]:
        return {seen[track, t] for t in frames if (track, t) in seen}

    right = 0
    taken: set[int] = set()
    for mother, (frame, children) in true.items():
        for found in sorted((mothers_of.get(mother, set()) & results.keys()) - taken):
            other_frame, others = results[found]
            early, late = min(frame, other_frame), max(frame, other_frame)
            if late - early > tolerance:
                continue
            if found not in tracks_at(mother, range(early - 1 - tolerance, early)):
                continue
            after = [tracks_at(c, range(late, late + 1 + tolerance)) & {*others} for c in children]
            # two daughters with one found daughter each, and not both the same
            if sum(map(bool, after)) > 1 and len(set().union(*after)) > 1:
                right += 1
                taken.add(found)
                break
    return {"true": len(true), "found": len(results), "right": right}


def _followed(
    true_track: dict[_Node, int], ids: dict[_Node, int], found_track: dict[_Node, int]
) -> pd.DataFrame:
    lived: dict[int, list[int]] = {}
    for node in sorted(true_track):
        lived.setdefault(true_track[node], []).append(ids.get(node, 0))
    cells_of = pd.Series(list(found_track.values()), dtype=np.int64).value_counts().to_dict()
    rows = []
    for track, found in sorted(lived.items()):
        longest = run = before = 0
        for here in filter(None, found):
            run = run + 1 if here == before else 1
            longest, before = max(longest, run), here
        complete = longest == len(found) == cells_of.get(before, 0)
        rows.append((track, len(found), longest, complete))
    return pd.DataFrame(rows, columns=["track", "frames", "followed", "complete"])


def _idf1(
    true_track: dict[_Node, int], ids: dict[_Node, int], found_track: dict[_Node, int]
) -> float:
    from scipy.optimize import linear_sum_assignment

    if not ids:
        return 0.0
    pairs = np.array([(true_track[node], found) for node, found in ids.items()])  # (P, 2)
    (true, i), (found, j) = (np.unique(column, return_inverse=True) for column in pairs.T)
    agree = np.zeros((true.size, found.size))
    np.add.at(agree, (i, j), 1)
    agreeing = float(agree[linear_sum_assignment(agree, maximize=True)].sum())
    return 2 * agreeing / (len(true_track) + len(found_track))
