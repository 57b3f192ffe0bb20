"""Check that no frame of a movie is missing, by the numbers in the names of its files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError

__all__ = ["check_frames"]

_ELAPSED = re.compile(r"(\d+)d[_-]?(\d+)h(?:[_-]?(\d+)m)?|d(\d+)[_-]?h(\d+)(?:[_-]?m(\d+))?")
_LARGER = 1.5  # times the smallest step: seconds of delay in a clock's time are no gap


class _Place(NamedTuple):
    """Where a frame stands: `at` along its `series`, the numbers before it."""

    series: tuple[str, ...]
    at: float


def check_frames(files: Sequence[Path]) -> None:
    """Refuse frames whose numbers do not go on in equal steps: their times would be wrong.

    Looked at is the last number that varies, among frames whose numbers before it are equal
    (``d1_23h`` and ``d2_00h`` are of two days), then those numbers in the same way. Days, hours
    and minutes (``00d05h40m``) count as one number; 4 or 6 digits as a clock's time and 8 as a
    date where all of them can be. Two or three numbers of two digits may also be one clock's time
    (``01-30``, ``03-00``): what is regular in either reading lacks nothing.

    Parameters
    ----------
    files : sequence of Path
        In their order.

    Raises
    ------
    DataError
        A frame is missing, or two have one number.
    """
    words = [_words(file.stem) for file in files]
    if len({len(of) for of in words}) > 1:
        return
    varying = [i for i in range(1, len(words[0]), 2) if len({of[i] for of in words}) > 1]
    numbers = [tuple(of[i] for i in varying) for of in words]
    for joined in (3, 2):
        if all(len(of) >= joined and {len(n) for n in of[-joined:]} == {2} for of in numbers):
            with suppress(DataError):
                _check(files, [(*of[:-joined], "".join(of[-joined:])) for of in numbers])
                return
    _check(files, numbers)


def _check(files: Sequence[Path], numbers: Sequence[tuple[str, ...]]) -> None:
    """Check the last number of the names, then those before it, each value of which counts once."""
    while numbers and numbers[0]:
        _check_last(files, numbers)
        first: dict[tuple[str, ...], Path] = {}
        for of, file in zip(numbers, files, strict=True):
            first.setdefault(of[:-1], file)
        numbers, files = list(first), list(first.values())


def _words(stem: str) -> list[str]:
    """Text and numbers in turn; days, hours and minutes as one number."""

    def minutes(found: re.Match[str]) -> str:
        days, hours, rest = (int(n or 0) for n in found.groups()[:3])
        if found[4] is not None:
            days, hours, rest = (int(n or 0) for n in found.groups()[3:])
        return f"{1440 * days + 60 * hours + rest}"

    return re.split(r"(\d+)", _ELAPSED.sub(minutes, stem.casefold()))


def _check_last(files: Sequence[Path], numbers: Sequence[tuple[str, ...]]) -> None:
    values = _values([of[-1] for of in numbers])
    places = [_Place(of[:-1], at) for of, at in zip(numbers, values, strict=True)]
    steps = [
        (b.at - a.at, before, after)
        for (a, before), (b, after) in pairwise(zip(places, files, strict=True))
        if a.series == b.series
    ]
    if not steps:
        return
    least = min(steps, key=lambda step: step[0])
    if least[0] == 0:
        raise DataError(
            f"{least[1].name} and {least[2].name} have one number",
            "keep one of them",
            file=least[1].parent,
        )
    for step, before, after in steps:
        if step >= _LARGER * least[0]:
            raise DataError(
                f"lacks what is between {before.name} and {after.name}, {step:g} apart where "
                f"{least[1].name} and {least[2].name} are {least[0]:g}: times would be wrong",
                "restore the missing frames, or take the movie in two folders; where frames were "
                "taken at equal intervals all the same, number them 1, 2, 3 ...",
                file=before.parent,
            )


def _values(texts: Sequence[str]) -> list[float]:
    """Numbers of one place in the names, as days or seconds where all are dates or times."""
    for digits, form in ((8, "%Y%m%d"), (6, "%H%M%S"), (4, "%H%M")):
        if all(len(text) == digits for text in texts):
            with suppress(ValueError):
                times = [datetime.strptime(text, form) for text in texts]
                unit = 86400.0 if digits == 8 else 1.0
                return [(time - datetime(1900, 1, 1)).total_seconds() / unit for time in times]
    return [float(text) for text in texts]
