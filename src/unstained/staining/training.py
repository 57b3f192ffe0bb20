"""Train a panel: from pairs to a model folder."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..errors import DataError, InputError, ModelError, UnstainedError
from ..images.atomic import atomic_path
from ..images.fields import Field
from ..images.pairs import Pairs
from ..images.splits import split_pairs
from ..images.tiles import round_up
from ..learning import devices
from ..learning.augment import ALL_MOTIONS, IDENTITY, Augmentation, Symmetry, find_symmetries
from ..learning.checkpoints import load_weights
from ..learning.loop import Batch, LoopSettings, Progress, Trained, Update
from ..learning.loop import train as run_loop
from ..learning.losses import (
    absolute_error,
    amount_error,
    correlation_loss,
    discriminator_loss,
    generator_loss,
    squared_error,
)
from ..learning.memory import tune_allocator
from ..learning.networks import (
    Generator,
    NetworkSpec,
    PatchDiscriminator,
    UNet,
    apply_whole,
    build_network,
)
from ..statistics import correlation_moments, moments_correlation
from .card import describe_training, write_card
from .normalize import MarkerSpec, Statistics, normalize
from .panel import MODEL, Member, Panel, remove_training
from .samples import (
    Samples,
    Scene,
    load_scenes,
    measure_markers,
    principal_components,
    training_statistics,
)
from .settings import TrainSettings

__all__ = ["Report", "StainingTask", "train"]

Report = Callable[[str, Progress], None]
_VALIDATION_PIXELS = 4_000_000  # more are thinned out evenly: validation must not outlast training
_VALIDATION_SIDE = 2048  # larger fields are validated in parts: a network takes a part whole
_Part = tuple[Scene, slice, slice]  # rows and columns of a validation scene


@dataclass(frozen=True)
class _Job:
    """What one member's training needs; sent to other processes as it is.

    `pairs` are those of all members: what members must agree on is measured on all.
    """

    pairs: Pairs
    settings: TrainSettings
    markers: tuple[str, ...]
    folder: Path
    init: Path | None
    resume: bool


def _say_nothing(name: str, progress: Progress) -> None:
    """A report that goes to other processes, as a lambda does not."""


def train(
    pairs: Pairs,
    out: str | Path,
    settings: TrainSettings,
    *,
    init: str | Path | None = None,
    resume: bool = False,
    report: Report = _say_nothing,
) -> Panel:
    """Train on the pairs of split "train", choose weights on "validation", write a model folder.

    Pairs without splits are split by group first (`images.splits.split_pairs`). The test part
    is not read. While training, ``OUT/training/`` holds histories and checkpoints; the model
    appears in `out` when all is done.

    Parameters
    ----------
    pairs : Pairs
    out : path
        Model folder; may hold an interrupted training when `resume` is set.
    settings : TrainSettings
    init : path, optional
        A model to start from (fine-tuning): weights are taken over, and the card tells whether
        training made it better on the same validation pairs.
    resume : bool
        Go on where an interrupted run stopped; ends with the weights of an uninterrupted one.
    report : callable
        Called after each step with the member's name and a `Progress`.

    Raises
    ------
    InputError, DataError, ModelError
        The folder is in use, settings differ from the interrupted run's, a marker has no
        pairs, or the parent does not fit.
    """
    out = Path(out)
    pairs = split_pairs(pairs, seed=settings.seed)
    began = time.perf_counter()
    _begin(out, pairs, settings, init, resume)
    markers = pairs.markers
    groups = [markers] if settings.panel == "shared" else [(m,) for m in markers]
    panels = []
    for names in groups:
        folder = out / "training" / _file_name("+".join(names))
        parent = None if init is None else Path(init)
        job = _Job(pairs, settings, names, folder, parent, resume)
        if not (resume and (folder / "member" / MODEL).exists()):
            try:
                devices.launch(_train_member, settings.processes, job, report)
            except UnstainedError:
                _forget_if_unbegun(out)
                raise
        panels.append(Panel.load(folder / "member"))
    panel = Panel.join(panels)
    about = describe_training(panel, pairs, settings, time.perf_counter() - began, init)
    panel = Panel(
        panel.markers,
        panel.members,
        panel.statistics,
        panel.symmetries,
        panel.pixel_size_um,
        about,
    )
    panel.write_into(out, card=write_card(panel))
    remove_training(out / "training")
    return panel


def _begin(
    out: Path, pairs: Pairs, settings: TrainSettings, init: str | Path | None, resume: bool
) -> None:
    """Refuse a folder in use; note settings and data, and on resume compare them."""
    note = out / "training" / "run.json"
    said = {
        "settings": settings.as_dict(),
        "pairs": pairs.fingerprint(),
        "init": None if init is None else str(init),
    }
    if (out / MODEL).exists():
        raise InputError(
            f"{out} holds a finished model", "choose another --out, or remove the folder first"
        )
    if note.exists() and not resume:
        raise InputError(
            f"{out} holds an interrupted training",
            "go on with --resume, choose another --out, or remove the folder",
        )
    if resume and note.exists():
        before = json.loads(note.read_text(encoding="utf-8"))
        if before != said:
            changed = [k for k in said if before.get(k) != said[k]]
            raise InputError(
                f"{out} was begun with other {' and '.join(changed)}",
                "resume with the same pairs and settings, or start anew in another folder",
            )
        return
    if out.is_dir() and any(out.iterdir()) and not (out / "training").is_dir():
        raise InputError(f"{out} is not empty", "choose a new folder for the model")
    note.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(note) as temporary:
        temporary.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def _forget_if_unbegun(out: Path) -> None:
    """After an error that came before the first checkpoint, leave no folder to be resumed.

    The error is in the data, say: mended, the same command must run.
    """
    if any((out / "training").rglob("checkpoint.safetensors")):
        return
    shutil.rmtree(out / "training", ignore_errors=True)
    with suppress(OSError):  # holds something else
        out.rmdir()


def _train_member(job: _Job, report: Report) -> None:
    """Train one network; the first process leaves it as a model in ``member/``."""
    tune_allocator()
    settings = job.settings
    device = devices.choose_device(settings.device)
    if device.type == "cuda" and settings.processes > 1:
        device = devices.choose_device(f"cuda:{devices.rank()}")
    task, panel, whole = _prepare(job, device)
    name = ", ".join(job.markers)

    def tell(progress: Progress) -> None:
        if devices.rank() == 0:
            report(name, progress)

    loop = LoopSettings(
        steps=settings.steps,
        warmup_steps=min(settings.warmup_steps, settings.steps // 4),
        schedule=settings.schedule,
        validate_every=settings.validate_every,
        checkpoint_every=settings.validate_every,
        ema=settings.ema,
        precision=devices.resolve_precision(settings.precision, device),
        device=str(device),
        seed=settings.seed,
        score="r_s",
    )
    parent_score = task.validate(task.network.eval())["r_s"] if whole else None
    outcome = run_loop(task, loop, job.folder, resume=job.resume, report=tell)
    if devices.rank() > 0:
        return
    weights = outcome.weights
    kept = "trained"
    if parent_score is not None and parent_score >= outcome.score:
        kept = "parent: training did not make it better"
    network = task.network.cpu()
    load_weights(network, weights, job.folder / "best.safetensors")
    about = {
        "best_step": outcome.step,
        "validation_r_s": outcome.score,
        "parent_validation_r_s": parent_score,
        "better": None if parent_score is None else kept,
        "seconds": round(outcome.seconds, 1),
        "steps": settings.steps,
    }
    finished = Panel(
        panel.markers,
        (Member(network.eval(), job.markers),),
        panel.statistics,
        panel.symmetries,
        panel.pixel_size_um,
        about,
    )
    finished.save(job.folder / "member", replace=True)


def _prepare(job: _Job, device: torch.device) -> tuple[StainingTask, Panel, bool]:
    """Read the data and build the networks, and tell whether the parent's was taken over whole."""
    settings = job.settings
    own = job.pairs.of_markers(job.markers)
    fields = {split: own.of_split(split).fields() for split in ("train", "validation")}
    for split, found in fields.items():
        if not found:
            raise DataError(
                f"no {split} pairs for {', '.join(job.markers)}",
                "give more groups, or name the split in the manifest",
                file=job.pairs.name,
            )
    parent = None if job.init is None else Panel.load(job.init)
    every_member = job.pairs.of_split("train").fields()
    statistics = _statistics(settings, every_member) if parent is None else parent.statistics
    cache = job.folder / "cache" / str(devices.rank())
    scenes = load_scenes(fields["train"], job.markers, cache / "train", statistics=statistics)
    checks = load_scenes(
        fields["validation"], job.markers, cache / "validation", statistics=statistics
    )
    try:
        specs = measure_markers(scenes, job.markers)
    except DataError as error:
        file = error.file or job.pairs.name
        raise DataError(error.reason, error.remedy, file=file) from error
    network = _network(settings, scenes, len(specs))
    whole = False
    if parent is not None:
        specs, whole = _inherit(network, specs, parent, str(job.init))
    symmetries = _symmetries(settings, scenes)
    varied = _augmentation(settings, symmetries, absolute=statistics is not None)
    task = StainingTask(network.to(device), settings, specs, scenes, checks, varied)
    pixel_size = _pixel_size(every_member)
    panel = Panel(specs, (Member(network, job.markers),), statistics, symmetries, pixel_size)
    return task, panel, whole


