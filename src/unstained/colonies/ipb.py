"""Iterative Pseudo Balancing: teacher, student, and pseudo-labels drawn in balance.

Algorithm 1 of Witmer and Bhanu (2024), Scientific Reports 14, in its order: the teacher labels a
patch of every unlabelled image; those very patches are resampled, each class as often as
any other; the student learns from them; the teacher learns from labels, from consistency and
from what its pseudo-labels did for the student. Settings turn it into Meta Pseudo Labels
(no resampling), FixMatch (an averaged teacher) and what lies between. What a step does in
detail stands in `ipb_run`.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..images.image import Array
from ..learning import devices
from ..learning.encoders import Classifier
from ..learning.loop import Outcome
from ..learning.random import generator
from .balance import adaptive_thresholds, align, balancing_weights, geometric_mean
from .ipb_run import PseudoLabels, Run, State
from .supervised import Report
from .training_data import DRAW_LABELS, ORDER, TrainingData

__all__ = ["draw_balanced", "label_patches", "train_ipb"]


def train_ipb(
    teacher: Classifier,
    student: Classifier,
    data: TrainingData,
    folder: Path,
    *,
    resume: bool,
    report: Report,
    advice: Array | None = None,
) -> Outcome:
    """Run Algorithm 1 with a pre-trained teacher; `student` ends with the weights that are kept.

    With `advice`, (U, K) probabilities of the unlabelled images from elsewhere, pseudo-labels come
    from their geometric mean with the teacher's: an adviser that measures textures and was
    trained beforehand does not follow the student into its mistakes.

    `folder` gets ``history.jsonl`` (a line per epoch), ``checkpoint.safetensors`` (at the end
    of each epoch: a run that is resumed ends with the very weights of one that was not) and
    ``best.safetensors``.

    Raises
    ------
    DataError
        A loss is not finite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(teacher, student, data, folder)
    if resume and run.checkpoint.exists():
        run.load()
    else:
        run.history.unlink(missing_ok=True)
    while run.state.epoch < run.epochs:
        began = time.perf_counter()
        pseudo = label_patches(run.labeller(), data, run.state, advice)
        order, weights = draw_balanced(pseudo, data, run.state.epoch)
        losses: list[dict[str, float]] = []
        for batch in run.batches(pseudo, order):
            teach, learn = run.rates(batch.step)
            before = run.labelled_loss(batch)
            said = run.student_step(batch, learn)
            h = run.state.baseline.centered(before - run.labelled_loss(batch))
            said |= run.teacher_step(batch, teach, h)
            losses.append(said)
            run.average()
            report(run.progress(batch.step + 1, said, began, len(losses)))
        scores = run.finish_epoch(pseudo, weights, losses, time.perf_counter() - began)
        report(run.progress(run.state.step, losses[-1], began, len(losses), scores))
    return run.outcome()


def label_patches(
    teacher: nn.Module, data: TrainingData, state: State, advice: Array | None = None
) -> PseudoLabels:
    """Step 1: the teacher, as it predicts, labels a weak view of every unlabelled image.

    `advice` has probabilities of all unlabelled images, (U, K), to be averaged with the teacher's.
    """
    settings, k = data.settings, data.classes
    rng = generator(settings.seed, DRAW_LABELS, state.epoch)
    which = np.arange(data.unlabelled.size)
    if 0 < settings.epoch_images < which.size:
        which = rng.permutation(which.size)[: settings.epoch_images]
    images = data.unlabelled[which]
    p = _predicted(teacher, data, images, state.epoch)
    if advice is not None:
        p = geometric_mean(p, advice[which], settings.advice)
    state.estimate(p, settings, data.shares)
    if settings.align:
        p = align(p, data.shares, state.aligned.update(p.mean(axis=0)))
    label = p.argmax(axis=1)
    if settings.sampled:  # inverse of the cumulated probabilities at a uniform draw
        label = (p.cumsum(axis=1) < rng.random((len(p), 1))).sum(axis=1).clip(max=k - 1)
    confidence = p.max(axis=1)
    needed = np.full(k, settings.threshold)
    if settings.adaptive:
        needed = adaptive_thresholds(settings.threshold, p.argmax(axis=1), confidence, k)
    confident = confidence >= needed[p.argmax(axis=1)]
    shares = np.bincount(label, minlength=k) / max(len(label), 1)
    return PseudoLabels(images, label, confidence, confident, shares)


def draw_balanced(pseudo: PseudoLabels, data: TrainingData, epoch: int) -> tuple[Array, Array]:
    """Step 2: as many positions in `pseudo` as it has, drawn with the balancing weights.

    Returns
    -------
    (U,) int array, (K,) float array
        Positions, and the weight of a label of each class.
    """
    settings = data.settings
    weights = balancing_weights(
        pseudo.shares,
        temperature=settings.balance,
        floor=settings.balance_floor,
        cap=settings.balance_cap,
    )
    rng = generator(settings.seed, ORDER, epoch)
    n = pseudo.label.size
    if settings.balance == 0:
        return rng.permutation(n), weights
    p = weights[pseudo.label]
    return rng.choice(n, size=n, p=p / p.sum()), weights


def _predicted(network: nn.Module, data: TrainingData, images: Array, epoch: int) -> Array:
    """(U, K) probabilities of one weak view of each image."""
    device = next(network.parameters()).device
    precision = devices.resolve_precision(data.settings.precision, device)
    network.eval()
    found = []
    with torch.inference_mode(), devices.autocast(precision, device):
        for start in range(0, len(images), 256):
            x = data.weak_views(images[start : start + 256], epoch).to(device)
            found.append(F.softmax(network(x).float(), dim=1).cpu().numpy())
    return np.concatenate(found).astype(np.float64)
