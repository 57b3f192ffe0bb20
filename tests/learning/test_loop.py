from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from unstained.errors import DataError, FileError
from unstained.learning import devices
from unstained.learning.checkpoints import load_tensors, save_tensors
from unstained.learning.loop import (
    Batch,
    LoopSettings,
    Progress,
    Trained,
    Update,
    learning_rate_factor,
    train,
)
from unstained.learning.random import generator


class Line:
    """Fit y = 3 x with a weight and dropout; validation tells how near the weight is."""

    def __init__(self, rate: float = 0.1, fail_at: int = -1) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Dropout(0.3))
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=rate)
        self.trained = {"network": Trained(self.network, optimizer)}
        self.fail_at = fail_at

    def batch(self, step: int) -> Batch:
        x = generator(7, step).normal(size=(8, 1)).astype(np.float32)
        return {"x": torch.from_numpy(x)}

    def step(self, batch: Batch, update: Update) -> Mapping[str, float]:
        loss = (self.network(batch["x"]) - 3 * batch["x"]).square().mean()
        update("network", loss)
        return {"loss": loss.item()}

    def validate(self, network: nn.Module) -> Mapping[str, float]:
        weight: Tensor = network[0].weight  # type: ignore[index]
        return {"score": -abs(weight.item() - 3)}


def _stop_after(step: int):  # type: ignore[no-untyped-def]
    def report(progress: Progress) -> None:
        if progress.step == step:
            raise KeyboardInterrupt

    return report


SETTINGS = LoopSettings(
    steps=30, warmup_steps=5, validate_every=7, checkpoint_every=4, ema=0.9, seed=3
)


