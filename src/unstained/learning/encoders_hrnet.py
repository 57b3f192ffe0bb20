"""HRNet-W18: four resolutions side by side, exchanged after every few blocks."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["HRNet"]

# Widths of the branches at a quarter, eighth, sixteenth and thirty-second of the resolution
WIDTHS = (18, 36, 72, 144)
# Modules of stages 2, 3 and 4, which have two, three and four branches
MODULES = (1, 4, 3)
BLOCKS = 4  # a branch, in every module; bottlenecks of stage 1
STEM = 64
# Head: inner widths of the bottlenecks that widen each branch (fourfold at their end)
HEAD = (32, 64, 128, 256)
WIDE = 2048
EXPANSION = 4


class HRNet(nn.Module):
    """High-resolution network W18 with its classification head [1]_, (N, P, S, S) to (N, 512).

    - Stem: two 3 x 3 convolutions of stride 2, 64 channels, to a quarter of the resolution.
    - Stage 1: four bottlenecks (64, 64, 256).
    - Stages 2, 3, 4: 1, 4, 3 modules of 2, 3, 4 branches of 18, 36, 72, 144 channels; a module
      is four basic blocks a branch, then every branch takes the sum of all, brought to its
      resolution: finer ones through 3 x 3 convolutions of stride 2, coarser ones through a
      1 x 1 convolution and the nearest pixel.
    - Head: a bottleneck widens the branches to 128, 256, 512, 1024; each is taken down by a
      3 x 3 convolution of stride 2 and added to the next; 1 x 1 convolutions to 2048 and to
      512; mean over the image.

    Trunk and head up to the 2048 channels have the weights of timm's ``hrnet_w18``, in its
    order: with three planes 9,562,260 in the trunk and 9,687,744 in the head
    (``benchmarks/encoders.py``). Convolutions of the head have biases as there, though batch
    norm follows. The vector of 512 is what the text of Witmer and Bhanu [2]_ says; their
    published code narrows it once more, to 128.

    Sides need not be multiples of 32, which the original asks for: a coarser branch is brought
    to the very size of the finer one (112 pixels have branches of 28, 14, 7 and 4).

    References
    ----------
    .. [1] Wang et al. (2021), IEEE TPAMI 43:3349, doi 10.1109/TPAMI.2020.2983686.
    .. [2] Witmer and Bhanu (2024), Sci Rep 14:4489, doi 10.1038/s41598-024-54993-y.
    """

    width = 512
    least = 32  # the coarsest branch has one pixel

    def __init__(self, planes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            _convolution(planes, STEM, 3, stride=2), _convolution(STEM, STEM, 3, stride=2)
        )
        wide = EXPANSION * STEM
        self.stage1 = nn.Sequential(
            *(_bottleneck(STEM if block == 0 else wide, STEM) for block in range(BLOCKS))
        )
        # in running order, so that the weights stand in the order of the original
        self.stages = nn.ModuleList()
        before: tuple[int, ...] = (wide,)
        for modules, branches in zip(MODULES, (2, 3, 4), strict=True):
            after = WIDTHS[:branches]
            exchanges = (_Exchange(after) for _ in range(modules))
            self.stages.append(nn.Sequential(_Transition(before, after), *exchanges))
            before = after
        self.head = _Head()
        self.narrow = _convolution(WIDE, self.width, 1)

    def trunk(self, x: Tensor) -> list[Tensor]:
        """(N, P, S, S) to the four branches, (N, 18 ... 144, S / 4 ... S / 32, same)."""
        maps = [self.stage1(self.stem(x))]
        for stage in self.stages:
            maps = stage(maps)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        vector: Tensor = self.narrow(self.head(self.trunk(x))).mean(dim=(2, 3))
        return vector


class _Transition(nn.Module):
    """Fits the widths of the branches and opens a new one at half the coarsest resolution."""

    def __init__(self, before: tuple[int, ...], after: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Identity() if have == want else _convolution(have, want, 3)
            for have, want in zip(before, after, strict=False)
        )
        self.layers.append(_convolution(before[-1], after[-1], 3, stride=2))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        sources = [*maps, maps[-1]]
        return [layer(x) for layer, x in zip(self.layers, sources, strict=True)]


class _Exchange(nn.Module):
    """Four basic blocks a branch, then every branch gathers from all of them."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(_basic(width) for _ in range(BLOCKS))) for width in widths
        )
        self.gathers = nn.ModuleList(_Gather(widths, target) for target in range(len(widths)))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        return [gather(maps) for gather in self.gathers]


