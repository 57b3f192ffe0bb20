from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from unstained.errors import FileError, InputError, MissingExtra, ModelError
from unstained.learning.encoders import (
    Classifier,
    EncoderSpec,
    build_classifier,
    parameter_groups,
)

# least side of one stream, length of its vector
PRESETS = {"small": (8, 128), "vgg19": (32, 512), "hrnet": (32, 512)}
each_preset = pytest.mark.parametrize("name", PRESETS)
each_scales = pytest.mark.parametrize("scales", [1, 2])


def _build(name: str, scales: int = 1, planes: int = 1) -> Classifier:
    return build_classifier(EncoderSpec(name, planes, classes=4, scales=scales), seed=0)


def _images(count: int, planes: int, side: int) -> Tensor:
    return torch.randn(count, planes, side, side, generator=torch.Generator().manual_seed(1))


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@each_preset
@each_scales
def test_every_preset_runs_forward_and_gives_every_parameter_a_gradient(
    name: str, scales: int
) -> None:
    network = _build(name, scales, planes=2).train()
    features = network.features(_images(2, 2, 64))
    assert features.shape == (2, network.width) == (2, scales * PRESETS[name][1])
    logits = network.classify(features)
    assert logits.shape == (2, 4)
    nn.functional.cross_entropy(logits, torch.tensor([0, 3])).backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


@each_preset
def test_forward_is_the_classifier_on_the_features(name: str) -> None:
    network = _build(name).eval()
    x = _images(2, 1, 45)  # a side that no halving divides
    with torch.inference_mode():
        torch.testing.assert_close(network(x), network.classify(network.features(x)))


def test_the_second_stream_sees_the_middle_112_of_224_pixels_as_they_come() -> None:
    network = _build("small", scales=2).eval()
    seen: list[Tensor] = []
    for stream in network.streams:
        stream.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = _images(1, 1, 224)
    with torch.inference_mode():
        network(x)
    assert torch.equal(seen[0], x)
    assert torch.equal(seen[1], x[:, :, 56:168, 56:168])  # (224 - 112) / 2 = 56


@each_preset
def test_two_streams_share_no_weight_and_begin_with_different_ones(name: str) -> None:
    first, second = _build(name, scales=2).streams
    ours, others = list(first.parameters()), list(second.parameters())
    assert {id(p) for p in ours}.isdisjoint(id(p) for p in others)
    assert not torch.equal(ours[0], others[0])


@each_preset
@each_scales
def test_patches_below_the_least_side_are_refused_and_that_side_is_taken(
    name: str, scales: int
) -> None:
    network = _build(name, scales).eval()
    least = PRESETS[name][0] * scales
    with torch.inference_mode():
        assert network(_images(1, 1, least)).isfinite().all()
    with pytest.raises(InputError, match=f"takes {least} x {least} px at least"):
        network(_images(1, 1, least - 1))


def test_patches_of_other_planes_are_refused() -> None:
    with pytest.raises(InputError, match="2 planes"):
        _build("small", planes=2)(_images(2, 1, 40))


@each_scales
def test_one_image_is_refused_in_training_and_taken_in_prediction(scales: int) -> None:
    network = _build("small", scales)
    with pytest.raises(InputError, match="a batch of 1 image in training"):
        network.train()(_images(1, 1, 40))
    assert network.eval()(_images(1, 1, 40)).shape == (1, 4)


def test_one_vector_alone_is_refused_by_the_batch_norm_of_two_scales() -> None:
    with pytest.raises(InputError, match="a batch of 1 image in training"):
        _build("small", scales=2).train().classify(torch.zeros(1, 256))


def test_vgg19_has_the_weights_of_its_sixteen_convolutions() -> None:
    # each: 9 in out weights, out biases, 2 out of batch norm; 20,035,392 is also what
    # timm 1.0.31 has in vgg19_bn.features
    widths = [3] + 2 * [64] + 2 * [128] + 4 * [256] + 8 * [512]
    expected = sum(9 * before * after + 3 * after for before, after in pairwise(widths))
    assert expected == 20_035_392
    # the last layer: 512 vectors, 4 classes
    assert _count(_build("vgg19", planes=3)) == expected + 4 * 512 + 4


