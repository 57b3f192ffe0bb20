"""``unstained staining``: train, predict, score, compare, and show the card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ..errors import FileError, InputError
from . import study
from ._group import WholeSentences
from ._progress import Bar, TrainingReport, newly_trained
from ._scores import print_scores, print_summary
from ._tables import check_folder
from ._words import expanded, listed, parse_settings

if TYPE_CHECKING:
    from ..images.ome_zarr_writer import Version
    from ..images.pairs import Pairs
    from ..staining.panel import Panel
    from ..staining.prediction import Existing
    from ..staining.predictor import PredictOptions
    from ..staining.score_table import ScoreTable
    from ..staining.weighing import Weighed

_FEW = 0.05  # share of the pairs that weighted ones count as, below which it is said

_FEWEST_NEW = 30  # a share of one half, counted in them, has an error of a tenth

app = typer.Typer(
    cls=WholeSentences,
    help="Predict stains: train models, predict, score.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

_MANIFEST = (
    "A CSV manifest, two folders PHASE:STAIN, a folder with phase/ and one per marker, an "
    "OME file whose channels are phase and stains, or a data set (isl, mlcp)."
)
app.add_typer(study.app, name="study")

Manifest = Annotated[str, typer.Argument(metavar="MANIFEST", help=_MANIFEST)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
EngineName = Annotated[
    str,
    typer.Option(help="auto, torch, torch-plain, onnxruntime, openvino or openvino-int8."),
]
Precision = Annotated[str, typer.Option(help="auto, float32, bf16, fp16 or int8.")]


@app.command()
def train(
    manifest: Manifest,
    out: Annotated[Path, typer.Option(help="Folder of the new model.")],
    markers: Annotated[str, typer.Option(help="Only these, as A,B; all if not given.")] = "",
    preset: Annotated[str, typer.Option(help="fast, paper or best.")] = "fast",
    panel: Annotated[
        str, typer.Option(help="shared (one network) or separate (one per marker).")
    ] = "",
    init: Annotated[Path | None, typer.Option(help="A model to start from.")] = None,
    seed: Annotated[int, typer.Option(help="Of weights, order and augmentation.")] = 0,
    steps: Annotated[int | None, typer.Option(help="Steps, in place of the preset's.")] = None,
    device: Device = "auto",
    processes: Annotated[int, typer.Option(help="Processes that train together, one a GPU.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after a break.")] = False,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other setting; may be repeated."),
    ] = None,
) -> None:
    """Train a model on pairs of label-free images and stains.

    Pairs are split by group; a single field is cut in space. The best weights are chosen on the
    validation pairs; the test pairs are not touched.
    """
    from ..images import load_pairs
    from ..staining.settings import TrainSettings
    from ..staining.training import train as run

    changes: dict[str, Any] = {"seed": seed, "device": device, "processes": processes}
    if panel:
        changes["panel"] = panel
    if steps is not None:
        changes["steps"] = steps
    changes |= parse_settings(setting)
    pairs = load_pairs(manifest)
    if wanted := listed(markers):
        pairs = pairs.of_markers(wanted)
    report = TrainingReport()
    settings = TrainSettings.preset(preset, **changes)
    trained = newly_trained(
        out,
        lambda: run(
            pairs, out, settings, init=init, resume=resume, report=report, notify=report.note
        ),
    )
    if trained is None:
        return
    scores = trained.about["scores"]["validation"]
    print_summary(scores["summary"])
    for text in scores["verdicts"].values():
        print(text)
    print(f"model: {out}")


@app.command()
def weigh(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Trained on these pairs as they are.")
    ],
    manifest: Manifest,
    out: Annotated[Path, typer.Option(help="CSV manifest with the column weight, to be written.")],
    like: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IMAGES",
            help="Label-free images of the cells that the next model is for: images, a folder, "
            "or a CSV with the column phase; may be repeated. Not given: those of the test part.",
        ),
    ] = None,
    markers: Annotated[str, typer.Option(help="Only these, as A,B; all if not given.")] = "",
    iterations: Annotated[
        int, typer.Option(help="Of unfolding; more where predictions tell little.")
    ] = 4,
    device: Device = "auto",
) -> None:
    """Weight pairs for other cells: another day, donor or treatment with another mix of cells.

    The amounts that the new cells have are unfolded from what the model predicts for them. No
    stain of theirs is needed. Train on the manifest that is written.
    """
    from ..images import label_free_fields, load_pairs, write_manifest
    from ..staining.card import split_as_trained
    from ..staining.panel import Panel
    from ..staining.predictor import PredictOptions
    from ..staining.weighing import weigh as run

    if out.exists():
        raise FileError("is there already", "name a new file", file=out)
    if out.suffix.casefold() != ".csv":
        raise InputError(f"--out {out} does not end in .csv", f"write --out {out}.csv")
    panel = Panel.load(model)
    pairs = split_as_trained(panel, load_pairs(manifest))
    if wanted := listed(markers):
        pairs = pairs.of_markers(wanted)
    new = label_free_fields(like) if like else pairs.of_split("test").fields()
    with Bar("weigh") as bar:
        found = run(
            panel,
            pairs,
            new,
            iterations=iterations,
            options=PredictOptions(device=device),
            progress=bar,
        )
    write_manifest(found.pairs, out)
    _print_weighed(found)
    for note in pairs.notes:
        print(f"note: {note}")
    print(f'pairs: {out}; train on them with `unstained staining train "{out}" --out MODEL`')


@app.command()
def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL... IMAGE...",
            help='Models, then images or folders; "A.tif;B.tif" joins planes.',
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the predictions.")],
    device: Device = "auto",
    engine: EngineName = "auto",
    precision: Precision = "auto",
    tile: Annotated[int | None, typer.Option(metavar="PX", help="Side of a tile.")] = None,
    tta: Annotated[
        bool, typer.Option("--tta", help="Average over the optics' symmetries.")
    ] = False,
    pixel_size: Annotated[
        float | None, typer.Option(metavar="UM", help="Of the images; else as the files say.")
    ] = None,
    markers: Annotated[
        str, typer.Option(help="Only the networks that predict these, as A,B.")
    ] = "",
    dtype: Annotated[str, typer.Option(help="float32 or uint16.")] = "float32",
    zarr: Annotated[
        str, typer.Option(help="Version of OME-Zarr: 0.5, or 0.4 for older viewers.")
    ] = "0.5",
    memory: Annotated[
        float | None, typer.Option(metavar="GB", help="What the prediction may take.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on after a break: images that this model has predicted are left out.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace predictions that are there.")
    ] = False,
) -> None:
    """Predict stains of images, or of folders of images, as OME-Zarr with a composite PNG."""
    from ..staining.panel import Panel
    from ..staining.prediction import predict_files
    from ..staining.predictor import PredictOptions

    if resume and overwrite:
        raise InputError("--resume and --overwrite", "give one of them")
    paths = expanded(paths)
    models = [p for p in paths if _is_model(Path(p))]
    images = [p for p in paths if p not in models]
    if not models:
        raise InputError(f"none of {', '.join(paths)} is a model", "name a model folder first")
    if not images:
        raise InputError("no image was given", "name images or folders after the model")
    panel = Panel.join([Panel.load(m) for m in models])
    if wanted := listed(markers):
        panel = panel.of_markers(wanted)
    options = PredictOptions(
        device=device,
        engine=engine,
        precision=precision,
        tile=tile,
        tta=tta,
        pixel_size_um=pixel_size,
        dtype=dtype,
        memory_gb=memory,
    )
    existing: Existing = "keep" if resume else "replace" if overwrite else "refuse"
    with Bar("predict") as bar:
        written = predict_files(
            panel,
            images,
            out,
            options,
            existing=existing,
            version=cast("Version", zarr),
            progress=bar,
            notify=bar.say,
        )
    for prediction in written:
        print(prediction.zarr)
        print(prediction.composite)


@app.command()
def score(
    paths: Annotated[
        list[str], typer.Argument(metavar="MODEL... MANIFEST", help="Models, then the pairs.")
    ],
    split: Annotated[str, typer.Option(help="test, validation, train or all.")] = "test",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ksize: Annotated[int, typer.Option(help="Laplacian kernel of r_lap.")] = 31,
    figures: Annotated[Path | None, typer.Option(help="Folder for figures and tables.")] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Note the scores on the model's card.")
    ] = False,
    device: Device = "auto",
    engine: EngineName = "auto",
    precision: Precision = "auto",
    tta: Annotated[
        bool, typer.Option("--tta", help="Average over the optics' symmetries.")
    ] = False,
) -> None:
    """Score a model on pairs, beside what one gets without a model; compare several models."""
    from ..images import load_pairs
    from ..staining.panel import Panel
    from ..staining.predictor import PredictOptions

    *models, manifest = paths
    if not models:
        raise InputError("give a model and a manifest", "unstained staining score MODEL MANIFEST")
    if figures is not None:
        check_folder(figures)  # before the work, not after
    pairs = load_pairs(manifest)
    tables: dict[str, ScoreTable] = {}
    names = _model_names(models)
    for name, model in zip(names, models, strict=True):
        panel = Panel.load(model)
        tables[name] = table = _scored(
            panel,
            pairs,
            split,
            ksize,
            PredictOptions(device=device, engine=engine, precision=precision, tta=tta),
        )
        if record:
            from ..staining.card import record_scores

            record_scores(Path(model), panel, split, table)
    if figures is not None:
        from ..staining.score_report import write_score_report

        write_score_report(tables, figures)
    summaries = {name: table.summary() for name, table in tables.items()}
    if as_json:
        from ..images.atomic import json_text

        print(json_text(summaries if len(models) > 1 else summaries[names[0]]))
        return
    for name, table in tables.items():
        print_scores(name, table)
    if len(tables) > 1:
        from ..staining.compare import compare_models

        print(compare_models(tables).to_string(index=False))


@app.command()
def card(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder.")],
) -> None:
    """Print a model's card: data, splits, settings, scores, intended use, versions."""
    from ..staining.card import write_card
    from ..staining.panel import Panel

    print(write_card(Panel.load(model)))


