"""What the commands of ``unstained dynamics`` share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import DataError, count_of

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.figure import Figure

    from ..dynamics.traces import MarkerTraces

__all__ = [
    "Border",
    "Cells",
    "Least",
    "Out",
    "Segmentation",
    "Stains",
    "named",
    "relative_traces",
    "save_both",
    "say_absent",
    "say_slopes",
    "say_traces",
]

Cells = Annotated[Path, typer.Argument(metavar="CELLS.h5ad", help="A table of followed cells.")]
Border = Annotated[
    bool, typer.Option("--border", help="Keep cells while they touch the image's edge.")
]
Least = Annotated[int, typer.Option(metavar="N", help="Leave out cells with fewer frames.")]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder for tables and figures.")]
Segmentation = Annotated[
    Path | None, typer.Option(metavar="DIR", help="In place of what the table names.")
]
Stains = Annotated[Path | None, typer.Option(metavar="DIR", help="The same; with --segmentation.")]


def save_both(figure: Figure, out: Path, name: str) -> None:
    """PNG for the screen, SVG for the paper."""
    from ..figures.style import save_figure

    for suffix in (".png", ".svg"):
        save_figure(figure, out / f"{name}{suffix}")


def say_absent(file: Path, table: AnnData, *names: str) -> None:
    """A note for each of these columns that the table lacks."""
    from ..cell_table import absent_notes

    for note in absent_notes(table, *names):
        print(f"note: {file} {note}")


@contextmanager
def named(marker: str) -> Iterator[None]:
    """Says which marker a `DataError` is about, and how to go on without it."""
    try:
        yield
    except DataError as error:
        raise DataError(
            f"{marker}: {error.reason}",
            f"{error.remedy}, or name the other markers with --markers",
            file=error.file,
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


def say_traces(found: MarkerTraces) -> None:
    """How many cells, lineages, frames and markers there are."""
    n_lineages = len(set(found.lineage.tolist()))
    print(
        f"{count_of(len(found.track), 'cell')} of {count_of(n_lineages, 'lineage')}, "
        f"{_frames_in_words(found)}, {count_of(len(found.markers), 'marker')}"
    )


def _frames_in_words(found: MarkerTraces) -> str:
    """How many frames have a cell, and how far they are apart."""
    import numpy as np

    there = np.flatnonzero(np.isfinite(found.values).any(axis=(0, 1)))
    step = int(np.gcd.reduce(np.diff(there))) if there.size > 1 else 1
    n = len(range(there[0], there[-1] + 1, step))
    said = f"{count_of(n, 'frame')} every {step * found.frame_interval_s / 60:g} min"
    return said + (f" ({n - there.size} without a cell)" if there.size < n else "")


def say_slopes(relative: MarkerTraces) -> None:
    """Which markers rise or fall in all cells alike, as in cells that grow."""
    from ..dynamics.trends import common_slope

    said = []
    for marker, values in zip(relative.markers, relative.values, strict=True):
        slope = common_slope(values, relative.frame_interval_s, groups=relative.lineage)
        if slope.low > 0 or slope.high < 0:
            said.append(f"{marker} {100 * slope.estimate:+.0f}%")
    if said:
        print(
            f"note: levels rise or fall in all cells alike: {', '.join(said)} an hour (growth, "
            "bleaching); that is part of these correlation times unless --detrend line takes it out"
        )
