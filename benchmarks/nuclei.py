"""Learned nuclei against a real DNA stain: Jurkat cells of `mlcp` in brightfield.

    python benchmarks/nuclei.py --out runs/nuclei [--steps N]

True nuclei are where the DNA stain is above half of its height in the cell's tile; cells are where
brightfield differs from the tile's border. Learned from the G1 and G2 montages of experiment_1
(S chooses weights and thresholds), tested on 900 cells of experiment_2. Beside the network:
the outline shrunk to the share of its area that nuclei have in training.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from unstained.cells.labelled import load_labelled
from unstained.cells.model import CellModel
from unstained.cells.settings import CellSettings
from unstained.cells.training import train_cells
from unstained.datasets.download import fetch
from unstained.learning.model_file import MODEL
from unstained.statistics import resampled_interval

TILE = 40  # px
MONTAGES = {
    "g1": ("experiment_1/g1/{}.tif", "train"),
    "g2": ("experiment_1/g2/{}.tif", "train"),
    "s": ("experiment_1/s/{}.tif", "validation"),
    "test": ("experiment_2/g1/{}_1.tif", "test"),
}
Mask = NDArray[np.bool_]
Numbers = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=300)
    given = parser.parse_args()
    manifest = write_labels(given.out / "labels")
    images = {image.group: image for image in load_labelled(manifest)}
    tested = images.pop("test")
    if not (given.out / "model" / MODEL).exists():
        settings = CellSettings(steps=given.steps)
        train_cells(list(images.values()), given.out / "model", settings, resume=True)
    model = CellModel.load(given.out / "model", device="cpu")
    found = model.segment_both(tested.image)
    assert found.nuclei is not None
    assert tested.nuclei is not None
    taught = [image for image in images.values() if image.split == "train"]
    share = np.mean([i.nuclei.sum() / (i.labels > 0).sum() for i in taught if i.nuclei is not None])
    cells = tested.labels > 0
    say("network", tested.nuclei, found.nuclei > 0, cells)
    say("outline shrunk", tested.nuclei, shrunk(cells, float(share)), cells)


def write_labels(folder: Path) -> Path:
    """Images, labels of cells and of nuclei, and the manifest that names them."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    source = fetch("mlcp")
    for name, (pattern, split) in MONTAGES.items():
        brightfield = tifffile.imread(source / pattern.format("brightfield"))
        dna = tifffile.imread(source / pattern.format("dna"))
        cells = np.zeros(brightfield.shape, np.int32)
        nuclei = np.zeros(brightfield.shape, bool)
        for number, at in enumerate(tiles(brightfield.shape), start=1):
            cell = largest(ndimage.binary_fill_holes(outlined(brightfield[at])))
            cells[at][cell] = number
            nuclei[at] = largest(above_half(dna[at])) & cell
        for what, image in (("image", brightfield), ("cells", cells), ("nuclei", nuclei)):
            tifffile.imwrite(folder / f"{name}_{what}.tif", image.astype(np.uint16))
        files = {"image": f"{name}_image.tif", "labels": f"{name}_cells.tif"}
        rows.append(files | {"nuclei": f"{name}_nuclei.tif", "group": name, "split": split})
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    return folder / "manifest.csv"


def tiles(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    for y in range(0, shape[0], TILE):
        for x in range(0, shape[1], TILE):
            yield slice(y, y + TILE), slice(x, x + TILE)


def border(tile: NDArray[np.generic]) -> Numbers:
    edge = np.ones(tile.shape, bool)
    edge[2:-2, 2:-2] = False
    return tile[edge].astype(np.float64)


def outlined(tile: NDArray[np.generic]) -> Mask:
    """Where the local mean square deviation from the background is six times the border's."""
    background = border(tile)
    off = (tile.astype(np.float64) - np.median(background)) ** 2
    noise = (1.4826 * np.median(np.abs(background - np.median(background)))) ** 2
    mask: Mask = ndimage.gaussian_filter(off, 1.0) > 6 * noise
    return ndimage.binary_opening(mask, iterations=2)


def above_half(tile: NDArray[np.generic]) -> Mask:
    light = ndimage.gaussian_filter(tile.astype(np.float64) - np.median(border(tile)), 1.0)
    mask: Mask = light > 0.5 * light[5:-5, 5:-5].max()
    return mask


def largest(mask: Mask) -> Mask:
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    kept: Mask = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    return kept


def shrunk(cells: Mask, share: float) -> Mask:
    """The innermost pixels of each cell, as many as `share` of it."""
    inner = np.zeros_like(cells)
    for at in tiles(cells.shape):
        depth = ndimage.distance_transform_edt(cells[at])
        if depth.any():
            inner[at] = depth >= np.quantile(depth[depth > 0], 1 - share)
    return inner & cells


def say(method: str, true: Mask, found: Mask, cells: Mask) -> None:
    """IoU and area of the nucleus in each cell's tile, with bootstrap intervals over cells."""
    sums = np.array(
        [
            [
                (true[at] & found[at]).sum(),
                (true[at] | found[at]).sum(),
                true[at].sum(),
                found[at].sum(),
                cells[at].sum(),
            ]
            for at in tiles(true.shape)
            if true[at].any()
        ],
        float,
    )
    values: dict[str, Callable[[Numbers], float]] = {
        "mean IoU": lambda x: (x[:, 0] / x[:, 1]).mean(),
        "IoU > 0.5": lambda x: (x[:, 0] / x[:, 1] > 0.5).mean(),
        "area found / true": lambda x: x[:, 3].sum() / x[:, 2].sum(),
        "r of areas": lambda x: np.corrcoef(x[:, 2], x[:, 3])[0, 1],
        "r of nucleus / cell": lambda x: np.corrcoef(x[:, 2] / x[:, 4], x[:, 3] / x[:, 4])[0, 1],
    }
    print(f"{method}, {len(sums)} nuclei")
    for name, value in values.items():
        at = resampled_interval(sums, value)
        print(f"  {name}: {at.estimate:.3f} [{at.low:.3f}, {at.high:.3f}]")


if __name__ == "__main__":
    main()
