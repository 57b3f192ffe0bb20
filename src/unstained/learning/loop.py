"""The training loop: steps, averaged weights, validation, best weights, history, exact resume.

A task brings its batches, its step and its validation; everything else stands here once. What
a step draws at random depends on (seed, step) alone, so that a run that was killed and resumed
ends with the very weights of one that was not.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import DataError, InputError
from ..images.atomic import json_text, write_text
from . import devices
from .checkpoints import (
    load_optimizer,
    load_tensors,
    load_weights,
    optimizer_tensors,
    save_tensors,
)

__all__ = [
    "Batch",
    "LoopSettings",
    "Outcome",
    "Progress",
    "Task",
    "average_weights",
    "learning_rate_factor",
    "seed_step",
    "train",
]

Batch = Mapping[str, Tensor]
Update = Callable[[str, Tensor], None]


class Trained(NamedTuple):
    """A module, the optimizer of its weights, and the peak of its learning rate."""

    module: nn.Module
    optimizer: Optimizer


class Task(Protocol):
    """What is learned.

    `trained` names the modules; the one called ``network`` is averaged, validated and kept.
    `step` computes losses on a batch and hands each to `update(name, loss)`, which moves the
    weights of that module; it returns numbers for the history.
    """

    @property
    def trained(self) -> Mapping[str, Trained]: ...

    def batch(self, step: int) -> Batch: ...

    def step(self, batch: Batch, update: Update) -> Mapping[str, float]: ...

    def validate(self, network: nn.Module) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class LoopSettings:
    """How long and how; see `staining.TrainSettings` for the meaning to a user.

    Attributes
    ----------
    steps, warmup_steps : int
        Steps in all; those in which the learning rate rises from 0.
    schedule : {"cosine", "linear-half", "tenth-half"}
        Cosine to zero; or constant for the first half, then linear to zero (pix2pix), or
        then a tenth.
    validate_every : int
        Steps between validations; the last step is always validated.
    checkpoint_every : int
        Steps between checkpoints.
    ema : float
        Decay of the averaged weights, 0 for none.
    clip : float
        Largest norm of a gradient; 0 leaves it as it is.
    precision : {"float32", "bf16"}
        Of convolutions, see `devices.autocast`; weights are float32.
    device : str
        As torch names it: cpu, cuda, cuda:1, mps.
    seed : int
        Of what torch draws within steps; see `seed_step`.
    score : str
        Which of the numbers of `Task.validate` chooses the best weights; the largest is best.
    """

    steps: int
    warmup_steps: int = 0
    schedule: str = "cosine"
    validate_every: int = 100
    checkpoint_every: int = 100
    ema: float = 0.0
    clip: float = 5.0
    precision: str = "float32"
    device: str = "cpu"
    seed: int = 0
    score: str = "score"


@dataclass(frozen=True)
class Progress:
    """Where a run stands: after `step` of `steps`; `seconds_left` is None at first."""

    step: int
    steps: int
    seconds_left: float | None
    losses: Mapping[str, float]
    scores: Mapping[str, float] | None


class Outcome(NamedTuple):
    """Best averaged weights by the validation score, their step, and seconds of training."""

    weights: dict[str, Tensor]
    step: int
    score: float
    seconds: float


def learning_rate_factor(step: int, settings: LoopSettings) -> float:
    """Share of the peak learning rate at `step`, from 0: 0 as a warm-up starts and at the end."""
    if step < settings.warmup_steps:
        return step / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(1, settings.steps - 1 - settings.warmup_steps)
    if settings.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    if settings.schedule == "linear-half":
        return min(1.0, 2 * (1 - done))
    if settings.schedule == "tenth-half":
        return 1.0 if done < 0.5 else 0.1
    raise InputError(
        f"schedule {settings.schedule!r} is not known", "cosine, linear-half or tenth-half"
    )


def train(
    task: Task,
    settings: LoopSettings,
    folder: Path,
    *,
    resume: bool = False,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Outcome:
    """Run a task to its end, from its start or from the last checkpoint in `folder`.

    `folder` gets ``history.jsonl`` (a line per validation), ``checkpoint.safetensors`` and
    ``best.safetensors``. With several processes, the first one writes.

    Raises
    ------
    DataError
        The loss is not finite: nothing that follows could be trusted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(task, settings, folder)
    if resume and run.checkpoint.exists():
        run.load()
    elif devices.rank() == 0:
        run.history.unlink(missing_ok=True)
        run.best.unlink(missing_ok=True)
    with ThreadPoolExecutor(1) as pool:  # prepares the next batch while this one is learned
        coming = pool.submit(task.batch, run.done) if run.done < settings.steps else None
        while coming is not None:
            batch = coming.result()
            more = run.done + 1 < settings.steps
            coming = pool.submit(task.batch, run.done + 1) if more else None
            report(run.advance(batch))
    devices.wait_for_all()  # the first process may still be validating, the others go no further
    weights, notes = load_tensors(run.best)
    return Outcome(weights, int(notes["step"]), float(notes["score"]), run.seconds)


