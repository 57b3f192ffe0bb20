"""From labelled images to a model folder."""

from __future__ import annotations

import itertools
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import DataError, InputError, UnstainedError, refuse_name
from ..images.atomic import atomic_path, write_text
from ..images.folders import is_of_system
from ..images.image import Array
from ..images.resample import common_pixel_size
from ..learning import devices
from ..learning.checkpoints import load_weights
from ..learning.loop import LoopSettings, Outcome, Progress
from ..learning.loop import train as run_loop
from ..learning.memory import tune_allocator
from ..learning.model_file import MODEL
from ..learning.networks import NetworkSpec, build_network
from ..learning.training_folder import TRAINING, begin_training, forget_if_unbegun, leave_note
from .labelled import LabelledImage, Split, split_images
from .matching import Overlaps, match_overlaps, overlaps_of
from .model import CellModel
from .normalize import measure_statistics
from .partition import PartitionSettings, partition
from .samples import make_scene
from .settings import CellSettings
from .targets import HEIGHT, INTERIOR
from .task import CellCounts, CellTask, found_cells, pooled_precision

__all__ = ["Release", "fit_cuts", "train_cells", "write_release"]

Report = Callable[[Progress], None]

HISTORY = "history.jsonl"
_INTERIORS = (0.4, 0.5, 0.6)
_PROMINENCES = (0.1, 0.15, 0.2, 0.25, 0.3)
_FITTED_SIDE = 512  # px
_SMALLEST = (1, 3, 6)  # percentiles of the areas taught
_CHECKPOINT_EVERY = 100  # steps


class Release(NamedTuple):
    """A model as one file, and its SHA-256 in hexadecimal."""

    file: Path
    sha256: str


def train_cells(
    images: Sequence[LabelledImage],
    out: str | Path,
    settings: CellSettings | None = None,
    *,
    resume: bool = False,
    report: Report = lambda progress: None,
) -> CellModel:
    """Learn to outline cells, and write a model folder.

    Some groups of images choose the weights and the thresholds (`labelled.split_images`); all
    others are learned from. Nuclei are learned where any image has them. While training,
    ``OUT/training/`` holds history and checkpoint; the model appears when all is done, with
    ``history.jsonl``.

    Parameters
    ----------
    images : sequence of LabelledImage
        See `labelled.load_labelled`.
    out : path
        Model folder; may hold an interrupted training when `resume` is set.
    settings : CellSettings, optional
    resume : bool
        Go on where an interrupted run stopped; ends with the weights of an uninterrupted one.
        A finished model is read and given back.
    report : callable
        Called after each step.

    Raises
    ------
    InputError, FileError, DataError
        The folder is in use, settings or data differ from the earlier run's, or the data
        cannot be learned from.
    """
    refuse_name(images, "labelled images", "load_labelled({})")
    out, settings = Path(out), settings or CellSettings()
    split = split_images(images, settings.validation, settings.seed)
    learned = [*split.train, *split.validation]
    pixel_size_um = common_pixel_size(image.pixel_size_um for image in learned)
    if not any(image.labels.any() for image in split.train):
        raise DataError("no image to train on has a cell", "look at the labels and the split")
    said = {"settings": settings.as_dict(), "data": _fingerprint(split)}
    if not begin_training(out, MODEL, said, resume=resume):
        leave_note(out / TRAINING)  # it may have been broken off in doing so
        return CellModel.load(out, device="cpu")
    try:
        task, outcome = _learn(split, out / TRAINING, settings, resume, report)
    except UnstainedError:
        forget_if_unbegun(out)
        raise
    load_weights(task.network, outcome.weights, out / TRAINING / "best.safetensors")
    model = CellModel(
        task.network.cpu().eval(), task.cuts, settings.views, _cell_px(split.train), pixel_size_um
    )
    model = replace(model, cuts=fit_cuts(model, split.validation, _min_areas_px(split.train)))
    about = {
        "train_groups": sorted({image.group for image in split.train}),
        "validation_groups": sorted({image.group for image in split.validation}),
        "validation": _scores(model, split.validation),
        "best_step": outcome.step,
        "seconds": round(outcome.seconds, 1),
        "settings": settings.as_dict(),
    }
    model = replace(model, about=about)
    shutil.copyfile(out / TRAINING / HISTORY, out / HISTORY)
    model.write_into(out)
    leave_note(out / TRAINING)
    return model


def fit_cuts(
    model: CellModel, images: Sequence[LabelledImage], min_areas_px: Sequence[int]
) -> PartitionSettings:
    """Choose thresholds of a grid by average precision at IoU 0.5 (then 0.75) over all images.

    `interior` of 0.4, 0.5, 0.6, `prominence` of 0.1 ... 0.3 and `min_area_px` of those given, on
    the middle 512 x 512 pixels of each image. Of equal ones, the first nearest to the model's own.
    """
    own = np.array([model.cuts.interior, model.cuts.prominence])
    grid = sorted(
        itertools.product(_INTERIORS, _PROMINENCES),
        key=lambda cut: float(np.abs(np.array(cut) - own).sum()),
    )
    tried = [
        model.cuts._replace(interior=interior, prominence=prominence, min_area_px=area)
        for interior, prominence in grid
        for area in min_areas_px
    ]
    counts: list[list[CellCounts]] = [[] for _ in tried]
    for image in images:
        maps, labels = _middle(model, image)
        for i, cuts in enumerate(tried):
            if i % len(min_areas_px) == 0:  # areas change fastest, and need no new partition
                cells = partition(maps[INTERIOR], maps[HEIGHT], cuts._replace(min_area_px=1))
                overlaps = overlaps_of(labels, cells)
                areas = np.bincount(cells.ravel())[overlaps.predicted]
            counts[i].append(_count(overlaps, areas >= cuts.min_area_px))
    scores = [pooled_precision(of_images) for of_images in counts]
    return tried[scores.index(max(scores))]


