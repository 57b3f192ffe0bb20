"""Supervised training on the labelled images: the baseline, and the teacher's first lessons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD

from ..learning import devices, loop
from ..learning.encoders import Classifier, parameter_groups
from .settings import PAPER_EPOCHS, ClassifierSettings
from .training_data import TrainingData

__all__ = ["Report", "optimizer", "train_supervised"]

Report = Callable[[loop.Progress], None]


def optimizer(network: nn.Module, settings: ClassifierSettings) -> SGD:
    """Stochastic gradient descent; weight decay on weights of layers, not on norms or biases."""
    return SGD(
        parameter_groups(network, settings.weight_decay),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
    )


class _Supervised:
    """Cross-entropy on labelled batches, for the training loop."""

    def __init__(self, network: Classifier, data: TrainingData) -> None:
        self.data = data
        self.trained: Mapping[str, loop.Trained] = {
            "network": loop.Trained(network, optimizer(network, data.settings))
        }

    def batch(self, step: int) -> loop.Batch:
        settings = self.data.settings
        drawn = self.data.labelled_batch(step, settings.batch, balanced=settings.balanced_labels)
        return {"x": drawn.x, "y": drawn.y}

    def step(self, batch: loop.Batch, update: Callable[[str, Tensor], None]) -> Mapping[str, float]:
        logits = self.trained["network"].module(batch["x"])
        loss = F.cross_entropy(logits.float(), batch["y"])
        update("network", loss)
        return {"loss": float(loss.detach())}

    def validate(self, network: nn.Module) -> Mapping[str, float]:
        return self.data.validate(network)


def train_supervised(
    network: Classifier,
    data: TrainingData,
    folder: Path,
    steps: int,
    *,
    resume: bool,
    report: Report,
) -> loop.Outcome:
    """Train `network` in place; it ends with the weights that are kept.

    Parameters
    ----------
    steps : int
        -1: the paper's 200 passes over the labelled images.
    folder : Path
        For history, checkpoint and best weights.
    """
    settings = data.settings
    if steps < 0:
        steps = PAPER_EPOCHS * -(-data.labelled.size // settings.batch)
    device = devices.choose_device(settings.device)
    network.to(device)
    how = loop.LoopSettings(
        steps=steps,
        schedule=settings.pretrain_schedule,
        validate_every=max(1, min(steps, max(25, steps // 20))),
        checkpoint_every=max(25, steps // 20),
        ema=settings.ema,
        clip=settings.clip,
        precision=devices.resolve_precision(settings.precision, device),
        device=str(device),
        seed=settings.seed,
        score=settings.score,
    )
    if settings.select == "last":
        how = replace(how, validate_every=steps)
    outcome = loop.train(_Supervised(network, data), how, folder, resume=resume, report=report)
    network.load_state_dict(outcome.weights)
    for parameter in network.parameters():
        parameter.grad = None  # the next stage starts clean
    return outcome
