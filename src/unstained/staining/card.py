"""The model card: what a model was made from, how well it does, and what it is for."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import refuse_name
from ..images.splits import split_kind, split_pairs
from ..images.versions import versions_of
from .predict_fields import PredictFields
from .predictor import PredictOptions
from .score import score_panel
from .verdict import verdicts

if TYPE_CHECKING:
    from ..images.pairs import Pairs
    from .panel import Panel
    from .score_table import ScoreSettings, ScoreTable
    from .settings import TrainSettings

__all__ = [
    "describe_scores",
    "describe_training",
    "kept_apart",
    "record_scores",
    "score_with_panel",
    "split_as_trained",
    "write_card",
]

_KEPT_APART = {
    "group": "group",
    "field": "field within a group: its scores say nothing of other groups",
    "cell": "cell within a group: its scores say nothing of other groups",
    "spatial": "place within an image: its scores say nothing of other images",
}
_VERSIONS = ("unstained", "torch", "numpy", "cv2", "zarr")


def describe_training(
    panel: Panel,
    pairs: Pairs,
    settings: TrainSettings,
    parent: str | Path | None,
) -> dict[str, Any]:
    """Everything the card tells, as JSON values; scores are those on the validation pairs."""
    table = pairs.table
    counts = {
        str(marker): {str(split): int(n) for split, n in rows["split"].value_counts().items()}
        for marker, rows in table.groupby("marker", sort=False)
    }
    members = panel.about["members"]
    scored = score_with_panel(
        panel, pairs, split="validation", options=PredictOptions(device=settings.device)
    )
    return {
        "data": {
            "name": pairs.name,
            "fingerprint": pairs.fingerprint(),
            "pairs": counts,
            "groups": {
                str(split): sorted(map(str, rows["group"].unique()))
                for split, rows in table.groupby("split", sort=False)
            },
            "kept_apart": kept_apart(pairs),
            "notes": list(pairs.notes),
        },
        "settings": settings.as_dict(),
        "members": members,
        "parent": None if parent is None else str(Path(parent).name),
        "seconds": round(sum(member["seconds"] for member in members), 1),
        "machine": f"{platform.machine()}, {platform.system()}",
        "versions": versions_of(*_VERSIONS),
        "scores": {"validation": describe_scores(scored)},
    }


def kept_apart(pairs: Pairs) -> dict[str, str]:
    """By what validation and test are kept apart from training, as `split_kind` says."""
    split = pairs.table["split"]
    return {
        part: split_kind(replace(pairs, table=pairs.table[split.isin(["train", part])]))
        for part in ("validation", "test")
        if (split == part).any()
    }


def split_as_trained(panel: Panel, pairs: Pairs) -> Pairs:
    """Pairs with the split that the model was trained on, lest what it has seen become a test.

    A split of the pairs' own is kept. Else each group goes where the card says, and new ones to
    the test part; a model whose groups were cut, as a single field is, has them cut the same way
    again. A note tells where groups are tested that the model learned from.
    """
    refuse_name(panel, "a model", "Panel.load({})")
    refuse_name(pairs, "pairs", "load_pairs({})")
    known: dict[str, list[str]] = panel.about.get("data", {}).get("groups", {})
    placed = [group for groups in known.values() for group in groups]
    if (pairs.table["split"] == "").all() and placed and len(set(placed)) == len(placed):
        split_of = {group: split for split, groups in known.items() for group in groups}
        split = [split_of.get(str(group), "test") for group in pairs.table["group"]]
        return replace(pairs, table=pairs.table.assign(split=split))
    if (pairs.table["split"] == "").any():
        pairs = split_pairs(pairs, seed=int(panel.about.get("settings", {}).get("seed", 0)))
    learned = {g for split in ("train", "validation") for g in known.get(split, ())}
    tested = set(pairs.table.loc[pairs.table["split"] == "test", "group"].astype(str))
    seen = sorted(tested & learned - set(known.get("test", ())))
    if not seen:
        return pairs
    note = f"{len(seen)} test groups were trained on, as {seen[0]}: scores are too high"
    return replace(pairs, notes=(*pairs.notes, note))


def score_with_panel(
    panel: Panel,
    pairs: Pairs,
    *,
    split: str = "test",
    settings: ScoreSettings | None = None,
    options: PredictOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ScoreTable:
    """Score a panel on pairs: fields tile by tile, single-cell images many at once.

    Parameters and errors as in `score_panel`. Pairs that had no split before training get that of
    the training by `split_as_trained`. Those of another pixel size than the model's are resampled
    on the way, as in prediction, and scored on their own pixels; those of unknown size are taken
    to have the model's.
    """
    refuse_name(panel, "a model", "Panel.load({})")
    refuse_name(pairs, "pairs", "load_pairs({})")
    options = options or PredictOptions()
    way = PredictFields.by_panel(panel, pairs.fields(), options)
    table = score_panel(
        way.predict,
        pairs,
        split=split,
        predict_batch=way.predict_batch,
        context_px=way.context_px,
        align_px=way.align_px,
        settings=settings,
        progress=progress,
    )
    plain = options.engine in ("auto", "torch") and options.precision in ("auto", "float32")
    if plain or way.predict_batch is None or (pairs.table["cell"] == "").all():
        return table
    note = "single-cell images are predicted by torch in float32, whatever engine is asked for"
    return replace(table, notes=(*table.notes, note))


def record_scores(folder: Path, panel: Panel, split: str, table: ScoreTable) -> None:
    """Add scores to a model's card and ``model.json``."""
    about = dict(panel.about)
    about["scores"] = {**about.get("scores", {}), split: describe_scores(table)}
    told = replace(panel, about=about)
    told.write_into(folder, card=write_card(told))


