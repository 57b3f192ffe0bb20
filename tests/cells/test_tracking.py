"""Cells are followed: links, gaps, divisions, merges, and what cannot be followed."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from unstained.cells.outline_folder import segmentation_from_outlines
from unstained.cells.segmentation_folder import create_segmentation, read_segmentation
from unstained.cells.segmentation_sources import SourceOptions
from unstained.cells.track_files import (
    export_ctc,
    read_tracks,
    score_folder,
    track_folder,
)
from unstained.cells.tracking import TrackSettings, track_labels
from unstained.cells.tracks import Tracked
from unstained.cli.cells_track import score_tracks, track
from unstained.errors import DataError, FileError, InputError
from unstained.images.image import Channel, Image


def field(*discs, size=(80, 120)):
    """Discs (label, y, x, radius) in a (Y, X) label image."""
    y, x = np.mgrid[: size[0], : size[1]]
    labels = np.zeros(size, np.int32)
    for label, y0, x0, radius in discs:
        labels[(y - y0) ** 2 + (x - x0) ** 2 <= radius**2] = label
    return labels


def tracks_by_label(tracked: Tracked, frame: int) -> dict[int, int]:
    rows = tracked.track_of[tracked.track_of["frame"] == frame]
    return dict(zip(rows["label"], rows["track"], strict=True))


def kinds(tracked: Tracked) -> list[tuple[int, str, str]]:
    return list(tracked.events.itertuples(index=False, name=None))


def test_cells_keep_their_track_though_their_labels_change():
    movie = [field((1, 20, 20 + t, 8), (2, 60, 90 - t, 8)) for t in range(3)]
    movie[1] = np.where(movie[1] > 0, 3 - movie[1], 0)  # labels 1 and 2 change places
    tracked = track_labels(movie)
    assert tracks_by_label(tracked, 0) == {1: 1, 2: 2}
    assert tracks_by_label(tracked, 1) == {1: 2, 2: 1}
    assert tracked.tracks.to_numpy().tolist() == [[1, 0, 2, 0], [2, 0, 2, 0]]
    assert len(tracked.events) == 0


def test_a_cell_that_jumps_past_its_own_outline_is_linked_by_distance():
    # diameter 16 px, so nothing overlaps after 15 px (radius 7) and it is within reach
    movie = [field((1, 40, 20, 7)), field((5, 40, 35, 7))]
    assert not (movie[0].astype(bool) & movie[1].astype(bool)).any()
    assert len(track_labels(movie).tracks) == 2  # the disc's diameter is 13.8 px
    reached = track_labels(movie, TrackSettings(max_distance_um=8.0), pixel_size_um=0.5)  # 16 px
    assert reached.tracks.to_numpy().tolist() == [[1, 0, 1, 0]]


def test_of_two_neighbors_that_come_near_each_is_linked_to_the_one_of_its_size():
    # both new cells are sqrt(12^2 + 10^2) px from either old one: only the size tells
    movie = [field((1, 28, 40, 8), (2, 52, 40, 4)), field((7, 40, 30, 8), (8, 40, 50, 4))]
    settings = TrackSettings(max_distance_um=30.0)
    tracked = track_labels(movie, settings, pixel_size_um=1.0)
    assert tracks_by_label(tracked, 1) == {7: 1, 8: 2}


def test_a_missed_frame_is_a_gap_and_the_track_goes_on():
    movie = [field((1, 40, 40 + 2 * t, 8), (2, 20, 100, 8)) for t in range(5)]
    movie[2] = field((2, 20, 100, 8))
    tracked = track_labels(movie)
    assert tracked.tracks["end"].tolist() == [4, 4]
    assert kinds(tracked) == [(2, "gap", "1")]


@pytest.mark.parametrize(("max_gap", "tracks"), [(2, 2), (1, 3)])
def test_a_gap_of_two_frames_is_closed_where_two_are_allowed(max_gap, tracks):
    movie = [field((1, 40, 40, 8), (2, 20, 100, 8)) for _ in range(5)]
    movie[2] = movie[3] = field((2, 20, 100, 8))
    tracked = track_labels(movie, TrackSettings(max_gap=max_gap))
    assert len(tracked.tracks) == tracks
    ended = [(2, "gap", "1")] if tracks == 2 else [(2, "disappear", "1"), (4, "appear", "3")]
    assert kinds(tracked) == ended


def division():
    """A mother of radius 10 with daughters of radius 7, whose areas add up to hers."""
    mother = [field((1, 40, 60, 10), (2, 15, 15, 8))] * 3
    daughters = [field((1, 40, 52 - t, 7), (2, 15, 15, 8), (3, 40, 68 + t, 7)) for t in range(3)]
    return mother + daughters


def test_a_mother_ends_where_two_halves_of_her_begin_on_either_side():
    tracked = track_labels(division())
    assert tracked.divisions.to_numpy().tolist() == [[3, 1, 3, 4]]
    assert tracked.tracks.to_numpy().tolist() == [
        [1, 0, 2, 0],
        [2, 0, 5, 0],
        [3, 3, 5, 1],
        [4, 3, 5, 1],
    ]
    assert kinds(tracked) == [(3, "division", "1;3;4")]


def test_a_division_is_found_though_the_mothers_last_frame_was_missed():
    movie = division()
    movie[2] = np.where(movie[2] == 1, 0, movie[2])
    tracked = track_labels(movie)
    assert tracked.divisions.to_numpy().tolist() == [[3, 1, 3, 4]]


def test_a_cell_that_enters_beside_one_that_keeps_its_size_is_no_daughter():
    # areas add up to twice the neighbor's: (ln 2 / 0.5)^2 = 1.9 > 1
    movie = [field((1, 40, 60, 8)), field((1, 40, 60, 8), (2, 40, 78, 8))]
    tracked = track_labels(movie)
    assert len(tracked.divisions) == 0
    assert kinds(tracked) == [(1, "appear", "2")]


def test_no_division_is_found_where_none_may_cost_anything():
    assert len(track_labels(division(), TrackSettings(max_division_cost=0)).divisions) == 0


def merge_and_part():
    apart = field((1, 40, 50, 8), (2, 40, 68, 8))
    return [apart, apart, np.where(apart > 0, 1, 0), np.where(apart > 0, 1, 0)] + [apart] * 2


def test_a_cell_that_vanishes_into_its_neighbor_is_a_merge_and_their_parting_no_division():
    tracked = track_labels(merge_and_part(), TrackSettings(max_gap=0))
    assert len(tracked.divisions) == 0
    assert [event[:2] for event in kinds(tracked)] == [(2, "merge"), (4, "appear")]


def test_a_lost_cell_that_its_neighbor_walks_over_is_no_merge():
    # it covers most of the small one's place, but keeps its own area
    movie = [field((1, 40, 50, 8), (2, 40, 63, 4)), field((1, 40, 56, 8))]
    assert (movie[1][movie[0] == 2] == 1).mean() > 0.5
    assert [event[1] for event in kinds(track_labels(movie))] == ["disappear"]


def test_frames_without_cells_are_a_gap_of_all():
    movie = [field((9, 40, 40, 8)), field(), field((9, 40, 40, 8))]
    tracked = track_labels(movie)
    assert tracked.tracks.to_numpy().tolist() == [[1, 0, 2, 0]]


@pytest.mark.parametrize(
    ("movie", "error", "reason"),
    [
        ([], DataError, "there are 0 frames"),
        ([field((1, 9, 9, 5))], DataError, "there are 1 frames"),
        ([field(), field()], DataError, "no cell in 2 frames"),
        ([field((1, 9, 9, 5)), field(size=(9, 9))], DataError, r"frame 1 is \(9, 9\)"),
        ([np.zeros((4, 4))] * 2, InputError, "float64"),
        ([np.full((4, 4), -1)] * 2, InputError, "least label is -1; .* 0 and above"),
        ([np.zeros((2, 4, 4), int)] * 2, InputError, r"\(2, 4, 4\)"),
    ],
)
def test_what_cannot_be_followed_is_refused(movie, error, reason):
    with pytest.raises(error, match=reason):
        track_labels(movie)


def test_micrometers_without_a_pixel_size_are_refused():
    with pytest.raises(InputError, match="pixel size is not known"):
        track_labels(division(), TrackSettings(max_distance_um=20))


@pytest.mark.parametrize(
    "settings", [{"max_gap": -1}, {"max_distance_um": 0}, {"min_overlap": 0.3}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        TrackSettings(**settings)


def segmentation(folder: Path, *movies, pixel_size_um=0.5) -> Path:
    with create_segmentation(folder, {"name": "by hand"}) as out:
        for i, movie in enumerate(movies):
            pixels = np.zeros((len(movie), 1, 1, *movie[0].shape), np.uint8)
            image = Image(pixels, [Channel("phase")], pixel_size_um=pixel_size_um)
            out.add(f"movie{i}", image, None, iter(movie))
    return folder


def test_a_folder_is_followed_written_and_read_back(tmp_path):
    folder = segmentation(tmp_path / "cells", division(), merge_and_part())
    made = track_folder(folder).tracked
    read = read_tracks(folder)
    for one, other in zip(made, read, strict=True):
        assert one.equals(other.astype(one.dtypes.to_dict()))
    assert list(read.track_of) == ["image", "frame", "label", "track"]
    assert list(read.tracks) == ["image", "track", "begin", "end", "parent"]
    assert read.divisions.to_numpy().tolist() == [["movie0", 3, 1, 3, 4]]
    with pytest.raises(FileError, match="has tracks already"):
        track_folder(folder)
    again = track_folder(folder, TrackSettings(max_division_cost=0), overwrite=True)
    assert len(again.tracked.divisions) == len(read_tracks(folder).divisions) == 0


def test_a_movie_may_be_called_na(tmp_path):
    folder = segmentation(tmp_path / "cells", division())
    track_folder(folder)
    for name in ("track_of", "tracks", "divisions", "events"):
        file = folder / f"{name}.csv"
        file.write_text(file.read_text("utf-8").replace("movie0", "NA"), "utf-8")
    assert {name for table in read_tracks(folder) for name in table["image"]} == {"NA"}


def test_stills_and_movies_without_a_cell_are_left_out_and_named(tmp_path):
    folder = segmentation(tmp_path / "cells", division()[:1], division(), [field(), field()])
    tracked, notes = track_folder(folder)
    assert notes == ("movie0 is one frame: nothing to follow", "movie2 has no cell")
    assert set(tracked.tracks["image"]) == {"movie1"}
    # 2 cells in 3 frames, 3 cells in 3 frames
    assert len(tracked.track_of) == 15
    assert export_ctc(folder, tmp_path / "ctc") == [tmp_path / "ctc" / "movie1"]


def test_a_folder_without_any_movie_stays_as_it_was(tmp_path):
    folder = segmentation(tmp_path / "cells", division()[:1])
    with pytest.raises(DataError, match="movie0 is one frame"):
        track_folder(folder)
    assert not list(folder.glob("*.csv"))
    with pytest.raises(FileError, match=r"track_of\.csv.*unstained cells track"):
        read_tracks(folder)


def test_the_command_line_follows_exports_and_scores(tmp_path, capsys):
    folder = segmentation(tmp_path / "cells", division())
    track(folder, None, 2, 1.0, tmp_path / "ctc", False)
    # 2 cells in 3 frames, 3 cells in 3 frames
    assert "15 cells in 4 tracks" in capsys.readouterr().out
    score_tracks(folder, tmp_path / "ctc" / "movie0", None, 2, False)
    shown = capsys.readouterr().out
    assert "TRA 1.0000  DET 1.0000" in shown
    assert "F1 1.000: 1 right of 1 found, 1 true" in shown


def test_tracks_exported_to_the_challenge_s_format_come_back(tmp_path):
    # a division, and a cell that is missed in frame 3
    frames = [np.maximum(image, field((9, 15, 100, 6))) for image in division()]
    frames[3] = np.where(frames[3] == 9, 0, frames[3])
    first, back = segmentation(tmp_path / "one", frames), tmp_path / "two"
    track_folder(first)
    (ctc,) = export_ctc(first, tmp_path / "ctc")
    (tmp_path / "movie0").mkdir()
    for t, image in enumerate(frames):
        tifffile.imwrite(tmp_path / "movie0" / f"t{t:03d}.tif", image.astype(np.uint16))
    drawn = segmentation_from_outlines(
        [tmp_path / "movie0"], [ctc], back, SourceOptions(pixel_size_um=0.5, movie=True)
    )
    assert drawn.tracks == {"movie0": 5}  # 2 cells, 2 daughters, the cell with the gap
    one, two = read_tracks(first), read_tracks(back)
    labels = [read_segmentation(folder)[0] for folder in (first, back)]
    of = [t.track_of.set_index(["frame", "label"])["track"].to_dict() for t in (one, two)]
    same = {0: 0}  # track of the first folder: track of the second, by the pixels that they share
    for t in range(len(frames)):
        mine, theirs = (entry.labels(t) for entry in labels)
        for a, b in np.unique(np.stack([mine[mine > 0], theirs[mine > 0]]), axis=1).T:
            assert same.setdefault(of[0][t, a], of[1][t, b]) == of[1][t, b]
        assert np.array_equal(mine > 0, theirs > 0)
    renamed = one.tracks.assign(track=one.tracks["track"].map(same))
    renamed["parent"] = renamed["parent"].map(same)
    assert renamed.sort_values("track").to_numpy().tolist() == two.tracks.to_numpy().tolist()
    assert one.events[["frame", "kind"]].equals(two.events[["frame", "kind"]])
    assert "gap" in set(two.events["kind"])
    assert len(one.divisions) == len(two.divisions) == 1


def test_truths_of_the_challenge_find_their_movies_by_name(tmp_path):
    for number in ("01", "02"):
        truth = tmp_path / f"{number}_GT" / "TRA"
        truth.mkdir(parents=True)
        (tmp_path / number).mkdir()
        for t in range(2):
            labels = field((int(number), 20, 20, 8)).astype(np.uint16)
            tifffile.imwrite(truth / f"man_track{t:03d}.tif", labels)
            tifffile.imwrite(tmp_path / number / f"t{t:03d}.tif", labels)
        (truth / "man_track.txt").write_text(f"{int(number)} 0 1 0\n")
    truths = [tmp_path / "02_GT" / "TRA", tmp_path / "01_GT"]  # the second holds the tracks, too
    movies = [tmp_path / number for number in ("01", "02")]
    segmentation_from_outlines(movies, truths, tmp_path / "cells", SourceOptions(movie=True))
    tracks = read_tracks(tmp_path / "cells").tracks
    assert tracks.to_numpy().tolist() == [["01", 1, 0, 1, 0], ["02", 2, 0, 1, 0]]


def test_scores_of_a_folder_need_the_name_of_one_of_several_images(tmp_path):
    folder = segmentation(tmp_path / "cells", division(), division())
    track_folder(folder)
    export_ctc(folder, tmp_path / "ctc")
    with pytest.raises(InputError, match="movie0, movie1"):
        score_folder(folder, tmp_path / "ctc" / "movie0")
    assert score_folder(folder, tmp_path / "ctc" / "movie0", image="movie1").tra == 1


@pytest.mark.parametrize("use", [score_folder, export_ctc])
@pytest.mark.parametrize(
    ("name", "kept", "said"),
    [
        # 2 cells in 3 frames, 3 cells in 3 frames: 15, of which the last 5 are lost
        ("track_of", 11, r"track_of\.csv lacks 5 of 15 cells; it may be cut short"),
        ("track_of", 1, r"track_of\.csv lacks 15 of 15 cells"),
        ("tracks", 4, r"track 4 of track_of\.csv is not in tracks\.csv; track again"),
        ("tracks", 1, r"track 1 of track_of\.csv is not in tracks\.csv"),
    ],
)
def test_tracks_that_were_cut_short_are_neither_scored_nor_exported(
    tmp_path, name, kept, said, use
):
    folder = segmentation(tmp_path / "cells", division())
    track_folder(folder)
    export_ctc(folder, tmp_path / "truth")
    table = folder / f"{name}.csv"
    lines = table.read_text("utf-8").splitlines(keepends=True)
    table.write_text("".join(lines[:kept]), "utf-8")
    with pytest.raises(DataError, match=said):
        use(folder, tmp_path / "truth" / ("movie0" if use is score_folder else "again"))


def test_tracks_of_a_simulated_movie_are_scored_by_its_truth(tmp_path):
    from unstained.simulate import Movie, MovieSettings, write_movie

    movie = Movie(
        MovieSettings(
            frames=10, interval_s=600, size=160, cells=2, cycle_h=1.5, markers=("CD105",), seed=3
        )
    )
    write_movie(movie, tmp_path / "truth")
    labels = movie.labels("cells")
    folder = segmentation(
        tmp_path / "cells", [np.asarray(labels[t, 0, 0]) for t in range(10)], pixel_size_um=0.65
    )
    track_folder(folder)
    scores = score_folder(folder, tmp_path / "truth")
    assert scores.det == 1  # the labels are the truth's
    assert scores.divisions["true"] > 0
    assert scores.division_f1 == 1
    assert scores.tra > 0.99
