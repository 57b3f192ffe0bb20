"""Encoders that turn patches into vectors, and the classifiers built on them.

==========  ======  ==========  ================  ==============================================
name        vector  weights     least side, px    what it is
==========  ======  ==========  ================  ==============================================
small       128     0.29 M      8                 for processors and patches of 28 to 128 px
vgg19       512     20.0 M      32                VGG19 with batch norm, mean over the image
hrnet       512     20.3 M      32                HRNet-W18 with its classification head
zoo:NAME    timm's  timm's      32                any encoder of timm, through the extra `zoo`
==========  ======  ==========  ================  ==============================================

Weights are of one stream and a few planes. With two scales there are two streams, each of its
own weights, and the least side doubles.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError
from .encoders_hrnet import HRNet
from .encoders_zoo import ZOO, ZooEncoder

__all__ = [
    "VGG19",
    "Classifier",
    "EncoderSpec",
    "SmallEncoder",
    "build_classifier",
    "least_side",
    "parameter_groups",
]

# modules whose `weight` is a matrix or a filter; every other parameter is an offset or a scale
_DECAYED = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


@dataclass(frozen=True)
class EncoderSpec:
    """What is needed to build a classifier again.

    Attributes
    ----------
    name : {"small", "vgg19", "hrnet", "zoo:NAME"}
        The encoder; NAME is one of timm's, for example ``zoo:resnet18``.
    planes : int
        Label-free planes in.
    classes : int
        Logits out.
    scales : {1, 2}
        2: a second stream, of its own weights, sees the concentric half of the patch, as it
        comes: of 224 x 224 pixels the middle 112 x 112.
    dropout : float
        Share of the vector that is dropped before the last layer in training, below 1.
    weights : str, optional
        Only for ``zoo:NAME``: path of weights on disk, safetensors as timm names them. Each
        stream begins with them. A saved model has weights of its own: store its spec without.
    auxiliary : bool
        Whether there is a second head, which then gives the logits: an auxiliary classifier,
        trained in balance on the vectors of a network that is not (Lee et al. 2021, NeurIPS).
    seen : tuple of int
        Those of the planes that the network looks at, from 0; empty for all.
    """

    name: str
    planes: int
    classes: int
    scales: int = 1
    dropout: float = 0.0
    weights: str | None = None
    auxiliary: bool = False
    seen: tuple[int, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Classifier(nn.Module):
    """Normalized patches (N, P, S, S) to logits (N, classes).

    One scale: dropout, linear. Two scales: the vectors of both streams side by side, batch
    norm, dropout, linear.

    In training mode a batch holds at least two images: batch norm cannot tell the spread of
    one vector. S is any number of pixels from `least` on.

    Parameters
    ----------
    spec : EncoderSpec
    streams : list of nn.Module
        One encoder a scale, the whole patch first.
    width : int
        Length of the vector of one stream.
    least : int
        Least side that a stream takes, pixels.
    """

    def __init__(
        self, spec: EncoderSpec, streams: list[nn.Module], *, width: int, least: int
    ) -> None:
        super().__init__()
        self.spec = spec
        self.streams = nn.ModuleList(streams)
        self.width = width * spec.scales
        self.least = least * spec.scales  # the second stream sees half
        norm = nn.BatchNorm1d(self.width) if spec.scales == 2 else nn.Identity()
        linear = nn.Linear(self.width, spec.classes)
        self.head = nn.Sequential(norm, nn.Dropout(spec.dropout), linear)
        self.auxiliary = copy.deepcopy(self.head) if spec.auxiliary else None

    def features(self, x: Tensor) -> Tensor:
        """(N, P, S, S) to (N, width): the streams' vectors side by side, the whole patch first.

        Raises
        ------
        InputError
            The planes are not those of the spec, a side is below `least`, or there is one
            image in training mode.
        """
        self._check(x)
        x = x[:, list(self.spec.seen)] if self.spec.seen else x
        views = (x, _concentric_half(x))
        # as many views as streams
        vectors = [stream(view) for stream, view in zip(self.streams, views, strict=False)]
        return torch.cat(vectors, dim=1)

    def classify(self, features: Tensor) -> Tensor:
        """(N, width) to (N, classes) logits."""
        if self.spec.scales == 2:
            self._refuse_a_single(features)
        logits: Tensor = self.head(features)
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the auxiliary head where there is one."""
        features = self.features(x)
        if self.auxiliary is None:
            return self.classify(features)
        logits: Tensor = self.auxiliary(features)
        return logits

    def _check(self, x: Tensor) -> None:
        if x.ndim != 4 or x.shape[1] != self.spec.planes:
            raise InputError(
                f"the network takes (N, {self.spec.planes}, Y, X), and came {tuple(x.shape)}",
                f"give patches of {self.spec.planes} planes",
            )
        if min(x.shape[-2:]) < self.least:
            scales = "one scale" if self.spec.scales == 1 else "two scales"
            raise InputError(
                f"patches are {x.shape[-2]} x {x.shape[-1]} px; {self.spec.name} with {scales} "
                f"takes {self.least} x {self.least} px at least",
                "take larger patches, enlarge them, or choose the network small",
            )
        self._refuse_a_single(x)

    def _refuse_a_single(self, x: Tensor) -> None:
        if self.training and len(x) == 1:
            raise InputError(
                "a batch of 1 image in training; batch norm needs 2 at least",
                "make the batch larger, drop the last one, or call eval() for prediction",
            )


