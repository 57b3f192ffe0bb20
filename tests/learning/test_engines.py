"""Every engine gives torch's picture; folding changes nothing; absence is told."""

from __future__ import annotations

import importlib.util
import time
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unstained.errors import InputError, MissingExtra
from unstained.learning import engines
from unstained.learning.engine_torch import TorchEngine, fold_batch_norm
from unstained.learning.engines import compare_engines, difference, make_engine
from unstained.learning.networks import NetworkSpec, build_network


def network(name: str = "compact", planes: int = 2, depth: int = 2) -> nn.Module:
    """A small generator whose batch norms have seen data, so that folding has work to do."""
    torch.manual_seed(0)
    net = build_network(NetworkSpec(name, planes, 3, width=8, depth=depth, dropout=0.2))
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None:
            assert layer.running_var is not None
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.5, 2)
            nn.init.normal_(layer.weight, 1, 0.2)
            nn.init.normal_(layer.bias, 0, 0.2)
    return net.eval()


def tile(planes: int = 2, side: int = 64, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(1, planes, side, side)).astype(np.float32)


def plain(net: nn.Module, batch: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        out: np.ndarray = net(torch.from_numpy(batch)).numpy()
    return out


@pytest.mark.parametrize(("name", "depth"), [("unet", 2), ("compact", 2), ("paper", 5)])
def test_folding_leaves_no_batch_norm_and_the_same_picture(name: str, depth: int) -> None:
    net = network(name, depth=depth)
    folded = fold_batch_norm(net)
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in net.modules())
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    assert difference(plain(folded, tile()), plain(net, tile())) < 1e-5


def test_folding_by_hand() -> None:
    # conv 2 x + 1, norm 3 (. - 5) / sqrt(4) + 7: at x = 10 that is 3 (21 - 5) / 2 + 7 = 31
    conv, norm = nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1, eps=0.0)
    nn.init.constant_(conv.weight, 2.0)
    assert conv.bias is not None
    nn.init.constant_(conv.bias, 1.0)
    nn.init.constant_(norm.weight, 3.0)
    nn.init.constant_(norm.bias, 7.0)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.fill_(5.0)
    norm.running_var.fill_(4.0)
    folded = fold_batch_norm(nn.Sequential(conv, norm))
    assert plain(folded, np.full((1, 1, 1, 1), 10, np.float32)).item() == pytest.approx(31.0)


