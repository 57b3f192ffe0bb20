"""``unstained staining study``: what would make a model better?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._group import WholeSentences
from ._progress import TrainingReport
from ._words import listed, numbers, parse_settings

if TYPE_CHECKING:
    from ..images.pairs import Pairs
    from ..staining.settings import TrainSettings
    from ..staining.studies import Study

app = typer.Typer(
    cls=WholeSentences,
    help="Train on less, with less light, with dirt: what would make a model better?",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

Manifest = Annotated[str, typer.Argument(metavar="MANIFEST", help="As for train.")]
Out = Annotated[Path, typer.Option(help="Folder of the study; a broken-off one goes on.")]
Markers = Annotated[str, typer.Option(help="Only these, as A,B; all if not given.")]
Preset = Annotated[str, typer.Option(help="fast, paper or best.")]
Steps = Annotated[int | None, typer.Option(help="Steps of each training.")]
Seed = Annotated[int, typer.Option(help="Of subsets, noise and training.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Setting = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any setting of training; may be repeated."),
]


@app.command()
def size(
    manifest: Manifest,
    out: Out,
    sizes: Annotated[
        str, typer.Option(help="Training images, as 20,80,320; or shares of their area, as 0.5,1.")
    ] = "",
    repeats: Annotated[int, typer.Option(help="Trainings of each size; 3 for stars.")] = 1,
    markers: Markers = "",
    preset: Preset = "fast",
    steps: Steps = None,
    seed: Seed = 0,
    device: Device = "auto",
    setting: Setting = None,
) -> None:
    """Scores against the number of training images, and what the next 100 would bring."""
    from ..staining.studies import size_study

    wanted = numbers("--sizes", sizes, float)
    pairs, settings = _given(manifest, markers, preset, steps, seed, device, setting)
    _show(
        size_study(
            pairs, out, settings, sizes=wanted, repeats=repeats, report=TrainingReport(), say=print
        )
    )


@app.command()
def noise(
    manifest: Manifest,
    out: Out,
    levels: Annotated[
        int | None, typer.Option(help="Each has half the light of the one before; 9 by default.")
    ] = None,
    gain: Annotated[
        float | None, typer.Option(help="Grey values per photo-electron; else estimated.")
    ] = None,
    offset: Annotated[float | None, typer.Option(help="Grey value at no light.")] = None,
    markers: Markers = "",
    preset: Preset = "fast",
    steps: Steps = None,
    seed: Seed = 0,
    device: Device = "auto",
    setting: Setting = None,
) -> None:
    """Scores against the stain's light, beside the ceiling that its noise sets."""
    from ..staining.studies import noise_study

    pairs, settings = _given(manifest, markers, preset, steps, seed, device, setting)
    _show(
        noise_study(
            pairs,
            out,
            settings,
            levels=levels,
            gain=gain,
            offset=offset,
            report=TrainingReport(),
            say=print,
        )
    )


@app.command()
def impurities(
    manifest: Manifest,
    out: Out,
    density: Annotated[float, typer.Option(help="Grains or speckles per megapixel.")] = 150.0,
    markers: Markers = "",
    preset: Preset = "fast",
    steps: Steps = None,
    seed: Seed = 0,
    device: Device = "auto",
    setting: Setting = None,
) -> None:
    """Dust and speckles in training, test, or both: which images are to be cleaned?"""
    from ..staining.studies import impurity_study

    pairs, settings = _given(manifest, markers, preset, steps, seed, device, setting)
    _show(impurity_study(pairs, out, settings, per_mpx=density, report=TrainingReport(), say=print))


def _given(
    manifest: str,
    markers: str,
    preset: str,
    steps: int | None,
    seed: int,
    device: str,
    setting: list[str] | None,
) -> tuple[Pairs, TrainSettings]:
    from ..images import load_pairs
    from ..staining.settings import TrainSettings

    changes: dict[str, Any] = {"seed": seed, "device": device}
    if steps is not None:
        changes["steps"] = steps
    changes |= parse_settings(setting)
    pairs = load_pairs(manifest)
    if wanted := listed(markers):
        pairs = pairs.of_markers(wanted)
    return pairs, TrainSettings.preset(preset, **changes)


def _show(study: Study) -> None:
    for sentence in study.words:
        print(sentence)
    for file in study.files:
        print(file)
