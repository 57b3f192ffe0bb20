"""Which images there are, and what well, field and frame each of them shows."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..errors import DataError, InputError
from ..images.folders import images_in, is_zarr, natural_order
from ..images.image import Image
from ..images.read import (
    SUFFIXES,
    check_one_plane,
    drop_ome,
    fields_of,
    read_image,
    split_selector,
)
from ..settings import check_settings
from .links import LinkSettings

__all__ = ["NOT_IMAGES", "FileOptions", "Source", "find_sources"]

NOT_IMAGES = re.compile(r"[_-](labels?|classes|masks?|seg)$", re.IGNORECASE)
"""What names of masks and labels end in."""
_BETWEEN = r"(?:^|[_\W])", r"(?=[_\W]|$)"
_NAMED = {
    "well": r"(?P<well>well[ _-]?\d+|[A-P](?:0?[1-9]|1\d|2[0-4]))",
    "field": r"(?:field|site|f|s)[ _-]?(?P<field>\d+)",
    "frame": r"(?:frame|time|hour|t)[ _-]?(?P<frame>\d+)",
}
_COMMON = {
    name: re.compile(_BETWEEN[0] + text + _BETWEEN[1], re.IGNORECASE)
    for name, text in _NAMED.items()
}


@dataclass(frozen=True)
class FileOptions:
    r"""What files do not say themselves.

    Attributes
    ----------
    pixel_size_um : float, optional
        In place of what the files say.
    interval_h : float, optional
        Hours from frame to frame, in place of what the files say.
    channel : str, optional
        Name or position of the channel to use, where files have several.
    pattern : str, optional
        Regular expression with the named groups ``well`` and, where wanted, ``frame`` and
        ``field``, found in the file's name without its ending. Not given: ``well07`` or ``B3``,
        ``frame012`` or ``t012``, ``field2`` or ``f2``, between ``_`` or ``-``.
    links : LinkSettings
    """

    pixel_size_um: float | None = None
    interval_h: float | None = None
    channel: str | None = None
    pattern: str | None = None
    links: LinkSettings = field(default_factory=LinkSettings)

    def __post_init__(self) -> None:
        check_settings(self, positive=("pixel_size_um", "interval_h"))
        try:
            groups = re.compile(self.pattern or "(?P<well>)").groupindex
        except re.error as error:
            raise InputError(f"pattern {self.pattern!r}: {error}", "mend the expression") from error
        if "well" not in groups or not set(groups) <= set(_NAMED):
            raise InputError(
                f"pattern {self.pattern!r} names {', '.join(groups) or 'no group'}",
                "name (?P<well>...) and, where wanted, (?P<frame>\\d+) and (?P<field>\\d+)",
            )


class Source(NamedTuple):
    """One image or movie. `path` is absolute, with field and channel behind ``#``.

    `named` is False where its name says neither a well nor a frame.
    """

    path: str
    image: Image
    well: str
    field: int
    first_frame: int
    named: bool

    @property
    def name(self) -> str:
        """Of the place in the well, which is one movie."""
        return self.well if self.field == 0 else f"{self.well}-{self.field}"

    def frame_name(self, t: int) -> str:
        return f"{self.name}_f{self.first_frame + t:03}"

    @property
    def mask(self) -> str:
        return f"masks/{self.name if self.image.shape[0] > 1 else self.frame_name(0)}.zarr"


def find_sources(
    paths: Sequence[str | os.PathLike[str]], options: FileOptions
) -> tuple[list[Source], list[str]]:
    """All images in the order of wells and frames, and notes on what was left out."""
    if not paths:
        raise InputError("no image is given", "name images, folders or a plate")
    listed: list[str] = []
    notes: list[str] = []
    for path in paths:
        listed += _images_at(os.fspath(path), notes)
    sources = [_source(path, options) for path in dict.fromkeys(listed)]
    sources.sort(key=lambda s: (natural_order(s.well), s.field, s.first_frame))
    taken: dict[str, str] = {}
    for source in sources:
        for t in range(source.image.shape[0]):
            other = taken.setdefault(source.frame_name(t), source.path)
            if other != source.path:
                raise DataError(
                    f"{other} and {source.path} both are frame {source.first_frame + t} of well "
                    f"{source.name}",
                    'tell them apart with --pattern "(?P<well>...)_(?P<frame>\\d+)", or detect '
                    "them into folders of their own",
                )
    unnamed = list(dict.fromkeys(source.well for source in sources if not source.named))
    if len(unnamed) > 1:
        notes.append(
            f"{len(unnamed)} names say no well or frame (the first: {unnamed[0]}): each is a well "
            "of its own; see --pattern"
        )
    return sources, notes


def _images_at(spec: str, notes: list[str]) -> list[str]:
    """Absolute paths of the fields of an image or plate, or of all images in a folder."""
    chosen = split_selector(spec)
    path, selector = chosen.path.absolute(), chosen.inside
    if not path.is_dir() or is_zarr(path):
        fields = [str(path)] if chosen.field is not None else fields_of(path)
        return [field + selector for field in fields]
    inside = images_in(path)
    images = [p for p in inside if not NOT_IMAGES.search(p.stem)]
    if not images:
        raise DataError("is a folder without images", f"read are {', '.join(SUFFIXES)}", file=path)
    if len(images) < len(inside):
        notes.append(
            f"{len(inside) - len(images)} files of {path} were left out: their names say that "
            "they hold labels or masks"
        )
    return [field + selector for p in images for field in fields_of(p)]


def _source(path: str, options: FileOptions) -> Source:
    if options.channel is not None:
        path = f"{path}#{options.channel}"
    image = read_image(path, pixel_size_um=options.pixel_size_um)
    check_one_plane(image, path, "colonies")
    well, field, frame, named = _place(path, options.pattern)
    return Source(path, image, well, field, 0 if image.shape[0] > 1 else frame, named)


def _place(path: str, pattern: str | None) -> tuple[str, int, int, bool]:
    """Well, field and frame, as the path names them, and whether it names well or frame."""
    chosen = split_selector(path)
    file, field = chosen.path, chosen.field or 0
    parents = [p for p in (file, *file.parents) if p.suffix.lower() == ".zarr"]
    if parents:  # plate.zarr/B/3/0, or 0 of a collection
        inner = file.relative_to(parents[-1]).parts
        file = parents[-1]
        field = int(inner[-1]) if inner and inner[-1].isdigit() else 0
        if len(inner) == 3:
            return inner[0] + inner[1], field, 0, True
    stem = drop_ome(file.stem)
    if pattern is not None:
        match = re.search(pattern, stem)
        if match is None or not match["well"]:
            raise DataError(
                f"the name does not fit the pattern {pattern!r}", "correct it", file=path
            )
        named = {"field": field, "frame": 0, **match.groupdict()}
        numbers = [str(named[name] or 0) for name in ("field", "frame")]
        if not all(text.isdigit() for text in numbers):
            raise DataError(
                f"the pattern gives field {numbers[0]!r} and frame {numbers[1]!r}",
                "let these groups hold digits alone",
                file=path,
            )
        return match["well"], int(numbers[0]), int(numbers[1]), True
    found = {name: common.search(stem) for name, common in _COMMON.items()}
    frame = 0
    rest = stem
    if found["frame"] is not None:
        frame = int(found["frame"]["frame"])
        rest = stem[: found["frame"].start()] + stem[found["frame"].end() :]
    if found["well"] is None:
        return rest.strip("_- ") or "well", field, frame, found["frame"] is not None
    field = int(found["field"]["field"]) if found["field"] is not None else field
    return found["well"]["well"], field, frame, True
