"""Score a model on pairs: prediction by prediction, beside what one gets without a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import ndimage

from ..errors import DataError
from ..images.image import Array
from ..statistics import correlation_moments
from .baselines import Baseline, default_baselines, fit_baselines
from .predict_fields import Predict, PredictBatch, PredictFields
from .score_table import MOMENTS, SCORES, ScoreSettings, ScoreTable
from .scores import PairScore, check_no_copy, score_pair
from .totals import block_sums, label_totals, tile_total

if TYPE_CHECKING:
    from ..images.fields import Field
    from ..images.pairs import Pairs

__all__ = ["score_panel"]

Row = dict[str, Any]


def score_panel(
    predict: Predict,
    pairs: Pairs,
    *,
    split: str = "test",
    predict_batch: PredictBatch | None = None,
    context_px: int = 0,
    align_px: int = 1,
    settings: ScoreSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ScoreTable:
    """Score predictions of all pairs of one split.

    Baselines are fitted on the pairs of split "train"
    and on nothing else; without that split they are the middle plane as it is. Single-cell images
    (rows with a `cell`) are scored by their total stain too, and so are the cells of a label image.

    Parameters
    ----------
    predict : callable
        (P, Y, X) phase planes as read, and their pixel size in um or None, to
        {marker: (Y, X) float} in the stain's units.
    pairs : Pairs
        With the training pairs among them, for the baselines.
    split : str
        Which to score; "all" for every pair but guard bands.
    predict_batch : callable, optional
        The same for (N, P, Y, X) planes; used for single-cell images of one shape.
    context_px : int
        A field that is a region of an image is predicted with so much of what surrounds it. Only
        label-free pixels are read there.
    align_px : int
        What surrounds it begins at a multiple of this: the stride of a network.
    settings : ScoreSettings, optional
        Kernel, block and window sizes, intervals.
    progress : callable, optional
        Called with fields done and fields in all.

    Raises
    ------
    DataError
        The split is empty, no marker is predicted, a stain is a copy of its phase image or itself
        a prediction, or a prediction is not finite, not float or of another shape. The field or
        its file is named.
    """
    settings = settings or ScoreSettings()
    chosen = _chosen(pairs, split)
    fields = chosen.fields()
    baselines: dict[str, tuple[Baseline, ...]] = {}
    training = pairs.of_split("train").fields()
    rows: list[Row] = []
    amounts: list[pd.DataFrame] = []
    parts: list[pd.DataFrame] = []
    without: list[Row] = []
    missing: set[str] = set()
    way = PredictFields(predict, predict_batch, context_px, align_px, settings.batch)
    for done, (field, phase, prediction) in enumerate(way.each(fields), 1):
        missing.update(set(field.stains) - set(prediction))
        for marker in [m for m in field.stains if m in prediction]:
            if marker not in baselines:
                baselines[marker] = _baselines(training, marker, len(phase), settings)
            scored = _ScoredField(field, marker, phase, prediction[marker], settings)
            rows.append(scored.row())
            amounts.append(scored.amounts())
            parts.append(scored.parts())
            without.extend(scored.without_model(baselines[marker]))
        if progress is not None:
            progress(done, len(fields))
    if not rows:
        raise DataError(
            f"no marker of {', '.join(chosen.markers)} is predicted by this model",
            "choose pairs of the model's markers",
            file=pairs.name,
        )
    return ScoreTable(
        pairs=pd.DataFrame(rows),
        amounts=pd.concat(amounts, ignore_index=True),
        parts=pd.concat(parts, ignore_index=True),
        baselines=pd.DataFrame(without),
        split=split,
        settings=settings,
        notes=(*pairs.notes, *_notes(sorted(missing), baselines), *_constant(rows)),
    )


class _ScoredField:
    """One marker of one field with its prediction."""

    def __init__(
        self, field: Field, marker: str, phase: Array, prediction: Array, settings: ScoreSettings
    ) -> None:
        self.field, self.marker, self.phase = field, marker, phase
        self.prediction, self.settings = prediction, settings
        self.stain = field.read_stain(marker)
        check_no_copy(self.stain, phase, marker=marker, file=field.stains[marker])
        self.single_cell = bool(field.row.get("cell"))
        self.key = {
            "pair": field.id,
            "marker": marker,
            "group": field.group,
            "class_": _text(field.row.get(settings.class_column)),
        }

    def row(self) -> Row:
        score = self._score(self.prediction, measure_noise=True)
        moments = correlation_moments(self.stain, self.prediction)
        values = {name: getattr(score, name) for name in (*SCORES, "note")}
        pixels = dict(zip(MOMENTS, moments.tolist(), strict=True))
        return {**self.key, "single_cell": self.single_cell, **values, **pixels}

    def amounts(self) -> pd.DataFrame:
        """Sums of cells, or of blocks where the image is not of a single cell."""
        images = self.stain, self.prediction
        if self.single_cell:
            totals = [np.array([tile_total(image)]) for image in images]
            return self._amounts("cell", np.zeros((1, 2)), *totals)
        side = self.settings.block_px
        blocks = [block_sums(image, side) for image in images]
        corners = side * np.indices(blocks[0].shape).reshape(2, -1).T
        found = self._amounts("block", corners, *(sums.ravel() for sums in blocks))
        if self.field.labels:
            labels = self.field.read_labels()
            measured, predicted = (label_totals(image, labels) for image in images)
            centers = ndimage.center_of_mass(labels > 0, labels, measured.label)
            at = np.array(centers).reshape(-1, 2)
            cells = self._amounts("cell", at, measured.total, predicted.total)
            found = pd.concat([found, cells])
        return found

    def parts(self) -> pd.DataFrame:
        """Moments of the pixels of each part of a large field; none of a single-cell image."""
        side = self.settings.part_px
        height, width = self.stain.shape
        starts = [
            (y, x)
            for y in range(0, height, side)
            for x in range(0, width, side)
            if not self.single_cell
        ]
        cut = [np.s_[y : y + side, x : x + side] for y, x in starts]
        moments = [correlation_moments(self.stain[c], self.prediction[c]) for c in cut]
        values = np.array(moments).reshape(-1, len(MOMENTS))
        return pd.DataFrame(values, columns=list(MOMENTS)).assign(**self.key)

    def without_model(self, baselines: Sequence[Baseline]) -> Iterator[Row]:
        for baseline in baselines:
            image = baseline.predict(self.phase)
            score = self._score(image, measure_noise=False)
            totals = (float("nan"), float("nan"))
            if self.single_cell:
                totals = (tile_total(self.stain), tile_total(image))
            yield {
                **self.key,
                "baseline": baseline.name,
                "plane": baseline.plane,
                "r_s": score.r_s,
                "r_lap": score.r_lap,
                # without a fit the feature is not in the stain's units
                "mae": score.mae if baseline.fitted else float("nan"),
                "ssim": score.ssim if baseline.fitted else float("nan"),
                "measured": totals[0],
                "predicted": totals[1],
            }

    def _score(self, prediction: Array, *, measure_noise: bool) -> PairScore:
        try:
            return score_pair(
                self.stain, prediction, ksize=self.settings.ksize, measure_noise=measure_noise
            )
        except DataError as error:
            raise DataError(
                f"{self.marker}: {error.reason}",
                error.remedy,
                file=self.field.stains[self.marker],
            ) from error

    def _amounts(self, unit: str, at: Array, measured: Array, predicted: Array) -> pd.DataFrame:
        """Rows of amounts that lie `at` (N, 2) y, x."""
        side = self.settings.part_px
        row, column = (at // side).astype(int).T
        part = row * -(-self.stain.shape[1] // side) + column  # in the order of `parts`
        columns = {"unit": unit, "part": part, "measured": measured, "predicted": predicted}
        return pd.DataFrame({**self.key, **columns})


def _chosen(pairs: Pairs, split: str) -> Pairs:
    if split == "all":
        kept = ["omit" if s == "omit" else "test" for s in pairs.table["split"]]
        return pairs.with_split(kept).of_split("test")
    chosen = pairs.of_split(split)
    if not len(chosen.table):
        found = ", ".join(sorted({s or "(none)" for s in pairs.table["split"]}))
        raise DataError(
            f"no pairs in split {split!r}; the splits are {found}",
            "name one of these or all, or split the pairs first",
            file=pairs.name,
        )
    return chosen


def _baselines(
    training: Sequence[Field], marker: str, planes: int, settings: ScoreSettings
) -> tuple[Baseline, ...]:
    fields = [field for field in training if marker in field.stains]
    if not fields:
        return default_baselines(planes, window_px=settings.window_px)
    return fit_baselines(fields, marker, window_px=settings.window_px)


def _notes(missing: Sequence[str], baselines: Mapping[str, Sequence[Baseline]]) -> tuple[str, ...]:
    notes = [f"{marker} is in the pairs but not predicted by this model" for marker in missing]
    for marker, found in baselines.items():
        if not found[0].fitted:
            notes.append(
                f"{marker}: no training pairs for the baselines: middle plane "
                f"{found[0].plane}, sign as it is, r_s and r_lap only"
            )
        else:
            planes = ", ".join(f"{b.name} plane {b.plane}" for b in found[:2])
            notes.append(f"{marker}: baselines fitted on the training pairs: {planes}")
    return tuple(notes)


def _constant(rows: Sequence[Row]) -> list[str]:
    """Pairs that have no r, by name."""
    out = [f"{row['marker']} of {row['pair']}" for row in rows if np.isnan(row["r_s"])]
    if not out:
        return []
    shown = ", ".join(out[:5]) + (", ..." if len(out) > 5 else "")
    return [f"{len(out)} constant stains have no r_s and are counted out of its mean: {shown}"]


def _text(value: object) -> str:
    return "" if value is None or value != value else str(value)