class _Run:
    """The state of one training."""

    def __init__(self, task: Task, settings: LoopSettings, folder: Path) -> None:
        self.task, self.settings = task, settings
        self.device = torch.device(settings.device)
        self.checkpoint = folder / "checkpoint.safetensors"
        self.best = folder / "best.safetensors"
        self.history = folder / "history.jsonl"
        self.averaged = copy.deepcopy(task.trained["network"].module).eval()
        self.peaks = {
            name: [group["lr"] for group in t.optimizer.param_groups]
            for name, t in task.trained.items()
        }
        self.done = 0
        self.seconds = 0.0
        self.best_score = -math.inf
        self.recent: list[float] = []

    def advance(self, batch: Batch) -> Progress:
        """One step, and what is due after it."""
        began = time.perf_counter()
        settings = self.settings
        seed_step(settings.seed, self.done)
        factor = learning_rate_factor(self.done, settings)
        for name, trained in self.task.trained.items():
            trained.module.train()
            for group, peak in zip(trained.optimizer.param_groups, self.peaks[name], strict=True):
                group["lr"] = peak * factor
        on_device = {k: v.to(self.device, non_blocking=True) for k, v in batch.items()}
        with devices.autocast(settings.precision, self.device):
            losses = self.task.step(on_device, self._update)
        if not all(math.isfinite(value) for value in losses.values()):
            raise DataError(
                f"the loss is not finite after {self.done} steps ({dict(losses)})",
                "lower the learning rate; look for extreme values with `unstained images check`",
            )
        self.done += 1
        network = self.task.trained["network"].module
        average_weights(self.averaged, network, settings.ema, self.done)
        taken = time.perf_counter() - began
        self.seconds += taken
        self.recent = [*self.recent[-19:], taken]
        last = self.done == settings.steps
        due = last or self.done % settings.validate_every == 0
        scores = self._validate(losses) if due and devices.rank() == 0 else None
        if devices.rank() == 0 and (last or self.done % settings.checkpoint_every == 0):
            self._save()
        pace = sorted(self.recent)[len(self.recent) // 2]
        left = (settings.steps - self.done) * pace if len(self.recent) > 3 or last else None
        return Progress(self.done, settings.steps, left, losses, scores)

    def _update(self, name: str, loss: Tensor) -> None:
        trained = self.task.trained[name]
        trained.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        devices.average_gradients(trained.module)
        if self.settings.clip:
            nn.utils.clip_grad_norm_(trained.module.parameters(), self.settings.clip)
        trained.optimizer.step()
        trained.optimizer.zero_grad(set_to_none=True)

    def _validate(self, losses: Mapping[str, float]) -> Mapping[str, float]:
        with devices.autocast(self.settings.precision, self.device):
            scores = self.task.validate(self.averaged)
        score = scores[self.settings.score]
        # of equals the last, which has learned longer: few validation images give many equals
        if score >= self.best_score or not self.best.exists():
            self.best_score = score
            save_tensors(self.best, self.averaged.state_dict(), {"step": self.done, "score": score})
        line = {"step": self.done, "seconds": round(self.seconds, 1), **losses, **scores}
        with self.history.open("a", encoding="utf-8") as file:
            file.write(json_text(line) + "\n")
        return scores

    def _save(self) -> None:
        tensors = {f"average/{k}": v for k, v in self.averaged.state_dict().items()}
        for name, trained in self.task.trained.items():
            state = trained.module.state_dict()
            tensors |= {f"module/{name}/{k}": v for k, v in state.items()}
            state = optimizer_tensors(trained.optimizer)
            tensors |= {f"optimizer/{name}/{k}": v for k, v in state.items()}
        notes = {"step": self.done, "seconds": self.seconds, "best_score": self.best_score}
        save_tensors(self.checkpoint, tensors, notes)

    def load(self) -> None:
        """Go back to the last checkpoint; the history forgets what came after it."""
        tensors, notes = load_tensors(self.checkpoint)

        def below(prefix: str) -> dict[str, Tensor]:
            n = len(prefix)
            return {k[n:]: v for k, v in tensors.items() if k.startswith(prefix)}

        load_weights(self.averaged, below("average/"), self.checkpoint)
        for name, trained in self.task.trained.items():
            load_weights(trained.module, below(f"module/{name}/"), self.checkpoint)
            load_optimizer(trained.optimizer, below(f"optimizer/{name}/"))
        self.done, self.seconds = int(notes["step"]), float(notes["seconds"])
        self.best_score = float(notes["best_score"])
        if devices.rank() == 0 and self.history.exists():
            lines = self.history.read_text(encoding="utf-8").splitlines(keepends=True)
            whole = [line for line in lines if line.endswith("\n")]  # the last may be cut short
            kept = [line for line in whole if json.loads(line)["step"] <= self.done]
            write_text(self.history, "".join(kept))


@torch.no_grad()
def average_weights(averaged: nn.Module, network: nn.Module, ema: float, step: int) -> None:
    """Move averaged weights towards the network's after `step`, counted from 1.

    A young average forgets its start: its decay grows with the steps up to `ema`.
    """
    decay = min(ema, step / (step + 9))
    latest = network.state_dict()
    for name, mean in averaged.state_dict().items():
        if mean.dtype.is_floating_point:
            mean.lerp_(latest[name], 1 - decay)
        else:
            mean.copy_(latest[name])


def seed_step(seed: int, step: int) -> None:
    """Let what torch draws in a step, dropout, depend on the step alone."""
    torch.manual_seed((seed * 1_000_003 + step) * 1_009 + devices.rank())
