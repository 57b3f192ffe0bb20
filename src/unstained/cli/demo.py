"""``unstained demo``: the main job on a real field, from nothing to a scored prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ._progress import TrainingReport

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for model, pictures and results.")] = Path(
        "demo"
    ),
    steps: Annotated[int, typer.Option(help="Steps of training.")] = 300,
    seed: Annotated[int, typer.Option(help="Of weights, order and augmentation.")] = 0,
) -> None:
    """Train on a part of a real field of neurons, predict the rest, and score it."""
    from ..staining.demo import run_demo
    from ..staining.panel import MODEL
    from ..staining.settings import TrainSettings
    from .staining import _print_scores

    if (out / "model" / MODEL).exists():
        print(f"{out} holds a finished demo; name another folder with --out to run it again")
        return
    settings = TrainSettings.preset("fast", steps=steps, seed=seed)
    _, table = run_demo(out, settings, report=TrainingReport("training"), say=print)
    _print_scores("model", table)
    print(
        f"\npictures    {out / 'pictures'}  (phase, stain, prediction, difference; composite)\n"
        f"OME-Zarr    {out / 'prediction.ome.zarr'}, {out / 'measured.ome.zarr'}\n"
        f"scores      {out / 'scores'}\n"
        f"model       {out / 'model'}  (unstained staining card {out / 'model'})"
    )
