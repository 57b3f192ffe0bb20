"""What is given as words: files with wildcards, lists with commas, settings as NAME=VALUE."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from ..errors import InputError

__all__ = ["expanded", "listed", "numbers", "parse_settings"]

Number = TypeVar("Number", int, float)


def expanded(paths: Iterable[str]) -> list[str]:
    """Names for wildcards in file names, which the shells of Windows hand over as they are.

    In order; what is hidden is none, as in other shells: macOS leaves a ``._a.tif`` beside each
    ``a.tif`` on disks of others. A path that nothing fits stays as it is.
    """
    found: list[str] = []
    for text in paths:
        path = Path(text)
        wild = any(c in path.name for c in "*?") and not path.exists()
        # ** is no more than * in a name, and glob raises for it
        matches = path.parent.glob(re.sub(r"\*+", "*", path.name)) if wild else ()
        hidden = path.name.startswith(".")
        found += sorted(str(p) for p in matches if hidden or p.name[0] != ".") or [text]
    return found


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
