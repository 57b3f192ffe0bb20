"""``unstained cells outline`` and ``export``: outlines drawn by hand, and labels as outlines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from ._words import expanded

__all__ = ["export", "outline"]


def outline(
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="Images, movies, folders of images.")
    ],
    outlines: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="ImageJ .roi or .zip, GeoJSON, an image of labels, or a folder of the Cell "
            "Tracking Challenge with its tracks; one for each image, or a folder of them.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to make.")],
    nuclei: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="The same of nuclei, as FILE.ome.zarr/labels/nuclei; one for each image, or a "
            "folder of them.",
        ),
    ] = None,
    movie: Annotated[
        bool,
        typer.Option(
            "--movie",
            help="The files of a folder are the frames of one movie, told apart by a number.",
        ),
    ] = False,
    pixel_size: Annotated[
        float | None, typer.Option(metavar="UM", help="Micrometers; else as the files say.")
    ] = None,
    interval: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds between frames; else as they say.")
    ] = None,
    channel: Annotated[
        str | None, typer.Option(help="Where files have several: its name or position.")
    ] = None,
) -> None:
    """Make a segmentation folder from outlines that were drawn by hand or come from elsewhere.

    Where outlines overlap, the smallest gets the pixels. Several images: a file of outlines is
    named after its image, or lies beside it.
    """
    from ..cells.outline_folder import segmentation_from_outlines
    from ..cells.segmentation_sources import SourceOptions

    options = SourceOptions(pixel_size, interval, channel, movie)
    drawn = segmentation_from_outlines(
        expanded(images), outlines, out, options, nuclei=nuclei or ()
    )
    for name, counts in drawn.cells.items():
        frames = "" if len(counts) == 1 else f" in {len(counts)} frames"
        tracks = f", {drawn.tracks[name]} tracks" if name in drawn.tracks else ""
        print(f"{name}: {sum(counts)} cells{frames}{tracks}")
    for note in drawn.notes:
        print(f"note: {note}")
    print(f"segmentation: {out}")


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A segmentation folder.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to make.")],
    kind: Annotated[str, typer.Option("--format", help="imagej or geojson (QuPath).")] = "imagej",
) -> None:
    """Write the outlines of a segmentation folder, to be corrected in ImageJ or QuPath.

    Bring them back with `unstained cells outline`.
    """
    from ..cells.outline_folder import export_outlines

    made = export_outlines(folder, out, cast(Literal["imagej", "geojson"], kind))
    for path in made.files:
        print(path)
    for note in made.notes:
        print(f"note: {note}")
