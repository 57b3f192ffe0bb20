"""How well cells are followed: labels of known tracks, numbered anew in every frame.

python benchmarks/tracking.py [--drop 0.05] [--segmentation DIR]

`usiigaci`: the public movie; its ids come from the publisher's tracker, and it names no mothers.
`fast`, `slow`: simulated movies with divisions, whose tracks and mothers are known. --drop leaves
out a share of the cells at random, as a segmentation would. --segmentation scores a folder of
`unstained cells segment --movie` and `track` on usiigaci's movie in their place.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from unstained.cells.matching import pool_scores, score_labels
from unstained.cells.segmentation_folder import read_segmentation
from unstained.cells.track_files import read_tracks
from unstained.cells.tracking import track_labels
from unstained.cells.tracking_scores import Followed, TrackScores, score_tracking
from unstained.datasets.labelled import standard_movie
from unstained.images import read_labels
from unstained.simulate import Movie, MovieSettings

SIMULATED = {
    "fast": MovieSettings(frames=120, interval_s=300, size=768, cells=25, cycle_h=8, seed=0),
    "slow": MovieSettings(frames=60, interval_s=900, size=768, cells=25, cycle_h=12, seed=1),
}


def usiigaci() -> Followed:
    """The public movie with the publisher's ids."""
    labels = [read_labels(path) for path in standard_movie("usiigaci").tracks]
    return followed(labels, None)


def simulated(settings: MovieSettings) -> Followed:
    """Labels of a simulated movie, and its true lineage."""
    movie = Movie(settings)
    lazy = movie.labels("cells")
    labels = [np.asarray(lazy[t, 0, 0]) for t in range(settings.frames)]
    columns = ["track", "begin", "end", "parent"]
    return followed(labels, pd.DataFrame(movie.ctc_tracks(), columns=columns))


def followed(labels: Sequence[np.ndarray], tracks: pd.DataFrame | None) -> Followed:
    """Labels whose numbers are those of the tracks."""
    rows = [(t, n, n) for t, frame in enumerate(labels) for n in np.unique(frame)[1:].tolist()]
    track_of = pd.DataFrame(rows, columns=["frame", "label", "track"])
    if tracks is None:
        tracks = pd.DataFrame({"track": sorted(track_of["track"].unique()), "parent": 0})
    return Followed(labels, track_of, tracks)


def renumbered(
    labels: Sequence[np.ndarray], drop: float, rng: np.random.Generator
) -> list[np.ndarray]:
    """The same cells with other numbers in each frame, a share of them left out."""
    anew = []
    for frame in labels:
        ids = np.unique(frame)[1:]
        number = np.zeros(int(frame.max()) + 1, np.int32)
        number[ids] = rng.permutation(ids.size) + 1
        number[ids[rng.random(ids.size) < drop]] = 0
        anew.append(number[frame])
    return anew


def segmented(folder: Path) -> None:
    """Cells found and followed in usiigaci's movie, against the given labels and ids."""
    truth = usiigaci()
    (entry,) = read_segmentation(folder)
    labels = [entry.labels(t) for t in range(entry.frames)]
    tracks = read_tracks(folder)
    print(
        row(
            "usiigaci, segmented",
            score_tracking(truth, Followed(labels, tracks.track_of, tracks.tracks)),
            divisions=False,
        )
    )
    scores = [
        score_labels(true, label, [0.5]) for true, label in zip(truth.frames, labels, strict=True)
    ]
    # frames of one movie show the same cells: one group, which has no interval
    found = pool_scores(scores, ["usiigaci"] * len(scores))
    print(f"average precision at IoU 0.5: {found.at[0].average_precision.estimate:.3f}")


def row(name: str, s: TrackScores, *, divisions: bool) -> str:
    """A line of the table."""
    return (
        f"| {name} | {s.tra:.4f} | {s.link_precision:.3f} / {s.link_recall:.3f} "
        f"| {f'{s.division_f1:.3f}' if divisions else ''} | {s.idf1:.3f} "
        f"| {s.followed_share:.1%} | {s.complete_share:.0%} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--drop", type=float, default=0.05)
    parser.add_argument("--segmentation", type=Path)
    given = parser.parse_args()
    if given.segmentation is not None:
        segmented(given.segmentation)
        return
    movies = {"usiigaci": usiigaci()} | {n: simulated(s) for n, s in SIMULATED.items()}
    print("| movie | TRA | links, precision / recall | divisions F1 | IDF1 | followed | complete |")
    print("|---|---|---|---|---|---|---|")
    for name, truth in movies.items():
        for drop in (0.0, given.drop):
            anew = renumbered(truth.frames, drop, np.random.default_rng(0))
            found = track_labels(anew)
            s = score_tracking(truth, Followed(anew, found.track_of, found.tracks))
            left_out = f"{name}, {drop:.0%} left out" if drop else name
            print(row(left_out, s, divisions=name != "usiigaci"), flush=True)


if __name__ == "__main__":
    main()
