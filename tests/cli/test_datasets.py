"""``unstained datasets``: what it prints and how it leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from unstained.cli.main import main


def run(*argv: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["datasets", *argv])
    return int(left.value.code or 0)


def test_list_shows_size_licence_and_citation(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    shown = capsys.readouterr().out
    # 28,694,520 bytes in 17 files
    assert "isl  29 MB, Apache-2.0" in shown
    assert "cite: Christiansen et al., Cell 173:792 (2018)" in shown
    assert "mlcp  103 MB, BSD-3-Clause" in shown
    assert "usiigaci  69 MB, MIT" in shown


def test_fetch_prints_the_folder(
    data_set: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = data_set("isl")
    assert run("fetch", "isl") == 0
    assert capsys.readouterr().out == f"{folder}\n"


def test_bundle_writes_the_zip_and_prints_its_name(
    data_set: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_set("isl")
    assert run("bundle", "isl", "--out", str(tmp_path)) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'isl.zip'}\n"
    assert (tmp_path / "isl.zip").is_file()


def test_an_unknown_name_is_one_line_and_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fetch", "imaginary") == 1
    shown = capsys.readouterr().err
    assert shown == "unstained: no data set 'imaginary'; there are isl, mlcp, usiigaci\n"
