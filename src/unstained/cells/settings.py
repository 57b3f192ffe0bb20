"""Every setting of a segmentation's training, in one flat object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..settings import changed_settings, check_settings

__all__ = ["CellSettings"]


@dataclass(frozen=True)
class CellSettings:
    """How a network learns to outline cells. Saved with the model.

    Attributes
    ----------
    network : {"compact", "unet"}
        See `learning.networks.NetworkSpec`, also for `width`, `depth`, `dropout`.
    views : {1, 2, 4, 8}
        Mirrored (1, 2, 4) and turned (8) views of an image whose maps are averaged at prediction.
    rotation_deg, scale, warped, contrast, brightness, noise : float
        See `learning.augment.Augmentation`; images are normalized to standard deviation 1.
    blur_px : float
        Largest standard deviation of a Gaussian blur, pixels; half of the patches get some.
    on_cells : float
        Share of the patches that are laid over a cell, each cell as often as any other; the rest
        lie anywhere. Most of a sparse image is background, which is soon learned.
    border_weight : float
        Added to the weight 1 of the pixels between touching cells, in all terms of the loss.
    dice, height : float
        Weights of the overlap and of the height beside the cross-entropy of interior (1).
    learning_rate, weight_decay : float
        Of AdamW; weight decay on the convolutions only.
    steps, batch, patch : int
        Steps; patches a step; side of a patch in pixels.
    warmup_steps, ema, validate_every
        See `learning.loop.LoopSettings`. The warm-up takes at most a quarter of the steps.
    validation : float
        Share of the groups that choose weights and thresholds, at least one group.
    precision : {"auto", "float32", "bf16"}
        ``auto``: bf16 where the processor has instructions for it.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    seed : int
        Of split, weights, order and augmentation.
    """

    network: str = "compact"
    width: int = 32
    depth: int = 4
    dropout: float = 0.0
    views: int = 2
    rotation_deg: float = 45.0
    scale: float = 0.3
    warped: float = 0.5
    contrast: float = 0.25
    brightness: float = 0.05
    noise: float = 0.1
    blur_px: float = 1.0
    on_cells: float = 0.5
    border_weight: float = 4.0
    dice: float = 0.5
    height: float = 2.0
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    steps: int = 800
    batch: int = 16
    patch: int = 128
    warmup_steps: int = 50
    ema: float = 0.99
    validate_every: int = 100
    validation: float = 0.15
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(
            self,
            {"network": ("compact", "unet"), "views": (1, 2, 4, 8)},
            least=dict.fromkeys(("width", "depth", "steps", "batch", "patch", "validate_every"), 1),
            shares=("warped", "on_cells"),
            below_one=("dropout", "ema", "validation"),
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def changed(self, changes: Mapping[str, Any]) -> CellSettings:
        """The same settings but for `changes`; text is read as the setting's own type.

        Raises
        ------
        InputError
            A setting is not known, or its value is not usable.
        """
        return changed_settings(self, changes)
