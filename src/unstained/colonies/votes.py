"""Labels given by several people: majority, ties, and how far people agree."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence, Set
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError, FileError, InputError, some_of
from ..images.atomic import atomic_path, write_csv
from ..images.folders import images_in
from ..images.tables import TableStyle, read_table, style_of
from .detect_sources import NOT_IMAGES
from .detection_folder import TABLE, read_colonies

__all__ = [
    "MULTI_LABEL",
    "LabelledFolder",
    "VoteResult",
    "as_label",
    "check_labels",
    "fleiss_kappa",
    "merge_votes",
    "votes_into_detection",
    "without_masks",
]


MULTI_LABEL = "multi-label"
COLUMNS = ("image", "annotator", "label")

_BANDS = ((0.0, "poor"), (0.2, "slight"), (0.4, "fair"), (0.6, "moderate"), (0.8, "substantial"))


class VoteResult(NamedTuple):
    """What several people say together.

    Attributes
    ----------
    labels : table
        A row for each image, in the order of its first vote: `image`, `label` (that with the
        most votes; empty on a tie), `votes`, `agreement` (share of the votes for the most
        frequent label), `tie`.
    disagreements : table
        Images on which not all agree: `image`, `label`, and what each annotator said in a column
        of its own (empty: no vote).
    annotators : table
        For each annotator: `votes`, `compared` (images on which the others have a majority),
        `agreement` (share of these on which the annotator says the same; NaN for none).
    kappa : float
        Fleiss' kappa, see `fleiss_kappa`.
    """

    labels: pd.DataFrame
    disagreements: pd.DataFrame
    annotators: pd.DataFrame
    kappa: float

    def kappa_in_words(self) -> str:
        """What kappa says, after Landis and Koch (1977), Biometrics 33:159."""
        if math.isnan(self.kappa):
            return "cannot be told: it needs images with two votes, and two classes"
        word = next((word for top, word in _BANDS if self.kappa <= top), "almost perfect")
        return f"{word} agreement beyond chance"


class LabelledFolder(NamedTuple):
    """Where merged votes went: the table, the list of disagreements, the votes, and notes."""

    table: Path
    disagreements: Path
    result: VoteResult
    notes: tuple[str, ...] = ()


def merge_votes(votes: pd.DataFrame, classes: Sequence[str] | None = None) -> VoteResult:
    """Merge the labels of several people into one per image.

    The label with the most votes wins; where two have as many, it is a tie, and the image has no
    label. "multi-label" is a label like others; two classes joined by ``+``
    (``dense+spread``) are a vote for it.

    Parameters
    ----------
    votes : table
        Columns `image`, `annotator`, `label`, text. The same vote twice counts once.
    classes : sequence of str, optional
        The only labels there may be, beside "multi-label".

    Returns
    -------
    VoteResult

    Raises
    ------
    DataError
        Columns that are missing or unknown, empty cells, labels that are unknown or differ in
        capitals alone, or an annotator who labels one image in two ways.
    """
    table = _checked(votes, classes)
    images, names = table["image"].unique(), sorted(table["label"].unique())
    counted = pd.crosstab(table["image"], table["label"]).reindex(index=images, columns=names)
    counts = counted.to_numpy()  # (images, labels)
    most, total = counts.max(1), counts.sum(1)
    tie = (counts == most[:, None]).sum(1) > 1
    label = np.where(tie, "", np.array(names, object)[counts.argmax(1)])
    labels = pd.DataFrame(
        {"image": images, "label": label, "votes": total, "agreement": most / total, "tie": tie}
    )
    said = table.pivot(index="image", columns="annotator", values="label").reindex(images)
    differ = labels.loc[most < total, ["image", "label"]]
    disagreements = differ.join(said.fillna(""), on="image").reset_index(drop=True)
    return VoteResult(labels, disagreements, _annotators(table, counted), fleiss_kappa(counts))


def fleiss_kappa(counts: npt.ArrayLike) -> float:
    """Agreement of several raters beyond chance [1]_, numbers of raters may differ.

    With n_ij votes for category j on image i, n_i = sum_j n_ij:

    P_i = (sum_j n_ij^2 - n_i) / (n_i (n_i - 1)), the share of pairs that agree;
    p_j = sum_i n_ij / sum_i n_i; P_e = sum_j p_j^2;
    kappa = (mean_i P_i - P_e) / (1 - P_e).

    Images with fewer than two votes have no pairs and are left out of all sums. With n_i = n
    for all images this is Fleiss' formula.

    Parameters
    ----------
    counts : (I, J) int array
        Votes for each image and category.

    Returns
    -------
    float
        1: all agree, 0: as by chance, below 0: less. NaN where no image has two votes, or all
        votes are for one category.

    Raises
    ------
    InputError
        No table of counts.

    References
    ----------
    .. [1] Fleiss (1971), Psychol Bull 76:378, doi 10.1037/h0031619.
    """
    votes = np.asarray(counts)
    if votes.ndim != 2 or votes.dtype.kind not in "iu" or votes.min(initial=0) < 0:
        raise InputError(
            f"votes {votes.shape} of {votes.dtype}, the least {votes.min(initial=0)}",
            "give (images, categories) counts, 0 and above",
        )
    several = votes[votes.sum(1) >= 2].astype(float)
    if not len(several):
        return math.nan
    n = several.sum(1)
    agreeing = ((several**2).sum(1) - n) / (n * (n - 1))
    by_chance = float(((several.sum(0) / n.sum()) ** 2).sum())
    if np.count_nonzero(several.sum(0)) == 1:
        return math.nan
    return float((agreeing.mean() - by_chance) / (1 - by_chance))


def votes_into_detection(
    target: str | PathLike[str],
    votes_csv: str | PathLike[str],
    classes: Sequence[str] | None = None,
) -> LabelledFolder:
    """Write merged votes as the columns `label`, `votes` and `agreement` of a table.

    Images without votes keep what they have, and are without a label (empty) otherwise. Beside
    the table ``NAME_disagreements.csv`` lists what to talk about.

    Parameters
    ----------
    target : path-like
        A folder of detected colonies: `image` is the `id` of a colony, or a file named after it
        (``well00_f003_c012.png``). Or a manifest CSV with a column `image`, or a folder with a
        ``manifest.csv``: the same path, or its file name where that is unique. Or a folder of
        images, which gets a ``manifest.csv``; files whose names end in ``_mask``, ``_labels``,
        ``_classes`` or ``_seg`` are none.
    votes_csv : path-like
        Commas, semicolons or tabs between the columns; a manifest keeps its own.
    classes : sequence of str, optional
        See `merge_votes`.

    Returns
    -------
    LabelledFolder

    Raises
    ------
    FileError
        A table or folder is not there or cannot be written.
    DataError
        As for `merge_votes`; votes for images that do not exist; a table with labels that no
        votes gave. Nothing is written then.
    """
    votes_csv = Path(votes_csv)
    try:
        votes = read_table(Path(votes_csv))
        path, table, notes = _target(Path(target))
        names = table["id" if path.name == TABLE else "image"]
        known = _rows_by_name(names)
        if "image" in votes.columns:
            votes["image"] = _found(votes["image"], known, names, path)
        result = merge_votes(votes, classes)
    except DataError as error:
        raise DataError(error.reason, error.remedy, file=error.file or votes_csv) from error
    labelled = _with_labels(table, names, result, path)
    disagreements = path.with_name(f"{path.stem}_disagreements.csv")
    write_csv(result.disagreements, disagreements, float_format=None)
    with atomic_path(path) as part:
        if path.name == TABLE:
            labelled.to_parquet(part, index=False)
        else:
            # as it was, lest the program that wrote it read it as one column
            style = style_of(path) if path.is_file() else TableStyle(",", "utf-8")
            labelled.to_csv(
                part,
                index=False,
                sep=style.separator,
                encoding=style.encoding,
                lineterminator="\n",
            )
    return LabelledFolder(path, disagreements, result, notes)


def _checked(votes: pd.DataFrame, classes: Sequence[str] | None) -> pd.DataFrame:
    missing = [name for name in COLUMNS if name not in votes.columns]
    unknown = [str(name) for name in votes.columns if name not in COLUMNS]
    if missing or unknown:
        what = f"lacks {', '.join(missing)}" if missing else f"has unknown {', '.join(unknown)}"
        raise DataError(f"the table of votes {what}", f"its columns are {','.join(COLUMNS)}")
    table: pd.DataFrame = (
        votes[list(COLUMNS)].fillna("").astype(str).apply(lambda column: column.str.strip())
    )
    empty = table[(table == "").any(axis=1)]
    if len(empty):
        rows = some_of([str(n + 1) for n in np.flatnonzero((table == "").any(axis=1))])
        raise DataError(
            f"{len(empty)} votes have an empty cell: rows {rows}",
            "fill image, annotator and label, or remove the rows",
        )
    if table.empty:
        raise DataError("there are no votes", "write a row for each vote")
    parts = [_parts(label) for label in table["label"]]
    check_labels(sorted(set().union(*parts)), classes)
    table["label"] = table["label"].map(as_label)
    table = table.drop_duplicates(ignore_index=True)
    twice = table[table.duplicated(["image", "annotator"], keep=False)]
    if len(twice):
        listed = [
            f"{part['annotator'].iloc[0]} on {part['image'].iloc[0]}: {' and '.join(part['label'])}"
            for _, part in twice.groupby(["annotator", "image"], sort=False)
        ]
        raise DataError(
            f"{len(listed)} images were labelled in two ways by one annotator: {some_of(listed)}",
            f"keep one vote; an image with several classes is {MULTI_LABEL!r} or 'a+b'",
        )
    return table


def as_label(text: str, known: Set[str] | None = None) -> str:
    """The class that a text names; "multi-label" where it names several, or says so.

    Several are named by ``dense+spread``; with `known` only where both are known by themselves:
    else it is one class, as CD44+CD105- is.
    """
    parts = _parts(text)
    if MULTI_LABEL in parts or (len(parts) > 1 and (known is None or parts <= known)):
        return MULTI_LABEL
    return text.strip() if len(parts) > 1 else next(iter(parts))


def _parts(label: str) -> set[str]:
    """The classes of a vote: two in ``dense+spread``, one in ``CD105+``."""
    parts = {part.strip() for part in label.split("+")}
    if "" in parts:
        return {label.strip()}
    named = {p.casefold() for p in parts} & {"multi-label", "multilabel"}
    return {MULTI_LABEL} if named else parts


def check_labels(labels: Sequence[str], classes: Sequence[str] | None) -> None:
    """Refuse labels that differ in capitals alone, or are none of `classes` and not "multi-label".

    Raises
    ------
    DataError
        Names them.
    """
    if classes is not None:
        unknown = [label for label in labels if label not in (*classes, MULTI_LABEL)]
        if unknown:
            raise DataError(
                f"unknown labels {some_of(unknown)}",
                f"known are {', '.join(classes)}, {MULTI_LABEL}",
            )
    spellings: dict[str, list[str]] = {}
    for label in labels:
        spellings.setdefault(label.casefold(), []).append(label)
    alike = [", ".join(some) for some in spellings.values() if len(some) > 1]
    if alike:
        raise DataError(
            f"labels that differ in capitals alone: {some_of(alike)}", "write one of them"
        )


def _annotators(table: pd.DataFrame, counted: pd.DataFrame) -> pd.DataFrame:
    """How often each annotator says what the others' majority says."""
    counts = counted.loc[table["image"]].to_numpy()  # a row for each vote
    own = counted.columns.get_indexer(pd.Index(table["label"]))
    others = counts.copy()
    others[np.arange(len(own)), own] -= 1
    most = others.max(1)
    compared = (most > 0) & ((others == most[:, None]).sum(1) == 1)
    each = pd.DataFrame(
        {
            "annotator": table["annotator"],
            "compared": compared,
            "agreement": np.where(compared, others.argmax(1) == own, np.nan),
        }
    )
    groups = each.groupby("annotator")
    return pd.DataFrame(
        {
            "votes": groups.size(),
            "compared": groups["compared"].sum(),
            "agreement": groups["agreement"].mean(),
        }
    ).reset_index()


