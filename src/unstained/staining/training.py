"""Train a panel: from pairs to a model folder."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import torch

from ..errors import DataError, ModelError, UnstainedError, refuse_name
from ..images.fields import Field
from ..images.pairs import Pairs
from ..images.resample import common_pixel_size
from ..images.splits import split_pairs
from ..learning import devices
from ..learning.augment import ALL_MOTIONS, IDENTITY, Augmentation, Symmetry, find_symmetries
from ..learning.checkpoints import load_weights
from ..learning.loop import LoopSettings, Progress
from ..learning.loop import train as run_loop
from ..learning.memory import tune_allocator
from ..learning.model_file import MODEL
from ..learning.networks import Generator, NetworkSpec, UNet, build_network, check_step
from ..learning.training_folder import TRAINING, begin_training, forget_if_unbegun
from ..statistics import effective_number
from .calibrate import calibrated
from .card import describe_training, write_card
from .normalize import MarkerSpec, Normalization, normalize
from .panel import Member, Panel, remove_training
from .samples import (
    Scene,
    constant_stains,
    load_scenes,
    measure_markers,
    principal_components,
    training_normalization,
)
from .settings import TrainSettings
from .task import StainingTask, largest_side

__all__ = ["Report", "enough_steps", "train"]

Report = Callable[[str, Progress], None]

_LOG = logging.getLogger("unstained")

# Of a training without a number of steps. Measured on `isl` (0.7 megapixels) and `mlcp` (4.9):
# validation scores rise no further; see docs/results.md.
_TIMES_OVER = 80
_FEWEST_STEPS, _MOST_STEPS = 200, 1000
_LOOKED_AT = 2048  # single cells whose look tells the symmetries; with 256, chance had a say


@dataclass(frozen=True)
class _Job:
    """What one member's training needs; sent to other processes as it is.

    `pairs` are those of all members: what members must agree on is measured on all.
    """

    pairs: Pairs
    settings: TrainSettings
    markers: tuple[str, ...]
    number: int
    folder: Path
    init: Path | None
    resume: bool

    @property
    def own_settings(self) -> TrainSettings:
        """With a seed of its own for each network of an ensemble."""
        return replace(self.settings, seed=self.settings.seed + 1000 * self.number)


def _say_nothing(name: str, progress: Progress) -> None:
    """A report that says nothing; a lambda could not be sent to other processes."""


def train(
    pairs: Pairs,
    out: str | Path,
    settings: TrainSettings | None = None,
    *,
    init: str | Path | None = None,
    resume: bool = False,
    report: Report = _say_nothing,
    notify: Callable[[str], None] = _LOG.info,
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
    settings : TrainSettings, optional
    init : path, optional
        A model to start from (fine-tuning): weights are taken over, and the card tells whether
        training made it better on the same validation pairs.
    resume : bool
        Go on where an interrupted run stopped; ends with the weights of an uninterrupted one.
        A finished model is read and given back.
    report : callable
        Called after each step with the member's name and a `Progress`.
    notify : callable
        Called at the start with what the user should know: training stains that are constant.

    Raises
    ------
    InputError, DataError, ModelError
        The folder is in use, settings or pairs differ from the earlier run's, a marker has no
        pairs or is constant in all, or the parent does not fit.
    """
    refuse_name(pairs, "pairs", "load_pairs({})")
    out = Path(out)
    settings = TrainSettings() if settings is None else settings
    pairs = _weights_told(split_pairs(pairs, seed=settings.seed))
    said = {
        "settings": settings.as_dict(),
        "pairs": pairs.fingerprint(),
        "init": None if init is None else str(init),
    }
    if not begin_training(out, MODEL, said, resume=resume):
        remove_training(out / TRAINING)  # it may have been broken off in doing so
        return Panel.load(out)
    markers = pairs.markers
    groups = [markers] if settings.panel == "shared" else [(m,) for m in markers]
    trained = []
    for names in groups:
        for number in range(settings.ensemble):
            folder = out / TRAINING / _folder_name(names, number)
            parent = None if init is None else Path(init)
            job = _Job(pairs, settings, names, number, folder, parent, resume)
            if not (resume and (folder / "member" / MODEL).exists()):
                try:
                    devices.launch(_train_member, settings.processes, job, report, notify)
                except UnstainedError:
                    forget_if_unbegun(out)
                    raise
            trained.append(Panel.load(folder / "member"))
    panel = calibrated(_panel(trained), pairs, settings.device)
    panel = replace(panel, about=describe_training(panel, pairs, settings, init))
    panel.write_into(out, card=write_card(panel))
    remove_training(out / TRAINING)
    return panel


