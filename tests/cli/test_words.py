from __future__ import annotations

from pathlib import Path

import pytest

from unstained.cli._words import expanded, listed, numbers, parse_settings
from unstained.cli.main import main
from unstained.errors import InputError


def test_wildcards_are_names_in_order_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b1.tif", "b2.tif", "._b1.tif", "b[1].tif", "c.png"):
        (tmp_path / name).touch()
    inside = [str(tmp_path / name) for name in ("b1.tif", "b2.tif", "b[1].tif")]
    assert expanded([str(tmp_path / "b*.tif"), "model"]) == [*inside, "model"]
    for pattern in ("*.tif", "b**.tif"):
        assert expanded([str(tmp_path / pattern)]) == inside
    for plain in (str(tmp_path / "b[1].tif"), str(tmp_path / "x?.tif"), "a.tif#DAPI"):
        assert expanded([plain]) == [plain]


@pytest.mark.parametrize(
    "words",
    [
        ("images", "background", "{}"),
        ("cells", "segment", "{}", "--method", "classical"),
        ("cells", "outline", "{}", "--outlines", "none.roi"),
        ("colonies", "detect", "{}"),
    ],
)
def test_commands_expand_what_the_shells_of_windows_do_not(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.tif").touch()
    given = [word.format(tmp_path / "*.tif") for word in words]
    with pytest.raises(SystemExit):
        main([*given, "--out", str(tmp_path / "out")])
    assert f"{tmp_path / 'a.tif'}: is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "parts"),
    [("A, B", ["A", "B"]), ("A,", ["A"]), (",A,,B ,", ["A", "B"]), (" , ", []), (None, [])],
)
def test_empty_parts_of_a_list_are_no_parts(text: str | None, parts: list[str]) -> None:
    assert listed(text) == parts


def test_numbers_are_of_the_kind_that_is_asked_for() -> None:
    assert numbers("--scales", "1, 2,", int) == [1, 2]
    assert numbers("--labelled", "0.01,1", float) == [0.01, 1.0]
    assert numbers("--labelled", "", float) == []


def test_what_is_no_number_is_refused_with_the_name_of_the_option() -> None:
    with pytest.raises(InputError, match=r"--scales '1\.5'; write whole numbers with commas"):
        numbers("--scales", "1.5", int)
    with pytest.raises(InputError, match=r"--hours '1,x'; write numbers with commas"):
        numbers("--hours", "1,x", float)
    with pytest.raises(InputError, match="--hours 'nan'"):
        numbers("--hours", "nan", float)


def test_settings_are_parted_at_their_first_equals_sign() -> None:
    assert parse_settings(["width = 48", "note=a=b"]) == {"width": "48", "note": "a=b"}
    assert parse_settings(None) == {}


def test_a_setting_without_a_value_is_refused() -> None:
    with pytest.raises(InputError, match="write --set NAME=VALUE"):
        parse_settings(["width"])
