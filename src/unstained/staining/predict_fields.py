"""Predictions of fields: large ones with what surrounds them, single cells in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError, InputError
from ..images.image import Array, as_image
from .predict_plan import halo_of, stride_of
from .predictor import PredictOptions, Predictor

if TYPE_CHECKING:
    from ..images.fields import Field
    from .panel import Panel

__all__ = ["Predict", "PredictBatch", "PredictFields"]

# (P, Y, X) and their pixel size in um, if known -> {marker: (Y, X) float}
Predict = Callable[[Array, float | None], Mapping[str, Array]]
PredictBatch = Callable[[Array], Mapping[str, Array]]  # (N, P, Y, X) -> {marker: (N, Y, X) float}


@dataclass(frozen=True)
class PredictFields:
    """How fields are predicted.

    Attributes
    ----------
    predict : callable
        (P, Y, X) planes as read, and their pixel size in um or None, to {marker: (Y, X) float}.
    predict_batch : callable or None
        The same for (N, P, Y, X) planes; used for single-cell images of one shape.
    context_px : int
        A field that is a region of an image is predicted with so much of what surrounds it.
    align_px : int
        What surrounds it begins at a multiple of this: the network's stride.
    batch : int
        Single-cell images predicted at once.
    """

    predict: Predict
    predict_batch: PredictBatch | None = None
    context_px: int = 0
    align_px: int = 1
    batch: int = 256

    @classmethod
    def by_panel(
        cls, panel: Panel, fields: Sequence[Field], options: PredictOptions
    ) -> PredictFields:
        """By a panel: tile by tile, and many single-cell images at once.

        Fields of another pixel size than the panel's are resampled on the way, as in prediction,
        and come back on their own pixels; those of unknown size are taken to have the panel's.
        """
        predictor = Predictor(panel, options)
        other_sizes = {field.pixel_size_um for field in fields} - {None, panel.pixel_size_um}

        def check(planes: int) -> None:
            if planes != panel.planes:
                raise DataError(
                    f"{planes} label-free planes, the model takes {panel.planes}",
                    "give the same planes as in training",
                )

        def predict(planes: Array, pixel_size_um: float | None) -> dict[str, Array]:
            check(len(planes))
            size = pixel_size_um or panel.pixel_size_um
            image = predictor(as_image(planes, "CYX", pixel_size_um=size))
            return dict(zip(panel.names, image.planes(), strict=True))

        def stack(planes: Array) -> dict[str, Array]:
            check(planes.shape[1])
            return dict(panel.predict_stack(planes, tta=options.tta))

        # a stack is predicted on its own pixels
        return cls(predict, None if other_sizes else stack, halo_of(panel), stride_of(panel))

    def each(self, fields: Sequence[Field]) -> Iterator[tuple[Field, Array, dict[str, Array]]]:
        """Each field with its (P, Y, X) planes and {marker: (Y, X)}.

        Raises
        ------
        DataError
            A field that cannot be read or predicted; it is named.
        """
        for batch, phases in _batches(fields, self.batch if self.predict_batch else 1):
            yield from zip(batch, phases, self._of_batch(batch, phases), strict=True)

    def _of_batch(self, fields: Sequence[Field], phases: Sequence[Array]) -> list[dict[str, Array]]:
        found: list[dict[str, Array]] = []
        if self.predict_batch is not None and len(fields) > 1:
            with suppress(DataError):  # told below, by the field that is at fault
                stained = self.predict_batch(np.stack(phases))  # (N, P, Y, X)
                found = [
                    {m: np.asarray(v)[i] for m, v in stained.items()} for i in range(len(fields))
                ]
        if not found:
            found = [self._of_field(f, phase) for f, phase in zip(fields, phases, strict=True)]
        if not all(found):
            raise InputError(
                "the model predicts no marker", "give a model with one marker at least"
            )
        return found

    def _of_field(self, field: Field, phase: Array) -> dict[str, Array]:
        wide, inside = field.with_context(self.context_px, align_px=self.align_px)
        try:
            planes = phase if wide is field else wide.read_phase()
            stains = self.predict(planes, field.pixel_size_um)
        except DataError as error:
            raise DataError(error.reason, error.remedy, file=field.phase) from error
        return {marker: np.asarray(stain)[inside] for marker, stain in stains.items()}


def _batches(fields: Sequence[Field], size: int) -> Iterator[tuple[list[Field], list[Array]]]:
    """Fields with their phase images: single cells of one shape together, others alone."""
    for single_cell, run in groupby(fields, key=lambda f: bool(f.row.get("cell"))):
        batch: list[Field] = []
        phases: list[Array] = []
        for field in run:
            phase = field.read_phase()
            if batch and (not single_cell or len(batch) >= size or phase.shape != phases[0].shape):
                yield batch, phases
                batch, phases = [], []
            batch.append(field)
            phases.append(phase)
        yield batch, phases
