"""Colonies over frames: who goes on, who merges, who splits."""

from __future__ import annotations

import numpy as np
import pytest

from unstained.colonies.detect import DetectSettings, detect_colonies
from unstained.colonies.links import Linker, LinkSettings, link_frames
from unstained.errors import InputError
from unstained.simulate.colony_wells import ColonySettings, plan_well, render_frame


def frame(*boxes: tuple[int, int, int, int], size: int = 60) -> np.ndarray:
    """Labels 1, 2, ... in rectangles y0, x0, y1, x1."""
    labels = np.zeros((size, size), np.int32)
    for label, (y0, x0, y1, x1) in enumerate(boxes, start=1):
        labels[y0:y1, x0:x1] = label
    return labels


LEFT, RIGHT, BOTH = (10, 10, 20, 25), (10, 30, 20, 45), (10, 10, 20, 45)


def test_a_colony_keeps_its_track_whatever_its_label() -> None:
    links = link_frames([frame(LEFT, RIGHT), frame(RIGHT, LEFT)])
    assert [track.tolist() for track in links.track_of] == [[0, 1, 2], [0, 2, 1]]
    assert links.tracks.to_numpy().tolist() == [[1, 0, 1, 0], [2, 0, 1, 0]]
    assert links.events.empty


def test_a_merge_is_a_new_track_with_both_parents_in_the_events() -> None:
    links = link_frames([frame(LEFT, RIGHT), frame(BOTH), frame(BOTH)])
    assert [track.tolist() for track in links.track_of] == [[0, 1, 2], [0, 3], [0, 3]]
    # the format has one parent for a track; a merge has two, so it says 0
    assert links.tracks.to_numpy().tolist() == [[1, 0, 0, 0], [2, 0, 0, 0], [3, 1, 2, 0]]
    assert links.events.to_numpy().tolist() == [[1, "merge", "1;2", "3"]]


def test_a_split_gives_each_part_a_track_with_its_parent() -> None:
    links = link_frames([frame(BOTH), frame(LEFT, RIGHT)])
    assert links.tracks.to_numpy().tolist() == [[1, 0, 0, 0], [2, 1, 1, 1], [3, 1, 1, 1]]
    assert links.events.to_numpy().tolist() == [[1, "split", "1", "2;3"]]


def test_merge_and_split_in_one_frame_are_both_recorded() -> None:
    # the middle one splits between the left and the right one
    before = frame((10, 0, 20, 10), (10, 12, 20, 32), (10, 34, 20, 44))
    now = frame((10, 0, 20, 22), (10, 23, 20, 44))
    links = link_frames([before, now])
    assert links.track_of[1].tolist() == [0, 4, 5]
    assert links.events.to_numpy().tolist() == [
        [1, "split", "2", "4;5"],
        [1, "merge", "1;2", "4"],
        [1, "merge", "2;3", "5"],
    ]


@pytest.mark.parametrize(("shift", "linked"), [(10, True), (11, False)])
def test_the_share_of_the_overlap_decides(shift: int, linked: bool) -> None:
    # boxes of 10 x 15: moved by 10 they share 5 of 15 columns, 0.333, moved by 11 0.267
    moved = (10, 10 + shift, 20, 25 + shift)
    links = link_frames([frame(LEFT), frame(moved)], LinkSettings(min_overlap=0.3))
    assert links.track_of[1].tolist() == ([0, 1] if linked else [0, 2])


def test_the_share_is_that_of_the_whole_colony_however_many_rows_it_has() -> None:
    # 1000 rows of 10 px and the same moved by 699: 301 of 1000 rows overlap, by 701 only 299
    before = frame((0, 0, 1000, 10), size=1710)
    linked, lost = (frame((by, 0, 1000 + by, 10), size=1710) for by in (699, 701))
    assert len(link_frames([before, linked], LinkSettings(0.3)).tracks) == 1
    assert len(link_frames([before, lost], LinkSettings(0.3)).tracks) == 2


def test_a_small_colony_swallowed_by_a_large_one_is_a_merge() -> None:
    # its 25 px are 1 % of the other's 2500: the smaller area counts
    links = link_frames([frame((0, 0, 50, 50), (51, 51, 56, 56)), frame((0, 0, 60, 60))])
    assert links.events["kind"].tolist() == ["merge"]


def test_labels_that_are_not_there_have_no_track() -> None:
    labels = np.where(frame(LEFT) > 0, 3, 0)
    assert link_frames([labels]).track_of[0].tolist() == [0, 0, 0, 1]


def test_empty_frames_end_tracks() -> None:
    links = link_frames([frame(LEFT), frame(), frame(LEFT)])
    assert links.tracks.to_numpy().tolist() == [[1, 0, 0, 0], [2, 2, 2, 0]]


def test_simulated_colonies_keep_their_tracks_over_three_frames() -> None:
    settings = ColonySettings(wells=1, frames=3, size=700, colonies=3, seed=5)
    well = plan_well(settings, 0)
    true = [render_frame(settings, well, number) for number in range(3)]
    found = [detect_colonies(f.image, DetectSettings()).labels for f in true]
    links = link_frames(found)
    colony_of_track = []
    for labels, truth, track_of in zip(found, true, links.track_of, strict=True):
        seen = {}
        for state in truth.colonies:
            inside = truth.labels == state.colony
            seen[int(track_of[np.bincount(labels[inside]).argmax()])] = state.colony
        colony_of_track.append(seen)
    assert sorted(colony_of_track[0]) == [1, 2, 3]
    assert colony_of_track[0] == colony_of_track[1] == colony_of_track[2]


def test_a_linker_can_begin_at_any_track_and_skip_frames() -> None:
    linker = Linker(first_track=8)
    assert linker.add(2, frame(LEFT)).tolist() == [0, 8]
    assert linker.add(5, frame(LEFT)).tolist() == [0, 8]
    assert linker.tracks().to_numpy().tolist() == [[8, 2, 5, 0]]


def test_frames_out_of_order_or_of_other_sizes_are_refused() -> None:
    linker = Linker()
    linker.add(1, frame(LEFT))
    with pytest.raises(InputError, match="order of time"):
        linker.add(1, frame(LEFT))
    for wrong in (np.zeros((4, 4)), np.full((4, 4), -1), np.zeros((1, 4, 4), int)):
        with pytest.raises(InputError, match=r"give \(Y, X\) integer labels, 0 and above"):
            link_frames([wrong])
    with pytest.raises(InputError, match="one size"):
        linker.add(2, frame(LEFT, size=50))
    with pytest.raises(InputError, match="overlap"):
        LinkSettings(min_overlap=0)
