"""Pairs whose stains have been moved onto their label-free images."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import DataError
from .fields import Region, full_shape, open_image, read_planes
from .findings import CheckReport, CheckSettings
from .pairs import Pairs, write_manifest
from .register import move

__all__ = ["write_corrected"]


def write_corrected(
    pairs: Pairs,
    report: CheckReport,
    folder: str | os.PathLike[str],
    settings: CheckSettings | None = None,
) -> Pairs:
    """Write moved stains and a manifest into a new folder.

    Stains whose offset is sure and beyond `CheckSettings.offset_px` are moved back by it (cubic
    splines, in their own type); all other files stay where they are and are named by the
    manifest. What the move brings in over the border is no data: rows of a moved stain get a
    region without it, and so have the other markers of that field.

    Parameters
    ----------
    pairs : Pairs
    report : CheckReport
        Of these pairs.
    folder : path-like
        Made; must not exist. Gets ``manifest.csv`` and ``stains/``.

    Returns
    -------
    Pairs
        As read back from the new manifest; as many rows as before.

    Raises
    ------
    FileError
        The folder exists or cannot be written.
    DataError
        Nothing would be left of a field.
    """
    from .atomic import atomic_dir
    from .sources import pairs_from_manifest
    from .write import write_ome_tiff

    limits = settings or CheckSettings()
    moved = _offsets(report, limits)
    target = Path(folder).absolute()
    table = pairs.table.copy()
    with atomic_dir(target) as part:
        (part / "stains").mkdir()
        names: dict[str, str] = {}
        for stain, (y, x) in moved.items():
            names[stain] = f"{len(names) + 1:04}_{_safe(Path(stain).name)}.tif"
            plane = move(read_planes(stain, None)[0], -y, -x)
            image = open_image(stain)
            write_ome_tiff(
                replace(image, data=plane[None, None, None], levels=()),
                part / "stains" / names[stain],
            )
        table["region"] = _regions(pairs, moved)
        table["stain"] = [
            str(target / "stains" / names[stain]) if stain in names else stain
            for stain in table["stain"]
        ]
        write_manifest(Pairs(table, pairs.root, pairs.name), part / "manifest.csv", home=target)
    return pairs_from_manifest(target / "manifest.csv")


def _offsets(report: CheckReport, limits: CheckSettings) -> dict[str, tuple[float, float]]:
    rows = report.table[report.table["offset_sure"]]
    size = np.hypot(rows["offset_y_px"], rows["offset_x_px"]) - 2 * rows["offset_error_px"]
    rows = rows[size > limits.offset_px]
    columns = zip(rows["_stain"], rows["offset_y_px"], rows["offset_x_px"], strict=True)
    return {str(stain): (float(y), float(x)) for stain, y, x in columns}


def _regions(pairs: Pairs, moved: dict[str, tuple[float, float]]) -> list[str]:
    """Each row's region without the pixels that no moved stain of its field has."""
    stains_of: dict[str, set[str]] = {}
    for phase, stain in zip(pairs.table["phase"], pairs.table["stain"], strict=True):
        stains_of.setdefault(phase, set()).add(stain)
    regions = []
    rows = zip(*(pairs.table[c] for c in ("phase", "stain", "region", "cell")), strict=True)
    for number, (phase, stain, region, cell) in enumerate(rows, 1):
        offsets = [moved[s] for s in stains_of[phase] if s in moved]
        if not offsets or cell:  # cells lie inside a montage, whose border they do not touch
            regions.append(region)
            continue
        shape = full_shape(stain)
        whole = Region.parse(region) if region else Region(0, shape[0], 0, shape[1])
        valid = _valid(shape, offsets)
        both = Region(
            *(max(whole.y0, valid.y0), min(whole.y1, valid.y1)),
            *(max(whole.x0, valid.x0), min(whole.x1, valid.x1)),
        )
        if both.y0 >= both.y1 or both.x0 >= both.x1:
            raise DataError(
                f"row {number}: nothing of region {whole} is left",
                "leave the row out, or pair the right files",
                file=stain,
            )
        regions.append(str(both))
    return regions


def _valid(shape: tuple[int, int], offsets: Iterable[tuple[float, float]]) -> Region:
    """Pixels that every stain still has after it was moved by the negative of its offset."""
    y0, y1, x0, x1 = 0, shape[0], 0, shape[1]
    for y, x in offsets:
        y0, y1 = max(y0, int(np.ceil(-y))), min(y1, int(np.floor(shape[0] - y)))
        x0, x1 = max(x0, int(np.ceil(-x))), min(x1, int(np.floor(shape[1] - x)))
    return Region(y0, y1, x0, x1)


def _safe(name: str) -> str:
    stem = name.rpartition(".")[0] if "#" not in name else name
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in stem) or "stain"
