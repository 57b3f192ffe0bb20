"""The networks: generators that turn label-free planes into stains, and the discriminator.

All are fully convolutional, and no layer looks at the whole image, so that an image may be
taken tile by tile. A generator tells its total `stride` and its `halo`: how far, in pixels
beyond a block aligned to the stride, the input still has a say in the block's output.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import InputError
from ..images.saved import from_saved
from .checkpoints import check_sizes, load_weights, misfit

__all__ = [
    "Generator",
    "NetworkSpec",
    "PaperUNet",
    "PatchDiscriminator",
    "UNet",
    "apply_whole",
    "build_network",
    "check_step",
    "load_network",
    "operations_per_pixel",
    "receptive_halo",
]


@dataclass(frozen=True)
class NetworkSpec:
    """What is needed to build a generator again.

    Attributes
    ----------
    name : {"compact", "unet", "paper"}
        ``unet`` works at full resolution; ``compact`` is the same network on blocks of 2 x 2
        pixels folded into channels, which takes a quarter of the operations, smoothed once they
        are unfolded; ``paper`` is the generator of Imboden et al. (2021): eight downsamplings,
        64 ... 512 channels.
    planes, outputs : int
        Label-free planes in, stains out.
    width, depth : int
        Channels of the finest level; number of downsamplings. Not used by ``paper``, whose
        width is its first level's (64) and whose depth is 8 by default.
    components : int
        Where above 0, a fixed linear layer takes the planes to so many components first
        (`UNet.set_components`). Not used by ``paper``.
    dropout : float
        Share of channels dropped in training, at the coarsest level and before the heads
        (``compact``, ``unet``) or in the three innermost decoder blocks (``paper``).
    smooth : bool
        Whether ``compact`` smooths what it unfolds.
    """

    name: str
    planes: int
    outputs: int
    width: int
    depth: int
    components: int = 0
    dropout: float = 0.0
    smooth: bool = True

    @classmethod
    def from_saved(cls, said: Mapping[str, Any]) -> NetworkSpec:
        """Read what `as_dict` gave; a model saved without `smooth` was trained without it.

        Raises
        ------
        TypeError
            An entry is missing, not known or of another type.
        """
        spec: NetworkSpec = from_saved(cls, {"smooth": False, **said}, "network")
        return spec

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Generator(nn.Module):
    """Normalized (N, P, Y, X) to (N, M, Y, X); Y and X are multiples of `stride`."""

    stride: int
    halo: int
    spec: NetworkSpec


class UNet(Generator):
    """U-Net [1]_ with batch norm, two 3 x 3 convolutions a level and one head a marker.

    Parameters
    ----------
    spec : NetworkSpec
    fold : int
        Side of the pixel blocks folded into channels before the first level (1: none) and
        unfolded behind the heads. The pixels of a block come from weights of their own, which
        shows as a grid; unfolded stains are smoothed against it [2]_, by 1-2-1 / 4 along rows
        and columns, which leaves nothing of a period of two pixels.

    References
    ----------
    .. [1] Ronneberger, Fischer, Brox (2015), MICCAI, doi 10.1007/978-3-319-24574-4_28.
    .. [2] Sugawara, Shiota, Kiya (2018), ICIP, doi 10.1109/ICIP.2018.8451141.
    """

    convolutions = 2

    def __init__(self, spec: NetworkSpec, fold: int) -> None:
        super().__init__()
        self.spec, self.fold = spec, fold
        widths = [spec.width * 2**level for level in range(spec.depth + 1)]
        taken = spec.components or spec.planes
        if spec.components:
            self.register_buffer("mix", torch.eye(taken, spec.planes)[:, :, None, None])
        first = taken * fold**2
        self.encoders = nn.ModuleList(
            _block(first if level == 0 else widths[level - 1], width, self.convolutions)
            for level, width in enumerate(widths)
        )
        self.lift = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairwise(widths))
        self.decoders = nn.ModuleList(
            _block(2 * width, width, self.convolutions) for width in widths[:-1]
        )
        self.dropout = nn.Dropout2d(spec.dropout)
        self.heads = nn.Conv2d(widths[0], spec.outputs * fold**2, 1)
        self.smooth = fold > 1 and spec.smooth
        if self.smooth:
            row = torch.tensor([0.25, 0.5, 0.25])
            self.register_buffer("smoothing", torch.outer(row, row), persistent=False)
        self.stride = fold * 2**spec.depth
        self.halo = self._halo()

    def set_components(self, matrix: NDArray[np.float32]) -> None:
        """Fix the (components, planes) matrix that the planes are mixed with."""
        self.get_buffer("mix").copy_(torch.from_numpy(matrix)[:, :, None, None])

    def _halo(self) -> int:
        # From the output back to the input along the deepest path, which reaches farthest. A
        # 3 x 3 convolution adds one pixel of its level; up- and downsampling map aligned
        # blocks onto aligned blocks, so that a reach is only rounded up to whole pixels.
        reach = 0
        for _ in range(self.spec.depth):
            reach = -(-(reach + self.convolutions) // 2)
        reach += self.convolutions
        for _ in range(self.spec.depth):
            reach = 2 * reach + self.convolutions
        return self.fold * reach + self.smooth

    def forward(self, planes: Tensor) -> Tensor:
        x = F.conv2d(planes, self.get_buffer("mix")) if self.spec.components else planes
        x = F.pixel_unshuffle(x, self.fold) if self.fold > 1 else x
        skips: list[Tensor] = []
        for level, encoder in enumerate(self.encoders):
            x = encoder(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        x = self.dropout(skips.pop())
        for lift, decoder in zip(reversed(self.lift), reversed(self.decoders), strict=True):
            x = F.interpolate(lift(x), scale_factor=2.0, mode="nearest")
            x = decoder(torch.cat([skips.pop(), x], dim=1))
        x = self.heads(self.dropout(x))
        x = F.pixel_shuffle(x, self.fold) if self.fold > 1 else x
        return self._smoothed(x) if self.smooth else x

    def _smoothed(self, x: Tensor) -> Tensor:
        x = F.pad(x, (1, 1, 1, 1), mode="replicate")
        kernel = self.get_buffer("smoothing").expand(self.spec.outputs, 1, 3, 3)
        return F.conv2d(x, kernel, groups=self.spec.outputs)


class PaperUNet(Generator):
    """The generator of Imboden et al. (2021), of the pix2pix family [1]_.

    4 x 4 convolutions of stride 2 down (leaky ReLU 0.2) and up (ReLU), batch norm but at the
    first and innermost level, skip connections at every level, tanh at the end. The paper's
    figure shows eight downsamplings, 1024 to 4 pixels, with 64, 128, 256, then 512 channels.
    tanh is kept linear here by a following scale of its own per marker (ours: stains have a
    long tail above the scale that normalizes them).

    References
    ----------
    .. [1] Isola, Zhu, Zhou, Efros (2017), CVPR, doi 10.1109/CVPR.2017.632.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        widths = [min(spec.width * 2**level, 8 * spec.width) for level in range(spec.depth)]
        downs, ups = [], []
        for level, width in enumerate(widths):
            before = spec.planes if level == 0 else widths[level - 1]
            norm = 0 < level < spec.depth - 1
            downs.append(_down(before, width, norm=norm, first=level == 0))
        inner = range(spec.depth - 4, spec.depth - 1)  # three blocks, but not the innermost
        for level in reversed(range(spec.depth)):
            after = spec.outputs if level == 0 else widths[level - 1]
            before = widths[level] * (1 if level == spec.depth - 1 else 2)
            dropout = spec.dropout if level in inner else 0.0
            ups.append(_up(before, after, dropout=dropout, last=level == 0))
        self.downs, self.ups = nn.ModuleList(downs), nn.ModuleList(ups)
        self.gain = nn.Conv2d(spec.outputs, spec.outputs, 1, groups=spec.outputs)
        nn.init.constant_(self.gain.weight, 8.0)
        nn.init.zeros_(_bias(self.gain))
        self.stride = 2**spec.depth
        self.halo = self._halo()

    def _halo(self) -> int:
        # Back from the output: a transposed 4 x 4 convolution of stride 2 takes a reach r to
        # (r + 2) // 2 coarse pixels, a 4 x 4 convolution of stride 2 takes it to 2 r + 1.
        reach = 0
        for _ in range(self.spec.depth):
            reach = (reach + 2) // 2
        for _ in range(self.spec.depth):
            reach = 2 * reach + 1
        return reach

    def forward(self, planes: Tensor) -> Tensor:
        skips: list[Tensor] = []
        x = planes
        for down in self.downs:
            x = down(x)
            skips.append(x)
        x = skips.pop()
        for up in self.ups:
            x = up(x)
            if skips:
                x = torch.cat([x, skips.pop()], dim=1)
        gained: Tensor = self.gain(x)
        return gained


