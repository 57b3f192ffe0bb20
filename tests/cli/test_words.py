from __future__ import annotations

import pytest

from unstained.cli._words import listed, numbers, parse_settings
from unstained.errors import InputError


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
