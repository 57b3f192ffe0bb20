"""Meta Pseudo Labels: how much a pseudo-label helped the student, told to the teacher [1]_.

The teacher draws a label y^ for an unlabelled image x from its own probabilities. The student
takes a step on (x, y^). What the step did to its loss on a labelled batch is the reward

    h = CE(student before, labelled) - CE(student after, labelled) - baseline,

and the teacher's loss gets the term h * CE(y^, teacher(x)). Since y^ was drawn from the
teacher, the expectation of its gradient, -h grad log p(y^ | x), is the gradient of the
student's new labelled loss with respect to the teacher, up to a positive factor: good labels
become more probable. With the arg max in place of a draw it is not, and with the sign of h
turned round bad labels become more probable; both stand in public code.

That holds for labels drawn from the teacher as it is. In Iterative Pseudo Balancing they were
drawn at the start of the epoch and resampled by class, so that the gradient is that of a teacher
some steps ago on balanced images: as in the paper, an approximation.

References
----------
.. [1] Pham, Dai, Xie, Le (2021), CVPR, Meta Pseudo Labels, doi 10.1109/CVPR46437.2021.01139.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Baseline", "feedback_loss", "labelled_loss", "same_state"]


@contextmanager
def same_state(module: nn.Module) -> Iterator[nn.Module]:
    """Within this context batch norm uses the batch's own statistics and keeps none; no dropout.

    Two evaluations of one batch then differ by the weights alone.
    """
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    training = {m: m.training for m in module.modules()}
    tracked = [n.track_running_stats for n in norms]
    kept = [(n.running_mean, n.running_var, n.num_batches_tracked) for n in norms]
    module.eval()
    for norm in norms:
        norm.train()
        norm.track_running_stats = False
        norm.running_mean = norm.running_var = norm.num_batches_tracked = None
    try:
        yield module
    finally:
        for norm, track, buffers in zip(norms, tracked, kept, strict=True):
            norm.track_running_stats = track
            norm.running_mean, norm.running_var, norm.num_batches_tracked = buffers
        for m, was in training.items():
            m.training = was


@torch.no_grad()
def labelled_loss(student: nn.Module, x: Tensor, y: Tensor) -> float:
    """The student's cross-entropy on a labelled batch, in float32.

    Twice the same weights and batch give the same number to the last digit.
    """
    with same_state(student), torch.autocast(x.device.type, enabled=False):
        return float(F.cross_entropy(student(x.float()), y))


def feedback_loss(teacher_logits: Tensor, drawn: Tensor, h: float, confident: Tensor) -> Tensor:
    """The term of the teacher's loss: h times the mean cross-entropy of the drawn labels.

    Parameters
    ----------
    teacher_logits : (N, K) tensor
        Of the views that the labels were drawn for.
    drawn : (N,) int tensor
        The labels that the student learned from.
    h : float
        The reward.
    confident : (N,) tensor
        1 for those that taught the student, 0 for those below the threshold, which had no
        part in what happened to it.
    """
    each = F.cross_entropy(teacher_logits.float(), drawn, reduction="none")
    return h * (each * confident).sum() / confident.sum().clamp_min(1.0)


@dataclass
class Baseline:
    """A moving average that is subtracted from rewards; the first reward counts in full.

    Any baseline that does not depend on the labels just drawn leaves the expected gradient
    as it is and lowers its variance.
    """

    mean: float = 0.0
    decay: float = 0.99
    seen: int = 0

    def centered(self, reward: float) -> float:
        """`reward` less the mean of those before it, which then moves on."""
        h = reward - self.mean
        self.seen += 1
        decay = min(self.decay, self.seen / (self.seen + 9))
        self.mean = decay * self.mean + (1 - decay) * reward
        return h
