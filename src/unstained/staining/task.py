"""What one network of a panel learns: batches, losses, and the validation score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from ..images.tiles import round_up
from ..learning import devices
from ..learning.augment import Augmentation
from ..learning.encoders import parameter_groups
from ..learning.loop import Batch, Trained, Update
from ..learning.losses import (
    absolute_error,
    amount_error,
    correlation_loss,
    discriminator_loss,
    generator_loss,
    squared_error,
)
from ..learning.networks import Generator, PatchDiscriminator, apply_whole
from ..statistics import correlation_moments, moments_correlation
from .normalize import MarkerSpec, normalize
from .samples import Samples, Scene
from .settings import TrainSettings

__all__ = ["StainingTask", "largest_side"]

_VALIDATION_PIXELS = 4_000_000  # more are thinned out evenly: validation must not outlast training
_VALIDATION_SIDE = 2048  # larger fields are validated in parts: a network takes a part whole
_Part = tuple[Scene, slice, slice]  # rows and columns of a validation scene


def largest_side(scenes: Sequence[Scene]) -> int:
    """The largest of the scenes' shorter sides."""
    return max(min(scene.shape_yx) for scene in scenes)


class StainingTask:
    """A generator, a discriminator where one is asked for, and their losses."""

    def __init__(
        self,
        network: Generator,
        settings: TrainSettings,
        markers: tuple[MarkerSpec, ...],
        scenes: Sequence[Scene],
        checks: Sequence[Scene],
        augmentation: Augmentation,
    ) -> None:
        self.settings, self.markers, self.checks = settings, markers, checks
        self.network: Generator = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        device = next(network.parameters()).device
        self.trained = {"network": _trained(self.network, settings, settings.learning_rate)}
        if settings.adversarial > 0:
            judge = PatchDiscriminator(network.spec.planes, network.spec.outputs).to(device)
            rate = settings.learning_rate * settings.discriminator_rate
            self.trained["discriminator"] = _trained(judge, settings, rate)
        patch = round_up(min(settings.patch, largest_side(scenes)), network.stride)
        self.batch_size = settings.batch * max(1, (settings.patch // patch) ** 2)
        self.samples = Samples(
            scenes,
            markers,
            patch=patch,
            augmentation=augmentation,
            seed=settings.seed,
            focus_shift=settings.focus_shift,
        )

    def batch(self, step: int) -> Batch:
        share = self.batch_size // devices.world_size()
        first = devices.rank() * share
        return self.samples.batch(step, range(first, first + share))

    def step(self, batch: Batch, update: Update) -> Mapping[str, float]:
        planes = batch["planes"].contiguous(memory_format=torch.channels_last)
        stains, present = batch["stains"], batch["present"]
        settings = self.settings
        predicted = self.network(planes).float()
        terms = {
            "l1": (settings.l1, absolute_error),
            "mse": (settings.mse, squared_error),
            "correlation": (settings.correlation, correlation_loss),
            "amount": (settings.amount, amount_error),
        }
        losses = {
            name: weight * loss(predicted, stains, present)
            for name, (weight, loss) in terms.items()
            if weight > 0
        }
        if "discriminator" in self.trained:
            mask = present[:, :, None, None]
            judge = self.trained["discriminator"].module
            real, fake = stains * mask, predicted * mask
            judged = discriminator_loss(
                judge(planes, real).float(), judge(planes, fake.detach()).float()
            )
            update("discriminator", judged)
            judge.requires_grad_(False)
            losses["adversarial"] = settings.adversarial * generator_loss(
                judge(planes, fake).float()
            )
            judge.requires_grad_(True)
        total = torch.stack(list(losses.values())).sum()
        update("network", total)
        said = {name: loss.detach().item() for name, loss in losses.items()}
        if "discriminator" in self.trained:
            said["discriminator"] = judged.detach().item()
        return {"loss": total.detach().item(), **said}

    def validate(self, network: nn.Module) -> Mapping[str, float]:
        """Pearson r over all validation pixels, by weight, for each marker and averaged (`r_s`).

        A marker without validation pairs is NaN and has no part in the average.
        """
        moments = np.zeros((len(self.markers), 6))
        for scene, rows, columns in _thinned(_parts(self.checks)):
            planes = normalize(scene.planes[:, rows, columns], scene.statistics)
            predicted = apply_whole(network, planes[None])[0]  # (M, Y, X)
            for i in np.flatnonzero(scene.present):
                stain = scene.stains[i, rows, columns].astype(np.float64) - self.markers[i].offset
                moments[i] += scene.field.weight * correlation_moments(predicted[i], stain)
        r = moments_correlation(moments)
        named = {f"r_s {m.name}": float(v) for m, v in zip(self.markers, r, strict=True)}
        shown = moments[:, 0] > 0
        # a constant prediction, as at the start of a training, explains nothing
        return {"r_s": float(np.nan_to_num(r[shown]).mean()), **named}


def _trained(module: nn.Module, settings: TrainSettings, rate: float) -> Trained:
    groups = parameter_groups(module, settings.weight_decay)
    betas = (settings.beta1, settings.beta2)
    return Trained(module, torch.optim.AdamW(groups, lr=rate, betas=betas))


def _parts(scenes: Sequence[Scene]) -> list[_Part]:
    """Each scene whole, or in parts of `_VALIDATION_SIDE` where it is larger."""
    side = _VALIDATION_SIDE
    return [
        (scene, slice(y, min(y + side, height)), slice(x, min(x + side, width)))
        for scene in scenes
        for height, width in [scene.shape_yx]
        for y in range(0, height, side)
        for x in range(0, width, side)
    ]


def _thinned(parts: Sequence[_Part]) -> list[_Part]:
    """Every so many-th of those with the same markers, so that each marker keeps some."""
    pixels = sum((y.stop - y.start) * (x.stop - x.start) for _, y, x in parts)
    every = max(1, -(-pixels // _VALIDATION_PIXELS))
    alike: dict[bytes, list[_Part]] = {}
    for part in parts:
        alike.setdefault(part[0].present.tobytes(), []).append(part)
    return [part for group in alike.values() for part in group[::every]]
