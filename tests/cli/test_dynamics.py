"""Commands of `unstained dynamics`: which table is meant, what it lacks, what was left before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from typer.testing import CliRunner

from unstained.cell_table import new_cells, write_cells
from unstained.cli._tables import new_folder
from unstained.cli.dynamics import app
from unstained.errors import DataError, FileError, InputError, contents_of
from unstained.images import as_image, write_ome_zarr

FRAMES, CELLS = 40, 12


def table(**changes: Any) -> AnnData:
    """12 cells over 40 frames of 4 min; CD29 lasts ten frames, CD44 is new in each."""
    rng = np.random.default_rng(0)
    slow = np.zeros((CELLS, FRAMES))
    for t in range(1, FRAMES):
        slow[:, t] = 0.9 * slow[:, t - 1] + 0.4 * rng.standard_normal(CELLS)
    frame, cell = np.tile(np.arange(FRAMES), CELLS), np.repeat(np.arange(CELLS), FRAMES)
    obs = pd.DataFrame(
        {
            "image": "m",
            "frame": frame,
            "time_s": 240.0 * frame,
            "label": cell + 1,
            "track": cell + 1,
            "parent": 0,
            "y_um": 0.0,
            "x_um": 0.0,
            "border": False,
            "neighbors": 0,
        }
    ).assign(**changes)
    values = pd.DataFrame(
        {
            "CD29": np.exp(0.2 * slow.ravel()),
            "CD44": np.exp(0.2 * rng.standard_normal(slow.size)),
            "area_um2": 100 + rng.random(slow.size),
        }
    )
    var = pd.DataFrame({"kind": ["marker", "marker", "shape"], "unit": ""}, index=values.columns)
    return new_cells(obs, values, var)


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cells(table(), tmp_path_factory.mktemp("cells") / "whole.h5ad")


def lacking(folder: Path, *columns: str) -> Path:
    cells = table()
    cells.obs = cells.obs.drop(columns=list(columns))
    return write_cells(cells, folder / "lacking.h5ad")


def test_an_error_is_about_the_table_unless_it_names_a_file() -> None:
    for kind in (DataError, InputError):
        with pytest.raises(kind, match=r"^a\.h5ad: no cell; look$"), contents_of(Path("a.h5ad")):
            raise kind("no cell", "look")
    with pytest.raises(DataError, match=r"^b\.tif: dark$"), contents_of(Path("a.h5ad")):
        raise DataError("dark", file="b.tif")


def test_a_table_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    cells = table()
    one = write_cells(cells[cells.obs["frame"] == 0].copy(), tmp_path / "one.h5ad")
    for command in ("traces", "correlation"):
        result = run(command, one, "--out", tmp_path / "out")
        assert str(result.exception).startswith(f"{one}: there is one frame only")


def test_of_two_tables_the_one_at_fault_is_named(tmp_path: Path, whole: Path) -> None:
    one = write_cells(table()[:20].copy(), tmp_path / "few.h5ad")
    cells = table()
    del cells.obs["track"]
    loose = write_cells(cells, tmp_path / "loose.h5ad")
    result = run("error", whole, "--truth", loose, "--out", tmp_path / "out")
    assert str(result.exception).startswith(f"{loose}: the cells have no column track")
    result = run("validity", whole, "--reference", one, "--group", "donor", "--out", tmp_path)
    assert str(result.exception).startswith(f"{one}: the cells have no column donor")


def test_without_times_the_interval_is_asked_for_and_not_the_tracks(tmp_path: Path) -> None:
    path = lacking(tmp_path, "time_s")
    for command in ("traces", "divisions"):
        result = run(command, path, "--out", tmp_path / "out")
        assert "no column time_s; give --frame-interval" in str(result.exception)


def test_columns_that_a_table_lacks_are_taken_for_nothing_else_in_silence(
    tmp_path: Path, whole: Path
) -> None:
    path = lacking(tmp_path, "border", "parent")
    out = tmp_path / "out"
    for arguments in (["traces", path], ["error", path, "--relative-error", "0.05"]):
        said = run(*arguments, "--out", out).output
        assert f"note: {path} has no column border: cells that the image's edge cuts" in said
        assert f"note: {path} has no column parent: mothers and daughters count" in said
    assert "has no column" not in run("traces", whole, "--out", out).output
    said = run("traces", path, "--out", out, "--border").output
    assert "no column parent" in said
    assert "no column border" not in said


def test_frames_that_are_there_are_counted_and_their_interval_told(tmp_path: Path) -> None:
    cells = table()
    frame = cells.obs["frame"].to_numpy()
    path = write_cells(cells[frame % 2 == 0].copy(), tmp_path / "half.h5ad")
    assert "20 frames every 8 min, " in run("traces", path, "--out", tmp_path / "out").output
    path = write_cells(cells[frame % 4 != 3].copy(), tmp_path / "most.h5ad")
    # frames 0 to 38, without 3, 7 ... 35
    said = run("traces", path, "--out", tmp_path / "out").output
    assert "39 frames every 4 min (9 without a cell), " in said


def test_results_of_an_earlier_table_do_not_stay_beside_new_ones(
    tmp_path: Path, whole: Path
) -> None:
    assert run("correlation", whole, "--out", tmp_path).exit_code == 0
    assert (tmp_path / "spectra.csv").is_file()
    assert (tmp_path / "correlations.csv").is_file()
    (tmp_path / "mine.csv").write_text("a\n", "utf-8")
    result = run("correlation", whole, "--markers", "CD44", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "note: no spectra and periods: no marker has a correlation time" in result.output
    assert "note: no correlations: they need two markers" in result.output
    gone = ("spectra.csv", "spectra.png", "periods.csv", "correlations.csv", "correlations.svg")
    assert not [name for name in gone if (tmp_path / name).exists()]
    assert (tmp_path / "mine.csv").exists()
    assert list(json.loads((tmp_path / "correlation.json").read_text("utf-8"))["periods"]) == []


def test_correlations_of_errors_of_an_earlier_run_go_with_it(tmp_path: Path, whole: Path) -> None:
    arguments = ["error", whole, "--relative-error", "0.05", "--out", tmp_path]
    assert run(*arguments).exit_code == 0
    assert (tmp_path / "error_correlations.csv").is_file()
    assert run(*arguments, "--markers", "CD29").exit_code == 0
    assert not (tmp_path / "error_correlations.csv").exists()


def test_figures_of_movies_that_another_table_had_go_with_it(tmp_path: Path, whole: Path) -> None:
    images = np.repeat(["a", "NA"], CELLS * FRAMES // 2)
    two = write_cells(table(image=images), tmp_path / "two.h5ad")
    arguments = ["--reference", whole, "--out", tmp_path]
    assert run("validity", two, *arguments).exit_code == 0
    assert (tmp_path / "validity-NA.png").is_file()
    assert run("validity", whole, *arguments).exit_code == 0
    assert sorted(path.name for path in tmp_path.glob("validity*.png")) == ["validity.png"]


def test_frames_without_enough_whole_cells_are_said_to_be_not_judged(
    tmp_path: Path, whole: Path
) -> None:
    # of 12 cells 10 are cut in frames 0 to 9, all in 10 to 18: 19 of 40 frames
    frame, cell = np.tile(np.arange(FRAMES), CELLS), np.repeat(np.arange(CELLS), FRAMES)
    cut = ((frame < 10) & (cell < 10)) | ((frame >= 10) & (frame < 19))
    path = write_cells(table(border=cut), tmp_path / "cut.h5ad")
    arguments = ["validity", path, "--reference", whole, "--out", tmp_path / "out"]
    said = run(*arguments).output
    assert "of 21 judged frames beyond the limit" in said
    assert "note: 19 of 40 frames have fewer than 5 whole cells and are not judged" in said
    assert "not judged" not in run(*arguments, "--border").output


def test_a_movie_without_a_whole_cell_is_named(tmp_path: Path, whole: Path) -> None:
    images = np.repeat(["a", "b"], CELLS * FRAMES // 2)
    path = write_cells(table(image=images, border=images == "b"), tmp_path / "two.h5ad")
    said = run("validity", path, "--reference", whole, "--out", tmp_path / "out").output
    assert "note: b has no whole cell and is not judged" in said


@pytest.mark.parametrize(
    "command",
    [
        ["traces"],
        ["correlation"],
        ["kymograph"],
        ["snapshots"],
        ["divisions"],
        ["error", "--relative-error", "0.05"],
        ["validity", "--reference", "none.h5ad"],
    ],
)
def test_a_file_is_no_folder_of_results(command: list[str], tmp_path: Path, whole: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine", "utf-8")
    for out in (taken, taken / "below"):
        result = run(*command, whole, "--out", out)
        assert isinstance(result.exception, FileError)
        assert str(result.exception).startswith(f"{taken}: is a file, not a folder")
    assert taken.read_text("utf-8") == "mine"


def test_a_new_folder_keeps_what_is_not_its_own(tmp_path: Path) -> None:
    for name in ("a.csv", "a.png", "ab.csv"):
        (tmp_path / name).write_text("", "utf-8")
    new_folder(tmp_path, "a")
    assert [path.name for path in tmp_path.iterdir()] == ["ab.csv"]


def test_a_marker_that_is_named_twice_is_no_second_one(tmp_path: Path, whole: Path) -> None:
    result = run("correlation", whole, "--markers", "CD29,CD29", "--out", tmp_path)
    assert isinstance(result.exception, InputError)
    assert "CD29 is named twice" in str(result.exception)


def test_a_track_with_two_cells_in_a_frame_has_no_kymograph(tmp_path: Path) -> None:
    path = write_cells(table(track=1), tmp_path / "twice.h5ad")
    result = run("kymograph", path, "--out", tmp_path / "out")
    assert isinstance(result.exception, DataError)
    assert str(result.exception).startswith(f"{path}: track 1 of m has two cells in frame 0")


def sourced(folder: Path, stain: np.ndarray, **changes: Any) -> Path:
    """A table of one cell over three frames that names its labels and a stain."""
    frames = np.zeros((3, 8, 8), np.uint16)
    frames[:, 2:6, 1:7] = 1
    write_ome_zarr(as_image(frames, "TYX"), folder / "labels.zarr")
    write_ome_zarr(as_image(stain, "TYX"), folder / "stain.zarr")
    cells = table()[:3].copy()
    for name, value in changes.items():
        cells.obs[name] = value
    source = {
        "image": "m",
        "path": str(folder / "labels.zarr"),
        "labels": str(folder / "labels.zarr"),
        "stains": f"CD29={folder / 'stain.zarr'}",
        "pixel_size_um": 0.5,
        "frame_interval_s": 240.0,
    }
    cells.uns["unstained"] = {"sources": pd.DataFrame([source])}
    return write_cells(cells, folder / "sourced.h5ad")


@pytest.mark.parametrize("frame", [[-1, 0, 1], [1, 2, 3]])
def test_a_cell_in_a_frame_that_its_labels_lack_is_told(tmp_path: Path, frame: list[int]) -> None:
    path = sourced(tmp_path, np.ones((9, 8, 8)), frame=frame)
    result = run("kymograph", path, "--out", tmp_path / "out")
    assert isinstance(result.exception, DataError)
    assert "labels.zarr: has 3 frames, and the table a cell in frame" in str(result.exception)


def test_snapshots_of_a_stain_of_another_movie_are_refused_by_file(tmp_path: Path) -> None:
    path = sourced(tmp_path, np.ones((1, 8, 8)))
    result = run("snapshots", path, "--out", tmp_path / "out")
    assert isinstance(result.exception, DataError)
    assert "stain.zarr: a stain of shape (1, 1, 1, 8, 8)" in str(result.exception)


def test_fewer_than_no_minutes_cannot_be_skipped(tmp_path: Path, whole: Path) -> None:
    result = run("kymograph", whole, "--skip-min", "-5", "--out", tmp_path / "out")
    assert isinstance(result.exception, InputError)
    assert "--skip-min -5; give 0 or more minutes" in str(result.exception)


def test_cells_at_the_edge_are_kept_on_request(tmp_path: Path) -> None:
    cut = write_cells(table(border=True), tmp_path / "cut.h5ad")
    for arguments in (
        ["traces", cut],
        ["error", cut, "--relative-error", "0.05"],
        ["validity", cut, "--reference", cut],
    ):
        without = run(*arguments, "--out", tmp_path / "out")
        assert isinstance(without.exception, DataError), arguments
        kept = run(*arguments, "--border", "--out", tmp_path / "out")
        assert kept.exit_code == 0, (arguments, kept.exception)
