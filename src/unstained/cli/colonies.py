"""``unstained colonies``: detect, merge votes, train, predict, score, compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import FileError
from ._colony_images import OwnPlanes, Stain, classified_images, images_with_stains
from ._group import WholeSentences
from ._progress import TrainingReport, newly_trained
from ._words import parse_settings
from .colonies_compare import compare
from .colonies_detect import detect, votes

if TYPE_CHECKING:
    from ..colonies.classifier import ColonyClassifier
    from ..colonies.evaluation import Evaluation

app = typer.Typer(
    cls=WholeSentences,
    help="Find colonies of stem cells and learn what they are from few labels.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
app.command()(detect)
app.command()(votes)

_DATA = (
    "A folder of detected colonies, a folder per class, a manifest CSV image,label,group, or a "
    "data set (mlcp, mlcp+darkfield, mlcp-7)."
)
Data = Annotated[str, typer.Argument(metavar="DATA", help=_DATA)]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a trained classifier.")]
SplitBy = Annotated[
    str, typer.Option(help="group, or image: images of one sequence on both sides.")
]
Level = Annotated[float, typer.Option(help="Coverage that prediction sets promise.")]
Views = Annotated[
    int | None, typer.Option(help="Patches averaged for each image [default: the model's].")
]


@app.command()
def train(
    data: Data,
    out: Annotated[Path, typer.Option(metavar="MODEL", help="Folder of the new model.")],
    method: Annotated[
        str,
        typer.Option(
            help="ipb, ipb-paper, mpl, mpl-balanced, supervised, simclr, simtriplet, "
            "contrastive-clustering, features."
        ),
    ] = "ipb",
    network: Annotated[str | None, typer.Option(help="small, vgg19, hrnet, zoo:NAME.")] = None,
    scales: Annotated[int | None, typer.Option(help="1, or 2: patch and its middle.")] = None,
    no_multi_label: Annotated[
        bool, typer.Option("--no-multi-label", help="Do not learn from images of several classes.")
    ] = False,
    labelled: Annotated[
        float | None, typer.Option(help="Share of the images whose labels are used; else all.")
    ] = None,
    split_by: SplitBy = "group",
    stain: Stain = None,
    planes: OwnPlanes = None,
    seed: Annotated[int, typer.Option(help="Of split, weights, order and patches.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on after a break.")] = False,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other setting; may be repeated."),
    ] = None,
) -> None:
    """Train a classifier from labelled and unlabelled images.

    A tenth of the groups is kept for the test (or the column `split` says which), and MODEL notes
    them; `score` uses them once. Validation is taken from the labelled part.
    """
    from ..colonies.training import train_model

    changes: dict[str, Any] = {"seed": seed, "device": device}
    given = {"network": network, "scales": scales, "multi_label": not no_multi_label}
    changes |= {k: v for k, v in given.items() if v is not None}
    changes |= parse_settings(setting)
    report = TrainingReport()
    images = images_with_stains(data, stain, planes)
    trained = newly_trained(
        out,
        lambda: train_model(
            images,
            out,
            method,
            changes,
            labelled=labelled,
            by=split_by,
            resume=resume,
            report=report,
        ),
    )
    if trained is None:
        return
    about = trained.about
    rows: list[tuple[str, ...]] = [("class", "labelled", "validation", "test")]
    for k, name in enumerate(trained.classes):
        rows.append((name, *(str(about[part][k]) for part in ("labelled", "validation", "tested"))))
    _print_rows(rows)
    print(f"unlabelled images: {about['unlabelled']}")
    for note in about["notes"]:
        print(f"note: {note}")
    print(f"model: {out}")


@app.command()
def predict(
    model: Model,
    data: Data,
    out: Annotated[Path, typer.Option(metavar="TABLE", help="A .csv or .parquet to write.")],
    views: Views = None,
    level: Level = 0.9,
    over_time: Annotated[
        bool, typer.Option("--over-time", help="Average each colony over its frames.")
    ] = False,
    fractions: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also the share of each class per well and hour."),
    ] = None,
    wells: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="well,treatment: what each well was given."),
    ] = None,
    condition: Annotated[
        str, typer.Option(help="Column that tells treated wells from others.")
    ] = "treatment",
    control: Annotated[
        str,
        typer.Option(help="What that column says of controls; every other word is compared."),
    ] = "control",
    from_start: Annotated[
        bool,
        typer.Option("--from-start", help="Compare changes since the first hour of each well."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the table and the shares.")
    ] = False,
) -> None:
    """Say what each image is, how surely, and which others it may be."""
    from ..colonies.classifier import ColonyClassifier
    from ..colonies.evaluation import prediction_table
    from ..colonies.fraction_report import check_fractions, with_conditions, write_fractions
    from ..colonies.training import check_table_name, write_table

    check_table_name(out)
    for written in (out, *(() if fractions is None else (fractions / "fractions.csv",))):
        if written.exists() and not overwrite:
            remedy = "choose another name, or give --overwrite"
            raise FileError("exists already", remedy, file=written)
    classifier = ColonyClassifier.load(model)
    examples = classified_images(data, classifier, model)
    if fractions is not None:
        check_fractions(examples.table, examples.name)
    if wells is not None:
        with_conditions(examples.table, wells)  # refused before the images are read
    table = prediction_table(classifier, examples, level=level, views=views, over_time=over_time)
    if wells is not None:
        table = with_conditions(table, wells)
    write_table(table, out)
    for name, count in table["class"].value_counts().items():
        print(f"{name}: {count}")
    if "sure" in table:
        print(f"not sure: {int((~table['sure']).sum())} of {len(table)}")
    for note in examples.notes:
        print(f"note: {note}")
    print(f"table: {out}")
    if fractions is not None:
        words = write_fractions(
            table,
            fractions,
            condition=condition,
            control=control,
            from_start=from_start,
            file=data if wells is None else str(wells),
        )
        for line in words:
            print(line)


@app.command()
def score(
    model: Model,
    data: Data,
    split: Annotated[
        str, typer.Option(help="test: what training left aside; all: every labelled image.")
    ] = "test",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    views: Views = None,
    level: Level = 0.9,
    figures: Annotated[Path | None, typer.Option(help="Folder for figures and tables.")] = None,
) -> None:
    """Score a classifier on images that it did not learn from."""
    from ..colonies.classifier import ColonyClassifier
    from ..colonies.evaluation import evaluate
    from ..colonies.training import held_out

    classifier = ColonyClassifier.load(model)
    examples = classified_images(data, classifier, model)
    kept = held_out(classifier, examples, split)
    found = evaluate(
        classifier, kept, level=level, views=views, by=str(classifier.about.get("by", "group"))
    )
    if figures is not None:
        from ..colonies.model_files import HISTORY
        from ..colonies.score_report import write_score_report

        write_score_report(found, kept, classifier, figures, model / HISTORY / "student.jsonl")
    if as_json:
        from ..images.atomic import json_text

        print(json_text(found.as_dict()))
        return
    _print_evaluation(found, classifier)


app.command()(compare)


def _print_evaluation(found: Evaluation, classifier: ColonyClassifier) -> None:
    rows: list[tuple[str, ...]] = [("class", "recall", "precision", "F1", "n")]
    for name, scores in found.scores.classes.items():
        shown = [f"{score:.3f}" for score in (scores.recall, scores.precision, scores.f1)]
        rows.append((name, *shown, str(scores.n)))
    macro = found.scores.macro
    shown = [f"{macro[s]:.3f}" for s in ("recall", "precision", "f1")]
    rows.append(("mean", *shown, str(sum(s.n for s in found.scores.classes.values()))))
    _print_rows(rows)
    print(
        f"balanced accuracy {macro['balanced_accuracy']:.3f}, "
        f"MCC {macro['mcc']:.3f}, accuracy {macro['accuracy']:.3f}"
    )
    print("confusion, rows true, columns predicted:")
    names = classifier.classes
    counts = [[str(n) for n in row] for row in found.scores.confusion.tolist()]
    _print_rows([("", *names), *((name, *row) for name, row in zip(names, counts, strict=True))])
    print(f"calibration error {found.calibration.ece:.3f}, Brier {found.calibration.brier:.3f}")
    if found.sets is not None:
        print(
            f"prediction sets at {found.sets.level:.0%}: "
            + ", ".join(f"{k} {v:.0%} held" for k, v in found.sets.coverage.items() if v == v)
            + f"; not sure of {found.sets.not_sure:.0%}"
        )
        few = [name for name, kept in found.sets.promised.items() if not kept]
        if few:
            print(f"too few validation images to promise that of {', '.join(few)}")
    for note in found.notes:
        print(f"note: {note}")


def _print_rows(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    for row in rows:
        print("".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())
