"""The trainings of a study: each is run and scored once, and what is done is not done again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from ...errors import FileError, InputError
from ...images.atomic import make_folder, read_json, write_csv, write_json
from ...images.folders import is_empty
from ...images.pairs import Pairs
from ...images.tiles import round_up
from ...learning.devices import autocast, choose_device, resolve_precision
from ...learning.memory import tune_allocator
from ...learning.model_file import MODEL
from ...learning.networks import NetworkSpec, build_network
from ...statistics import MIN_GROUPS
from ..card import score_with_panel
from ..panel import Panel
from ..prediction import PredictOptions
from ..score_table import score_interval
from ..settings import TrainSettings
from ..training import Report, enough_steps, train

if TYPE_CHECKING:
    from ..score_table import ScoreTable

__all__ = [
    "SCORES",
    "Run",
    "Study",
    "begin_study",
    "groups_of",
    "mean_scores",
    "run_all",
    "without_test",
]

_NAMES = ("pair", "group", "marker")
SCORES = ("r_s", "r_lap", "snr_rms", "snr_var", "c_max")
_JUDGE = 4  # by which a discriminator makes a step longer, about


@dataclass(frozen=True)
class Run:
    """One training of a study.

    Attributes
    ----------
    name : str
        Also of its files.
    pairs : Pairs
        Splits "train" and "validation".
    tests : mapping of str to Pairs
        What its model is scored on, each of split "test".
    seed : int
    """

    name: str
    pairs: Pairs
    tests: Mapping[str, Pairs]
    seed: int


@dataclass(frozen=True)
class Study:
    """What a study found.

    Attributes
    ----------
    table : DataFrame
        What its figure shows, one row a condition and marker.
    words : tuple of str
        Its result in sentences.
    files : tuple of Path
        Figure, tables and sentences.
    """

    table: pd.DataFrame
    words: tuple[str, ...]
    files: tuple[Path, ...]


def run_all(
    runs: Sequence[Run],
    out: Path,
    settings: TrainSettings,
    *,
    report: Report,
    say: Callable[[str], None],
) -> pd.DataFrame:
    """Train and score all runs, going on where an earlier call stopped.

    `out` has been begun (`begin_study`). ``OUT/models/NAME`` holds a run's model,
    ``OUT/scores/NAME.csv`` its scores.

    Returns
    -------
    DataFrame
        run, test, pair, group, marker, r_s, r_lap, snr_rms, snr_var, c_max: one row a scored pair.
    """
    left = [run for run in runs if not _scores(out, run).exists()]
    if left:
        seconds = sum(_expected_seconds(run, settings) for run in left)
        say(
            f"{len(left)} of {len(runs)} trainings left, about {_duration(seconds)} on this machine"
        )
    for number, run in enumerate(left, 1):
        say(f"training {number} of {len(left)}: {run.name}")
        model = out / "models" / run.name
        if (model / MODEL).exists():
            panel = Panel.load(model)
        else:
            own = replace(settings, seed=run.seed)
            panel = train(run.pairs, model, own, resume=True, report=report)
        options = PredictOptions(device=settings.device)
        frames = [
            _rows(score_with_panel(panel, test, split="test", options=options), name)
            for name, test in run.tests.items()
        ]
        table = pd.concat(frames).assign(run=run.name)
        write_csv(table, _scores(out, run), float_format=None)
    return pd.concat([_read_scores(_scores(out, run), run) for run in runs])


def begin_study(
    out: Path, kind: str, pairs: Pairs, settings: TrainSettings, **parameters: float | None
) -> None:
    """Note what the folder is a study of; on a second call, compare.

    Before anything is written: what lies in the folder is gone on with, and must be of this study.

    Raises
    ------
    InputError
        `out` holds another study, or something else.
    FileError
        `out` cannot be made a folder, or its note of the study is broken.
    """
    said: dict[str, Any] = {
        "study": kind,
        "pairs": pairs.fingerprint(),
        "settings": settings.as_dict(),
        "parameters": parameters,
    }
    note = out / "study.json"
    if note.exists():
        before = read_json(note, "remove the folder, or choose another --out")
        if before.get("study") != kind:
            raise InputError(
                f"{out} holds another study: {before.get('study')}", "choose another --out"
            )
        changed = [name for name in said if before.get(name) != said[name]]
        if changed:
            which = [
                difference
                for part in ("settings", "parameters")
                if isinstance(before.get(part), dict)
                for difference in _differences(before[part], said[part])
            ]
            raise InputError(
                f"{out} holds a study of other {' and '.join(changed)}"
                + (f" ({'; '.join(which)})" if which else ""),
                "go on with the same ones, or choose another --out",
            )
        return
    if out.is_dir() and not is_empty(out):
        raise InputError(f"{out} is not empty", "choose a new folder for the study")
    make_folder(out)
    write_json(note, said)


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """``"width 4, was 3"`` for each entry that differs."""
    keys = {**before, **now}
    return [
        f"{key} {now.get(key)}, was {before.get(key)}"
        for key in keys
        if now.get(key) != before.get(key)
    ]


def _read_scores(file: Path, run: Run) -> pd.DataFrame:
    """The scores of a run as `run_all` wrote them.

    Raises
    ------
    FileError
        They were cut or changed since.
    """
    kinds: dict[str, type] = dict.fromkeys(("pair", "group", "marker", "test", "run"), str)
    kinds |= dict.fromkeys(SCORES, float)
    try:
        # a group may be called NA
        table = pd.read_csv(file, dtype=kinds, keep_default_na=False, na_values=[""])
        if list(table.columns) != [*_NAMES, *SCORES, "test", "run"]:
            raise ValueError(f"has the columns {', '.join(table.columns)}")
        if set(table["test"]) != set(run.tests) or (table["run"] != run.name).any():
            raise ValueError("a row is cut, or a test has none")
    except (OSError, ValueError) as error:
        again = "remove it: the model is scored again"
        raise FileError(f"is not what was scored ({error})", again, file=file) from error
    return table


def groups_of(rows: pd.DataFrame) -> pd.Series[str] | None:
    """What intervals are taken over: groups where there are three or more, else pairs (None)."""
    groups = rows["group"]
    return groups if groups.nunique() >= MIN_GROUPS else None


def mean_scores(rows: pd.DataFrame, names: Sequence[str]) -> dict[str, float]:
    """Mean of each score, its interval as NAME_low and NAME_high, and the number n of rows."""
    found: dict[str, float] = {}
    for name in names:
        mean = score_interval(name, rows[name].to_numpy(np.float64), groups=groups_of(rows))
        found |= {name: mean.estimate, f"{name}_low": mean.low, f"{name}_high": mean.high}
    return {**found, "n": len(rows)}


def without_test(pairs: Pairs) -> Pairs:
    """What a run trains and validates on."""
    kept = pairs.table[pairs.table["split"].isin(["train", "validation"])]
    return Pairs(kept, pairs.root, pairs.name)


def _scores(out: Path, run: Run) -> Path:
    return out / "scores" / f"{run.name}.csv"


def _rows(table: ScoreTable, test: str) -> pd.DataFrame:
    return table.pairs[[*_NAMES, *SCORES]].assign(test=test)


def _expected_seconds(run: Run, settings: TrainSettings) -> float:
    """From the time of a step on random pixels; scoring is little beside training."""
    fields = run.pairs.of_split("train").fields()
    steps = settings.steps or enough_steps(settings, [field.shape for field in fields])
    planes = len(fields[0].read_phase())
    shared = settings.panel == "shared"
    networks = settings.ensemble * (1 if shared else len(run.pairs.markers))
    outputs = len(run.pairs.markers) if shared else 1
    return steps * networks * _step_seconds(settings, planes, outputs)


def _step_seconds(settings: TrainSettings, planes: int, outputs: int) -> float:
    """Of forward and backward in the training's precision, and what a discriminator adds."""
    tune_allocator()
    device = choose_device(settings.device)
    precision = resolve_precision(settings.precision, device)
    spec = NetworkSpec(settings.network, planes, outputs, settings.width, settings.depth)
    network = build_network(spec).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    side = round_up(settings.patch, network.stride)
    x = torch.randn(settings.batch, planes, side, side, device=device)
    taken = []
    for _ in range(3):  # the first is slower
        began = time.perf_counter()
        with autocast(precision, device):
            loss = network(x).square().mean()
        loss.backward()
        network.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return min(taken) * (_JUDGE if settings.adversarial > 0 else 1)


def _duration(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