def _target(target: Path) -> tuple[Path, pd.DataFrame, tuple[str, ...]]:
    """The table to write, its rows, and notes."""
    if (target / TABLE).is_file() or target.name == TABLE:
        folder = target.parent if target.name == TABLE else target
        return folder / TABLE, read_colonies(folder), ()
    if not target.exists():
        raise FileError("is not there", "name a folder of colonies or a manifest", file=target)
    manifest = target / "manifest.csv" if target.is_dir() else target
    if manifest.is_file():
        table = read_table(manifest)
        if "image" not in table.columns:
            raise DataError("has no column image", "name the images of each row", file=manifest)
        return manifest, table, ()
    images, notes = without_masks(images_in(target))
    if not images:
        raise DataError(
            "holds neither detected colonies, a manifest.csv, nor images",
            "make one: unstained colonies detect IMAGE... --out DIR",
            file=target,
        )
    return manifest, pd.DataFrame({"image": [file.name for file in images]}), notes


def without_masks(files: Sequence[Path]) -> tuple[list[Path], tuple[str, ...]]:
    """The files whose names do not say that they hold labels or masks; and a note of the others."""
    images = [file for file in files if not NOT_IMAGES.search(file.stem)]
    n = len(files) - len(images)
    note = f"{n} files were left out: their names say that they hold labels or masks"
    return images, (note,) if n else ()


