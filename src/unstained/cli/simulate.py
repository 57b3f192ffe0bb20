"""``unstained simulate``: make fields and movies of cells whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._progress import Bar
from .simulate_colonies import colonies

if TYPE_CHECKING:
    from ..simulate.optics import Modality, Optics

app = typer.Typer(
    help="Make images of cells whose truth is known.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
app.command()(colonies)

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
            optics=_optics(modality, pixel_size, defocus),
            workers=workers,
            progress=bar,
        )
    print(f"{manifest}  ({fields} fields; the column ceiling_r_s has the best reachable r_s)")


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
    return tuple(dict.fromkeys(name.strip() for name in markers.split(",") if name.strip()))
