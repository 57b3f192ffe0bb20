"""Figure, table and sentences of a study, in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ...figures import save_figure
from ...images.atomic import write_csv, write_text
from .runs import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["write_study"]


def write_study(
    out: Path, name: str, table: pd.DataFrame, words: Sequence[str], figure: Figure
) -> Study:
    """Leave ``NAME.png``, ``NAME.csv`` and ``NAME.txt``."""
    picture = save_figure(figure, out / f"{name}.png")
    write_csv(table, out / f"{name}.csv", float_format=None)
    write_text(out / f"{name}.txt", "\n".join(words) + "\n")
    return Study(table, tuple(words), (picture, out / f"{name}.csv", out / f"{name}.txt"))
