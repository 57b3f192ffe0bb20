"""Scores of tracks, with the arithmetic in sight.

The movie: a mother (track 1, label 1) in frames 0 and 1, daughters 2 and 3 in frames 2 and 3, each
10 pixels. 6 vertices; edges 1-1, 1-2, 1-3, 2-2, 3-3: 5. AOGM0 = 10 x 6 + 1.5 x 5 = 67.5.
TRA, DET and the operations were also equal to those of py-ctcmetrics 1.3.3 on a simulated movie of
1,368 cells with 5 % of them taken away, a merged pair and a false cell.
"""

import numpy as np
import pandas as pd
import pytest

from unstained.cells.tracking_scores import Followed, score_tracking
from unstained.errors import DataError, InputError


def movie():
    frames = np.zeros((4, 4, 10), np.int32)
    frames[:2, 0] = 1
    frames[2:, 0] = 2
    frames[2:, 2] = 3
    return frames


def followed(frames, parents, track_of=None):
    """Labels are tracks, but for those of `track_of`: {(frame, label): track}."""
    rows = [
        (t, int(n), (track_of or {}).get((t, int(n)), int(n)))
        for t, labels in enumerate(frames)
        for n in np.unique(labels)
        if n
    ]
    table = pd.DataFrame(rows, columns=["frame", "label", "track"])
    numbers = sorted(table["track"].unique())
    tracks = pd.DataFrame({"track": numbers, "parent": [parents.get(n, 0) for n in numbers]})
    return Followed(frames, table, tracks)


TRUTH = {2: 1, 3: 1}


def score(frames, parents=TRUTH, track_of=None, **settings):
    return score_tracking(followed(movie(), TRUTH), followed(frames, parents, track_of), **settings)


def test_perfect_tracking_is_1_in_all():
    scores = score(movie())
    assert scores.operations == dict.fromkeys(("NS", "FN", "FP", "ED", "EA", "EC"), 0)
    assert (scores.tra, scores.det, scores.idf1) == (1, 1, 1)
    assert (scores.link_precision, scores.link_recall, scores.division_f1) == (1, 1, 1)
    assert (scores.followed_share, scores.complete_share) == (1, 1)


def test_a_missed_cell_costs_10_and_its_edges_1_5_each():
    frames = movie()
    frames[3, 2] = 0  # daughter 3 has one frame left: FN 1, EA 1
    scores = score(frames)
    assert scores.operations == {"NS": 0, "FN": 1, "FP": 0, "ED": 0, "EA": 1, "EC": 0}
    assert scores.tra == pytest.approx(1 - 11.5 / 67.5)
    assert scores.det == pytest.approx(1 - 10 / 60)
    assert scores.link_recall == pytest.approx(4 / 5)
    assert scores.link_precision == 1
    # lived 2 + 2 + 2, followed 2 + 2 + 1; tracks 1 and 2 complete
    assert scores.followed["followed"].tolist() == [2, 2, 1]
    assert scores.followed_share == pytest.approx(5 / 6)
    assert scores.complete_share == pytest.approx(2 / 3)
    # 5 cells agree of 6 true and 5 found
    assert scores.idf1 == pytest.approx(10 / 11)


def test_a_cell_that_is_none_costs_1():
    frames = movie()
    frames[0, 3] = 4
    scores = score(frames)
    assert scores.operations["FP"] == 1
    assert scores.tra == pytest.approx(1 - 1 / 67.5)


def test_two_cells_as_one_cost_a_split_and_their_edges():
    frames = movie()
    frames[2, 2] = 2  # in frame 2 the daughters are one
    scores = score(frames)
    # NS 1; the edges 1-2, 1-3, 2-2, 3-3 touch the two: EA 4; daughter 3 now begins in frame 3, and
    # the edge to her from the mother in frame 1 is not true: ED 1
    assert scores.operations == {"NS": 1, "FN": 0, "FP": 0, "ED": 1, "EA": 4, "EC": 0}
    assert scores.tra == pytest.approx(1 - (5 + 4 * 1.5 + 1) / 67.5)


