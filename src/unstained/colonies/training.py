"""From images to a model folder, and from there to the images that it may be tested on."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError, FileError, InputError, ModelError, count_of, refuse_name
from ..images.atomic import atomic_path, write_csv
from ..images.image import Array
from ..learning.loop import Progress
from ..learning.model_file import MODEL
from ..learning.training_folder import NOTE, TRAINING, leave_note
from .classifier import ColonyClassifier, check_same_run
from .deal import check_grouped, parts, unit_names, units
from .examples import Examples
from .model_files import HISTORY
from .stains import STAIN

__all__ = ["check_table_name", "held_out", "keep_history", "train_model", "write_table"]

_SAMPLED = 10
"""Test images by which data is recognized; one of them that is still there is enough."""


def train_model(
    examples: Examples,
    out: str | Path,
    method: str,
    changes: Mapping[str, Any],
    *,
    labelled: float | None = None,
    by: str = "group",
    resume: bool = False,
    report: Callable[[str, Progress], None] = lambda stage, progress: None,
) -> ColonyClassifier:
    """Train a classifier into the folder `out`; a test part is set aside and noted in it.

    Images with stains (`Examples.with_stains`) leave the stain's model in the folder too, so
    that the classifier travels as a whole.

    Parameters
    ----------
    examples : Examples
    out : path
        Must not exist, unless `resume`.
    method, changes
        As for `ColonyClassifier`.
    labelled : float, optional
        Share of the images whose labels are used.
    by : {"group", "image"}
        What is dealt out whole.
    resume : bool
        Go on with what `out` has. A finished model is read and given back.
    report : callable
        Is told stage and progress.

    Raises
    ------
    FileError
        `out` exists; with `resume`, holds a model without a note of its data.
    DataError
        No class is labelled, or the split cannot be made; see `deal.check_grouped`.
    InputError
        A training goes on with other settings, labels or stains.
    """
    refuse_name(examples, "examples", "load_examples({})")
    out = Path(out)
    finished = (out / MODEL).exists()
    if finished and not (resume and (out / TRAINING / NOTE).exists()):
        raise FileError(
            "exists already, a finished model", "choose another name or remove it", file=out
        )
    if out.exists() and not resume:
        raise FileError(
            "exists already",
            "choose another name, remove it, or go on with resume (--resume)",
            file=out,
        )
    classes = examples.classes
    if len(classes) < 2:
        raise DataError(
            f"{len(classes)} classes are labelled",
            "label images of two at least: see unstained colonies votes",
            file=examples.name,
        )
    classifier = ColonyClassifier(method, **changes)
    ungrouped = check_grouped(examples, by, keeps_split=True)
    part = parts(examples, classes, labelled=labelled, by=by, seed=classifier.settings.seed)
    y = examples.codes(classes)
    teach = np.concatenate([part.labelled, part.validation, part.unlabelled])
    codes = y[teach].copy()
    hidden = np.arange(teach.size) >= part.labelled.size + part.validation.size
    codes[hidden & (codes >= 0)] = -1
    taught = examples.take(teach)
    if finished:  # a cluster that queues a job again must not fail with it
        stains = None if taught.stains is None else taught.stains.as_dict()
        check_same_run(out / TRAINING, classifier.settings, codes, stains, resume=True)
        leave_note(out / TRAINING)  # it may have been broken off in doing so
        return ColonyClassifier.load(out)
    classifier.fit(
        taught,
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
    names = unit_names(examples, by)
    classifier.about |= {
        "data": examples.name,
        "by": by,
        "tested": np.bincount(y[part.test], minlength=len(classes)).tolist(),
        "test_groups": sorted(set(names[part.test].tolist())),
        "taught_groups": sorted(set(names[teach].tolist())),
        "sample": _sample(examples, part.test),
        "notes": [
            *(*examples.notes, *ungrouped),
            *examples.take(part.test).stained_in_training(),
        ],
    }
    if examples.stains is not None and not (out / STAIN).exists():
        examples.stains.stainer.save(out / STAIN)
    keep_history(out / TRAINING, out / HISTORY)
    classifier.write_into(out)
    leave_note(out / TRAINING)
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
        ``test``: of the data that it was trained on, the groups (or images) that were set aside;
        of other data, all. ``all``: every image. Data is that of training if it has its base name
        and some of the images set aside, by name and pixels.

    Returns
    -------
    Examples
        With a note of what was chosen, or of images that may have taught the model.

    Raises
    ------
    InputError
        Another word.
    DataError
        The images are those of training, under other groups.
    ModelError
        The model is old and knows its test images by their rows alone.
    """
    if split not in ("test", "all"):
        raise InputError(f"split {split!r}", "choose test or all")
    about = classifier.about
    if split == "all" or _base(examples.name) != _base(str(about.get("data"))):
        return _warned(examples, about)
    if _by_row(about):
        raise ModelError(
            "the model knows its test images by their rows alone, which may have moved",
            "train it again, score other data, or score every image with --split all",
        )
    names = unit_names(examples, about["by"])
    kept = np.flatnonzero(np.isin(names, about["test_groups"]))
    if not _has_sample(examples, about):
        return _noted(
            _warned(examples, about),
            "has the name of the data of training, but not the images that it set aside: taken "
            "as other data, every image is scored; where some of them taught the model, these "
            "scores flatter",
        )
    if not kept.size:
        raise DataError(
            f"has the images of training, but none of the {_what(examples, about)}s that it set "
            "aside",
            "give them the names that they had, or score every image with --split all",
            file=examples.name,
        )
    n, of = np.unique(names[kept]).size, len(about["test_groups"])
    what = _what(examples, about)
    some = count_of(n, what) if n == of else f"{n} (of {of}) {what}s"
    return _noted(
        examples.take(kept),
        f"scored on the {some} that training set aside; --split all scores every image",
    )


