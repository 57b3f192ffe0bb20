"""The network as ONNX, and ONNX Runtime as an engine."""

from __future__ import annotations

import io
import logging
import warnings
from typing import cast

import numpy as np
import torch
from torch import nn

from ..images.image import Array

__all__ = ["OnnxEngine", "export_onnx"]


def export_onnx(network: nn.Module, planes: int) -> bytes:
    """Serialize a network (N, P, Y, X) -> (N, M, Y, X) with free N, Y and X.

    torch's older exporter is used: the newer one takes half a minute for a U-Net and needs
    another package.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode, batch norm folded.
    planes : int
        P.
    """
    free = {0: "n", 2: "y", 3: "x"}
    buffer = io.BytesIO()
    side = max(64, 2 * int(getattr(network, "stride", 0)))
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(1, planes, side, side),),
            buffer,  # type: ignore[arg-type]  # a path or a stream
            dynamo=False,
            input_names=["planes"],
            output_names=["stains"],
            dynamic_axes={"planes": free, "stains": free},
        )
    return buffer.getvalue()


class OnnxEngine:
    """ONNX Runtime on the processor, float32.

    Parameters
    ----------
    model : bytes
        From `export_onnx`.
    """

    name = "onnxruntime"
    precision = "float32"

    def __init__(self, model: bytes) -> None:
        import onnxruntime

        onnxruntime.set_default_logger_severity(logging.ERROR // 10)
        options = onnxruntime.SessionOptions()
        # idle threads of one network must not keep those of the next from working
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = True
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, batch: Array) -> Array:
        (stains,) = self._session.run(None, {"planes": np.ascontiguousarray(batch)})
        return cast(Array, stains)
