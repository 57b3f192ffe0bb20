"""What all folders of models have in common: weights, and ``model.json``, which tells them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FileError, ModelError
from ..images.atomic import write_json
from ..images.saved import from_saved
from .checkpoints import save_tensors
from .training_folder import TRAINING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MODEL", "WEIGHTS", "read_model_file", "told_as_damage", "write_model_files"]

MODEL, WEIGHTS = "model.json", "model.safetensors"
_FORMAT = 1

_TRAINED_BY = {
    "stains": "unstained staining train",
    "cells": "unstained cells train",
    "colonies": "unstained colonies train",
}


def write_model_files(
    folder: Path, kind: str, weights: Mapping[str, Tensor], said: Mapping[str, Any]
) -> None:
    """Write both files into an existing folder; ``model.json``, which makes it a model, last."""
    save_tensors(folder / WEIGHTS, weights, {"format": _FORMAT})
    about = {"format": _FORMAT, "kind": kind, "unstained": version("unstained")}
    write_json(folder / MODEL, {**about, **said})


def read_model_file(folder: Path, kind: str) -> dict[str, Any]:
    """What `write_model_files` wrote as ``model.json``; its own entries are yet to be checked.

    Parameters
    ----------
    folder : Path
    kind : {"stains", "cells", "colonies"}
        What the model must be of.

    Raises
    ------
    FileError
        The folder is not there, or is no model.
    ModelError
        The model is unfinished, damaged, of another kind or of a newer version.
    """
    file = folder / MODEL
    if not file.is_file():
        if (folder / TRAINING).is_dir():
            raise ModelError(
                "the training of this model is not finished",
                f"go on with `{_TRAINED_BY[kind]} ... --resume`",
                file=folder,
            )
        raise FileError(
            f"is no model: it has no {MODEL}" if folder.exists() else "is not there",
            f"give what `{_TRAINED_BY[kind]}` wrote",
            file=folder,
        )
    with told_as_damage(folder):
        said = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(said, dict):
            raise TypeError(f"it holds {said!r:.40}, not a mapping")
        newer = from_saved(int, said["format"], "format") > _FORMAT
        found = from_saved(str, said.get("kind", "stains"), "kind")  # which did not say so once
    if found != kind:
        raise ModelError(
            f"is a model of {found}, not of {kind}",
            f"give what `{_TRAINED_BY[kind]}` wrote",
            file=file,
        )
    if newer:
        raise ModelError(
            f"was written by unstained {said.get('unstained')}", "update unstained", file=file
        )
    return said


@contextmanager
def told_as_damage(folder: Path) -> Iterator[None]:
    """An entry that is missing or of another kind means that ``model.json`` is not ours."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        told = f"it has no {error}" if isinstance(error, KeyError) else error
        raise ModelError(
            f"is not what unstained wrote ({told})", "copy the model again", file=folder / MODEL
        ) from error
