"""``unstained cells train``: from labelled images to a model that outlines cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError
from ._progress import TrainingReport, newly_trained
from ._words import parse_settings

if TYPE_CHECKING:
    from ..cells.model import CellModel
    from ..learning.loop import Progress

__all__ = ["train"]


def train(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="usiigaci; a folder with images/ and labels/ (and nuclei/); a manifest CSV "
            "image,labels,group; or a folder of images with --labels.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="MODEL", help="Folder of the new model.")],
    labels: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Label images, named as the images.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="What images of one movie, well or donor have in common in their names, as a "
            "regular expression, such as well[0-9]+; a group is never taught and validated.",
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of training.")] = None,
    seed: Annotated[int, typer.Option(help="Of split, weights, order and patches.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on after a break.")] = False,
    release: Annotated[
        Path | None,
        typer.Option(metavar="FILE.zip", help="Also write the model as one file, with SHA-256."),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other setting; may be repeated."),
    ] = None,
) -> None:
    """Train a network that outlines cells in label-free images.

    Some groups of images choose the best weights and the thresholds; all others teach.
    """
    from ..cells.labelled import load_labelled
    from ..cells.settings import CellSettings
    from ..cells.training import train_cells, write_release

    if release is not None and release.suffix != ".zip":  # before hours of training
        raise InputError(f"--release {release}", "name a file that ends in .zip")
    changes: dict[str, Any] = {"seed": seed, "device": device}
    changes |= {} if steps is None else {"steps": steps}
    settings = CellSettings().changed(changes | parse_settings(setting))
    shown = TrainingReport("cells")

    def report(progress: Progress) -> None:
        shown("cells", progress)

    images = load_labelled(data, labels, group)
    model = newly_trained(
        out, lambda: train_cells(images, out, settings, resume=resume, report=report)
    )
    if model is not None:
        _print_trained(model)
        print(f"model: {out}")
    if release is not None:
        written = write_release(out, release)
        print(f"release: {written.file}, SHA-256 {written.sha256}")


def _print_trained(model: CellModel) -> None:
    about, scores = model.about, model.about["validation"]
    print(
        f"{len(about['train_groups'])} groups taught, {len(about['validation_groups'])} validated"
    )
    print(
        f"validation: average precision {scores['ap50']:.3f} at IoU 0.5, "
        f"{scores['ap75']:.3f} at 0.75 (these images had a say in weights and thresholds)"
    )
