"""The table of cells: what comes in comes out, and what it lacks is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix

from unstained.cell_table import (
    names_of,
    need_columns,
    new_cells,
    read_cells,
    traces_of,
    values_of,
    write_cells,
)
from unstained.errors import DataError, FileError, InputError


def movie(interval_s: float = 60.0) -> AnnData:
    """Tracks 1 (frames 0, 1, 3) and 2 (all) of a movie of 4 frames; totals 10 track + frame."""
    rows = [(t, track) for t in range(4) for track in (1, 2) if (t, track) != (2, 1)]
    frame, track = np.array(rows).T
    obs = pd.DataFrame(
        {
            "image": "film",
            "frame": frame,
            "time_s": frame * interval_s,
            "label": track + 5,
            "track": track,
            "parent": np.where(track == 2, 1, 0),
            "y_um": 1.0,
            "x_um": 2.0,
            "border": False,
            "neighbors": 0,
        }
    )
    total = 10.0 * track + frame
    columns = pd.DataFrame({"CD105": total, "phase": 0.0, "area_um2": 3.0})
    var = pd.DataFrame(
        {"kind": ["marker", "image", "shape"], "unit": ["grey", "grey", "um2"]},
        index=columns.columns,
    )
    return new_cells(obs, columns, var, {"mean": np.column_stack([total / 2, total, total])})


def test_values_come_back_from_the_file(tmp_path: Path) -> None:
    cells = read_cells(write_cells(movie(), tmp_path / "cells.h5ad"))
    assert names_of(cells, "marker", "shape") == ["CD105", "area_um2"]
    assert values_of(cells, ["area_um2", "CD105"])[0].tolist() == [3.0, 10.0]
    assert values_of(cells, ["CD105"], "mean")[0].tolist() == [5.0]
    assert cells.obsm["spatial"][0].tolist() == [2.0, 1.0]
    assert cells.obs_names[0] == "film/0/6"


def test_a_gap_in_a_track_is_no_number_in_its_trace() -> None:
    traces = traces_of(movie(), "CD105")
    assert traces.track.tolist() == [1, 2]
    assert traces.parent.tolist() == [0, 1]
    assert traces.time_s.tolist() == [0.0, 60.0, 120.0, 180.0]
    expected = [[10, 11, np.nan, 13], [20, 21, 22, 23]]
    np.testing.assert_array_equal(traces.values, expected)


def test_a_frame_without_cells_is_a_gap_too() -> None:
    cells = movie()
    without = cells[cells.obs["frame"] != 2].copy()
    np.testing.assert_array_equal(traces_of(without, "CD105").values[1], [20, 21, np.nan, 23])


def test_cells_that_are_not_followed_have_no_trace() -> None:
    cells = movie()
    cells.obs["track"] = np.where(cells.obs["track"] == 2, 0, cells.obs["track"])
    assert traces_of(cells, "CD105").track.tolist() == [1]
    cells.obs["track"] = 0
    with pytest.raises(DataError, match="no cell is followed"):
        traces_of(cells, "CD105")


def test_times_that_no_correlation_can_use_are_refused() -> None:
    cells = movie()
    cells.obs["time_s"] = cells.obs["time_s"] + 30.0 * (cells.obs["frame"] == 3)
    with pytest.raises(DataError, match="60 to 90 s apart"):
        traces_of(cells, "CD105")
    with pytest.raises(DataError, match="time of some frames is not known"):
        traces_of(movie(float("nan")), "CD105")
    one = movie()
    with pytest.raises(DataError, match="one frame only"):
        traces_of(one[one.obs["frame"] == 0].copy(), "CD105")


def test_a_track_that_is_twice_in_a_frame_is_refused() -> None:
    cells = movie()
    cells.obs["track"] = 1
    with pytest.raises(DataError, match="two cells in one frame"):
        traces_of(cells, "CD105")


def test_what_a_table_lacks_is_said() -> None:
    cells = movie()
    with pytest.raises(InputError, match="no CD29; there are CD105, phase, area_um2"):
        values_of(cells, ["CD29"])
    with pytest.raises(InputError, match="no layer 'low'; there are mean"):
        values_of(cells, ["CD105"], "low")
    with pytest.raises(DataError, match="no column donor; compare donors"):
        need_columns(cells, ["donor"], "compare donors")


def test_a_table_that_cannot_be_one_is_refused() -> None:
    cells = movie()
    var = pd.DataFrame({"kind": ["marker"], "unit": ["grey"]}, index=["a"])
    columns = pd.DataFrame({"a": np.zeros(cells.n_obs)})
    with pytest.raises(DataError, match="lack border"):
        new_cells(cells.obs.drop(columns="border"), columns, var)
    with pytest.raises(DataError, match="kind stain is not known"):
        new_cells(cells.obs, columns, var.assign(kind="stain"))
    with pytest.raises(DataError, match="cell film/0/6 is there twice"):
        new_cells(cells.obs.assign(frame=0, label=6), columns, var)


def test_files_that_are_no_table_of_cells_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is not there"):
        read_cells(tmp_path / "none.h5ad")
    (tmp_path / "text.h5ad").write_text("hello", "utf-8")
    with pytest.raises(FileError, match="cannot be read as a table of cells"):
        read_cells(tmp_path / "text.h5ad")
    cells = movie()
    del cells.obs["frame"]
    write_cells(cells, tmp_path / "lacks.h5ad")
    with pytest.raises(DataError, match="lacks frame"):
        read_cells(tmp_path / "lacks.h5ad")
    write_cells(movie()[:0].copy(), tmp_path / "empty.h5ad")
    with pytest.raises(DataError, match="has no cell"):
        read_cells(tmp_path / "empty.h5ad")


@pytest.mark.parametrize("none", [np.nan, -1.0])
@pytest.mark.parametrize("column", ["track", "parent"])
def test_a_blank_or_negative_track_or_parent_is_none(
    column: str, none: float, tmp_path: Path
) -> None:
    table = movie()
    table.obs[column] = [none, *table.obs[column].to_numpy(float)[1:]]
    table.write_h5ad(tmp_path / "a.h5ad")
    back = read_cells(tmp_path / "a.h5ad")
    assert back.obs[column].tolist() == [0, *movie().obs[column].tolist()[1:]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"frame": 0.5}, "column frame holds 0.5; write whole numbers"),
        ({"label": np.nan}, "column label is blank in a row"),
        ({"track": np.inf}, "column track holds inf"),
        ({"border": "False"}, "column border holds 'False'"),
        ({"border": np.nan}, "column border is blank in a row"),
        ({"image": "m", "frame": 3, "label": 7}, "cell 7 of image m, frame 3, is there twice"),
    ],
)
def test_cells_that_are_nowhere_or_twice_are_refused(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    table = movie()
    for name, value in change.items():
        table.obs[name] = value
    table.write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(DataError, match=rf"a\.h5ad: {said}"):
        read_cells(tmp_path / "a.h5ad")


def test_labels_too_large_for_a_float_stay_apart(tmp_path: Path) -> None:
    table = movie()
    table.obs["label"] = 2**60 + np.arange(table.n_obs)
    table.write_h5ad(tmp_path / "a.h5ad")
    assert read_cells(tmp_path / "a.h5ad").obs["label"].tolist() == table.obs["label"].tolist()


def test_a_sparse_table_of_another_tool_is_read_as_any_other(tmp_path: Path) -> None:
    table = movie()
    table.X = csr_matrix(table.X)
    table.layers["mean"] = csr_matrix(table.layers["mean"])
    table.write_h5ad(tmp_path / "a.h5ad")
    back = read_cells(tmp_path / "a.h5ad")
    assert values_of(back, ["area_um2", "CD105"])[0].tolist() == [3.0, 10.0]
    assert values_of(back, ["CD105"], "mean")[0].tolist() == [5.0]


def test_two_variables_of_one_name_are_refused(tmp_path: Path) -> None:
    table = movie()
    table.var_names = ["CD105", "CD105", "area_um2"]
    table.write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(DataError, match="has two variables CD105; give each its own name"):
        read_cells(tmp_path / "a.h5ad")
