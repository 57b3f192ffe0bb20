"""Iterative Pseudo Balancing: its steps by hand, and whole trainings of a second."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unstained.colonies import crops as crops_module
from unstained.colonies.balance import em_prior
from unstained.colonies.crops import ArrayCrops, Crop, Patches
from unstained.colonies.ipb import draw_balanced, label_patches, train_ipb
from unstained.colonies.ipb_run import PseudoLabels, Run, State
from unstained.colonies.settings import ClassifierSettings
from unstained.colonies.training_data import TrainingData
from unstained.errors import DataError
from unstained.learning.encoders import Classifier, EncoderSpec, build_classifier
from unstained.learning.loop import Outcome, Progress

SIDE, CLASSES = 16, 3
LABELLED, VALIDATION = 12, 6
# the paper's method whatever the defaults become; quick
QUICK: dict[str, Any] = {
    "batch": 8,
    "unlabelled_batch": 16,
    "steps": 6,
    "learning_rate": 0.03,
    "nesterov": True,
    "ema": 0.99,
    "score": "recall",
    "uda": 1.0,
    "uda_ramp": 200.0,
    "redraw": True,
    "precision": "float32",
}


def textures(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(n, 16, 16) noise of little, middling, large spread, and the class of each."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % CLASSES
    return rng.normal(size=(n, SIDE, SIDE)) * np.array([0.3, 1.0, 3.0])[y, None, None] + 5, y


def data(unlabelled: int = 40, **changes: Any) -> TrainingData:
    settings = ClassifierSettings.of_method("ipb-paper", **{**QUICK, **changes})
    images, y = textures(LABELLED + VALIDATION + unlabelled)
    patches = Patches(ArrayCrops(list(images)), SIDE, 0.25, flips=settings.flips)
    at = np.arange(len(images))
    labelled, validation, rest = np.split(at, [LABELLED, LABELLED + VALIDATION])
    return TrainingData(
        patches,
        labelled,
        y[labelled],
        validation,
        y[validation],
        rest,
        CLASSES,
        settings,
        TrainingData.fit_normalizer(patches, at, settings),
        labelled,
    )


def network(seed: int = 0) -> Classifier:
    return build_classifier(EncoderSpec("small", 1, CLASSES), seed=seed)


def train(of: TrainingData, folder: Path, **how: Any) -> tuple[Outcome, Classifier, Classifier]:
    teacher, student = network(0), network(1)
    how = {"resume": False, "report": lambda progress: None, **how}
    return train_ipb(teacher, student, of, folder, **how), teacher, student


def history(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


class Fixed(nn.Module):
    """Says the same of every image."""

    def __init__(self, p: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(p).log())

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.expand(len(x), -1)


# step 1: pseudo-labels ------------------------------------------------------------------------


def test_labels_are_drawn_in_the_teachers_probabilities() -> None:
    found = label_patches(Fixed([0.7, 0.2, 0.1]), data(2000), State())
    # 4 standard deviations of sqrt(0.7 * 0.3 / 2000)
    assert found.shares == pytest.approx([0.7, 0.2, 0.1], abs=0.041)
    assert found.shares == pytest.approx(np.bincount(found.label, minlength=3) / 2000)
    assert found.confidence == pytest.approx(np.full(2000, 0.7))
    assert found.confident.all()  # 0.7 is above 0.65, whichever label was drawn


def test_without_sampling_the_most_probable_class_is_the_label() -> None:
    found = label_patches(Fixed([0.3, 0.6, 0.1]), data(sampled=False, feedback=0), State())
    assert (found.label == 1).all()
    assert not found.confident.any()


def test_another_epoch_draws_other_labels_and_the_same_epoch_the_same() -> None:
    teacher, of = Fixed([0.4, 0.3, 0.3]), data()
    first = label_patches(teacher, of, State()).label
    assert np.array_equal(first, label_patches(teacher, of, State()).label)
    assert not np.array_equal(first, label_patches(teacher, of, State(epoch=1)).label)


def test_an_epoch_may_take_a_part_of_the_images_another_each_time() -> None:
    of = data(epoch_images=10)
    images = [label_patches(Fixed([1, 1, 1]), of, State(epoch=e)).image for e in (0, 1)]
    assert [len(set(some.tolist())) for some in images] == [10, 10]
    assert set(images[0].tolist()) != set(images[1].tolist())


def test_alignment_moves_labels_to_the_labelled_shares() -> None:
    # of the teacher 0.8, 0.1, 0.1; of the labelled images a third each
    found = label_patches(Fixed([0.8, 0.1, 0.1]), data(2000, align=True), State())
    assert found.shares == pytest.approx([1 / 3] * 3, abs=0.043)


def test_the_prior_is_the_mean_of_probabilities_or_their_em_estimate() -> None:
    teacher, p = network(), []
    for kind in ("ema", "em"):
        of, state = data(prior=kind), State()
        label_patches(teacher, of, state)
        p.append(state.prior.share)
    mean = p[0]
    assert mean.sum() == pytest.approx(1)
    x = of.weak_views(of.unlabelled, 0)
    said = torch.softmax(teacher.eval()(x), dim=1).detach().double().numpy()
    assert mean == pytest.approx(said.mean(axis=0), abs=1e-6)
    assert p[1] == pytest.approx(em_prior(said, [1 / 3] * 3), abs=1e-6)


# step 2: balance ------------------------------------------------------------------------------


def pseudo(shares: list[float], n: int) -> PseudoLabels:
    label = np.repeat(range(len(shares)), np.round(np.array(shares) * n).astype(int))
    sure = np.ones(n)
    return PseudoLabels(np.arange(n), label, sure, sure > 0, np.bincount(label) / n)


def test_all_labels_are_drawn_equally_often() -> None:
    labels = pseudo([0.8, 0.15, 0.05], 3000)
    order, weights = draw_balanced(labels, data(), 0)
    drawn = np.bincount(labels.label[order]) / 3000
    assert order.size == 3000
    assert drawn == pytest.approx([1 / 3] * 3, abs=0.035)  # 4 sd of sqrt(2/9 / 3000)
    assert weights == pytest.approx(1 / (3 * np.array([0.8, 0.15, 0.05])))


def test_without_balance_each_image_comes_once() -> None:
    order, weights = draw_balanced(pseudo([0.9, 0.1], 100), data(balance=0), 0)
    assert sorted(order.tolist()) == list(range(100))
    assert weights.tolist() == [1, 1]


def test_a_class_without_pseudo_labels_stops_nothing() -> None:
    labels = pseudo([0.5, 0.0, 0.5], 100)
    order, _ = draw_balanced(labels, data(), 0)
    assert set(labels.label[order]) == {0, 2}


def batches(of: TrainingData, labels: PseudoLabels, folder: Path) -> list[Any]:
    order, _ = draw_balanced(labels, of, 0)
    return list(Run(network(), network(1), of, folder).batches(labels, order))


def labelled_by(of: TrainingData) -> PseudoLabels:
    return label_patches(Fixed([0.8, 0.1, 0.1]), of, State())


def test_repeated_images_show_other_patches_only_if_redrawn(tmp_path: Path) -> None:
    for redraw, distinct in ((True, True), (False, False)):
        of = data(4, redraw=redraw, flips=0.5, unlabelled_batch=64)
        big = replace(of, patches=Patches(of.patches.crops, 8, 0.25))
        labels = PseudoLabels(
            np.repeat(of.unlabelled[0], 20),
            np.zeros(20, int),
            np.ones(20),
            np.ones(20, bool),
            np.array([1.0, 0, 0]),
        )
        order = np.zeros(20, int)  # one image twenty times
        run = Run(network(), network(1), big, tmp_path)
        (batch,) = run.batches(labels, order)
        assert bool((batch.weak != batch.weak[:1]).flatten(1).any()) == distinct


@pytest.mark.parametrize(
    ("pool", "sizes"), [(33, [16, 17]), (34, [16, 16, 2]), (9, [9]), (17, [17])]
)
def test_no_batch_holds_a_single_image(pool: int, sizes: list[int], tmp_path: Path) -> None:
    of = data(pool)
    found = batches(of, labelled_by(of), tmp_path)
    assert [len(batch.label) for batch in found] == sizes
    assert [batch.step for batch in found] == list(range(len(sizes)))


# steps 3 and 4 --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"uda": 0},
        {"feedback": 0},
        {"uda": 0, "feedback": 0},
        {"teacher": "ema", "feedback": 0, "ema": 0.9},
        {"student_labels": 1.0, "logit_adjustment": 1.0, "prior": "em", "balance": 0.5},
        {"adaptive": True, "align": True, "student_init": "teacher"},
        {"momentum": 0.0, "nesterov": False},
        {"scales": 2},
        {"epoch_images": 20, "select": "last", "score": "accuracy"},
        {"normalization": "image", "cutout": 0.3},
    ],
    ids=str,
)
def test_every_variant_runs(changes: dict[str, Any], tmp_path: Path) -> None:
    of = data(20, **changes)
    teacher, student = (
        build_classifier(EncoderSpec("small", 1, CLASSES, of.settings.scales), seed=s)
        for s in (0, 1)
    )
    found = train_ipb(teacher, student, of, tmp_path, resume=False, report=lambda progress: None)
    assert all(torch.isfinite(t).all() for t in found.weights.values())


def test_an_averaged_teacher_learns_nothing_of_its_own(tmp_path: Path) -> None:
    _, teacher, _ = train(data(teacher="ema", feedback=0, ema=0.9), tmp_path)
    fresh = network(0).state_dict()
    assert all(torch.equal(t, fresh[name]) for name, t in teacher.state_dict().items())


def test_logits_are_adjusted_by_the_log_of_what_the_student_is_shown(tmp_path: Path) -> None:
    run = Run(network(), network(1), data(balance=0.0, prior="ema", feedback=0.0), tmp_path)
    run.state.prior.update([0.5, 0.4, 0.1])
    assert run._log_prior().exp().tolist() == pytest.approx([0.5, 0.4, 0.1])
    run = Run(network(), network(1), data(balance=1.0, prior="ema"), tmp_path)
    run.state.prior.update([0.5, 0.4, 0.1])
    assert run._log_prior().exp().tolist() == pytest.approx([1 / 3] * 3)


def test_the_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="loss is not finite"):
        train(data(learning_rate=1e30), tmp_path)


# whole runs -----------------------------------------------------------------------------------


def test_the_history_has_a_line_an_epoch_with_losses_shares_and_scores(tmp_path: Path) -> None:
    of = data(40, steps=9)  # 3 steps an epoch
    found, *_ = train(of, tmp_path)
    lines = history(tmp_path)
    assert [(line["epoch"], line["step"]) for line in lines] == [(1, 3), (2, 6), (3, 9)]
    assert set(lines[0]) == {
        "epoch",
        "step",
        "student_loss",
        "confident",
        "teacher_loss",
        "h",
        "shares",
        "weights",
        "prior",
        "recall",
        "accuracy",
    }
    for line in lines:
        there = np.array(line["shares"]) > 0
        assert sum(line["shares"]) == pytest.approx(1)
        # the expected share of each class that is there is the same
        product = np.array(line["shares"]) * line["weights"]
        assert product == pytest.approx(there / there.sum())
    best = max(line["recall"] for line in lines)
    assert found.score == best
    assert lines[found.step // 3 - 1]["recall"] == best


class Break(Exception):
    """What a user's Ctrl-C is here."""


