"""What single settings do to one step on a batch whose losses and gradients are derived here."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unstained.colonies.crops import ArrayCrops, Patches
from unstained.colonies.ipb import label_patches
from unstained.colonies.ipb_run import Batch, Run, State
from unstained.colonies.settings import ClassifierSettings
from unstained.colonies.supervised import _Supervised
from unstained.colonies.training_data import TrainingData
from unstained.colonies.views import Normalizer

EVEN = [0.0, 0.0, 0.0]  # logits of a softmax of a third each
HALF = [log(2), 0.0, 0.0]  # of 1/2, 1/4, 1/4


class Pixels(nn.Module):
    """An image's three pixels are its logits; what is learned is added to them, 0 at first."""

    def __init__(self, *, auxiliary: bool = False) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(3))
        self.auxiliary = Pixels() if auxiliary else None

    def features(self, x: Tensor) -> Tensor:
        return x.flatten(1)  # (N, 1, 1, 3) -> (N, 3)

    def classify(self, features: Tensor) -> Tensor:
        return features + self.bias

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.features(x))


def data(pixels: int = 4, **changes: Any) -> TrainingData:
    """As many images of 1 x 3 pixels; plain gradient descent, a step of 1, and every term off."""
    plain = {
        "learning_rate": 1.0,
        "momentum": 0.0,
        "weight_decay": 0.0,
        "uda": 0.0,
        "feedback": 0.0,
        "sampled": False,
        "precision": "float32",
    }
    settings = ClassifierSettings.of_method("ipb-paper", **{**plain, **changes})
    patches = Patches(ArrayCrops([np.zeros((3, 3))] * (pixels + 2)), 3, 0.25)
    labelled, none, rest = np.arange(2), np.arange(0), np.arange(2, pixels + 2)
    y = np.array([0, 1])
    return TrainingData(
        *(patches, labelled, y, none, none, rest, 3, settings),
        Normalizer((0.0,), (1.0,)),
        labelled,
    )


def images(*logits: list[float]) -> Tensor:
    return torch.tensor(logits).reshape(-1, 1, 1, 3)


def batch(step: int = 0, **changes: Any) -> Batch:
    """One image everywhere, of class 0; every softmax is even."""
    one = {name: images(EVEN) for name in ("labelled_x", "weak", "strong")}
    one |= {name: torch.tensor([0]) for name in ("labelled_y", "label")}
    one |= {name: torch.ones(1) for name in ("confident", "kept", "labelled_kept")}
    return Batch(**{"step": step, **one, **changes})


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Run]:
    def made(*, head: bool = False, **changes: Any) -> Run:
        teacher, student = Pixels(), Pixels(auxiliary=head)
        return Run(teacher, student, data(**changes), tmp_path)  # type: ignore[arg-type]

    return made


# the student -----------------------------------------------------------------------------------


# even logits and the log of 1/2, 1/4, 1/4 give class 0 the probability 1/2; its square,
# 1/4, 1/16, 1/16, gives 2/3; minus the log would give 2 / (2 + 4 + 4)
@pytest.mark.parametrize(("tau", "probability"), [(0.0, 1 / 3), (1.0, 1 / 2), (2.0, 2 / 3)])
def test_the_log_of_the_prior_is_added_to_the_logits_that_learn_from_pseudo_labels(
    tau: float, probability: float, run: Callable[..., Run]
) -> None:
    of = run(logit_adjustment=tau)
    of.drawn_prior = np.array([0.5, 0.25, 0.25])
    assert of.student_step(batch(), 1.0)["student_loss"] == pytest.approx(-log(probability))


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_labels_teach_the_student_by_their_weight(weight: float, run: Callable[..., Run]) -> None:
    of = run(student_labels=weight)
    loss = of.student_step(batch(labelled_x=images(HALF)), 1.0)["student_loss"]
    assert loss == pytest.approx(log(3) + weight * log(2))
    # minus the gradient, 1 - p of class 0: 2/3 of the pseudo-label, 1/2 of the label
    assert of.student.bias[0].item() == pytest.approx(2 / 3 + weight / 2)


