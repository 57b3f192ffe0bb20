"""What the network learns: batches, losses, and the score on validation images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ..images.image import Array
from ..images.tiles import round_up
from ..learning.encoders import parameter_groups
from ..learning.loop import Batch, Trained, Update
from ..learning.networks import Generator, apply_whole, check_step
from .labelled import LabelledImage
from .matching import score_labels
from .normalize import measure_statistics, normalize
from .partition import PartitionSettings, partition
from .samples import Samples, Scene
from .settings import CellSettings
from .targets import BORDER, HEIGHT, INTERIOR, NUCLEI, NUCLEUS, maps_of_outputs

__all__ = ["CellCounts", "CellTask", "cell_losses", "found_cells", "pooled_precision"]

_QUADRATIC = 0.1  # of the height, which is 0 to 1


class CellTask:
    """A network, its optimizer and its losses; see `learning.loop.Task`."""

    def __init__(
        self,
        network: Generator,
        settings: CellSettings,
        scenes: Sequence[Scene],
        checks: Sequence[LabelledImage],
        cuts: PartitionSettings,
    ) -> None:
        self.settings, self.checks, self.cuts = settings, checks, cuts
        self.network: Generator = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.trained = {"network": _trained(self.network, settings)}
        largest = max(min(scene.shape_yx) for scene in scenes)
        patch = round_up(min(settings.patch, largest), network.stride)
        check_step(settings.batch, patch, network.stride)
        self.samples = Samples(scenes, settings, patch)

    def batch(self, step: int) -> Batch:
        return self.samples.batch(step, range(self.settings.batch))

    def step(self, batch: Batch, update: Update) -> Mapping[str, float]:
        device = next(self.network.parameters()).device
        image = batch["image"].to(device).contiguous(memory_format=torch.channels_last)
        outputs = self.network(image).float()
        losses = cell_losses(outputs, batch["targets"].to(device), self.settings)
        total = torch.stack(list(losses.values())).sum()
        update("network", total)
        said = {name: loss.detach().item() for name, loss in losses.items()}
        return {"loss": total.detach().item(), **said}

    def validate(self, network: nn.Module) -> Mapping[str, float]:
        """Average precision at IoU 0.5 and 0.75 with the thresholds as they are before fitting.

        `score`, which chooses the weights, is the mean of both; and of the IoU of all pixels
        of nuclei, where images for validation have them.
        """
        counts = []
        shared = either = 0
        for check in self.checks:
            grey = normalize(check.image, measure_statistics(check.image))
            maps = maps_of_outputs(apply_whole(network, grey[None, None])[0])
            found = partition(maps[INTERIOR], maps[HEIGHT], self.cuts)
            counts.append(found_cells(check.labels, found))
            if len(maps) > NUCLEI and check.nuclei is not None:
                nuclei = maps[NUCLEI] >= NUCLEUS
                shared += int((nuclei & check.nuclei).sum())
                either += int((nuclei | check.nuclei).sum())
        ap50, ap75 = pooled_precision(counts)
        scores = {"ap50": ap50, "ap75": ap75}
        if either > 0:
            scores["iou_nuclei"] = shared / either
        return {"score": float(np.mean(list(scores.values()))), **scores}


def cell_losses(outputs: Tensor, targets: Tensor, settings: CellSettings) -> dict[str, Tensor]:
    """Terms of the loss, weighted.

    With p = sigmoid of the interior's output, t its target and w = 1 + border_weight * border:
    ``interior``, the mean of w times the cross-entropy of p and t; ``overlap``, 1 - (2 sum p t
    + 1) / (sum p + sum t + 1) [1]_ over the batch; ``height``, the mean of w times the smooth
    absolute error (quadratic below 0.1); ``nuclei`` and ``nuclei overlap``, cross-entropy and
    overlap where nuclei are known.

    Parameters
    ----------
    outputs : (N, K - 1, S, S) tensor
        Of the network: all maps but the border.
    targets : (N, K, S, S) tensor
        See `targets.target_maps`.
    settings : CellSettings

    References
    ----------
    .. [1] Milletari, Navab, Ahmadi (2016), 3DV, doi 10.1109/3DV.2016.79.
    """
    interior = targets[:, INTERIOR]
    weight = 1 + settings.border_weight * targets[:, BORDER]
    entropy = F.binary_cross_entropy_with_logits(outputs[:, INTERIOR], interior, reduction="none")
    wrong = F.smooth_l1_loss(
        outputs[:, HEIGHT], targets[:, HEIGHT], reduction="none", beta=_QUADRATIC
    )
    losses = {
        "interior": (weight * entropy).mean(),
        "overlap": settings.dice * _missed(outputs[:, INTERIOR].sigmoid(), interior),
        "height": settings.height * (weight * wrong).mean(),
    }
    if outputs.shape[1] > NUCLEI:
        nuclei = targets[:, NUCLEI]
        known = nuclei.isfinite().float()
        nuclei = nuclei.nan_to_num()
        entropy = F.binary_cross_entropy_with_logits(outputs[:, NUCLEI], nuclei, reduction="none")
        missed = _missed(outputs[:, NUCLEI].sigmoid() * known, nuclei)
        losses["nuclei"] = (entropy * known).sum() / known.sum().clamp_min(1)
        losses["nuclei overlap"] = settings.dice * missed
    return losses


def _missed(p: Tensor, t: Tensor) -> Tensor:
    """1 less the Dice overlap of a probability with its target, over the batch."""
    return 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)


class CellCounts(NamedTuple):
    """Cells of one image, and how many are matched at IoU 0.5 and 0.75, (2,) int."""

    true_cells: int
    predicted_cells: int
    true_positives: NDArray[np.int64]


def pooled_precision(counts: Sequence[CellCounts]) -> tuple[float, float]:
    """TP / (TP + FP + FN) at IoU 0.5 and 0.75, of all cells of all images; 0 without any."""
    tp = np.sum([count.true_positives for count in counts], axis=0)
    cells = sum(count.true_cells + count.predicted_cells for count in counts)
    ap = tp / np.maximum(cells - tp, 1)
    return float(ap[0]), float(ap[1])


def found_cells(truth: Array, predicted: Array) -> CellCounts:
    """Count the cells of one image."""
    score = score_labels(truth, predicted)
    return CellCounts(score.true_cells, score.predicted_cells, score.true_positives)


def _trained(network: Generator, settings: CellSettings) -> Trained:
    groups = parameter_groups(network, settings.weight_decay)
    return Trained(network, torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.99)))
