"""Faults of public code (CHECKLIST B.11): each test fails when the fault is put back.

Rows that are held elsewhere:

====================================================  ===========================================
fault                                                 test
====================================================  ===========================================
"TPR" is precision                                    statistics/test_classification.py, recall
                                                      divides by the true rows
weight decay reaches batch norm inside `Sequential`   learning/test_encoders.py, batch norm inside
                                                      a sequential does not decay
two-scale HRNet: streams share a stem                 learning/test_encoders.py, two streams share
                                                      no weight; every preset gives every
                                                      parameter a gradient
single-scale preset fails on its first forward pass   learning/test_encoders.py, every preset runs
====================================================  ===========================================
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from unstained.colonies import ipb_run
from unstained.colonies.classifier import ColonyClassifier
from unstained.colonies.crops import ArrayCrops, Crop, Patches, prepare
from unstained.colonies.deal import choose_labelled, folds, parts
from unstained.colonies.examples import Examples
from unstained.colonies.feedback import labelled_loss
from unstained.colonies.ipb import draw_balanced, label_patches, train_ipb
from unstained.colonies.ipb_run import Batch, PseudoLabels, Run, State
from unstained.colonies.methods import train_method
from unstained.colonies.selfsupervised import _Task
from unstained.colonies.settings import ClassifierSettings
from unstained.colonies.supervised import _Supervised, train_supervised
from unstained.colonies.training_data import TrainingData, probabilities
from unstained.colonies.views import Normalizer
from unstained.errors import FileError
from unstained.learning import loop
from unstained.learning.encoders import Classifier, EncoderSpec, build_classifier

SIDE, CLASSES, LABELLED, VALIDATION = 16, 3, 12, 6
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
    "precision": "float32",
}


def data(unlabelled: int = 40, method: str = "ipb-paper", **changes: Any) -> TrainingData:
    """Noise of three spreads: 12 labelled images, 6 to validate, the rest unlabelled."""
    quick = QUICK if method == "ipb-paper" else {"precision": "float32"}
    settings = ClassifierSettings.of_method(method, **{**quick, **changes})
    n = LABELLED + VALIDATION + unlabelled
    y = np.arange(n) % CLASSES
    spread = np.array([30.0, 100.0, 300.0])[y, None, None]
    images = 1000 + spread * np.random.default_rng(0).normal(size=(n, SIDE, SIDE))
    patches = Patches(ArrayCrops(list(images)), SIDE, 0.25, flips=settings.flips)
    labelled, validation, rest = np.split(np.arange(n), [LABELLED, LABELLED + VALIDATION])
    return TrainingData(
        patches,
        labelled,
        y[labelled],
        validation,
        y[validation],
        rest,
        CLASSES,
        settings,
        TrainingData.fit_normalizer(patches, np.arange(n), settings),
        labelled,
    )


def network(seed: int = 0) -> Classifier:
    return build_classifier(EncoderSpec("small", 1, CLASSES), seed=seed)


def quiet(*told: object) -> None:
    """Tell nobody."""


def leaning() -> Classifier:
    """A teacher that prefers the first class."""
    teacher = network()
    with torch.no_grad():
        teacher.head[-1].bias.copy_(torch.tensor([1.5, 0.0, -0.5]))
    return teacher


def batches(of: TrainingData, folder: Path) -> tuple[Run, PseudoLabels, list[Batch]]:
    """The first epoch's."""
    run = Run(leaning(), network(1), of, folder)
    labels = label_patches(run.labeller(), of, run.state)
    order, _ = draw_balanced(labels, of, 0)
    return run, labels, list(run.batches(labels, order))


def moved(module: torch.nn.Module, before: dict[str, torch.Tensor]) -> list[str]:
    """Names of the parameters that are not as before."""
    return [name for name, p in module.named_parameters() if not torch.equal(p, before[name])]


