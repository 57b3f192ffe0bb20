"""SimCLR, SimTriplet and Contrastive Clustering: an encoder first learned without labels.

All three see the patches, the variation, the optimizer and the validation part that every
other method gets; only the loss is theirs. Of SimCLR and SimTriplet the encoder is kept and
the whole network then trained on the labelled images. Contrastive Clustering makes as many
clusters as there are classes; labels only say which cluster is which class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..images.image import Array
from ..learning import devices, loop
from ..learning.encoders import Classifier
from ..learning.random import generator
from .contrastive import cluster_loss, nt_xent, triplet_loss
from .settings import PAPER_EPOCHS, ClassifierSettings
from .supervised import optimizer, train_supervised
from .training_data import AUGMENT, ORDER, TrainingData, probabilities, recall_and_accuracy
from .views import strong

__all__ = ["match_clusters", "train_selfsupervised"]

_TEMPERATURE = 0.5  # of instances, in SimCLR for small images and in Contrastive Clustering
_CLUSTER_TEMPERATURE = 1.0
_PROJECTED = 128
_STRONG_FROM = 2**33  # beyond the counters of the other methods' strong views

Update = Callable[[str, Tensor], None]
Report = Callable[[str, loop.Progress], None]


def train_selfsupervised(
    network: Classifier, data: TrainingData, folder: Path, *, resume: bool, report: Report
) -> loop.Outcome:
    """Train `network` in place by ``settings.method``; it ends with the weights that are kept.

    Stage "encoder": ``settings.steps`` steps (-1: 200 passes) on all training images, labelled
    or not, without their labels. At each validation the nearest class mean of the labelled
    images' vectors (SimCLR, SimTriplet) or the clusters matched to classes (Contrastive
    Clustering) are scored on the validation part, and the best encoder is kept, as of every other
    method. Stage "supervised", not of Contrastive Clustering: ``settings.pretrain_steps``
    steps on the labelled images.

    Parameters
    ----------
    folder : Path
        Gets a folder for each stage.
    resume : bool
        Go on from the checkpoints there, to the same weights.
    report : callable
        Is told the stage and where it stands.

    Returns
    -------
    Outcome
        Of the last stage; weights are those of `network`.
    """
    settings = data.settings
    pretraining = _TASKS[settings.method](network, data)
    outcome = loop.train(
        pretraining,
        _encoder_steps(data),
        folder / "encoder",
        resume=resume,
        report=lambda progress: report("encoder", progress),
    )
    pretraining.module.load_state_dict(outcome.weights)
    for parameter in network.parameters():
        parameter.grad = None  # the next stage starts clean
    if settings.method == "contrastive-clustering":
        _order_clusters(network, data)
        return outcome._replace(weights=network.state_dict())
    return train_supervised(
        network,
        data,
        folder / "supervised",
        settings.pretrain_steps,
        resume=resume,
        report=lambda progress: report("supervised", progress),
    )


def match_clusters(cluster: Array, y: Array, classes: int) -> Array:
    """The cluster of each class: one to one, with the largest mean recall (Hungarian method).

    Parameters
    ----------
    cluster, y : (N,) int arrays
        Cluster and class of labelled images, 0 ... classes - 1.
    classes : int

    Returns
    -------
    (K,) int array
        A permutation.
    """
    from scipy.optimize import linear_sum_assignment

    count = np.bincount(y * classes + cluster, minlength=classes**2).reshape(classes, classes)
    recall = count / np.maximum(count.sum(axis=1, keepdims=True), 1)  # (K, clusters)
    return np.asarray(linear_sum_assignment(recall, maximize=True)[1])


class _Pretrained(nn.Module):
    """The classifier and the heads that only pre-training has."""

    def __init__(self, network: Classifier, **heads: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.heads = nn.ModuleDict(heads)


class _Task(ABC):
    """What the three have in common, for the training loop: batches of strong views."""

    n_views = 2

    def __init__(self, network: Classifier, data: TrainingData) -> None:
        self.data = data
        self.pool = np.concatenate([data.labelled, data.unlabelled])
        self.network = network.to(devices.choose_device(data.settings.device))
        # the heads' weights come from the seed, and torch's own generator stays as it is
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(data.settings.seed)
            heads = self.new_heads(network.width)
        device = next(network.parameters()).device
        self.module = _Pretrained(network, **heads).to(device)
        self.trained: Mapping[str, loop.Trained] = {
            "network": loop.Trained(self.module, optimizer(self.module, data.settings))
        }

    @abstractmethod
    def new_heads(self, width: int) -> dict[str, nn.Module]:
        """What is trained on top of the encoder and thrown away."""

    @abstractmethod
    def loss(self, views: list[Tensor]) -> Tensor:
        """Of the views of a step."""

    def batch(self, step: int) -> loop.Batch:
        return {str(i): view for i, view in enumerate(self.views(step))}

    def views(self, step: int) -> list[Tensor]:
        """Strong views of two patches of each image."""
        images, epoch = self.images(step)
        both = [self.data.weak_views(images, epoch, np.full(len(images), i)) for i in (0, 1)]
        return [self.strong(weak, step, i) for i, weak in enumerate(both)]

    def images(self, step: int) -> tuple[Array, int]:
        """The images of a step, and the epoch that it is in: each image once an epoch."""
        settings = self.data.settings
        size = min(settings.unlabelled_batch, self.pool.size)
        epoch, at = divmod(step, self.pool.size // size)
        order = generator(settings.seed, ORDER, epoch).permutation(self.pool)
        return order[at * size : (at + 1) * size], epoch

    def strong(self, weak: Tensor, step: int, view: int) -> Tensor:
        settings = self.data.settings
        return strong(weak, settings, generator(settings.seed, AUGMENT, _STRONG_FROM + step, view))

    def step(self, batch: loop.Batch, update: Update) -> Mapping[str, float]:
        loss = self.loss([batch[str(i)] for i in range(self.n_views)])
        update("network", loss)
        return {"loss": float(loss.detach())}

    def vectors(self, views: list[Tensor]) -> Tensor:
        """(views * N, D): all in one batch, so that batch norm sees them together."""
        return self.network.features(torch.cat(views))

    def validate(self, network: nn.Module) -> Mapping[str, float]:
        """The class whose mean vector is nearest in angle, on the validation part."""
        assert isinstance(network, _Pretrained)
        data = self.data
        if not data.validation.size:
            return {"recall": float("nan"), "accuracy": float("nan")}
        known, asked = (
            _vectors(network.network, data, i) for i in (data.labelled, data.validation)
        )
        means = torch.stack([known[data.labelled_y == k].mean(dim=0) for k in range(data.classes)])
        nearest = (asked @ F.normalize(means, dim=1).T).argmax(dim=1).numpy()
        recall, accuracy = recall_and_accuracy(data.validation_y, nearest, data.classes)
        return {"recall": recall, "accuracy": accuracy}


class _SimCLR(_Task):
    """Chen et al. (2020), ICML: two crops of an image agree, against all others of the batch.

    Stochastic gradient descent, as of all methods here, in place of the paper's LARS for batches of
    thousands.
    """

    def new_heads(self, width: int) -> dict[str, nn.Module]:
        return {"project": _mlp(width, width, _PROJECTED)}

    def loss(self, views: list[Tensor]) -> Tensor:
        a, b = self.module.heads["project"](self.vectors(views)).chunk(2)
        return nt_xent(a, b, _TEMPERATURE)


class _SimTriplet(_Task):
    """Liu et al. (2021), MICCAI: two views of a patch agree, and with a patch of the same image.

    The paper's second patch is adjacent on the slide; ours is anywhere inside the mask.
    """

    n_views = 3

    def new_heads(self, width: int) -> dict[str, nn.Module]:
        project = nn.Sequential(
            *_normed(width, width), nn.ReLU(inplace=True), *_normed(width, width)
        )
        predict = nn.Sequential(
            *_normed(width, width // 4), nn.ReLU(inplace=True), nn.Linear(width // 4, width)
        )
        return {"project": project, "predict": predict}

    def views(self, step: int) -> list[Tensor]:
        images, epoch = self.images(step)
        first, second = (
            self.data.weak_views(images, epoch, np.full(len(images), i)) for i in (0, 1)
        )
        settings = self.data.settings
        turned = _moved(first, settings, generator(settings.seed, AUGMENT, _STRONG_FROM + step, 9))
        return [self.strong(x, step, i) for i, x in enumerate((first, turned, second))]

    def loss(self, views: list[Tensor]) -> Tensor:
        z = self.module.heads["project"](self.vectors(views))
        p = self.module.heads["predict"](z)
        z1, z2, z3 = z.chunk(3)
        p1, p2, p3 = p.chunk(3)
        return triplet_loss((z1, z2, z3), (p1, p2, p3))


class _ContrastiveClustering(_Task):
    """Li et al. (2021), AAAI: views agree as instances, and clusters agree over views.

    The classifier's last layer, one linear map, is the cluster head, so that prediction is
    that of every other method; the paper's has a hidden layer.
    """

    def new_heads(self, width: int) -> dict[str, nn.Module]:
        return {"project": _mlp(width, width, _PROJECTED)}

    def loss(self, views: list[Tensor]) -> Tensor:
        vectors = self.vectors(views)
        a, b = self.module.heads["project"](vectors).chunk(2)
        assigned = F.softmax(self.network.classify(vectors).float(), dim=1)
        p, q = assigned.chunk(2)
        return nt_xent(a, b, _TEMPERATURE) + cluster_loss(p, q, _CLUSTER_TEMPERATURE)

    def validate(self, network: nn.Module) -> Mapping[str, float]:
        """Clusters, matched to classes by the labelled images, on the validation part."""
        assert isinstance(network, _Pretrained)
        data = self.data
        if not data.validation.size:
            return {"recall": float("nan"), "accuracy": float("nan")}
        match = match_clusters(
            _clusters(network.network, data, data.labelled), data.labelled_y, data.classes
        )
        found = np.argsort(match)[_clusters(network.network, data, data.validation)]
        recall, accuracy = recall_and_accuracy(data.validation_y, found, data.classes)
        return {"recall": recall, "accuracy": accuracy}


_TASKS: Mapping[str, type[_Task]] = {
    "simclr": _SimCLR,
    "simtriplet": _SimTriplet,
    "contrastive-clustering": _ContrastiveClustering,
}


def _encoder_steps(data: TrainingData) -> loop.LoopSettings:
    settings = data.settings
    pool = data.labelled.size + data.unlabelled.size
    steps = settings.steps
    if steps < 0:
        steps = PAPER_EPOCHS * max(1, pool // min(settings.unlabelled_batch, pool))
    device = devices.choose_device(settings.device)
    often = max(1, min(steps, max(25, steps // 20)))
    return loop.LoopSettings(
        steps=steps,
        schedule=settings.schedule,
        validate_every=steps if settings.select == "last" else often,
        checkpoint_every=often,
        ema=settings.ema,
        clip=settings.clip,
        precision=devices.resolve_precision(settings.precision, device),
        device=str(device),
        seed=settings.seed,
        score=settings.score,
    )


def _clusters(network: Classifier, data: TrainingData, indices: Array) -> Array:
    p = probabilities(network, data.patches, indices, data.normalizer, data.settings, views=1)
    return np.asarray(p.argmax(axis=1))


def _order_clusters(network: Classifier, data: TrainingData) -> None:
    """Put the rows of the last layer into the order of the classes that they were matched to."""
    match = match_clusters(_clusters(network, data, data.labelled), data.labelled_y, data.classes)
    last = network.head[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.copy_(last.weight[match])
        last.bias.copy_(last.bias[match])


def _vectors(network: Classifier, data: TrainingData, indices: Array) -> Tensor:
    """(N, D) vectors of length 1, of one weak view each."""
    device = next(network.parameters()).device
    found = []
    with torch.inference_mode():
        for start in range(0, len(indices), 128):
            x = data.weak_views(indices[start : start + 128], 0).to(device)
            found.append(F.normalize(network.features(x).float(), dim=1).cpu())
    return torch.cat(found)


def _moved(x: Tensor, settings: ClassifierSettings, rng: np.random.Generator) -> Tensor:
    """Mirrors and quarter turns of (N, P, S, S), by the chances of a weak view."""
    moved = []
    for view in x:
        axes = [
            axis
            for axis, flip in zip((-2, -1), rng.random(2), strict=True)
            if flip < settings.flips
        ]
        turns = int(rng.integers(4)) if settings.quarter_turns else 0
        moved.append(view.flip(axes).rot90(turns, (-2, -1)))
    return torch.stack(moved)


def _mlp(width: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, out))


def _normed(width: int, out: int) -> tuple[nn.Module, nn.Module]:
    return nn.Linear(width, out, bias=False), nn.BatchNorm1d(out)
