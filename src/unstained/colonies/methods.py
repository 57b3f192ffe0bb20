"""One function that runs any method: the supervised lessons, then what the method adds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..learning.encoders import Classifier, EncoderSpec, build_classifier
from ..learning.loop import Progress
from .ipb import train_ipb
from .supervised import train_supervised
from .training_data import TrainingData

__all__ = ["train_method"]


def train_method(
    data: TrainingData,
    folder: Path,
    *,
    resume: bool,
    report: Callable[[str, Progress], None],
) -> Classifier:
    """Run the method: supervised lessons, then whatever it adds."""
    settings = data.settings

    def new(seed: int) -> Classifier:
        spec = EncoderSpec(
            settings.network,
            data.planes,
            data.classes,
            settings.scales,
            weights=settings.weights or None,
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
    teacher, student = new(settings.seed), new(settings.seed + 1)
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
    return student
