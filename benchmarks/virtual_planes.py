"""Does a virtual stain help to classify? DNA of `mlcp` predicted as one more plane of each cell.

    python benchmarks/virtual_planes.py --out stained
    unstained colonies compare stained/darkfield.csv --split-by image --folds 5 --labelled 0.1 ...

Two networks learn DNA from brightfield and darkfield, each from half of the cells of
experiment_1; what is written is always the prediction by the one that did not learn from the
cell, so that no cell is classified by its own stain. Classes are not used. OUT gets the predicted
montages, and two manifests: brightfield.csv and darkfield.csv, the latter with all three planes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from unstained.colonies.examples import load_examples
from unstained.images import Pairs, load_pairs
from unstained.images.fields import Region, file_of, read_planes
from unstained.learning.random import generator
from unstained.staining.settings import TrainSettings
from unstained.staining.training import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1000)
    given = parser.parse_args()
    given.out.mkdir(parents=True)
    cells = load_pairs("mlcp")
    cells = Pairs(cells.table[cells.table["group"] == "experiment_1"], cells.root, cells.name)
    classified = load_examples("mlcp+darkfield").table
    if classified["region"].tolist() != cells.table["region"].tolist():
        raise SystemExit("cells and their classes are not in one order")
    planes = np.stack([field.read_phase() for field in cells.fields()])
    half = generator(0, 0).permutation(len(cells)) % 2
    dna = np.empty(planes.shape[:1] + planes.shape[2:], np.float32)
    for k in (0, 1):
        model = train(
            _taught_by(cells, half == k), given.out / f"model-{k}", _settings(given.steps)
        )
        dna[half != k] = model.predict_stack(planes[half != k])["DNA"]
    total = [field.read_stain("DNA").sum() for field in cells.fields()]
    print(f"r of total DNA: {np.corrcoef(total, dna.sum(axis=(1, 2)))[0, 1]:.3f}")
    _write(classified, cells, dna, given.out)


def _settings(steps: int) -> TrainSettings:
    return TrainSettings.preset("fast", steps=steps)


def _taught_by(cells: Pairs, known: np.ndarray) -> Pairs:
    """A tenth of the known cells are validation; the others are not in it."""
    table = cells.table[known]
    split = np.where(np.arange(len(table)) % 10 == 0, "validation", "train")
    # cells, not experiments, are dealt out: the group is the cell
    return Pairs(table.assign(split=split, group=table["cell"]), cells.root, cells.name)


def _write(classified: pd.DataFrame, cells: Pairs, dna: np.ndarray, out: Path) -> None:
    """Montages of `dna` beside those of brightfield, and the manifests."""
    montages: dict[str, np.ndarray] = {}
    names = []
    for image, region, one in zip(cells.table["phase"], cells.table["region"], dna, strict=True):
        first = image.split(";")[0]
        name = f"{file_of(first).parent.name}.tif"
        if name not in montages:
            montages[name] = np.zeros(read_planes(first, None).shape[1:], np.float32)
        montages[name][Region.parse(region).slices] = one
        names.append(name)
    for name, montage in montages.items():
        tifffile.imwrite(out / name, montage)
    for manifest, count in (("brightfield.csv", 1), ("darkfield.csv", 2)):
        kept = [";".join(image.split(";")[:count]) for image in cells.table["phase"]]
        table = classified[["label", "region"]].assign(
            image=[f"{image};{name}" for image, name in zip(kept, names, strict=True)]
        )
        table.to_csv(out / manifest, index=False)


if __name__ == "__main__":
    main()