def _panel(trained: Sequence[Panel]) -> Panel:
    """One panel of all that was trained, in order; an ensemble's have their markers in common."""
    first = trained[0]
    specs = {marker.name: marker for panel in trained for marker in panel.markers}
    common = set.intersection(*(set(panel.symmetries) for panel in trained))
    return replace(
        first,
        symmetries=tuple(s for s in first.symmetries if s in common),
        markers=tuple(specs.values()),
        members=tuple(member for panel in trained for member in panel.members),
        about={"members": [dict(panel.about) for panel in trained]},
    )


def _train_member(job: _Job, report: Report, notify: Callable[[str], None]) -> None:
    """Train one network; the first process leaves it as a model in ``member/``."""
    tune_allocator()
    settings = job.own_settings
    device = devices.choose_device(settings.device)
    if device.type == "cuda" and settings.processes > 1:
        device = devices.choose_device(f"cuda:{devices.rank()}")
    task, panel, whole = _prepare(job, device)
    constant = constant_stains(task.samples.scenes, job.markers)
    if constant and job.number == 0 and devices.rank() == 0:  # an ensemble's have the same stains
        notify(constant)
    settings = task.settings
    name = ", ".join(job.markers)
    if settings.ensemble > 1:
        name += f" ({job.number + 1} of {settings.ensemble})"

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
    parent_score = None
    if whole:
        with devices.autocast(loop.precision, device):  # as the training's own scores
            parent_score = task.validate(task.network.eval())["r_s"]
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
        panel.normalization,
        panel.symmetries,
        panel.pixel_size_um,
        about,
    )
    finished.save(job.folder / "member", card="", replace=True)


def _prepare(job: _Job, device: torch.device) -> tuple[StainingTask, Panel, bool]:
    """Read the data and build the networks, and tell whether the parent's was taken over whole."""
    settings = job.own_settings
    own = job.pairs.of_markers(job.markers)
    fields = {split: _drawn(own.of_split(split)) for split in ("train", "validation")}
    for split, found in fields.items():
        if not found:
            raise DataError(
                f"no {split} pairs for {', '.join(job.markers)}, or of weight 0 alone",
                "give more groups, or name the split in the manifest",
                file=job.pairs.name,
            )
    parent = None if job.init is None else Panel.load(job.init)
    every_member = _drawn(job.pairs.of_split("train"))
    fitted = _normalization(settings, every_member) if parent is None else parent.normalization
    cache = job.folder / "cache" / str(devices.rank())
    scenes = load_scenes(fields["train"], job.markers, cache / "train", normalization=fitted)
    checks = load_scenes(
        fields["validation"], job.markers, cache / "validation", normalization=fitted
    )
    try:
        specs = measure_markers(scenes, job.markers)
    except DataError as error:
        file = error.file or job.pairs.name
        raise DataError(error.reason, error.remedy, file=file) from error
    shapes = [scene.shape_yx for scene in scenes]
    counted = effective_number([f.weight for f in fields["train"]]) / len(fields["train"])
    settings = replace(settings, steps=settings.steps or enough_steps(settings, shapes, counted))
    network = _network(settings, scenes, len(specs))
    whole = False
    if parent is not None:
        specs, whole = _inherit(network, specs, parent, job.number, str(job.init))
    symmetries = _symmetries(settings, scenes)
    varied = _augmentation(settings, symmetries, absolute=fitted.way == "dataset")
    task = StainingTask(network.to(device), settings, specs, scenes, checks, varied)
    fields_to_learn = [*every_member, *job.pairs.of_split("validation").fields()]
    pixel_size = common_pixel_size(field.pixel_size_um for field in fields_to_learn)
    panel = Panel(specs, (Member(network, job.markers),), fitted, symmetries, pixel_size)
    return task, panel, whole


