"""The demonstration: train on one part of a real field, predict and score another part."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ..figures import (
    StainPanel,
    composite_figure,
    learning_curve,
    save_figure,
    stain_panels,
)
from ..images.image import Array, as_image
from ..images.ome_zarr_writer import write_ome_zarr
from ..images.pairs import Pairs
from ..learning.model_file import MODEL
from .card import record_scores, score_with_panel
from .panel import Panel
from .predict_plan import halo_of, stride_of
from .prediction import PredictOptions, Predictor
from .score_report import write_score_report
from .score_table import ScoreTable
from .settings import TrainSettings
from .training import Report, train

__all__ = ["is_finished", "run_demo"]

_LAST = Path("pictures", "learning.png")


def is_finished(folder: Path) -> bool:
    """Whether a demo left all that it leaves."""
    return (folder / _LAST).exists()


def run_demo(
    pairs: Pairs,
    folder: str | os.PathLike[str],
    settings: TrainSettings,
    *,
    report: Report,
    say: Callable[[str], None],
) -> tuple[Panel, ScoreTable]:
    """Train, predict the test part, score it, and leave everything in `folder`.

    ``model/`` is the model with its card, ``prediction.ome.zarr`` and ``measured.ome.zarr`` the
    test part, ``pictures/`` the figures, ``scores/`` tables. A demo that was broken off goes on.
    """
    folder = Path(folder)
    counts = [f"{len(pairs.of_split(s).fields())} {s}" for s in ("train", "validation", "test")]
    say(f"{pairs.name}: {', '.join(pairs.markers)}; parts of the images: {', '.join(counts)}")
    for note in pairs.notes:
        say(f"note: {note}")
    if (folder / "model" / MODEL).exists():  # broken off after the training
        panel = Panel.load(folder / "model")
    else:
        panel = train(pairs, folder / "model", settings, resume=True, report=report)
    options = PredictOptions(device=settings.device)
    table = score_with_panel(panel, pairs, split="test", options=options)
    record_scores(folder / "model", panel, "test", table)
    write_score_report({"model": table}, folder / "scores")
    _leave_pictures(folder, panel, pairs, table, options)
    return panel, table


def _leave_pictures(
    folder: Path, panel: Panel, pairs: Pairs, table: ScoreTable, options: PredictOptions
) -> None:
    field = pairs.of_split("test").fields()[0]
    planes = field.read_phase()
    predictor = Predictor(panel, options)
    # as for the scores beside the pictures
    wide, (y, x) = field.with_context(halo_of(panel), align_px=stride_of(panel))
    image = as_image(wide.read_phase(), "CYX", pixel_size_um=panel.pixel_size_um)
    predicted = predictor(image)
    predicted = replace(predicted, data=np.asarray(predicted.data)[..., y, x])
    measured = {m: field.read_stain(m) for m in panel.names if m in field.stains}
    stack = np.stack([measured[m] for m in measured])
    known = as_image(stack, "CYX", channels=list(measured), pixel_size_um=panel.pixel_size_um)
    write_ome_zarr(predicted, folder / "prediction.ome.zarr", overwrite=True)
    write_ome_zarr(known, folder / "measured.ome.zarr", overwrite=True)
    stains = dict(zip(panel.names, predicted.planes(), strict=True))
    phase = planes[len(planes) // 2]
    pictures = folder / "pictures"
    scores = table.summary()
    rows = [
        StainPanel(m, phase, measured[m], stains[m], f"r$_s$ {scores[m]['r_s']['mean']:.2f}")
        for m in measured
    ]
    size = panel.pixel_size_um
    save_figure(stain_panels(rows, pixel_size_um=size), pictures / "stains.png")
    colors = {m.name: m.color for m in panel.markers}
    save_figure(
        composite_figure(phase, stains, colors, measured=_as_float(measured), pixel_size_um=size),
        pictures / "composite.png",
    )
    save_figure(learning_curve(_history(folder / "model")), folder / _LAST)


def _as_float(stains: dict[str, Array]) -> dict[str, Array]:
    return {name: stain.astype(np.float32) for name, stain in stains.items()}


def _history(model: Path) -> pd.DataFrame:
    """Seconds and validation score of each member's training."""
    frames = [
        pd.read_json(path, lines=True)
        .rename(columns={"r_s": "value"})[["seconds", "value"]]
        .assign(model=path.parent.name)
        for path in sorted(model.rglob("history.jsonl"))
    ]
    return pd.concat(frames, ignore_index=True)
