"""One function that runs any method: the supervised lessons, then what the method adds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..learning.encoders import Classifier, EncoderSpec, build_classifier
from ..learning.loop import Progress
from .ipb import train_ipb
from .supervised import train_supervised
from .training_data import TrainingData

__all__ = ["train_method"]

FINETUNE_RATE = 3e-5
"""Of the last stage, as in the authors' code; CHECKLIST B.11."""


def train_method(
    data: TrainingData,
    folder: Path,
    *,
    resume: bool,
    report: Callable[[str, Progress], None],
) -> Classifier:
    """Run the method: supervised lessons, then whatever it adds."""
    settings = data.settings

    def new(seed: int, *, auxiliary: bool = False) -> Classifier:
        spec = EncoderSpec(
            settings.network,
            data.planes,
            data.classes,
            settings.scales,
            weights=settings.weights or None,
            auxiliary=auxiliary,
        )
        return build_classifier(spec, seed=seed)

    if settings.method == "supervised":
        network = new(settings.seed)
        train_supervised(
            network,
            data,
            folder / "supervised",
            settings.steps,
            resume=resume,
            report=lambda progress: report("supervised", progress),
        )
        return network
    teacher, student = new(settings.seed), new(settings.seed + 1, auxiliary=settings.auxiliary > 0)
    train_supervised(
        teacher,
        data,
        folder / "teacher",
        settings.pretrain_steps,
        resume=resume,
        report=lambda progress: report("teacher", progress),
    )
    train_ipb(
        teacher,
        student,
        data,
        folder / "student",
        resume=resume,
        report=lambda progress: report("student", progress),
    )
    if settings.finetune_steps:
        last = replace(settings, learning_rate=FINETUNE_RATE, pretrain_schedule="cosine", ema=0.0)
        train_supervised(
            student,
            replace(data, settings=last),
            folder / "finetune",
            settings.finetune_steps,
            resume=resume,
            report=lambda progress: report("finetune", progress),
        )
    return student