def _base(name: str) -> str:
    # a model that was trained on Windows has the path of its data as Windows writes it
    return Path(name.replace("\\", "/")).absolute().name


def _what(examples: Examples, about: Mapping[str, Any]) -> str:
    return "group" if examples.grouped and about.get("by") != "image" else "image"


def _by_row(about: Mapping[str, Any]) -> bool:
    """Whether a model without checksums of its test images names ungrouped ones by their row."""
    dealt = (*about.get("test_groups", ()), *about.get("taught_groups", ()))
    numbered = any(re.fullmatch(r"image \d+", name) for name in dealt)
    return "sample" not in about and (numbered or about.get("by") == "image")


def _sample(examples: Examples, test: Array) -> dict[str, str]:
    """Checksums of some test images by name: other data may have the same names."""
    some = test[:: max(1, test.size // _SAMPLED)]
    names, plain = examples.names(), examples.with_stains(None)
    return {str(names[i]): _checksum(plain.read(int(i)).pixels) for i in some}


def _has_sample(examples: Examples, about: Mapping[str, Any]) -> bool:
    """Whether one of the sampled test images is there, with its pixels."""
    if "sample" not in about:
        return True
    row = {name: i for i, name in enumerate(examples.names().tolist())}
    plain = examples.with_stains(None)
    return any(
        name in row and _checksum(plain.read(row[name]).pixels) == checksum
        for name, checksum in about["sample"].items()
    )


def _checksum(pixels: Array) -> str:
    return hashlib.sha256(f"{pixels.dtype} {pixels.shape}".encode() + pixels.tobytes()).hexdigest()


def _warned(examples: Examples, about: Mapping[str, Any]) -> Examples:
    """With a note where groups or images are called as those that the model learned from."""
    if _by_row(about):
        if _base(examples.name) != _base(str(about.get("data"))):
            return examples  # other data has the same numbers
        return _noted(
            examples, "the model may have learned from some of them: then these scores flatter"
        )
    there = {*unit_names(examples, about.get("by", "group")).tolist(), *examples.names().tolist()}
    alike = sorted(there & set(about.get("taught_groups", ())))
    if not alike:
        return examples
    what = _what(examples, about)
    return _noted(
        examples,
        f"{count_of(len(alike), what)} with the name of one that taught the model, {alike[0]} for "
        "example: if they are the same, these scores flatter",
    )


def _noted(examples: Examples, note: str) -> Examples:
    return replace(examples, notes=(*examples.notes, note))


def check_table_name(path: Path) -> None:
    """Refuse a file that `write_table` cannot write, before there is anything to write."""
    if path.suffix not in (".csv", ".parquet"):
        raise InputError(f"{path} is no table", "name a .csv or .parquet file")


def write_table(table: pd.DataFrame, path: Path) -> None:
    """As CSV or Parquet, by the suffix.

    Raises
    ------
    InputError
        Another suffix.
    """
    check_table_name(path)
    if path.suffix == ".csv":
        write_csv(table, path, float_format=None)
        return
    with atomic_path(path) as temporary:
        table.to_parquet(temporary, index=False)
