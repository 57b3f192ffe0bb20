"""Folders and movies become one table of cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import typer
from typer.testing import CliRunner

from unstained.cell_table import OBS_COLUMNS, names_of, read_cells, traces_of, values_of
from unstained.cells.bands import Band, Bands
from unstained.cells.conditions import with_tracks
from unstained.cells.familiar import Reference
from unstained.cells.measure import MeasureSettings
from unstained.cells.measure_files import FileOptions, measure_folder, measure_segmentation
from unstained.cells.segmentation_folder import create_segmentation
from unstained.cli.cells_measure import measure as measure_command
from unstained.errors import DataError, InputError
from unstained.images import (
    Channel,
    Image,
    as_image,
    read_image,
    read_labels,
    write_ome_zarr,
)
from unstained.staining.totals import label_totals

MakeFilm = Callable[[float | None], Path]


def block() -> np.ndarray:
    """A cell of 20 x 20 px on 64 x 64 px."""
    labels = np.zeros((64, 64), np.int32)
    labels[20:40, 20:40] = 1
    return labels


def test_a_movie_becomes_a_table_with_times_tracks_and_totals(
    make_film: MakeFilm, tmp_path: Path
) -> None:
    folder = make_film(120.0)
    rows = [("film", t, label, label + 10) for t in range(3) for label in (1, 2)]
    pd.DataFrame(rows, columns=["image", "frame", "label", "track"]).to_csv(
        folder / "track_of.csv", index=False
    )
    pd.DataFrame(
        [("film", 11, 0, 2, 0), ("film", 12, 0, 2, 11)],
        columns=["image", "track", "begin", "end", "parent"],
    ).to_csv(folder / "tracks.csv", index=False)
    measure_folder(folder, tmp_path / "cells.h5ad", None, FileOptions(tmp_path / "stains"))
    cells = read_cells(tmp_path / "cells.h5ad")
    assert list(cells.obs.columns[: len(OBS_COLUMNS)]) == list(OBS_COLUMNS)
    assert cells.obs["time_s"].unique().tolist() == [0.0, 120.0, 240.0]
    assert cells.obs["parent"].tolist() == [0, 11] * 3
    traces = traces_of(cells, "CD105", "mean")
    assert traces.track.tolist() == [11, 12]
    assert traces.values.tolist() == [[20.0, 22.0, 24.0], [40.0, 40.0, 40.0]]
    n = 16 * 16  # pixels of a cell
    assert traces_of(cells, "CD105").values[1].tolist() == [40.0 * n] * 3
    assert values_of(cells, ["CD105"], "background")[:, 0].tolist() == [10.0] * 6
    assert names_of(cells, "image") == ["phase"]
    assert values_of(cells, ["phase"], "mean")[:, 0].tolist() == [2.0] * 6
    assert values_of(cells, ["area_um2"])[1, 0] == pytest.approx(n * 0.25)
    about = cells.uns["unstained"]
    assert about["frame_interval_s"] == 120.0
    assert about["pixel_size_um"] == 0.5
    assert about["sources"]["image"].tolist() == ["film"]


def test_markers_that_a_model_predicted_are_told_from_measured_ones(
    make_film: MakeFilm, tmp_path: Path
) -> None:
    folder = make_film(None)
    options = FileOptions(tmp_path / "stains", frame_interval_s=60.0)
    measured = measure_segmentation(folder, None, options)
    assert (list(measured.cells.uns["unstained"]["predicted"]), measured.notes) == ([], ())
    (stain,) = (tmp_path / "stains").iterdir()
    made = replace(read_image(stain), about={"predicted_by": ["1a2b"]})
    write_ome_zarr(made, tmp_path / "predicted" / "film.ome.zarr")
    options = replace(options, stains=tmp_path / "predicted")
    _, notes = measure_folder(folder, tmp_path / "cells.h5ad", None, options)
    assert notes == ("CD105: predicted by a model, not measured",)
    about = read_cells(tmp_path / "cells.h5ad").uns["unstained"]
    assert list(about["predicted"]) == ["CD105"]


def test_frames_without_a_known_interval_have_no_time_and_say_so(
    make_film: MakeFilm, tmp_path: Path
) -> None:
    folder = make_film(None)
    options = FileOptions(tmp_path / "stains")
    cells, notes = measure_segmentation(folder, None, options)
    assert np.isnan(cells.obs["time_s"].to_numpy()[2:]).all()
    assert any("--frame-interval" in note for note in notes)
    given, _ = measure_segmentation(
        folder, None, FileOptions(tmp_path / "stains", frame_interval_s=60.0)
    )
    assert given.obs["time_s"].tolist() == [0.0, 0.0, 60.0, 60.0, 120.0, 120.0]


def test_simulated_pairs_give_the_totals_of_another_implementation(
    simulated: Path, tmp_path: Path
) -> None:
    rows = pd.read_csv(simulated)
    with create_segmentation(tmp_path / "cells", {"name": "truth"}) as writer:
        for phase, labels in rows[["phase", "labels"]].drop_duplicates().to_numpy():
            path = simulated.parent / phase
            cells_of = read_labels(simulated.parent / labels)
            writer.add(path.stem, read_image(path), path, [cells_of])
    settings = MeasureSettings(gap_um=0)  # as `label_totals`: all that is no cell is background
    cells, _ = measure_segmentation(tmp_path / "cells", settings, FileOptions(simulated))
    assert names_of(cells, "marker") == list(rows["marker"].unique())
    for row in rows.itertuples():
        stain = read_image(simulated.parent / str(row.stain)).plane()
        expected = label_totals(stain, read_labels(simulated.parent / str(row.labels)))
        own = cells[cells.obs["image"] == Path(str(row.phase)).stem]
        assert own.obs["label"].tolist() == expected.label.tolist()
        found = values_of(own, [str(row.marker)])[:, 0]
        np.testing.assert_allclose(found, expected.total, rtol=1e-6)


def test_channels_of_the_segmented_file_itself_can_be_stains(tmp_path: Path) -> None:
    labels = block()
    planes = np.stack([np.full((64, 64), 3.0), np.where(labels > 0, 9.0, 2.0)])
    names = ("phase", "STRO-1")
    both = Image(planes[None, :, None], tuple(Channel(n) for n in names), pixel_size_um=1.0)
    write_ome_zarr(both, tmp_path / "one.ome.zarr")
    with create_segmentation(tmp_path / "cells", {"name": "truth"}) as writer:
        path = f"{tmp_path / 'one.ome.zarr'}#phase"
        writer.add("one", both.channel("phase"), path, [labels])
    cells, _ = measure_segmentation(tmp_path / "cells", None, FileOptions(channels=["STRO-1"]))
    assert names_of(cells, "marker", "image") == ["STRO-1", "phase"]
    assert values_of(cells, ["STRO-1"], "mean").tolist() == [[7.0]]
    with pytest.raises(DataError, match="no single channel 'CD29'"):
        measure_segmentation(tmp_path / "cells", None, FileOptions(channels=["CD29"]))


def test_a_confluent_frame_takes_the_background_of_the_others_and_says_so(tmp_path: Path) -> None:
    labels = np.stack([block(), np.ones((64, 64), np.int32)])
    stain = np.stack([np.where(labels[0] > 0, 25, 10), np.full((64, 64), 14)]).astype(np.uint8)
    movie = as_image(stain, "TYX", channels=["phase"], pixel_size_um=1.0, frame_interval_s=1.0)
    (tmp_path / "stains").mkdir()
    write_ome_zarr(movie, tmp_path / "film.ome.zarr")
    named = as_image(stain, "TYX", channels=["CD44"], pixel_size_um=1.0)
    write_ome_zarr(named, tmp_path / "stains" / "film.ome.zarr")
    with create_segmentation(tmp_path / "cells", {"name": "truth"}) as writer:
        writer.add("film", movie, tmp_path / "film.ome.zarr", iter(labels))
    cells, notes = measure_segmentation(tmp_path / "cells", None, FileOptions(tmp_path / "stains"))
    assert values_of(cells, ["CD44"], "mean")[:, 0].tolist() == [15.0, 4.0]
    assert any("no background" in note for note in notes)


def test_cells_that_fill_every_frame_need_a_background_to_be_given(tmp_path: Path) -> None:
    image = as_image(np.full((64, 64), 9, np.uint8), "YX", pixel_size_um=1.0)
    tifffile.imwrite(tmp_path / "a.tif", image.plane())
    with create_segmentation(tmp_path / "cells", {"name": "truth"}) as writer:
        writer.add("a", image, tmp_path / "a.tif", [np.ones((64, 64), int)])
    with pytest.raises(DataError, match="leave no background"):
        measure_segmentation(tmp_path / "cells")
    cells, _ = measure_segmentation(tmp_path / "cells", MeasureSettings("4"))
    assert values_of(cells, ["image"]).tolist() == [[64 * 64 * 5.0]]


def test_frames_without_any_cell_are_refused(tmp_path: Path) -> None:
    image = as_image(np.zeros((64, 64), np.uint8), "YX", pixel_size_um=1.0)
    with create_segmentation(tmp_path / "cells", {"name": "truth"}) as writer:
        writer.add("a", image, None, [np.zeros((64, 64), int)])
    with pytest.raises(DataError, match="no frame has a cell"):
        measure_segmentation(tmp_path / "cells")


def test_an_unknown_pixel_size_is_refused(tmp_path: Path) -> None:
    image = as_image(np.zeros((64, 64), np.uint8), "YX")
    with create_segmentation(tmp_path / "cells", {"name": "truth"}) as writer:
        writer.add("a", image, None, [block()])
    with pytest.raises(InputError, match="--pixel-size"):
        measure_segmentation(tmp_path / "cells")
    cells, _ = measure_segmentation(tmp_path / "cells", None, FileOptions(pixel_size_um=2.0))
    assert cells.n_obs == 1


def test_a_size_that_contradicts_the_segmentation_is_taken_with_a_note(
    make_film: MakeFilm,
) -> None:
    folder = make_film(120.0)
    own, notes = measure_segmentation(folder)
    assert not any("as given" in note for note in notes)
    known = own.uns["unstained"]["pixel_size_um"]
    twice, notes = measure_segmentation(folder, None, FileOptions(pixel_size_um=2 * known))
    said = f"outlined with {known:g} um per pixel; {2 * known:g} is taken, as given"
    assert any(said in note for note in notes)
    area = [cells.obs_vector("area_um2")[0] for cells in (own, twice)]
    assert area[1] == pytest.approx(4 * area[0])
    _, notes = measure_segmentation(folder, None, FileOptions(frame_interval_s=60.0))
    assert any("outlined with 120 s from frame to frame; 60 is taken" in note for note in notes)


def test_tracks_of_other_cells_are_refused(make_film: MakeFilm, tmp_path: Path) -> None:
    folder = make_film(120.0)
    (folder / "track_of.csv").write_text("image,frame,label,track\nother,0,1,1\n", "utf-8")
    (folder / "tracks.csv").write_text("image,track,begin,end,parent\nother,1,0,0,0\n", "utf-8")
    with pytest.raises(DataError, match="of other cells"):
        measure_segmentation(folder)


TRACK_OF = "image,frame,label,track\n" + "".join(
    f"film,{t},{label},{label}\n" for t in range(3) for label in (1, 2)
)
TRACKS = "image,track,begin,end,parent\nfilm,1,0,2,0\nfilm,2,0,2,0\n"


@pytest.mark.parametrize(
    ("track_of", "tracks", "said"),
    [
        (TRACK_OF[:-11], TRACKS, r"track_of\.csv lacks 1 of 6 cells"),  # the last line is lost
        (TRACK_OF[:-9], TRACKS, r"column frame is blank in a row"),  # and most of it
        (TRACK_OF, TRACKS[:-13], r"track 2 of track_of\.csv is not in tracks\.csv"),
        (TRACK_OF.replace(",2\n", ",x\n"), TRACKS, r"track_of\.csv: column track holds x"),
        (TRACK_OF.replace(",2\n", ",1.5\n"), TRACKS, r"track_of\.csv: column track holds 1\.5"),
        (TRACK_OF, TRACKS.replace(",0\n", ",x\n"), r"tracks\.csv: column parent holds x"),
    ],
)
def test_tracks_that_were_cut_short_or_changed_are_refused(
    track_of: str, tracks: str, said: str, make_film: MakeFilm
) -> None:
    folder = make_film(120.0)
    (folder / "track_of.csv").write_text(TRACK_OF, "utf-8")
    (folder / "tracks.csv").write_text(TRACKS, "utf-8")
    assert (measure_segmentation(folder).cells.obs["track"] > 0).all()
    (folder / "track_of.csv").write_text(track_of, "utf-8")
    (folder / "tracks.csv").write_text(tracks, "utf-8")
    with pytest.raises(DataError, match=said):
        measure_segmentation(folder)


def test_a_movie_that_track_of_lost_is_missed(tmp_path: Path) -> None:
    (tmp_path / "track_of.csv").write_text("image,frame,label,track\na,0,1,1\n", "utf-8")
    (tmp_path / "tracks.csv").write_text("image,track,parent\na,1,0\nb,1,0\n", "utf-8")
    cells = pd.DataFrame({"image": ["a", "b"], "frame": 0, "label": 1, "track": 0, "parent": 0})
    with pytest.raises(DataError, match=r"track_of\.csv lacks 1 of 2 cells"):
        with_tracks(cells, tmp_path)
    never_followed = cells.replace("b", "c")
    assert with_tracks(never_followed, tmp_path)["track"].tolist() == [1, 0]


def test_the_command_writes_the_table_and_says_what_is_in_it(
    make_film: MakeFilm, tmp_path: Path
) -> None:
    folder = make_film(120.0)
    app = typer.Typer()
    app.command()(measure_command)
    out = tmp_path / "cells.h5ad"
    told = CliRunner().invoke(
        app, [str(folder), "--stains", str(tmp_path / "stains"), "--out", str(out)]
    )
    assert told.exit_code == 0, told.output
    assert "6 cells in 3 frames of 1 image: " in told.output
    assert "markers: CD105" in told.output
    assert read_cells(out).n_obs == 6


def test_cells_outside_of_the_reference_are_flagged_and_not_guessed(
    make_film: MakeFilm, tmp_path: Path
) -> None:
    # cells of 16 x 16 px are 64 um2; familiar ones 100, 110 at most: distance 36 against 10
    zero, one = np.zeros(1), np.ones(1)
    far = np.linspace(0, 10, 200)
    reference = Reference(("area_um2",), zero + 100, one, zero, np.eye(1), far, 0.01, cells="mine")
    bands = Bands(0.6, {"CD105": Band(0.0, 1.0, 0.0, 0.0, 1.0, 5.0, 100, 0)})
    options = FileOptions(
        tmp_path / "stains",
        bands=bands.write(tmp_path / "bands.json"),
        reference=reference.write(tmp_path / "reference.json"),
    )
    _, notes = measure_folder(make_film(1.0), tmp_path / "cells.h5ad", None, options)
    cells = read_cells(tmp_path / "cells.h5ad")
    assert cells.obs["outside"].all()
    for layer in (None, "mean", "low", "high"):
        assert np.isnan(values_of(cells, ["CD105"], layer)).all()
    assert np.isfinite(values_of(cells, ["phase", "area_um2"])).all()
    assert any("6 of 6 cells lie outside of the reference (mine)" in note for note in notes)


def test_bands_that_hold_nothing_are_noted_and_bands_of_others_name_their_file(
    make_film: MakeFilm, tmp_path: Path
) -> None:
    folder = make_film(1.0)
    endless = Band(0.0, 1.0, 0.0, 0.0, 1.0, float("inf"), 5, 0)
    for marker in ("CD105", "CD44"):
        Bands(0.99, {marker: endless}).write(tmp_path / f"{marker}.json")
    of_own, of_other = (
        FileOptions(tmp_path / "stains", bands=tmp_path / f"{m}.json") for m in ("CD105", "CD44")
    )
    _, notes = measure_folder(folder, tmp_path / "cells.h5ad", None, of_own)
    assert any("band of 99%: low and high are empty" in note for note in notes)
    with pytest.raises(DataError, match=r"CD44\.json: the bands are of CD44, the cells have none"):
        measure_folder(folder, tmp_path / "other.h5ad", None, of_other)


def test_a_table_of_another_name_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in \.h5ad"):
        measure_folder(tmp_path / "none", tmp_path / "cells.csv")
