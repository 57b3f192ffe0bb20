"""Train and score the arms of docs/results.md, one after another; finished ones are skipped.

    python benchmarks/accuracy.py isl  --out runs/isl  --seeds 0,1,2
    python benchmarks/accuracy.py mlcp --out runs/mlcp --seeds 0
    python benchmarks/accuracy.py folds --out runs/folds

Each arm leaves its model in OUT/ARM-SEED, and a line in OUT/results.jsonl. The table that
ends a run is made from that file. The test part of an arm is scored once.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unstained.cli._progress import TrainingReport
from unstained.images import Pairs, load_pairs
from unstained.staining.card import score_with_panel
from unstained.staining.predictor import PredictOptions
from unstained.staining.settings import TrainSettings
from unstained.staining.training import train


@dataclass(frozen=True)
class Arm:
    """One row of a table: a name, what it changes, and whether it sees one plane only."""

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    one_plane: bool = False


ISL = (
    Arm("shared"),
    Arm("ensemble", {"ensemble": 5}),
    Arm("shared-100", {"steps": 100}),
    Arm("shared-100-1-plane", {"steps": 100}, one_plane=True),
    Arm("shared-100-cgan", {"steps": 100, "adversarial": 0.05}),
    Arm("unet-100", {"steps": 100, "network": "unet"}),
    Arm("separate-100", {"steps": 100, "panel": "separate"}),
    Arm("separate-100-cgan", {"steps": 100, "panel": "separate", "adversarial": 0.05}),
)
MLCP = (Arm("shared"), Arm("ensemble", {"ensemble": 3}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("isl", "mlcp", "folds"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--arms", default="", help="only these, as a,b")
    parser.add_argument("--steps", type=int, help="in place of the preset's")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    seeds = [int(s) for s in given.seeds.split(",")]
    wanted = [a for a in given.arms.split(",") if a]
    for name, pairs, settings in _runs(given.what, seeds, given.steps, wanted):
        if name not in _finished(given.out):
            _run(name, pairs, settings, given.out)
    print(table(given.out))


def _runs(
    what: str, seeds: list[int], steps: int | None, wanted: list[str]
) -> Iterator[tuple[str, Pairs, TrainSettings]]:
    pairs = load_pairs("isl" if what == "isl" else "mlcp")
    base = {} if steps is None else {"steps": steps}
    if what == "folds":
        for fold in range(10):
            yield f"fold-{fold}", _fold(pairs, fold), TrainSettings.preset("fast", **base)
        return
    for arm in ISL if what == "isl" else MLCP:
        for seed in seeds:
            if not wanted or arm.name in wanted:
                settings = TrainSettings.preset("fast", **{**base, **arm.changes, "seed": seed})
                yield f"{arm.name}-{seed}", _one_plane(pairs) if arm.one_plane else pairs, settings


def _one_plane(pairs: Pairs) -> Pairs:
    middle = [p.split(";")[len(p.split(";")) // 2] for p in pairs.table["phase"]]
    return Pairs(pairs.table.assign(phase=middle), pairs.root, f"{pairs.name}, one plane")


def _fold(pairs: Pairs, fold: int) -> Pairs:
    """Fold `fold` of experiment_1 is the test part, the next one validation."""
    kept = pairs.table[pairs.table["group"] == "experiment_1"].copy()
    number = kept["fold"].astype(int)
    kept["split"] = np.select(
        [number == fold, number == (fold + 1) % 10], ["test", "validation"], "train"
    )
    # cells, not experiments, are dealt out: the group is the cell
    return Pairs(kept.assign(group=kept["cell"]), pairs.root, f"{pairs.name}, fold {fold}")


def _run(name: str, pairs: Pairs, settings: TrainSettings, out: Path) -> None:
    panel = train(pairs, out / name, settings, resume=True, report=TrainingReport(name))
    scored = score_with_panel(panel, pairs, split="test")
    line: dict[str, Any] = {
        "run": name,
        "seconds": sum(m["seconds"] for m in panel.about["members"]),
        "steps": settings.steps,
        "scores": scored.summary(),
        "baselines": scored.baseline_summary(),
        "machine": platform.processor() or platform.machine(),
    }
    if len(panel.symmetries) > 1:
        options = PredictOptions(tta=True)
        averaged = score_with_panel(panel, pairs, split="test", options=options)
        line["scores_averaged"] = averaged.summary()
    if "cell_r" in next(iter(line["scores"].values())):
        scored.amounts.to_csv(out / f"{name}-cells.csv", index=False)
    with (out / "results.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _finished(out: Path) -> set[str]:
    return {line["run"] for line in _lines(out)}


def _lines(out: Path) -> list[dict[str, Any]]:
    path = out / "results.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def table(out: Path) -> str:
    """A row for each run, as Markdown."""
    rows = []
    for line in _lines(out):
        row: dict[str, Any] = {"run": line["run"], "minutes": f"{line['seconds'] / 60:.1f}"}
        for score in ("r_s", "r_lap", "pixel_r", "cell_r"):
            values = {m: e[score]["mean"] for m, e in line["scores"].items() if score in e}
            row |= {f"{score} {m}": f"{v:.3f}" for m, v in values.items()}
            if len(values) > 1:
                row[f"{score} mean"] = f"{np.mean(list(values.values())):.3f}"
        if "scores_averaged" in line:
            averaged = [e["r_s"]["mean"] for e in line["scores_averaged"].values()]
            row["r_s mean, symmetries averaged"] = f"{np.mean(averaged):.3f}"
            for marker, entry in line["scores_averaged"].items():
                if "cell_r" in entry:
                    row[f"cell_r {marker}, averaged"] = f"{entry['cell_r']['mean']:.3f}"
        rows.append(row)
    columns = list(dict.fromkeys(c for row in rows for c in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    frame = pd.DataFrame(rows, columns=columns).fillna("")
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in frame.to_numpy()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