def test_swapped_daughters_cost_two_edges_taken_away_and_two_put_in():
    scores = score(movie(), track_of={(3, 2): 3, (3, 3): 2})
    assert scores.operations == {"NS": 0, "FN": 0, "FP": 0, "ED": 2, "EA": 2, "EC": 0}
    assert scores.tra == pytest.approx(1 - (2 * 1 + 2 * 1.5) / 67.5)
    assert scores.idf1 == pytest.approx(2 * 4 / 12)  # 2 of the mother's, 1 of each daughter


def test_a_mother_who_goes_on_as_her_daughter_means_something_else():
    # label 2 is of track 1: the edge 1-2 is there, but within a track: EC 1
    scores = score(movie(), {3: 1}, {(2, 2): 1, (3, 2): 1})
    # the parent of 3 ends in frame 3, so the edge to 3 starts there: ED 1, EA 1
    assert scores.operations == {"NS": 0, "FN": 0, "FP": 0, "ED": 1, "EA": 1, "EC": 1}
    assert scores.divisions == {"true": 1, "found": 0, "right": 0}
    assert scores.division_recall == 0
    assert np.isnan(scores.division_precision)


def test_exactly_half_of_a_cell_does_not_find_it():
    frames = movie()
    frames[0, 0, :5] = 0
    assert score(frames).operations["FN"] == 1
    frames[0, 0, 4] = 1  # 6 of 10
    assert score(frames).operations["FN"] == 0


def late():
    """The daughters are one cell with the mother's label for one frame more."""
    frames = movie()
    frames[2, 0], frames[2, 2] = 1, 0
    return frames


def test_a_division_one_frame_late_is_right_with_a_tolerance_of_one():
    scores = score(late(), division_tolerance=1)
    assert scores.divisions == {"true": 1, "found": 1, "right": 1}
    assert score(late(), division_tolerance=0).division_f1 == 0


def test_a_division_of_another_cell_is_not_right():
    frames = np.zeros((4, 8, 10), np.int32)
    frames[:, :4] = movie()
    true = followed(frames, TRUTH)
    result = frames.copy()
    result[:, 4:][frames[:, :4] > 0] = frames[:, :4][frames[:, :4] > 0] + 10
    scores = score_tracking(true, followed(result, {12: 11, 13: 11}))
    assert scores.divisions == {"true": 1, "found": 1, "right": 0}
    assert scores.division_f1 == 0


def test_a_missed_frame_neither_counts_nor_breaks_a_run_but_another_track_does():
    frames = np.ones((6, 2, 2), np.int32)
    result = frames.copy()
    result[1] = 0
    result[4:] = 2  # 1 . 1 1 2 2: longest run 3
    scores = score_tracking(followed(frames, {}), followed(result, {}))
    assert scores.followed.to_numpy().tolist() == [[1, 6, 3, False]]


def test_scores_of_nothing_found_are_0():
    nothing = Followed(
        np.zeros_like(movie()),
        pd.DataFrame(columns=["frame", "label", "track"], dtype=int),
        pd.DataFrame(columns=["track", "parent"], dtype=int),
    )
    scores = score_tracking(followed(movie(), TRUTH), nothing)
    assert (scores.tra, scores.det, scores.idf1, scores.followed_share) == (0, 0, 0, 0)


def test_movies_that_are_not_one_and_a_truth_without_cells_are_refused():
    with pytest.raises(DataError, match="frame 3 of the truth is"):
        score(movie()[:3])
    with pytest.raises(DataError, match=r"frame 0 .* \(4, 10\), of the result \(4, 9\)"):
        score(movie()[:, :, 1:])
    with pytest.raises(DataError, match="truth has no cells"):
        score_tracking(followed(np.zeros_like(movie()), {}), followed(movie(), TRUTH))
    with pytest.raises(InputError, match="tolerance of -1"):
        score(movie(), division_tolerance=-1)
