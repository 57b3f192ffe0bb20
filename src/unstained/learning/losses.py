"""Losses between predicted and measured stains, blind to markers that a sample does not have.

Shapes: `prediction` and `stain` are (N, M, Y, X), `present` is (N, M), 1 where the sample has
the marker. A marker that no sample of the batch has adds nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = [
    "absolute_error",
    "amount_error",
    "correlation_loss",
    "discriminator_loss",
    "generator_loss",
    "squared_error",
]


def absolute_error(prediction: Tensor, stain: Tensor, present: Tensor) -> Tensor:
    """Mean absolute error over the pixels of the markers that are present."""
    return _mean_present((prediction - stain).abs().mean(dim=(2, 3)), present)


def squared_error(prediction: Tensor, stain: Tensor, present: Tensor) -> Tensor:
    """Mean squared error over the pixels of the markers that are present."""
    return _mean_present((prediction - stain).square().mean(dim=(2, 3)), present)


def amount_error(prediction: Tensor, stain: Tensor, present: Tensor) -> Tensor:
    """Mean squared error of the means of blocks of about 32 pixels, at least one a patch."""
    side = prediction.shape[-1]
    block = side // max(1, side // 32)
    wrong = torch.nn.functional.avg_pool2d(prediction - stain, block)
    return _mean_present(wrong.square().mean(dim=(2, 3)), present)


def correlation_loss(prediction: Tensor, stain: Tensor, present: Tensor) -> Tensor:
    """1 - Pearson r, over all pixels of the batch together, averaged over markers.

    The score r_s is a correlation over a whole image. Over single patches it would reward
    a network for getting an empty patch's noise right; over the batch, bright patches weigh
    as they do in the image.
    """
    weight = present[:, :, None, None]
    pixels = prediction.shape[2] * prediction.shape[3]
    count = (present.sum(dim=0) * pixels).clamp_min(1.0)  # (M,)

    def centered(x: Tensor) -> Tensor:
        mean = (x * weight).sum(dim=(0, 2, 3)) / count
        return (x - mean[None, :, None, None]) * weight

    p, s = centered(prediction), centered(stain)
    covariance = (p * s).sum(dim=(0, 2, 3)) / count
    variances = p.square().sum(dim=(0, 2, 3)) * s.square().sum(dim=(0, 2, 3)) / count.square()
    r = covariance / (variances + 1e-6).sqrt()
    shown = (present.sum(dim=0) > 0).to(r.dtype)
    return ((1 - r) * shown).sum() / shown.sum().clamp_min(1.0)


def generator_loss(scores_predicted: Tensor) -> Tensor:
    """Least squares (Mao et al. 2017, doi 10.1109/ICCV.2017.304): predicted is to pass for real."""
    return (scores_predicted - 1).square().mean()


def discriminator_loss(scores_real: Tensor, scores_predicted: Tensor) -> Tensor:
    """Least squares (Mao et al. 2017): real to 1, predicted to 0; half, as in pix2pix."""
    return 0.5 * ((scores_real - 1).square().mean() + scores_predicted.square().mean())


def _mean_present(values: Tensor, present: Tensor) -> Tensor:
    return (values * present).sum() / present.sum().clamp_min(torch.finfo(values.dtype).tiny)
