"""From a movie to the figures of single cells, as a user would go."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unstained.cell_table import OBS_COLUMNS, names_of, read_cells
from unstained.cells import SHAPE_FEATURES
from unstained.cli.main import main

MARKERS = "CD105,CD29"


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    return int(left.value.code or 0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated movie of dividing cells, outlined, followed and measured."""
    home = tmp_path_factory.mktemp("cells")
    movie = home / "movie"
    size = ("--frames", 24, "--interval", 600, "--size", 448, "--cells", 10, "--cycle-h", 6)
    assert run("simulate", "movie", "--out", movie, "--markers", MARKERS, *size) == 0
    zarr = movie / "movie.ome.zarr"
    labels = zarr / "labels" / "cells"
    outlined = ("--outlines", labels, "--out", home / "seg")
    assert run("cells", "outline", f"{zarr}#phase", *outlined) == 0
    assert run("cells", "track", home / "seg") == 0
    measured = ("--channels", MARKERS, "--out", home / "cells.h5ad")
    assert run("cells", "measure", home / "seg", *measured) == 0
    return home


def test_one_table_has_every_cell_of_every_frame(home: Path) -> None:
    cells = read_cells(home / "cells.h5ad")
    truth = pd.read_csv(home / "movie" / "shape.csv")
    # cells whose pixels all lie under others have no outline
    assert 0.97 * len(truth) <= cells.n_obs <= len(truth)
    assert set(OBS_COLUMNS) <= set(cells.obs.columns)
    assert names_of(cells, "marker") == ["CD105", "CD29"]
    assert names_of(cells, "shape") == list(SHAPE_FEATURES)
    assert np.isfinite(cells.obs["time_s"]).all()
    assert (cells.obs["parent"] > 0).any()


def test_tracks_agree_with_the_true_lineage(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cells", "score-tracks", home / "seg", home / "movie", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["tra"] > 0.97
    assert said["division_f1"] > 0.8


@pytest.mark.parametrize(
    ("words", "files"),
    [
        (("heterogeneity", "distributions"), ("distributions.svg",)),
        (("heterogeneity", "clusters"), ("cells.h5ad",)),
        (("heterogeneity", "phenotypes"), ("cells.h5ad",)),
        (("heterogeneity", "components"), ()),
        (("dynamics", "traces"), ("traces.csv", "traces.png")),
        (("dynamics", "correlation"), ("correlation.json", "autocorrelation.svg")),
        (("dynamics", "kymograph"), ("kymograph.csv", "kymograph.png")),
        (("dynamics", "divisions", "--border"), ("inheritance.csv", "divisions.png")),
        (("dynamics", "error", "--relative-error", "0.05"), ("model_error.csv",)),
    ],
    ids=lambda value: (
        value[1] if len(value) > 1 and value[0] in ("heterogeneity", "dynamics") else ""
    ),
)
def test_each_command_takes_the_table(
    words: tuple[str, ...], files: tuple[str, ...], home: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run(*words[:2], home / "cells.h5ad", "--out", out, *words[2:]) == 0
    written = {path.name for path in out.iterdir()}
    assert written >= set(files)
    assert any(name.endswith((".csv", ".h5ad")) for name in written)


def test_snapshots_of_a_table_without_paths_take_those_given(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = read_cells(home / "cells.h5ad")
    del cells.uns["unstained"]["sources"]
    cells.write_h5ad(tmp_path / "moved.h5ad")
    words = ("dynamics", "snapshots", tmp_path / "moved.h5ad", "--out", tmp_path / "out")
    assert run(*words) == 1
    assert "give --segmentation DIR and --stains DIR" in capsys.readouterr().err
    shutil.copytree(home / "movie" / "movie.ome.zarr", tmp_path / "stains" / "movie.ome.zarr")
    given = ("--segmentation", home / "seg", "--stains", tmp_path / "stains")
    assert run(*words, *given, "--markers", MARKERS) == 0
    # 24 frames of 10 min: the last at 3.83 h
    assert "movie at 0, 1.33, 2.5, 3.83 h" in capsys.readouterr().out
    assert (tmp_path / "out" / "snapshots.png").is_file()


@pytest.mark.parametrize("command", ["traces", "correlation"])
def test_cells_that_were_not_followed_are_refused_with_the_command_that_follows_them(
    command: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = read_cells(home / "cells.h5ad")
    cells.obs["track"] = 0
    cells.write_h5ad(tmp_path / "loose.h5ad")
    assert run("dynamics", command, tmp_path / "loose.h5ad", "--out", tmp_path / "out") == 1
    assert "unstained cells track" in capsys.readouterr().err


def test_one_cell_has_a_correlation_over_time_and_none_over_cells(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = read_cells(home / "cells.h5ad")
    longest = cells.obs["track"].value_counts().index[0]
    cells[cells.obs["track"] == longest].copy().write_h5ad(tmp_path / "one.h5ad")
    out = tmp_path / "out"
    assert run("dynamics", "correlation", tmp_path / "one.h5ad", "--border", "--out", out) == 0
    said = capsys.readouterr().out
    assert "CD105 and CD29: fluctuation" in said
    assert "three that differ are needed" in said
    assert "one lineage has no intervals" in said
    assert "nan" not in said


def test_a_table_that_is_not_there_is_named_with_the_command_that_makes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("heterogeneity", "clusters", tmp_path / "no.h5ad", "--out", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "no.h5ad" in said
    assert "unstained cells measure" in said
