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
    names = {"biplot-markers.png", "biplot-markers-and-shape.png", "correlations.png"}
    assert names <= {p.name for p in out.iterdir()}
    found = json.loads((out / "orthogonality.json").read_text())
    assert found["low"] < found["value"] < found["high"]
    largest = pd.read_csv(out / "correlations.csv").set_index(["x", "y"])["r"].abs().idxmax()
    assert largest[0] == "CD29"  # the only marker that shape says something of


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
