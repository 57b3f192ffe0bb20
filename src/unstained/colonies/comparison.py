"""Methods side by side on the user's own data: the same folds, patches, labels and test for all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..errors import DataError, FileError, InputError, refuse_name
from ..images.atomic import read_json, write_csv, write_json
from ..images.folders import is_empty
from ..images.image import Array
from ..images.saved import from_saved
from ..learning.loop import Progress
from ..settings import check_settings
from .classifier import ColonyClassifier
from .deal import MIXED, UNLABELLED, Parts, check_grouped, check_learnable, folds, parts, units
from .examples import Examples
from .settings import ClassifierSettings
from .training import keep_history

__all__ = ["Arm", "Comparison", "Plan", "compare", "parse_arms"]

PLAN, RUNS, RUN, PREDICTIONS = "plan.json", "runs", "run.json", "predictions.csv"

_Said = dict[str, float]


@dataclass(frozen=True)
class Arm:
    """A row of the table: a method and the settings in which it differs."""

    name: str
    method: str
    changes: tuple[tuple[str, Any], ...] = ()

    def settings(self, seed: int, common: dict[str, Any]) -> ClassifierSettings:
        """What it is trained with."""
        changes = {**common, **dict(self.changes), "seed": seed}
        return ClassifierSettings.of_method(self.method, **changes)


@dataclass(frozen=True)
class Comparison:
    """All that was predicted.

    Attributes
    ----------
    predictions : DataFrame
        A row for each test image, arm, fold and labelled share: `arm`, `labelled`, `fold`,
        `row` (of the examples), `group`, `true`, `predicted` (codes) and ``p_NAME``.
    runs : DataFrame
        A row for each training: `arm`, `labelled`, `fold`, `seconds`, `n_labelled`,
        `n_unlabelled`, `n_test`, and ``labels_NAME``, the labelled images of each class.
        `seconds` are those of the process that ended the training.
    classes : tuple of str
    notes : tuple of str
    folder : Path
        With `runs/ARM/.../history.jsonl` of each training.
    """

    predictions: pd.DataFrame
    runs: pd.DataFrame
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    folder: Path


@dataclass(frozen=True)
class Plan:
    """What is compared and how.

    Attributes
    ----------
    folds : int
        Each is the test part once; whole groups.
    labelled : tuple of float
        Shares of all images whose labels are shown; the test parts stay the same.
    by : {"group", "image"}
    seed : int
        Of the folds; training `k` has the seed `seed` + k.
    common : dict
        Settings of all arms.
    only : int, optional
        Run the first so many folds of them.
    """

    folds: int = 5
    labelled: tuple[float, ...] = (0.1,)
    by: str = "group"
    seed: int = 0
    common: dict[str, Any] = field(default_factory=dict)
    only: int | None = None

    def __post_init__(self) -> None:
        check_settings(self, {"by": ("group", "image")}, least={"folds": 2, "only": 1})
        if self.only is not None and not 1 <= self.only <= self.folds:
            raise InputError(f"only {self.only} of {self.folds} folds", "give 1 or more of them")
        wrong = [share for share in self.labelled if not 0 < share <= 1]
        if wrong or not self.labelled or len(set(self.labelled)) < len(self.labelled):
            said = ",".join(f"{share:g}" for share in self.labelled)
            raise InputError(
                f"labelled {said!r}", "give shares above 0 and at most 1, each once: 0.05,0.1"
            )


Report = Callable[[str, int, int], None]
"""Is told the run that begins, how many are done, and of how many."""


def parse_arms(
    methods: Sequence[str],
    networks: Sequence[str] = (),
    scales: Sequence[int] = (),
    multi_label: Sequence[bool] = (),
) -> list[Arm]:
    """Rows of a table: every method with every network, scale and way with several classes.

    A method may carry settings, ``ipb:feedback=0:threshold=0.9``; what differs from the
    method's own settings becomes part of the row's name.

    Raises
    ------
    InputError
        A method is not known or named twice.
    """
    arms = []
    for text in methods:
        method, *given = text.split(":")
        own = [_setting(part, text) for part in given]
        grid: dict[str, Sequence[Any]] = {
            "network": networks,
            "scales": scales,
            "multi_label": multi_label,
        }
        varied = {name: values for name, values in grid.items() if values}
        for chosen in product(*varied.values()):
            changes = {**dict(own), **dict(zip(varied, chosen, strict=True))}
            ClassifierSettings.of_method(method, **changes)  # refuses what is wrong
            words = [method, *(f"{k}={v}" for k, v in changes.items())]
            arms.append(Arm(" ".join(words), method, tuple(changes.items())))
    names = [arm.name for arm in arms]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not arms:
        raise InputError(
            f"methods named twice: {', '.join(twice)}" if twice else "no method was named",
            "name each method once",
        )
    return arms


def compare(
    examples: Examples,
    arms: Sequence[Arm],
    folder: str | Path,
    plan: Plan,
    *,
    report: Report = lambda name, done, of: None,
    progress: Callable[[str, Progress], None] = lambda stage, progress: None,
) -> Comparison:
    """Train and test every arm on every fold; what is in `folder` already is not run again.

    Every arm sees the same images, labels, patches and seeds, and its test part once.

    Raises
    ------
    InputError
        `folder` holds a comparison of other data, folds, labels or stains.
    DataError
        Images without a group whose names show one (`deal.check_grouped`), fewer groups than
        folds, or a class without labelled images in a training part.
    """
    refuse_name(examples, "examples", "load_examples({})")
    check_grouped(examples, plan.by)
    folder = Path(folder)
    _same_plan(folder, examples, plan)
    y = examples.codes(examples.classes)
    todo = list(_runs(arms, plan, folder))
    dealt = _learnable_parts(examples, y, [run for run in todo if not run.finished], plan)
    for done, run in enumerate(todo):
        report(run.name, done, len(todo))
        if not run.finished:
            _run(examples, run, dealt[run.share, run.fold], plan, progress)
    report("", len(todo), len(todo))
    return _collected(examples, arms, folder, plan)


class _Run(NamedTuple):
    """One training: what is trained, on which part, and its folder."""

    arm: Arm
    share: float
    fold: int
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.arm.name}, {self.share:.0%} labelled, fold {self.fold}"

    @property
    def finished(self) -> bool:
        return (self.folder / RUN).exists()


def _runs(arms: Sequence[Arm], plan: Plan, folder: Path) -> Iterator[_Run]:
    """All arms of one fold before the next fold: a table of the first folds is there early."""
    for k in range(plan.folds if plan.only is None else plan.only):
        for share in plan.labelled:
            for arm in arms:
                where = folder / RUNS / _slug(arm, plan) / f"labelled-{share:g}" / f"fold-{k}"
                yield _Run(arm, share, k, where)


def _learnable_parts(
    examples: Examples, y: Array, runs: Sequence[_Run], plan: Plan
) -> dict[tuple[float, int], Parts]:
    """The parts of each labelled share and fold, all checked before the first is trained."""
    fold_of = folds(y, units(examples, plan.by), plan.folds, plan.seed)
    classes = examples.classes
    dealt: dict[tuple[float, int], Parts] = {}
    for run in runs:
        key, seed = (run.share, run.fold), plan.seed + run.fold
        if key not in dealt:
            fold = fold_of == run.fold
            dealt[key] = parts(
                examples, classes, fold=fold, labelled=run.share, by=plan.by, seed=seed
            )
        settings = run.arm.settings(seed, plan.common)
        try:
            check_learnable(_taught(y, dealt[key]), classes, settings, examples.name)
        except DataError as error:
            raise DataError(f"{run.name}: {error.reason}", error.remedy, file=error.file) from error
    return dealt


def _run(
    examples: Examples,
    run: _Run,
    part: Parts,
    plan: Plan,
    progress: Callable[[str, Progress], None],
) -> None:
    """Train on the parts but the test, predict the test, keep predictions and history."""
    where = run.folder
    classes = examples.classes
    settings = run.arm.settings(plan.seed + run.fold, plan.common)
    y = examples.codes(classes)
    teach = np.concatenate([part.labelled, part.unlabelled])
    codes = _taught(y, part)
    classifier = ColonyClassifier(
        settings.method, **{k: v for k, v in settings.as_dict().items() if k != "method"}
    )
    classifier.fit(
        examples.take(teach),
        codes,
        units(examples, plan.by)[teach],
        classes=classes,
        folder=where / "training",
        resume=True,
        report=progress,
    )
    p = classifier.predict_proba(examples.take(part.test))
    table = pd.DataFrame({"row": part.test, "true": y[part.test], "predicted": p.argmax(axis=1)})
    for k, name in enumerate(classes):
        table[f"p_{name}"] = p[:, k]
    write_csv(table, where / PREDICTIONS)
    keep_history(where / "training", where)
    seconds = classifier.about["seconds"]
    shutil.rmtree(where / "training", ignore_errors=True)
    said = {
        "arm": run.arm.name,
        "seconds": seconds,
        "n_labelled": int(part.labelled.size),
        "n_unlabelled": int(part.unlabelled.size),
        "n_test": int(part.test.size),
        "labels": _counts(y[part.labelled], classes),
        "hidden": _counts(y[part.unlabelled], classes),  # the truth of the unlabelled part
        "settings": settings.as_dict(),
    }
    write_json(where / RUN, said)  # last: by it a run is known as finished


def _taught(y: Array, part: Parts) -> Array:
    """Codes of the labelled and the unlabelled part, what is hidden as -1."""
    shown = np.arange(part.labelled.size + part.unlabelled.size) < part.labelled.size
    true = y[np.concatenate([part.labelled, part.unlabelled])]
    return np.where(shown | (true == MIXED), true, UNLABELLED)


def _counts(y: Array, classes: Sequence[str]) -> dict[str, int]:
    """Images of each class, those of several left out; {} where the class of some is unknown."""
    if (y == UNLABELLED).any():
        return {}
    count = np.bincount(y[y >= 0], minlength=len(classes))
    return {name: int(n) for name, n in zip(classes, count, strict=True)}


def _read_run(folder: Path, y: Array, classes: Sequence[str]) -> tuple[pd.DataFrame, _Said]:
    """What `_run` wrote: the predictions, and its notes with `labels` as ``labels_NAME``.

    Raises
    ------
    FileError
        A file is not there, damaged, or the predictions are not those of the test part.
    """
    file, again = folder / PREDICTIONS, f"remove {folder}: the run is made again"
    said = read_json(folder / RUN, again)
    try:
        table = pd.read_csv(file)
        _check_predictions(table, y, classes)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise FileError(f"is not what was predicted ({error})", again, file=file) from error
    try:
        if "labels" not in said:
            # earlier runs have ``n_NAME``, where a class `test` took n_test's place
            said["labels"] = {name: said[f"n_{name}"] for name in classes}
            said |= {"n_labelled": sum(said["labels"].values()), "n_test": len(table)}
        notes = {"seconds": from_saved(float, said["seconds"], "seconds")}
        for name in ("n_labelled", "n_unlabelled", "n_test"):
            notes[name] = from_saved(int, said[name], name)
        for name in classes:
            notes[f"labels_{name}"] = from_saved(int, said["labels"][name], f"labels.{name}")
    except (KeyError, TypeError) as error:
        raise FileError(f"cannot be read ({error})", again, file=folder / RUN) from error
    if len(table) != notes["n_test"]:
        raise FileError(
            f"has {len(table)} images, and {RUN} says {notes['n_test']}", again, file=file
        )
    return table, notes


def _check_predictions(table: pd.DataFrame, y: Array, classes: Sequence[str]) -> None:
    """ValueError unless the rows are the images with their labels, each once, and all columns."""
    row, true, predicted = (table[name].to_numpy("int64") for name in ("row", "true", "predicted"))
    known = (row >= 0) & (row < y.size)
    if not known.all() or (true != y[row]).any() or np.unique(row).size < row.size:
        raise ValueError("rows are not those of the images, each once with its label")
    p = table[[f"p_{name}" for name in classes]].to_numpy("float64")
    if not np.isfinite(p).all() or not np.isin(predicted, range(len(classes))).all():
        raise ValueError("a probability is missing, or a class is not known")


def _collected(examples: Examples, arms: Sequence[Arm], folder: Path, plan: Plan) -> Comparison:
    predictions, runs = [], []
    groups, y = units(examples, plan.by), examples.codes(examples.classes)
    for run in _runs(arms, plan, folder):
        key: dict[str, Any] = {"arm": run.arm.name, "labelled": run.share, "fold": run.fold}
        table, said = _read_run(run.folder, y, examples.classes)
        predictions.append(table.assign(**key, group=groups[table["row"].to_numpy()]))
        runs.append({**key, **said})
    notes = [*examples.notes, *check_grouped(examples, plan.by)]
    notes += examples.stained_in_training()
    notes += _other_shares(pd.DataFrame(runs), len(examples))
    if plan.by == "image":
        notes.append("split by image: images of one sequence may be on both sides of the split")
    if (examples.table["split"] != "").any():
        notes.append("the column split is not used: every fold is the test part once")
    return Comparison(
        pd.concat(predictions, ignore_index=True),
        pd.DataFrame(runs),
        examples.classes,
        tuple(notes),
        folder,
    )


def _other_shares(runs: pd.DataFrame, images: int) -> list[str]:
    """A note for each labelled share that the training parts do not have exactly."""
    notes = []
    for share, n in runs.groupby("labelled")["n_labelled"]:
        asked, least, most = round(float(str(share)) * images), n.min(), n.max()
        if least != asked or most != asked:
            had = f"{least}" if least == most else f"{least} to {most}"
            notes.append(
                f"{100 * float(str(share)):g} % labelled asked for {asked} of {images} images, "
                f"and the training parts were given {had} labels"
            )
    return notes


def _slug(arm: Arm, plan: Plan) -> str:
    """A folder name for an arm under the settings that all share."""
    plain = arm.name.replace(" ", "_").replace("/", "-").replace("=", "-")
    safe = "".join(c if c.isalnum() or c in "._-" else "-" for c in plain)[:60]
    settings = json.dumps(arm.settings(0, plan.common).as_dict(), sort_keys=True)
    return f"{safe}_{hashlib.sha256(settings.encode()).hexdigest()[:8]}"


def _same_plan(folder: Path, examples: Examples, plan: Plan) -> None:
    """A folder holds one comparison: the same images, labels and folds, wherever they lie."""
    columns = [
        c for c in ("image", "region", "index", "id", "label", "group") if c in examples.table
    ]
    table = examples.table[columns].astype(str)
    if "image" in table:
        table["image"] = _within_common_folder(table["image"])
    text = table.to_csv(index=False, lineterminator="\n")
    said = {
        "data": hashlib.sha256(text.encode()).hexdigest(),
        "folds": plan.folds,
        "by": plan.by,
        "seed": plan.seed,
        "stains": None if examples.stains is None else examples.stains.as_dict(),
    }
    file = folder / PLAN
    if folder.exists() and not folder.is_dir():
        raise FileError("is a file, not a folder", "name a new folder", file=folder)
    if file.exists():
        before = read_json(file, "remove the folder, or name a new one")
        differ = [name for name, value in said.items() if before.get(name) != value]
        if differ:
            raise InputError(
                f"{folder} holds a comparison with other {', '.join(differ)}",
                "name a new folder, or the same data, folds, seed, split and stains",
            )
        return
    if folder.exists() and not is_empty(folder):
        raise DataError("is not empty and holds no comparison", "name a new folder", file=folder)
    write_json(file, said)


def _within_common_folder(images: pd.Series[str]) -> pd.Series[str]:
    """Paths (planes joined by ``;``) relative to the folder that holds all: data may move."""
    files = {name: [Path(part) for part in name.split(";")] for name in images.unique()}
    try:
        top = os.path.commonpath([file.parent for parts in files.values() for file in parts])
    except ValueError:  # on several drives, or some absolute and some not: no common folder
        return images
    return images.map(
        {
            name: ";".join(Path(os.path.relpath(file, top or ".")).as_posix() for file in parts)
            for name, parts in files.items()
        }
    )


def _setting(text: str, whole: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"{text!r} in {whole!r}", "write METHOD:NAME=VALUE")
    return name.strip(), value.strip()