def _statistics(settings: TrainSettings, fields: Sequence[Field]) -> Statistics | None:
    """Of all training images together where `normalization` asks for it, else None."""
    way = settings.normalization
    if way == "auto":
        single_cells = all(bool(field.row.get("cell")) for field in fields)
        way = "dataset" if single_cells else "image"
    return training_statistics(fields) if way == "dataset" else None


def _network(settings: TrainSettings, scenes: Sequence[Scene], outputs: int) -> Generator:
    torch.manual_seed(settings.seed)
    planes = len(scenes[0].planes)
    depth = settings.depth
    fold = {"compact": 2, "unet": 1}.get(settings.network)
    while fold and depth > 1 and 4 * fold * 2**depth > _largest_side(scenes):
        depth -= 1
    network = build_network(
        NetworkSpec(
            settings.network,
            planes,
            outputs,
            settings.width,
            depth,
            min(settings.components, planes) if planes > 1 else 0,
            settings.dropout,
        )
    )
    if isinstance(network, UNet) and network.spec.components:
        network.set_components(principal_components(scenes, network.spec.components))
    return network


def _inherit(
    network: Generator, specs: tuple[MarkerSpec, ...], parent: Panel, where: str
) -> tuple[tuple[MarkerSpec, ...], bool]:
    """Take over the parent's weights; tell the markers' units and whether it was all of them.

    A parent of the same markers gives its heads too, and with them its stains' units; one of
    other markers gives all but its heads.
    """
    names = tuple(spec.name for spec in specs)
    planes = network.spec.planes
    if parent.planes != planes:
        raise ModelError(
            f"the parent takes {parent.planes} label-free planes, the pairs have {planes}",
            "list the same planes in the same order",
            file=where,
        )
    # the one of the same markers, else the one that shares most
    nearest = max(
        parent.members, key=lambda m: (m.markers == names, len(set(m.markers) & set(names)))
    )
    same = nearest.markers == names
    own = network.state_dict()
    fitting = {
        k: v
        for k, v in nearest.network.state_dict().items()
        if k in own and v.shape == own[k].shape and (same or not k.startswith("heads."))
    }
    if len(fitting) < len(own) // 2:
        raise ModelError(
            "the parent's network has another layout than the settings ask for",
            "train with the parent's network, width, depth and number of planes",
            file=where,
        )
    network.load_state_dict({**own, **fitting})
    whole = same and len(fitting) == len(own)
    if not whole:
        return specs, False
    known = {spec.name: spec for spec in parent.markers}
    return tuple(known[name] for name in names), True


