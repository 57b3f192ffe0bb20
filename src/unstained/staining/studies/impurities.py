"""Whose dirt does harm: that of the training images, or that of the test images?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...errors import InputError
from ...figures import impurity_bars
from ...images.impurities import add_dust, add_speckles
from ...images.pairs import Pairs
from ...images.splits import split_pairs
from ...statistics import MIN_GROUPS, Interval, mean_interval
from ..settings import TrainSettings
from ..training import Report
from .changed import changed
from .report import write_study
from .runs import Run, Study, begin_study, groups_of, mean_scores, run_all, without_test

__all__ = ["impurity_study"]

DENSITY_PER_MPX = 150.0
_KINDS = {"dust": "phase", "speckles": "stain"}


def impurity_study(
    pairs: Pairs,
    out: str | Path,
    settings: TrainSettings,
    *,
    per_mpx: float = DENSITY_PER_MPX,
    report: Report,
    say: Callable[[str], None] = print,
) -> Study:
    """Add dust to label-free images and speckles to stains, of training, of test, of both.

    Three trainings: on clean pairs, on dusty label-free images, on speckled stains. Each dirty
    model is scored on clean and on dirty test pairs, the clean model on all.

    Parameters
    ----------
    pairs : Pairs
        Taken as clean. Split by group first, where they are not.
    out : path
    settings : TrainSettings
    per_mpx : float
        Grains or speckles per megapixel.
    report, say
        Progress of a training; sentences for the user.

    Raises
    ------
    InputError
        The density is negative or not finite, or `out` holds another study.
    """
    if not 0 <= per_mpx < np.inf:
        raise InputError(f"{per_mpx:g} grains per megapixel", "give 0 or more")
    pairs = split_pairs(pairs, seed=settings.seed)
    out = Path(out)
    begin_study(out, "impurities", pairs, settings, per_mpx=per_mpx)

    def dust(image: np.ndarray[Any, Any], marker: str, rng: np.random.Generator) -> Any:
        return add_dust(image, rng, per_mpx=per_mpx)

    def speckles(image: np.ndarray[Any, Any], marker: str, rng: np.random.Generator) -> Any:
        return add_speckles(image, rng, per_mpx=per_mpx)

    dirty = {
        kind: changed(
            pairs,
            out / "data" / kind,
            column=column,
            change=dust if kind == "dust" else speckles,
            seed=settings.seed,
        )
        for kind, column in _KINDS.items()
    }
    tests = {"clean": pairs.of_split("test")}
    tests |= {kind: of_kind.of_split("test") for kind, of_kind in dirty.items()}
    runs = [Run("clean", without_test(pairs), tests, settings.seed)]
    runs += [
        Run(
            kind,
            without_test(of_kind),
            {name: tests[name] for name in ("clean", kind)},
            settings.seed,
        )
        for kind, of_kind in dirty.items()
    ]
    scores = run_all(runs, out, settings, report=report, say=say)
    table = _table(scores)
    return write_study(out, "impurities", table, _words(_losses(scores)), impurity_bars(table))


def _table(scores: pd.DataFrame) -> pd.DataFrame:
    """impurity, dirty ("none", "training", "test", "both"), marker, and each score's mean."""
    rows: list[dict[str, Any]] = []
    for kind in _KINDS:
        images = {  # those of training and those of the test
            "none": ("clean", "clean"),
            "test": ("clean", kind),
            "training": (kind, "clean"),
            "both": (kind, kind),
        }
        for dirty, (training, test) in images.items():
            part = scores[(scores["run"] == training) & (scores["test"] == test)]
            rows += [
                {"impurity": kind, "dirty": dirty, "marker": marker}
                | mean_scores(of_marker, ("r_s", "r_lap"))
                for marker, of_marker in part.groupby("marker", sort=False)
            ]
    return pd.DataFrame(rows)


def _losses(scores: pd.DataFrame) -> dict[tuple[str, str], Interval]:
    """What dirt of a kind in "training", "test" or "both" costs in r_s, mean over markers.

    Paired: of each test image the clean r_s less the dirty one. No bounds for fewer than three
    images.
    """

    def rows(run: str, test: str) -> pd.DataFrame:
        # copies have names of their own, but stand in the order of the clean images
        return scores[(scores["run"] == run) & (scores["test"] == test)].reset_index(drop=True)

    clean = rows("clean", "clean")
    losses = {}
    for kind in _KINDS:
        dirty = {"training": (kind, "clean"), "test": ("clean", kind), "both": (kind, kind)}
        for where, (run, test) in dirty.items():
            loss = clean.assign(loss=clean["r_s"] - rows(run, test)["r_s"])
            images = loss.groupby("pair", sort=False).agg({"loss": "mean", "group": "first"})
            span = mean_interval(images["loss"].to_numpy(), groups=groups_of(images))
            losses[kind, where] = span.alone() if span.n < MIN_GROUPS else span
    return losses


def _words(losses: dict[tuple[str, str], Interval]) -> list[str]:
    words = []
    for kind, column in _KINDS.items():
        in_set = {where: losses[kind, where] for where in ("training", "test", "both")}
        image = "label-free images" if column == "phase" else "stains"
        words.append(
            f"{kind.capitalize()} on {image} cost r_s {_cost(in_set['training'])} in the training "
            f"set, {_cost(in_set['test'])} in the test set, {_cost(in_set['both'])} in both: "
            f"{_advice(in_set['training'], in_set['test'])}."
        )
    words.append(
        "Speckles of the test stain are in no label-free image: no model can predict them, and "
        "what they cost there is the stain's fault."
    )
    return words


def _cost(loss: Interval) -> str:
    interval = f" ({loss.low:+.3f} to {loss.high:+.3f})" if np.isfinite(loss.low) else ""
    return f"{loss.estimate:.3f}{interval}"


def _advice(training: Interval, test: Interval) -> str:
    """Which images to clean first: of those whose loss is more than chance, the costlier.

    A loss is so where its interval, rounded as it is reported, lies above 0.
    """
    if not np.isfinite([training.low, test.low]).all():
        return f"{MIN_GROUPS} test images at least are needed to tell this from chance"
    sure = {"training": training, "test": test}
    sure = {where: loss for where, loss in sure.items() if round(loss.low, 3) > 0}
    if not sure:
        return "neither the training nor the test set's dirt costs more than chance"
    return f"clean the {max(sure, key=lambda where: sure[where].estimate)} images first"
