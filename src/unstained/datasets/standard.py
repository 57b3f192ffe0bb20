"""Training pairs of the registered data sets, with the split that comparisons use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .download import fetch

if TYPE_CHECKING:
    from ..images.pairs import Pairs

__all__ = ["standard_pairs"]

FOLDS = 10

# regions of the one field of `isl`: columns 768 on are the test part; a block among the others
# is for validation, with a guard band of 16 px around it
_ISL_REGIONS = (
    ("train", "0:1024,0:592"),
    ("train", "0:688,592:768"),
    ("omit", "688:704,592:768"),
    ("omit", "704:1024,592:608"),
    ("validation", "704:1024,608:768"),
    ("test", "0:1024,768:1024"),
)
_ISL_STAINS = {"DAPI": "dapi.png", "MAP2": "map2.png", "NFH": "nfh.png"}

# Cells in the montages of `mlcp`. A montage that is not full ends in copies of one tile, the
# last cell's bottom row repeated downwards; it is no cell and counts for none. Cells imaged
# twice (`unstained images check mlcp` finds them) are taken once, lest one fall on both sides
# of a split: the 16th anaphase tile is the 13th again, the 69th metaphase tile the 63rd, the
# 28th telophase tile the 26th, and tile 208 of the second montage of experiment_2 its tile 204.
_MLCP_CELLS = {
    "g1": 900,
    "s": 900,
    "g2": 900,
    "prophase": 606,
    "metaphase": 68,
    "anaphase": 15,
    "telophase": 27,
}
_IMAGED_BEFORE = {("experiment_2", "_2", 208)}
_TILE = 40  # px, side of a cell's image
_ROWS = 30  # cells in a column of the montage


def standard_pairs(name: str) -> Pairs:
    """Pairs of a registered data set with its standard split; fetches the set where needed.

    ``isl``: one field of 1024 x 1024. Columns 768 to 1023 are the test part; of the others a block
    of 320 x 160 px is for validation, and all but a guard band around it for training. It shows
    that a method works on real images, not how far it generalizes.

    ``mlcp``: one row per cell (column `cell`; region of 40 x 40 px in a montage filled down the
    columns), 3416 in experiment_1 and 4499 in experiment_2. Column `fold` has "0" ... "9" in
    experiment_1, even within each `phase_of_cycle`; fold 9 is the validation part, the others
    train; experiment_2 is the test part (its `fold` is "").

    Raises
    ------
    InputError
        The name is not registered, or the set has no pairs (``usiigaci``).
    """
    rows_of = {"isl": _isl, "mlcp": _mlcp}
    if name not in rows_of:
        raise InputError(f"no training pairs in a data set {name!r}", "there are isl, mlcp")
    import pandas as pd

    from ..images.pairs import Pairs

    folder = fetch(name)
    return Pairs(pd.DataFrame(rows_of[name](folder)), root=folder, name=name)


def _isl(folder: Path) -> list[dict[str, str]]:
    phase = ";".join(str(folder / f"phase_z{z:02}.png") for z in range(13))
    return [
        {
            "phase": phase,
            "stain": str(folder / stain),
            "marker": marker,
            "group": "isl",
            "split": split,
            "region": region,
        }
        for split, region in _ISL_REGIONS
        for marker, stain in _ISL_STAINS.items()
    ]


def _mlcp(folder: Path) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    random = np.random.default_rng(0)
    for phase_of_cycle, count in _MLCP_CELLS.items():
        # dealt like cards, going on where the phase before ended: folds are even in all
        fold = (np.arange(count) + len(rows)) % FOLDS
        for cell, k in zip(
            _montage(folder, "experiment_1", phase_of_cycle, "", count),
            random.permutation(fold).tolist(),
            strict=True,
        ):
            split = "validation" if k == FOLDS - 1 else "train"
            rows.append({**cell, "split": split, "fold": str(k)})
    for part in range(1, 6):
        for cell in _montage(folder, "experiment_2", "g1", f"_{part}", 900):
            rows.append({**cell, "split": "test", "fold": ""})
    return rows


def _montage(
    folder: Path, experiment: str, phase_of_cycle: str, part: str, count: int
) -> Iterator[dict[str, str]]:
    """The cells of one montage, down the columns."""
    where = folder / experiment / phase_of_cycle
    for i in range(count):
        if (experiment, part, i + 1) in _IMAGED_BEFORE:
            continue
        y, x = _TILE * (i % _ROWS), _TILE * (i // _ROWS)
        yield {
            "phase": f"{where / f'brightfield{part}.tif'};{where / f'darkfield{part}.tif'}",
            "stain": str(where / f"dna{part}.tif"),
            "marker": "DNA",
            "group": experiment,
            "region": f"{y}:{y + _TILE},{x}:{x + _TILE}",
            "cell": f"{experiment}/{phase_of_cycle}{part}/{i + 1:04}",
            "phase_of_cycle": phase_of_cycle,
        }
