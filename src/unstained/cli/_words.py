"""What is given as words: lists with commas, settings as NAME=VALUE."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from ..errors import InputError

__all__ = ["listed", "numbers", "parse_settings"]

Number = TypeVar("Number", int, float)


def listed(text: str | None) -> list[str]:
    """``A, B,`` to ``["A", "B"]``; empty parts, and None, are no parts."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def numbers(name: str, text: str, kind: type[Number]) -> list[Number]:
    """``0.5, 1`` to ``[0.5, 1.0]``.

    Raises
    ------
    InputError
        A part is none, or not finite; it has the name of the option.
    """
    whole, such = ("whole numbers", "1,2") if kind is int else ("numbers", "0.5,1")
    refused = InputError(f"{name} {text!r}", f"write {whole} with commas, as {such}")
    try:
        found = [kind(part) for part in listed(text)]
    except ValueError:
        raise refused from None
    if not all(map(math.isfinite, found)):  # float knows nan and inf
        raise refused
    return found


def parse_settings(given: Sequence[str] | None) -> dict[str, str]:
    """``["width=48"]`` to ``{"width": "48"}``.

    Raises
    ------
    InputError
        One has no ``=``.
    """
    found = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {text!r} is not understood", "write --set NAME=VALUE")
        found[name.strip()] = value.strip()
    return found
