from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from unstained.cli.main import main
from unstained.images import read_image
from unstained.learning.engines import ENGINES, PRECISIONS
from unstained.simulate import MARKERS, write_pairs

SMALL = ["width=4", "depth=2", "batch=2", "patch=64", "validate_every=5", "warmup_steps=2"]


def _run(*words: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(w) for w in words])
    return int(left.value.code or 0)


def _train(manifest: Path, out: Path, more: Sequence[object] = ()) -> int:
    sets = [word for s in SMALL for word in ("--set", s)]
    return _run("staining", "train", manifest, "--out", out, "--steps", 10, *sets, *more)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "pairs"
    return write_pairs(folder, fields=3, size=128, markers=tuple(MARKERS)[:2], seed=1)


@pytest.fixture(scope="module")
def model(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "model"
    assert _train(manifest, out) == 0
    return out


def test_predict_leaves_named_stains_and_a_composite(
    model: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phase = sorted(manifest.parent.glob("*_phase.tif"))[0]
    assert _run("staining", "predict", model, phase, "--out", tmp_path) == 0
    told = [Path(line) for line in capsys.readouterr().out.splitlines()]
    (zarr,) = (p for p in told if p.name.endswith(".ome.zarr"))
    image = read_image(zarr)
    assert [c.name for c in image.channels] == list(MARKERS)[:2]
    assert image.shape == (1, 2, 1, 128, 128)
    assert image.pixel_size_um == pytest.approx(read_image(phase).pixel_size_um)
    assert any(p.suffix == ".png" and p.exists() for p in told)
    assert _run("staining", "predict", model, phase, "--out", tmp_path) == 1
    assert "exists already" in capsys.readouterr().err
    assert _run("staining", "predict", model, phase, "--out", tmp_path, "--resume") == 0
    said = capsys.readouterr()
    assert said.out == ""  # nothing was left to predict
    assert said.err == "1 of 1 images have a prediction already\n"
    assert _run("staining", "predict", model, phase, "--out", tmp_path, "--overwrite") == 0
    assert [Path(line) for line in capsys.readouterr().out.splitlines()] == told
    both = ("--resume", "--overwrite")
    assert _run("staining", "predict", model, phase, "--out", tmp_path, *both) == 1


def test_predictions_are_ome_zarr_0_5_and_0_4_on_request(
    model: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phase = sorted(manifest.parent.glob("*_phase.tif"))[0]
    images = {}
    # where each standard has its own version written: https://ngff.openmicroscopy.org
    for version, words in (("0.5", ()), ("0.4", ("--zarr", "0.4"))):
        out = tmp_path / version
        assert _run("staining", "predict", model, phase, "--out", out, *words) == 0
        (zarr,) = out.glob("*.ome.zarr")
        if version == "0.5":
            told = json.loads((zarr / "zarr.json").read_text())["attributes"]["ome"]["version"]
        else:
            told = json.loads((zarr / ".zattrs").read_text())["multiscales"][0]["version"]
        assert told == version
        images[version] = read_image(zarr)
    np.testing.assert_array_equal(images["0.4"].planes(), images["0.5"].planes())
    assert images["0.4"].channels == images["0.5"].channels
    assert images["0.4"].pixel_size_um == images["0.5"].pixel_size_um
    capsys.readouterr()
    wrong = ("--out", tmp_path / "none", "--zarr", "0.3")
    assert _run("staining", "predict", model, phase, *wrong) == 1
    assert "OME-Zarr version '0.3'; give '0.5' or '0.4'" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_train_says_before_the_first_step_that_a_stain_is_constant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = next(iter(MARKERS))
    manifest = write_pairs(tmp_path / "pairs", fields=4, size=64, markers=[marker], seed=1)
    table = pd.read_csv(manifest)
    table["split"] = ["train", "train", "validation", "test"]
    tifffile.imwrite(manifest.parent / "empty.tif", np.full((64, 64), 100, np.uint16))
    table.loc[0, "stain"] = "empty.tif"
    table.to_csv(manifest, index=False)
    assert _train(manifest, tmp_path / "model") == 0
    first, *steps = capsys.readouterr().err.splitlines()
    assert first.startswith(
        f"note: 1 of 2 training stains are constant: {marker} of empty.tif; they teach that "
    )
    assert not any("note" in line for line in steps)


def test_score_prints_the_json_of_every_marker(
    model: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("staining", "score", model, manifest, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert set(said) == set(list(MARKERS)[:2])
    for entry in said.values():
        assert entry["r_s"]["n"] == 1  # one test field
        assert {"r_s", "r_lap", "mae", "ssim", "c_max"} <= set(entry)
        assert -1 <= entry["r_s"]["mean"] <= 1


def test_the_kernel_of_r_lap_can_be_chosen(
    model: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for ksize in (("--ksize", 5), ("--ksize", 31), ()):
        assert _run("staining", "score", model, manifest, "--json", *ksize) == 0
        said.append(json.loads(capsys.readouterr().out)[next(iter(MARKERS))])
    small, large, default = (entry["r_lap"]["mean"] for entry in said)
    assert abs(small - large) > 0.01  # pixels and structures of ten pixels are not alike
    assert default == large
    assert said[0]["r_s"] == said[1]["r_s"]


def test_score_compares_models_and_leaves_figures(
    model: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    assert _train(manifest, other, ["--seed", 1]) == 0
    out = tmp_path / "figures"
    assert _run("staining", "score", model, other, manifest, "--figures", out) == 0
    assert "without a model, r_s of" in capsys.readouterr().out
    names = {p.name for p in out.iterdir()}
    assert {"scores.json", "boxplot_r_s.png", "comparison_r_s.csv", "amounts_other.png"} <= names


def test_recorded_scores_stand_on_the_card(
    model: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("staining", "score", model, manifest, "--record") == 0
    capsys.readouterr()
    assert _run("staining", "card", model) == 0
    card = capsys.readouterr().out
    assert "## Scores, split validation" in card
    assert "## Scores, split test" in card


def test_models_of_one_marker_each_predict_together(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = list(MARKERS)[:2]
    for marker in (first, second):
        assert _train(manifest, tmp_path / marker, ["--markers", marker]) == 0
    phase = sorted(manifest.parent.glob("*_phase.tif"))[0]
    models = (tmp_path / first, tmp_path / second)
    assert _run("staining", "predict", *models, phase, "--out", tmp_path / "out") == 0
    (zarr,) = (tmp_path / "out").glob("*.ome.zarr")
    image = read_image(zarr)
    assert [c.name for c in image.channels] == [first, second]
    assert np.isfinite(image.planes()).all()


@pytest.mark.parametrize("command", ["predict", "score"])
def test_help_names_every_engine_and_precision(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("staining", command, "--help") == 0
    told = capsys.readouterr().out.replace(",", " ").replace(".", " ").split()
    assert set(ENGINES) | set(PRECISIONS) <= set(told)


def test_wildcards_that_no_shell_expanded_are_expanded(
    model: Path, manifest: Path, tmp_path: Path
) -> None:
    pattern = manifest.parent / "*_phase.tif"
    assert _run("staining", "predict", model, pattern, "--out", tmp_path) == 0
    assert len(list(tmp_path.glob("*.ome.zarr"))) == 3


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["staining", "predict", "nowhere", "--out", "x"], "is a model"),
        (["staining", "card", "nowhere"], "nowhere: is not there; give what"),
        (["staining", "train", "nowhere.csv", "--out", "x"], "nowhere.csv"),
        (["staining", "train", "{manifest}", "--out", "x", "--preset", "slow"], "fast, paper"),
        (["staining", "train", "{manifest}", "--out", "x", "--set", "steps"], "NAME=VALUE"),
        (["staining", "train", "{manifest}", "--out", "x", "--markers", "CD44"], "CD44"),
        (["staining", "score", "{manifest}"], "a model and a manifest"),
    ],
)
def test_what_a_user_can_mend_is_one_line_with_a_remedy(
    words: list[str],
    told: str,
    manifest: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _run(*(w.format(manifest=manifest) for w in words)) == 1
    line = capsys.readouterr().err
    assert told in line
    assert line.count("\n") == 1
    assert "Traceback" not in line


def test_pairs_are_weighed_for_other_cells_and_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = _single_cells(tmp_path / "cells")
    sets = [word for s in SMALL for word in ("--set", s)]
    model, weighed, special = tmp_path / "model", tmp_path / "weighed.csv", tmp_path / "special"
    train = ("staining", "train", "--steps", 60, *sets)
    assert _run(*train, manifest, "--out", model) == 0
    capsys.readouterr()
    assert _run("staining", "weigh", model, manifest, "--out", weighed) == 0
    said = capsys.readouterr().out
    assert "60 training pairs count as" in said
    assert "for 40 new images" in said
    table = pd.read_csv(weighed)
    taught = table[table["split"] != "test"]
    small = taught["cell"] % 2 == 0
    # all new cells are small ones; half of the pairs are
    assert taught.loc[small, "weight"].sum() > 0.8 * taught["weight"].sum()
    assert _run(*train, weighed, "--out", special) == 0
    assert "training pairs are weighted: 60 count as" in (special / "CARD.md").read_text()
    assert _run("staining", "weigh", model, manifest, "--out", tmp_path / "weighed") == 1
    assert "does not end in .csv" in capsys.readouterr().err
    assert _run("staining", "weigh", model, manifest, "--out", weighed) == 1  # not overwritten
    assert "is there already" in capsys.readouterr().err


def _single_cells(folder: Path) -> Path:
    """160 cells of 16 x 16 px, squares of 5 or 9 px by turns; the test part has small ones only."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    side, rows = 16, ["phase,stain,marker,group,split,region,cell"]
    phase = rng.normal(100, 1, (side, 160 * side)).astype(np.float32)
    stain = rng.normal(10, 0.1, phase.shape).astype(np.float32)
    for i in range(160):
        split = "train" if i < 60 else "validation" if i < 120 else "test"
        size = 9 if i % 2 and split != "test" else 5
        y, x = 3, side * i + 3
        phase[y : y + size, x : x + size] += 20
        stain[y : y + size, x : x + size] += 5
        region = f'"0:{side},{side * i}:{side * (i + 1)}"'
        rows.append(f"phase.tif,stain.tif,A,{i},{split},{region},{i}")
    tifffile.imwrite(folder / "phase.tif", phase)
    tifffile.imwrite(folder / "stain.tif", stain)
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / "manifest.csv"
