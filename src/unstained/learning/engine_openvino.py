"""OpenVINO as an engine: float32, bf16 where the processor has it, int8 after calibration."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any, cast

import numpy as np

from ..errors import InputError
from ..images.image import Array

__all__ = ["OpenVinoEngine", "has_bf16", "quantize"]

_HINTS = {"float32": "f32", "bf16": "bf16", "int8": "f32"}
_SHAPES_KEPT = 4  # a tile, its transpose under symmetries, a last frame of another size


@cache
def _core() -> Any:
    import openvino

    return openvino.Core()


def has_bf16() -> bool:
    """Whether OpenVINO multiplies bf16 on this processor."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def quantize(model: bytes, calibration: Sequence[Array]) -> Any:
    """Turn the convolutions of an ONNX model to int8 with ranges seen on real tiles.

    The last convolution stays in float32: its output is the picture.

    Parameters
    ----------
    model : bytes
        From `export_onnx`.
    calibration : sequence of (1, P, Y, X) float32 array
        Normalized tiles of the images that will be predicted, or of the training images.

    Returns
    -------
    openvino.Model
    """
    import nncf

    network = _core().read_model(model)
    logging.getLogger("nncf").setLevel(logging.ERROR)
    last = [
        op.get_friendly_name() for op in network.get_ordered_ops() if "Conv" in op.get_type_name()
    ][-1]
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),  # its progress bar
    ):
        warnings.simplefilter("ignore")
        return nncf.quantize(
            network,
            nncf.Dataset(list(calibration), lambda tile: {"planes": tile}),
            subset_size=len(calibration),
            ignored_scope=nncf.IgnoredScope(names=[last]),
        )


class OpenVinoEngine:
    """OpenVINO on the processor; compiled once for each shape that comes.

    Parameters
    ----------
    model : bytes
        From `export_onnx`.
    precision : {"float32", "bf16", "int8"}
        Always set: left alone, OpenVINO takes bf16 wherever the processor has it.
    calibration : sequence of (1, P, Y, X) float32 array, optional
        For int8.
    """

    def __init__(
        self,
        model: bytes,
        *,
        precision: str = "float32",
        calibration: Sequence[Array] | None = None,
    ) -> None:
        if precision not in _HINTS:
            raise InputError(f"openvino has no precision {precision!r}", f"one of {list(_HINTS)}")
        if precision == "int8" and not calibration:
            raise InputError("int8 needs the ranges of real tiles", "give calibration=[tile, ...]")
        self.name = "openvino-int8" if precision == "int8" else "openvino"
        self.precision = precision
        if precision == "int8":
            self._model = quantize(model, calibration or ())
        else:
            self._model = _core().read_model(model)
        self._requests: dict[tuple[int, ...], Any] = {}

    def __call__(self, batch: Array) -> Array:
        request = self._requests.pop(batch.shape, None) or self._compile(batch.shape)
        self._requests[batch.shape] = request  # the latest used stands last
        if len(self._requests) > _SHAPES_KEPT:
            del self._requests[next(iter(self._requests))]
        stains = request.infer({0: np.ascontiguousarray(batch)})[0]
        return cast(Array, np.array(stains))  # the request's own memory is written again

    def _compile(self, shape: tuple[int, ...]) -> Any:
        model = self._model.clone()
        model.reshape(list(shape))
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[self.precision],
            "PERFORMANCE_HINT": "LATENCY",
        }
        return _core().compile_model(model, "CPU", settings).create_infer_request()