class Shared(nn.Module):
    """The convolution's output is used beside its batch norm, so nothing may be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        z: Tensor = y + self.norm(y) * 3
        return z


def test_a_convolution_used_twice_keeps_its_batch_norm() -> None:
    torch.manual_seed(0)
    net = Shared().eval()
    assert net.norm.running_var is not None
    net.norm.running_var.fill_(3.0)
    assert difference(plain(fold_batch_norm(net), tile()), plain(net, tile())) < 1e-6


def test_the_network_given_is_not_changed() -> None:
    net = network()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    make_engine(net, engine="torch")(tile())
    after = net.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("engine", ["torch", "torch-plain", "onnxruntime", "openvino"])
@pytest.mark.parametrize("name", ["compact", "unet"])
def test_engines_agree_with_the_network(engine: str, name: str) -> None:
    if engine in ("onnxruntime", "openvino"):
        pytest.importorskip(engine)
    net = network(name)
    run = make_engine(net, engine=engine, precision="float32")
    assert (run.name, run.precision) == (engine, "float32")
    for side in (64, 96):  # compiled for one shape, it takes another
        batch = tile(side=side)
        assert difference(run(batch), plain(net, batch)) < 1e-4


def test_bf16_stays_within_a_hundredth_of_the_range() -> None:
    net = network()
    run = make_engine(net, engine="torch", precision="bf16")
    error = difference(run(tile()), plain(net, tile()))
    assert 1e-5 < error < 1e-2 * 5  # random weights: no trained picture, see benchmarks
    assert run(tile()).dtype == np.float32


@pytest.mark.parametrize("engine", ["torch", "torch-plain"])
def test_dropout_and_batch_norm_are_frozen(engine: str) -> None:
    net = network().train()  # as it comes from training
    run = make_engine(net, engine=engine)
    first = run(tile())
    run(tile(seed=1))  # would move running statistics
    np.testing.assert_array_equal(run(tile()), first)


def test_int8_is_close_and_needs_calibration() -> None:
    pytest.importorskip("nncf")
    pytest.importorskip("openvino")
    net = network()
    with pytest.raises(InputError, match="calibration"):
        make_engine(net, engine="openvino-int8")
    run = make_engine(net, engine="openvino-int8", calibration=[tile(seed=k) for k in range(3)])
    picture, expected = run(tile(seed=9)), plain(net, tile(seed=9))
    assert run.precision == "int8"
    assert np.corrcoef(picture.ravel(), expected.ravel())[0, 1] > 0.99
    assert difference(picture, expected) > 1e-5  # it really is int8


def test_auto_takes_the_fastest_that_gives_the_same_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = network()
    good = TorchEngine(net)

    class Wrong(TorchEngine):
        def __call__(self, batch: np.ndarray) -> np.ndarray:
            return super().__call__(batch) * 1.001

    trials = [
        engines.Trial(good, 3.0, 0.0),
        engines.Trial(Wrong(net), 1.0, 1e-3),  # fast and wrong
        engines.Trial(TorchEngine(net, precision="bf16"), 2.0, 5e-3),  # fast, right for bf16
    ]
    monkeypatch.setattr(engines, "compare_engines", lambda *a, **k: iter(trials))
    chosen = make_engine(net, engine="auto", calibration=[tile()])
    assert chosen is trials[2].engine


def test_an_engine_that_is_not_kept_is_gone_before_the_next_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Slow(TorchEngine):
        def __call__(self, batch: np.ndarray) -> np.ndarray:
            time.sleep(0.05)
            return super().__call__(batch)

    net = network()
    made: list[tuple[str, int]] = []
    alive: weakref.WeakSet[Slow] = weakref.WeakSet()

    def make(_: nn.Module, name: str, *__: object) -> Slow:
        made.append((name, len(alive)))
        alive.add(engine := Slow(net))
        return engine

    monkeypatch.setattr(engines, "_by_name", make)
    monkeypatch.setattr(engines, "_NEEDS", {})
    make_engine(net, engine="auto", precision="float32", calibration=[tile()])
    assert made == [("onnxruntime", 0), ("openvino", 0)]


def test_a_trial_measures_the_difference() -> None:
    pytest.importorskip("onnxruntime")
    trials = list(compare_engines(network(), tile(), precision="float32", names=["onnxruntime"]))
    assert [trial.engine.name for trial in trials] == ["onnxruntime"]
    assert 0 < trials[0].difference < 1e-4
    assert trials[0].seconds > 0


def test_engines_without_the_precision_asked_for_are_not_tried() -> None:
    trials = compare_engines(network(), tile(), precision="bf16", names=["torch", "onnxruntime"])
    assert [t.engine.precision for t in trials] == ["float32", "bf16"]  # the reference, and torch


def hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    real = importlib.util.find_spec

    def find(name: str, package: str | None = None) -> Any:
        return None if name in packages else real(name, package)

    monkeypatch.setattr(engines, "find_spec", find)


def test_a_missing_extra_asked_for_by_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "openvino")
    with pytest.raises(MissingExtra, match=r'pip install "unstained\[fast\]"'):
        make_engine(network(), engine="openvino")


def test_auto_falls_back_to_torch_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "openvino", "onnxruntime")
    assert make_engine(network(), engine="auto", calibration=[tile()]).name == "torch"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"engine": "tensorrt"}, "tensorrt"),
        ({"precision": "double"}, "double"),
        ({"device": "tpu"}, "tpu"),
        ({"engine": "onnxruntime", "precision": "bf16"}, "bf16"),
    ],
)
def test_what_does_not_exist_is_refused_by_name(settings: dict[str, str], named: str) -> None:
    with pytest.raises(InputError, match=named):
        make_engine(network(), **settings)  # type: ignore[arg-type]


def test_the_difference_is_a_share_of_the_range() -> None:
    # range 4 - 0, largest difference 0.2: a twentieth
    reference = np.array([0.0, 1.0, 4.0])
    assert difference(np.array([0.1, 0.8, 4.0]), reference) == pytest.approx(0.05)
    assert difference(np.array([np.nan, 1, 4]), reference) == float("inf")