def copied(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


# splits and arms -------------------------------------------------------------------------------


def movie() -> Examples:
    """48 hours of 12 wells, a colony each."""
    rng = np.random.default_rng(0)
    well = np.repeat([f"w{i}" for i in range(12)], 48)
    table = pd.DataFrame({"image": [f"{i}.tif" for i in range(well.size)], "group": well})
    return Examples(
        table.assign(label=rng.choice(["a", "b"], well.size), split=""), Path(), "movie"
    )


def test_the_epoch_is_chosen_on_images_that_are_not_tested() -> None:
    given = movie()
    found = parts(given, ("a", "b"), labelled=0.5)
    y = given.codes(("a", "b"))[found.labelled]
    teach, choose = choose_labelled(y, given.groups()[found.labelled], y.size, 0)
    selection = set(found.labelled[choose])
    assert selection
    assert not selection & set(found.test)
    assert not selection & set(found.labelled[teach])


def test_hourly_frames_of_a_well_stay_on_one_side() -> None:
    given = movie()
    groups = given.groups()
    fold = folds(given.codes(("a", "b")), groups, 4, 0)
    for f in range(4):
        found = parts(given, ("a", "b"), fold=fold == f)
        taught = np.concatenate([found.labelled, found.unlabelled])
        assert not set(groups[found.test]) & set(groups[taught])


# ipb-paper has the paper's augmentations and draws other images; features draws no batches, and
# contrastive-clustering none of labelled images
@pytest.mark.parametrize(
    "method", ["supervised", "simclr", "simtriplet", "mpl", "mpl-balanced", "ipb"]
)
def test_every_arm_learns_labels_from_the_very_same_batch(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, ipb_batches = [], []
    train, batch_of = loop.train, Run._batch

    def seen_train(task: Any, *how: Any, **more: Any) -> loop.Outcome:
        tasks.append(task)
        assert how[0].clip == 3
        return train(task, *how, **more)

    def seen_batch(run: Run, *how: Any) -> Batch:
        ipb_batches.append(batch_of(run, *how))
        return ipb_batches[-1]

    monkeypatch.setattr(loop, "train", seen_train)
    monkeypatch.setattr(Run, "_batch", seen_batch)
    of = data(method=method, steps=2, pretrain_steps=1, adviser=False, clip=3)
    train_method(of, tmp_path, resume=False, report=quiet)
    # what the arm's own loaders gave it, by counter
    (of_labels,) = (task for task in tasks if not isinstance(task, _Task))
    given = [(3, of_labels.batch(3)["x"], of_labels.batch(3)["y"])]
    for batch in ipb_batches:
        given.append((ipb_run._LABELLED_FROM + batch.step, batch.labelled_x, batch.labelled_y))
    assert (len(given) > 1) == (method in ("mpl", "mpl-balanced", "ipb"))
    baseline = data(method="supervised")
    for counter, x, y in given:
        # of mpl, labelled batches are drawn as the images come
        wanted = baseline.labelled_batch(counter, 32, balanced=method != "mpl")
        assert torch.equal(x, wanted.x)
        assert torch.equal(y, wanted.y)


@pytest.mark.parametrize("balanced", [True, False])
def test_labelled_batches_of_every_loader_are_balanced_where_set_so(
    balanced: bool, tmp_path: Path
) -> None:
    of = data(balanced_labels=balanced, batch=12)
    of = replace(of, labelled_y=np.array([0] * 10 + [1, 2]))
    task = _Supervised(network(), of)
    _, _, drawn = batches(of, tmp_path)
    for y in ([task.batch(i)["y"] for i in range(3)], [batch.labelled_y for batch in drawn]):
        count = np.bincount(torch.cat(y).numpy(), minlength=3)
        share = count / count.sum()
        # a third each; or 10 of 12, give or take 4 sd of sqrt(5/36 / 36 images)
        assert share == pytest.approx([1 / 3] * 3) if balanced else share[0] > 0.833 - 0.25


# feedback --------------------------------------------------------------------------------------


def test_the_reward_is_the_old_loss_less_the_new(tmp_path: Path) -> None:
    of = data(16, steps=1, ema=0.0, threshold=0.0)  # one step
    # the first batch after those of the pre-training
    batch = of.labelled_batch(ipb_run._LABELLED_FROM, 8, balanced=True)
    student = network(1)
    old = labelled_loss(student, batch.x, batch.y)
    train_ipb(network(), student, of, tmp_path, resume=False, report=quiet)
    new = labelled_loss(student, batch.x, batch.y)
    (line,) = (tmp_path / "history.jsonl").read_text().splitlines()
    assert json.loads(line)["h"] == pytest.approx(old - new, abs=1e-6)
    assert old != new


def test_a_reward_raises_the_pseudo_labels_probability_and_a_loss_lowers_it(
    tmp_path: Path,
) -> None:
    def probability(h: float) -> float:
        run, _, (batch, *_) = batches(data(threshold=0.0, uda=0.0, feedback=1.0), tmp_path)
        run.teacher_step(batch, 0.01, h)
        with torch.no_grad():
            log_p = torch.log_softmax(run.teacher.train()(batch.weak), dim=1)
        return float(log_p.gather(1, batch.label[:, None]).mean())

    assert probability(5.0) > probability(0.0) > probability(-5.0)


def test_a_student_that_does_not_move_earns_exactly_nothing(tmp_path: Path) -> None:
    # the student's step moves its running batch norm, which the reward must not see
    run, _, (batch, *_) = batches(data(), tmp_path)
    before = run.labelled_loss(batch)
    run.student_step(batch, 0.0)
    assert before - run.labelled_loss(batch) == 0.0


def test_one_drawn_label_serves_student_and_teacher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unstained.colonies import ipb_run

    run, labels, (batch, *_) = batches(data(2000, threshold=0.0), tmp_path)
    seen: list[torch.Tensor] = []

    def spy(logits: torch.Tensor, y: torch.Tensor, **how: Any) -> torch.Tensor:
        seen.append(y)
        return cross_entropy(logits, y, **how)

    cross_entropy = torch.nn.functional.cross_entropy
    monkeypatch.setattr(torch.nn.functional, "cross_entropy", spy)
    run.student_step(batch, 0.01)
    (learned,) = seen
    told: list[torch.Tensor] = []

    def told_of(
        logits: torch.Tensor, y: torch.Tensor, h: float, confident: torch.Tensor
    ) -> torch.Tensor:
        told.append(y)
        return logits.sum() * 0

    monkeypatch.setattr(ipb_run, "feedback_loss", told_of)
    run.teacher_step(batch, 0.01, 0.5)
    assert torch.equal(learned, told[0])
    # and the labels follow the teacher's softmax, of which the arg max is far
    x = run.data.weak_views(run.data.unlabelled, 0)
    with torch.no_grad():
        p = torch.softmax(leaning().eval()(x), dim=1).numpy()
    wanted = p.mean(axis=0)
    arg_max = np.bincount(p.argmax(axis=1), minlength=3) / len(p)
    assert labels.shares == pytest.approx(wanted, abs=0.045)  # 4 sd of sqrt(1/4 / 2000)
    assert np.abs(arg_max - wanted).max() > 0.1


def test_a_label_below_the_threshold_teaches_the_student_nothing(tmp_path: Path) -> None:
    def after(label: int, confident: float) -> dict[str, torch.Tensor]:
        run, _, (batch, *_) = batches(data(), tmp_path)
        y, sure = batch.label.clone(), torch.ones_like(batch.confident)
        y[0], sure[0] = label, confident
        run.student_step(batch._replace(label=y, confident=sure), 0.1)
        return copied(run.student)

    for confident in (0.0, 1.0):
        one, other = after(0, confident), after(1, confident)
        unchanged = all(torch.equal(one[name], other[name]) for name in one)
        assert unchanged == (confident == 0)


def test_the_threshold_of_the_settings_reaches_the_student(tmp_path: Path) -> None:
    run, _, (batch, *_) = batches(data(threshold=1.0, weight_decay=0.0), tmp_path)
    before = copied(run.student)
    assert not batch.confident.any()
    run.student_step(batch, 0.1)
    assert moved(run.student, before) == []


# views and balance -----------------------------------------------------------------------------


def test_a_weak_view_is_a_crop_up_to_flips_and_the_strong_one_is_not(tmp_path: Path) -> None:
    of = data(quarter_turns=False)
    _, labels, (batch, *_) = batches(replace(of, normalizer=Normalizer((0.0,), (1.0,))), tmp_path)
    # every label was drawn for a view of these pixels and no others
    sources = [of.patches.crops.read(int(i)).pixels[0].astype(np.float32) for i in labels.image]
    allowed = {
        flipped.tobytes() for s in sources for t in (s, s[::-1]) for flipped in (t, t[:, ::-1])
    }
    assert all(np.ascontiguousarray(view[0].numpy()).tobytes() in allowed for view in batch.weak)
    changed = (batch.strong != batch.weak).flatten(1).any(dim=1)
    assert changed.any()


def test_the_labels_that_are_trained_on_are_those_that_were_balanced(tmp_path: Path) -> None:
    of = data(2000, redraw=False)
    _, labels, found = batches(of, tmp_path)
    trained_on = torch.cat([batch.label for batch in found]).numpy()
    there = labels.shares > 0
    flat = np.bincount(trained_on, minlength=CLASSES) / len(trained_on)
    assert flat == pytest.approx(there / there.sum(), abs=0.045)
    assert np.abs(labels.shares - flat).max() > 0.1  # they were not flat before
    # on the very views that were labelled
    view_of = dict(zip(labels.image.tolist(), labels.label.tolist(), strict=True))
    weak = of.weak_views(labels.image, 0)
    by_bytes = {v.numpy().tobytes(): view_of[i] for v, i in zip(weak, labels.image, strict=True)}
    for batch in found[:3]:
        assert [by_bytes[view.numpy().tobytes()] for view in batch.weak] == batch.label.tolist()


def test_the_balancing_weights_reach_the_students_loss(tmp_path: Path) -> None:
    losses, weights = [], []
    for balance in (0.0, 1.0):
        of = data(steps=3, balance=balance, threshold=0.0)
        train_ipb(leaning(), network(1), of, tmp_path, resume=False, report=quiet)
        (line,) = (tmp_path / "history.jsonl").read_text().splitlines()
        losses.append(json.loads(line)["student_loss"])
        weights.append(json.loads(line)["weights"])
    assert weights[0] != weights[1]
    assert losses[0] != losses[1]


# patches ---------------------------------------------------------------------------------------


def test_every_patch_of_a_tiny_colony_meets_the_fraction() -> None:
    mask = np.zeros((300, 300), bool)
    mask[10:22, 280:292] = True  # 144 px, and 0.25 * 32 * 32 = 256 are wanted
    ready = prepare(Crop(np.indices(mask.shape).astype(np.float32), mask), 32, 0.25)
    y, x = np.rint(ready.pixels).astype(int)
    inside = mask[y, x]
    share = [inside[top : top + 32, left : left + 32].mean() for top, left in ready.corners]
    assert min(share) >= 0.25


def test_a_test_patch_shows_the_colony_and_not_the_center_of_its_image() -> None:
    class Brightest(torch.nn.Module):
        """Class 1 where most of the patch is bright."""

        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor(20.0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            bright = self.scale * (x.mean(dim=(1, 2, 3)) - 0.2)
            return torch.stack([-bright, bright], dim=1)

    mask = np.zeros((200, 200), bool)
    mask[10:40, 150:180] = True  # far off the center
    patches = Patches(ArrayCrops([mask.astype(np.float32)], [mask]), 32, 0.25)
    unchanged = Normalizer((0.0,), (1.0,))
    p = probabilities(Brightest(), patches, np.array([0]), unchanged, ClassifierSettings(), views=8)
    assert p[0, 1] > 0.8


def test_normalization_is_applied(tmp_path: Path) -> None:
    of = data()
    raw = replace(of, normalizer=Normalizer((0.0,), (1.0,)))
    for normalized, plain in zip(
        (of.labelled_batch(0, 8, balanced=True).x, of.weak_views(of.unlabelled, 0)),
        (raw.labelled_batch(0, 8, balanced=True).x, raw.weak_views(raw.unlabelled, 0)),
        strict=True,
    ):
        assert abs(float(normalized.mean())) < 0.5
        assert float(plain.mean()) > 900


# schedules, state and errors -------------------------------------------------------------------


def test_the_schedule_ends_at_0_with_the_last_step_and_only_the_student_starts_at_0(
    tmp_path: Path,
) -> None:
    of = data(steps=60, warmup_epochs=2)  # 3 steps an epoch, 20 epochs, 2 of them warm-up
    run = Run(network(), network(1), of, tmp_path)
    assert run.steps == 60
    peak = of.settings.learning_rate
    teacher, student = zip(*(run.rates(step) for step in range(60)), strict=True)
    assert (teacher[0], student[0]) == (peak, 0)
    assert student[:7] == pytest.approx([peak * i / 6 for i in range(7)])
    assert (teacher[-1], student[-1]) == pytest.approx((0, 0), abs=1e-12)


def test_pre_training_leaves_no_gradient_in_the_teacher(tmp_path: Path) -> None:
    teacher = network()
    train_supervised(teacher, data(), tmp_path, 3, resume=False, report=quiet)
    assert all(parameter.grad is None for parameter in teacher.parameters())


class Break(Exception):
    """What a user's Ctrl-C is here."""


def test_a_resumed_run_has_the_student_and_the_averages_of_an_unbroken_one(
    tmp_path: Path,
) -> None:
    def runs(folder: str, stop: int = -1, resume: bool = False) -> Classifier:
        def report(progress: Any) -> None:
            if progress.step == stop:
                raise Break

        student = network(1)
        of = data(steps=9, ema=0.9, select="last")
        train_ipb(network(), student, of, tmp_path / folder, resume=resume, report=report)
        return student

    whole = runs("whole").state_dict()
    with pytest.raises(Break):
        runs("broken", stop=5)  # in the second of three epochs
    resumed = runs("broken", resume=True).state_dict()
    assert all(torch.equal(t, resumed[name]) for name, t in whole.items())


def test_a_broken_image_stops_the_run_by_name() -> None:
    class Broken(ArrayCrops):
        def read(self, index: int) -> Crop:
            if index == 33:
                raise FileError("is cut short", "copy it again", file="colony 33")
            return super().read(index)

    images = list(np.random.default_rng(0).normal(size=(40, SIDE, SIDE)))
    codes = np.where(np.arange(40) < 12, np.arange(40) % 3, -1)
    quick = {"pretrain_steps": 2, "steps": 2, "batch": 8, "normalization": "image"}
    with pytest.raises(FileError, match="colony 33: is cut short"):
        ColonyClassifier(**quick).fit(Broken(images), codes)


def test_labels_of_the_state_are_saved_whole() -> None:
    state = State(epoch=3, step=9, seconds=1.5, best_score=0.7)
    state.baseline.centered(0.3)
    state.prior.update([0.7, 0.3])
    again = State.from_dict(json.loads(json.dumps(state.as_dict())))
    assert again.as_dict() == state.as_dict()
