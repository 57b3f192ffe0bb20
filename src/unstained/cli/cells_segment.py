"""``unstained cells segment`` and ``score``: outline cells, and say how well."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError, count_of
from ._progress import Bar
from ._words import expanded, numbers, parse_settings

if TYPE_CHECKING:
    from ..cells.segmenting import FrameSegmenter

__all__ = ["score", "segment"]

_METHODS = ("classical", "cellpose", "stardist", "instanseg")


def segment(
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE...", help="Images, movies, folders of images, plates."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to make.")],
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="A trained model; or the model's name for --method."),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="In place of a trained model: classical, cellpose, stardist, instanseg."),
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
        float | None,
        typer.Option(metavar="S", help="Seconds between frames; else as the files say."),
    ] = None,
    channel: Annotated[
        str | None, typer.Option(help="Where files have several: its name or position.")
    ] = None,
    diameter: Annotated[
        float | None, typer.Option(metavar="UM", help="Of a cell, for cellpose.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Of --method classical, in pixels or micrometers, such as min_area_px2=300 or "
            "min_area_um2=120; may be repeated.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N, mps.")] = "auto",
) -> None:
    """Find the cells of label-free images and movies.

    Writes a label image for each and segmentation.json. Large images are read tile by tile.
    """
    from ..cells.segmentation_sources import SourceOptions
    from ..cells.segmenting import segment_files

    options = SourceOptions(pixel_size, interval, channel, movie)
    segmenter = _segmenter(model, method, diameter, parse_settings(setting), device)
    with Bar("frames") as bar:
        made = segment_files(expanded(images), out, segmenter, options, progress=bar)
    cells, frames = count_of(made.cells, "cell"), count_of(made.frames, "frame")
    print(f"{cells} in {frames} of {count_of(made.images, 'image')}: {made.folder}")
    for note in made.notes:
        print(f"note: {note}")


def score(
    labels: Annotated[
        Path,
        typer.Argument(
            metavar="LABELS", help="Segmentation folder, label image, or folder of label images."
        ),
    ],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="The same of the true cells.")],
    thresholds: Annotated[
        str, typer.Option(metavar="IOU,...", help="At which overlap a cell counts as found.")
    ] = "0.5,0.75",
    json: Annotated[bool, typer.Option("--json", help="Print JSON, with every frame.")] = False,
) -> None:
    """Score labels against true cells: average precision TP / (TP + FP + FN) and mean IoU.

    Images are matched by name; intervals at 95 % are over images.
    """
    from ..cells.matching import THRESHOLDS
    from ..cells.score import score_files, score_text, scores_as_json

    at = numbers("--thresholds", thresholds, float) or THRESHOLDS
    scored = score_files(labels, truth, at)
    print(scores_as_json(scored) if json else score_text(scored))


def _segmenter(
    model: str | None,
    method: str | None,
    diameter_um: float | None,
    settings: dict[str, str],
    device: str,
) -> FrameSegmenter:
    from ..cells.segmenting import adapter_segmenter, classical_segmenter

    if method is not None and method not in _METHODS:
        raise InputError(f"method {method!r} is not known", f"choose {', '.join(_METHODS)}")
    if diameter_um is not None and method != "cellpose":
        raise InputError("--diameter is for --method cellpose", "leave it out")
    if settings and method != "classical":
        raise InputError("--set is for --method classical", "leave it out")
    if method is None:
        return _trained(model, device)
    if method == "classical":
        if model is not None:
            raise InputError("--model with --method classical", "give one of them")
        return classical_segmenter(settings)
    from importlib.metadata import version

    from ..cells.adapters import ADAPTERS, PACKAGES

    given = {} if model is None else {"model": model}
    more = {} if diameter_um is None else {"diameter_um": diameter_um}
    run = ADAPTERS[method](**given, **more, device=device)
    return adapter_segmenter(
        run, {"method": method, **given, **more, "version": version(PACKAGES[method])}
    )


def _trained(model: str | None, device: str) -> FrameSegmenter:
    if model is None:
        raise InputError(
            "neither a model nor a method is given",
            "give --model MODEL (unstained cells train makes one) or --method classical",
        )
    from ..cells.model import CellModel
    from ..cells.segmenting import model_segmenter

    trained = CellModel.load(model, device=device)
    return model_segmenter(trained, {"method": "model", "model": Path(model).resolve().as_posix()})
