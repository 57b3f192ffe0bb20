"""The five commands, and what others can do with what they write."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from unstained.cell_table import read_cells, write_cells
from unstained.cli.heterogeneity import app
from unstained.errors import DataError, FileError, InputError
from unstained.heterogeneity.marker_shape import orthogonality


@pytest.fixture
def file(three_kinds, tmp_path):
    return str(write_cells(three_kinds, tmp_path / "cells.h5ad"))


def run(*words):
    done = CliRunner().invoke(app, list(words))
    if done.exception is not None:
        raise done.exception
    return done.output


def test_distributions_are_written_and_said(file, tmp_path):
    out = tmp_path / "out"
    said = run("distributions", file, "--out", str(out), "--groups", "donor", "--format", "pdf")
    table = pd.read_csv(out / "distributions.csv")
    assert table["marker"].tolist() == ["CD105", "CD73", "CD29"]
    assert f"CD105: SD {table['sd_percent'][0]:.1f} %" in said
    assert [p.name for p in out.glob("*.pdf")] == ["distributions.pdf"]


def test_an_interval_over_two_donors_is_much_wider_than_over_five(file, tmp_path):
    words = ["distributions", file, "--groups", "donor"]

    def width(donors: int) -> float:
        of = [arg for i in range(donors) for arg in ("--where", f"donor=D{i}")]
        out = tmp_path / str(donors)
        run(*words, *of, "--out", str(out))
        first = pd.read_csv(out / "distributions.csv").iloc[0]
        return float(np.log(first["high"] / first["low"]))

    # Student's t of 1 and 4 degrees of freedom, 12.7 and 2.8, times sqrt(1/2) and sqrt(1/5)
    assert width(2) > 3 * width(5)


def test_clusters_become_a_column_of_the_cells(file, tmp_path):
    out = tmp_path / "out"
    said = run("clusters", file, "--out", str(out), "--where", "donor=D0", "--where", "donor=D1")
    cells = read_cells(out / "cells.h5ad")
    chosen = cells.obs["donor"].isin(["D0", "D1"])
    assert (cells.obs["cluster"].notna() == chosen).all()
    assert set(cells.obs["cluster"].dropna()) == {"1", "2", "3"}
    assert "stability of the cut" in said
    assert (out / "clusters.png").is_file()
    assert (out / "clusters.svg").is_file()


def test_components_write_scores_loadings_and_orthogonality(file, tmp_path):
    out = tmp_path / "out"
    said = run("components", file, "--out", str(out), "--format", "png")
    assert "colored by the rule" in said
    assert read_cells(out / "cells.h5ad").obsm["X_pca"].shape == (150, 6)
    assert "cells are taken as independent, which those of one well are not" in said
    names = {"biplot-markers.png", "biplot-markers-and-shape.png", "correlations.png"}
    assert names <= {p.name for p in out.iterdir()}
    found = json.loads((out / "orthogonality.json").read_text())
    assert found["low"] < found["value"] < found["high"]
    largest = pd.read_csv(out / "correlations.csv").set_index(["x", "y"])["r"].abs().idxmax()
    assert largest[0] == "CD29"  # the only marker that shape says something of


def test_orthogonality_is_told_as_a_share(make_table, tmp_path):
    # six cells whose markers and shape share less than chance: 1 - (RV - E) / (1 - E) is above 1
    rng = np.random.default_rng(5)
    names = ("CD29", "CD44", "area_um2", "cohesion")
    table = make_table(dict(zip(names, rng.random((4, 6)) + 1, strict=True)))
    raw = orthogonality(table.X[:, :2], table.X[:, 2:])
    assert max(raw.value, raw.high) > 1
    said = run("components", str(write_cells(table, tmp_path / "c.h5ad")), "--out", str(tmp_path))
    told = json.loads((tmp_path / "orthogonality.json").read_text())
    assert told["high"] == 1
    assert told["value"] == min(raw.value, 1)
    assert "1.00] (1: no more in common than chance" in said


def test_what_is_wrong_with_a_table_names_its_file(file, tmp_path):
    with pytest.raises(DataError, match=r"cells\.h5ad: no cell has donor=D9; there are donor: D0"):
        run("distributions", file, "--out", str(tmp_path / "out"), "--where", "donor=D9")
    (tmp_path / "person.csv").write_text("cell,call\n1,SS\n")
    words = ("--person", str(tmp_path / "person.csv"))
    with pytest.raises(DataError, match=r"person\.csv: columns cell, call"):
        run("phenotypes", file, "--out", str(tmp_path / "out"), *words)


def test_few_cells_for_their_clusters_are_noted(make_table, tmp_path):
    few = write_cells(make_table({"CD29": [1.0, 2, 4], "CD44": [3.0, 1, 2]}), tmp_path / "c.h5ad")
    words = ("--clusters", "2", "--shape", "none", "--format", "png")
    said = run("clusters", str(few), "--out", str(tmp_path / "out"), *words)
    assert "note: 3 cells are too few to tell 2 clusters from chance: give 20 or more" in said


def test_nothing_of_an_earlier_run_with_other_variables_is_left(file, tmp_path):
    # other files are not touched, whatever they are called
    out = tmp_path / "out"
    run("components", file, "--out", str(out))
    (out / "notes.csv").write_text("mine")
    run("components", file, "--out", str(out), "--shape", "none", "--format", "png")
    assert {p.name for p in out.iterdir()} == {
        *("biplot-markers.png", "variance-markers.png", "variance-markers.csv"),
        *("loadings-markers.csv", "cells.h5ad", "notes.csv"),
    }


def test_a_factor_of_an_earlier_run_is_not_left_but_a_table_of_the_user_is(file, tmp_path):
    out = tmp_path / "out"
    run("factors", file, "--out", str(out), "--factor", "medium", "--nested", "none")
    (out / "donor.csv").write_text("donor,age\nD0,40\n")
    run(
        "factors", file, "--out", str(out), "--factor", "well", "--unit", "image", "--format", "png"
    )
    assert not (out / "medium.csv").exists()
    assert not (out / "medium.svg").exists()
    assert (out / "donor.csv").is_file()


def test_a_factor_that_cannot_be_compared_has_no_figure(make_table, tmp_path):
    # one donor of each medium: there is no telling a medium from its donor
    medium = np.repeat(["A", "B"], 6)
    cells = make_table({"CD29": np.arange(1.0, 13)}, medium=medium, donor=medium)
    file = str(write_cells(cells, tmp_path / "cells.h5ad"))
    out = tmp_path / "out"
    out.mkdir()
    (out / "medium.csv").write_text("variable,of an earlier run\n")
    (out / "medium.png").write_text("of an earlier run")
    words = ("--factor", "medium", "--unit", "donor", "--nested", "none", "--format", "png")
    assert "nothing could be compared" in run("factors", file, "--out", str(out), *words)
    assert [path.name for path in out.iterdir()] == ["medium.csv"]


def test_the_rule_by_which_components_are_colored_is_no_persons_word(file, tmp_path):
    run("components", file, "--out", str(tmp_path / "one"), "--format", "png")
    scored = str(tmp_path / "one" / "cells.h5ad")
    said = run("phenotypes", scored, "--out", str(tmp_path / "two"), "--format", "png")
    assert "person" not in said
    assert not (tmp_path / "two" / "agreement.csv").exists()


def test_phenotypes_compare_a_person_with_the_rule(file, tmp_path):
    cells = read_cells(file)
    person = cells.obs[["image", "frame", "label"]].assign(phenotype=cells.obs["truth"])
    person.to_csv(tmp_path / "person.csv", index=False)
    out = tmp_path / "out"
    words = ("--person", str(tmp_path / "person.csv"), "--groups", "donor", "--format", "png")
    said = run("phenotypes", file, "--out", str(out), *words)
    assert json.loads((out / "agreement.json").read_text())["estimate"] > 0.9
    assert "CD29 RS - SS" in said
    obs = read_cells(out / "cells.h5ad").obs
    assert set(obs["phenotype"]) == set(obs["phenotype_rule"]) == {"SS", "RS", "FC"}
    # what the rule said once is no person's word the second time
    run("phenotypes", file, "--out", str(tmp_path / "two"), "--format", "png")
    again = run("phenotypes", str(tmp_path / "two" / "cells.h5ad"), "--out", str(tmp_path / "3"))
    assert "person" not in again


def test_factors_compare_media_inside_donors_and_share_the_variance(file, tmp_path):
    out = tmp_path / "out"
    said = run("factors", file, "--out", str(out), "--format", "png", "--markers", "CD105,CD29")
    assert "medium, the unit is the donor" in said
    assert pd.read_csv(out / "medium.csv")["design"].tolist() == ["within"] * 2
    variance = pd.read_csv(out / "variance.csv")
    assert variance["level"].tolist()[:3] == ["donor", "well", "cell"]
    assert variance.groupby("variable")["share"].sum().tolist() == pytest.approx([1, 1])


def test_one_donor_without_other_factors_is_refused(make_table, tmp_path):
    cells = make_table({"A": np.arange(1.0, 9.0)}, donor="D1")
    file = str(write_cells(cells, tmp_path / "cells.h5ad"))
    with pytest.raises(DataError, match="no factor has two levels"):
        run("factors", file, "--out", str(tmp_path / "out"))
    with pytest.raises(DataError, match="no column medium"):
        run("factors", file, "--out", str(tmp_path / "out"), "--factor", "medium")
    with pytest.raises(DataError, match="one donor"):
        run("factors", file, "--out", str(tmp_path / "out"), "--nested", "donor")


def test_words_that_are_not_understood_are_refused(file, tmp_path):
    out = ("--out", str(tmp_path / "out"))
    with pytest.raises(InputError, match="COLUMN=VALUE"):
        run("distributions", file, *out, "--where", "D1")
    with pytest.raises(InputError, match="format gif"):
        run("distributions", file, *out, "--format", "gif")
    with pytest.raises(InputError, match="no marker CD9"):
        run("clusters", file, *out, "--markers", "CD9")
    with pytest.raises(FileError, match="is not there"):
        run("phenotypes", file, *out, "--person", str(tmp_path / "nobody.csv"))
    with pytest.raises(FileError, match="is not there"):
        run("clusters", str(tmp_path / "nothing.h5ad"), *out)


def test_scanpy_opens_the_table_and_runs_on_it(file):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scanpy's own dependencies
        import scanpy

        cells = scanpy.read_h5ad(file)
        scanpy.pp.scale(cells)
        scanpy.pp.pca(cells, n_comps=3)
        scanpy.pp.neighbors(cells, n_neighbors=8, method="gauss")  # umap compiles for a minute
        scanpy.tl.diffmap(cells, n_comps=3)
    assert cells.obsm["X_pca"].shape == (150, 3)
    assert cells.obsp["connectivities"].shape == (150, 150)


def test_scanpy_finds_neighbors_in_what_components_wrote(three_kinds, tmp_path):
    cells = three_kinds.copy()
    cells.X[:10, 0] = np.nan  # ten cells without CD105
    cells.X[:, 4] = np.nan  # no cell with an aspect ratio
    path = str(write_cells(cells, tmp_path / "some.h5ad"))
    said = run("components", path, "--out", str(tmp_path / "out"), "--format", "png")
    assert "10 of 150 cells lack a value" in said
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scanpy's own dependencies
        import scanpy

        written = scanpy.read_h5ad(tmp_path / "out" / "cells.h5ad")
        for used in ("X_pca", "X"):  # umap compiles for a minute
            scanpy.pp.neighbors(written, n_neighbors=8, method="gauss", use_rep=used)
    assert written.obsm["X_pca"].shape == (140, 5)
    assert written.obs_names.tolist() == cells.obs_names[10:].tolist()
    assert "aspect_ratio" not in written.var_names


def test_cells_without_a_donor_are_no_donor_of_their_own(three_kinds, tmp_path):
    cells = three_kinds.copy()
    donor = cells.obs["donor"].astype(object)
    cells.obs["donor"] = donor.where(np.arange(150) >= 10, None)  # ten cells, two of each donor
    cells.obs["medium"] = np.where(np.arange(150) % 2 == 0, "A", "B")
    cells.obs["border"] = np.arange(150) == 149
    path, out = str(write_cells(cells, tmp_path / "some.h5ad")), tmp_path / "out"
    said = run("factors", path, "--factor", "medium", "--unit", "donor", "--out", str(out))
    assert "10 cells without medium or donor are left out" in said
    assert "1 rows of cells that touch the border are left out" in said
    assert pd.read_csv(out / "medium.csv")["units"].tolist() == [5, 5, 5]
    shares = pd.read_csv(out / "variance.csv")
    assert shares.loc[shares["level"] == "donor", "groups"].tolist() == [5, 5, 5]


def test_an_image_named_001_is_not_image_1(make_table, tmp_path):
    rng = np.random.default_rng(0)
    cells = make_table(
        {"CD105": rng.uniform(1, 2, 9), "area_um2": rng.uniform(1, 9, 9), "aspect_ratio": [2.0] * 9}
    )
    cells.obs["image"] = "001"
    path, person = write_cells(cells, tmp_path / "c.h5ad"), tmp_path / "person.csv"
    person.write_text("image,frame,label,phenotype\n001,0,1,RS\n001,0,2,FC\n", "utf-8")
    said = run("phenotypes", str(path), "--person", str(person), "--out", str(tmp_path / "out"))
    assert "person: SS 0, RS 1, FC 1" in said
    # as Excel writes it, and R a word that is not known
    text = "image;frame;label;phenotype\r\n001;0;1;RS\r\n001;0;2;NA\r\n"
    person.write_text(text, "utf-8-sig")
    said = run("phenotypes", str(path), "--person", str(person), "--out", str(tmp_path / "out"))
    assert "person: SS 0, RS 1, FC 0" in said
    person.write_text("image,frame,label,phenotype\n001,0,1,RS\n001,0,two,FC\n", "utf-8")
    with pytest.raises(DataError, match=r"person\.csv: row 2: label is 'two'; give a whole number"):
        run("phenotypes", str(path), "--person", str(person), "--out", str(tmp_path / "out"))


def test_what_is_not_known_is_null_in_json(file, tmp_path):
    run("clusters", file, "--clusters", "1", "--out", str(tmp_path / "out"))
    text = (tmp_path / "out" / "clusters.json").read_text("utf-8")
    assert json.loads(text)["stability"]["rand"] is None
    assert "NaN" not in text


def test_components_do_not_need_shapes_that_can_be_parted(make_table, tmp_path):
    # one cell that is no spindle: there is nothing to part
    rng = np.random.default_rng(0)
    columns = {name: rng.uniform(1, 2, 9) for name in ("CD105", "CD73", "area_um2")}
    cells = make_table(columns | {"aspect_ratio": np.r_[1.5, rng.uniform(3, 5, 8)]})
    path = write_cells(cells, tmp_path / "c.h5ad")
    assert "markers: 9 cells" in run("components", str(path), "--out", str(tmp_path / "out"))


@pytest.fixture
def with_empty_markers(three_kinds, make_table, tmp_path):
    """CD105 as it was; CD73 the same in all cells, CD29 in none."""
    cells = three_kinds.copy()
    cells.X[:, 1], cells.X[:, 2] = 7.0, np.nan
    return str(write_cells(cells, tmp_path / "empty.h5ad"))


MORE_WORDS: dict[str, tuple[str, ...]] = {
    "distributions": (),
    "clusters": (),
    "components": (),
    "phenotypes": (),
    "factors": ("--factor", "medium", "--nested", "donor"),
}


@pytest.mark.parametrize("command", list(MORE_WORDS))
def test_markers_that_say_nothing_are_left_out_by_name(command, with_empty_markers, tmp_path):
    words = ("--out", str(tmp_path / "out"), "--format", "png")
    said = run(command, with_empty_markers, *words, *MORE_WORDS[command])
    notes = " ".join(line for line in said.splitlines() if line.startswith("note"))
    assert "CD73" in notes
    assert "CD29" in notes


@pytest.mark.parametrize("command", ["distributions", "phenotypes", "factors"])
def test_markers_that_all_say_nothing_are_refused(command, with_empty_markers, tmp_path):
    with pytest.raises(DataError, match="CD73 is the same in all 150 cells"):
        run(command, with_empty_markers, "--markers", "CD73,CD29", "--out", str(tmp_path))


def test_a_marker_of_one_donor_has_no_shares_and_others_do(three_kinds, tmp_path):
    cells = three_kinds.copy()
    cells.X[(cells.obs["donor"] != "D0").to_numpy(), 2] = np.nan
    path, out = str(write_cells(cells, tmp_path / "some.h5ad")), tmp_path / "out"
    words = ("--factor", "medium", "--markers", "CD105,CD29", "--format", "png")
    said = run("factors", path, "--out", str(out), *words)
    assert "note: variance of CD29: all cells are of one donor" in said
    assert set(pd.read_csv(out / "variance.csv")["variable"]) == {"CD105"}
    assert "CD29 basal - rich could not be compared: 1 and 1 units" in said


def test_clusters_by_donor_are_counted_and_held_against_other_donors(file, tmp_path):
    out = tmp_path / "out"
    words = ("--groups", "donor", "--format", "png", "--markers", "CD29")
    said = run("clusters", file, "--out", str(out), *words)
    assert "the cut in each group as in the others" in said
    table = pd.read_csv(out / "groups.csv", index_col="donor")
    assert table.to_numpy().sum() == 150
    assert table.index.tolist() == ["D0", "D1", "D2", "D3", "D4"]


def test_groups_is_another_word_for_the_unit_of_factors(file, tmp_path):
    words = ("--factor", "medium", "--nested", "none", "--markers", "CD105", "--format", "png")
    said = run("factors", file, *words, "--groups", "well", "--out", str(tmp_path))
    assert "medium, the unit is the well" in said
    assert pd.read_csv(tmp_path / "medium.csv")["units"].tolist() == [20]  # 5 donors x 4 wells


def test_spindles_alone_need_no_area(make_table, tmp_path):
    rng = np.random.default_rng(0)
    columns = {"CD105": rng.uniform(1, 2, 9), "area_um2": rng.uniform(1, 9, 9)}
    cells = make_table(columns | {"aspect_ratio": [4.0] * 9}, phenotype="SS")
    path = str(write_cells(cells, tmp_path / "c.h5ad"))
    said = run("phenotypes", path, "--out", str(tmp_path / "out"), "--format", "png")
    assert "all cells are spindles, so no area was needed; SS 9, RS 0, FC 0" in said
    assert "one phenotype only" in said
    assert "nan" not in said


def test_a_file_in_the_place_of_the_folder_is_refused(file):
    with pytest.raises(FileError, match="is a file, not a folder"):
        run("distributions", file, "--out", file)
