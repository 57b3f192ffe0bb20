"""From images to a model folder, and from there to the images that it may be tested on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError, FileError, InputError
from ..images.atomic import atomic_path
from ..learning.loop import Progress
from ..learning.training_folder import TRAINING
from .classifier import ColonyClassifier
from .deal import parts, units
from .examples import Examples
from .model_files import HISTORY, MODEL

__all__ = ["held_out", "keep_history", "train_model", "write_table"]


def train_model(
    examples: Examples,
    out: Path,
    method: str,
    changes: Mapping[str, Any],
    *,
    labelled: float | None = None,
    by: str = "group",
    resume: bool = False,
    report: Callable[[str, Progress], None] = lambda stage, progress: None,
) -> ColonyClassifier:
    """Train a classifier into the folder `out`; a test part is set aside and noted in it.

    Parameters
    ----------
    examples : Examples
    out : Path
        Must not exist, unless `resume`.
    method, changes
        As for `ColonyClassifier`.
    labelled : float, optional
        Share of the images whose labels are used.
    by : {"group", "image"}
        What is dealt out whole.
    resume : bool
        Go on with what `out` has.
    report : callable
        Is told stage and progress.

    Raises
    ------
    FileError
        `out` exists.
    DataError
        No class is labelled, or the split cannot be made.
    """
    if (out / MODEL).exists() or (out.exists() and not resume):
        raise FileError(
            "exists already", "choose another name, remove it, or go on with --resume", file=out
        )
    classes = examples.classes
    if len(classes) < 2:
        raise DataError(
            f"{len(classes)} classes are labelled",
            "label images of two at least: see unstained colonies votes",
            file=examples.name,
        )
    classifier = ColonyClassifier(method, **changes)
    part = parts(examples, classes, labelled=labelled, by=by, seed=classifier.settings.seed)
    y = examples.codes(classes)
    teach = np.concatenate([part.labelled, part.validation, part.unlabelled])
    codes = y[teach].copy()
    hidden = np.arange(teach.size) >= part.labelled.size + part.validation.size
    codes[hidden & (codes >= 0)] = -1
    classifier.fit(
        examples.take(teach),
        codes,
        units(examples, by)[teach],
        classes=classes,
        validation=np.flatnonzero(np.isin(teach, part.validation))
        if len(part.validation)
        else None,
        folder=out / TRAINING,
        resume=resume,
        report=report,
    )
    classifier.about |= {
        "data": examples.name,
        "by": by,
        "tested": np.bincount(y[part.test], minlength=len(classes)).tolist(),
        "test_groups": sorted(set(units(examples, by)[part.test].tolist())),
        "taught_groups": sorted(set(units(examples, by)[teach].tolist())),
        "notes": list(examples.notes),
    }
    keep_history(out / TRAINING, out / HISTORY)
    classifier.write_into(out)
    shutil.rmtree(out / TRAINING)
    return classifier


def keep_history(training: Path, folder: Path) -> None:
    """Copy the history of each stage out of the folder of a training.

    As ``STAGE.jsonl``, and ``refit-STAGE.jsonl`` of a training with all labels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for history in sorted(training.rglob("history.jsonl")):
        stage = "-".join(history.parent.relative_to(training).parts)
        shutil.copyfile(history, folder / f"{stage}.jsonl")


def held_out(classifier: ColonyClassifier, examples: Examples, split: str) -> Examples:
    """The images that a score may be taken on.

    Parameters
    ----------
    split : {"test", "all"}
        ``test``: of the data that it was trained on, the groups that were set aside; of other
        data, all. ``all``: every image.

    Raises
    ------
    InputError
        Another word.
    DataError
        None of the groups set aside is among them.
    """
    if split not in ("test", "all"):
        raise InputError(f"split {split!r}", "choose test or all")
    about = classifier.about
    if split == "all" or Path(examples.name).name != Path(str(about.get("data"))).name:
        return _warned(examples, about.get("taught_groups", ())) if split == "test" else examples
    kept = np.flatnonzero(np.isin(units(examples, about["by"]), about["test_groups"]))
    if not kept.size:
        raise DataError(
            "has none of the groups that training set aside",
            "score other data, or every image with --split all",
            file=examples.name,
        )
    n = np.unique(units(examples, about["by"])[kept]).size
    return _noted(
        examples.take(kept),
        f"scored on the {n} groups that training set aside; --split all scores every image",
    )


def _warned(examples: Examples, taught: Sequence[str]) -> Examples:
    """With a note where groups are called as those that the model learned from."""
    # images without a group are numbered, and other data has the same numbers
    alike = sorted(set(taught) & set(examples.groups().tolist())) if examples.grouped else []
    if not alike:
        return examples
    return _noted(
        examples,
        f"{len(alike)} groups have names of groups that taught the model, {alike[0]} for example: "
        "if they are the same, these scores flatter",
    )


def _noted(examples: Examples, note: str) -> Examples:
    return replace(examples, notes=(*examples.notes, note))


def write_table(table: pd.DataFrame, path: Path) -> None:
    """As CSV or Parquet, by the suffix.

    Raises
    ------
    InputError
        Another suffix.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise InputError(f"{path} is no table", "name a .csv or .parquet file")
    with atomic_path(path) as temporary:
        if path.suffix == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)