def test_hrnet_has_the_weights_of_hrnet_w18() -> None:
    # timm 1.0.31, hrnet_w18: stem to stage 4 have 9,562,260, incre_modules, downsamp_modules
    # and final_layer 9,687,744. Ours: the 1 x 1 convolution 2048 -> 512 with batch norm, and
    # the last layer
    network = _build("hrnet", planes=3)
    assert _count(network) == 9_562_260 + 9_687_744 + (2048 * 512 + 2 * 512) + (4 * 512 + 4)


def test_two_scales_double_the_streams_and_put_batch_norm_before_the_classifier() -> None:
    # 5 x 5 and 3 x 3 filters without biases, 2 numbers of batch norm a channel
    filters = 25 * 32 + 9 * (32 * 32 + 32 * 64 + 64 * 64 + 64 * 128 + 128 * 128)
    stream = filters + 2 * (32 + 32 + 64 + 64 + 128 + 128)
    assert stream == 287_392
    assert _count(_build("small")) == stream + (4 * 128 + 4)
    assert _count(_build("small", scales=2)) == 2 * stream + 2 * 256 + (4 * 256 + 4)


@each_preset
def test_convolutions_begin_kaiming_normal(name: str) -> None:
    # variance 2 / fan out; of n normal numbers the sample's sd errs by 1 / sqrt(2 n)
    network = _build(name)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            fan_out = layer.out_channels * layer.kernel_size[0] ** 2
            error = (2 * layer.weight.numel()) ** -0.5
            ratio = layer.weight.std().item() / (2 / fan_out) ** 0.5
            assert ratio == pytest.approx(1, abs=5 * error)
            assert layer.bias is None or not layer.bias.any()


def test_equal_seeds_give_equal_weights_and_leave_the_generator_of_torch_alone() -> None:
    before = torch.get_rng_state()
    spec = EncoderSpec("small", 1, 3)
    first, again, other = (build_classifier(spec, seed=s).state_dict() for s in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.2.weight"], other["head.2.weight"])


@each_preset
def test_only_filters_and_matrices_decay_and_no_parameter_is_lost(name: str) -> None:
    # by the rank of the tensors, another way to tell them: filters have four axes, matrices
    # two; biases, scales and offsets of batch norm one
    network = _build(name, scales=2)
    decayed, free = parameter_groups(network, 1e-4)
    assert (decayed["weight_decay"], free["weight_decay"]) == (1e-4, 0.0)
    assert {p.ndim for p in decayed["params"]} == {2, 4}
    assert {p.ndim for p in free["params"]} == {1}
    everything = [id(p) for p in network.parameters()]
    assert sorted(id(p) for g in (decayed, free) for p in g["params"]) == sorted(everything)


def test_batch_norm_inside_a_sequential_does_not_decay() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.BatchNorm2d(2), nn.Linear(2, 1)))
    decayed, free = parameter_groups(module, 0.1)
    assert [p.shape for p in decayed["params"]] == [(2, 1, 3, 3), (1, 2)]
    assert [p.shape for p in free["params"]] == [(2,), (2,), (2,), (1,)]


def test_dropout_acts_in_training_only() -> None:
    spec = EncoderSpec("small", 1, 4, dropout=0.5)
    network, vectors = build_classifier(spec, seed=0), torch.ones(8, 128)
    assert torch.equal(network.eval().classify(vectors), network.classify(vectors))
    assert not torch.equal(network.train().classify(vectors), network.classify(vectors))


def test_planes_that_are_not_seen_change_nothing() -> None:
    network = build_classifier(EncoderSpec("small", 3, 4, seen=(0, 2)), seed=0).eval()
    x = torch.randn(2, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    unseen, seen = x.clone(), x.clone()
    unseen[:, 1] = 0
    seen[:, 2] = 0
    assert torch.equal(network(unseen), network(x))
    assert not torch.allclose(network(seen), network(x))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (EncoderSpec("resnet", 1, 4), "choose small, vgg19, hrnet or zoo:NAME"),
        (EncoderSpec("small", 0, 4), "size below 1"),
        (EncoderSpec("small", 1, 4, scales=3), "choose 1 or 2 scales"),
        (EncoderSpec("small", 1, 4, dropout=1.0), "from 0 to below 1"),
        (EncoderSpec("vgg19", 1, 4, weights="a.safetensors"), "only zoo:NAME"),
        (EncoderSpec("small", 2, 4, seen=(2,)), "planes from 0 to 1"),
    ],
)
def test_a_spec_that_cannot_be_built_says_why(spec: EncoderSpec, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_classifier(spec)


def test_without_timm_a_zoo_encoder_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtra, match=r"unstained\[zoo\]"):
        build_classifier(EncoderSpec("zoo:resnet18", 1, 4))


