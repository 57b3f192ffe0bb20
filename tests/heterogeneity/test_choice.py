"""One row for each cell, and nothing dropped without a word."""

from __future__ import annotations

import numpy as np
import pytest

from unstained.errors import DataError, InputError
from unstained.heterogeneity.choice import (
    Choice,
    choose_cells,
    column_of_rows,
    complete_values,
    groups_of,
    known_in,
    marker_names,
    varying,
)


@pytest.fixture
def movie(make_table):
    """Two followed cells over three frames, and one that is in a frame only."""
    return make_table(
        {"CD105": [1.0, 2.0, 6.0, 10.0, 20.0, 7.0]},
        frame=[0, 1, 2, 0, 1, 1],
        time_s=[0.0, 60.0, 120.0, 0.0, 60.0, 60.0],
        label=[1, 1, 1, 2, 2, 3],
        track=[1, 1, 1, 2, 2, 0],
    )


def test_a_followed_cell_is_the_mean_of_its_frames(movie):
    # (1 + 2 + 6) / 3 = 3 and (10 + 20) / 2 = 15
    chosen = choose_cells(movie)
    assert chosen.cells.X[:, 0].tolist() == [3, 15]
    assert chosen.row_of.tolist() == [0, 0, 0, 1, 1, -1]
    assert "1 rows of cells that are not followed" in chosen.notes[0]


def test_a_frame_of_a_movie_may_be_chosen(movie):
    chosen = choose_cells(movie, Choice(frame=1))
    assert chosen.cells.X[:, 0].tolist() == [2, 20, 7]
    with pytest.raises(DataError, match="no cell in frame 5; there are 0 to 2"):
        choose_cells(movie, Choice(frame=5))


def test_of_a_chosen_frame_only_its_own_cells_are_counted_as_cut(make_table):
    cells = make_table(
        {"A": np.arange(4.0)}, frame=[0, 0, 1, 1], border=[True, False, True, False], label=range(4)
    )
    kept = choose_cells(cells, Choice(frame=0))
    assert kept.cells.n_obs == 1
    assert "1 rows of cells that touch the border are left out" in kept.notes


def test_without_tracks_the_first_frame_counts(movie):
    movie.obs["track"] = 0
    chosen = choose_cells(movie)
    assert chosen.cells.X[:, 0].tolist() == [1, 10]
    assert "first frame" in chosen.notes[0]


def test_cells_at_the_border_are_left_out_unless_kept(make_table):
    cells = make_table({"CD105": [1.0, 2.0, 3.0]}, border=[True, False, False])
    assert choose_cells(cells).cells.n_obs == 2
    assert "1 rows" in choose_cells(cells).notes[0]
    assert choose_cells(cells, Choice(keep_border=True)).cells.n_obs == 3
    cells.obs["border"] = True
    with pytest.raises(DataError, match="all cells touch the border"):
        choose_cells(cells)


def test_a_table_that_does_not_say_which_cells_are_cut_is_noted(make_table):
    table = make_table({"CD29": [1.0, 2.0]})
    assert choose_cells(table).notes == ()
    del table.obs["border"]
    chosen = choose_cells(table)
    assert chosen.cells.n_obs == 2
    assert chosen.notes == (
        "the table has no column border: cells that the image's edge cuts are counted as whole",
    )
    assert choose_cells(table, Choice(keep_border=True)).notes == ()


def test_where_takes_any_of_a_column_and_all_columns(make_table):
    cells = make_table({"A": np.arange(4.0)}, passage=[3, 3, 4, 5], donor=["x", "y", "x", "x"])
    where = {"passage": ["3", "4.0"], "donor": ["x"]}
    assert choose_cells(cells, Choice(where)).cells.X[:, 0].tolist() == [0, 2]
    with pytest.raises(DataError, match="no cell has donor=z; there are donor: x, y"):
        choose_cells(cells, Choice({"donor": ["z"]}))
    with pytest.raises(DataError, match="no column medium"):
        choose_cells(cells, Choice({"medium": ["z"]}))