def write_release(folder: str | Path, file: str | Path) -> Release:
    """Zip a model folder, equal bytes for equal contents, with ``FILE.sha256`` beside it.

    Raises
    ------
    FileError, ModelError
        The folder is no finished model, or the file cannot be written.
    """
    folder, file = Path(folder), Path(file)
    CellModel.load(folder)  # refuses what is no model
    if file.suffix != ".zip":
        raise InputError(f"{file} is no zip", "name a file that ends in .zip")
    with atomic_path(file) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for path in sorted(p for p in folder.iterdir() if p.is_file() and not is_of_system(p)):
            entry = zipfile.ZipInfo(f"{file.stem}/{path.name}")  # dated 1980, so that bytes agree
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    digest = sha256(file.read_bytes()).hexdigest()
    write_text(file.with_name(f"{file.name}.sha256"), f"{digest}  {file.name}\n")
    return Release(file, digest)


def _learn(
    split: Split, folder: Path, settings: CellSettings, resume: bool, report: Report
) -> tuple[CellTask, Outcome]:
    tune_allocator()
    device = devices.choose_device(settings.device)
    nuclei = any(image.nuclei is not None for image in split.train)
    scenes = [make_scene(image, nuclei=nuclei) for image in split.train]
    torch.manual_seed(settings.seed)
    network = build_network(
        NetworkSpec(
            settings.network,
            planes=1,
            outputs=3 if nuclei else 2,
            width=settings.width,
            depth=settings.depth,
            dropout=settings.dropout,
        )
    )
    cuts = PartitionSettings(min_area_px=_min_areas_px(split.train)[0])
    task = CellTask(network.to(device), settings, scenes, split.validation, cuts)
    loop = LoopSettings(
        steps=settings.steps,
        warmup_steps=min(settings.warmup_steps, settings.steps // 4),
        validate_every=settings.validate_every,
        checkpoint_every=_CHECKPOINT_EVERY,
        ema=settings.ema,
        precision=devices.resolve_precision(settings.precision, device),
        device=str(device),
        seed=settings.seed,
    )
    return task, run_loop(task, loop, folder, resume=resume, report=report)


def _fingerprint(split: Split) -> str:
    """SHA-256 of pixels, labels and nuclei of both parts, in order."""
    digest = sha256()
    for part in split:
        digest.update(str(len(part)).encode())
        for image in part:
            digest.update(str(image.image.shape).encode())
            for pixels in (image.image, image.labels, image.nuclei):
                if pixels is not None:
                    digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def _scores(model: CellModel, images: Sequence[LabelledImage]) -> dict[str, float]:
    counts = [found_cells(image.labels, model.segment(image.image)) for image in images]
    ap50, ap75 = pooled_precision(counts)
    return {"ap50": round(ap50, 4), "ap75": round(ap75, 4)}


def _middle(model: CellModel, image: LabelledImage) -> tuple[NDArray[np.float32], Array]:
    """Maps and labels of the middle of an image, normalized as the whole is."""
    y, x = (
        slice(max(0, (n - _FITTED_SIDE) // 2), (n + _FITTED_SIDE) // 2) for n in image.image.shape
    )
    return model.maps(image.image[y, x], measure_statistics(image.image)), image.labels[y, x]


def _count(overlaps: Overlaps, kept: NDArray[np.bool_]) -> CellCounts:
    """True positives at IoU 0.5 and 0.75, of the predicted cells that are kept."""
    left = kept[overlaps.predicted_index]
    number = np.cumsum(kept) - 1
    some = Overlaps(
        overlaps.truth,
        overlaps.predicted[kept],
        overlaps.truth_index[left],
        number[overlaps.predicted_index[left]],
        overlaps.iou[left],
    )
    positives = [match_overlaps(some, threshold).iou.size for threshold in (0.5, 0.75)]
    return CellCounts(some.truth.size, some.predicted.size, np.array(positives))


def _min_areas_px(images: Sequence[LabelledImage]) -> list[int]:
    """Half of what all but the smallest hundredth have, and small percentiles, ascending."""
    areas = [np.unique(i.labels[i.labels > 0], return_counts=True)[1] for i in images]
    one, *others = np.percentile(np.concatenate(areas), _SMALLEST).astype(int)
    return sorted({max(1, int(one) // 2), max(1, int(one)), *(max(1, int(a)) for a in others)})


def _cell_px(images: Sequence[LabelledImage]) -> int:
    """Longest side that all but the largest hundredth of the cells have."""
    sides = [
        max(span.stop - span.start for span in window)
        for image in images
        for window in ndimage.find_objects(image.labels)
        if window is not None
    ]
    return int(np.ceil(np.percentile(sides, 99)))
