from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from unstained.errors import InputError, ModelError
from unstained.learning import networks
from unstained.learning.networks import (
    NetworkSpec,
    PatchDiscriminator,
    apply_whole,
    build_network,
    load_network,
    operations_per_pixel,
)

SPECS = [
    NetworkSpec("unet", planes=2, outputs=3, width=4, depth=2),
    NetworkSpec("compact", planes=2, outputs=3, width=4, depth=3),
    NetworkSpec("paper", planes=2, outputs=3, width=4, depth=5, dropout=0.5),
]
by_name = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)


def _positive(network: nn.Module) -> nn.Module:
    """Weights under which every input pixel that reaches an output changes it."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
    return network.eval()


@by_name
def test_a_pixel_beyond_the_halo_of_an_aligned_block_never_reaches_it(spec: NetworkSpec) -> None:
    network = _positive(build_network(spec))
    stride, halo = network.stride, network.halo
    blocks = 2 * (-(-halo // stride)) + 3
    side = blocks * stride
    start = (blocks // 2) * stride
    block = slice(start, start + stride)
    x = torch.ones(1, spec.planes, side, side, requires_grad=True)
    network.double()(x.double())[:, :, block, block].sum().backward()
    rows = np.flatnonzero(x.grad.abs().sum(dim=(0, 1, 3)).numpy())
    # max-pooling of a constant image takes the first pixel of each 2 x 2: the reach upwards is
    # the whole one, the reach downwards may end up to a stride earlier
    assert start - rows.min() <= halo
    assert rows.max() - (start + stride - 1) <= halo
    assert start - rows.min() > halo - stride


def test_the_pixels_of_a_folded_block_leave_no_grid() -> None:
    network = build_network(NetworkSpec("compact", planes=1, outputs=1, width=4, depth=2)).eval()
    nn.init.zeros_(network.heads.weight)
    network.heads.bias.data = torch.tensor([0.0, 1.0, 2.0, 7.0])  # of the four pixels of a block
    out = network(torch.zeros(1, 1, 16, 16))[0, 0]
    assert torch.allclose(out[1:-1, 1:-1], torch.tensor(2.5))  # (0 + 1 + 2 + 7) / 4


def test_a_network_that_learned_without_smoothing_is_built_without() -> None:
    spec = NetworkSpec("compact", planes=1, outputs=1, width=4, depth=2)
    earlier = {k: v for k, v in spec.as_dict().items() if k != "smooth"}
    network = build_network(NetworkSpec.from_saved(earlier)).eval()
    nn.init.zeros_(network.heads.weight)
    network.heads.bias.data = torch.tensor([0.0, 1.0, 2.0, 7.0])
    out = network(torch.zeros(1, 1, 16, 16))[0, 0]
    assert out[:2, :2].tolist() == [[0, 1], [2, 7]]
    assert NetworkSpec.from_saved(spec.as_dict()) == spec


@by_name
def test_every_weight_gets_a_gradient(spec: NetworkSpec) -> None:
    network = build_network(spec).train()
    side = 2 * network.stride
    network(torch.randn(2, spec.planes, side, side)).square().mean().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


@by_name
def test_the_same_input_gives_the_same_output_at_prediction(spec: NetworkSpec) -> None:
    network = build_network(spec).eval()
    planes = np.random.default_rng(0).normal(size=(1, 2, 45, 37)).astype(np.float32)
    first, second = apply_whole(network, planes), apply_whole(network, planes)
    assert first.shape == (1, 3, 45, 37)
    np.testing.assert_array_equal(first, second)


def test_folding_pixels_takes_a_quarter_of_the_operations() -> None:
    # all convolutions run on a quarter of the pixels; but the first one, whose 4 input planes
    # are those of the fold, and the heads
    full = build_network(NetworkSpec("unet", 1, 1, 32, 4))
    folded = build_network(NetworkSpec("compact", 1, 1, 32, 4))
    assert operations_per_pixel(folded) == pytest.approx(operations_per_pixel(full) / 4, rel=0.02)


def test_operations_of_one_convolution_are_counted_by_hand() -> None:
    # depth 1, width 1, one plane: 3 x 3 convolutions at full resolution 1 -> 1 -> 1, after the
    # pooling 1 -> 2 -> 2, lift 2 -> 1, decoder 2 -> 1 -> 1, head 1 -> 1; two operations each
    full = 9 * 1 + 9 * 1 + 9 * 2 + 9 * 1 + 1
    half = 9 * 2 + 9 * 4 + 2  # on a quarter of the pixels
    network = build_network(NetworkSpec("unet", 1, 1, 1, 1))
    assert operations_per_pixel(network) == pytest.approx(2 * (full + half / 4))


def test_the_papers_generator_goes_from_1024_to_4_pixels_with_64_to_512_channels() -> None:
    network = build_network(NetworkSpec("paper", planes=1, outputs=1, width=64, depth=8))
    assert 1024 // network.stride == 4
    widths = [m.out_channels for m in network.downs.modules() if isinstance(m, nn.Conv2d)]
    assert widths == [64, 128, 256, 512, 512, 512, 512, 512]


def test_the_discriminator_sees_input_and_stain() -> None:
    judge = PatchDiscriminator(planes=2, stains=1, width=4).eval()
    planes, stains = torch.randn(1, 2, 64, 64), torch.randn(1, 1, 64, 64)
    said = judge(planes, stains)
    assert said.shape == (1, 1, 6, 6)  # 64 / 8, and two 4 x 4 convolutions with padding 1
    assert not torch.equal(said, judge(planes + 1, stains))
    assert not torch.equal(said, judge(planes, stains + 1))


def test_an_unknown_network_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(InputError, match="compact, unet or paper"):
        build_network(NetworkSpec("vit", 1, 1, 8, 2))


@pytest.mark.parametrize("spec", SPECS[1:], ids=lambda spec: spec.name)
@pytest.mark.parametrize("size", ["planes", "outputs", "width", "depth", "components"])
@pytest.mark.parametrize("huge", [10**7, 10**300])
def test_a_network_larger_than_its_weights_is_refused_before_it_is_built(
    spec: NetworkSpec, size: str, huge: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = build_network(spec).state_dict()
    load_network(spec, weights, Path("model.safetensors"))  # the very network
    monkeypatch.setattr(networks, "build_network", None)
    with pytest.raises(ModelError, match=rf"model\.safetensors: .*\({size} is 1e\+.*one model"):
        load_network(replace(spec, **{size: huge}), weights, Path("model.safetensors"))


def test_levels_that_no_memory_holds_are_refused_before_they_are_built() -> None:
    spec = SPECS[1]
    weights = build_network(spec).state_dict()
    with pytest.raises(ModelError, match=r"width x 2\^depth is 4\.29497e\+09"):  # 4 x 2^30
        load_network(replace(spec, depth=30), weights, Path("model.safetensors"))