def _rows_by_name(names: pd.Series[str]) -> dict[str, int]:
    """Rows by every name that means one of them: as written, as a file's name, without ending."""
    by_name = {str(name): row for row, name in enumerate(names)}
    files = [Path(str(name).replace("\\", "/")) for name in names]
    for short in ([file.name for file in files], [file.stem for file in files]):
        times = Counter(short)
        for row, name in enumerate(short):
            if times[name] == 1:
                by_name.setdefault(name, row)
    return by_name


def _found(
    images: pd.Series[str], known: dict[str, int], names: pd.Series[str], path: Path
) -> list[str]:
    """What the table calls each image that was voted on."""
    rows = []
    for image in images:
        text = image.strip().replace("\\", "/")
        exact = next((known[name] for name in (image.strip(), text) if name in known), -1)
        short = (known[name] for name in (Path(text).name, Path(text).stem) if name in known)
        fitting = (row for row in short if _one_folder(text, str(names.iloc[row])))
        rows.append(exact if exact >= 0 else next(fitting, -1))
    absent = list(dict.fromkeys(i for i, row in zip(images, rows, strict=True) if row < 0 and i))
    if absent:
        raise DataError(
            f"{len(absent)} images with votes are not in {path}: {some_of(absent)}; nothing was "
            "written",
            f"name images as in the table, for example {names.iloc[0] if len(names) else 'none'}",
        )
    return [str(names.iloc[row]) if row >= 0 else "" for row in rows]


