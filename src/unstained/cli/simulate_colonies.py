"""``unstained simulate colonies``: wells of colonies over hours, with the truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._progress import Bar

if TYPE_CHECKING:
    from ..simulate.colony_wells import ColonySettings

__all__ = ["colonies"]


def colonies(
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    wells: Annotated[int, typer.Option(help="How many; crops need 3.")] = 4,
    frames: Annotated[int, typer.Option(help="Of each well.")] = 6,
    interval: Annotated[float, typer.Option(help="Hours between frames.")] = 1.0,
    size: Annotated[int, typer.Option(help="Side of a well in pixels of 0.8 um.")] = 2908,
    number: Annotated[
        int | None, typer.Option(help="Colonies in a well [default: as many as in the paper].")
    ] = None,
    crops: Annotated[
        bool, typer.Option("--crops", help="Also each colony as an image, and manifest.csv.")
    ] = False,
    crops_only: Annotated[
        bool, typer.Option("--crops-only", help="Crops, but no images of whole wells.")
    ] = False,
    labelled: Annotated[
        float, typer.Option(help="Share of colonies in training wells whose label is shown.")
    ] = 0.1,
    treated: Annotated[float, typer.Option(help="Share of wells that are treated.")] = 0.5,
    effect: Annotated[
        float, typer.Option(help="Factor of the treatment on differentiation's rates; 1: none.")
    ] = 2.0,
    rates: Annotated[
        Path | None,
        typer.Option(help='JSON with rates per hour, {"dense": {"spread": 0.02}}; others are 0.'),
    ] = None,
    variation: Annotated[
        float, typer.Option(help="Factor on how much colonies of a class differ; 3 is hard.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same pixels.")] = 0,
    workers: Annotated[int, typer.Option(help="Frames made at a time, in threads.")] = 2,
) -> None:
    """Simulate wells of stem-cell colonies: four classes, mixed ones, a treatment.

    Writes images, colony and class masks, colonies.csv, transitions.csv and truth.json.
    """
    from ..simulate.colony_wells import ColonySettings
    from ..simulate.colony_writer import write_colonies

    settings = ColonySettings(
        wells=wells,
        frames=frames,
        frame_interval_h=interval,
        size=size,
        colonies=number,
        treated=treated,
        effect=effect,
        rates_per_h=None if rates is None else _read_rates(rates),
        variation=variation,
        seed=seed,
    )
    with Bar("colonies") as bar:
        folder = write_colonies(
            out,
            settings,
            crops=crops or crops_only,
            whole=not crops_only,
            labelled=labelled,
            workers=workers,
            progress=bar,
        )
    _report(folder, settings)


def _read_rates(path: Path) -> tuple[tuple[float, ...], ...]:
    import json

    from ..errors import FileError
    from ..simulate.colony_fates import parse_rates

    try:
        named = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise FileError(reason, "name a JSON file with rates", file=path) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FileError(f"is no JSON ({error})", "see --help for its form", file=path) from None
    return tuple(tuple(row) for row in parse_rates(named).tolist())


def _report(folder: Path, settings: ColonySettings) -> None:
    import csv
    from collections import Counter

    with (folder / "colonies.csv").open(encoding="utf-8", newline="") as file:
        counts = Counter(row["class"] for row in csv.DictReader(file))
    treated = sum(settings.is_treated(well) for well in range(settings.wells))
    print(f"{settings.wells} wells ({treated} treated) x {settings.frames} frames in {folder}")
    print(", ".join(f"{n} {class_}" for class_, n in sorted(counts.items())))
    if (folder / "manifest.csv").exists():
        print(f"crops in {folder / 'manifest.csv'}")
