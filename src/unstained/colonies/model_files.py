"""The folder of a classifier: ``model.safetensors`` and ``model.json``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..images.saved import from_saved
from ..learning.checkpoints import check_sizes, load_tensors, load_weights
from ..learning.encoders import Classifier, EncoderSpec, build_classifier
from ..learning.model_file import WEIGHTS, read_model_file
from .feature_model import FeatureModel

__all__ = [
    "HISTORY",
    "KIND",
    "Advised",
    "Model",
    "check_about",
    "model_of",
    "model_tensors",
    "read_model",
]

HISTORY = "history"
KIND = "colonies"


class Advised(NamedTuple):
    """A network and the features model that had a say in its training."""

    network: Classifier
    adviser: FeatureModel


Model = Classifier | FeatureModel | Advised


def model_tensors(model: Model) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """Weights by name, and what is needed to build the network again; None for features."""
    if isinstance(model, FeatureModel):
        return {f"features/{k}": torch.from_numpy(v) for k, v in model.to_tensors().items()}, None
    if isinstance(model, Advised):
        weights, spec = model_tensors(model.network)
        return weights | model_tensors(model.adviser)[0], spec
    weights = {f"network/{k}": v for k, v in model.state_dict().items()}
    return weights, {**model.spec.as_dict(), "weights": None}


def model_of(tensors: Mapping[str, Tensor], spec: Mapping[str, Any] | None, folder: Path) -> Model:
    """What `model_tensors` took apart."""

    def below(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    measured = {k: v.numpy() for k, v in below("features/").items()}
    features = FeatureModel.from_tensors(measured) if measured or spec is None else None
    if spec is None:
        assert features is not None  # from_tensors refuses what is missing
        return features
    kind, weights = from_saved(EncoderSpec, spec, "network"), below("network/")
    check_sizes({"planes": kind.planes, "classes": kind.classes}, weights, folder / WEIGHTS)
    network = build_classifier(kind, seed=0)
    load_weights(network, weights, folder / WEIGHTS)
    network.eval()
    return network if features is None else Advised(network, features)


def check_about(about: Mapping[str, Any]) -> None:
    """KeyError, TypeError or ValueError for notes that predictions or the choice of a test need.

    A model that was fitted in Python does not say on which data, nor what was set aside.
    """
    for name in ("planes", "patch"):
        from_saved(int, about[name], f"about.{name}")
    if "pixels" in about:  # older models do not say
        np.dtype(from_saved(str, about["pixels"], "about.pixels"))
    if "data" in about and about["by"] not in ("group", "image"):
        raise ValueError(f"about.by is {about['by']!r}")
    for name in ("test_groups", "taught_groups"):
        if "data" in about or name in about:
            from_saved(tuple[str, ...], about[name], f"about.{name}")
    if not isinstance(about.get("sample", {}), dict):
        raise TypeError(f"about.sample is {about['sample']!r}")


def read_model(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """``model.json`` and the weights.

    Raises
    ------
    FileError, ModelError
        The folder is no classifier, is unfinished, damaged, or of a newer version.
    """
    said = read_model_file(folder, KIND)
    return said, load_tensors(folder / WEIGHTS)[0]
