"""One function that runs any method: the supervised lessons, and what the method adds to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ..learning.encoders import Classifier, EncoderSpec, build_classifier
from ..learning.loop import Progress
from .feature_model import FeatureModel
from .ipb import train_ipb
from .model_files import Advised, Model
from .selfsupervised import train_selfsupervised
from .settings import SELF_SUPERVISED
from .supervised import Report, train_supervised
from .training_data import TrainingData

__all__ = ["train_method"]

FINETUNE_RATE = 3e-5
"""Of the last stage, as in the authors' code; CHECKLIST B.11."""

StageReport = Callable[[str, Progress], None]


def train_method(data: TrainingData, folder: Path, *, resume: bool, report: StageReport) -> Model:
    """Train as `data.settings.method` says.

    Parameters
    ----------
    data : TrainingData
    folder : Path
        Gets a folder for each stage, with history and checkpoint.
    resume : bool
        Go on from the checkpoints; the result is that of an unbroken run.
    report : callable
        Is told the stage and where it stands.
    """
    method = data.settings.method
    stages = _Stages(data, folder, resume, report)
    if method == "features":
        return FeatureModel.fit(data)
    if method == "supervised":
        return stages.supervised("supervised", stages.network(0), data.settings.steps)
    if method in SELF_SUPERVISED:
        network = stages.network(0)
        train_selfsupervised(network, data, folder, resume=resume, report=report)
        return network
    teacher = stages.supervised("teacher", stages.network(0), data.settings.pretrain_steps)
    student = stages.network(1, auxiliary=data.settings.auxiliary > 0)
    adviser, advice = None, None
    if data.settings.adviser:
        adviser, advice = FeatureModel.fit_and_advise(data)
    train_ipb(
        teacher,
        student,
        data,
        folder / "student",
        resume=resume,
        report=stages.named("student"),
        advice=advice,
    )
    network = stages.finetuned(student)
    return network if adviser is None else Advised(network, adviser)


@dataclass(frozen=True)
class _Stages:
    """What the stages of a training share."""

    data: TrainingData
    folder: Path
    resume: bool
    report: StageReport

    def named(self, stage: str) -> Report:
        return lambda progress: self.report(stage, progress)

    def network(self, number: int, *, auxiliary: bool = False) -> Classifier:
        """Fresh weights, others for each number."""
        settings = self.data.settings
        spec = EncoderSpec(
            settings.network,
            self.data.planes,
            self.data.classes,
            settings.scales,
            weights=settings.weights or None,
            auxiliary=auxiliary,
            seen=self.data.seen,
        )
        return build_classifier(spec, seed=settings.seed + number)

    def supervised(self, stage: str, network: Classifier, steps: int) -> Classifier:
        train_supervised(
            network,
            self.data,
            self.folder / stage,
            steps,
            resume=self.resume,
            report=self.named(stage),
        )
        return network

    def finetuned(self, student: Classifier) -> Classifier:
        """The authors' last stage, off by default."""
        settings = self.data.settings
        if not settings.finetune_steps:
            return student
        last = replace(settings, learning_rate=FINETUNE_RATE, pretrain_schedule="cosine")
        stages = replace(self, data=replace(self.data, settings=last))
        return stages.supervised("finetune", student, settings.finetune_steps)
