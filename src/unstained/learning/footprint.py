"""How much memory a network's activations take, from one small run."""

from __future__ import annotations

import weakref
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["activation_bytes_per_pixel"]


class _Ledger(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storage of tensors that are alive; keeps the highest sum."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, list | tuple) else [result]:
            if isinstance(tensor, Tensor):
                self._enter(tensor)
        return result

    def _enter(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self.alive:  # views and in-place results share a storage
            self.alive[key] = storage.nbytes()
            self.peak = max(self.peak, sum(self.alive.values()))
            weakref.finalize(storage, self.alive.pop, key, None)


def activation_bytes_per_pixel(network: nn.Module, planes: int) -> float:
    """Most bytes of activations alive at once, per pixel of the input, float32.

    Scratch memory of the libraries and the weights come on top.

    Parameters
    ----------
    network : nn.Module
        Fully convolutional, with its `stride`; not changed.
    planes : int
        Input planes.
    """
    network = deepcopy(network).eval().cpu()
    side = max(128, int(getattr(network, "stride", 1)))
    batch = torch.zeros(1, planes, side, side)
    with torch.inference_mode(), _Ledger() as ledger:
        network(batch)
    return float(ledger.peak + batch.numel() * 4) / side**2
