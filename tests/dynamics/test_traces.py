"""Traces of markers: who is followed, who descends from whom, and the command that writes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from unstained.cell_table import new_cells, read_cells, write_cells
from unstained.cli.dynamics_snapshots import _frames
from unstained.cli.dynamics_traces import correlation, traces
from unstained.dynamics.traces import lineages, marker_traces, trace_table
from unstained.errors import DataError, InputError


def cells_of(rows, **columns):
    """A table from (frame, track, parent, border) and values of markers; a band of +- 10 %."""
    frame, track, parent, border = map(np.array, zip(*rows, strict=True))
    obs = pd.DataFrame(
        {
            "image": "a",
            "frame": frame,
            "time_s": 120.0 * frame,
            "label": np.arange(len(rows)) + 1,
            "track": track,
            "parent": parent,
            "y_um": 0.0,
            "x_um": 0.0,
            "border": border,
            "neighbors": 0,
        }
    )
    values = pd.DataFrame(columns)
    var = pd.DataFrame({"kind": "marker", "unit": "grey"}, index=list(columns))
    return new_cells(obs, values, var, {"low": 0.9 * values, "high": 1.1 * values})


def mother_and_daughters():
    """Track 1 lives for frames 0 and 1, its daughters 2 and 3 for frames 2 and 3."""
    rows = [(0, 1, 0, False), (1, 1, 0, False)]
    rows += [(t, k, 1, k == 3 and t == 3) for t in (2, 3) for k in (2, 3)]
    return cells_of(rows, CD29=[10.0, 20, 30, 40, 50, 60])


def test_daughters_are_of_their_mother_s_lineage() -> None:
    found = marker_traces(mother_and_daughters(), border=True)
    assert found.track.tolist() == [1, 2, 3]
    assert found.lineage.tolist() == ["a/1", "a/1", "a/1"]
    nan = np.nan
    expected = [[10, 20, nan, nan], [nan, nan, 30, 50], [nan, nan, 40, 60]]
    np.testing.assert_array_equal(found.values[0], expected)
    assert found.time_min.tolist() == [0, 2, 4, 6]


def test_a_cell_that_is_cut_off_by_the_image_s_edge_has_no_total() -> None:
    found = marker_traces(mother_and_daughters(), least_frames=1)
    np.testing.assert_array_equal(found.values[0, 2], [np.nan, np.nan, 40, np.nan])


def test_cells_seen_too_shortly_are_left_out() -> None:
    found = marker_traces(mother_and_daughters(), least_frames=2)
    assert found.track.tolist() == [1, 2]  # 3 touches the edge in one of two frames
    with pytest.raises(DataError, match="3 frames"):
        marker_traces(mother_and_daughters(), least_frames=3)


def test_the_band_stands_beside_each_value() -> None:
    table = trace_table(marker_traces(mother_and_daughters()))
    assert len(table) == 4
    np.testing.assert_allclose(table["low"], 0.9 * table["value"], rtol=1e-6)
    np.testing.assert_allclose(table["high"], 1.1 * table["value"], rtol=1e-6)


def test_a_layer_is_followed_in_place_of_totals_and_has_no_band() -> None:
    cells = mother_and_daughters()
    cells.layers["mean"] = cells.X / 5
    found = marker_traces(cells, layer="mean")
    np.testing.assert_allclose(found.values[0, 0, :2], [2, 4])
    assert found.low is None
    with pytest.raises(InputError, match="no layer 'median'"):
        marker_traces(cells, layer="median")


def test_sisters_whose_mother_was_left_out_are_one_lineage() -> None:
    # 4 is the daughter of 2; 1 itself was not followed
    assert lineages(["a"] * 3 + ["b"], [2, 3, 4, 2], [1, 1, 2, 0]).tolist() == [
        "a/1",
        "a/1",
        "a/1",
        "b/2",
    ]


def test_a_cell_that_is_its_own_ancestor_is_refused() -> None:
    with pytest.raises(DataError, match="own ancestor"):
        lineages(["a", "a"], [1, 2], [2, 1])


def test_a_table_without_markers_or_with_cells_at_the_edge_only_is_refused() -> None:
    cells = mother_and_daughters()
    with pytest.raises(InputError, match="CD105"):
        marker_traces(cells, ["CD105"])
    cells.obs["border"] = True
    with pytest.raises(DataError, match="edge"):
        marker_traces(cells)
    cells.var["kind"] = "image"
    with pytest.raises(DataError, match="no marker"):
        marker_traces(cells)


# the commands


def app():
    commands = typer.Typer()
    commands.command()(traces)
    commands.command()(correlation)
    return commands


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    """20 cells, 120 frames, two markers that fluctuate with tau 10 frames, one of them noisy."""
    rng = np.random.default_rng(0)
    x = np.zeros((20, 120, 2))
    rho = np.exp(-1 / 10)
    for t in range(1, 120):
        x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * rng.standard_normal((20, 2))
    x = (1 + rng.random((20, 1, 1))) * np.exp(0.1 * x)
    rows = [(t, c + 1, 0, False) for c in range(20) for t in range(120)]
    cells = cells_of(rows, CD29=x[..., 0].ravel(), CD44=x[..., 1].ravel())
    return write_cells(cells, tmp_path_factory.mktemp("cells") / "cells.h5ad")


def test_traces_writes_every_cell_and_a_figure(file, tmp_path) -> None:
    result = CliRunner().invoke(app(), ["traces", str(file), "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "20 cells of 20 lineages, 120 frames every 2 min, 2 markers" in result.output
    assert len(pd.read_csv(tmp_path / "traces.csv")) == 20 * 120 * 2
    assert (tmp_path / "traces.png").stat().st_size > 10_000
    assert (tmp_path / "traces.svg").is_file()


def test_a_layer_is_asked_for_by_its_name(file, tmp_path) -> None:
    arguments = ["traces", str(file), "--out", str(tmp_path), "--layer", "high"]
    result = CliRunner().invoke(app(), arguments)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(tmp_path / "traces.csv")
    assert "low" not in table
    high = read_cells(file).layers["high"]
    assert table["value"].mean() == pytest.approx(float(high.mean()), rel=1e-5)


def test_detrended_traces_keep_the_width_of_their_band(file, tmp_path) -> None:
    arguments = ["traces", str(file), "--out", str(tmp_path), "--detrend", "mean"]
    assert CliRunner().invoke(app(), arguments).exit_code == 0
    table = pd.read_csv(tmp_path / "traces.csv")
    assert table.groupby(["marker", "track"])["value"].mean().abs().max() < 1e-5
    assert ((table["low"] < table["value"]) & (table["value"] < table["high"])).all()


def test_correlation_tells_both_correlations_and_the_times(file, tmp_path) -> None:
    result = CliRunner().invoke(app(), ["correlation", str(file), "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "CD29: correlation time" in result.output
    said = json.loads((tmp_path / "correlation.json").read_text("utf-8"))
    low, high = said["correlation_times"]["CD29"]["interval"]
    assert low < 20 < high
    # both markers have the cell's own level: one over cells, none over time
    assert said["overall"]["r"][0][1] > 0.9
    assert abs(said["fluctuation"]["r"][0][1]) < 0.2
    for name in ("correlations", "correlation_times", "autocorrelation", "spectra", "periods"):
        assert (tmp_path / f"{name}.csv").is_file()
    for name in ("correlations", "autocorrelation", "spectra"):
        assert (tmp_path / f"{name}.png").is_file()
        assert (tmp_path / f"{name}.svg").is_file()


def test_a_constant_marker_is_named(tmp_path) -> None:
    rows = [(t, c, 0, False) for c in (1, 2) for t in range(20)]
    changing = np.random.default_rng(0).random(40)
    path = write_cells(cells_of(rows, CD29=changing, CD44=np.full(40, 7.0)), tmp_path / "c.h5ad")
    result = CliRunner().invoke(app(), ["correlation", str(path), "--out", str(tmp_path)])
    assert isinstance(result.exception, DataError)
    assert str(result.exception).startswith(f"{path}: CD44: the traces are constant")


def test_cells_left_out_are_counted(tmp_path) -> None:
    rows = [(t, c, 0, False) for c in (1, 2) for t in range(20)]
    rows += [(t, 3, 0, True) for t in range(20)]
    path = write_cells(
        cells_of(rows, CD29=np.random.default_rng(0).random(60)), tmp_path / "c.h5ad"
    )
    result = CliRunner().invoke(app(), ["traces", str(path), "--out", str(tmp_path)])
    assert "1 of 3 followed cells left out: fewer than 10 frames away" in result.output


def test_frames_written_as_words_are_refused_by_the_table_s_name(tmp_path) -> None:
    cells = mother_and_daughters()
    cells.obs["frame"] = [f"t{t}" for t in cells.obs["frame"]]
    path = write_cells(cells, tmp_path / "words.h5ad")
    with pytest.raises(DataError, match=r"words\.h5ad: column frame holds 't0', not a number"):
        read_cells(path)


def test_snapshots_are_refused_outside_the_movie() -> None:
    # frames every half hour, the last at 2 h
    assert _frames(None, 0.5, 4) == [0, 1, 3, 4]
    assert _frames("0, 1.6", 0.5, 4) == [0, 3]
    with pytest.raises(InputError, match="hours 0 to 2"):
        _frames("3", 0.5, 4)
    with pytest.raises(InputError, match="write numbers"):
        _frames("noon", 0.5, 4)
    with pytest.raises(InputError, match="hours 0 to 2"):
        _frames(",", 0.5, 4)


def test_an_unknown_detrending_is_refused(file, tmp_path) -> None:
    arguments = ["correlation", str(file), "--out", str(tmp_path), "--detrend"]
    for name in ("cubic", "none"):
        result = CliRunner().invoke(app(), [*arguments, name])
        assert isinstance(result.exception, InputError)
