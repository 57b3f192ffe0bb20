"""Weak views become normalized tensors; strong views are varied further, a batch at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError
from ..images.image import Array
from .settings import ClassifierSettings

__all__ = ["Normalizer", "mirrored", "strong"]


_SKEWED = 2.0
_LOW = 0.01


@dataclass(frozen=True)
class Normalizer:
    """Grey values to mean 0 and standard deviation 1, of skewed planes after a logarithm.

    Attributes
    ----------
    mean, sd : tuple of float
        Of each plane over the training patches; empty where each patch has its own.
    low, unit : tuple of float
        A plane of `unit` > 0 is first turned into log(1 + (x - low) / unit), values below `low`
        into 0. Empty if no plane is.
    """

    mean: tuple[float, ...] = ()
    sd: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    unit: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.sd) or len(self.low) != len(self.unit):
            raise InputError(f"planes differ in number: {self}", "give each entry for each plane")

    @classmethod
    def fit(cls, patches: Array, *, own: bool = False, logarithm: bool = True) -> Normalizer:
        """Of (N, P, S, S) patches.

        Scattered light (darkfield) has a long tail of bright values, which would decide alone
        on mean and spread. A plane with a skewness above 2 gets the logarithm, with its 1 %
        quantile as `low` and the median above it as `unit`; where half of the values are the
        lowest ones there is no such unit, and the plane stays as it is.

        Parameters
        ----------
        own : bool
            Each patch is to have its own mean and standard deviation.
        logarithm : bool
            False leaves skewed planes as they are.
        """
        found = cls()
        if logarithm:
            low, unit = zip(*(_logarithm(plane) for plane in patches.swapaxes(0, 1)), strict=True)
            found = cls(low=low, unit=unit) if any(unit) else found
        if own:
            return found
        x = found._logged(torch.from_numpy(patches)).numpy()
        mean = x.mean(axis=(0, 2, 3), dtype=np.float64)
        sd = x.std(axis=(0, 2, 3), dtype=np.float64)
        sd = np.where(sd > 0, sd, 1.0)
        return replace(found, mean=tuple(mean.tolist()), sd=tuple(sd.tolist()))

    def __call__(self, patches: Array) -> Tensor:
        """(N, P, S, S) grey values to a float32 tensor."""
        x = self._logged(torch.from_numpy(patches))
        if not self.mean:
            sd, mean = torch.std_mean(x, dim=(2, 3), keepdim=True)
            return (x - mean) / sd.clamp_min(1e-6)
        mean, sd = torch.tensor(self.mean), torch.tensor(self.sd)
        return (x - mean[:, None, None]) / sd[:, None, None]

    @property
    def skewed(self) -> tuple[int, ...]:
        """The planes that get a logarithm."""
        return tuple(plane for plane, unit in enumerate(self.unit) if unit)

    def _logged(self, x: Tensor) -> Tensor:
        planes = [
            torch.log1p((x[:, p] - low).clamp_min(0) / unit) if unit else x[:, p]
            for p, (low, unit) in enumerate(zip(self.low, self.unit, strict=True))
        ]
        return torch.stack(planes, dim=1) if planes else x


def _logarithm(x: Array) -> tuple[float, float]:
    """`low` and `unit` of the grey values of a plane; 0 and 0 if it is not skewed."""
    mean, sd = x.mean(dtype=np.float64), x.std(dtype=np.float64)
    if sd == 0 or ((x - mean) ** 3).mean(dtype=np.float64) <= _SKEWED * sd**3:
        return 0.0, 0.0
    low, median = np.quantile(x, (_LOW, 0.5))
    return (float(low), float(median - low)) if median > low else (0.0, 0.0)


def strong(x: Tensor, settings: ClassifierSettings, rng: np.random.Generator) -> Tensor:
    """Vary weak views: rotation, contrast, brightness, blur, each for a share of them.

    Rotated views are mirrored at the border; with 180 degrees any angle is as likely, as in the
    paper.

    Parameters
    ----------
    x : (N, P, S, S) tensor
        Normalized.
    settings : ClassifierSettings
        Chances and ranges.
    rng : numpy.random.Generator

    Returns
    -------
    (N, P, S, S) tensor
    """
    n = len(x)
    chance = rng.random((4, n))
    x = _rotated(x, np.flatnonzero(chance[0] < settings.rotation), settings, rng)
    gain = np.where(chance[1] < settings.jitter, 1 + settings.contrast * rng.uniform(-1, 1, n), 1.0)
    shift = np.where(chance[2] < settings.jitter, settings.brightness * rng.uniform(-1, 1, n), 0.0)
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = (x - mean) * _column(gain) + mean + _column(shift)
    blurred = torch.from_numpy(np.flatnonzero(chance[3] < settings.blur))
    if len(blurred):
        x[blurred] = _blurred(x[blurred])
    return _cut(x, settings.cutout, rng) if settings.cutout else x


def mirrored(x: Tensor) -> list[Tensor]:
    """The patches as they are and under the three mirrors."""
    return [x, x.flip(-1), x.flip(-2), x.flip((-1, -2))]


def _column(values: Array) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))[:, None, None, None]


def _rotated(
    x: Tensor, which: Array, settings: ClassifierSettings, rng: np.random.Generator
) -> Tensor:
    if not which.size:
        return x.clone()
    most = np.deg2rad(settings.rotation_deg)
    angle = torch.from_numpy(rng.uniform(-most, most, which.size).astype(np.float32))
    zoom = torch.from_numpy(
        np.exp(settings.zoom * rng.uniform(-1, 1, which.size)).astype(np.float32)
    )
    cos, sin, zero = angle.cos() / zoom, angle.sin() / zoom, torch.zeros_like(angle)
    rows = [torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)]
    at = torch.from_numpy(which)
    grid = F.affine_grid(torch.stack(rows, 1), list(x[at].shape), align_corners=False)
    x = x.clone()
    x[at] = F.grid_sample(x[at], grid, padding_mode="reflection", align_corners=False)
    return x


def _blurred(x: Tensor) -> Tensor:
    """Gaussian of 3 x 3 (1 2 1 / 4 along each axis)."""
    line = torch.tensor([0.25, 0.5, 0.25])
    kernel = (line[:, None] * line)[None, None].expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, groups=x.shape[1])


def _cut(x: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    """A square of each patch becomes the patch's mean."""
    side = max(1, round(share * x.shape[-1]))
    corners = rng.integers(0, x.shape[-1] - side + 1, (len(x), 2))
    mean = x.mean(dim=(2, 3))
    for i, (top, left) in enumerate(corners.tolist()):
        x[i, :, top : top + side, left : left + side] = mean[i, :, None, None]
    return x
