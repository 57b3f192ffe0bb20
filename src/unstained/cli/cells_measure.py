"""``unstained cells measure`` and ``agree``: a table of cells, and how far to trust it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ._progress import Bar
from ._words import listed

__all__ = ["agree", "measure"]


def measure(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Of unstained cells segment or outline.")
    ],
    out: Annotated[Path, typer.Option(metavar="H5AD", help="The table to write.")],
    stains: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Of unstained staining predict; or NAME_MARKER.tif of each image; or a manifest "
            "CSV with phase, stain, marker, group.",
        ),
    ] = None,
    channels: Annotated[
        str, typer.Option(metavar="A,B,...", help="Stains in the segmented files themselves.")
    ] = "",
    conditions: Annotated[
        Path | None, typer.Option(metavar="CSV", help="image,donor,passage,... for each image.")
    ] = None,
    bands: Annotated[
        Path | None, typer.Option(metavar="JSON", help="Of unstained cells agree.")
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="JSON",
            help="Of unstained cells agree, for predicted stains: unfamiliar cells are flagged, "
            "their markers left empty.",
        ),
    ] = None,
    background: Annotated[
        str,
        typer.Option(help="outside, ring (about each cell), none, or a grey value."),
    ] = "outside",
    neighbor_um: Annotated[
        float, typer.Option(metavar="UM", help="Cells with centers this near are neighbors.")
    ] = 100.0,
    frame_interval: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds from frame to frame.")
    ] = None,
    pixel_size: Annotated[
        float | None, typer.Option(metavar="UM", help="Micrometers; else as the files say.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the table.")] = False,
) -> None:
    """Measure stain, shape, place and neighbors of every cell: one table, as .h5ad."""
    from ..cell_table import names_of
    from ..cells.measure import MeasureSettings
    from ..cells.measure_files import FileOptions, measure_folder
    from ..errors import FileError, count_of

    if out.exists() and not overwrite:
        raise FileError("exists already", "choose another --out, or give --overwrite", file=out)
    settings = MeasureSettings(background=background, neighbor_um=neighbor_um)
    options = FileOptions(
        stains,
        tuple(listed(channels)),
        conditions,
        pixel_size,
        frame_interval,
        bands=bands,
        reference=reference,
    )
    with Bar("frames") as bar:
        cells, notes = measure_folder(folder, out, settings, options, progress=bar)
    frames = cells.obs.drop_duplicates(["image", "frame"])
    print(
        f"{count_of(cells.n_obs, 'cell')} in {count_of(len(frames), 'frame')} "
        f"of {count_of(frames['image'].nunique(), 'image')}: {out}"
    )
    print(f"markers: {', '.join(names_of(cells, 'marker')) or 'none'}")
    for note in notes:
        print(f"note: {note}")


def agree(
    predicted: Annotated[
        Path, typer.Argument(metavar="PREDICTED.h5ad", help="Cells measured in predicted stains.")
    ],
    measured: Annotated[
        Path, typer.Argument(metavar="MEASURED.h5ad", help="The same outlines, real stains.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to make.")],
    group: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="donor, well, image ...: held out in turn."),
    ] = None,
    training: Annotated[
        Path | None,
        typer.Option(
            metavar="CELLS.h5ad",
            help="The cells that the model was trained on: what is unlike them is flagged.",
        ),
    ] = None,
    level: Annotated[
        float, typer.Option(metavar="SHARE", help="Of cells that the bands are to hold.")
    ] = 0.6,
) -> None:
    """Compare predicted with measured cells: how far to trust new predictions.

    Writes tables, figures, bands.json and reference.json, the last two for unstained cells measure.
    """
    from ..cells.agreement_report import agree_files, agreement_lines

    found = agree_files(predicted, measured, out, group=group, level=level, training=training)
    for line in agreement_lines(found):
        print(line)
    for note in found.notes:
        print(f"note: {note}")
    print(found.folder)
