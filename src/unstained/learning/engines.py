"""One setting, `engine`, for what runs a network at prediction.

========================  ==================================================================
``auto``                  the fastest that gives the same picture as torch in float32
``torch``                 batch norm folded, channels last; the only one on a GPU
``torch-plain``           as a script would run it, to compare with
``onnxruntime``           ONNX Runtime, float32
``openvino``              OpenVINO, float32 or bf16
``openvino-int8``         OpenVINO, int8 calibrated on tiles of the image; by name only
========================  ==================================================================

"The same picture" is a largest difference, as a share of the range of the float32 picture, of
at most `TOLERANCE`: 1e-4 in float32, 1e-2 in bf16 and fp16. int8 rounds more and is therefore
never chosen unasked.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol

import numpy as np
import torch
from torch import nn

from ..errors import InputError, MissingExtra
from ..images.image import Array
from .devices import bf16_gains, choose_device
from .engine_torch import TorchEngine, fold_batch_norm
from .memory import release_memory

__all__ = [
    "ENGINES",
    "PRECISIONS",
    "TOLERANCE",
    "Engine",
    "Trial",
    "compare_engines",
    "difference",
    "make_engine",
]

ENGINES = ("auto", "torch", "torch-plain", "onnxruntime", "openvino", "openvino-int8")
PRECISIONS = ("auto", "float32", "bf16", "fp16", "int8")
_COMPARED = ("torch", "onnxruntime", "openvino")
TOLERANCE = {"float32": 1e-4, "bf16": 1e-2, "fp16": 1e-2, "int8": 0.0}

_OFFERED = {
    "torch": ("float32", "bf16"),
    "torch-plain": ("float32", "bf16"),
    "onnxruntime": ("float32",),
    "openvino": ("float32", "bf16", "int8"),
    "openvino-int8": ("int8",),
}
_NEEDS = {
    "onnxruntime": ("onnx", "onnxruntime"),
    "openvino": ("onnx", "openvino"),
    "openvino-int8": ("onnx", "openvino", "nncf"),
}


class Engine(Protocol):
    """Runs a network: (N, P, Y, X) float32 in, (N, M, Y, X) float32 out."""

    name: str
    precision: str

    def __call__(self, batch: Array) -> Array: ...


@dataclass(frozen=True)
class Trial:
    """One engine on one tile.

    Attributes
    ----------
    engine : Engine
    seconds : float
        The faster of two runs after a first one.
    difference : float
        Largest difference from torch float32, as a share of that picture's range.
    """

    engine: Engine
    seconds: float
    difference: float

    @property
    def same_picture(self) -> bool:
        return self.difference <= TOLERANCE[self.engine.precision]


def make_engine(
    network: nn.Module,
    *,
    engine: str = "auto",
    precision: str = "auto",
    device: str = "cpu",
    calibration: Sequence[Array] | None = None,
) -> Engine:
    """Prepare a network for prediction.

    Parameters
    ----------
    network : nn.Module
        (N, P, Y, X) -> (N, M, Y, X); not changed.
    engine : str
        One of `ENGINES`.
    precision : str
        One of `PRECISIONS`. ``auto``: float32 on a processor, but bf16 where it has it; bf16
        (else fp16) on a GPU.
    device : str
        As `choose_device` takes it; on a GPU the engine is torch.
    calibration : sequence of (1, P, Y, X) float32 array, optional
        Normalized tiles: ``auto`` compares on the first, int8 needs several. Without, ``auto``
        is torch.

    Raises
    ------
    InputError
        No such engine, precision or device, or a pair that does not exist.
    MissingExtra
        An engine asked for by name is not installed.
    """
    where = choose_device(device)
    _check(engine, precision, where)
    if where.type != "cpu":
        return TorchEngine(network, precision=_gpu_precision(precision, where), device=str(where))
    if engine == "auto" and precision == "int8":
        engine = "openvino-int8"
    if engine == "auto" and not calibration:
        engine = "torch"
    if engine == "auto":
        trials = compare_engines(network, (calibration or ())[0], precision=precision)
        return _fastest(trials).engine
    return _by_name(network, engine, precision, calibration)


def compare_engines(
    network: nn.Module,
    tile: Array,
    *,
    precision: str = "auto",
    names: Sequence[str] = _COMPARED,
) -> Iterator[Trial]:
    """Time each installed engine on one tile and compare it with torch float32, on the processor.

    One after the other: an engine that is not kept is gone before the next is made.

    Parameters
    ----------
    network : nn.Module
    tile : (1, P, Y, X) float32 array
        Normalized; the larger, the truer the time.
    precision : str
        As in `make_engine`; torch float32 is always among the trials.
    names : sequence of str
        Engines to try, those of int8 apart: they need more than one tile.
    """
    reference = TorchEngine(network)
    expected = reference(tile)
    if "torch" in names:
        yield Trial(reference, _seconds(reference, tile), 0.0)
    del reference
    for name in names:
        if any(find_spec(package) is None for package in _NEEDS.get(name, ())):
            continue
        if name == "torch" and _precision(name, precision) == "float32":
            continue
        if name != "torch" and precision not in ("auto", *_OFFERED[name]):
            continue
        yield _trial(_by_name(network, name, precision, None), tile, expected)


def _trial(engine: Engine, tile: Array, expected: Array) -> Trial:
    error = difference(engine(tile), expected)
    return Trial(engine, _seconds(engine, tile), error)


def _fastest(trials: Iterator[Trial]) -> Trial:
    """Of those that give the same picture; torch float32 comes first and does."""
    best = next(trials)
    for trial in trials:
        if trial.same_picture and trial.seconds < best.seconds:
            best = trial
        del trial  # an engine holds as much memory as its activations
    release_memory()
    return best


def difference(picture: Array, reference: Array) -> float:
    """Largest absolute difference as a share of the reference's range (infinite where NaN)."""
    spread = float(np.ptp(reference)) or 1.0
    worst = float(np.abs(picture - reference).max()) / spread
    return worst if np.isfinite(worst) else float("inf")