class SmallEncoder(nn.Module):
    """Six convolutions for patches of 28 to 128 px on a processor, (N, P, S, S) to (N, 128).

    5 x 5 of stride 2 to 32 channels, 3 x 3; 3 x 3 of stride 2 to 64, 3 x 3; 3 x 3 of stride 2 to
    128, 3 x 3; each with batch norm and ReLU; mean over the image. The last map of a patch of
    28, 40, 128 px has 4, 5, 16 px a side, and each of them sees 45 px.
    """

    width = 128
    least = 8  # the last map has one pixel

    def __init__(self, planes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _block(planes, 32, 5, stride=2),
            _block(32, 32, 3),
            _block(32, 64, 3, stride=2),
            _block(64, 64, 3),
            _block(64, self.width, 3, stride=2),
            _block(self.width, self.width, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        vector: Tensor = self.layers(x).mean(dim=(2, 3))
        return vector


class VGG19(nn.Module):
    """The sixteen convolutions of VGG19 [1]_ with batch norm, (N, P, S, S) to (N, 512).

    2, 2, 4, 4, 4 convolutions of 3 x 3 with 64, 128, 256, 512, 512 channels, each group ending
    in 2 x 2 max-pooling: timm's ``vgg19_bn.features`` in its order, biases included. The mean
    over the image stands in place of the first two fully connected layers (119.5 M of 143.7 M
    weights), so that the vector is of 512, as the paper has it, and patches of any side.

    References
    ----------
    .. [1] Simonyan, Zisserman (2015), ICLR, arXiv 1409.1556.
    """

    width = 512
    least = 32  # five halvings

    def __init__(self, planes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = planes
        for after, convolutions in ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)):
            for _ in range(convolutions):
                layers.append(_block(before, after, 3, bias=True))
                before = after
            layers.append(nn.MaxPool2d(2))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        vector: Tensor = self.layers(x).mean(dim=(2, 3))
        return vector


def build_classifier(spec: EncoderSpec, *, seed: int | None = None) -> Classifier:
    """Build a classifier with fresh weights (zoo encoders: with timm's, or those on disk).

    Convolutions begin as Kaiming-normal [1]_ numbers, variance 2 / (filters * area of a
    filter), which keeps the size of gradients through ReLU; the last layer with variance
    1 / width, since no ReLU follows; biases with 0, batch norm with scale 1 and offset 0.

    Parameters
    ----------
    spec : EncoderSpec
    seed : int, optional
        Equal seeds give equal weights, and torch's own generator stays as it is. Without one,
        the weights come from that generator.

    Raises
    ------
    InputError
        The name is not known, a number is out of its range, or weights were given for a
        network that is no zoo encoder.
    MissingExtra, FileError, ModelError
        As `ZooEncoder`.

    References
    ----------
    .. [1] He et al. (2015), ICCV, doi 10.1109/ICCV.2015.123.
    """
    _check_spec(spec)
    # the networks are built on the processor: its generator alone is put back
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        streams = [_stream(spec) for _ in range(spec.scales)]
        width, least = streams[0].width, streams[0].least
        classifier = Classifier(spec, list(streams), width=width, least=least)
        if not spec.name.startswith(ZOO):
            _initialize(classifier.streams)
        _initialize(classifier.head)
        if classifier.auxiliary is not None:
            _initialize(classifier.auxiliary)
    # a third faster on processors
    return classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def least_side(name: str, scales: int) -> int:
    """The least side of a patch that an encoder takes, pixels; of zoo encoders, what most take."""
    kinds: dict[str, int] = {"small": SmallEncoder.least, "vgg19": VGG19.least}
    return kinds.get(name, HRNet.least) * scales


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Groups for an optimizer: the decay for weights of convolutions and linear layers only.

    By the type of the module that owns a parameter, wherever it stands. Biases, batch norm and
    other norms, tokens and embeddings of position are free of it: pulling a scale to zero does
    not make the function smaller where a norm follows.

    Parameters
    ----------
    module : nn.Module
    weight_decay : float

    Returns
    -------
    list of dict
        Two groups, ``{"params": [...], "weight_decay": ...}``, together every parameter once:
        first the decayed, then the free.
    """
    decayed = {
        id(layer.weight): layer.weight for layer in module.modules() if isinstance(layer, _DECAYED)
    }
    free = [parameter for parameter in module.parameters() if id(parameter) not in decayed]
    return [
        {"params": list(decayed.values()), "weight_decay": weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]


def _check_spec(spec: EncoderSpec) -> None:
    if min(spec.planes, spec.classes) < 1:
        raise InputError(f"network {spec} has a size below 1", "give positive sizes")
    if spec.scales not in (1, 2):
        raise InputError(f"a network of {spec.scales} scales", "choose 1 or 2 scales")
    if spec.seen and not set(spec.seen) <= set(range(spec.planes)):
        raise InputError(
            f"planes {spec.seen} are to be seen of {spec.planes}",
            f"name planes from 0 to {spec.planes - 1}",
        )
    if not 0 <= spec.dropout < 1:
        raise InputError(f"dropout is {spec.dropout}", "give a share from 0 to below 1")
    if spec.weights is not None and not spec.name.startswith(ZOO):
        raise InputError(
            f"weights {spec.weights!r} were given for the network {spec.name!r}",
            f"only {ZOO}NAME begins with weights from disk",
        )


def _stream(spec: EncoderSpec) -> SmallEncoder | VGG19 | HRNet | ZooEncoder:
    planes = len(spec.seen) or spec.planes
    if spec.name.startswith(ZOO):
        return ZooEncoder(spec.name.removeprefix(ZOO), planes, spec.weights)
    if spec.name == "small":
        return SmallEncoder(planes)
    if spec.name == "vgg19":
        return VGG19(planes)
    if spec.name == "hrnet":
        return HRNet(planes)
    raise InputError(
        f"no network is called {spec.name!r}", f"choose small, vgg19, hrnet or {ZOO}NAME"
    )


def _initialize(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _concentric_half(x: Tensor) -> Tensor:
    """(N, P, Y, X) to its middle (N, P, Y // 2, X // 2); up to half a pixel, of an odd side."""
    height, width = x.shape[-2:]
    top, left = (height - height // 2) // 2, (width - width // 2) // 2
    return x[..., top : top + height // 2, left : left + width // 2]


def _block(
    before: int, after: int, side: int, *, stride: int = 1, bias: bool = False
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, side, stride=stride, padding=side // 2, bias=bias),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )
