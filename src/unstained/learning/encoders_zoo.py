"""Encoders of timm, through the extra `zoo`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import FileError, InputError, MissingExtra, ModelError

__all__ = ["ZOO", "ZooEncoder"]

ZOO = "zoo:"  # what stands before timm's name


class ZooEncoder(nn.Module):
    """An encoder of timm without its classifier.

    Encoders of a fixed size (most transformers) take patches of that size only.

    Raises
    ------
    MissingExtra
        timm is not installed, or fails on import, as it does where torchvision was built for
        another torch.
    InputError
        timm has no encoder of this name.
    FileError
        The weights are absent, not safetensors, or damaged.
    ModelError
        The weights are those of another encoder.
    """

    least = 32  # most halve the side five times

    def __init__(self, name: str, planes: int, weights: str | None) -> None:
        super().__init__()
        if weights is not None:
            _check_file(Path(weights))
        timm = _import_timm(name)
        if not timm.is_model(name):
            raise InputError(
                f"timm {timm.__version__} has no encoder {name!r}",
                "choose a name that timm.list_models() lists",
            )
        if weights is None:
            self.encoder = timm.create_model(name, pretrained=False, in_chans=planes, num_classes=0)
        else:
            self.encoder = _with_weights(timm, name, planes, Path(weights))
        # the vector may be longer than the last map is wide
        self.width = int(getattr(self.encoder, "head_hidden_size", self.encoder.num_features))

    def forward(self, x: Tensor) -> Tensor:
        vector: Tensor = self.encoder(x)
        return vector


def _import_timm(name: str) -> Any:
    try:
        import timm
    # a torchvision for another torch fails with RuntimeError, and half-imported modules with
    # AttributeError; the cause is told
    except (ImportError, RuntimeError, AttributeError, OSError) as error:
        raise MissingExtra(
            f"the network '{ZOO}{name}' needs timm, which cannot be imported here ({error})",
            'install it with: pip install "unstained[zoo]", and a torchvision that fits '
            f"torch {torch.__version__}",
        ) from error
    return timm


def _check_file(path: Path) -> None:
    if path.suffix != ".safetensors":
        raise FileError(
            "weights are read from .safetensors only, since other formats can run code",
            "convert them, or take the .safetensors file that stands beside them",
            file=path,
        )
    if not path.is_file():
        raise FileError("no such file", "check the path of the weights", file=path)


def _with_weights(timm: Any, name: str, planes: int, path: Path) -> nn.Module:
    # "file" keeps timm from the network; it fits the first layer to the number of planes
    overlay = {"file": str(path)}
    try:
        with safe_open(str(path), framework="pt") as file:
            names = set(file.keys())
        encoder: nn.Module = timm.create_model(
            name, pretrained=True, pretrained_cfg_overlay=overlay, in_chans=planes, num_classes=0
        )
    except (SafetensorError, OSError) as error:
        raise FileError(
            f"not a whole safetensors file ({error})", "copy it again", file=path
        ) from error
    except (RuntimeError, KeyError) as error:
        raise _misfit(name, str(error).splitlines()[-1].strip(), path) from error
    _check_names(name, encoder, names, path)
    return encoder


def _check_names(name: str, encoder: Any, names: set[str], path: Path) -> None:
    """Refuse weights that fit in part: timm takes them silently without a classifier."""
    own = set(encoder.state_dict())
    absent = {n for n in own - names if not n.endswith("num_batches_tracked")}
    classifier = encoder.pretrained_cfg.get("classifier") or ()
    layers = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    foreign = {n for n in names - own if n.rpartition(".")[0] not in layers}
    for which, some in (("lacks", absent), ("has besides", foreign)):
        if some:
            raise _misfit(name, f"it {which} {min(some)!r} and {len(some) - 1} others", path)


def _misfit(name: str, reason: str, path: Path) -> ModelError:
    return ModelError(
        f"the weights do not fit {name} ({reason})",
        "name the encoder that they were trained for, with the layers as timm names them",
        file=path,
    )