def _symmetries(settings: TrainSettings, scenes: Sequence[Scene]) -> tuple[Symmetry, ...]:
    if settings.symmetries == "none":
        return (IDENTITY,)
    if settings.symmetries == "all":
        return ALL_MOTIONS
    every = max(1, len(scenes) // 256)  # many single cells, or some large fields
    chosen = scenes[::every] if scenes[0].planes[0].size < 128**2 else scenes[:4]
    return find_symmetries([normalize(s.planes, s.statistics) for s in chosen])


def _augmentation(
    settings: TrainSettings, symmetries: tuple[Symmetry, ...], *, absolute: bool
) -> Augmentation:
    """With `absolute` grey values and sizes, which mean something, only motions are allowed."""
    if absolute:
        return Augmentation(
            rotation_deg=settings.rotation_deg, warped=settings.warped, symmetries=symmetries
        )
    return Augmentation(
        rotation_deg=settings.rotation_deg,
        scale=settings.scale,
        warped=settings.warped,
        contrast=settings.contrast,
        brightness=settings.brightness,
        noise=settings.noise,
        symmetries=symmetries,
    )


def _largest_side(scenes: Sequence[Scene]) -> int:
    """The largest of the scenes' shorter sides."""
    return max(min(scene.shape_yx) for scene in scenes)


def _pixel_size(fields: Sequence[Field]) -> float | None:
    sizes = {size for f in fields[:64] if (size := f.pixel_size_um) is not None}
    if len(sizes) > 1 and max(sizes) > 1.01 * min(sizes):
        raise DataError(
            f"training images have pixel sizes from {min(sizes):g} to {max(sizes):g} um",
            "resample them to one pixel size",
        )
    return float(min(sizes)) if sizes else None


def _file_name(text: str) -> str:
    return "".join(c if c.isalnum() or c in "+-_" else "_" for c in text)[:60]


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
        patch = round_up(min(settings.patch, _largest_side(scenes)), network.stride)
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
        """Pearson r over all validation pixels, for each marker and averaged (`r_s`).

        A marker without validation pairs is NaN and has no part in the average.
        """
        moments = np.zeros((len(self.markers), 6))
        for scene, rows, columns in _thinned(_parts(self.checks)):
            planes = normalize(scene.planes[:, rows, columns], scene.statistics)
            predicted = apply_whole(network, planes[None])[0]  # (M, Y, X)
            for i in np.flatnonzero(scene.present):
                stain = scene.stains[i, rows, columns].astype(np.float64) - self.markers[i].offset
                moments[i] += correlation_moments(predicted[i], stain)
        r = moments_correlation(moments)
        named = {f"r_s {m.name}": float(v) for m, v in zip(self.markers, r, strict=True)}
        shown = moments[:, 0] > 0
        # a constant prediction, as at the start of a training, explains nothing
        return {"r_s": float(np.nan_to_num(r[shown]).mean()), **named}


def _trained(module: nn.Module, settings: TrainSettings, rate: float) -> Trained:
    """AdamW with weight decay on convolutions alone, told by module type."""
    decayed = [m.weight for m in module.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    known = {id(p) for p in decayed}
    free = [p for p in module.parameters() if id(p) not in known]
    optimizer = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": free, "weight_decay": 0.0},
        ],
        lr=rate,
        betas=(settings.beta1, settings.beta2),
    )
    return Trained(module, optimizer)


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
