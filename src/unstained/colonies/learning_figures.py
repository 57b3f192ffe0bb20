"""How a method with pseudo-labels learned, drawn from its history."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from ..figures import class_shares, loss_curves, sampling_weights, save_figure

__all__ = ["learning_figures"]


def learning_figures(
    history: Path, names: Sequence[str], folder: Path, true: Mapping[str, float] | None = None
) -> list[Path]:
    """Losses, class shares of the pseudo-labels and sampling weights over the epochs.

    Parameters
    ----------
    history : Path
        ``student.jsonl``, a line per epoch.
    names : sequence of str
        Classes in the order of the shares.
    folder : Path
        Gets ``losses.png``, ``shares.png`` and ``weights.png``.
    true : mapping of str to float, optional
        True shares of the classes among the unlabelled, where they are known.
    """
    lines = [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines()]
    numbers = pd.DataFrame(lines)[["epoch", "student_loss", "teacher_loss", "recall"]]
    table = numbers.astype(float).rename(columns={"recall": "validation"})
    by_class = pd.DataFrame(
        [
            {"epoch": line["epoch"], "class": name, "share": share, "weight": weight}
            for line in lines
            for name, share, weight in zip(names, line["shares"], line["weights"], strict=True)
        ]
    )
    figures = {
        "losses.png": loss_curves(table),
        "shares.png": class_shares(by_class, true=true),
        "weights.png": sampling_weights(by_class),
    }
    return [save_figure(figure, folder / name) for name, figure in figures.items()]
