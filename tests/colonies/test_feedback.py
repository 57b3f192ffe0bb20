"""The feedback against exact enumeration of all pseudo-labels, and its parts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unstained.colonies.feedback import Baseline, feedback_loss, labelled_loss, same_state

CLASSES, WIDTH, RATE, BASELINE = 3, 4, 0.1, 0.02


class Problem(NamedTuple):
    """A linear teacher and student, labelled and unlabelled samples."""

    teacher: nn.Linear
    student: nn.Linear
    labelled_x: Tensor
    labelled_y: Tensor
    unlabelled: Tensor

    def labels(self) -> list[Tensor]:
        """Every label vector of the unlabelled samples."""
        return [torch.tensor(y) for y in product(range(CLASSES), repeat=len(self.unlabelled))]

    def chance(self, y: Tensor) -> Tensor:
        """Of a label vector under the teacher."""
        log_p = F.log_softmax(self.teacher(self.unlabelled), dim=1)
        return log_p[torch.arange(len(y)), y].sum().exp()

    def after(self, y: Tensor) -> nn.Linear:
        """The student after a step on a label vector."""
        student = copy.deepcopy(self.student)
        F.cross_entropy(student(self.unlabelled), y).backward()
        torch.optim.SGD(student.parameters(), lr=RATE).step()
        return student


def problem(seed: int) -> Problem:
    torch.manual_seed(seed)
    n = 1 + seed % 3
    teacher, student = (nn.Linear(WIDTH, CLASSES) for _ in range(2))
    nn.init.normal_(teacher.weight)
    return Problem(
        teacher,
        student,
        torch.randn(8, WIDTH),
        torch.randint(CLASSES, (8,)),
        torch.randn(n, WIDTH),
    )


def flat(gradients: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([g.flatten() for g in gradients]).double()


def true_gradient(of: Problem) -> Tensor:
    """Of the student's labelled loss after its step, expected over the teacher's labels."""
    expected = torch.zeros(())
    for y in of.labels():
        new = F.cross_entropy(of.after(y)(of.labelled_x), of.labelled_y).detach()
        expected = expected + of.chance(y) * new
    return flat(torch.autograd.grad(expected, tuple(of.teacher.parameters())))


def told_gradient(of: Problem, y: Tensor, sign: float = 1.0) -> Tensor:
    """What `feedback_loss` tells the teacher after the student learned from `y`."""
    before = labelled_loss(of.student, of.labelled_x, of.labelled_y)
    after = labelled_loss(of.after(y), of.labelled_x, of.labelled_y)
    h = Baseline(mean=BASELINE, seen=7).centered(before - after)
    loss = feedback_loss(of.teacher(of.unlabelled), y, sign * h, torch.ones(len(y)))
    return flat(torch.autograd.grad(loss, tuple(of.teacher.parameters())))


def cosines(told: Callable[[Problem], Tensor]) -> np.ndarray:
    problems = [problem(seed) for seed in range(40)]
    pairs = [(true_gradient(one), told(one)) for one in problems]
    return np.array([float(F.cosine_similarity(a, b, dim=0)) for a, b in pairs])


def expected(of: Problem, sign: float = 1.0) -> Tensor:
    each = [of.chance(y).item() * told_gradient(of, y, sign) for y in of.labels()]
    return torch.stack(each).sum(dim=0)


def arg_max(of: Problem) -> Tensor:
    return told_gradient(of, of.teacher(of.unlabelled).argmax(dim=1))


def test_the_expected_feedback_is_the_true_meta_gradient() -> None:
    assert cosines(expected).min() >= 0.999


def test_the_reversed_sign_is_its_opposite() -> None:
    assert cosines(lambda one: expected(one, sign=-1.0)).max() <= -0.999


def test_the_arg_max_in_place_of_a_draw_is_far_from_it() -> None:
    assert cosines(arg_max).mean() < 0.7  # 0.57, and -0.9 at worst


# its parts -----------------------------------------------------------------------------------


def test_the_loss_is_the_reward_times_the_mean_cross_entropy_of_the_confident() -> None:
    # p of the drawn labels: 1/2, 1/4, 1/2; the last is not confident
    logits = torch.tensor([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.25, 0.25, 0.5]]).log()
    drawn, confident = torch.tensor([0, 1, 2]), torch.tensor([1.0, 1.0, 0.0])
    loss = feedback_loss(logits, drawn, 3.0, confident)
    assert float(loss) == pytest.approx(3 * (np.log(2) + np.log(4)) / 2)


def test_without_a_confident_label_there_is_nothing_to_tell() -> None:
    assert float(feedback_loss(torch.randn(2, 3), torch.tensor([0, 1]), 3.0, torch.zeros(2))) == 0


def test_the_baseline_is_the_mean_of_the_rewards_before() -> None:
    baseline = Baseline()
    assert baseline.centered(2.0) == 2.0  # nothing came before
    # decay 1 / 10 at first: 0.1 * 0 + 0.9 * 2 = 1.8
    assert baseline.centered(2.0) == pytest.approx(0.2)


def test_the_baseline_forgets_slowly_in_the_long_run() -> None:
    baseline = Baseline(mean=1.0, seen=10**6)
    baseline.centered(2.0)
    assert baseline.mean == pytest.approx(0.99 * 1 + 0.01 * 2)


def normed() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 3)
    )


def test_the_labelled_loss_uses_the_batchs_own_statistics_whatever_came_before() -> None:
    network, x, y = normed(), torch.randn(5, 1, 8, 8), torch.randint(3, (5,))
    first = labelled_loss(network, x, y)
    network(torch.randn(5, 1, 8, 8) * 7 + 3)  # moves the running statistics
    assert labelled_loss(network, x, y) == first


@pytest.mark.parametrize("training", [True, False])
def test_a_labelled_loss_leaves_the_network_as_it_was(training: bool) -> None:
    network = normed().train(training)
    before = copy.deepcopy(network.state_dict())
    labelled_loss(network, torch.randn(5, 1, 8, 8), torch.randint(3, (5,)))
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(module.training == training for module in network.modules())


def test_an_error_inside_leaves_the_network_as_it_was() -> None:
    network = normed().train()
    with pytest.raises(RuntimeError, match="inside"), same_state(network):
        raise RuntimeError("inside")
    assert network[1].training
    assert network[1].track_running_stats
    assert network[1].running_mean is not None
