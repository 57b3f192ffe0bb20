"""Score labels in files against true labels: folders, movies, single label images."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import DataError, FileError
from ..images.atomic import json_text
from ..images.folders import images_in, is_zarr, natural_order
from ..images.image import Array
from ..images.read import SUFFIXES, drop_ome, read_image, read_labels
from ..statistics.intervals import MIN_GROUPS, Interval
from .matching import (
    THRESHOLDS,
    ImageScore,
    SegmentationScore,
    average_precision_of,
    pool_scores,
    score_labels,
)
from .segmentation_folder import ABOUT, read_segmentation
from .segmentation_sources import image_key

__all__ = ["FileScore", "ScoredFiles", "score_files", "score_text", "scores_as_json"]


class FileScore(NamedTuple):
    """One frame: the `image` it is of, the `frame` in it, its counts."""

    image: str
    frame: int
    score: ImageScore


class ScoredFiles(NamedTuple):
    """Of all frames.

    Attributes
    ----------
    pooled : SegmentationScore
        Intervals over images; the frames of a movie go together. NaN for fewer than three
        images, of which `notes` then tells.
    frames : list of FileScore
    notes : list of str
    """

    pooled: SegmentationScore
    frames: list[FileScore]
    notes: list[str]


class _Labelled(NamedTuple):
    """Label images of one name, each read when it is asked for."""

    name: str
    frames: list[Callable[[], Array]]


def score_files(
    labels: str | os.PathLike[str],
    truth: str | os.PathLike[str],
    thresholds: Sequence[float] = THRESHOLDS,
) -> ScoredFiles:
    """Compare labels with true labels.

    Parameters
    ----------
    labels, truth : path-like
        Each a segmentation folder, a label image (with frames or without), or a folder of
        label images, also one folder deep (``set02/instances.png`` is ``set02-instances``).
        Images are matched by name, for which ``_labels``, ``_mask``, ``_instances``, ``_raw``
        and the like at the end do not count; where there is one of each, they are matched
        whatever their names; one movie is matched with as many single images in their order.
    thresholds : sequence of float
        Of IoU.

    Returns
    -------
    ScoredFiles

    Raises
    ------
    FileError
        A path is absent or no labels.
    DataError
        No name is in both, or frames differ in number or size.
    """
    found, true = _labelled(Path(labels)), _labelled(Path(truth))
    pairs, notes = _paired(found, true)
    frames: list[FileScore] = []
    for predicted, wanted in pairs:
        if len(predicted.frames) != len(wanted.frames):
            raise DataError(
                f"{predicted.name} has {len(predicted.frames)} frames, {wanted.name} of the truth "
                f"{len(wanted.frames)}",
                "give truth for every frame",
            )
        for t, (of_labels, of_truth) in enumerate(
            zip(predicted.frames, wanted.frames, strict=True)
        ):
            a, b = of_labels(), of_truth()
            if a.shape != b.shape:
                raise DataError(
                    f"labels of {predicted.name}, frame {t}, are {a.shape}, the truth {b.shape}",
                    "give labels of the same image",
                )
            frames.append(FileScore(predicted.name, t, score_labels(b, a, thresholds)))
    groups = [frame.image for frame in frames]
    pooled = pool_scores([frame.score for frame in frames], groups)
    if 1 < (n := len(set(groups))) < MIN_GROUPS:
        pooled = _without_intervals(pooled)
        notes.append(f"{n} images are too few for intervals over images: {MIN_GROUPS} are needed")
    return ScoredFiles(pooled, frames, notes)


def _without_intervals(score: SegmentationScore) -> SegmentationScore:
    def alone(value: Interval) -> Interval:
        return value._replace(low=float("nan"), high=float("nan"))

    at = tuple(
        one._replace(average_precision=alone(one.average_precision), per_image=alone(one.per_image))
        for one in score.at
    )
    return score._replace(mean_iou=alone(score.mean_iou), at=at)


def score_text(scored: ScoredFiles) -> str:
    """A few lines for people."""
    pooled = scored.pooled
    lines = [
        f"{pooled.images} frames: {pooled.true_cells} true cells, {pooled.predicted_cells} found",
        f"mean IoU over true cells {_with_interval(pooled.mean_iou)}",
    ]
    for at in pooled.at:
        lines.append(
            f"IoU {at.threshold:g}: average precision {_with_interval(at.average_precision)}, "
            f"mean over frames {at.per_image.estimate:.3f}; {at.true_positives} matched "
            f"(mean IoU {at.matched_iou:.3f}), {at.false_positives} wrong, "
            f"{at.false_negatives} missed"
        )
    return "\n".join(lines + [f"note: {note}" for note in scored.notes])


def scores_as_json(scored: ScoredFiles) -> str:
    """The same with every frame; numbers that are not defined are null."""
    pooled = scored.pooled
    about = {
        "frames": pooled.images,
        "true_cells": pooled.true_cells,
        "predicted_cells": pooled.predicted_cells,
        "mean_iou": pooled.mean_iou._asdict(),
        "at": [
            {
                **at._asdict(),
                "average_precision": at.average_precision._asdict(),
                "per_image": at.per_image._asdict(),
            }
            for at in pooled.at
        ],
        "per_frame": [
            {
                "image": frame.image,
                "frame": frame.frame,
                "true_cells": frame.score.true_cells,
                "predicted_cells": frame.score.predicted_cells,
                "mean_iou": _share(frame.score.iou_sum, frame.score.true_cells),
                "true_positives": frame.score.true_positives.tolist(),
                "average_precision": average_precision_of(frame.score).tolist(),
            }
            for frame in scored.frames
        ],
        "notes": scored.notes,
    }
    return json_text(about, indent=1)


# Which labels there are --------------------------------------------------------------------


def _labelled(path: Path) -> list[_Labelled]:
    if (path / ABOUT).is_file():
        return [
            _Labelled(entry.image, [_call(entry.labels, t) for t in range(entry.frames)])
            for entry in read_segmentation(path)
        ]
    if path.is_dir() and not is_zarr(path):
        return _in_folder(path)
    if not path.exists():
        raise FileError("does not exist", "check the path", file=path)
    return [_of_file(path, path.stem)]


def _in_folder(folder: Path) -> list[_Labelled]:
    """Label images of a folder; where it has none, of the folders in it."""
    here = images_in(folder)
    if here:
        return [_of_file(p, p.stem) for p in here]
    inner = [
        _of_file(p, f"{sub.name}-{p.stem}")
        for sub in sorted(folder.iterdir(), key=lambda path: natural_order(path.name))
        if sub.is_dir()
        for p in images_in(sub)
        if not p.stem.casefold().endswith("raw")
    ]
    if not inner:
        raise FileError(
            "is a folder without label images", f"read are {', '.join(SUFFIXES)}", file=folder
        )
    return inner


def _of_file(path: Path, name: str) -> _Labelled:
    name = drop_ome(name)
    image = read_image(path) if path.suffix.lower() != ".png" else None
    n = 1 if image is None else image.shape[0]
    if image is None or n == 1:
        return _Labelled(name, [_call(read_labels, path)])
    if image.n_planes != 1:
        raise DataError(
            f"has shape {image.shape} (T, C, Z, Y, X)", "give one plane of labels", file=path
        )
    return _Labelled(name, [_call(image.plane, t) for t in range(n)])


def _call(function: Callable[[Any], Array], argument: Any) -> Callable[[], Array]:
    return lambda: function(argument)


def _paired(
    found: Sequence[_Labelled], true: Sequence[_Labelled]
) -> tuple[list[tuple[_Labelled, _Labelled]], list[str]]:
    """Labels and truth of the same image, and notes on what has no partner."""
    if len(found) == 1 and len(true) > 1 and len(found[0].frames) == len(true):
        true = [_Labelled("all", [frame for one in true for frame in one.frames])]
    if len(found) == len(true) == 1:
        return [(found[0], true[0])], []
    named = {image_key(one.name): one for one in true}
    if len(named) < len(true) or len({image_key(one.name) for one in found}) < len(found):
        raise DataError(
            "two label images have one name, but for endings such as _labels",
            "give each image its own name",
        )
    pairs = [(one, named[image_key(one.name)]) for one in found if image_key(one.name) in named]
    if not pairs:
        some = [", ".join(one.name for one in side[:3]) for side in (found, true)]
        raise DataError(
            f"no name is in both: labels are {some[0]} ..., truth {some[1]} ...",
            "name the true labels as the images",
        )
    notes = []
    for left, what in (
        (len(found) - len(pairs), "label images have no truth and were left out"),
        (len(true) - len(pairs), "true label images have no labels and were left out"),
    ):
        if left:
            notes.append(f"{left} {what}")
    return pairs, notes


# How scores are reported -------------------------------------------------------------------


def _with_interval(value: Interval) -> str:
    if math.isnan(value.low):  # few images: there is nothing to draw from
        return f"{value.estimate:.3f}"
    return f"{value.estimate:.3f} ({value.low:.3f} to {value.high:.3f})"


def _share(part: float, whole: int) -> float:
    return part / whole if whole else float("nan")
