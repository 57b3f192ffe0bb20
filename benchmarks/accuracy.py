"""Train and score the arms of docs/results.md, one after another; finished ones are skipped.

    python benchmarks/accuracy.py isl  --out runs/isl  --seeds 0,1,2
    python benchmarks/accuracy.py mlcp --out runs/mlcp --seeds 0
    python benchmarks/accuracy.py mlcp --out runs/mlcp --seeds 0 --arms weighted
    python benchmarks/accuracy.py inside --out runs/inside
    python benchmarks/accuracy.py folds --out runs/folds
    python benchmarks/accuracy.py cuts --out runs/cuts --seeds 0
    python benchmarks/accuracy.py masks

`weighted` weights the pairs of experiment_1 by what `shared` of the same seed predicts for the
label-free images of experiment_2, and needs that arm's model. `inside` trains on experiment_2
itself, in five folds: what the same network reaches without any shift.

`cuts` tries recipes on `isl` without its test part: each is trained three times, on the columns
0-767 but for the validation block and one strip of 176 columns, and scored on that strip.

`masks` trains nothing: what r_s would a prediction have on the test strip that knew every pixel's
side of the best threshold, and nothing of brightness?

Each arm leaves its model in OUT/ARM-SEED, and a line in OUT/results.jsonl. The table that
ends a run is made from that file. The test part of an arm is scored once.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unstained.cli._progress import TrainingReport
from unstained.images import Pairs, load_pairs
from unstained.staining import Panel, weigh
from unstained.staining.card import score_with_panel
from unstained.staining.predictor import PredictOptions
from unstained.staining.settings import TrainSettings
from unstained.staining.training import train
from unstained.statistics import moments_correlation, resampled_sums


@dataclass(frozen=True)
class Arm:
    """One row of a table: a name, what it changes, and what it learns from.

    `weighed_by` names the arm whose model weights the pairs for the test part.
    """

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    one_plane: bool = False
    weighed_by: str = ""


ISL = (
    Arm("shared"),
    Arm("ensemble", {"ensemble": 5}),
    Arm("shared-1-plane", one_plane=True),
    Arm("shared-100", {"steps": 100}),
    Arm("shared-100-1-plane", {"steps": 100}, one_plane=True),
    Arm("shared-100-cgan", {"steps": 100, "adversarial": 0.05}),
    Arm("unet-100", {"steps": 100, "network": "unet"}),
    Arm("separate-100", {"steps": 100, "panel": "separate"}),
    Arm("separate-100-cgan", {"steps": 100, "panel": "separate", "adversarial": 0.05}),
)
MLCP = (
    Arm("shared"),
    Arm("weighted", weighed_by="shared"),
    Arm("ensemble", {"ensemble": 3}),
    Arm("weighted-ensemble", {"ensemble": 3}, weighed_by="shared"),
)
LONGER = {"steps": 1000}
RECIPES = (
    Arm("default"),
    Arm("1000", LONGER),
    Arm("3000", {"steps": 3000}),
    Arm("five-networks", {"ensemble": 5}),
    Arm("batch-16", {"batch": 16}),
    Arm("patch-256-1000", {**LONGER, "patch": 256, "batch": 2}),
    Arm("width-64-1000", {**LONGER, "width": 64}),
    Arm("U-Net-1000", {**LONGER, "network": "unet"}),
    Arm("3-components", {"components": 3}),
    Arm("13-components-1000", {**LONGER, "components": 13}),
    Arm("focus-shift-1", {"focus_shift": 1}),
    Arm("focus-shift-2-1000", {**LONGER, "focus_shift": 2}),
    Arm("dropout-0.4-1000", {**LONGER, "dropout": 0.4}),
    Arm("all-warped-1000", {**LONGER, "warped": 1.0}),
    Arm("any-rotation-1000", {**LONGER, "warped": 1.0, "rotation_deg": 180.0}),
    Arm("all-symmetries", {"symmetries": "all"}),
    Arm("no-symmetries", {"symmetries": "none"}),
    Arm("contrast-0.3", {"contrast": 0.3}),
    Arm("normalized-by-each-image-SD", {"normalization": "image"}),
    Arm("no-correlation", {"correlation": 0.0}),
    Arm("discriminator", {"adversarial": 0.05}),
    Arm("rate-0.004", {"learning_rate": 4e-3}),
    Arm("rate-0.001-1000", {**LONGER, "learning_rate": 1e-3}),
)
CUTS = {"0": (0, 176), "1": (200, 376), "2": (400, 576)}  # columns scored


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("isl", "mlcp", "inside", "folds", "cuts", "masks"))
    parser.add_argument("--out", type=Path, default=Path("runs/accuracy"))
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--arms", default="", help="only these, as a,b")
    parser.add_argument("--steps", type=int, help="in place of the preset's")
    parser.add_argument("--init", type=Path, help="model that every training starts from")
    given = parser.parse_args()
    if given.what == "masks":
        masks()
        return
    given.out.mkdir(parents=True, exist_ok=True)
    seeds = [int(s) for s in given.seeds.split(",")]
    wanted = [a for a in given.arms.split(",") if a]
    for name, pairs, settings, weigher in _runs(given.what, seeds, given.steps, wanted):
        if name not in _finished(given.out):
            if weigher:
                pairs = _weighed(pairs, given.out / weigher)
            _run(name, pairs, settings, given.out, given.init)
    print(table(given.out))
    if given.what == "folds":
        print(pooled(given.out))


def masks() -> None:
    """r_s of the best mask of each stain of `isl` with one brightness inside."""
    for strip in load_pairs("isl").of_split("test").fields():
        for marker in strip.stains:
            stain = strip.read_stain(marker).astype(float)
            levels = np.percentile(stain, np.arange(80, 99.9, 0.1))
            best = max(
                np.corrcoef(stain.ravel(), (stain > level).ravel())[0, 1] for level in levels
            )
            print(f"{marker}: a perfect mask has r_s {best:.3f}")


def _runs(
    what: str, seeds: list[int], steps: int | None, wanted: list[str]
) -> Iterator[tuple[str, Pairs, TrainSettings, str]]:
    """Name, pairs, settings, and the run whose model weights the pairs, if one does."""
    pairs = load_pairs("isl" if what in ("isl", "cuts") else "mlcp")
    base = {} if steps is None else {"steps": steps}
    if what == "cuts":
        for arm, seed, cut in product(RECIPES, seeds, CUTS):
            if not wanted or arm.name in wanted:
                settings = TrainSettings.preset("fast", **{**base, **arm.changes, "seed": seed})
                yield f"{arm.name}-cut-{cut}-{seed}", _cut(pairs, *CUTS[cut]), settings, ""
        return
    if what == "folds":
        for fold in range(10):
            yield f"fold-{fold}", _fold(pairs, fold), TrainSettings.preset("fast", **base), ""
        return
    if what == "inside":
        for part in range(1, 6):
            settings = TrainSettings.preset("fast", **base)
            yield f"montage-{part}", _inside(pairs, part), settings, ""
        return
    for arm in ISL if what == "isl" else MLCP:
        for seed in seeds:
            if not wanted or arm.name in wanted:
                settings = TrainSettings.preset("fast", **{**base, **arm.changes, "seed": seed})
                own = _one_plane(pairs) if arm.one_plane else pairs
                weigher = f"{arm.weighed_by}-{seed}" if arm.weighed_by else ""
                yield f"{arm.name}-{seed}", own, settings, weigher


def _one_plane(pairs: Pairs) -> Pairs:
    middle = [p.split(";")[len(p.split(";")) // 2] for p in pairs.table["phase"]]
    return Pairs(pairs.table.assign(phase=middle), pairs.root, f"{pairs.name}, one plane")


def _cut(pairs: Pairs, start: int, stop: int) -> Pairs:
    """Columns `start` to `stop` are scored; the validation block is the standard split's."""
    whole = pairs.table.drop_duplicates("marker")
    regions = {
        "test": [f"0:1024,{start}:{stop}"],
        "validation": ["704:1024,608:768"],
        "train": [f"0:1024,0:{start - 16}"] * (start > 0)
        + [f"0:1024,{stop + 16}:592"] * (stop + 16 < 592)
        + ["0:688,592:768"],
    }
    parts = [
        whole.assign(split=split, region=region) for split, of in regions.items() for region in of
    ]
    return Pairs(pd.concat(parts, ignore_index=True), pairs.root, f"{pairs.name}, cut {start}")