def describe_scores(table: ScoreTable) -> dict[str, Any]:
    """A score table as the card keeps it."""
    return {
        "summary": table.summary(),
        "baselines": table.baseline_summary(),
        "verdicts": {name: str(verdict) for name, verdict in verdicts(table).items()},
        "notes": list(table.notes),
    }


def write_card(panel: Panel) -> str:
    """The card as Markdown."""
    about = panel.about
    size = "unknown" if panel.pixel_size_um is None else f"{panel.pixel_size_um:g} um"
    network = panel.members[0].network.spec
    shared = len(panel.members[0].markers) > 1 or len(panel.names) == 1
    kind = "one network, a head per marker" if shared else "one network per marker"
    groups = len({member.markers for member in panel.members})
    if len(panel.members) > groups:
        kind += f", the mean of {len(panel.members) // groups} each"
    lines = [
        f"# {', '.join(panel.names)} from {panel.planes} label-free planes",
        "",
        "## Intended use",
        "",
        "Predicts the stains above in label-free images of the same cell type, microscope, "
        "objective and focus as the training images. It shows what such images usually go with; "
        "it cannot show what they do not contain. Other cells, treatments or optics: score it on "
        "pairs of those first. Not for diagnosis.",
        "",
        "## Model",
        "",
        f"- {kind}: `{network.name}`, width {network.width}, depth {network.depth}",
        f"- fingerprint `{panel.fingerprint[:16]}`, which its predictions bear",
        f"- pixel size of the training images: {size}",
        f"- label-free planes normalized per {panel.normalization.way}; "
        f"symmetries of the optics: {len(panel.symmetries)} of 8",
        *[f"- {line}" for line in _members(about.get("members", ()))],
        "",
        "## Data",
        "",
        *_data(about.get("data", {})),
        "",
        *[line for item in about.get("scores", {}).items() for line in _scores(*item)],
        "## Settings",
        "",
        *[f"- {name}: {value}" for name, value in about.get("settings", {}).items()],
        "",
        "## Versions",
        "",
        *[f"- {name} {number}" for name, number in about.get("versions", {}).items()],
        f"- trained on {about.get('machine', 'an unknown machine')} "
        f"in {about.get('seconds', float('nan')):.0f} s",
        "",
    ]
    return "\n".join(lines)


def _members(members: Any) -> list[str]:
    lines = []
    for member in members:
        line = (
            f"weights of step {member['best_step']} of {member['steps']}, "
            f"validation r_s {member['validation_r_s']:.3f}"
        )
        parent = member.get("parent_validation_r_s")
        if parent is not None:
            line += f"; the parent has {parent:.3f} on the same pairs: {member['better']}"
        lines.append(line)
    return lines


def _data(data: Mapping[str, Any]) -> list[str]:
    if not data:
        return ["Not recorded."]
    name, fingerprint = data.get("name", "unknown"), data.get("fingerprint", "unknown")
    lines = [f"`{name}`, fingerprint `{fingerprint[:16]}`.", ""]
    for marker, counts in data.get("pairs", {}).items():
        lines.append(
            f"- {marker}: " + ", ".join(f"{n} {s or 'unsplit'}" for s, n in counts.items())
        )
    for split, groups in data.get("groups", {}).items():
        shown = ", ".join(groups[:12]) + (", ..." if len(groups) > 12 else "")
        lines.append(f"- groups in {split}: {shown}")
    for part, kind in data.get("kept_apart", {}).items():
        lines.append(f"- {part} is kept apart from training by {_KEPT_APART[kind]}")
    return lines + [f"- note: {note}" for note in data.get("notes", ())]


def _scores(split: str, scores: Mapping[str, Any]) -> list[str]:
    lines = [
        f"## Scores, split {split}",
        "",
        "| marker | r_s | r_lap | SSIM | c_max | pairs |",
        "|---|---|---|---|---|---|",
    ]
    for marker, entry in scores["summary"].items():
        cells = [_number(entry[name]) for name in ("r_s", "r_lap", "ssim", "c_max")]
        lines.append(f"| {marker} | {' | '.join(cells)} | {entry['r_s']['n']} |")
    lines += [""]
    for marker, baselines in scores["baselines"].items():
        said = ", ".join(f"{name} {_number(entry['r_s'])}" for name, entry in baselines.items())
        lines.append(f"- r_s of {marker} without a model: {said}")
    lines += [f"- {text}" for text in scores["verdicts"].values()]
    lines += [f"- {note}" for note in scores["notes"]]
    return [*lines, ""]


def _number(entry: Mapping[str, Any]) -> str:
    if entry["mean"] is None:
        return "-"
    if entry.get("low") is None:
        return f"{entry['mean']:.3f}"
    return f"{entry['mean']:.3f} ({entry['low']:.3f} - {entry['high']:.3f})"
