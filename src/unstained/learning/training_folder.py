"""The folder of a model in the making: not overwritten, not resumed with something else."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..images.atomic import read_json, write_json
from ..images.folders import is_empty

__all__ = ["NOTE", "TRAINING", "begin_training", "forget_if_unbegun", "leave_note"]

TRAINING = "training"
"""Of the model folder: histories and checkpoints, while the model is trained."""

NOTE = "run.json"
"""In it: settings and data, by which a resumed training, finished or not, is known again."""


def begin_training(out: Path, model: str, said: Mapping[str, Any], *, resume: bool) -> bool:
    """Refuse a folder in use; note settings and data, and on resume compare them.

    A training that is finished may be resumed: a cluster that queues a job again must not fail
    with it.

    Parameters
    ----------
    out : Path
        Model folder.
    model : str
        The file in it by which a finished model is known.
    said : mapping
        What an interrupted training must have begun with to go on; JSON can hold it.
    resume : bool

    Returns
    -------
    bool
        Whether there is something to train; not where `resume` finds the model finished.

    Raises
    ------
    InputError
        The folder holds a model or an interrupted training without `resume`, one that was begun
        with something else, a model without a note of that, or other files; or it is a file.
    """
    note = out / TRAINING / NOTE
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file, not a folder", "choose a new folder for the model")
    finished = (out / model).exists()
    if finished and not (resume and note.exists()):
        raise InputError(
            f"{out} holds a finished model", "choose another folder, or remove this one first"
        )
    if note.exists() and not resume:
        raise InputError(
            f"{out} holds an interrupted training",
            "go on with resume (--resume), choose another folder, or remove this one",
        )
    if note.exists():
        before = read_json(note, "remove the folder, or name a new one")
        changed = [name for name in said if before.get(name) != said[name]]
        if changed:
            raise InputError(
                f"{out} was begun with other {' and '.join(changed)}",
                "resume with the same data and settings, or start anew in another folder",
            )
        return not finished
    if out.is_dir() and not is_empty(out) and not (out / TRAINING).is_dir():
        raise InputError(f"{out} is not empty", "choose a new folder for the model")
    write_json(note, said)
    return True


def leave_note(training: Path) -> None:
    """Empty the folder of a finished training except for its note."""
    for path in training.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != NOTE:
            path.unlink()


def forget_if_unbegun(out: Path) -> None:
    """After an error that came before the first checkpoint, leave no folder to be resumed.

    The error is in the data, say: mended, the same command must run.
    """
    if any((out / TRAINING).rglob("checkpoint.safetensors")):
        return
    shutil.rmtree(out / TRAINING, ignore_errors=True)
    with suppress(OSError):  # holds something else
        out.rmdir()
