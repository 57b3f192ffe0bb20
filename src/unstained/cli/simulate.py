"""``unstained simulate``: make fields and movies of cells whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._group import WholeSentences
from ._progress import Bar
from ._words import listed
from .simulate_colonies import colonies

if TYPE_CHECKING:
    from ..simulate.optics import Modality, Optics

app = typer.Typer(
    cls=WholeSentences,
    help="Make images of cells whose truth is known.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

_MARKERS = "Names, with commas between them; `all` for every preset."


@app.callback()
def simulate() -> None:
    """Make images of cells whose truth is known."""


@app.command()
def pairs(
    out: Annotated[Path, typer.Option(help="New folder for images and manifest.csv.")],
    fields: Annotated[int, typer.Option(help="Fields; about a sixth are for testing.")] = 6,
    size: Annotated[int, typer.Option(help="Side of a field, pixels.")] = 512,
    markers: Annotated[str, typer.Option(help=_MARKERS)] = "NUCLEUS,BODY,GRANULES",
    density: Annotated[float, typer.Option(help="Cells per mm2.")] = 150.0,
    spread: Annotated[float, typer.Option(help="How far cells spread, 0.3 to 1.5.")] = 1.0,
    modality: Annotated[str, typer.Option(help="phase, brightfield or dic.")] = "phase",
    pixel_size: Annotated[float, typer.Option(help="Micrometers.")] = 0.65,
    defocus: Annotated[float, typer.Option(help="Micrometers out of focus.")] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same pixels.")] = 0,
    workers: Annotated[int, typer.Option(help="Threads.")] = 2,
) -> None:
    """Write pairs of label-free images and stains, ready for `unstained staining train`."""
    from ..simulate import write_pairs

    with Bar("simulating") as bar:
        manifest = write_pairs(
            out,
            fields=fields,
            size=size,
            markers=_names(markers),
            seed=seed,
            density_per_mm2=density,
            spread=spread,
            optics=_optics(modality, pixel_size, defocus),
            workers=workers,
            progress=bar,
        )
    print(f"{manifest}  ({fields} fields; the column ceiling_r_s has the best reachable r_s)")


@app.command()
def movie(
    out: Annotated[Path, typer.Option(help="New folder for the movie and its truth.")],
    frames: Annotated[int, typer.Option(help="Frames.")] = 60,
    interval: Annotated[float, typer.Option(help="Seconds from frame to frame.")] = 120.0,
    size: Annotated[int, typer.Option(help="Side of the field, pixels.")] = 512,
    cells: Annotated[int, typer.Option(help="Cells at the start.")] = 15,
    markers: Annotated[str, typer.Option(help=_MARKERS)] = "CD105,CD29,CD44,STRO-1",
    tau_min: Annotated[
        float, typer.Option(help="Correlation time of the expression, minutes.")
    ] = 40.0,
    correlation: Annotated[
        float, typer.Option(help="Of any two markers over one cell's time.")
    ] = 0.2,
    cycle_h: Annotated[float, typer.Option(help="Hours from birth to division.")] = 24.0,
    wave_min: Annotated[
        float, typer.Option(help="Period of the pattern that travels along a cell, minutes.")
    ] = 120.0,
    wave_um: Annotated[float, typer.Option(help="Its length, micrometers.")] = 40.0,
    wave_amplitude: Annotated[float, typer.Option(help="Of the stain, 0 to 1; 0: none.")] = 0.15,
    modality: Annotated[str, typer.Option(help="phase, brightfield or dic.")] = "phase",
    pixel_size: Annotated[float, typer.Option(help="Micrometers.")] = 0.65,
    defocus: Annotated[float, typer.Option(help="Micrometers out of focus.")] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same pixels.")] = 0,
    workers: Annotated[int, typer.Option(help="Threads.")] = 2,
) -> None:
    """Write a movie as OME-Zarr, with tracks, lineage, expression and shape as they truly are."""
    from ..simulate import Movie, MovieSettings, write_movie

    made = Movie(
        MovieSettings(
            frames=frames,
            interval_s=interval,
            size=size,
            cells=cells,
            markers=_names(markers),
            tau_min=tau_min,
            fluctuation_correlation=correlation,
            cycle_h=cycle_h,
            wave_period_min=wave_min,
            wave_period_um=wave_um,
            wave_amplitude=wave_amplitude,
            optics=_optics(modality, pixel_size, defocus),
            seed=seed,
        )
    )
    with Bar("simulating") as bar:
        image = write_movie(made, out, workers=workers, progress=bar)
    print(
        f"{image}  ({frames} frames, {len(made.tracks)} cells)\n"
        f"tracks      {out / 'res_track.txt'}  (L B E P)\n"
        f"lineage     {out / 'lineage.csv'}\n"
        f"expression  {out / 'expression.csv'}\n"
        f"shape       {out / 'shape.csv'}"
    )


app.command()(colonies)


def _optics(modality: str, pixel_size_um: float, defocus_um: float) -> Optics:
    from typing import cast

    from ..simulate import Optics

    return Optics(
        modality=cast("Modality", modality), pixel_size_um=pixel_size_um, defocus_um=defocus_um
    )


def _names(markers: str) -> tuple[str, ...]:
    from ..simulate import MARKERS

    if markers.strip().lower() == "all":
        return tuple(MARKERS)
    return tuple(dict.fromkeys(listed(markers)))
