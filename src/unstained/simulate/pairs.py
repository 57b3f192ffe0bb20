"""Simulated fields as files with a manifest, for the tools that read pairs."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ..errors import InputError
from ..images.atomic import atomic_dir
from .cells import SHARES, Phenotype
from .field import DENSITY_PER_MM2, SimulatedField, simulate_field
from .optics import Optics
from .stains import DEFAULT_MARKERS, Marker, chosen_markers

__all__ = ["write_pairs"]

_NOT_IN_FILE_NAMES = re.compile(r'[/\\:*?"<>|\x00-\x1f]')


def write_pairs(
    out_dir: str | os.PathLike[str],
    *,
    fields: int = 6,
    size: int = 512,
    markers: Sequence[str] | Mapping[str, Marker] = DEFAULT_MARKERS,
    seed: int = 0,
    density_per_mm2: float = DENSITY_PER_MM2,
    shares: Mapping[Phenotype, float] = SHARES,
    spread: float = 1.0,
    optics: Optics | None = None,
    workers: int = 1,
    progress: Callable[[float], None] | None = None,
) -> Path:
    """Write simulated fields and ``manifest.csv`` into a new folder.

    Each field is a group of its own; about a sixth of them, at least one, are the test part, as
    many before them validation. The column `ceiling_r_s` has the r_s that no prediction from the
    label-free image can, on average, surpass; `labels` names the image of the cells.

    Parameters
    ----------
    out_dir : path-like
        Must not exist yet.
    fields : int
        At least 3.
    size, markers, seed, density_per_mm2, shares, spread, optics, workers
        As for `simulate_field`; field number i has the seed (seed, i).
    progress : callable, optional
        Called with the share done after each field.

    Returns
    -------
    Path
        The manifest.

    Raises
    ------
    InputError
        Fewer than three fields, a marker whose name is no part of a file's name or that of
        another image, upper and lower case being the same, or what `simulate_field` refuses.
    FileError
        The folder exists or cannot be written.
    """
    if fields < 3:
        raise InputError(f"{fields} simulated fields", "train, validation and test need 3")
    _check_names(chosen_markers(markers))
    held_out = max(1, fields // 6)
    out_dir = Path(out_dir)
    with atomic_dir(out_dir) as folder:
        rows: list[dict[str, str]] = []
        for i in range(fields):
            left = (fields - 1 - i) // held_out
            split = {0: "test", 1: "validation"}.get(left, "train")
            field = simulate_field(
                size,
                markers=markers,
                seed=(seed, i),
                density_per_mm2=density_per_mm2,
                shares=shares,
                spread=spread,
                optics=optics,
                workers=workers,
            )
            name = f"field{i:02}"
            rows += [{**row, "group": name, "split": split} for row in _write(folder, name, field)]
            if progress is not None:
                progress((i + 1) / fields)
        with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
    return out_dir / "manifest.csv"


def _check_names(markers: Iterable[str]) -> None:
    """Each marker's name is part of a file's name, in lower case."""
    taken = {"phase", "labels", "nuclei"}
    for name in markers:
        if not name.strip() or _NOT_IN_FILE_NAMES.search(name):
            raise InputError(
                f"the name of a marker {name!r} is no part of a file's name",
                r'rename it, without / \ : * ? " < > |',
            )
        if name.lower() in taken:
            raise InputError(
                f"two images of a field would be named {name.lower()!r}",
                f"rename the marker {name!r}",
            )
        taken.add(name.lower())


def _write(folder: Path, name: str, field: SimulatedField) -> Iterator[dict[str, str]]:
    dots_per_cm = 1e4 / field.pixel_size_um
    named: dict[str, np.ndarray[Any, Any]] = {"phase": field.phase, "labels": field.labels}
    for kind, image in {**named, "nuclei": field.nuclei, **field.stains}.items():
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
            "pixel_size_um": f"{field.pixel_size_um:g}",
            "ceiling_r_s": f"{ceiling:.4f}",
        }
