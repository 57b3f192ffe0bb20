"""The footprint is what a reader would count with a pencil."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unstained.learning.footprint import activation_bytes_per_pixel


class Skip(nn.Module):
    """8 channels are kept while 2 x 4 are computed from them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 4, 3, padding=1)
        self.third = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        kept = self.first(x)
        y: Tensor = self.third(self.second(kept))
        return torch.cat([kept, y], 1)


def test_the_peak_counts_what_is_alive_at_once() -> None:
    # at the end: input 3, kept 8, y 4, joined 12 = 27 channels of 4 bytes
    # before (3 + 8 + 4 + 4 = 19) is less; 35 would mean that nothing is ever freed
    assert activation_bytes_per_pixel(Skip(), 3) == 27 * 4


def test_what_is_freed_does_not_count() -> None:
    # a chain holds an input (3) and two layers of 16 at most, however long it is
    layers = [nn.Conv2d(3 if i == 0 else 16, 16, 1) for i in range(6)]
    assert activation_bytes_per_pixel(nn.Sequential(*layers), 3) == (3 + 16 + 16) * 4
