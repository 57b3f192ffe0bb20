"""``unstained demo``: the main job on a real field, from nothing to a scored prediction."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import NetworkError
from ._progress import TrainingReport

if TYPE_CHECKING:
    from ..images.pairs import Pairs

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for model, pictures and results.")] = Path(
        "demo"
    ),
    steps: Annotated[int, typer.Option(help="Steps of training.")] = 200,
    seed: Annotated[int, typer.Option(help="Of weights, order and augmentation.")] = 0,
) -> None:
    """Train on a part of a real field of neurons, predict the rest, and score it."""
    from ..staining.demo import is_finished, run_demo
    from ..staining.settings import TrainSettings
    from ._scores import print_scores

    if is_finished(out):
        print(f"{out} holds a finished demo; name another folder with --out to run it again")
        return
    settings = TrainSettings.preset("fast", steps=steps, seed=seed)
    _, table = run_demo(_pairs(out), out, settings, report=TrainingReport("training"), say=print)
    print_scores("model", table)
    print(
        f"\npictures    {out / 'pictures'}  (phase, stain, prediction, difference; composite)\n"
        f"OME-Zarr    {out / 'prediction.ome.zarr'}, {out / 'measured.ome.zarr'}\n"
        f"scores      {out / 'scores'}\n"
        f"model       {out / 'model'}  (unstained staining card {out / 'model'})"
    )


def _pairs(folder: Path) -> Pairs:
    """The real field `isl`; where it cannot be had, simulated fields, and a line says so."""
    from ..images import load_pairs

    try:
        return load_pairs("isl")
    except NetworkError as error:
        from ..simulate import write_pairs

        print(f"no real field can be had ({error.reason}): simulated cells are used instead")
        manifest = folder / "simulated" / "manifest.csv"
        return load_pairs(manifest if manifest.exists() else write_pairs(folder / "simulated"))
