"""Every setting of a training, in one flat object, and the presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import InputError
from ..settings import changed_settings, check_settings

__all__ = ["PRESETS", "TrainSettings"]

_LARGEST_PATCH = 4096


@dataclass(frozen=True)
class TrainSettings:
    """How a panel is trained. Saved with the model.

    Attributes
    ----------
    panel : {"shared", "separate"}
        One network with a head per marker, or one network per marker as in the paper.
    ensemble : int
        Networks of different seeds for each network above; their mean is predicted. Errors that
        they do not share average out; training and prediction take so many times as long.
    network : {"compact", "unet", "paper"}
        See `learning.networks.NetworkSpec`, also for `width`, `depth`, `dropout`. The depth of
        ``compact`` and ``unet`` is lowered where images are smaller than four total strides.
    components : int
        Several label-free planes are turned into their principal components over the training
        images, the strongest so many, each scaled to standard deviation 1: what differs
        between the planes of a focus series is small and tells most. 0 keeps the planes.
    normalization : {"auto", "image", "background", "dataset"}
        See `staining.normalize.Normalization`. ``auto``: ``dataset`` for single-cell images, whose
        own brightness tells something; ``background`` where the background is bright; else
        ``image``.
    symmetries : {"auto", "all", "none"}
        Mirrors and quarter turns in augmentation. ``auto`` looks at the images: those with
        oblique shading allow few; see `learning.augment.find_symmetries`.
    rotation_deg, scale, warped, contrast, brightness, noise : float
        See `learning.augment.Augmentation`. Only rotation is used with ``dataset``
        normalization: there, how large and how bright a cell is tells how much stain it has.
    focus_shift : int
        A focus series (5 planes or more) is shifted by up to so many planes, since cells
        lie at different heights.
    l1, mse, correlation, amount, adversarial : float
        Weights of the terms of the loss: absolute and squared error, 1 - Pearson r, squared
        error of the means of blocks of about 32 pixels (how much stain there is), and the
        discriminator's; `adversarial` 0 is the U-Net without discriminator.
    learning_rate, weight_decay, beta1, beta2 : float
        Of AdamW; weight decay on the convolutions only.
    discriminator_rate : float
        The discriminator's learning rate as a share of the generator's; below 1.
    steps, batch, patch : int
        Steps (0: as many as show the training pixels 80 times over, between 200 and 1000);
        patches a step; side of a patch in pixels. Of smaller images, single cells say,
        a step takes as many more as have the same number of pixels.
    warmup_steps, schedule, ema, validate_every
        See `learning.loop.LoopSettings`. The warm-up takes at most a quarter of the steps.
    precision : {"auto", "float32", "bf16"}
        ``auto``: bf16 where the processor has instructions for it.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    processes : int
        Processes that train together, one per GPU; the batch is divided among them.
    seed : int
        Of weights, order and augmentation.
    """

    panel: str = "shared"
    ensemble: int = 1
    network: str = "compact"
    width: int = 32
    depth: int = 4
    components: int = 6
    dropout: float = 0.2
    normalization: str = "auto"
    symmetries: str = "auto"
    rotation_deg: float = 20.0
    scale: float = 0.2
    warped: float = 0.5
    contrast: float = 0.2
    brightness: float = 0.03
    noise: float = 0.0
    focus_shift: int = 0
    l1: float = 0.3
    mse: float = 0.0
    correlation: float = 1.0
    amount: float = 0.2
    adversarial: float = 0.0
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.99
    discriminator_rate: float = 0.5
    steps: int = 0
    batch: int = 8
    patch: int = 128
    warmup_steps: int = 50
    schedule: str = "cosine"
    ema: float = 0.99
    validate_every: int = 50
    precision: str = "auto"
    device: str = "auto"
    processes: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(
            self,
            {
                "panel": ("shared", "separate"),
                "network": ("compact", "unet", "paper"),
                "normalization": ("auto", "image", "background", "dataset"),
                "symmetries": ("auto", "all", "none"),
                "schedule": ("cosine", "linear-half"),
            },
            least=dict.fromkeys(
                ("ensemble", "batch", "patch", "processes", "width", "depth", "validate_every"), 1
            ),
            shares=("dropout", "warped", "ema"),
            below_one=("beta1", "beta2"),
        )
        if self.l1 + self.mse + self.correlation <= 0:
            raise InputError("no pixel term of the loss has a weight", "set l1, mse or correlation")
        if not 0 < self.discriminator_rate < 1:
            raise InputError(
                f"discriminator_rate is {self.discriminator_rate}",
                "the discriminator must learn slower than the generator: between 0 and 1",
            )
        if self.patch > _LARGEST_PATCH:
            raise InputError(
                f"patches of {self.patch} px",
                f"give {_LARGEST_PATCH} at most; a step holds {self.batch} of them in memory",
            )
        if self.batch % self.processes:
            raise InputError(
                f"a batch of {self.batch} does not divide among {self.processes} processes",
                "choose a multiple",
            )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def preset(cls, name: str, **changes: Any) -> TrainSettings:
        """The preset called `name`, with changes.

        Raises
        ------
        InputError
            The preset or a setting is not known.
        """
        if name not in PRESETS:
            raise InputError(f"preset {name!r} is not known", f"choose {', '.join(PRESETS)}")
        return PRESETS[name].changed(changes)

    def changed(self, changes: Mapping[str, Any]) -> TrainSettings:
        """The same settings but for `changes`; text is read as the setting's own type."""
        return changed_settings(self, changes)


PRESETS = {
    "fast": TrainSettings(),
    # Imboden et al. (2021) and the pix2pix family: 200 epochs are steps on the user's pairs
    "paper": TrainSettings(
        panel="separate",
        network="paper",
        width=64,
        depth=8,
        components=0,
        dropout=0.5,
        symmetries="none",
        rotation_deg=0.0,
        scale=0.0,
        contrast=0.0,
        brightness=0.0,
        noise=0.0,
        focus_shift=0,
        l1=100.0,
        correlation=0.0,
        amount=0.0,
        adversarial=1.0,
        learning_rate=2e-4,
        weight_decay=0.0,
        beta1=0.5,
        beta2=0.999,
        steps=100_000,
        batch=4,
        patch=256,
        warmup_steps=0,
        schedule="linear-half",
        ema=0.0,
        validate_every=1000,
    ),
    "best": TrainSettings(
        width=48, steps=20_000, batch=16, patch=192, ema=0.999, validate_every=500
    ),
}
"""The settings of each preset; what one does not name is as in `TrainSettings`."""
