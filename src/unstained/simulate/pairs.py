"""Simulated fields as files with a manifest, for the tools that read pairs."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import tifffile

from ..errors import InputError
from ..images.atomic import atomic_dir
from .field import MARKERS, PIXEL_SIZE_UM, SimulatedField, simulate_field

__all__ = ["write_pairs"]


def write_pairs(
    out_dir: str | os.PathLike[str],
    *,
    fields: int = 6,
    size: int = 512,
    markers: Sequence[str] = tuple(MARKERS),
    seed: int = 0,
) -> Path:
    """Write simulated fields and ``manifest.csv`` into a new folder.

    Each field is a group of its own; the last is the test part, the one before it validation.
    The column `ceiling_r_s` has the r_s that no prediction from the phase image can, on
    average, surpass; `labels` names the image of the cells.

    Parameters
    ----------
    out_dir : path-like
        Must not exist yet.
    fields : int
        At least 3.
    size, markers, seed
        As for `simulate_field`; field number i has the seed (seed, i).

    Returns
    -------
    Path
        The manifest.

    Raises
    ------
    InputError
        Fewer than three fields, or what `simulate_field` refuses.
    FileError
        The folder exists or cannot be written.
    """
    if fields < 3:
        raise InputError(f"{fields} simulated fields", "train, validation and test need 3")
    out_dir = Path(out_dir)
    with atomic_dir(out_dir) as folder:
        rows: list[dict[str, str]] = []
        for i in range(fields):
            split = {fields - 1: "test", fields - 2: "validation"}.get(i, "train")
            field = simulate_field(size, markers=markers, seed=(seed, i))
            name = f"field{i:02}"
            rows += [{**row, "group": name, "split": split} for row in _write(folder, name, field)]
        with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
    return out_dir / "manifest.csv"


def _write(folder: Path, name: str, field: SimulatedField) -> Iterator[dict[str, str]]:
    dots_per_cm = 1e4 / PIXEL_SIZE_UM
    for kind, image in {"phase": field.phase, "labels": field.labels, **field.stains}.items():
        tifffile.imwrite(
            folder / f"{name}_{kind.lower()}.tif",
            image,
            resolution=(dots_per_cm, dots_per_cm),
            resolutionunit="CENTIMETER",
        )
    for marker, ceiling in field.ceiling.items():
        yield {
            "phase": f"{name}_phase.tif",
            "stain": f"{name}_{marker.lower()}.tif",
            "marker": marker,
            "labels": f"{name}_labels.tif",
            "pixel_size_um": str(PIXEL_SIZE_UM),
            "ceiling_r_s": f"{ceiling:.4f}",
        }