def breaking(at: int) -> Any:
    def report(progress: Progress) -> None:
        if progress.step == at:
            raise Break

    return report


@pytest.mark.parametrize(
    ("at", "changes"),
    [(2, {}), (3, {}), (5, {"align": True, "prior": "em", "logit_adjustment": 1.0, "ema": 0.9})],
)
def test_a_run_that_was_broken_and_resumed_ends_with_the_same_weights(
    at: int, changes: dict[str, Any], tmp_path: Path
) -> None:
    of = data(40, steps=9, **changes)
    whole, teacher, _ = train(of, tmp_path / "whole")
    with pytest.raises(Break):
        train(of, tmp_path / "broken", report=breaking(at))
    found, other, _ = train(of, tmp_path / "broken", resume=True)
    assert all(torch.equal(t, found.weights[name]) for name, t in whole.weights.items())
    mine, theirs = teacher.state_dict(), other.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert history(tmp_path / "broken") == history(tmp_path / "whole")


class Slow(ArrayCrops):
    """Takes its time now and then."""

    def read(self, index: int) -> Crop:
        time.sleep(0.02 * (index % 5 == 0))
        return super().read(index)


def test_the_pace_of_reading_and_what_is_in_memory_do_not_change_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = data(40, steps=9)
    whole, *_ = train(of, tmp_path / "whole")
    monkeypatch.setattr(crops_module, "_CACHE_BYTES", 1)  # every image is read again
    slow = Patches(Slow(list(textures(58)[0])), SIDE, 0.25, flips=of.settings.flips)
    found, *_ = train(replace(of, patches=slow), tmp_path / "slow")
    assert all(torch.equal(t, found.weights[name]) for name, t in whole.weights.items())


def test_a_finished_run_that_is_resumed_gives_what_it_gave(tmp_path: Path) -> None:
    of = data()
    whole, *_ = train(of, tmp_path)
    again, *_ = train(of, tmp_path, resume=True)
    assert (whole.step, whole.score) == (again.step, again.score)
    assert all(torch.equal(t, again.weights[name]) for name, t in whole.weights.items())


def test_progress_counts_to_the_last_step(tmp_path: Path) -> None:
    told: list[Progress] = []
    train(data(40, steps=9), tmp_path, report=told.append)
    assert [p.step for p in told] == [1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 9]
    assert {p.steps for p in told} == {9}
    assert told[-1].seconds_left == 0
    assert [p.step for p in told if p.scores] == [3, 6, 9]