def _fold(pairs: Pairs, fold: int) -> Pairs:
    """Fold `fold` of experiment_1 is the test part, the next one validation."""
    kept = pairs.table[pairs.table["group"] == "experiment_1"].copy()
    number = kept["fold"].astype(int)
    kept["split"] = np.select(
        [number == fold, number == (fold + 1) % 10], ["test", "validation"], "train"
    )
    # cells, not experiments, are dealt out: the group is the cell
    return Pairs(kept.assign(group=kept["cell"]), pairs.root, f"{pairs.name}, fold {fold}")


def _inside(pairs: Pairs, part: int) -> Pairs:
    """One montage of experiment_2 is the test part, the next one validation."""
    kept = pairs.table[pairs.table["group"] == "experiment_2"].copy()
    number = kept["cell"].str.extract(r"g1_(\d)/")[0].astype(int)
    kept["split"] = np.select(
        [number == part, number == part % 5 + 1], ["test", "validation"], "train"
    )
    return Pairs(kept.assign(group=kept["cell"]), pairs.root, f"{pairs.name}, montage {part}")


def _weighed(pairs: Pairs, model: Path) -> Pairs:
    """Weighted for the test part, whose label-free images alone are read."""
    found = weigh(Panel.load(model), pairs, pairs.of_split("test").fields())
    taught = found.pairs.of_split("train").table
    share = taught.groupby("phase_of_cycle")["weight"].sum() / taught["weight"].sum()
    print(f"{found.known} count as {found.alike:.0f}; {found.mean_after}; {found.mean_predicted}")
    print(share.round(3).to_string())
    return found.pairs