def _drawn(pairs: Pairs) -> list[Field]:
    """Fields except those of weight 0."""
    return [field for field in pairs.fields() if field.weight > 0]


def _weights_told(pairs: Pairs) -> Pairs:
    """A note for the card, where not all training pairs count alike."""
    weights = [field.weight for field in pairs.of_split("train").fields()]
    if len(set(weights)) < 2:
        return pairs
    note = (
        f"training pairs are weighted: {len(weights)} count as {effective_number(weights):.0f}, "
        "for cells of another mix than these pairs have; scores here count all pairs alike"
    )
    return replace(pairs, notes=(*pairs.notes, note))


def _normalization(settings: TrainSettings, fields: Sequence[Field]) -> Normalization:
    way = settings.normalization
    if way == "auto" and all(bool(field.row.get("cell")) for field in fields):
        way = "dataset"
    if way in ("image", "background"):
        return Normalization(way)  # each image's own: there is nothing to measure
    return training_normalization(way, fields)


def enough_steps(
    settings: TrainSettings, shapes: Sequence[tuple[int, int]], counted: float = 1.0
) -> int:
    """Steps to see fields of these (Y, X) some 80 times over; validation picks the best weights.

    `counted` is the share of them that weighted fields are worth.
    """
    pixels = counted * sum(math.prod(shape) for shape in shapes)
    needed = math.ceil(_TIMES_OVER * pixels / (settings.batch * settings.patch**2))
    return min(max(needed, _FEWEST_STEPS), _MOST_STEPS)


def _network(settings: TrainSettings, scenes: Sequence[Scene], outputs: int) -> Generator:
    torch.manual_seed(settings.seed)
    planes = len(scenes[0].planes)
    depth = settings.depth
    fold = {"compact": 2, "unet": 1}.get(settings.network)
    while fold and depth > 1 and 4 * fold * 2**depth > largest_side(scenes):
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
    if isinstance(network, UNet):
        check_step(settings.batch // settings.processes, settings.patch, network.stride)
    if isinstance(network, UNet) and network.spec.components:
        network.set_components(principal_components(scenes, network.spec.components))
    return network


def _inherit(
    network: Generator, specs: tuple[MarkerSpec, ...], parent: Panel, number: int, where: str
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
    # those of the same markers, else those that share most; of an ensemble's, each its own
    kin = [(m.markers == names, len(set(m.markers) & set(names))) for m in parent.members]
    best = [m for m, near in zip(parent.members, kin, strict=True) if near == max(kin)]
    nearest = best[number % len(best)]
    same = nearest.markers == names
    own = network.state_dict()
    fitting = {
        k: v
        for k, v in nearest.network.state_dict().items()
        if k in own and v.shape == own[k].shape and (same or not k.startswith("heads."))
    }
    mine, theirs = (
        (n.spec.name, n.spec.width, n.spec.depth, n.spec.planes) for n in (network, nearest.network)
    )
    if mine != theirs or len(fitting) < len(own) // 2:
        raise ModelError(
            f"the parent's network (name, width, depth, planes) is {theirs}, not {mine}",
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
    every = max(1, len(scenes) // _LOOKED_AT)  # many single cells, or some large fields
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


def _folder_name(markers: Sequence[str], number: int) -> str:
    """``DAPI+MAP2``; different markers never share a folder, however long or odd their names.

    The second network of an ensemble has ``DAPI+MAP2 2``, and so on.
    """
    text = "+".join(quote(marker, safe="") for marker in markers)
    if len(text) > 80:
        text = text[:60] + "-" + sha256(text.encode()).hexdigest()[:12]
    return text if number == 0 else f"{text} {number + 1}"