def test_a_timm_that_fails_on_import_is_a_missing_extra_with_the_cause(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # what torchvision of PyPI says beside a CPU build of torch
    cause = "operator torchvision::nms does not exist"
    (tmp_path / "timm.py").write_text(f"raise RuntimeError({cause!r})", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    with pytest.raises(MissingExtra, match=f"{cause}.*a torchvision that fits"):
        build_classifier(EncoderSpec("zoo:resnet18", 1, 4))


def test_weights_that_could_run_code_or_are_absent_are_refused(tmp_path: Path) -> None:
    pickled = tmp_path / "resnet18.pth"
    pickled.write_bytes(b"")
    with pytest.raises(FileError, match=r"read from \.safetensors only"):
        build_classifier(EncoderSpec("zoo:resnet18", 1, 4, weights=str(pickled)))
    absent = tmp_path / "absent.safetensors"
    with pytest.raises(FileError, match="no such file"):
        build_classifier(EncoderSpec("zoo:resnet18", 1, 4, weights=str(absent)))


@pytest.fixture
def timm_imports() -> None:
    """Skips the test where timm is not installed or its torchvision does not fit torch."""
    try:
        import timm  # noqa: F401
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"timm does not import: {error}")


@pytest.mark.usefixtures("timm_imports")
@each_scales
def test_a_zoo_encoder_takes_any_number_of_planes(scales: int) -> None:
    network = build_classifier(EncoderSpec("zoo:resnet18", 2, 4, scales=scales), seed=0)
    features = network.train().features(_images(2, 2, 64))
    assert features.shape == (2, 512 * scales)
    network.classify(features).sum().backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.usefixtures("timm_imports")
def test_every_stream_of_a_zoo_encoder_begins_with_the_weights_on_disk(tmp_path: Path) -> None:
    import timm

    model = timm.create_model("resnet18")  # three planes, with its classifier
    path = tmp_path / "resnet18.safetensors"
    save_file(model.state_dict(), path)
    spec = EncoderSpec("zoo:resnet18", 1, 4, scales=2, weights=str(path))
    for stream in build_classifier(spec, seed=0).streams:
        state = stream.encoder.state_dict()
        assert torch.equal(state["layer4.1.conv2.weight"], model.layer4[1].conv2.weight)
        # a grey image on three planes gives what it gives on their summed filters
        torch.testing.assert_close(
            state["conv1.weight"], model.conv1.weight.detach().sum(dim=1, keepdim=True)
        )


@pytest.mark.usefixtures("timm_imports")
@pytest.mark.parametrize(("file", "name"), [("resnet18", "resnet34"), ("resnet34", "resnet18")])
def test_weights_of_another_encoder_are_not_taken_in_part(
    file: str, name: str, tmp_path: Path
) -> None:
    # every layer of resnet18 is one of resnet34 too, in name and shape
    import timm

    path = tmp_path / f"{file}.safetensors"
    save_file(timm.create_model(file).state_dict(), path)
    with pytest.raises(ModelError, match=f"weights do not fit {name}"):
        build_classifier(EncoderSpec(f"zoo:{name}", 1, 4, weights=str(path)))


@pytest.mark.usefixtures("timm_imports")
def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "resnet18.safetensors"
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FileError, match="not a whole safetensors file"):
        build_classifier(EncoderSpec("zoo:resnet18", 1, 4, weights=str(path)))


@pytest.mark.usefixtures("timm_imports")
def test_an_encoder_that_timm_does_not_have_is_refused() -> None:
    with pytest.raises(InputError, match="no encoder 'resnet19'"):
        build_classifier(EncoderSpec("zoo:resnet19", 1, 4))
