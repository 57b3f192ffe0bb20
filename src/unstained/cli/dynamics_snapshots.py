"""``unstained dynamics snapshots``: a movie at a few times."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import DataError, InputError, contents_of
from ._dynamics import Cells, Out, Segmentation, Stains, save_both
from ._tables import check_folder, new_folder
from ._words import numbers
from .dynamics_kymograph import chosen_markers, pixels_of

__all__ = ["snapshots"]


def snapshots(
    cells: Cells,
    out: Out,
    hours: Annotated[
        str | None, typer.Option(metavar="H,H,...", help="Four over the movie if not given.")
    ] = None,
    image: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where the table has several movies.")
    ] = None,
    markers: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="All if not given.")
    ] = None,
    segmentation: Segmentation = None,
    stains: Stains = None,
) -> None:
    """The label-free image and its stains at a few times, on the same grey values.

    Writes snapshots as PNG and SVG.
    """
    import numpy as np

    from ..cell_table import read_cells
    from ..figures.dynamics_snapshots import snapshot_figure

    check_folder(out)
    table = read_cells(cells)
    known = sorted(table.obs["image"].astype(str).unique())
    if image is None and len(known) > 1:
        raise InputError(f"{len(known)} movies", f"choose --image: {', '.join(known)}")
    name = known[0] if image is None else image
    if name not in known:
        raise InputError(f"no image {name!r}", f"there are {', '.join(known)}", file=cells)
    with contents_of(cells):
        pixels = pixels_of(table, name, segmentation, stains)
        phase = pixels.image()
    if pixels.pixel_size_um is None or pixels.frame_interval_s is None:
        raise DataError(
            f"image {name} has no pixel size or no frame interval",
            "give them to unstained cells measure",
            file=cells,
        )
    step_h, last = pixels.frame_interval_s / 3600, phase.shape[0] - 1
    at = _frames(hours, step_h, last)
    shown = {marker: pixels.stains[marker] for marker in chosen_markers(pixels.stains, markers)}
    for stain in shown.values():
        if stain.shape[0] != phase.shape[0] or stain.shape[3:] != phase.shape[3:]:
            raise DataError(
                f"a stain of shape {stain.shape} (T, C, Z, Y, X) for an image of {phase.shape}",
                "give stains of the movie that was segmented",
                file=stain.source,
            )
    figure = snapshot_figure(
        np.stack([phase.plane(t) for t in at]),
        {marker: np.stack([stain.plane(t) for t in at]) for marker, stain in shown.items()},
        time_min=np.array(at) * 60 * step_h,
        pixel_size_um=pixels.pixel_size_um,
    )
    new_folder(out, "snapshots")
    save_both(figure, out, "snapshots")
    print(f"{name} at {', '.join(f'{t * step_h:.3g}' for t in at)} h: {out}")


def _frames(hours: str | None, step_h: float, last: int) -> list[int]:
    """The frames nearest to some hours, each once."""
    if hours is None:
        return sorted({round(last * i / 3) for i in range(4)})
    frames = [round(hour / step_h) for hour in numbers("--hours", hours, float)]
    if not frames or not all(0 <= frame <= last for frame in frames):
        raise InputError(f"--hours {hours}", f"the movie has hours 0 to {last * step_h:.3g}")
    return sorted(set(frames))
