"""``unstained colonies compare``: methods side by side on the user's own data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ..errors import InputError
from ._colony_images import OwnPlanes, Stain, images_with_stains
from ._progress import TrainingReport
from ._words import listed, numbers, parse_settings

if TYPE_CHECKING:
    from ..learning.loop import Progress

__all__ = ["compare"]

Number = TypeVar("Number", int, float)


def compare(
    data: Annotated[str, typer.Argument(metavar="DATA", help="As for train.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A broken-off comparison goes on.")],
    methods: Annotated[
        str, typer.Option(help="A,B; each may carry settings: ipb:feedback=0:threshold=0.9.")
    ] = "supervised,mpl,mpl-balanced,ipb",
    network: Annotated[str, typer.Option(help="small, vgg19, hrnet; several as A,B.")] = "",
    scales: Annotated[str, typer.Option(help="1, 2, or both as 1,2.")] = "",
    multi_label: Annotated[str, typer.Option(help="yes, no, or both.")] = "",
    folds: Annotated[int, typer.Option(help="Each is the test part once.")] = 5,
    only: Annotated[int | None, typer.Option(help="Run the first so many folds.")] = None,
    labelled: Annotated[
        str, typer.Option(help="Share of all images that keep their labels; several as 0.01,0.1.")
    ] = "0.1",
    split_by: Annotated[str, typer.Option(help="group or image, as for train.")] = "group",
    stain: Stain = None,
    planes: OwnPlanes = None,
    seed: Annotated[int, typer.Option(help="Of folds and trainings.")] = 0,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="For all methods; may be repeated."),
    ] = None,
) -> None:
    """Compare methods over folds: tables, tests and figures as in a paper, for your own data."""
    from ..colonies.compare_report import write_comparison
    from ..colonies.comparison import Plan, parse_arms
    from ..colonies.comparison import compare as run

    ways = {"": [], "yes": [True], "no": [False], "both": [True, False]}
    if multi_label not in ways:
        raise InputError(f"--multi-label {multi_label!r}", "choose yes, no or both")
    arms = parse_arms(
        listed(methods),
        listed(network),
        numbers("--scales", scales, int),
        ways[multi_label],
    )
    common: dict[str, Any] = parse_settings(setting)
    shares = tuple(numbers("--labelled", labelled, float))
    plan = Plan(folds, shares, split_by, seed, common, only)
    examples = images_with_stains(data, stain, planes)
    shown = _Shown()
    found = run(examples, arms, out, plan, report=shown.begins, progress=shown)
    written = write_comparison(found, examples)
    print((out / "summary.md").read_text(encoding="utf-8"))
    for path in written:
        print(path)


class _Shown:
    """Which run it is, before the line that tells where the run stands."""

    def __init__(self) -> None:
        self._report = TrainingReport()

    def begins(self, name: str, done: int, of: int) -> None:
        if name:
            self._report = TrainingReport(f"[{done + 1}/{of}] {name}")

    def __call__(self, stage: str, progress: Progress) -> None:
        self._report(stage, progress)
