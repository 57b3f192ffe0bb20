"""Segmentation of `usiigaci/train` by 4-fold cross-validation, beside the classical baseline.

    python benchmarks/cells.py --out runs/cells [--folds 0,1,2,3] [--steps N] [--set NAME=VALUE]

Each of the 14 sets is tested once, by a model that saw none of it: weights and thresholds are
chosen on sets from the model's own training part. Sets of small cells are dealt out first, so
that each fold has some. Finished folds are skipped; the tables are made from
OUT/foldK/scores.json. The baseline has no model; its settings were chosen on these same sets,
which favors it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from unstained.cells.classical import segment_classical
from unstained.cells.labelled import LabelledImage, load_labelled
from unstained.cells.matching import ImageScore, pool_scores, score_labels
from unstained.cells.model import CellModel
from unstained.cells.settings import CellSettings
from unstained.cells.training import train_cells
from unstained.images.atomic import atomic_path
from unstained.learning.loop import Progress
from unstained.learning.model_file import MODEL

FOLDS = 4
# small cells: 13, 15, 19 dense, 30, 36, 41 sparse
SMALL = ("set13", "set15", "set19", "set30", "set36", "set41")


def fold_of(groups: Iterable[str]) -> dict[str, int]:
    """Deal sets like cards, those of small cells first."""
    ordered = sorted(groups, key=lambda group: (group not in SMALL, group))
    return {group: number % FOLDS for number, group in enumerate(ordered)}


def run_fold(
    images: list[LabelledImage], fold: int, out: Path, settings: CellSettings
) -> list[dict[str, Any]]:
    """Train without the fold (or load what was trained), and score it."""
    folds = fold_of(image.group for image in images)
    if (out / "model" / MODEL).exists():
        model = CellModel.load(out / "model", device="cpu")
    else:
        taught = [image for image in images if folds[image.group] != fold]
        model = train_cells(taught, out / "model", settings, resume=True, report=_say)
    rows = []
    for image in images:
        if folds[image.group] != fold:
            continue
        began = time.perf_counter()
        found = {"model": model.segment(image.image)}
        seconds = time.perf_counter() - began
        found["classical"] = segment_classical(image.image)
        for method, labels in found.items():
            score = score_labels(image.labels, labels)
            said = {k: np.asarray(v).tolist() for k, v in score._asdict().items()}
            rows.append({"set": image.group, "fold": fold, "method": method, **said})
        print(f"fold {fold}, {image.group}: {seconds:.1f} s", flush=True)
    return rows


def print_tables(rows: list[dict[str, Any]]) -> None:
    """Pooled over sets with intervals, then set by set."""
    print("\n| method | sets | cells | AP 0.5 | AP 0.75 | mean IoU |\n|---|---|---|---|---|---|")
    for method in ("model", "classical"):
        pooled = pool_scores([_score(row) for row in rows if row["method"] == method])
        ap50, ap75 = (at.average_precision for at in pooled.at)
        cells = [
            f"{i.estimate:.3f} [{i.low:.3f}, {i.high:.3f}]" for i in (ap50, ap75, pooled.mean_iou)
        ]
        print(f"| {method} | {pooled.images} | {pooled.true_cells} | {' | '.join(cells)} |")
    print("\n| set | fold | cells | found | AP 0.5 | AP 0.75 | mean IoU | classical AP 0.5 |")
    print("|---|---|---|---|---|---|---|---|")
    baseline = {row["set"]: _score(row) for row in rows if row["method"] == "classical"}
    for row in sorted(rows, key=lambda row: str(row["set"])):
        if row["method"] == "model":
            score = _score(row)
            ap = _precision(score)
            print(
                f"| {row['set']} | {row['fold']} | {score.true_cells} | {score.predicted_cells} "
                f"| {ap[0]:.3f} | {ap[1]:.3f} | {score.iou_sum / score.true_cells:.3f} "
                f"| {_precision(baseline[row['set']])[0]:.3f} |"
            )


def _score(row: dict[str, Any]) -> ImageScore:
    plain = [row["true_cells"], row["predicted_cells"], row["iou_sum"]]
    return ImageScore(*plain, *(np.array(row[name]) for name in ImageScore._fields[3:]))


def _precision(score: ImageScore) -> Any:
    return score.true_positives / (score.true_cells + score.predicted_cells - score.true_positives)


def _say(progress: Progress) -> None:
    if progress.scores is not None or progress.step % 50 == 0:
        numbers = {**progress.losses, **(progress.scores or {})}
        print(progress.step, {k: round(v, 3) for k, v in numbers.items()}, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folds", default="0,1,2,3")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    given = parser.parse_args()
    changes: dict[str, Any] = dict(text.split("=", 1) for text in given.set)
    changes |= {} if given.steps is None else {"steps": given.steps}
    settings = CellSettings().changed(changes)
    images = load_labelled("usiigaci")
    rows: list[dict[str, Any]] = []
    for fold in (int(part) for part in given.folds.split(",")):
        out = given.out / f"fold{fold}"
        file = out / "scores.json"
        if not file.exists():
            found = run_fold(images, fold, out, settings)
            with atomic_path(file) as temporary:
                temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        rows += json.loads(file.read_text(encoding="utf-8"))
    print_tables(rows)


if __name__ == "__main__":
    main()