def test_a_variable_that_no_cell_has_goes_before_cells_do(make_table):
    cells = make_table({"A": [1.0, 2, 3, np.nan], "B": [4.0, 6, 5, 1], "C": [np.nan] * 4})
    kept = complete_values(cells, ["A", "B", "C"])
    assert kept.names == ("A", "B")
    assert kept.rows.tolist() == [0, 1, 2]
    assert kept.notes == ("no cell has C: left out", "1 of 4 cells lack a value: left out")


def test_too_few_complete_cells_name_the_marker_that_is_missing(make_table):
    cells = make_table({"A": [1.0, 2, 3, 4], "B": [np.nan, np.nan, 5, np.nan]})
    with pytest.raises(DataError, match="B is there in 1"):
        complete_values(cells, ["A", "B"])


def test_a_constant_variable_is_left_out_by_name(make_table):
    cells = make_table({"A": [0.1] * 3, "B": [1.0, 2, 3]})
    kept = complete_values(cells, ["A", "B"])
    assert kept.names == ("B",)
    assert kept.values.tolist() == [[1], [2], [3]]
    assert kept.notes == ("A: the same in all 3 cells: left out",)
    assert varying(cells, ["A", "B"]) == (["B"], ("A is the same in all 3 cells: left out",))


def test_constants_alone_and_one_cell_are_refused(make_table):
    same = make_table({"A": [0.1] * 3, "B": [np.nan] * 3})
    with pytest.raises(DataError, match="A: the same in all 3 cells"):
        complete_values(same, ["A", "B"])
    with pytest.raises(DataError, match=r"A is the same in all 3 cells.*; B is known of 0 cells"):
        varying(same, ["A", "B"])
    with pytest.raises(DataError, match="1 of 1 cells"):
        complete_values(make_table({"A": [1.0]}), ["A"])


def test_no_marker_at_all_is_said_in_words(make_table):
    with pytest.raises(InputError, match="no variable is chosen; there are CD29, CD44"):
        varying(make_table({"CD29": [1.0, 2.0], "CD44": [1.0, 2.0]}), [])


def test_wells_of_one_name_on_two_donors_are_two_groups(make_table):
    cells = make_table({"A": np.arange(4.0)}, well=["W1", "W2"] * 2, donor=["x", "x", "y", "y"])
    assert groups_of(cells, "well").tolist() == ["x/W1", "x/W2", "y/W1", "y/W2"]
    assert groups_of(cells, "donor").tolist() == ["x", "x", "y", "y"]


def test_a_well_of_an_unknown_donor_is_not_known(make_table):
    cells = make_table({"A": np.arange(3.0)}, well=["W1", "W1", None], donor=["x", None, "x"])
    assert known_in(cells, ("well",)).tolist() == [True, False, False]
    assert known_in(cells, ("donor",)).tolist() == [True, False, True]
    with pytest.raises(DataError, match="2 of 3 cells have no well or donor"):
        groups_of(cells, "well")


def test_a_new_column_is_empty_where_no_cell_was_chosen(movie):
    column = column_of_rows(choose_cells(movie), np.array([1]), ["yes"])
    assert [str(v) for v in column] == ["nan", "nan", "nan", "yes", "yes", "nan"]


def test_unknown_markers_and_cells_without_a_group_are_refused(make_table):
    cells = make_table({"A": [1.0, 2.0]}, donor=["x", None])
    with pytest.raises(InputError, match="no marker CD9; there are A"):
        marker_names(cells, ["CD9"])
    with pytest.raises(DataError, match="1 of 2 cells have no donor"):
        groups_of(cells, "donor")


def test_a_call_of_a_later_frame_is_the_followed_cells(make_table):
    cells = make_table({"CD105": [1.0, 3.0]}, frame=[0, 1], track=7)
    cells.obs["phenotype"] = [None, "FC"]
    assert choose_cells(cells).cells.obs["phenotype"].tolist() == ["FC"]
