"""Arrays in memory become the very table that a segmentation folder gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from unstained import dynamics, heterogeneity
from unstained.cell_table import names_of, read_cells, values_of, write_cells
from unstained.cells.conditions import Condition
from unstained.cells.measure import MeasureSettings
from unstained.cells.measure_arrays import CellMovie, measure_movies
from unstained.cells.measure_files import FileOptions, measure_segmentation
from unstained.cells.segmentation_folder import create_segmentation
from unstained.cells.tiling import TiledLabels
from unstained.cells.track_files import track_folder
from unstained.cells.tracking import track_labels
from unstained.errors import DataError, InputError
from unstained.images import as_image, read_image, write_ome_zarr
from unstained.learning.networks import NetworkSpec, build_network
from unstained.staining.normalize import MarkerSpec
from unstained.staining.panel import Member, Panel


def squares(shift: int = 0) -> np.ndarray:
    """Cells 1 and 2 of 16 x 16 px on 64 x 64 px; the first `shift` px to the right."""
    labels = np.zeros((64, 64), np.int32)
    labels[12:28, 12 + shift : 28 + shift] = 1
    labels[37:53, 37:53] = 2
    return labels


FILM = np.stack([squares(t) for t in range(3)])
"""(T, Y, X); cell 1 moves, cell 2 stays."""

ABOVE = np.array([20.0, 22.0, 24.0])[:, None, None]
STAIN = np.where(FILM == 1, 10 + ABOVE, np.where(FILM == 2, 50.0, 10.0))
"""Background 10; cell 1 is 20, 22, 24 above it, cell 2 always 40."""


def film(**more: Any) -> CellMovie:
    known: dict[str, Any] = {"pixel_size_um": 0.5, "frame_interval_s": 120.0} | more
    return CellMovie(FILM, {"CD105": STAIN}, **known)


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 20, shape).astype(np.float32)


def assert_same_table(found: AnnData, expected: AnnData) -> None:
    """To the bit, but for the files that the one comes from."""
    pd.testing.assert_frame_equal(found.obs, expected.obs, check_exact=True)
    pd.testing.assert_frame_equal(found.var, expected.var)
    np.testing.assert_array_equal(found.X, expected.X)
    np.testing.assert_array_equal(found.obsm["spatial"], expected.obsm["spatial"])
    assert list(found.layers) == list(expected.layers)
    for name in expected.layers:
        np.testing.assert_array_equal(found.layers[name], expected.layers[name])
    about, wanted = (dict(table.uns["unstained"]) for table in (found, expected))
    files = ["path", "labels", "stains"]
    assert (about["sources"][files] == "").all(axis=None)
    pd.testing.assert_frame_equal(
        about.pop("sources").drop(columns=files), wanted.pop("sources").drop(columns=files)
    )
    np.testing.assert_equal(about, wanted)


def test_a_movie_gives_the_table_of_its_folder_to_the_bit(
    make_film: Callable[[float | None], Path], tmp_path: Path
) -> None:
    folder = make_film(120.0)
    stain = as_image(noise(0, 3, 64, 64), "TYX", channels=["CD105"])
    write_ome_zarr(stain, tmp_path / "random" / "film.ome.zarr")
    track_folder(folder)
    of_folder = measure_segmentation(folder, None, FileOptions(tmp_path / "random"))
    assert (of_folder.cells.obs["track"] > 0).all()
    phase = np.asarray(read_image(tmp_path / "film.ome.zarr").data)[:, 0, 0]
    of_arrays = measure_movies(
        CellMovie(
            FILM,
            {"CD105": noise(0, 3, 64, 64)},
            {"phase": phase},
            tracks=track_labels(FILM),
            pixel_size_um=0.5,
            frame_interval_s=120,
            name="film",
        )
    )
    assert_same_table(of_arrays.cells, of_folder.cells)
    assert of_arrays.notes == of_folder.notes


def test_images_with_nuclei_rings_and_conditions_give_the_table_of_their_folder_to_the_bit(
    tmp_path: Path,
) -> None:
    nuclei = np.zeros((64, 64), np.int32)
    nuclei[16:24, 16:24], nuclei[40:46, 40:46] = 5, 6  # 64 and 36 px
    phases = [as_image(noise(i, 64, 64), "YX", pixel_size_um=0.65) for i in range(2)]
    markers = ["CD29", "CD44"]
    stains = [
        replace(
            as_image(noise(10 + i, 2, 64, 64), "CYX", channels=markers),
            about={"predicted_by": ["1a2b"]},
        )
        for i in range(2)
    ]
    with create_segmentation(tmp_path / "cells", {"name": "truth"}) as writer:
        for i, phase in enumerate(phases):
            write_ome_zarr(phase, tmp_path / f"s{i}.ome.zarr")
            write_ome_zarr(stains[i], tmp_path / "stains" / f"s{i}.ome.zarr")
            writer.add(f"s {i}", phase, tmp_path / f"s{i}.ome.zarr", [squares(i)], [nuclei])
    (tmp_path / "c.csv").write_text("image,donor,passage,dose\ns-0,A,5,\ns-1,B,3,0.5\n", "utf-8")
    settings = MeasureSettings("ring", neighbor_um=30)
    options = FileOptions(tmp_path / "stains", conditions=tmp_path / "c.csv")
    of_folder = measure_segmentation(tmp_path / "cells", settings, options)
    known: list[Mapping[str, Condition]] = [
        {"donor": "A", "passage": 5, "dose": None},
        {"donor": "B", "passage": 3, "dose": 0.5},
    ]
    of_arrays = measure_movies(
        [
            CellMovie(squares(i), stains[i], phase, nuclei, name=f"s {i}", conditions=known[i])
            for i, phase in enumerate(phases)
        ],
        settings,
    )
    assert_same_table(of_arrays.cells, of_folder.cells)
    assert of_arrays.cells.uns["unstained"]["predicted"] == markers
    nucleus_um2 = of_arrays.cells.obs_vector("nucleus_area_um2")
    assert nucleus_um2 == pytest.approx([64 * 0.65**2, 36 * 0.65**2] * 2)
    assert of_arrays.notes == of_folder.notes


def test_planes_arrays_and_images_are_one_movie() -> None:
    sizes: dict[str, Any] = {"pixel_size_um": 0.5, "frame_interval_s": 120.0}
    of_arrays = measure_movies(film()).cells
    of_planes = CellMovie(list(FILM), {"CD105": list(STAIN)}, **sizes)
    assert_same_table(measure_movies(of_planes).cells, of_arrays)
    stains = as_image(STAIN, "TYX", channels=["CD105"])
    of_images = CellMovie(as_image(FILM.astype(np.uint16), "TYX", **sizes), stains)
    assert_same_table(measure_movies(of_images).cells, of_arrays)


def test_what_is_measured_stays_as_it_is() -> None:
    labels, stain = FILM.copy(), STAIN.copy()
    for array in (labels, stain):
        array.flags.writeable = False
    found = measure_movies(CellMovie(labels, {"CD105": stain}, pixel_size_um=0.5))
    np.testing.assert_array_equal(found.cells.X, measure_movies(film()).cells.X)


def test_the_table_of_arrays_is_written_and_read_again(tmp_path: Path) -> None:
    cells = measure_movies(film(conditions={"donor": "A"}, predicted=["CD105"])).cells
    again = read_cells(write_cells(cells, tmp_path / "cells.h5ad"))
    assert again.obs["donor"].tolist() == ["A"] * 6
    assert list(again.uns["unstained"]["predicted"]) == ["CD105"]
    np.testing.assert_array_equal(again.X, cells.X)


def test_labels_that_stay_with_their_cell_are_tracks() -> None:
    cells = measure_movies(film(tracks="labels")).cells
    assert cells.obs["track"].tolist() == [1, 2] * 3
    assert cells.obs["parent"].tolist() == [0] * 6
    assert (measure_movies(film()).cells.obs["track"] == 0).all()


def test_each_movie_has_its_own_tracks() -> None:
    numbered = np.where(FILM > 0, FILM + 6, 0)  # cells 7 and 8
    movies = [
        film(name="a", tracks=track_labels(FILM)),
        CellMovie(numbered, pixel_size_um=0.5, frame_interval_s=120, name="b", tracks="labels"),
        film(name="c"),
    ]
    cells = measure_movies(movies).cells
    tracks = cells.obs.groupby("image", observed=True)["track"].apply(list).to_dict()
    assert tracks == {"a": [1, 2] * 3, "b": [7, 8] * 3, "c": [0] * 6}
    assert np.isnan(values_of(cells, ["CD105"])[6:12]).all()  # b has no stain


def test_mothers_come_from_the_tracks() -> None:
    one = np.zeros((64, 64), np.int32)
    one[20:30, 20:40] = 1  # 200 px, then two halves of 80 px
    two = np.zeros((64, 64), np.int32)
    two[21:29, 18:28] = 1
    two[21:29, 32:42] = 2
    tracks = track_labels([one, two])
    cells = measure_movies(CellMovie([one, two], tracks=tracks, pixel_size_um=1.0)).cells
    assert cells.obs["parent"].tolist() == [0, 1, 1]


def test_traces_of_arrays_show_how_cells_change() -> None:
    cells = measure_movies(film(tracks="labels")).cells
    traces = dynamics.marker_traces(cells)
    n = 16 * 16  # pixels of a cell
    assert traces.values.tolist() == [[[20.0 * n, 22.0 * n, 24.0 * n], [40.0 * n] * 3]]
    assert traces.time_min.tolist() == [0.0, 2.0, 4.0]


def test_wells_in_memory_show_how_donors_differ() -> None:
    # each still has two cells: 20 and 40 of donor A, 30 and 60 of B, above a background of 10
    wells = [
        CellMovie(
            squares(),
            {"CD105": np.choose(squares(), [10.0, 10.0 + 20 * level, 10.0 + 40 * level])},
            pixel_size_um=0.5,
            name=donor,
            conditions={"donor": donor},
        )
        for donor, level in (("A", 1.0), ("B", 1.5))
    ]
    chosen = heterogeneity.choose_cells(measure_movies(wells).cells)
    found = heterogeneity.distributions(chosen.cells, groups="donor", draws=100)
    n = 16 * 16
    assert found.loc[0, ["n", "mean"]].tolist() == [4, (20 + 40 + 30 + 60) / 4 * n]


def test_a_prediction_is_measured_where_it_was_predicted() -> None:
    network = build_network(NetworkSpec("compact", 1, 2, 4, 2)).eval()
    markers = tuple(MarkerSpec(name, 100.0, 50.0, "FFFFFF") for name in ("DNA", "ACTIN"))
    panel = Panel(markers, (Member(network, ("DNA", "ACTIN")),))
    phase = as_image(
        noise(0, 3, 64, 64), "TYX", channels=["phase"], pixel_size_um=0.5, frame_interval_s=60.0
    )
    stains = panel.predict(phase)
    cells, notes = measure_movies(CellMovie(FILM, stains, phase), MeasureSettings("none"))
    assert names_of(cells, "marker", "image") == ["DNA", "ACTIN", "phase"]
    assert notes == ("DNA, ACTIN: predicted by a model, not measured",)
    of_cell = stains.channel("ACTIN").plane(2)[FILM[2] == 2]
    assert values_of(cells, ["ACTIN"], "mean")[5, 0] == pytest.approx(of_cell.mean())
    assert cells.obs["time_s"].tolist() == [0.0, 0.0, 60.0, 60.0, 120.0, 120.0]


def test_plain_arrays_are_predicted_where_one_says_so() -> None:
    stains = {"CD105": STAIN, "CD44": STAIN}
    movie = CellMovie(FILM, stains, pixel_size_um=0.5, frame_interval_s=1, predicted=["CD44"])
    cells, notes = measure_movies(movie)
    assert cells.uns["unstained"]["predicted"] == ["CD44"]
    assert notes == ("CD44: predicted by a model, not measured",)


def test_a_pixel_size_that_is_given_holds_with_a_note() -> None:
    stains = as_image(STAIN, "TYX", channels=["CD105"], pixel_size_um=0.5, frame_interval_s=60.0)
    said = measure_movies(CellMovie(FILM, stains, name="A1"))
    given = measure_movies(CellMovie(FILM, stains, name="A1", pixel_size_um=1))
    assert said.notes == ()
    assert given.notes == ("A1: its images have 0.5 um per pixel; 1 is taken, as given",)
    area = [found.cells.obs_vector("area_um2")[0] for found in (said, given)]
    assert area == pytest.approx([256 * 0.25, 256])


def test_frames_at_unknown_times_say_so() -> None:
    cells, notes = measure_movies(film(frame_interval_s=None))
    assert np.isnan(cells.obs["time_s"].to_numpy()[2:]).all()
    assert any("frame_interval_s" in note for note in notes)


def test_progress_counts_the_frames_of_all_movies() -> None:
    shares: list[float] = []
    measure_movies([film(name="a"), film(name="b")], progress=shares.append)
    assert shares == [i / 6 for i in range(1, 7)]


LABELS = as_image(FILM, "TYX", pixel_size_um=0.5)
PHASE = as_image(STAIN, "TYX", channels=["phase"], pixel_size_um=0.65)
TWICE = as_image(np.stack([STAIN, STAIN], axis=1), "TCYX", channels=["CD44", "CD44"])


@pytest.mark.parametrize(
    ("movie", "says"),
    [
        (CellMovie(FILM.astype(float)), "labels of image are float64; give integers"),
        (CellMovie(FILM > 0), "labels of image are bool; .* of a mask: scipy.ndimage.label"),
        (CellMovie(FILM[None]), r"labels of image: a ndarray of shape \(1, 3, 64, 64\); give a"),
        (CellMovie([]), "labels of image: 0 arrays"),
        (CellMovie([FILM[0], FILM[1][:9]]), r"2 arrays of shape \(64, 64\), \(9, 64\); give one"),
        (CellMovie(TiledLabels(FILM[0], None, 2, 0)), "a TiledLabels; .* its labels, nuclei"),
        (CellMovie(as_image(STAIN, "CYX")), "labels of image: 3 channels and 1 planes in z"),
        (CellMovie(FILM, STAIN), "stains of image: a ndarray; give them by name"),
        (CellMovie(FILM, nuclei=STAIN), "nuclei of image are float64"),
        (CellMovie(FILM, {"CD44": STAIN}), "the pixel size of image is not known; give pixel_size"),
        (CellMovie(FILM, pixel_size_um=-1), "pixel_size_um is -1"),
        (film(frame_interval_s="2 min"), "frame_interval_s is '2 min'"),
        (
            film(tracks=track_labels(FILM).track_of),
            "tracks of image are of type DataFrame; give what track_labels",
        ),
        (film(predicted=["CD29"]), "predicted of image names CD29; name some of its stains: CD105"),
        (film(predicted="CD105"), r"predicted of image is 'CD105'; give a list: \['CD105'\]"),
        (film(conditions={"donor": ["A", "B"]}), "donor of image image is a list"),
        (film(conditions={"day": np.datetime64("2026-01-01")}), "day of image image is a datetime"),
        (film(conditions={5: "A"}), r"conditions of image image are \{5: 'A'\}; give them by name"),
        (film(conditions=["A"]), r"conditions of image image are \['A'\]; give them by name"),
        (film(name=3), 'the name of a movie is 3; give text: name="1"'),
        (CellMovie(FILM, {3: STAIN}), "stains of image: one is named 3"),  # type: ignore[dict-item]
        (film(image={"area_um2": STAIN}), "area_um2 is the name of .* a measure of shape"),
        (film(image={"CD105": STAIN}), "a label-free channel has the name of a marker"),
    ],
)
def test_what_is_no_movie_of_cells_is_refused(movie: CellMovie, says: str) -> None:
    with pytest.raises(InputError, match=says):
        measure_movies(movie)


@pytest.mark.parametrize(
    ("movie", "says"),
    [
        (
            CellMovie(FILM, {"CD44": STAIN[:2]}, pixel_size_um=1),
            "CD44 of image has 2 frames of 64 x 64 pixels, the labels 3 frames of 64 x 64 pixels",
        ),
        (CellMovie(FILM, {"CD44": STAIN[:, 1:]}), "CD44 of image has 3 frames of 63 x 64 pixels"),
        (CellMovie(FILM, image={"phase": STAIN[0]}), "phase of image has 1 frame of"),
        (CellMovie(FILM, nuclei=FILM[:2]), "nuclei of image has 2 frames"),
        (CellMovie(FILM[0], as_image(STAIN, "ZYX")), "C0 of image has 1 frame of 3 planes of 64"),
        (CellMovie(FILM, TWICE), "channels CD44, CD44; give each its own name"),
        (CellMovie(LABELS, image=PHASE), "have 0.5 and 0.65 um per pixel"),
        (CellMovie(0 * FILM, pixel_size_um=1), "no frame has a cell"),
        (CellMovie(-FILM, pixel_size_um=1, name="A1"), "A1, frame 0: a label is -2"),
        (film(tracks=track_labels(7 * FILM)), "the tracks are of other cells; follow"),
        (film(tracks=track_labels(FILM[:2])), "track_of lacks 2 of 6 cells"),
        (film(conditions={"track": 1}), "column track has a name that the cells have already"),
    ],
)
def test_what_does_not_fit_is_refused(movie: CellMovie, says: str) -> None:
    with pytest.raises(DataError, match=says):
        measure_movies(movie)


def test_movies_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(InputError, match="well-1 more than once; name each"):
        measure_movies([film(name="well 1"), film(name="well-1")])


def test_a_movie_that_lacks_a_condition_of_the_others_is_refused() -> None:
    with pytest.raises(DataError, match="image b has no donor, others do"):
        measure_movies([film(name="a", conditions={"donor": "A"}), film(name="b")])


def test_arrays_without_a_movie_are_refused() -> None:
    with pytest.raises(InputError, match=r"movies are ndarray; give one or more CellMovie\("):
        measure_movies(FILM)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="movies are none"):
        measure_movies([])
