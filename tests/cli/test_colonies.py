"""``unstained colonies``: from wells to a scored classifier, as a user would."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unstained.cli.main import main
from unstained.images import write_png
from unstained.learning.networks import NetworkSpec, build_network
from unstained.staining import Panel
from unstained.staining.normalize import MarkerSpec
from unstained.staining.panel import Member


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(words))
    return int(left.value.code or 0)


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifest of simulated colonies: five small wells, two frames, all labelled."""
    out = tmp_path_factory.mktemp("wells") / "out"
    size = ("--wells", "5", "--frames", "2", "--size", "1000", "--number", "5")
    words = (*size, "--crops-only", "--labelled", "1")
    assert run("simulate", "colonies", "--out", str(out), *words) == 0
    table = pd.read_csv(out / "manifest.csv")
    # four classes in so few colonies would leave some with a single image
    table["label"] = table["truth"].where(table["truth"] == "spread", "other")
    table.drop(columns="split").to_csv(out / "two.csv", index=False)
    return out / "two.csv"


QUICK = ("--method", "features", "--set", "views=1")


def test_train_score_and_predict(
    crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    assert (
        run("colonies", "train", str(crops), "--out", str(model), "--labelled", "0.5", *QUICK) == 0
    )
    assert "unlabelled images:" in capsys.readouterr().out
    again = ("--labelled", "0.5", *QUICK, "--resume")
    assert run("colonies", "train", str(crops), "--out", str(model), *again) == 0
    assert capsys.readouterr().out == f"nothing is left to train: {model} is finished\n"
    assert run("colonies", "score", str(model), str(crops), "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert set(said["classes"]) == {"other", "spread"}
    assert set(said["classes"]["spread"]) >= {"recall", "precision", "f1", "n"}
    out = tmp_path / "predicted.csv"
    words = ("--out", str(out), "--fractions", str(tmp_path / "fractions"))
    assert run("colonies", "predict", str(model), str(crops), *words) == 0
    table = pd.read_csv(out)
    assert len(table) == len(pd.read_csv(crops))
    assert table[["p_other", "p_spread"]].sum(axis=1).between(0.999, 1.001).all()
    assert (tmp_path / "fractions" / "fractions.csv").is_file()
    before = out.read_bytes()
    capsys.readouterr()
    predict = ("colonies", "predict", str(model), str(crops))
    for again in (words, ("--out", str(tmp_path / "new.csv"), *words[2:])):
        assert run(*predict, *again) == 1
        assert "exists already" in capsys.readouterr().err
    assert not (tmp_path / "new.csv").exists()
    assert out.read_bytes() == before
    assert run(*predict, *words, "--views", "2", "--overwrite") == 0
    assert out.read_bytes() != before
    # what cannot be counted is refused before anything is predicted
    times = crops.with_name("times.csv")
    pd.read_csv(crops, dtype=str).assign(frame="T0").to_csv(times, index=False)
    words = ("--out", str(tmp_path / "no.csv"), "--fractions", str(tmp_path / "no"))
    assert run("colonies", "predict", str(model), str(times), *words) == 1
    assert "times.csv: row 1 has the frame 'T0'" in capsys.readouterr().err
    assert not (tmp_path / "no.csv").exists()


def test_a_classifier_with_a_stain_travels_as_one_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stain's network stands in for a trained one: what it predicts is used everywhere alike."""
    rng = np.random.default_rng(0)
    for name in [f"{c}/{i}.png" for c in "ab" for i in range(12)]:
        pixels = rng.integers(0, 250 if name.startswith("a") else 50, (24, 24))
        write_png(pixels.astype(np.uint8), tmp_path / "data" / name)
    network = build_network(NetworkSpec("compact", 1, 1, 4, 2)).eval()
    panel = Panel((MarkerSpec("DNA", 0.0, 1.0, "0000FF"),), (Member(network, ("DNA",)),))
    panel.save(tmp_path / "dna")
    data, model = str(tmp_path / "data"), tmp_path / "model"
    stain = ("--stain", str(tmp_path / "dna"), "--planes", "none")
    assert run("colonies", "train", data, "--out", str(model), *stain, *QUICK) == 0
    assert "planes DNA are predicted by a model" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "dna")
    model = model.rename(tmp_path / "elsewhere")
    assert run("colonies", "predict", str(model), data, "--out", str(tmp_path / "p.csv")) == 0
    assert len(pd.read_csv(tmp_path / "p.csv")) == 24
    capsys.readouterr()
    assert run("colonies", "score", str(model), data, "--json") == 0
    assert any("DNA" in note for note in json.loads(capsys.readouterr().out)["notes"])
    shutil.rmtree(model / "stain")
    replace(panel, pixel_size_um=0.5).save(model / "stain")
    assert run("colonies", "score", str(model), data) == 1
    assert "stain: is not the model whose stains the classifier" in capsys.readouterr().err
    shutil.rmtree(model / "stain")
    assert run("colonies", "score", str(model), data) == 1
    assert "stain: is not there" in capsys.readouterr().err
    assert run("colonies", "train", data, "--out", str(tmp_path / "m"), "--planes", "1") == 1
    assert "--planes '1' without a stain" in capsys.readouterr().err


def test_predict_says_what_it_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for name in [f"{c}/{i}.png" for c in "ab" for i in range(12)] + ["a/0_mask.png"]:
        pixels = rng.integers(0, 250 if name.startswith("a") else 50, (24, 24))
        write_png(pixels.astype(np.uint8), tmp_path / "data" / name)
    data, model = str(tmp_path / "data"), str(tmp_path / "model")
    assert run("colonies", "train", data, "--out", model, *QUICK) == 0
    capsys.readouterr()
    assert run("colonies", "predict", model, data, "--out", str(tmp_path / "p.csv")) == 0
    assert "note: 1 files were left out" in capsys.readouterr().out
    assert len(pd.read_csv(tmp_path / "p.csv")) == 24


def test_a_small_network_is_trained_by_the_default_method(
    crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("pretrain_steps=3", "steps=2", "batch=4", "unlabelled_batch=4", "patch=32", "views=1")
    sets = [word for text in few for word in ("--set", text)]
    words = ("--out", str(tmp_path / "model"), "--labelled", "0.5", *sets)
    assert run("colonies", "train", str(crops), *words) == 0
    figures = tmp_path / "figures"
    assert (
        run("colonies", "score", str(tmp_path / "model"), str(crops), "--figures", str(figures))
        == 0
    )
    assert "confusion, rows true, columns predicted" in capsys.readouterr().out
    assert {p.name for p in figures.glob("*.png")} >= {
        *("confusion.png", "mistakes.png", "losses.png", "shares.png", "weights.png"),
        "patches.png",
    }


def test_compare_writes_a_table(
    crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--methods", "features", "--folds", "5", "--only", "2", "--labelled", "0.3")
    out = ("--out", str(tmp_path / "compared"))
    assert run("colonies", "compare", str(crops), *words, *out, "--set", "views=1") == 0
    assert "| features | 30 % |" in capsys.readouterr().out


def test_a_detection_folder_goes_all_the_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "wells"
    words = ["--wells", "3", "--frames", "1", "--size", "900", "--number", "4"]
    assert run("simulate", "colonies", "--out", str(out), *words) == 0
    found = tmp_path / "colonies"
    assert run("colonies", "detect", str(out / "wells"), "--out", str(found)) == 0
    ids = pd.read_parquet(found / "colonies.parquet")["id"].tolist()
    votes = pd.DataFrame({"image": ids, "annotator": "ann"})
    votes["label"] = ["dense" if i % 2 else "spread" for i in range(len(ids))]
    votes.to_csv(tmp_path / "votes.csv", index=False)
    assert run("colonies", "votes", str(found), "--votes", str(tmp_path / "votes.csv")) == 0
    model = tmp_path / "model"
    # nothing is unlabelled, so the method must do without
    hint = run("colonies", "train", str(found), "--out", str(model))
    assert hint == 1
    assert "--method supervised" in capsys.readouterr().err
    words = ["--method", "features", "--labelled", "0.7", "--set", "views=1"]
    assert run("colonies", "train", str(found), "--out", str(model), *words) == 0


def test_ungrouped_data_must_be_asked_for_by_name(
    data_set: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_set("mlcp")
    words = ("--labelled", "0.05", "--method", "features", "--set", "views=1")
    out = ("--out", str(tmp_path / "model"))
    assert run("colonies", "train", "mlcp", *out, *words, "--split-by", "image") == 0
    assert "unlabelled images: 29" in capsys.readouterr().out


def test_a_table_that_cannot_be_written_is_told_before_anything_is_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("colonies", "predict", "no-model", "no-data", "--out", "x.xlsx") == 1
    assert "x.xlsx is no table; name a .csv or .parquet file" in capsys.readouterr().err


def test_data_that_is_nothing_known_gives_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("colonies", "train", "nowhere", "--out", "model") == 1
    error = capsys.readouterr().err
    assert error.startswith("unstained: 'nowhere' names no images")
    assert len(error.splitlines()) == 1


def test_scales_that_are_no_whole_numbers_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("colonies", "compare", "no.csv", "--out", str(tmp_path), "--scales", "1.5") == 1
    assert "--scales '1.5'; write whole numbers" in capsys.readouterr().err
