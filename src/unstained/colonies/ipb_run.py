"""The steps of Iterative Pseudo Balancing and what has to be saved between them; see `ipb`."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import DataError
from ..images.atomic import json_text, write_text
from ..images.image import Array
from ..learning import devices
from ..learning.checkpoints import (
    load_optimizer,
    load_tensors,
    load_weights,
    optimizer_tensors,
    save_tensors,
)
from ..learning.encoders import Classifier
from ..learning.loop import (
    LoopSettings,
    Outcome,
    Progress,
    average_weights,
    learning_rate_factor,
    seed_step,
)
from ..learning.random import generator
from .balance import PriorEstimate, balancing_weights, em_prior
from .feedback import Baseline, feedback_loss, labelled_loss
from .settings import PAPER_EPOCHS, ClassifierSettings
from .supervised import optimizer
from .training_data import AUGMENT, MASK, TrainingData
from .views import strong

__all__ = ["Batch", "PseudoLabels", "Run", "State"]

# counters of batches, so that pre-training's are not drawn again
_LABELLED_FROM, _PSEUDO_FROM = 2**31, 2**32


class PseudoLabels(NamedTuple):
    """What the teacher says of one patch of every unlabelled image, once an epoch.

    Attributes
    ----------
    image : (U,) ints
        Index of the crop.
    label, confidence : (U,) arrays
        Drawn class, and the probability of the most probable one.
    confident : (U,) bool array
        Whether it may teach the student.
    shares : (K,) array
        Of the classes among all labels: the estimate of the class prior.
    """

    image: Array
    label: Array
    confidence: Array
    confident: Array
    shares: Array


class Batch(NamedTuple):
    """One step's images on the device; `confident` is 1 or 0.

    `kept` and `labelled_kept` are 1 or 0 too: which of them teach the auxiliary classifier,
    drawn so that each class has as many as the rarest.
    """

    step: int
    labelled_x: Tensor
    labelled_y: Tensor
    weak: Tensor
    strong: Tensor
    label: Tensor
    confident: Tensor
    kept: Tensor
    labelled_kept: Tensor


@dataclass
class State:
    """What a resumed run must know besides weights and optimizers."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    best_score: float = -math.inf
    baseline: Baseline = field(default_factory=Baseline)
    prior: PriorEstimate = field(default_factory=lambda: PriorEstimate(np.ones(1)))
    aligned: PriorEstimate = field(default_factory=lambda: PriorEstimate(np.ones(1)))

    def estimate(self, p: Array, settings: ClassifierSettings, labelled: Array) -> None:
        """Take in the teacher's probabilities as an estimate of the unlabelled prior."""
        if settings.prior == "em":
            even = np.full(labelled.size, 1 / labelled.size)
            self.prior.update(em_prior(p, even if settings.balanced_labels else labelled))
        elif settings.prior == "ema":
            self.prior.update(p.mean(axis=0))

    def as_dict(self) -> dict[str, Any]:
        return {
            **{k: getattr(self, k) for k in ("epoch", "step", "seconds", "best_score")},
            "baseline": vars(self.baseline),
            "prior": {**vars(self.prior), "share": self.prior.share.tolist()},
            "aligned": {**vars(self.aligned), "share": self.aligned.share.tolist()},
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> State:
        def estimate(name: str) -> PriorEstimate:
            return PriorEstimate(**{**saved[name], "share": np.array(saved[name]["share"])})

        return cls(
            epoch=saved["epoch"],
            step=saved["step"],
            seconds=saved["seconds"],
            best_score=saved["best_score"],
            baseline=Baseline(**saved["baseline"]),
            prior=estimate("prior"),
            aligned=estimate("aligned"),
        )


class Run:
    """The state of one training, and its steps."""

    def __init__(
        self, teacher: Classifier, student: Classifier, data: TrainingData, folder: Path
    ) -> None:
        self.data, self.settings = data, data.settings
        self.device = devices.choose_device(self.settings.device)
        self.precision = devices.resolve_precision(self.settings.precision, self.device)
        self.teacher, self.student = teacher.to(self.device), student.to(self.device)
        if self.settings.student_init == "teacher":
            # the teacher has no auxiliary head
            student.load_state_dict(teacher.state_dict(), strict=False)
        self.averaged = copy.deepcopy(student).eval()
        self.optimizers = {
            "teacher": optimizer(teacher, self.settings),
            "student": optimizer(student, self.settings),
        }
        self.checkpoint = folder / "checkpoint.safetensors"
        self.best = folder / "best.safetensors"
        self.history = folder / "history.jsonl"
        self.state = State()
        pool = data.unlabelled.size
        if 0 < self.settings.epoch_images < pool:
            pool = self.settings.epoch_images
        # a last image that would be alone, which batch norm cannot take, joins the batch before
        self.steps_per_epoch = max(1, -(-(pool - 1) // self.settings.unlabelled_batch))
        steps = self.settings.steps
        self.epochs = PAPER_EPOCHS if steps < 0 else max(1, round(steps / self.steps_per_epoch))
        self.steps = self.epochs * self.steps_per_epoch
        self.drawn_prior = np.full(data.classes, 1 / data.classes)

    def labeller(self) -> nn.Module:
        """The network that gives the pseudo-labels."""
        return self.teacher if self.settings.teacher == "trained" else self.averaged

    def rates(self, step: int) -> tuple[float, float]:
        """Learning rates of teacher and student; only the student's warms up."""
        warmup = min(self.settings.warmup_epochs, self.epochs // 10) * self.steps_per_epoch
        plain = LoopSettings(self.steps, schedule=self.settings.schedule)
        warm = LoopSettings(self.steps, warmup_steps=warmup, schedule=self.settings.schedule)
        peak = self.settings.learning_rate
        return peak * learning_rate_factor(step, plain), peak * learning_rate_factor(step, warm)

    def batches(self, pseudo: PseudoLabels, order: Array) -> Iterator[Batch]:
        """The epoch's steps; the next batch is prepared while this one is learned."""
        self.drawn_prior = np.bincount(pseudo.label[order], minlength=self.data.classes) / len(
            order
        )
        size = self.settings.unlabelled_batch
        repeat = _occurrence(order) if self.settings.redraw else np.zeros_like(order)
        starts = [i * size for i in range(self.steps_per_epoch)]
        parts = [slice(*ends) for ends in pairwise([*starts, len(order)])]
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(self._batch, pseudo, order[parts[0]], repeat[parts[0]], 0)
            for i in range(len(parts)):
                batch = coming.result()
                if i + 1 < len(parts):
                    part = parts[i + 1]
                    coming = pool.submit(self._batch, pseudo, order[part], repeat[part], i + 1)
                yield batch

    def _batch(self, pseudo: PseudoLabels, chosen: Array, repeat: Array, i: int) -> Batch:
        data, settings = self.data, self.settings
        step = self.state.epoch * self.steps_per_epoch + i
        labelled = data.labelled_batch(
            _LABELLED_FROM + step, settings.batch, balanced=settings.balanced_labels
        )
        weak = data.weak_views(pseudo.image[chosen], self.state.epoch, repeat)
        varied = strong(weak, settings, generator(settings.seed, AUGMENT, _PSEUDO_FROM + step))
        label = pseudo.label[chosen].astype(np.int64)
        rng = generator(settings.seed, MASK, step)
        tensors = (
            labelled.x,
            labelled.y,
            weak,
            varied,
            torch.from_numpy(label),
            torch.from_numpy(pseudo.confident[chosen].astype(np.float32)),
            _kept(label, self.drawn_prior, rng),
            _kept(labelled.y.numpy(), data.batch_shares, rng),
        )
        return Batch(step, *(t.to(self.device) for t in tensors))

    def labelled_loss(self, batch: Batch) -> float:
        """The student's loss on labelled images, which judges the teacher; 0 without feedback."""
        if not self.settings.feedback:
            return 0.0
        return labelled_loss(self.student, batch.labelled_x, batch.labelled_y)

    def student_step(self, batch: Batch, rate: float) -> dict[str, float]:
        """Step 3: cross-entropy against the pseudo-labels, behind the confidence mask."""
        settings = self.settings
        seed_step(settings.seed, batch.step)
        self.student.train()
        n = len(batch.strong)
        views = [batch.strong, batch.labelled_x] if settings.student_labels else [batch.strong]
        with devices.autocast(self.precision, self.device):
            features = self.student.features(torch.cat(views))
            logits = self.student.classify(features).float()
        on_pseudo = logits[:n]
        if settings.logit_adjustment:
            on_pseudo = on_pseudo + settings.logit_adjustment * self._log_prior()
        each = F.cross_entropy(on_pseudo, batch.label, reduction="none")
        loss = (each * batch.confident).mean()
        if settings.student_labels:
            loss = loss + settings.student_labels * F.cross_entropy(logits[n:], batch.labelled_y)
        if self.student.auxiliary is not None:
            loss = loss + settings.auxiliary * self._auxiliary_loss(features, batch)
        self._update("student", self.student, loss, rate)
        return {"student_loss": float(loss.detach()), "confident": float(batch.confident.mean())}

    def _auxiliary_loss(self, features: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of the second head on images drawn in balance [1]_.

        References
        ----------
        .. [1] Lee, Shin, Kim (2021), NeurIPS, ABC, eqs. 2 and 4.
        """
        assert self.student.auxiliary is not None  # asked by the caller
        with devices.autocast(self.precision, self.device):
            logits = self.student.auxiliary(features).float()
        n = len(batch.strong)
        each = F.cross_entropy(logits[:n], batch.label, reduction="none")
        loss = (each * batch.confident * batch.kept).mean()
        if len(logits) > n:
            each = F.cross_entropy(logits[n:], batch.labelled_y, reduction="none")
            loss = loss + (each * batch.labelled_kept).mean()
        return loss

    def _log_prior(self) -> Tensor:
        """Of the classes that the student is shown: the estimated prior under the balancing."""
        settings = self.settings
        prior = self.drawn_prior
        if settings.prior != "none":
            weights = balancing_weights(
                self.state.prior.share,
                temperature=settings.balance,
                floor=settings.balance_floor,
                cap=settings.balance_cap,
            )
            prior = self.state.prior.share * weights
        log = np.log(np.maximum(prior / prior.sum(), 1e-4))
        return torch.from_numpy(log.astype(np.float32)).to(self.device)

    def teacher_step(self, batch: Batch, rate: float, h: float) -> dict[str, float]:
        """Step 4: labels, consistency of weak and strong views, and the student's feedback."""
        settings = self.settings
        if settings.teacher == "ema":
            return {"teacher_loss": math.nan, "h": h}  # it learns nothing by itself
        self.teacher.train()
        parts = [batch.labelled_x]
        if settings.uda or settings.feedback:
            parts += [batch.weak, batch.strong]
        with devices.autocast(self.precision, self.device):
            logits = self.teacher(torch.cat(parts)).float()
        on_labels, *on_views = logits.split([len(part) for part in parts])
        loss = F.cross_entropy(on_labels, batch.labelled_y)
        if on_views:
            weak, varied = on_views
        if settings.uda:
            target = F.softmax(weak.detach() / settings.uda_temperature, dim=1)
            ramp = min(1.0, (batch.step + 1) / max(settings.uda_ramp, 1.0))
            uda = -(target * F.log_softmax(varied, dim=1)).sum(dim=1).mean()
            loss = loss + settings.uda * ramp * uda
        if settings.feedback:
            loss = loss + settings.feedback * feedback_loss(weak, batch.label, h, batch.confident)
        self._update("teacher", self.teacher, loss, rate)
        return {"teacher_loss": float(loss.detach()), "h": h}

    def _update(self, name: str, module: nn.Module, loss: Tensor, rate: float) -> None:
        if not math.isfinite(float(loss.detach())):
            raise DataError(
                f"the {name}'s loss is not finite after {self.state.step} steps",
                "lower the learning rate: --set learning_rate=0.001",
            )
        optimizer_ = self.optimizers[name]
        for group in optimizer_.param_groups:
            group["lr"] = rate
        optimizer_.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.settings.clip:
            nn.utils.clip_grad_norm_(module.parameters(), self.settings.clip)
        optimizer_.step()
        optimizer_.zero_grad(set_to_none=True)

    def average(self) -> None:
        """Move the evaluated weights after a step."""
        self.state.step += 1
        average_weights(self.averaged, self.student, self.settings.ema, self.state.step)

    def progress(
        self,
        step: int,
        losses: dict[str, float],
        began: float,
        done: int,
        scores: dict[str, float] | None = None,
    ) -> Progress:
        pace = (time.perf_counter() - began) / done
        loss = {"loss": losses["student_loss"]}
        return Progress(step, self.steps, (self.steps - step) * pace, loss, scores)

    def finish_epoch(
        self,
        pseudo: PseudoLabels,
        weights: Array,
        losses: list[dict[str, float]],
        seconds: float,
    ) -> dict[str, float]:
        """Validate, keep the best, write history and checkpoint."""
        state = self.state
        state.epoch += 1
        state.seconds += seconds
        scores = self.data.validate(self.averaged)
        score = scores[self.settings.score]
        last = state.epoch == self.epochs
        keep = last if self.settings.select == "last" else score >= state.best_score
        if keep:
            state.best_score = score
            notes = {"step": state.step, "score": score}
            save_tensors(self.best, self.averaged.state_dict(), notes)
        line = {
            "epoch": state.epoch,
            "step": state.step,
            **{key: float(np.mean([row[key] for row in losses])) for key in losses[0]},
            "shares": pseudo.shares.tolist(),
            "weights": weights.tolist(),
            "prior": state.prior.share.tolist(),
            **scores,
        }
        with self.history.open("a", encoding="utf-8") as file:
            file.write(json_text(line) + "\n")
        self._save()
        return scores

    def _modules(self) -> dict[str, nn.Module]:
        return {"teacher": self.teacher, "student": self.student, "average": self.averaged}

    def _save(self) -> None:
        tensors: dict[str, Tensor] = {}
        for name, module in self._modules().items():
            tensors |= {f"module/{name}/{k}": v for k, v in module.state_dict().items()}
        for name, optimizer_ in self.optimizers.items():
            state = optimizer_tensors(optimizer_)
            tensors |= {f"optimizer/{name}/{k}": v for k, v in state.items()}
        save_tensors(self.checkpoint, tensors, self.state.as_dict())

    def load(self) -> None:
        """Go back to the end of the last whole epoch; the history forgets what came after."""
        tensors, notes = load_tensors(self.checkpoint)

        def below(prefix: str) -> dict[str, Tensor]:
            return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}

        for name, module in self._modules().items():
            load_weights(module, below(f"module/{name}/"), self.checkpoint)
        for name, optimizer_ in self.optimizers.items():
            load_optimizer(optimizer_, below(f"optimizer/{name}/"))
        self.state = State.from_dict(notes)
        lines = self.history.read_text(encoding="utf-8").splitlines(keepends=True)
        write_text(self.history, "".join(lines[: self.state.epoch]))

    def outcome(self) -> Outcome:
        """The kept weights, put into the student."""
        weights, notes = load_tensors(self.best)
        self.student.load_state_dict(weights)
        return Outcome(weights, int(notes["step"]), float(notes["score"]), self.state.seconds)


def _occurrence(order: Array) -> Array:
    """How often each entry has come before: (7, 3, 7, 7) gives (0, 0, 1, 2)."""
    by_value = np.argsort(order, kind="stable")
    value = order[by_value]
    first = np.searchsorted(value, value, side="left")
    count = np.empty_like(order)
    count[by_value] = np.arange(order.size) - first
    return count


def _kept(label: Array, shares: Array, rng: np.random.Generator) -> Tensor:
    """1 with probability (share of the rarest class that is there) / (share of its class)."""
    least = shares[shares > 0].min()
    chance = least / np.maximum(shares[label], least)
    return torch.from_numpy((rng.random(label.size) < chance).astype(np.float32))