def _run(
    name: str, pairs: Pairs, settings: TrainSettings, out: Path, init: Path | None = None
) -> None:
    report = TrainingReport(name)
    panel = train(pairs, out / name, settings, init=init, resume=True, report=report)
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


def pooled(out: Path) -> str:
    """Means of the folds, and r of the totals of all their cells and within each class."""
    scores = [line["scores"]["DNA"] for line in _lines(out)]
    lines = []
    for name in ("r_s", "r_lap", "pixel_r", "cell_r"):
        values = [entry[name]["mean"] for entry in scores]
        lines.append(
            f"{name}: {np.mean(values):.3f} (SD of the folds {np.std(values, ddof=1):.3f})"
        )
    cells = pd.concat([pd.read_csv(file) for file in sorted(out.glob("*-cells.csv"))])
    parts = {"all cells": cells, **dict(list(cells.groupby("class_")))}
    for name, part in parts.items():
        of = part[["measured", "predicted"]].to_numpy()
        x, y = (of - of.mean(axis=0)).T  # sums of squares lose no digits to a large mean
        rows = np.column_stack([np.ones(len(x)), x, y, x**2, y**2, x * y])
        r = resampled_sums(rows, moments_correlation, scale="fisher")
        lines.append(f"total DNA, {name}: {len(part)} cells, r {r:.3f}")
    error = (cells["predicted"] - cells["measured"]).to_numpy()
    far = np.abs(error - error.mean())
    kept = cells[far < np.quantile(far, 0.98)]
    r = np.corrcoef(kept["measured"], kept["predicted"])[0, 1]
    lines.append(f"total DNA, without the 2 % that are farthest off: r {r:.3f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
