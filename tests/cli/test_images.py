"""``unstained images`` prints a table, JSON and a verdict, and its exit code is the verdict."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import ndimage

from unstained.cli.main import main


def run(words: list[str]) -> int:
    with pytest.raises(SystemExit) as left:
        main(words)
    return int(left.value.code or 0)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Two fields whose stain is where the label-free image has its structure."""
    lines = ["phase,stain,marker,group"]
    for i in range(2):
        rng = np.random.default_rng(i)
        blobs = ndimage.gaussian_filter((rng.random((160, 160)) > 0.995).astype(float), 3)
        blobs /= blobs.max()
        phase = 20000 - 9000 * blobs + rng.normal(0, 100, blobs.shape)
        stain = 300 + 2000 * blobs + rng.normal(0, 20, blobs.shape)
        for name, image in ((f"p{i}", phase), (f"s{i}", stain)):
            cv2.imwrite(str(tmp_path / f"{name}.png"), image.astype(np.uint16))
        lines.append(f"p{i}.png,s{i}.png,CD73,well {i}")
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_sound_pairs_leave_with_0_and_a_table(manifest: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    assert run(["images", "check", str(manifest)]) == 0
    out = capsys.readouterr().out
    assert "s0.png" in out
    assert "snr_rms" in out
    assert "c_max" in out
    assert out.rstrip().endswith("Usable: nothing is wrong that this check can see.")


def test_errors_leave_with_1_and_say_what_to_do(manifest: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    cv2.imwrite(str(manifest.parent / "s1.png"), np.full((160, 160), 5, np.uint16))
    assert run(["images", "check", str(manifest)]) == 1
    out = capsys.readouterr().out
    assert "error: s1.png: CD73 is constant (5) -> leave it out" in out
    assert "Not usable as it is: 1 error (constant)" in out


def test_json_is_all_that_is_printed(manifest: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    assert run(["images", "check", str(manifest), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["usable"] is True
    assert [pair["marker"] for pair in report["pairs"]] == ["CD73", "CD73"]
    assert report["pairs"][0]["offset_sure"] is True


def test_corrected_pairs_are_written_on_request(manifest: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    stain = cv2.imread(str(manifest.parent / "s0.png"), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(manifest.parent / "s0.png"), np.roll(stain, (9, 4), axis=(0, 1)))
    out = manifest.parent / "corrected"
    assert run(["images", "check", str(manifest), "--corrected", str(out)]) == 1
    assert "manifest.csv" in capsys.readouterr().err
    assert run(["images", "check", str(out / "manifest.csv")]) == 0


def test_a_manifest_that_is_not_there_is_one_line_on_stderr(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    assert run(["images", "check", str(tmp_path / "none.csv")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "none.csv" in captured.err


def test_backgrounds_are_subtracted_into_a_folder(manifest: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    from unstained.images import read_image

    out = manifest.parent / "clean"
    assert run(["images", "background", str(manifest.parent / "s0.png"), "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out / "s0.ome.tif")
    cleaned = read_image(out / "s0.ome.tif").plane()
    assert abs(float(np.quantile(cleaned, 0.1))) < 60  # it was above 300


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, unstained.cli.images; "
        "print([m for m in ('numpy', 'pandas', 'scipy', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
