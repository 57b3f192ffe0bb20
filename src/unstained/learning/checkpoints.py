"""Weights and training states as safetensors, never as pickles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import FileError, ModelError
from ..images.atomic import atomic_path

__all__ = [
    "check_sizes",
    "load_optimizer",
    "load_tensors",
    "load_weights",
    "misfit",
    "optimizer_tensors",
    "save_tensors",
]


def save_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
    """Write tensors and JSON notes as one safetensors file, under its final name in one step."""
    ready = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    with atomic_path(path) as temporary:
        # not save_file: a full disk must be an OSError, as of every other file
        temporary.write_bytes(save(ready, {"notes": json.dumps(notes, sort_keys=True)}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote: tensors on the CPU, and the notes.

    Raises
    ------
    FileError
        The file is absent or damaged.
    """
    if not path.is_file():
        raise FileError("no such file", "check the path of the model", file=path)
    try:
        with safe_open(str(path), framework="pt") as file:
            # copies: what is mapped keeps the file open, and Windows replaces and removes no such
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            notes = (file.metadata() or {}).get("notes", "{}")
    except (SafetensorError, OSError) as error:
        raise FileError(
            f"not a whole safetensors file ({error})", "copy the model again", file=path
        ) from error
    return tensors, json.loads(notes)


def check_sizes(sizes: Mapping[str, int], tensors: Mapping[str, Tensor], file: Path) -> None:
    """Refuse a network larger than its weights, before it is built: no memory might hold it.

    Parameters
    ----------
    sizes : mapping of str to int
        What model.json says, each a side that one of the weights has, or less.
    tensors : mapping of str to Tensor
        The weights.
    file : Path
        Of the weights.

    Raises
    ------
    ModelError
        A size is beyond the longest side of all weights.
    """
    longest = max((side for tensor in tensors.values() for side in tensor.shape), default=0)
    for name, size in sizes.items():
        if size > longest:
            raise misfit(f"{name} is {size:.6g}, and no weight is longer than {longest}", file)


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], file: Path) -> None:
    """Put tensors into a module of the same layout.

    Raises
    ------
    ModelError
        Names or shapes differ.
    """
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise misfit(str(error).splitlines()[-1].strip(), file) from error


def misfit(reason: str, file: Path) -> ModelError:
    """The error of weights of another network; `file` is theirs."""
    return ModelError(
        f"weights do not fit the network ({reason})",
        "model.json and the weights must come from one model folder: copy it again",
        file=file,
    )


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The state of an optimizer, flat: ``0.exp_avg`` and so on; learning rates are not state."""
    return {
        f"{index}.{name}": torch.as_tensor(value)
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def load_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
