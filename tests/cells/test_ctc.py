"""The Cell Tracking Challenge's files."""

import numpy as np
import pandas as pd
import pytest
import tifffile

from unstained.cells.ctc import read_ctc, read_ctc_tracks, write_ctc
from unstained.errors import DataError, FileError

LINE = ["frame", "label", "track"]


def movie():
    """Track 1 (label 7) lives in frames 0, 1, 3, 4 and divides into 2 (label 8) and 3 (label 9)."""
    numbers = [[7], [7], [], [7], [7], [8, 9]]
    frames = np.zeros((6, 3, 4), np.int32)
    for t, labels in enumerate(numbers):
        for label in labels:
            frames[t, :, label - 7] = label
    track_of = pd.DataFrame(
        [(t, n, {7: 1, 8: 2, 9: 3}[n]) for t, labels in enumerate(numbers) for n in labels],
        columns=LINE,
    )
    tracks = pd.DataFrame(
        [(1, 0, 4, 0), (2, 5, 5, 1), (3, 5, 5, 1)], columns=["track", "begin", "end", "parent"]
    )
    return frames, track_of, tracks


def test_a_track_with_a_gap_is_written_as_pieces_where_each_is_the_parent_of_the_next(tmp_path):
    folder = write_ctc(tmp_path / "out", *movie())
    # pieces 1 and 2 of track 1, then the daughters, whose parent is the last piece
    assert (folder / "res_track.txt").read_text() == "1 0 1 0\n2 3 4 1\n3 5 5 2\n4 5 5 2\n"
    masks = [tifffile.imread(folder / f"mask{t:03d}.tif") for t in range(6)]
    assert all(mask.dtype == np.uint16 for mask in masks)
    assert [np.unique(mask).tolist() for mask in masks] == [
        [0, 1], [0, 1], [0], [0, 2], [0, 2], [0, 3, 4],
    ]  # fmt: skip


def test_what_is_written_is_read_back_with_gaps_closed(tmp_path):
    frames, track_of, tracks = movie()
    read = read_ctc(write_ctc(tmp_path / "out", frames, track_of, tracks))
    assert [(f > 0).tolist() for f in read.frames()] == (frames > 0).tolist()
    # track 1 keeps its first piece's number, the daughters have 3 and 4
    assert read.tracks.to_numpy().tolist() == [[1, 0, 4, 0], [3, 5, 5, 1], [4, 5, 5, 1]]
    renamed = track_of["track"].map({1: 1, 2: 3, 3: 4})
    assert read.track_of["track"].tolist() == renamed.tolist()
    assert read.track_of["frame"].tolist() == track_of["frame"].tolist()


def test_cells_outside_the_tracks_are_left_out(tmp_path):
    frames, track_of, tracks = movie()
    frames[0, 0, 3] = 5
    folder = write_ctc(tmp_path / "out", frames, track_of, tracks)
    assert tifffile.imread(folder / "mask000.tif")[0, 3] == 0


def test_the_truth_is_read_by_its_names(tmp_path):
    for t in range(2):
        tifffile.imwrite(tmp_path / f"man_track{t:03d}.tif", np.full((4, 4), 300, np.uint16))
    (tmp_path / "man_track.txt").write_text("300 0 1 0\n")
    read = read_ctc(tmp_path)
    assert read.track_of.to_numpy().tolist() == [[0, 300, 300], [1, 300, 300]]


def test_an_only_child_that_follows_at_once_is_no_gap(tmp_path):
    # one daughter left the field: her sister is another cell than the mother
    for t, label in enumerate([1, 2]):
        tifffile.imwrite(tmp_path / f"mask{t:03d}.tif", np.full((4, 4), label, np.uint16))
    (tmp_path / "res_track.txt").write_text("1 0 0 0\n2 1 1 1\n")
    assert read_ctc(tmp_path).tracks.to_numpy().tolist() == [[1, 0, 0, 0], [2, 1, 1, 1]]


def test_two_children_after_a_gap_are_daughters(tmp_path):
    for t, labels in enumerate([[1, 1], [0, 0], [2, 3]]):
        tifffile.imwrite(tmp_path / f"mask{t:03d}.tif", np.array([labels] * 4, np.uint16))
    (tmp_path / "res_track.txt").write_text("1 0 0 0\n2 2 2 1\n3 2 2 1\n")
    assert read_ctc(tmp_path).tracks.to_numpy().tolist() == [
        [1, 0, 0, 0], [2, 2, 2, 1], [3, 2, 2, 1],
    ]  # fmt: skip


def test_more_tracks_than_16_bits_are_refused(tmp_path):
    n = 65536
    track_of = pd.DataFrame({"frame": 0, "label": np.arange(n) + 1, "track": np.arange(n) + 1})
    tracks = pd.DataFrame({"track": np.arange(n) + 1, "parent": 0})
    labels = np.arange(1, n + 1).reshape(256, 256)
    with pytest.raises(DataError, match="65536 tracks; the format holds 65535"):
        write_ctc(tmp_path / "out", [labels], track_of, tracks)


@pytest.mark.parametrize(
    ("text", "error", "reason"),
    [
        ("1 0 1\n", FileError, "line 1 is '1 0 1'; give four whole numbers"),
        ("1 0 x 0\n", FileError, "line 1"),
        ("2 0 1 0\n", DataError, "label 1 of the images is not in res_track.txt"),
        ("1 0 1 9\n", DataError, "parent 9, which is not there"),
    ],
)
def test_tracks_that_do_not_fit_are_refused(tmp_path, text, error, reason):
    tifffile.imwrite(tmp_path / "mask000.tif", np.ones((4, 4), np.uint16))
    (tmp_path / "res_track.txt").write_text(text)
    with pytest.raises(error, match=reason):
        read_ctc(tmp_path)


def test_a_folder_that_is_none_and_a_missing_frame_are_said(tmp_path):
    with pytest.raises(FileError, match="no folder of the Cell Tracking Challenge"):
        read_ctc(tmp_path)
    with pytest.raises(FileError, match="is not there"):
        read_ctc_tracks(tmp_path / "res_track.txt")
    for t in (0, 2):
        tifffile.imwrite(tmp_path / f"mask{t:03d}.tif", np.ones((4, 4), np.uint16))
    with pytest.raises(FileError, match="not of frame 1"):
        read_ctc(tmp_path)


def test_tracks_in_another_encoding_are_named(tmp_path):
    (tmp_path / "res_track.txt").write_text("1 0 4 0\n", encoding="utf-16")
    with pytest.raises(FileError, match=r"res_track\.txt: line 1 is .*give four whole numbers"):
        read_ctc_tracks(tmp_path / "res_track.txt")
    (tmp_path / "res_track.txt").write_text("1 0 4 0\n", encoding="utf-8-sig")
    assert read_ctc_tracks(tmp_path / "res_track.txt").to_numpy().tolist() == [[1, 0, 4, 0]]
