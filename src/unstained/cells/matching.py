"""Which predicted cell is which true cell, and how good a segmentation is by that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..images.image import Array
from ..statistics.intervals import Interval, mean_interval, resampled_sums

__all__ = [
    "ImageScore",
    "Matches",
    "Overlaps",
    "SegmentationScore",
    "ThresholdScore",
    "average_precision",
    "average_precision_of",
    "match_overlaps",
    "overlaps_of",
    "pool_scores",
    "score_labels",
]

THRESHOLDS = (0.5, 0.75)


class Overlaps(NamedTuple):
    """Pairs of a true and a predicted cell that share pixels.

    Attributes
    ----------
    truth, predicted : (N,), (K,) integer arrays
        All labels, ascending.
    truth_index, predicted_index : (P,) int arrays
        Of each pair, into these.
    iou : (P,) float64 array
        Shared pixels over pixels of either, 0 ... 1.
    """

    truth: Array
    predicted: Array
    truth_index: Array
    predicted_index: Array
    iou: Array


class Matches(NamedTuple):
    """`truth` (M,) and `predicted` (M,) labels that are one cell, and their `iou` (M,)."""

    truth: Array
    predicted: Array
    iou: Array


class ImageScore(NamedTuple):
    """Counts of one image.

    Attributes
    ----------
    true_cells, predicted_cells : int
    iou_sum : float
        Sum of IoU over one-to-one pairs of any overlap, chosen for the largest sum.
    thresholds : (H,) array
    true_positives : (H,) int array
        Pairs at each threshold.
    matched_iou_sum : (H,) array
        Their IoU, summed.
    """

    true_cells: int
    predicted_cells: int
    iou_sum: float
    thresholds: Array
    true_positives: Array
    matched_iou_sum: Array


class ThresholdScore(NamedTuple):
    """Of all images at one threshold of IoU.

    Attributes
    ----------
    threshold : float
    true_positives, false_positives, false_negatives : int
        Matched; predicted and not matched; true and not matched.
    average_precision : Interval
        TP / (TP + FP + FN) of all cells pooled; interval over images (or their groups).
    per_image : Interval
        The mean of it over images; those without any cell are left out.
    matched_iou : float
        Mean IoU of the matched cells; NaN where there is none.
    """

    threshold: float
    true_positives: int
    false_positives: int
    false_negatives: int
    average_precision: Interval
    per_image: Interval
    matched_iou: float


class SegmentationScore(NamedTuple):
    """Of all images.

    Attributes
    ----------
    images, true_cells, predicted_cells : int
    mean_iou : Interval
        Over all true cells, 0 for one that has no partner; partners are one-to-one, of any
        overlap, chosen for the largest sum.
    at : tuple of ThresholdScore
    """

    images: int
    true_cells: int
    predicted_cells: int
    mean_iou: Interval
    at: tuple[ThresholdScore, ...]


def overlaps_of(truth: Array, predicted: Array) -> Overlaps:
    """Intersection over union of all cells that touch.

    A cell is all pixels of one number, in one piece or several.

    Parameters
    ----------
    truth, predicted : (Y, X) integer arrays
        0 is background.

    Raises
    ------
    InputError
        The shapes differ, or numbers are not integers.
    """
    if truth.shape != predicted.shape:
        raise InputError(
            f"true labels are {truth.shape}, predicted {predicted.shape}",
            "compare labels of the same image",
        )
    if truth.dtype.kind not in "bui" or predicted.dtype.kind not in "bui":
        raise InputError(
            f"labels of type {truth.dtype} and {predicted.dtype}", "give integer labels"
        )
    true_label, true_area, t = _numbered(truth)
    label, area, p = _numbered(predicted)
    both = (t >= 0) & (p >= 0)
    pair, shared = np.unique(t[both] * max(label.size, 1) + p[both], return_counts=True)
    i, j = pair // max(label.size, 1), pair % max(label.size, 1)
    return Overlaps(true_label, label, i, j, shared / (true_area[i] + area[j] - shared))


def match_overlaps(overlaps: Overlaps, threshold: float = 0.5) -> Matches:
    """One-to-one pairs with an IoU of at least `threshold`, of the largest total IoU.

    Above 0.5 a cell can have one partner only, since two that each share more than half of a
    union with it would overlap; up to 0.5 the assignment problem is solved.

    Raises
    ------
    InputError
        The threshold is not within 0 ... 1.
    """
    if not 0 <= threshold <= 1:
        raise InputError(f"an IoU threshold of {threshold}", "give 0 to 1, such as 0.5")
    near = overlaps.iou >= threshold
    i, j, iou = overlaps.truth_index[near], overlaps.predicted_index[near], overlaps.iou[near]
    if threshold <= 0.5:
        chosen = _assigned(i, j, iou)
        i, j, iou = i[chosen], j[chosen], iou[chosen]
    return Matches(overlaps.truth[i], overlaps.predicted[j], iou)


def score_labels(
    truth: Array, predicted: Array, thresholds: Sequence[float] = THRESHOLDS
) -> ImageScore:
    """Count the cells of one image that were found; arguments as for `overlaps_of`."""
    overlaps = overlaps_of(truth, predicted)
    matches = [match_overlaps(overlaps, threshold) for threshold in thresholds]
    return ImageScore(
        overlaps.truth.size,
        overlaps.predicted.size,
        float(match_overlaps(overlaps, 0).iou.sum()),
        np.array(thresholds, np.float64),
        np.array([match.iou.size for match in matches], int),
        np.array([match.iou.sum() for match in matches], np.float64),
    )


def average_precision(
    truth: Array, predicted: Array, thresholds: Sequence[float] = THRESHOLDS
) -> Array:
    """TP / (TP + FP + FN) of one image at each IoU threshold [1]_.

    Parameters
    ----------
    truth, predicted : (Y, X) integer arrays
        0 is background.
    thresholds : (H,) sequence of float

    Returns
    -------
    (H,) float64 array
        1 where every cell was found and no other; NaN where neither has a cell.

    References
    ----------
    .. [1] Caicedo et al. (2019), Nat Methods 16:1247. doi:10.1038/s41592-019-0612-7
    """
    return average_precision_of(score_labels(truth, predicted, thresholds))


def pool_scores(
    scores: Sequence[ImageScore], groups: Sequence[str] | None = None, *, seed: int = 0
) -> SegmentationScore:
    """Join the counts of images; intervals at 95 % over images (`statistics.resampled_interval`).

    Parameters
    ----------
    scores : sequence of ImageScore
        With the same thresholds.
    groups : sequence of str, optional
        One for each image, such as the movie it is a frame of; the interval is then over them.
    seed : int

    Raises
    ------
    InputError
        No image, or thresholds that differ.
    """
    if not scores:
        raise InputError("no image to score", "give at least one pair of label images")
    thresholds = scores[0].thresholds
    if any(not np.array_equal(score.thresholds, thresholds) for score in scores):
        raise InputError("images were scored at different thresholds", "score them alike")
    true = np.array([score.true_cells for score in scores], np.float64)
    found = np.array([score.predicted_cells for score in scores], np.float64)
    ious = np.array([score.iou_sum for score in scores])
    per_image = np.array([average_precision_of(score) for score in scores])  # (images, H)
    at = []
    for h, threshold in enumerate(thresholds):
        tp = np.array([score.true_positives[h] for score in scores], np.float64)
        matched = float(sum(score.matched_iou_sum[h] for score in scores))
        at.append(
            ThresholdScore(
                float(threshold),
                int(tp.sum()),
                int((found - tp).sum()),
                int((true - tp).sum()),
                _ratio_interval(tp, true + found - tp, groups, seed),
                mean_interval(per_image[:, h], groups=groups, seed=seed).within(0, 1),
                matched / float(tp.sum()) if tp.any() else float("nan"),
            )
        )
    mean_iou = _ratio_interval(ious, true, groups, seed)
    return SegmentationScore(len(scores), int(true.sum()), int(found.sum()), mean_iou, tuple(at))


def _numbered(labels: Array) -> tuple[Array, Array, Array]:
    """Labels (N,), their areas (N,), and for each pixel (Y * X,) which it is; -1 is none."""
    number, at = np.unique(labels.ravel(), return_inverse=True)
    area = np.bincount(at, minlength=number.size)
    kept = number != 0
    place = np.where(kept, np.cumsum(kept) - 1, -1)
    return number[kept], area[kept], place[at]


def average_precision_of(score: ImageScore) -> Array:
    """TP / (TP + FP + FN) of a counted image at its thresholds, (H,); NaN without any cell."""
    either = score.true_cells + score.predicted_cells - score.true_positives
    with np.errstate(invalid="ignore"):
        return np.asarray(score.true_positives / either)


def _ratio_interval(part: Array, whole: Array, groups: Sequence[str] | None, seed: int) -> Interval:
    rows = np.column_stack([part, whole])
    return resampled_sums(rows, _ratio, groups=groups, seed=seed).within(0, 1)


def _ratio(sums: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])


def _assigned(i: Array, j: Array, iou: Array) -> Array:
    """Indices of the pairs that are kept.

    Cells fall into small groups that overlap each other: each group is a problem of its own.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not i.size:
        return np.zeros(0, int)
    n, k = int(i.max()) + 1, int(j.max()) + 1
    links = coo_array((np.ones(i.size), (i, n + j)), shape=(n + k, n + k))
    _, group = connected_components(links, directed=False)
    order = np.argsort(group[i], kind="stable")
    ends = np.flatnonzero(np.diff(group[i][order])) + 1
    kept = []
    for pairs in np.split(order, ends):
        rows, row = np.unique(i[pairs], return_inverse=True)
        columns, column = np.unique(j[pairs], return_inverse=True)
        gain = np.zeros((rows.size, columns.size))
        gain[row, column] = iou[pairs]
        which = np.full(gain.shape, -1)
        which[row, column] = pairs
        chosen = which[linear_sum_assignment(gain, maximize=True)]
        kept.append(chosen[chosen >= 0])
    return np.sort(np.concatenate(kept))