class PatchDiscriminator(nn.Module):
    """Judges input and stain together, patch by patch: 64, 128, 256 channels at stride 2, 512, 1.

    (N, P + M, Y, X) to (N, 1, ~Y / 8, ~X / 8) scores without a sigmoid, for least squares:
    1 where it takes the stain for real, 0 where for predicted.
    """

    def __init__(self, planes: int, stains: int, width: int = 64) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width]
        layers: list[nn.Module] = []
        before = planes + stains
        for level, after in enumerate(widths):
            layers.append(nn.Conv2d(before, after, 4, stride=2, padding=1, bias=level == 0))
            if level:
                layers.append(nn.BatchNorm2d(after))
            layers.append(nn.LeakyReLU(0.2))
            before = after
        layers += [nn.Conv2d(before, 8 * width, 4, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(8 * width), nn.LeakyReLU(0.2)]
        layers += [nn.Conv2d(8 * width, 1, 4, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, planes: Tensor, stains: Tensor) -> Tensor:
        scores: Tensor = self.layers(torch.cat([planes, stains], dim=1))
        return scores


def check_step(patches: int, patch_px: int, stride: int) -> None:
    """Refuse a step of one patch that is a single pixel where the network is coarsest.

    Batch normalization finds no spread there.

    Raises
    ------
    InputError
    """
    if patches * math.ceil(patch_px / stride) ** 2 == 1:
        raise InputError(
            f"batch={patches} with patches of {patch_px} px: a step has a single pixel where the "
            "network is coarsest, and batch normalization needs two",
            f"give a larger batch, a smaller depth, or patch={2 * stride} and images as large",
        )


def build_network(spec: NetworkSpec) -> Generator:
    """Build a generator with fresh weights.

    Raises
    ------
    InputError
        The name is not known, or a size is not positive.
    """
    if min(spec.planes, spec.outputs, spec.width, spec.depth) < 1:
        raise InputError(f"network {spec} has a size below 1", "give positive sizes")
    if spec.components < 0 or not 0 <= spec.dropout < 1:
        raise InputError(
            f"network {spec} has components below 0 or a dropout outside 0 to below 1",
            "give 0 for none",
        )
    if spec.name == "unet":
        return UNet(spec, fold=1)
    if spec.name == "compact":
        return UNet(spec, fold=2)
    if spec.name == "paper":
        return PaperUNet(spec)
    raise InputError(f"no network is called {spec.name!r}", "choose compact, unet or paper")


def load_network(spec: NetworkSpec, tensors: Mapping[str, Tensor], file: Path) -> Generator:
    """Build a generator with the weights of a file, in evaluation mode.

    Raises
    ------
    InputError
        As `build_network`.
    ModelError
        The weights are of another network.
    """
    sizes = {"planes": spec.planes, "outputs": spec.outputs, "components": spec.components}
    check_sizes(sizes | {"width": spec.width}, tensors, file)
    if spec.depth > len(tensors):  # every level has its own
        raise misfit(f"depth is {spec.depth:.6g}, and there are {len(tensors)} weights", file)
    if spec.name != "paper":  # whose width is eightfold at most
        check_sizes({"width x 2^depth": spec.width * 2**spec.depth}, tensors, file)
    network = build_network(spec)
    load_weights(network, tensors, file)
    return network.eval()


@torch.inference_mode()
def apply_whole(network: nn.Module, planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, P, Y, X) normalized planes of any size to (N, M, Y, X), in one piece, by torch.

    The image is mirrored at its lower and right border up to a multiple of the stride. The
    reference that tiles and engines are held against; memory grows with the image.
    """
    if not isinstance(network, Generator):
        raise InputError(f"{type(network).__name__} is no generator", "give a generator")
    height, width = planes.shape[-2:]
    pads = [(0, 0), (0, 0), (0, -height % network.stride), (0, -width % network.stride)]
    device = next(network.parameters()).device
    x = torch.from_numpy(np.pad(planes, pads, mode="reflect"))
    out = network(x.to(device, memory_format=torch.channels_last))[..., :height, :width]
    result: NDArray[np.float32] = out.float().cpu().numpy()
    return result


def receptive_halo(network: nn.Module) -> int:
    """Pixels beyond an aligned block that its output depends on, from the network's layers."""
    if not isinstance(network, Generator):
        raise InputError(f"{type(network).__name__} tells no halo", "give a generator")
    return network.halo


def operations_per_pixel(network: Generator) -> float:
    """Floating-point operations a pixel (a multiplication and an addition are two), all layers."""
    total = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.ConvTranspose2d):
            total += 2 * inputs[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Conv2d):
            total += 2 * output.numel() * module.weight[0].numel()

    hooks = [m.register_forward_hook(count) for m in network.modules()]
    was_training = network.training
    side = max(network.stride, 64)
    try:
        with torch.inference_mode():
            network.eval()(torch.zeros(1, network.spec.planes, side, side))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return total / side**2


def _block(before: int, after: int, convolutions: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(convolutions):
        layers += [
            nn.Conv2d(before if i == 0 else after, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


def _down(before: int, after: int, *, norm: bool, first: bool) -> nn.Sequential:
    layers: list[nn.Module] = [] if first else [nn.LeakyReLU(0.2)]
    layers.append(nn.Conv2d(before, after, 4, stride=2, padding=1, bias=not norm))
    if norm:
        layers.append(nn.BatchNorm2d(after))
    return nn.Sequential(*layers)


def _up(before: int, after: int, *, dropout: float, last: bool) -> nn.Sequential:
    layers: list[nn.Module] = [nn.ReLU()]
    layers.append(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=last))
    layers.append(nn.Tanh() if last else nn.BatchNorm2d(after))
    if dropout > 0:
        layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


def _bias(layer: nn.Conv2d) -> Tensor:
    if layer.bias is None:
        raise TypeError("the layer was built without a bias")
    return layer.bias