@pytest.mark.parametrize(
    ("kept", "labelled_kept"), [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)]
)
def test_the_auxiliary_head_learns_from_what_is_kept_for_it_by_its_weight(
    kept: float, labelled_kept: float, run: Callable[..., Run]
) -> None:
    of = run(head=True, student_labels=1.0, auxiliary=0.5)
    drawn = batch(
        labelled_x=images(HALF),
        kept=torch.tensor([kept]),
        labelled_kept=torch.tensor([labelled_kept]),
    )
    loss = of.student_step(drawn, 1.0)["student_loss"]
    both = log(3) + log(2)
    assert loss == pytest.approx(both + 0.5 * (kept * log(3) + labelled_kept * log(2)))
    learned = of.student.auxiliary.bias
    assert learned[0].item() == pytest.approx(0.5 * (kept * 2 / 3 + labelled_kept / 2))
    assert of.student.bias[0].item() == pytest.approx(2 / 3 + 1 / 2)  # by the two heads' own losses


# the teacher -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "ramp"), [(0, 1 / 4), (1, 2 / 4), (3, 1.0), (9, 1.0)])
def test_consistency_rises_over_the_steps_of_its_ramp(
    step: int, ramp: float, run: Callable[..., Run]
) -> None:
    # the label's term is log 3, and the consistency of two even softmaxes too
    loss = run(uda=2.0, uda_ramp=4.0).teacher_step(batch(step), 1.0, 0.0)["teacher_loss"]
    assert loss == pytest.approx(log(3) * (1 + 2 * ramp))


# target 1/2, 1/4, 1/4 to the power of 1 / temperature, scaled to 1: its first entry is
# 1/2 at temperature 1 and 4 / (4 + 1 + 1) at 1/2
@pytest.mark.parametrize(("temperature", "first"), [(1.0, 1 / 2), (0.5, 2 / 3)])
def test_the_target_of_consistency_is_sharpened_by_its_temperature(
    temperature: float, first: float, run: Callable[..., Run]
) -> None:
    of = run(uda=1.0, uda_ramp=0.0, uda_temperature=temperature)
    loss = of.teacher_step(batch(weak=images(HALF), strong=images(HALF)), 1.0, 0.0)["teacher_loss"]
    assert loss == pytest.approx(log(3) + first * log(2) + (1 - first) * log(4))


# steps of both ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("nesterov", "factor"), [(False, 1.0), (True, 1.5)])
def test_nesterovs_first_step_is_longer_by_the_momentum(
    nesterov: bool, factor: float, run: Callable[..., Run]
) -> None:
    changes = {"momentum": 0.5, "nesterov": nesterov}
    of = run(**changes)
    of.student_step(batch(), 1.0)
    of.teacher_step(batch(), 1.0, 0.0)
    supervised = Pixels()
    task = _Supervised(supervised, data(**changes))  # type: ignore[arg-type]

    def update(name: str, loss: Tensor) -> None:
        loss.backward()
        task.trained[name].optimizer.step()

    task.step({"x": images(EVEN), "y": torch.tensor([0])}, update)
    for network in (of.student, of.teacher, supervised):
        assert network.bias[0].item() == pytest.approx(factor * 2 / 3)


@pytest.mark.parametrize(("clip", "length"), [(0.0, 100.0), (5.0, 5.0)])
def test_gradients_are_shortened_to_the_clip_and_at_0_left_alone(
    clip: float, length: float, run: Callable[..., Run]
) -> None:
    # (2/3, -1/3, -1/3) of a label has the length sqrt(2/3)
    of = run(student_labels=100 / (2 / 3) ** 0.5, clip=clip)
    of.student_step(batch(confident=torch.zeros(1)), 1.0)
    assert of.student.bias.norm().item() == pytest.approx(length, rel=1e-5)


# pseudo-labels ---------------------------------------------------------------------------------


class Said(nn.Module):
    """Gives the images of its one batch these probabilities."""

    def __init__(self, p: list[list[float]]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(p).log())

    def forward(self, x: Tensor) -> Tensor:
        return self.logits


@pytest.mark.parametrize("adaptive", [False, True])
def test_a_class_with_few_confident_labels_has_a_lower_threshold_where_it_adapts(
    adaptive: bool,
) -> None:
    sure, less = [0.9, 0.05, 0.05], [0.7, 0.2, 0.1]
    teacher = Said([sure, sure, less, [0.05, 0.9, 0.05], [0.3, 0.6, 0.1]])
    found = label_patches(teacher, data(5, threshold=0.8, adaptive=adaptive), State())
    # 2 confident of class 0, which keeps 0.8; 1 of class 1: 0.8 * (1/2) / (2 - 1/2) = 0.27, and
    # not below 1/3
    assert found.confident.tolist() == [True, True, False, True, adaptive]
