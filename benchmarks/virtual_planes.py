"""Does a virtual stain help to classify? DNA of `mlcp` predicted as one more plane of each cell.

    python benchmarks/virtual_planes.py --out other-day --teacher experiment_2
    unstained colonies compare mlcp+darkfield --stain other-day/model --planes 1 ...

    python benchmarks/virtual_planes.py --out stained
    unstained colonies compare stained/darkfield.csv --split-by image --folds 5 --labelled 0.1 ...

The first learns DNA from brightfield and darkfield of experiment_2, another day, whose cells are
all in G1: no stain of experiment_1, whose cells are classified, is read but for the correlation
that is printed.

In the second two networks learn DNA, each from half of the cells of experiment_1; what is written
is always the prediction by the one that did not learn from the cell, so that no cell is classified
by its own stain. OUT gets the predicted montages, and two manifests: brightfield.csv and
darkfield.csv, the latter with all three planes. Classes are used in neither.
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
from unstained.staining.totals import tile_total
from unstained.staining.training import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument(
        "--teacher", choices=("experiment_1", "experiment_2"), default="experiment_1"
    )
    given = parser.parse_args()
    given.out.mkdir(parents=True)
    every = load_pairs("mlcp")
    cells, others = (_of(every, experiment) for experiment in ("experiment_1", "experiment_2"))
    planes = np.stack([field.read_phase() for field in cells.fields()])
    settings = TrainSettings.preset("fast", steps=given.steps)
    if given.teacher == "experiment_2":
        taught = _taught_by(others, np.ones(len(others), bool))
        _tell(cells, train(taught, given.out / "model", settings).predict_stack(planes)["DNA"])
        return
    classified = load_examples("mlcp+darkfield").table
    if classified["region"].tolist() != cells.table["region"].tolist():
        raise SystemExit("cells and their classes are not in one order")
    half = generator(0, 0).permutation(len(cells)) % 2
    dna = np.empty(planes.shape[:1] + planes.shape[2:], np.float32)
    for k in (0, 1):
        model = train(_taught_by(cells, half == k), given.out / f"model-{k}", settings)
        dna[half != k] = model.predict_stack(planes[half != k])["DNA"]
    _tell(cells, dna)
    _write(classified, cells, dna, given.out)


def _of(pairs: Pairs, experiment: str) -> Pairs:
    return Pairs(pairs.table[pairs.table["group"] == experiment], pairs.root, pairs.name)


def _tell(cells: Pairs, dna: np.ndarray) -> None:
    """(N, Y, X) predictions beside what was measured."""
    total = [tile_total(field.read_stain("DNA")) for field in cells.fields()]
    print(f"r of total DNA: {np.corrcoef(total, dna.sum(axis=(1, 2)))[0, 1]:.3f}")


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
