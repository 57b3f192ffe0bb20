"""The engine that is always there: torch, with batch norm folded and channels last."""

from __future__ import annotations

from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..errors import InputError
from ..images.image import Array

__all__ = ["TorchEngine", "fold_batch_norm"]

_DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """A copy of the network in which each convolution does the work of the batch norm behind it.

    With running mean m and variance v, gamma (w x + b - m) / sqrt(v + eps) + beta is again a
    convolution: w' = w gamma / sqrt(v + eps), b' = (b - m) gamma / sqrt(v + eps) + beta. A batch
    norm stays where the convolution's output is also used elsewhere, or where a layer is used
    twice.

    Parameters
    ----------
    network : nn.Module
        Not changed. A network that `torch.fx` cannot trace (its flow depends on numbers) comes
        back as a plain copy.

    Returns
    -------
    nn.Module
        In evaluation mode, without gradients.
    """
    network = deepcopy(network).eval().requires_grad_(False)
    try:
        traced = fx.symbolic_trace(network)
    except (fx.proxy.TraceError, TypeError):
        return network
    modules = dict(traced.named_modules())
    targets = [node.target for node in traced.graph.nodes if node.op == "call_module"]
    for node in list(traced.graph.nodes):
        norm = modules.get(str(node.target)) if node.op == "call_module" else None
        if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None:
            continue
        before = node.args[0]
        conv = modules.get(str(before.target)) if before.op == "call_module" else None
        if not isinstance(conv, nn.Conv2d | nn.ConvTranspose2d) or len(before.users) > 1:
            continue
        if targets.count(before.target) > 1 or targets.count(node.target) > 1:
            continue
        if isinstance(conv, nn.ConvTranspose2d) and conv.groups > 1:
            continue  # the weights of grouped transposed convolutions are laid out otherwise
        fused = fuse_conv_bn_eval(conv, norm, transpose=isinstance(conv, nn.ConvTranspose2d))
        parent, _, name = str(before.target).rpartition(".")
        setattr(traced.get_submodule(parent), name, fused)
        node.replace_all_uses_with(before)
        traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced.eval()


class TorchEngine:
    """A network in eager torch; twice the same input gives the same output.

    Parameters
    ----------
    network : nn.Module
        Not changed.
    precision : {"float32", "bf16", "fp16"}
        Below float32 by autocast.
    device : str
        As torch names it: ``cpu``, ``cuda``, ``cuda:1``.
    plain : bool
        As a script would run it: batch norm apart, memory contiguous.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        precision: str = "float32",
        device: str = "cpu",
        plain: bool = False,
    ) -> None:
        if precision not in _DTYPES:
            raise InputError(f"torch has no precision {precision!r}", f"one of {list(_DTYPES)}")
        self.name = "torch-plain" if plain else "torch"
        self.precision = precision
        self._device = torch.device(device)
        self._layout = torch.contiguous_format if plain else torch.channels_last
        network = deepcopy(network).eval() if plain else fold_batch_norm(network)
        network = network.to(self._device)
        self._network = network.to(memory_format=self._layout)  # type: ignore[call-overload]

    def __call__(self, batch: Array) -> Array:
        planes = torch.from_numpy(batch).to(device=self._device, memory_format=self._layout)
        with (
            torch.inference_mode(),
            torch.autocast(
                self._device.type,
                dtype=_DTYPES[self.precision],
                enabled=self.precision != "float32",
            ),
        ):
            stains = cast(Tensor, self._network(planes))
        return cast(Array, stains.float().contiguous().cpu().numpy())
