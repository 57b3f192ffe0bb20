"""What a comparison says: tables, tests, figures, and which labels to gather next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..figures import (
    confusion_figure,
    label_curve,
    methods_figure,
    mistakes_grid,
    save_figure,
)
from ..images.atomic import write_csv, write_text
from ..images.image import Array
from ..statistics import (
    classification_scores,
    corrected_t_test,
    holm,
    mcnemar,
    paired_test,
    sign_flip_p,
)
from .comparison import Comparison
from .examples import Examples
from .learning_figures import learning_figures

__all__ = ["advice", "class_table", "compare_tests", "summary", "write_comparison"]

SCORES = ("recall", "precision", "f1", "balanced_accuracy", "mcc", "accuracy")
_NEXT = 50


def summary(found: Comparison) -> pd.DataFrame:
    """A row for each arm and labelled share: each macro score over all tested images.

    The predictions of all folds are pooled: every image was tested once. `NAME_low` and
    `NAME_high` are 95 % intervals over groups (`classification_scores`), `NAME_sd` the standard
    deviation over folds, `seconds` a mean.
    """
    rows = []
    for (arm, share), part in _by_arm(found):
        pooled = classification_scores(
            part["true"], part["predicted"], found.classes, part["group"]
        )
        folds = [_scores(fold, found.classes) for _, fold in part.groupby("fold")]
        row: dict[str, Any] = {"arm": arm, "labelled": share, "folds": len(folds)}
        for name in SCORES:
            interval = pooled.macro[name]
            row |= {
                name: interval.estimate,
                f"{name}_low": interval.low,
                f"{name}_high": interval.high,
                f"{name}_sd": _sd([fold[name] for fold in folds]),
            }
        runs = found.runs[(found.runs["arm"] == arm) & (found.runs["labelled"] == share)]
        rows.append({**row, "seconds": runs["seconds"].mean()})
    return pd.DataFrame(rows)


def class_table(found: Comparison) -> pd.DataFrame:
    """A row for each arm, labelled share and class: recall, precision, F1 with intervals.

    `n` images and `groups` hold the class; below two groups there is no interval.
    """
    rows = []
    for (arm, share), part in _by_arm(found):
        scores = classification_scores(
            part["true"], part["predicted"], found.classes, part["group"]
        )
        for name, of_class in scores.classes.items():
            row: dict[str, Any] = {"arm": arm, "labelled": share, "class": name}
            row |= {"n": of_class.n, "groups": of_class.groups}
            for score in ("recall", "precision", "f1"):
                interval = getattr(of_class, score)
                row |= {
                    score: interval.estimate,
                    f"{score}_low": interval.low,
                    f"{score}_high": interval.high,
                }
            rows.append(row)
    return pd.DataFrame(rows)


def compare_tests(found: Comparison) -> pd.DataFrame:
    """Every pair of arms at each labelled share.

    `difference` of macro recall over folds; `p_corrected` of the corrected resampled t-test
    (Nadeau, Bengio), `p_plain` of the plain one, which is too sure; `p_holm` is `p_corrected`
    after Holm over the pairs of a share. They are NaN for two folds and for differences that tie.
    `p_errors` says whether one arm errs more often on the pooled predictions, by the test named
    in `errors_test`: where a group holds several images, which err together, "sign flips of
    groups" (`sign_flip_p`), else "mcnemar".
    """
    rows = []
    for share, part in found.predictions.groupby("labelled", sort=False):
        arms = list(dict.fromkeys(part["arm"]))
        runs = found.runs[found.runs["labelled"] == share]
        n_test = round(runs["n_test"].mean())
        n_train = round((runs["n_labelled"] + runs["n_unlabelled"]).mean())
        recall = {
            arm: [_scores(fold, found.classes)["recall"] for _, fold in some.groupby("fold")]
            for arm, some in part.groupby("arm", sort=False)
        }
        said = {arm: some.sort_values("row") for arm, some in part.groupby("arm", sort=False)}
        tests = []
        for a, b in combinations(arms, 2):
            corrected = corrected_t_test(recall[a], recall[b], n_train=n_train, n_test=n_test)
            p_errors, errors_test = _errors_test(said[a], said[b])
            tests.append(
                {
                    "labelled": share,
                    "a": a,
                    "b": b,
                    "difference": corrected.difference,
                    "p_corrected": corrected.p,
                    "p_plain": paired_test(recall[a], recall[b], test="t").p,
                    "p_errors": p_errors,
                    "errors_test": errors_test,
                }
            )
        for test, p in zip(tests, holm([t["p_corrected"] for t in tests]), strict=True):
            rows.append({**test, "p_holm": p})
    columns = ["labelled", "a", "b", "difference", "p_corrected", "p_plain"]
    return pd.DataFrame(rows, columns=[*columns, "p_errors", "errors_test", "p_holm"])


def _errors_test(a: pd.DataFrame, b: pd.DataFrame) -> tuple[float, str]:
    """p and test of whether two arms err equally often; their rows are the same images."""
    true, first, second = (c.to_numpy() for c in (a["true"], a["predicted"], b["predicted"]))
    _, group = np.unique(a["group"].to_numpy(str), return_inverse=True)
    if np.bincount(group).max() == 1:
        return mcnemar(true, first, second).p, "mcnemar"
    gain = (first == true).astype(int) - (second == true)
    # (N,) +1, 0 or -1 -> (G,) images that only a got right less those that only b did
    of_group = np.bincount(group, weights=gain).round().astype(int)
    return sign_flip_p(of_group), "sign flips of groups"


def advice(found: Comparison) -> str:
    """Which class the next fifty labels should be of, judged by scores at several labelled shares.

    For each class of the best arm a line is fitted to recall against the logarithm of its labelled
    images; fifty more of class k are worth slope_k * log((n_k + 50) / n_k) of its recall, and a
    K-th of that of macro recall. Needs two shares at least.
    """
    shares = sorted(found.runs["labelled"].unique())
    if len(shares) < 2:
        return "which labels to gather next needs two labelled shares: --labelled 0.05,0.1"
    table = summary(found)
    most = table[table["labelled"] == shares[-1]]
    arm = str(most.loc[most["recall"].idxmax(), "arm"])
    recall = class_table(found).query("arm == @arm")
    runs = found.runs[found.runs["arm"] == arm].groupby("labelled").mean(numeric_only=True)
    gains = {}
    for name in found.classes:
        n = runs[f"labels_{name}"].sort_index()
        of_class = recall[recall["class"] == name].set_index("labelled")["recall"].sort_index()
        if n.nunique() < 2 or of_class.isna().any():
            continue
        slope = np.polyfit(np.log(n), of_class.loc[n.index], 1)[0]
        at = n.iloc[-1]
        room = 1 - of_class.iloc[-1]
        gain = min(slope * np.log((at + _NEXT) / at), room)
        gains[name] = max(float(gain), 0.0) / len(found.classes)
    if not gains or max(gains.values()) < 0.005:
        return (
            f"with {arm}, fifty more labels of any one class would bring less than 0.005 of macro "
            "recall"
        )
    best = max(gains, key=lambda name: gains[name])
    rest = ", ".join(f"{name} {gain:+.3f}" for name, gain in gains.items() if name != best)
    return (
        f"with {arm}, the next {_NEXT} labels should be of {best}: macro recall "
        f"{gains[best]:+.3f}, by the slope of its recall so far ({rest})"
    )


def write_comparison(found: Comparison, examples: Examples) -> list[Path]:
    """Write tables and figures into the folder of the comparison; give their paths."""
    folder = found.folder
    table, classes, tests = summary(found), class_table(found), compare_tests(found)
    written = []
    for name, frame in (("summary", table), ("classes", classes), ("tests", tests)):
        written.append(write_csv(frame, folder / f"{name}.csv", float_format=None))
    written.append(write_text(folder / "summary.md", markdown(found)))
    columns = {"arm": "method", "recall": "value", "recall_low": "low", "recall_high": "high"}
    drawn = table.rename(columns=columns)
    for share, part in drawn.groupby("labelled"):
        written.append(save_figure(methods_figure(part), folder / f"methods-{share:g}.png"))
    if drawn["labelled"].nunique() > 1:
        written.append(save_figure(label_curve(drawn), folder / "labels.png"))
    written += _figures_of_best(found, examples, *_best(table))
    for file in sorted((folder / "runs").glob("*/*/fold-0/student.jsonl")):
        true = _hidden_shares(file.with_name("run.json"))
        written += learning_figures(file, found.classes, file.parent, true)
    return written


def markdown(found: Comparison) -> str:
    """The table as Markdown, for a paper's supplement or a notebook."""
    table = summary(found)
    head = ["method", "labelled", "macro recall", "SD", "macro F1", "SD"]
    head += [f"recall {name}" for name in found.classes] + ["s"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    classes = class_table(found)
    recall = {
        (arm, share, name): value
        for arm, share, name, value in classes[["arm", "labelled", "class", "recall"]].to_numpy()
    }
    for row in table.to_dict("records"):
        cells = [str(row["arm"]), f"{100 * row['labelled']:g} %"]
        for name in ("recall", "f1"):
            low, high = row[f"{name}_low"], row[f"{name}_high"]
            cells += [f"{row[name]:.3f} [{low:.3f}, {high:.3f}]", f"{row[f'{name}_sd']:.3f}"]
        cells += [f"{recall[row['arm'], row['labelled'], name]:.3f}" for name in found.classes]
        lines.append("| " + " | ".join([*cells, f"{row['seconds']:.0f}"]) + " |")
    drawn = f"confusion.png and mistakes.png are of {_said(*_best(table))}, of all folds together"
    notes = [f"\n{note}." for note in (*found.notes, advice(found), drawn)]
    return "\n".join([*lines, *notes]) + "\n"


def _best(table: pd.DataFrame) -> tuple[str, float]:
    """Arm and labelled share of the highest macro recall in a `summary`."""
    row = table.iloc[int(table["recall"].argmax())]
    return str(row["arm"]), float(row["labelled"])


def _said(arm: str, share: float) -> str:
    return f"{arm}, {100 * share:g} % labelled"


def _figures_of_best(found: Comparison, examples: Examples, arm: str, share: float) -> list[Path]:
    """Confusion and mistakes."""
    folder, names, title = found.folder, found.classes, _said(arm, share)
    part = found.predictions.query("arm == @arm and labelled == @share")
    scores = classification_scores(part["true"], part["predicted"], names)
    confusion = confusion_figure(scores.confusion, names, title=title)
    written = [save_figure(confusion, folder / "confusion.png")]
    # of each true and predicted class the image that the arm was surest of
    surest = part.assign(sure=part[[f"p_{name}" for name in names]].max(axis=1))
    surest = surest.sort_values("sure").drop_duplicates(["true", "predicted"], keep="last")
    columns = surest[["true", "predicted", "row"]].to_numpy(int)
    plain = examples.with_stains(None)
    patches = {(names[t], names[p]): plain.read(int(row)).pixels[0] for t, p, row in columns}
    mistakes = mistakes_grid(patches, names, title=title)
    written.append(save_figure(mistakes, folder / "mistakes.png"))
    return written


def _hidden_shares(run: Path) -> dict[str, float] | None:
    """True shares of the classes among a training's unlabelled images, where all are known."""
    said = json.loads(run.read_text(encoding="utf-8")) if run.is_file() else {}
    hidden = said.get("hidden", {})  # absent from earlier runs
    total = sum(hidden.values())
    return {name: n / total for name, n in hidden.items()} if total else None


def _by_arm(found: Comparison) -> list[tuple[tuple[str, float], pd.DataFrame]]:
    groups = found.predictions.groupby(["arm", "labelled"], sort=False)
    return [((str(arm), float(str(share))), part) for (arm, share), part in groups]


def _scores(part: pd.DataFrame, classes: Sequence[str]) -> dict[str, float]:
    scores = classification_scores(part["true"], part["predicted"], classes, draws=2)
    return {name: scores.macro[name].estimate for name in SCORES}


def _sd(values: Sequence[float]) -> float:
    array: Array = np.asarray(values)
    return float(array.std(ddof=1)) if array.size > 1 else float("nan")