class _Gather(nn.Module):
    """ReLU(the sum of all branches, each brought to the size and width of branch `target`)."""

    def __init__(self, widths: tuple[int, ...], target: int) -> None:
        super().__init__()
        self.target = target
        self.paths = nn.ModuleList(_path(widths, source, target) for source in range(len(widths)))

    def forward(self, maps: list[Tensor]) -> Tensor:
        size = maps[self.target].shape[-2:]
        brought = (_resized(path(x), size) for path, x in zip(self.paths, maps, strict=True))
        return torch.relu(reduce(torch.add, brought))


class _Head(nn.Module):
    """The four branches to (N, 2048, S / 32, S / 32)."""

    def __init__(self) -> None:
        super().__init__()
        widened = [EXPANSION * inner for inner in HEAD]
        self.widen = nn.ModuleList(
            _bottleneck(width, inner) for width, inner in zip(WIDTHS, HEAD, strict=True)
        )
        self.down = nn.ModuleList(
            _convolution(fine, coarse, 3, stride=2, bias=True) for fine, coarse in pairwise(widened)
        )
        self.final = _convolution(widened[-1], WIDE, 1, bias=True)

    def forward(self, maps: list[Tensor]) -> Tensor:
        maps = [widen(x) for widen, x in zip(self.widen, maps, strict=True)]
        x = maps[0]
        for down, coarser in zip(self.down, maps[1:], strict=True):
            x = down(x) + coarser
        final: Tensor = self.final(x)
        return final


class _Residual(nn.Module):
    """ReLU(body(x) + shortcut(x))."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def _basic(width: int) -> nn.Module:
    body = nn.Sequential(
        _convolution(width, width, 3), _convolution(width, width, 3, activation=False)
    )
    return _Residual(body, nn.Identity())


def _bottleneck(before: int, inner: int) -> nn.Module:
    after = EXPANSION * inner
    body = nn.Sequential(
        _convolution(before, inner, 1),
        _convolution(inner, inner, 3),
        _convolution(inner, after, 1, activation=False),
    )
    same = before == after
    return _Residual(
        body, nn.Identity() if same else _convolution(before, after, 1, activation=False)
    )


def _path(widths: tuple[int, ...], source: int, target: int) -> nn.Module:
    """What takes branch `source` to branch `target`, but for the enlargement."""
    if source == target:
        return nn.Identity()
    if source > target:  # coarser
        return _convolution(widths[source], widths[target], 1, activation=False)
    halvings = target - source
    layers = [
        _convolution(widths[source], widths[source], 3, stride=2) for _ in range(halvings - 1)
    ]
    layers.append(_convolution(widths[source], widths[target], 3, stride=2, activation=False))
    return nn.Sequential(*layers)


def _resized(x: Tensor, size: torch.Size) -> Tensor:
    return x if x.shape[-2:] == size else F.interpolate(x, size=list(size), mode="nearest")


def _convolution(
    before: int,
    after: int,
    side: int,
    *,
    stride: int = 1,
    bias: bool = False,
    activation: bool = True,
) -> nn.Sequential:
    """Convolution, batch norm, and ReLU where asked for."""
    layers: list[nn.Module] = [
        nn.Conv2d(before, after, side, stride=stride, padding=side // 2, bias=bias),
        nn.BatchNorm2d(after),
    ]
    if activation:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)
