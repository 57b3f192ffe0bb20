"""What the commands of ``unstained dynamics`` share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..dynamics.traces import MarkerTraces

__all__ = [
    "Border",
    "Cells",
    "Least",
    "Out",
    "named",
    "relative_traces",
    "save_both",
    "split_names",
]

Cells = Annotated[Path, typer.Argument(metavar="CELLS.h5ad", help="A table of followed cells.")]
Border = Annotated[
    bool, typer.Option("--border", help="Keep cells while they touch the image's edge.")
]
Least = Annotated[int, typer.Option(metavar="N", help="Leave out cells with fewer frames.")]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder for tables and figures.")]


def split_names(names: str) -> list[str]:
    """``A, B`` to its parts."""
    return [name.strip() for name in names.split(",")]


def save_both(figure: Figure, out: Path, name: str) -> None:
    """PNG for the screen, SVG for the paper."""
    from ..figures.style import save_figure

    for suffix in (".png", ".svg"):
        save_figure(figure, out / f"{name}{suffix}")


@contextmanager
def named(marker: str) -> Iterator[None]:
    """Says which marker a `DataError` is about, and how to go on without it."""
    from ..errors import DataError

    try:
        yield
    except DataError as error:
        raise DataError(
            f"{marker}: {error.reason}", f"{error.remedy}, or name the other markers with --markers"
        ) from error


def relative_traces(found: MarkerTraces) -> MarkerTraces:
    """Every marker over each cell's own mean."""
    import numpy as np

    from ..dynamics.trends import relative_fluctuation

    values = []
    for marker, one in zip(found.markers, found.values, strict=True):
        with named(marker):
            values.append(relative_fluctuation(one))
    return found._replace(values=np.stack(values), low=None, high=None)