def _one_folder(a: str, b: str) -> bool:
    """Whether two paths may mean one file: the folders of one end as those of the other."""
    parents = [PurePosixPath(path.replace("\\", "/").casefold()).parent.parts for path in (a, b)]
    folders = [[part for part in of if part not in (".", "..")][::-1] for of in parents]
    return all(x == y for x, y in zip(*folders, strict=False))


def _with_labels(
    table: pd.DataFrame, names: pd.Series[str], result: VoteResult, path: Path
) -> pd.DataFrame:
    merged = result.labels.set_index("image")
    voted = names.isin(merged.index)
    has_labels = "label" in table.columns and bool((table.loc[voted, "label"] != "").any())
    if has_labels and "votes" not in table.columns:
        raise DataError(
            "has labels that no votes gave, which would be lost",
            "rename its column label, or take these votes out",
            file=path,
        )
    new = merged.reindex(names).set_index(table.index)  # a row for each of the table's
    labelled = table.copy()
    for column, nothing in (("label", ""), ("votes", 0), ("agreement", math.nan)):
        kept = table[column] if column in table.columns else pd.Series(nothing, table.index)
        kept = kept if column == "label" else pd.to_numeric(kept)
        labelled[column] = new[column].where(voted, kept).astype(kept.dtype)
    return labelled
