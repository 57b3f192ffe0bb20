"""Draw the figures of docs/results.md from what accuracy.py left.

python benchmarks/figures.py runs/isl --out docs/images
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

from unstained.figures import learning_curve, save_figure, score_boxplots


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, help="what accuracy.py isl was given as --out")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    lines = (given.runs / "results.jsonl").read_text(encoding="utf-8").splitlines()
    scores = arms([json.loads(line) for line in lines])
    save_figure(score_boxplots(scores, limits=(0, 1)), given.out / "isl-arms.png", dpi=150)
    save_figure(learning_curve(histories(given.runs)), given.out / "isl-time.png", dpi=150)


def arms(lines: list[dict]) -> pd.DataFrame:
    """r_s of each arm, marker and seed, and of the best baseline."""
    rows = [
        (marker, line["run"].rpartition("-")[0], entry["r_s"]["mean"])
        for line in lines
        for marker, entry in line["scores"].items()
    ]
    without = {
        marker: max(entry["r_s"]["mean"] for entry in found.values())
        for marker, found in lines[0]["baselines"].items()
    }
    rows += [(marker, "best baseline", value) for marker, value in without.items()]
    return pd.DataFrame(rows, columns=["marker", "model", "value"])


def histories(runs: Path) -> pd.DataFrame:
    """Validation scores of the default's seeds."""
    frames = [
        pd.read_json(path, lines=True)
        .rename(columns={"r_s": "value"})[["seconds", "value"]]
        .assign(model="default, one network", seed=path.parents[2].name)
        for path in sorted(runs.glob("shared-[0-9]*/training/*/history.jsonl"))
        if path.parents[2].name.count("-") == 1
    ]
    return pd.concat(frames, ignore_index=True)


if __name__ == "__main__":
    main()
