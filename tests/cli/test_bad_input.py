"""What is handed in by mistake, command by command: file, reason, remedy, no half result."""

from __future__ import annotations

import csv
import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from unstained.cli.main import main
from unstained.simulate import MARKERS, write_pairs

MARKER = next(iter(MARKERS))
SMALL = ["width=4", "depth=2", "batch=2", "patch=64", "validate_every=2", "warmup_steps=1"]
Capture = pytest.CaptureFixture[str]


def _run(*words: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(w) for w in words])
    return int(left.value.code or 0)


def _train(manifest: Path, out: Path, *more: object) -> int:
    sets = [word for s in SMALL for word in ("--set", s)]
    return _run("staining", "train", manifest, "--out", out, "--steps", 4, *sets, *more)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest with nothing wrong: field 0 trains, 1 validates, 2 tests."""
    folder = tmp_path_factory.mktemp("sound") / "pairs"
    return write_pairs(folder, fields=3, size=96, markers=[MARKER], seed=3)


@pytest.fixture(scope="module")
def model(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sound") / "model"
    assert _train(sound, out) == 0
    return out


@pytest.fixture
def manifest(sound: Path, tmp_path: Path) -> Path:
    """A copy to be spoiled."""
    shutil.copytree(sound.parent, tmp_path / "pairs")
    return tmp_path / "pairs" / "manifest.csv"


def _file(manifest: Path, field: int, kind: str) -> Path:
    return manifest.parent / f"field{field:02}_{kind.lower()}.tif"


def _assert_told(capsys: Capture, *parts: str) -> None:
    """One line on stderr that has all `parts`, and a remedy behind a semicolon."""
    said = capsys.readouterr().err.splitlines()
    complaints = [line for line in said if line.startswith("unstained: ")]
    assert len(complaints) == 1, said
    assert said[-1] == complaints[0]
    assert not any("Traceback" in line for line in said)
    for part in parts:
        assert part in complaints[0]
    assert complaints[0].partition("; ")[2].strip()


# What can be wrong with a file; each gets the path of a sound TIFF


def _cut_short(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _no_image(path: Path) -> None:
    path.write_text("dear colleague, the images are on the other disk\n", encoding="utf-8")


def _with_nan(path: Path) -> None:
    pixels = tifffile.imread(path).astype(np.float32)
    pixels[40:44, 50] = np.nan
    tifffile.imwrite(path, pixels)


def _constant(path: Path) -> None:
    tifffile.imwrite(path, np.full_like(tifffile.imread(path), 100))


def _narrower(path: Path) -> None:
    tifffile.imwrite(path, tifffile.imread(path)[:, :-8])


BROKEN = [
    pytest.param(_cut_short, "", id="truncated"),
    pytest.param(_empty, "empty", id="0 bytes"),
    pytest.param(_no_image, "TIFF", id="no image"),
    pytest.param(_with_nan, "NaN", id="NaN"),
]
CONSTANT = pytest.param(_constant, "constant", id="constant")
NARROWER = pytest.param(_narrower, "96 x 88", id="other shape")
Spoil = Callable[[Path], None]


@pytest.mark.parametrize("kind", ["phase", MARKER])
@pytest.mark.parametrize(("spoil", "reason"), [*BROKEN, CONSTANT, NARROWER])
def test_train(
    spoil: Spoil, reason: str, kind: str, manifest: Path, tmp_path: Path, capsys: Capture
) -> None:
    bad = _file(manifest, 0, kind)
    spoil(bad)
    out = tmp_path / "model"
    assert _train(manifest, out) == 1
    named = _file(manifest, 0, MARKER) if spoil is _narrower else bad  # which of the two, we say
    _assert_told(capsys, named.name, "phase" if spoil is _narrower else reason)
    assert not out.exists()


def test_train_again_once_the_file_is_restored(manifest: Path, tmp_path: Path) -> None:
    bad = _file(manifest, 0, MARKER)
    content = bad.read_bytes()
    _cut_short(bad)
    assert _train(manifest, tmp_path / "model") == 1
    bad.write_bytes(content)
    assert _train(manifest, tmp_path / "model") == 0


@pytest.mark.parametrize(("spoil", "reason"), [*BROKEN, CONSTANT])
def test_predict(
    spoil: Spoil, reason: str, model: Path, manifest: Path, tmp_path: Path, capsys: Capture
) -> None:
    bad = _file(manifest, 2, "phase")
    spoil(bad)
    out = tmp_path / "out"
    assert _run("staining", "predict", model, bad, "--pixel-size", 0.65, "--out", out) == 1
    _assert_told(capsys, bad.name, reason)
    assert not out.exists() or not list(out.iterdir())


@pytest.mark.parametrize(
    ("kind", "spoil", "reason"),
    [
        pytest.param(kind, *one.values, id=f"{kind}-{one.id}")
        for kind in ("phase", MARKER)
        for one in (*BROKEN, CONSTANT, NARROWER)
        if (kind, one) != (MARKER, CONSTANT)  # a field without this stain has no r_s: no error
    ],
)
def test_score(
    spoil: Spoil,
    reason: str,
    kind: str,
    model: Path,
    manifest: Path,
    tmp_path: Path,
    capsys: Capture,
) -> None:
    bad = _file(manifest, 2, kind)
    spoil(bad)
    out = tmp_path / "figures"
    assert _run("staining", "score", model, manifest, "--figures", out) == 1
    named = _file(manifest, 2, MARKER) if spoil is _narrower else bad
    _assert_told(capsys, named.name, "phase" if spoil is _narrower else reason)
    assert not out.exists()


@pytest.mark.parametrize("kind", ["phase", MARKER])
@pytest.mark.parametrize(("spoil", "reason"), [*BROKEN, CONSTANT, NARROWER])
def test_check_reports_it_and_looks_at_the_rest(
    spoil: Spoil, reason: str, kind: str, manifest: Path, capsys: Capture
) -> None:
    bad = _file(manifest, 0, kind)
    spoil(bad)
    assert _run("images", "check", manifest) == 1
    said = capsys.readouterr().out
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    named = _file(manifest, 0, MARKER) if spoil is _narrower else bad
    assert any(named.name in line and " -> " in line for line in errors), said
    assert any(("px" if spoil is _narrower else reason) in line for line in errors)
    assert _file(manifest, 1, MARKER).name in said


@pytest.mark.parametrize("name", ["phase.png", "phase.jpg", "phase.npy", "phase.docx"])
def test_no_image_under_any_ending(name: str, model: Path, tmp_path: Path, capsys: Capture) -> None:
    bad = tmp_path / name
    _no_image(bad)
    assert _run("staining", "predict", model, bad, "--out", tmp_path / "out") == 1
    _assert_told(capsys, name)
    assert not (tmp_path / "out").exists()


def test_one_bad_image_of_a_folder_spoils_no_name(
    model: Path, manifest: Path, tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for field in (0, 1):
        shutil.copy(_file(manifest, field, "phase"), folder)
    _with_nan(folder / "field01_phase.tif")
    out = tmp_path / "out"
    assert _run("staining", "predict", model, folder, "--pixel-size", 0.65, "--out", out) == 1
    _assert_told(capsys, "field01_phase.tif", "NaN")
    assert sorted(p.name for p in out.iterdir()) == ["field00_phase.ome.zarr", "field00_phase.png"]


def _rewrite(manifest: Path, change: Callable[[dict[str, str]], None]) -> None:
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        change(row)
    with manifest.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def _no_group(row: dict[str, str]) -> None:
    del row["group"]


def _gone(row: dict[str, str]) -> None:
    row["stain"] = "elsewhere.tif"


def _no_train_pair(row: dict[str, str]) -> None:
    row["marker"] = MARKER if row["split"] == "train" else "CD44"


@pytest.mark.parametrize("words", [("train",), ("score",), ("check",)])
@pytest.mark.parametrize(
    ("change", "parts"),
    [
        pytest.param(_no_group, ("column group is missing",), id="missing column"),
        pytest.param(_gone, ("elsewhere.tif",), id="missing file"),
    ],
)
def test_manifest(
    words: tuple[str, ...],
    change: Callable[[dict[str, str]], None],
    parts: tuple[str, ...],
    model: Path,
    manifest: Path,
    tmp_path: Path,
    capsys: Capture,
) -> None:
    _rewrite(manifest, change)
    out = tmp_path / "model"
    if words == ("train",):
        assert _train(manifest, out) == 1
    elif words == ("score",):
        assert _run("staining", "score", model, manifest, "--figures", out) == 1
    else:
        assert _run("images", "check", manifest) == 1
    _assert_told(capsys, manifest.parent.name, *parts)
    assert not out.exists()


def test_a_marker_without_training_pairs(manifest: Path, tmp_path: Path, capsys: Capture) -> None:
    _rewrite(manifest, _no_train_pair)
    assert _train(manifest, tmp_path / "model") == 1
    _assert_told(capsys, "CD44", manifest.parent.name)
    assert not (tmp_path / "model").exists()


def test_a_marker_that_no_pair_has(manifest: Path, tmp_path: Path, capsys: Capture) -> None:
    assert _train(manifest, tmp_path / "model", "--markers", "CD44") == 1
    _assert_told(capsys, "CD44", manifest.parent.name)
    assert not (tmp_path / "model").exists()


def test_score_of_a_marker_that_the_model_does_not_predict(
    model: Path, manifest: Path, capsys: Capture
) -> None:
    _rewrite(manifest, lambda row: row.update(marker="CD44"))
    assert _run("staining", "score", model, manifest) == 1
    _assert_told(capsys, "CD44", manifest.parent.name)


# A disk that is full: every write of the kind that a command ends in fails


def _full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_disk_full_while_training(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(Path, "write_bytes", _full)
    assert _train(sound, tmp_path / "model") == 1
    _assert_told(capsys, ".safetensors", "No space left", "free some space")
    assert not (tmp_path / "model" / "model.json").exists()
    assert not list(tmp_path.rglob("*.part*"))


def test_disk_full_while_the_model_is_written(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    out = tmp_path / "model"
    write = Path.write_text

    def full_for_the_model(path: Path, text: str, **how: str) -> int:
        return _full() if path.name.startswith(".model") else write(path, text, **how)

    monkeypatch.setattr(Path, "write_text", full_for_the_model)
    assert _train(sound, out) == 1
    _assert_told(capsys, "model.json", "No space left", "free some space")
    assert not (out / "model.json").exists()
    monkeypatch.undo()
    assert _train(sound, out, "--resume") == 0  # what was learned is not lost


def test_disk_full_while_predicting(
    model: Path, sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from unstained.images.ome_zarr_writer import OmeZarrWriter

    monkeypatch.setattr(OmeZarrWriter, "write", _full)
    phase = _file(sound, 2, "phase")
    out = tmp_path / "out"
    assert _run("staining", "predict", model, phase, "--out", out) == 1
    _assert_told(capsys, "field02_phase.ome.zarr", "No space left", "free some space")
    assert not list(out.iterdir())


def test_disk_full_while_figures_are_written(
    model: Path, sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(Path, "write_text", _full)
    out = tmp_path / "figures"
    assert _run("staining", "score", model, sound, "--figures", out) == 1
    _assert_told(capsys, "scores.json", "No space left", "free some space")
    assert not out.exists() or not list(out.iterdir())


# Ctrl-C in the middle


def test_interrupted_training_is_no_model_until_resumed(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from unstained.staining.task import StainingTask

    out = tmp_path / "model"
    step = StainingTask.step
    done: list[int] = []

    def interrupted(self: StainingTask, *given: Any) -> Any:
        done.append(1)
        if len(done) == 4:  # after the checkpoint of step 2
            raise KeyboardInterrupt
        return step(self, *given)

    monkeypatch.setattr(StainingTask, "step", interrupted)
    assert _train(sound, out) == 130
    monkeypatch.undo()
    assert not (out / "model.json").exists()
    capsys.readouterr()
    assert _run("staining", "predict", out, _file(sound, 2, "phase"), "--out", tmp_path / "o") == 1
    _assert_told(capsys, str(out), "not finished", "--resume")
    assert _train(sound, out) == 1
    _assert_told(capsys, str(out), "interrupted", "--resume")
    assert _train(sound, out, "--resume") == 0
    assert (out / "model.json").exists()


def test_a_finished_training_that_is_queued_again_succeeds(
    model: Path, sound: Path, capsys: Capture
) -> None:
    assert _train(sound, model, "--resume") == 0
    assert capsys.readouterr().out == f"nothing is left to train: {model} is finished\n"
    assert _train(sound, model, "--resume", "--seed", 1) == 1
    _assert_told(capsys, str(model), "begun with other settings")
    assert _train(sound, model) == 1
    _assert_told(capsys, str(model), "finished model")


def test_interrupted_prediction_leaves_nothing(
    model: Path, sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unstained.images.ome_zarr_writer import OmeZarrWriter

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(OmeZarrWriter, "write", interrupted)
    out = tmp_path / "out"
    assert _run("staining", "predict", model, _file(sound, 2, "phase"), "--out", out) == 130
    assert not list(out.iterdir())


def test_a_name_that_no_disk_takes(model: Path, tmp_path: Path, capsys: Capture) -> None:
    long = "x" * 300 + ".tif"
    assert _run("staining", "predict", model, tmp_path / long, "--out", tmp_path / "o") == 1
    _assert_told(capsys, long, "shorter name")
