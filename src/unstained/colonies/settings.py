"""Every setting of a classifier's training, in one flat object, and the methods as presets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import InputError
from ..settings import changed_settings, check_settings

__all__ = ["METHODS", "ClassifierSettings"]

SELF_SUPERVISED = ("simclr", "simtriplet", "contrastive-clustering")
"""Methods that first train the encoder without labels."""

PAPER_EPOCHS = 200
"""Of the pre-training and of Iterative Pseudo Balancing; CHECKLIST B.7."""


@dataclass(frozen=True)
class ClassifierSettings:
    """How a classifier of colonies is trained. Saved with the model.

    Attributes
    ----------
    method : str
        One of `METHODS`; the other fields say what it does.
    network : str
        ``small``, ``vgg19``, ``hrnet`` or ``zoo:NAME``; see `learning.encoders.EncoderSpec`.
    scales : {1, 2}
        One stream, or two: the patch and its concentric half.
    weights : str
        File with weights of a ``zoo`` network; empty for none.
    multi_label : bool
        Whether images of several classes are among the unlabelled ones.
    patch : int
        Side of a patch in pixels. 0: 128 with one scale and 224 with two; of images that are
        smaller than half of it, single cells say, their median side, or the least that the
        network takes.
    inside : float
        Least share of a patch inside the mask; an object too small for it is enlarged.
    normalization : {"dataset", "image"}
        Mean and standard deviation over the training patches, or of each patch.
    logarithm : bool
        Planes with a long tail of bright values (skewness above 2: darkfield) get a logarithm
        first.
    flips, rotation, jitter, blur : float
        Chance of a mirror (each axis), of a rotation, of a change of contrast and of brightness
        (each), of a Gaussian blur of 3 x 3.
    rotation_deg, zoom : float
        A rotation is by 0 to this angle either way, and magnifies within a factor exp(+- `zoom`).
    shift : float
        Weak views are moved by up to this share of their side, mirrored beyond the image: what
        a patch drawn from a larger image has by itself.
    contrast, brightness : float
        Largest change: a factor within 1 +- `contrast`, an offset within +- `brightness`
        standard deviations of the patch.
    quarter_turns : bool
        Whether weak views are also turned by multiples of 90 degrees.
    cutout : float
        Side of a square that strong views lose, as a share of the patch's.
    balanced_labels : bool
        Whether labelled batches are drawn with equal shares of the classes.
    batch, unlabelled_batch : int
        Labelled and unlabelled images of a step.
    learning_rate, momentum, weight_decay : float
        Of stochastic gradient descent (Nesterov's if `nesterov`).
    nesterov : bool
    clip : float
        Gradients longer than this are shortened to it. 0 leaves them as they are, as `ipb-paper`
        does: the paper names no limit.
    pretrain_schedule, schedule : {"cosine", "tenth-half"}
        Over the steps that are run: to zero along a cosine, or a tenth from the half on.
    pretrain_steps, steps : int
        Supervised steps of the teacher, and steps of student and teacher; -1: as many as in
        the paper, 200 passes over the labelled and over the unlabelled images.
    epoch_images : int
        Unlabelled images that the teacher labels anew in an epoch; 0: all of them.
    warmup_epochs : int
        Epochs in which the student's learning rate rises from 0; at most a tenth of them all.
    threshold : float
        Teacher's confidence from which a pseudo-label teaches the student.
    adaptive : bool
        Whether the threshold is lowered for classes with few confident pseudo-labels.
    sampled : bool
        Pseudo-labels are drawn from the teacher's probabilities (which the feedback needs);
        else the most probable class.
    feedback : float
        Weight of the Meta Pseudo Labels term in the teacher's loss; 0 for none.
    uda, uda_ramp, uda_temperature : float
        Weight of the teacher's consistency term, steps over which it rises, temperature of
        its target.
    balance : float
        Temperature of the balancing: sampling weight of a pseudo-label is its class's share
        to the power of minus this; 0 draws all alike.
    balance_floor, balance_cap : float
        Shares below the floor count as the floor; no weight is above `balance_cap` times the least.
    redraw : bool
        Whether an image that is drawn again in an epoch shows another patch.
    prior : {"none", "ema", "em"}
        How the class prior of the unlabelled images is estimated; see `balance`.
    logit_adjustment : float
        The student's logits get this times the log of the prior it is trained under.
    align : bool
        Whether the teacher's probabilities are moved to the labelled classes' shares
        (distribution alignment).
    teacher : {"trained", "ema"}
        A teacher of its own that learns, or the student's averaged weights.
    adviser : bool
        Whether the `features` model, trained on the labels, has a say: in pseudo-labels and in
        predictions, which are then weighted geometric means of its probabilities and the network's.
    advice : float
        The adviser's weight; the network's is 1 less this.
    adviser_alone : bool
        Whether planes with a long tail, those that get a `logarithm`, are left to the adviser, if
        there is one; the network then sees the others, or all where there are no others.
    student_labels : float
        Weight of a supervised term in the student's loss; the paper has none.
    auxiliary : float
        Weight of the auxiliary balanced classifier, which then gives the predictions.
    ema : float
        Decay of the averaged weights that are evaluated; 0 evaluates the last ones.
    student_init : {"fresh", "teacher"}
        The student starts from new weights, as in the paper, or from the pre-trained teacher's.
    validation : float
        Share of the labelled images that choose the epoch and calibrate; 0 uses all of them to
        train, keeps the last epoch, and leaves the probabilities uncalibrated.
    refit : bool
        Whether, after the validation part has calibrated, all is trained once more with its labels
        too. Predictions come from that model, the temperature and the thresholds of prediction
        sets from the first: that these hold as often is counted (docs/results.md), not proven.
    select : {"best", "last"}
        Which epoch is kept: the best on the validation part, or the last.
    score : {"recall", "accuracy"}
        What is best on the validation part: mean recall of the classes, or accuracy.
    finetune_steps : int
        Steps of the student on the labelled images after all; learning rate 3e-5.
    posthoc : float
        Probabilities are divided by the labelled classes' shares to the power of this, and scaled
        to sum to 1 [1]_: rare classes, of which a network saw few, are found more often.
    views : int
        Patches averaged when an image is predicted; each under all mirrors where `flips` > 0.
    precision, device : str
        ``auto``, ``float32``, ``bf16``; ``auto``, ``cpu``, ``cuda``, ``mps``.
    seed : int
        Of weights, order, patches and pseudo-labels.

    References
    ----------
    .. [1] Menon et al. (2021), ICLR, Long-tail learning via logit adjustment, section 4.1.
    """

    method: str = "ipb"
    network: str = "small"
    scales: int = 1
    weights: str = ""
    multi_label: bool = True
    patch: int = 0
    inside: float = 0.25
    normalization: str = "dataset"
    logarithm: bool = True
    flips: float = 0.25
    rotation: float = 0.25
    jitter: float = 0.25
    blur: float = 0.25
    rotation_deg: float = 180.0
    zoom: float = 0.0
    shift: float = 0.0
    contrast: float = 0.5
    brightness: float = 0.75
    quarter_turns: bool = False
    cutout: float = 0.0
    balanced_labels: bool = True
    batch: int = 32
    unlabelled_batch: int = 32
    learning_rate: float = 0.005
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    clip: float = 0.0
    pretrain_schedule: str = "cosine"
    schedule: str = "cosine"
    pretrain_steps: int = -1
    steps: int = -1
    epoch_images: int = 0
    warmup_epochs: int = 10
    threshold: float = 0.65
    adaptive: bool = False
    sampled: bool = True
    feedback: float = 1.0
    uda: float = 8.0
    uda_ramp: float = 5000.0
    uda_temperature: float = 1.0
    balance: float = 1.0
    balance_floor: float = 0.0
    balance_cap: float = math.inf
    redraw: bool = False
    prior: str = "none"
    logit_adjustment: float = 0.0
    align: bool = False
    teacher: str = "trained"
    adviser: bool = False
    advice: float = 0.5
    adviser_alone: bool = False
    student_labels: float = 0.0
    auxiliary: float = 0.0
    ema: float = 0.0
    student_init: str = "fresh"
    validation: float = 0.2
    refit: bool = False
    select: str = "best"
    score: str = "recall"
    finetune_steps: int = 0
    posthoc: float = 0.0
    views: int = 1
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(
            self,
            {
                "method": tuple(METHODS),
                "scales": (1, 2),
                "normalization": ("dataset", "image"),
                "pretrain_schedule": ("cosine", "tenth-half"),
                "schedule": ("cosine", "tenth-half"),
                "prior": ("none", "ema", "em"),
                "teacher": ("trained", "ema"),
                "student_init": ("fresh", "teacher"),
                "select": ("best", "last"),
                "score": ("recall", "accuracy"),
            },
            least={
                "batch": 2,  # batch norm needs two images
                "unlabelled_batch": 2,
                "views": 1,
                "steps": -1,
                "pretrain_steps": -1,
                "balance_cap": 1,
            },
            shares=_SHARES,
            infinite=("balance_cap",),
        )
        for name in ("steps", "pretrain_steps"):
            if getattr(self, name) == 0:
                raise InputError(f"{name} is 0", "give 1 or more, or -1 for as many as the paper")
        if self.momentum == 1 or (self.nesterov and not self.momentum):
            raise InputError(
                f"momentum is {self.momentum} and nesterov {self.nesterov}",
                "give a momentum above 0 and below 1, or nesterov=false with momentum=0",
            )
        if not self.uda_temperature:
            raise InputError("uda_temperature is 0", "give a number above 0")
        if self.feedback and not self.sampled:
            raise InputError(
                f"sampled is false with feedback {self.feedback}",
                "the feedback judges labels that were drawn: set feedback=0, or sampled=true",
            )
        if self.teacher == "ema" and (self.feedback or not self.ema):
            raise InputError(
                f"teacher is 'ema' with feedback {self.feedback} and ema {self.ema}",
                "an averaged teacher learns nothing: set feedback=0, and ema to 0.99, say",
            )

    @property
    def learns_unlabelled(self) -> bool:
        """Whether the method cannot do without images that have no label."""
        return self.method not in ("supervised", "features")

    def as_dict(self) -> dict[str, Any]:
        """All settings; those of a float that is infinite as text, which JSON can hold."""
        return {
            k: "inf" if isinstance(v, float) and math.isinf(v) else v
            for k, v in asdict(self).items()
        }

    @classmethod
    def of_method(cls, method: str, **changes: Any) -> ClassifierSettings:
        """The settings of a method, with changes; text is converted, as it comes from a command.

        Raises
        ------
        InputError
            No such method or setting, or a value that does not fit.
        """
        if method not in METHODS:
            raise InputError(f"method {method!r} is not known", f"choose {', '.join(METHODS)}")
        return changed_settings(cls(**{**METHODS[method], "method": method}), changes)


_SHARES = (
    "inside",
    "validation",
    "advice",
    "flips",
    "rotation",
    "jitter",
    "blur",
    "shift",
    "cutout",
    "threshold",
    "momentum",
    "ema",
)

_QUICK: Mapping[str, Any] = {
    # the same for every method but ipb-paper: what differs between methods is the method
    "flips": 0.5,
    "quarter_turns": True,
    "shift": 0.1,
    "zoom": 0.15,
    "rotation": 0.5,
    "contrast": 0.3,
    "brightness": 0.3,
    "learning_rate": 0.03,
    "nesterov": True,
    "weight_decay": 5e-4,
    "clip": 5.0,
    "batch": 32,
    "unlabelled_batch": 64,
    "pretrain_steps": 300,
    "steps": 500,
    "epoch_images": 4096,
    "ema": 0.99,
    "views": 4,
}
_MPL: Mapping[str, Any] = {**_QUICK, "balance": 0.0, "uda": 1.0, "uda_ramp": 200.0}
_IPB: Mapping[str, Any] = {
    # an averaged teacher with an adviser in place of one that is told how its pupil does
    "teacher": "ema",
    "feedback": 0.0,
    "uda": 0.0,
    "sampled": False,
    "threshold": 0.8,
    "student_labels": 1.0,
    "student_init": "teacher",
    "redraw": True,
    "adviser": True,
    "advice": 0.8,
    # two that see the same planes are wrong about the same images: docs/results.md
    "adviser_alone": True,
    "refit": True,
}

METHODS: Mapping[str, Mapping[str, Any]] = {
    "ipb": {**_QUICK, **_IPB},
    "ipb-paper": {"pretrain_schedule": "tenth-half", "score": "accuracy", "logarithm": False},
    "mpl": {**_MPL, "balanced_labels": False},
    "mpl-balanced": _MPL,
    "supervised": {**_QUICK, "steps": 800},
    "simclr": _QUICK,
    "simtriplet": _QUICK,
    "contrastive-clustering": _QUICK,
    "features": {**_QUICK, "refit": True},
}
"""Settings by method, where they differ from the paper's."""
