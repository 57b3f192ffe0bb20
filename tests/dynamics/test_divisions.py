"""What daughters get of their mother, against hand arithmetic and the simulator's lineages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from unstained.cell_table import new_cells, write_cells
from unstained.cli.dynamics_checks import divisions
from unstained.dynamics.divisions import DivisionSettings, division_levels, inheritance
from unstained.errors import DataError, InputError
from unstained.simulate import Movie, MovieSettings

Array = np.ndarray[Any, Any]


def _table(rows: list[tuple[str, int, int, int, float]], interval_s: float = 600.0) -> Any:
    """AnnData of (image, frame, track, parent, level of marker A)."""
    obs = pd.DataFrame(
        [
            {
                "image": image,
                "frame": frame,
                "time_s": frame * interval_s,
                "label": track,
                "track": track,
                "parent": parent,
                "y_um": 0.0,
                "x_um": 0.0,
                "border": False,
                "neighbors": 0,
            }
            for image, frame, track, parent, _ in rows
        ]
    )
    var = pd.DataFrame({"kind": ["marker"], "unit": ["grey"]}, index=["A"])
    return new_cells(obs, pd.DataFrame({"A": [row[4] for row in rows]}), var)


def _three_divisions() -> Any:
    # (mother, daughters): sums 8, 9 and 12 over mothers of 10, 10 and 10
    rows = []
    for i, (first, second) in enumerate([(6.0, 2.0), (4.0, 5.0), (3.0, 9.0)]):
        image = f"movie{i}"
        rows += [(image, 0, 1, 0, 90.0), (image, 1, 1, 0, 10.0)]
        rows += [(image, 2, 2, 1, first), (image, 2, 3, 1, second), (image, 3, 2, 1, 70.0)]
    return _table(rows)


def _from_lineage(movie: Movie) -> Any:
    """A table of the levels of all cells of a simulated movie, without rendering it."""
    return _table(
        [
            ("movie", track.begin + i, track.label, track.parent, float(level))
            for track in movie.tracks
            for i, level in enumerate(track.level[:, 0])
        ],
        movie.settings.interval_s,
    )


def test_asymmetry_is_the_difference_over_the_sum_of_the_first_frames():
    levels = division_levels(_three_divisions(), DivisionSettings(window_min=0))
    # |6 - 2| / 8, |4 - 5| / 9, |3 - 9| / 12
    assert levels["asymmetry"].tolist() == pytest.approx([0.5, 1 / 9, 0.5])
    assert levels["mother_level"].tolist() == [10, 10, 10]
    assert levels["frame"].tolist() == [2, 2, 2]


def test_a_window_averages_the_frames_next_to_the_division():
    # two frames of 10 min: the mother's (90 + 10) / 2, daughter 2's (6 + 70) / 2
    levels = division_levels(_three_divisions(), DivisionSettings(window_min=20))
    assert levels["mother_level"].tolist() == pytest.approx([50, 50, 50])
    assert levels["level_1"].tolist() == pytest.approx([38, 37, 36.5])
    # daughter 3 was seen once: half of the window is enough, all of it is not
    assert levels["level_2"].tolist() == pytest.approx([2, 5, 9])
    strict = division_levels(_three_divisions(), DivisionSettings(window_min=20, least_share=1))
    assert strict["level_2"].isna().all()


def test_skipped_minutes_are_left_out_on_both_sides():
    levels = division_levels(_three_divisions(), DivisionSettings(window_min=0, skip_min=10))
    assert levels["mother_level"].tolist() == [90, 90, 90]
    assert levels["level_1"].tolist() == [70, 70, 70]
    assert levels["level_2"].isna().all()


def test_daughters_sum_over_the_mother_is_a_geometric_mean():
    levels = division_levels(_three_divisions(), DivisionSettings(window_min=0))
    result = inheritance(levels, DivisionSettings(draws=100))[0]
    # cube root of 0.8 * 0.9 * 1.2
    assert result.sum_over_mother.estimate == pytest.approx(0.864 ** (1 / 3))
    assert result.mean_over_mother.estimate == pytest.approx(0.864 ** (1 / 3) / 2)
    assert result.asymmetry.estimate == pytest.approx((0.5 + 1 / 9 + 0.5) / 3)
    assert (result.divisions, result.families) == (3, 3)
    # one division in each movie: nothing to deal anew
    assert np.isnan(result.sister_p)


@pytest.fixture(scope="module")
def lineage() -> Movie:
    # 60 founders over four generations, none of which is rendered
    return Movie(
        MovieSettings(
            frames=240,
            interval_s=600,
            size=4096,
            cells=60,
            markers=("CD105",),
            cycle_h=10,
            death_per_h=0,
            mother_daughter=0.7,
            partition=0.3,
            seed=3,
        )
    )


def test_the_simulated_inheritance_is_recovered(lineage: Movie):
    levels = division_levels(_from_lineage(lineage), DivisionSettings(window_min=0))
    result = inheritance(levels, DivisionSettings(draws=300))[0]
    assert result.divisions > 300
    # a daughter is c m + sqrt(1 - c^2) e, the e of sisters correlated by -partition
    c, partition = 0.7, 0.3
    for interval, truth in (
        (result.mother_r, c),
        (result.sister_r, c**2 - (1 - c**2) * partition),
        (result.sister_r_given_mother, -partition),
    ):
        # twice the half width of its interval; a wrong formula is farther away
        half = (interval.high - interval.low) / 2
        assert abs(interval.estimate - truth) < min(2 * half, 0.12)
    assert result.sister_p < 0.05
    assert result.asymmetry.estimate < result.random_asymmetry
    assert result.asymmetry_p < 0.05


def test_random_pairs_of_cells_show_no_inheritance(lineage: Movie):
    levels = division_levels(_from_lineage(lineage), DivisionSettings(window_min=0))
    rng = np.random.default_rng(0)
    newborn = rng.permutation(levels[["level_1", "level_2"]].to_numpy().ravel())
    levels[["level_1", "level_2"]] = newborn.reshape(-1, 2)
    result = inheritance(levels, DivisionSettings(draws=300))[0]
    assert result.sister_p > 0.05
    assert result.sister_r.low < 0 < result.sister_r.high
    assert result.mother_r.low < 0 < result.mother_r.high


def test_a_level_that_is_not_positive_leaves_its_division_out():
    rows = _three_divisions()
    levels = division_levels(rows, DivisionSettings(window_min=0))
    more = levels.iloc[[0]].assign(level_1=-1.0)
    result = inheritance(pd.concat([levels, more]), DivisionSettings(draws=100))[0]
    assert (result.divisions, result.left_out) == (3, 1)


def test_tracks_without_daughters_are_refused():
    with pytest.raises(DataError, match="no track has two daughters"):
        division_levels(_table([("m", 0, 1, 0, 1.0), ("m", 1, 1, 0, 1.0)]))


def test_three_daughters_are_no_division():
    rows = [("m", 0, 1, 0, 1.0), *(("m", 1, k, 1, 1.0) for k in (2, 3, 4))]
    with pytest.raises(DataError, match="two daughters"):
        division_levels(_table(rows))


def test_too_few_divisions_are_refused():
    levels = division_levels(_three_divisions(), DivisionSettings(window_min=0))
    with pytest.raises(DataError, match="2 divisions with positive levels"):
        inheritance(levels.iloc[:2])


def test_too_few_divisions_are_refused_with_their_reasons_and_what_helps_most():
    cells = _three_divisions()
    settings = DivisionSettings(window_min=0)
    cells.obs["border"] = True
    with pytest.raises(DataError, match=r"0 divisions .* of 3.* 3 where a cell touches.*--border"):
        inheritance(division_levels(cells, settings))
    kept = division_levels(cells, DivisionSettings(window_min=0, border=True))
    assert kept["left_out"].tolist() == ["", "", ""]
    cells = _three_divisions()
    # movie0 at the edge, movie1 and movie2 below 0
    cells.obs["border"] = (cells.obs["image"] == "movie0").to_numpy()
    cells.X[(cells.obs["image"] != "movie0").to_numpy()] *= -1
    levels = division_levels(cells, settings)
    assert levels["left_out"].tolist() == ["edge", "not positive", "not positive"]
    with pytest.raises(DataError, match="look at the background"):
        inheritance(levels)
    late = division_levels(_three_divisions(), DivisionSettings(window_min=0, skip_min=10))
    assert late["left_out"].tolist() == ["unseen"] * 3
    with pytest.raises(DataError, match="another window"):
        inheritance(late)


def test_frames_that_are_unequally_spaced_are_refused():
    cells = _three_divisions()
    cells.obs["time_s"] += 5000.0 * (cells.obs["frame"] == 3)
    with pytest.raises(DataError, match="600 to 5600 s apart"):
        division_levels(cells)


def test_a_constant_marker_is_refused():
    levels = division_levels(_three_divisions(), DivisionSettings(window_min=0))
    with pytest.raises(DataError, match="same in all newborn"):
        inheritance(levels.assign(level_1=5.0, level_2=5.0))


def test_a_track_that_is_its_own_ancestor_is_refused():
    rows = [("m", 0, 1, 2, 1.0), ("m", 1, 2, 1, 1.0), ("m", 1, 3, 1, 1.0)]
    with pytest.raises(DataError, match="own ancestor"):
        division_levels(_table(rows))


def test_a_table_without_parents_is_refused():
    table = _three_divisions()
    del table.obs["parent"]
    with pytest.raises(DataError, match="no column parent"):
        division_levels(table)


def test_a_negative_window_is_refused():
    with pytest.raises(InputError, match="window_min is -1"):
        DivisionSettings(window_min=-1)


def test_a_marker_without_values_is_left_out_with_a_note(tmp_path) -> None:
    one = _three_divisions()
    columns = pd.DataFrame({"A": one.X[:, 0], "B": np.nan})
    var = pd.DataFrame({"kind": "marker", "unit": "grey"}, index=["A", "B"])
    path = write_cells(new_cells(one.obs, columns, var), tmp_path / "cells.h5ad")
    commands = typer.Typer()
    commands.command()(divisions)
    arguments = [str(path), "--out", str(tmp_path / "out"), "--window-min", "0"]
    result = CliRunner().invoke(commands, arguments)
    assert result.exit_code == 0, result.output
    assert "note: left out: B: 0 divisions with positive levels" in result.output
    assert pd.read_csv(tmp_path / "out" / "inheritance.csv")["marker"].tolist() == ["A"]
