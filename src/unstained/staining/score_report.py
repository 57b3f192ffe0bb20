"""Figures and tables of one or several scored models, in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..figures import Amounts, amount_scatter, save_figure, score_boxplots
from ..images.atomic import make_folder, write_csv, write_json
from .compare import compare_models, score_frame
from .score_table import ScoreTable

__all__ = ["write_score_report"]

_LABELS = {
    "r_s": "r$_s$",
    "r_lap": "r$_{lap}$",
    "mae": "mean absolute error (units of the stain)",
    "ssim": "SSIM",
}


def write_score_report(tables: Mapping[str, ScoreTable], folder: Path) -> list[Path]:
    """Write tables (CSV, JSON) and figures (PNG) of each model, and their comparison.

    ``scores.json`` has the summaries, ``pairs_MODEL.csv`` the scores of every pair,
    ``amounts_MODEL.png`` predicted against measured sums. For each of r_s, r_lap, mae and ssim,
    ``boxplot_SCORE.png`` has the models and baselines side by side, and, where there are several
    models, stars from ``comparison_SCORE.csv``: paired tests, Holm-corrected. Of mae less is
    better.
    """
    make_folder(folder)
    summaries = {name: table.summary() for name, table in tables.items()}
    written = [write_json(folder / "scores.json", summaries)]
    for name, table in tables.items():
        written.append(write_csv(table.pairs, folder / f"pairs_{name}.csv", float_format=None))
        amounts = {m: _amounts(table, m) for m in table.markers}
        written.append(save_figure(amount_scatter(amounts), folder / f"amounts_{name}.png"))
    for score, label in _LABELS.items():
        compared = compare_models(tables, score=score) if len(tables) > 1 else None
        frame = score_frame(tables, score=score)
        figure = score_boxplots(frame, compared, label=label)
        written.append(save_figure(figure, folder / f"boxplot_{score}.png"))
        if compared is not None:
            file = folder / f"comparison_{score}.csv"
            written.append(write_csv(compared, file, float_format=None))
    return written


def _amounts(table: ScoreTable, marker: str) -> Amounts:
    cells = table.cells(marker)
    rows = cells if len(cells) else table.blocks(marker)
    classes = rows["class_"].tolist() if (rows["class_"] != "").any() else None
    unit = "cell" if len(cells) else "block"
    return Amounts(rows["measured"].to_numpy(), rows["predicted"].to_numpy(), unit, None, classes)
