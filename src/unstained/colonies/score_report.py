"""Figures and tables of an evaluation."""

from __future__ import annotations

from pathlib import Path

from ..figures import confusion_figure, mistakes_grid, reliability_figure, save_figure
from .classifier import ColonyClassifier
from .evaluation import Evaluation
from .examples import Examples
from .learning_figures import learning_figures
from .patch_figures import patch_figures
from .training import write_table

__all__ = ["write_score_report"]


def write_score_report(
    found: Evaluation,
    examples: Examples,
    classifier: ColonyClassifier,
    folder: Path,
    history: Path | None = None,
) -> list[Path]:
    """Write the predictions, the confusion matrix, reliability, mistakes and patches.

    Parameters
    ----------
    found : Evaluation
        Of the labelled ones among `examples`, in their order.
    examples : Examples
        Those of several classes among them are drawn, not scored.
    history : Path, optional
        ``student.jsonl`` of the training, if there is one: how it learned is drawn too, the
        shares of its pseudo-labels without the true ones, which a training does not note.
    """
    names = classifier.classes
    scored = examples.take((examples.codes(names) >= 0).nonzero()[0])
    write_table(found.table, folder / "predictions.csv")
    write_table(found.reliability, folder / "reliability.csv")
    surest = found.table.assign(row=range(len(found.table))).sort_values("confidence")
    surest = surest.drop_duplicates(["label", "class"], keep="last")
    columns = (surest[c].tolist() for c in ("label", "class", "row"))
    plain = scored.with_stains(None)
    patches = {(t, p): plain.read(row).pixels[0] for t, p, row in zip(*columns, strict=True)}
    figures = {
        "confusion.png": confusion_figure(found.scores.confusion, names),
        "reliability.png": reliability_figure(found.reliability),
        "mistakes.png": mistakes_grid(patches, names),
    }
    written = [save_figure(figure, folder / name) for name, figure in figures.items()]
    written += patch_figures(examples, classifier, folder)
    if history is not None and history.is_file():
        written += learning_figures(history, names, folder)
    return [folder / "predictions.csv", folder / "reliability.csv", *written]