def _print_weighed(found: Weighed) -> None:
    print(f"{found.known} training pairs count as {found.alike:.0f} for {found.new} new images")
    for marker, mean in found.mean_before.items():
        print(
            f"{marker}, mean amount: {mean:.4g} in the pairs, "
            f"{found.mean_after[marker]:.4g} by weight ({found.mean_predicted[marker]:.4g} is "
            "what the model predicts for the new images)"
        )
    if found.unlike:
        print(
            f"{found.unlike} of {found.new} new images are like no pair and were left out: look "
            "for debris, another focus, another lamp"
        )
    if found.new - found.unlike < _FEWEST_NEW:
        print(f"fewer than {_FEWEST_NEW} new images tell little about their mix: give more")
    if found.alike < _FEW * found.known:
        print("few pairs are like the new images: prefer more pairs of such cells")


def _is_model(path: Path) -> bool:
    """A model folder, or one whose training is not finished, of which loading tells more."""
    return (path / "model.json").is_file() or (path / "training").is_dir()


def _model_names(models: list[str]) -> list[str]:
    """The models' folder names; where two are equal, with the folders above: ``a_model``."""
    parts = [Path(model).absolute().parts[1:] for model in models]
    if len(set(parts)) < len(parts):
        raise InputError("a model is named twice", "name each model once")
    depth = 1
    while len({p[-depth:] for p in parts}) < len(parts):
        depth += 1
    return ["_".join(p[-depth:]) for p in parts]


def _scored(
    panel: Panel, pairs: Pairs, split: str, ksize: int, options: PredictOptions
) -> ScoreTable:
    from ..staining.card import score_with_panel, split_as_trained
    from ..staining.score_table import ScoreSettings

    if split != "all":
        pairs = split_as_trained(panel, pairs)
    with Bar("score") as bar:
        return score_with_panel(
            panel,
            pairs,
            split=split,
            settings=ScoreSettings(ksize=ksize),
            options=options,
            progress=lambda done, of: bar(done / of),
        )