def _by_name(
    network: nn.Module, name: str, precision: str, calibration: Sequence[Array] | None
) -> Engine:
    for package in _NEEDS.get(name, ()):
        if find_spec(package) is None:
            raise MissingExtra(
                f"the engine {name!r} needs the package {package!r}, which is not installed",
                'install it with: pip install "unstained[fast]"',
            )
    precision = _precision(name, precision)
    if name == "torch-plain":
        return TorchEngine(network, precision=precision, plain=True)
    if name == "torch":
        return TorchEngine(network, precision=precision)
    from .engine_onnx import OnnxEngine, export_onnx

    model = export_onnx(fold_batch_norm(network), _planes(network))
    if name == "onnxruntime":
        return OnnxEngine(model)
    from .engine_openvino import OpenVinoEngine

    return OpenVinoEngine(model, precision=precision, calibration=calibration)


def _precision(name: str, precision: str) -> str:
    """The precision that an engine uses on the processor; an error where it does not offer it."""
    offered = _OFFERED[name]
    if precision == "auto":
        return "bf16" if _gains_bf16(name) else offered[0]
    if precision not in offered:
        raise InputError(
            f"the engine {name!r} has no precision {precision!r} on a processor",
            f"choose {' or '.join(offered)}, or another engine",
        )
    return precision


def _gains_bf16(name: str) -> bool:
    """Whether the engine is faster in bf16 on this processor."""
    if name == "torch":
        return bf16_gains(torch.device("cpu"))
    if name == "openvino":
        from .engine_openvino import has_bf16

        return has_bf16()
    return False


def _gpu_precision(precision: str, device: torch.device) -> str:
    if precision == "auto":
        return "bf16" if bf16_gains(device) else "fp16"
    return precision


def _check(engine: str, precision: str, device: torch.device) -> None:
    if engine not in ENGINES:
        raise InputError(f"no engine is called {engine!r}", f"choose one of {', '.join(ENGINES)}")
    if precision not in PRECISIONS:
        raise InputError(f"no precision {precision!r}", f"choose one of {', '.join(PRECISIONS)}")
    if device.type == "cpu":
        return
    if engine not in ("auto", "torch") or precision == "int8":
        raise InputError(
            f"on {device} there is only the engine torch", "leave engine at auto (--engine)"
        )


def _planes(network: nn.Module) -> int:
    """P, as the generator's spec says, or from the first convolution."""
    spec = getattr(network, "spec", None)
    if spec is not None:
        return int(spec.planes)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            return layer.in_channels
    raise InputError(f"{type(network).__name__} has no convolution", "give a generator")


def _seconds(engine: Engine, tile: Array) -> float:
    engine(tile)
    times = []
    for _ in range(2):
        start = time.perf_counter()
        engine(tile)
        times.append(time.perf_counter() - start)
    return min(times)
