"""What the commands of ``unstained dynamics`` share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Border", "Cells", "Out", "save_both", "split_names"]

Cells = Annotated[Path, typer.Argument(metavar="CELLS.h5ad", help="A table of followed cells.")]
Border = Annotated[
    bool, typer.Option("--border", help="Keep cells while they touch the image's edge.")
]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder for tables and figures.")]


def split_names(names: str) -> list[str]:
    """``A, B`` to its parts."""
    return [name.strip() for name in names.split(",")]


def save_both(figure: Figure, out: Path, name: str) -> None:
    """PNG for the screen, SVG for the paper."""
    from ..figures.style import save_figure

    for suffix in (".png", ".svg"):
        save_figure(figure, out / f"{name}{suffix}")