def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = train(Line(), SETTINGS, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(Line(), SETTINGS, tmp_path / "broken", report=_stop_after(18))
    resumed = train(Line(), SETTINGS, tmp_path / "broken", resume=True)
    assert resumed.step == whole.step
    assert resumed.score == whole.score
    for name, weight in whole.weights.items():
        assert torch.equal(weight, resumed.weights[name])
    steps = [
        json.loads(line)["step"]
        for line in (tmp_path / "broken" / "history.jsonl").read_text().splitlines()
    ]
    assert steps == [7, 14, 21, 28, 30]  # none twice, none lost


def test_the_best_weights_are_kept_not_the_last(tmp_path: Path) -> None:
    class Leaves(Line):
        def validate(self, network: nn.Module) -> Mapping[str, float]:
            self.seen = getattr(self, "seen", 0) + 1
            return {"score": 1.0 if self.seen == 2 else 0.0}

    assert train(Leaves(), SETTINGS, tmp_path).step == 14  # the second validation


def test_of_equally_good_weights_the_later_are_kept(tmp_path: Path) -> None:
    class Even(Line):
        def validate(self, network: nn.Module) -> Mapping[str, float]:
            return {"score": 0.5}

    assert train(Even(), SETTINGS, tmp_path).step == 30  # the last validation


def test_the_learning_rate_rises_from_zero_and_ends_at_zero() -> None:
    factors = [learning_rate_factor(step, SETTINGS) for step in range(30)]
    assert factors[0] == 0
    assert factors[5] == 1
    assert factors[29] == pytest.approx(0)
    pix2pix = LoopSettings(steps=101, schedule="linear-half")
    assert learning_rate_factor(49, pix2pix) == 1
    assert learning_rate_factor(75, pix2pix) == pytest.approx(0.5)
    assert learning_rate_factor(100, pix2pix) == 0


def test_averaged_weights_are_the_running_mean_of_the_trained_ones(tmp_path: Path) -> None:
    seen: list[float] = []

    class Watched(Line):
        def batch(self, step: int) -> Batch:
            return {"x": torch.ones(8, 1)}

        def step(self, batch: Batch, update: Update) -> Mapping[str, float]:
            said = super().step(batch, update)
            seen.append(self.network[0].weight.item())
            return said

    task = Watched()
    mean = task.network[0].weight.item()
    outcome = train(task, LoopSettings(steps=6, validate_every=6, ema=0.99), tmp_path)
    for k, weight in enumerate(seen):
        decay = (1 + k) / (10 + k)  # below 0.99 for a young average
        mean = decay * mean + (1 - decay) * weight
    assert outcome.weights["0.weight"].item() == pytest.approx(mean, rel=1e-5)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    class Breaks(Line):
        def step(self, batch: Batch, update: Update) -> Mapping[str, float]:
            return {"loss": float("nan")}

    with pytest.raises(DataError, match="not finite after 0 steps"):
        train(Breaks(), SETTINGS, tmp_path)


def test_an_error_in_a_batch_surfaces(tmp_path: Path) -> None:
    class Broken(Line):
        def batch(self, step: int) -> Batch:
            if step == 3:
                raise FileError("is truncated", file="field_3.tif")
            return super().batch(step)

    with pytest.raises(FileError, match=r"field_3\.tif"):
        train(Broken(), SETTINGS, tmp_path)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_tensors(path, {"w": torch.ones(1000)}, {"step": 1})
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(FileError, match=r"weights\.safetensors: not a whole"):
        load_tensors(path)


def test_tensors_that_were_read_do_not_keep_their_file_mapped(tmp_path: Path) -> None:
    # Windows neither replaces nor removes a mapped file: a resumed run could not save itself.
    # Elsewhere what is mapped can be told by its changing with the file.
    path = tmp_path / "weights.safetensors"
    save_tensors(path, {"w": torch.ones(1000)}, {})
    tensors, _ = load_tensors(path)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert tensors["w"].tolist() == [1.0] * 1000


def test_a_gpu_that_is_not_there_is_refused_with_a_remedy() -> None:
    if torch.cuda.is_available():
        pytest.skip("a GPU is there")
    from unstained.errors import InputError

    with pytest.raises(InputError, match="choose cpu"):
        devices.choose_device("cuda")


def _two_processes(out: str) -> None:
    x = torch.tensor([[1.0], [3.0]])[devices.rank() :: devices.world_size()]
    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    layer(x).square().mean().backward()
    devices.average_gradients(layer)
    if devices.rank() == 0 and layer.weight.grad is not None:
        Path(out).write_text(f"{devices.world_size()} {layer.weight.grad.item()}")


def test_two_processes_share_one_gradient(tmp_path: Path) -> None:
    out = tmp_path / "gradient"
    devices.launch(_two_processes, 2, str(out))
    world, gradient = out.read_text().split()
    assert world == "2"
    assert float(gradient) == pytest.approx((2 * 1 + 2 * 9) / 2)  # d/dw (w x)^2 = 2 w x^2, averaged


def test_a_device_that_no_machine_has_is_refused_with_a_remedy() -> None:
    from unstained.errors import InputError

    with pytest.raises(InputError, match="choose auto, cpu, cuda or mps"):
        devices.choose_device("cpu:first")


def _fails_in_the_second(file: str) -> None:
    if devices.rank() == 1:
        raise DataError("is constant", "leave it out", file=file)
    devices.wait_for_all()


def test_what_a_user_can_mend_comes_back_from_other_processes_as_it_was() -> None:
    with pytest.raises(DataError, match=r"^field_3\.tif: is constant; leave it out$"):
        devices.launch(_fails_in_the_second, 2, "field_3.tif")


class _SlowToValidate(Line):
    def validate(self, network: nn.Module) -> Mapping[str, float]:
        time.sleep(1)
        return super().validate(network)


def _trains_in_two_processes(folder: str) -> None:
    outcome = train(_SlowToValidate(), LoopSettings(steps=2, validate_every=2), Path(folder))
    (Path(folder) / f"rank_{devices.rank()}").write_text(str(outcome.step))


def test_all_processes_wait_for_the_first_ones_validation(tmp_path: Path) -> None:
    devices.launch(_trains_in_two_processes, 2, str(tmp_path))
    assert [(tmp_path / f"rank_{rank}").read_text() for rank in (0, 1)] == ["2", "2"]


def test_a_line_of_history_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(Line(), SETTINGS, tmp_path, report=_stop_after(18))
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write('{"step": 2')
    train(Line(), SETTINGS, tmp_path, resume=True)
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [7, 14, 21, 28, 30]


def test_a_score_that_is_not_defined_is_null_in_the_history_and_stays_there_on_resume(
    tmp_path: Path,
) -> None:
    class Undefined(Line):
        def validate(self, network: nn.Module) -> Mapping[str, float]:
            return {"score": 1.0, "cell_r": float("nan")}  # no cells among the validation images

    with pytest.raises(KeyboardInterrupt):
        train(Undefined(), SETTINGS, tmp_path, report=_stop_after(18))
    train(Undefined(), SETTINGS, tmp_path, resume=True)
    text = (tmp_path / "history.jsonl").read_text()
    assert "NaN" not in text
    assert [json.loads(line)["cell_r"] for line in text.splitlines()] == [None] * 5
    assert pd.read_json(tmp_path / "history.jsonl", lines=True)["cell_r"].isna().all()
