"""Which pairs teach, which choose the weights, which give the score: by group, never within."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from ..errors import DataError, InputError, refuse_name
from .fields import Field, Region, split_paths
from .pairs import Pairs

__all__ = ["SplitWarning", "check_split", "spatial_split", "split_kind", "split_pairs"]

PARTS = ("train", "validation", "test")
_GUARD_PX = 64
_LEAST_PX = 32  # narrowest part of a spatial split


class SplitWarning(UserWarning):
    """A split says less than it seems to, for lack of groups."""


def split_pairs(
    pairs: Pairs,
    *,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    guard_px: int = _GUARD_PX,
) -> Pairs:
    """Give every row a split: train, validation or test.

    A split in the manifest wins; where it has no validation part, one is taken from the
    training groups. Otherwise whole groups are dealt out at random, so that each marker's rows
    come near to `fractions`. Where there are fewer groups than parts, a warning says so: one
    field is cut in space (`spatial_split`), several fields of one group are dealt out whole,
    and two groups give a test group and a training group whose fields make the validation
    part. Nothing is dropped, but a spatial cut adds rows, among them guard bands (``omit``).

    Parameters
    ----------
    pairs : Pairs
    fractions : (train, validation, test)
        Shares of the rows; 0 leaves a part out.
    seed : int
        Another seed deals the groups out otherwise.
    guard_px : int
        Width of the guard band of a spatial split, pixels.

    Raises
    ------
    DataError
        The given split puts a group, or overlapping regions, on two sides (`check_split`), or
        only some rows have a split, there is no row, or the image is too small to be cut.
    """
    refuse_name(pairs, "pairs", "load_pairs({})")
    share = _fractions(fractions)
    if not len(pairs):
        raise DataError("there are no pairs to split", "give some", file=pairs.name)
    given = pairs.table["split"] != ""
    if given.any():
        if not given.all():
            row = int(np.flatnonzero(~given)[0]) + 1
            raise DataError(
                f"{int((~given).sum())} of {len(pairs)} rows have no split, the first is row {row}",
                "give every row a split, or none",
                file=pairs.name,
            )
        check_split(pairs)
        return _with_validation(pairs, share, seed, guard_px)
    wanted = [part for part in PARTS if share[part] > 0]
    n_groups = len(pairs.groups)
    if n_groups >= len(wanted):
        return pairs.with_split(_deal(pairs.table, pairs.table["group"], share, seed))
    if n_groups == 1:
        fields = pairs.fields()
        if len(fields) >= len(wanted):
            by_field = "its fields are dealt out whole, and the scores flatter where they are alike"
            said = _warn(pairs, f"all pairs are of one group: {by_field}")
            names = _field_names(said, fields)
            return said.with_split(_deal(pairs.table, names, share, seed))
        said = _warn(pairs, "all pairs are of one group: the images are cut into parts in space")
        return spatial_split(said, guard_px=guard_px, fractions=fractions)
    # two groups for three parts
    outer = {"train": share["train"] + share["validation"], "test": share["test"]}
    dealt = pairs.with_split(_deal(pairs.table, pairs.table["group"], outer, seed))
    return _with_validation(dealt, share, seed, guard_px)


def spatial_split(
    pairs: Pairs,
    guard_px: int = _GUARD_PX,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
) -> Pairs:
    """Cut every field into columns: train, guard, validation, guard, test, from left to right.

    For a single field. Neighboring pixels are alike, so the guard band (``omit``) should be as
    wide as the network's receptive field. All markers of a field are cut alike. The score holds
    for this field, and says nothing about another.

    Parameters
    ----------
    pairs : Pairs
        Rows with a region are cut inside it.
    guard_px : int
        Columns between two parts, pixels.
    fractions : (train, validation, test)
        Shares of the columns that remain; 0 leaves a part out.

    Returns
    -------
    Pairs
        With one row for each part and guard band in place of each row.

    Raises
    ------
    DataError
        A part would be narrower than 32 px.
    """
    share = _fractions(fractions)
    if guard_px < 0:
        raise InputError(f"guard_px is {guard_px}", "0 or more pixels")
    cuts: dict[tuple[str, str, str], list[tuple[str, Region]]] = {}
    for field in pairs.fields():
        whole = field.region or Region(0, field.shape[0], 0, field.shape[1])
        key = (field.phase, str(field.region or ""), str(field.row["cell"]))
        cuts[key] = _cut(field, whole, guard_px, share)
    rows = []
    for row in pairs.table.to_dict("records"):
        for part, region in cuts[(row["phase"], row["region"], row["cell"])]:
            rows.append({**row, "split": part, "region": str(region)})
    return replace(pairs, table=pd.DataFrame(rows, columns=pairs.table.columns))


def split_kind(pairs: Pairs) -> str:
    """What the split keeps apart: "group", "field", "cell", "spatial", or "" for no split.

    The weakest of its kinds counts: one group on two sides makes it "field", or "cell" where
    its rows are single cells, or "spatial" where they are parts of one image.
    """
    table = pairs.table[pairs.table["split"].isin(PARTS)]
    if table.empty:
        return ""
    shared = table[table["group"].isin(_on_two_sides(table, "group"))]
    if shared.empty:
        return "group"
    if (shared["cell"] != "").all():
        return "cell"
    return "spatial" if _on_two_sides(shared, "phase") else "field"


def check_split(pairs: Pairs) -> None:
    """Raise where the split lets the test part leak into training.

    A group may be on two sides only if there is no other to choose from, or if all its rows
    are regions (parts of an image, single cells). Regions on two sides must not overlap.

    Raises
    ------
    DataError
        Names the groups or the rows.
    """
    table = pairs.table[pairs.table["split"].isin(PARTS)]
    whole = set(table.loc[(table["region"] == "") & (table["cell"] == ""), "group"])
    shared = [group for group in _on_two_sides(table, "group") if group in whole]
    sides = {group: sorted(set(table.loc[table["group"] == group, "split"])) for group in shared}
    learning = set(table.loc[table["split"] != "test", "group"])
    # the only group that there is to teach from may have to be its own validation part
    leaks = [g for g in shared if len(learning if "test" not in sides[g] else pairs.groups) > 1]
    if leaks:
        named = ", ".join(f"{group} in {' and '.join(sides[group])}" for group in leaks[:5])
        raise DataError(
            f"{len(leaks)} groups are on both sides of the split: {named}",
            "give all rows of a group one split, or leave the column out to have it made",
            file=pairs.name,
        )
    _check_overlap(table, pairs.name)


def _check_overlap(table: pd.DataFrame, name: str) -> None:
    for phase, rows in table.groupby("phase", sort=False):
        if rows["split"].nunique() < 2:
            continue
        part = rows["split"].to_numpy(str)
        row = rows.index.to_numpy()
        box = np.array([Region.parse(t) if t else (0, 2**31, 0, 2**31) for t in rows["region"]])
        for i in np.flatnonzero(part != "train"):
            other = (part != part[i]) & (box[:, 0] < box[i, 1]) & (box[i, 0] < box[:, 1])
            other &= (box[:, 2] < box[i, 3]) & (box[i, 2] < box[:, 3])
            if other.any():
                j = int(np.flatnonzero(other)[0])
                raise DataError(
                    f"rows {row[i] + 1} ({part[i]}) and {row[j] + 1} ({part[j]}) "
                    f"share pixels of {phase}",
                    "regions on two sides of a split must not overlap",
                    file=name,
                )


def _with_validation(pairs: Pairs, share: dict[str, float], seed: int, guard_px: int) -> Pairs:
    """Take a validation part out of the training rows where there is none."""
    split = pairs.table["split"]
    if not (split == "train").any() or (split == "validation").any() or not share["validation"]:
        return pairs
    train = pairs.of_split("train")
    train = train.with_split([""] * len(train))
    rest = pairs.table[split != "train"]
    fractions = (share["train"], share["validation"], 0.0)
    dealt = split_pairs(train, fractions=fractions, seed=seed, guard_px=guard_px)
    table = pd.concat([dealt.table, rest], ignore_index=True)
    return replace(pairs, table=table, notes=dealt.notes)


def _deal(
    table: pd.DataFrame, unit: pd.Series[str], share: dict[str, float], seed: int
) -> list[str]:
    """A split for each row: whole units, each where its markers are needed most.

    Units with rare markers go first, of those the large ones. A unit goes to the part that
    lacks most of its share of the unit's rarest marker (then of all), counted in rows; the last
    units go to parts that would stay empty. After Sechidis et al. (2011), ECML PKDD,
    doi 10.1007/978-3-642-23808-6_10.
    """
    parts = [part for part, fraction in share.items() if fraction > 0]
    markers = list(table["marker"].unique())
    count = pd.crosstab(unit, table["marker"]).reindex(columns=markers)
    order = np.random.default_rng(seed).permutation(len(count))
    rows = count.to_numpy(float)[order]  # (U, M)
    names = count.index.to_numpy(str)[order]
    total = rows.sum(0)
    rarest = np.where(rows > 0, total, np.inf).argmin(1)
    by_rarity = np.lexsort((-rows.sum(1), total[rarest]))
    weight = np.array([share[part] for part in parts])
    target = weight[:, None] / weight.sum() * total  # (S, M)
    have = np.zeros_like(target)
    dealt: dict[str, int] = {}
    for step, unit_row in enumerate(by_rarity):
        lack = (target - have) / total
        need = lack[:, rarest[unit_row]] + 1e-3 * lack.sum(1)
        empty = have.sum(1) == 0
        if empty.sum() >= len(by_rarity) - step:
            need[~empty] = -np.inf
        best = int(np.argmax(need))
        have[best] += rows[unit_row]
        dealt[str(names[unit_row])] = best
    return [parts[dealt[name]] for name in unit]


def _field_names(pairs: Pairs, fields: list[Field]) -> pd.Series[str]:
    names = {(f.phase, str(f.region or ""), f.row["cell"]): f.id for f in fields}
    table = pairs.table
    keys = zip(table["phase"], table["region"], table["cell"], strict=True)
    return pd.Series([names[key] for key in keys], dtype=str)


def _cut(
    field: Field, whole: Region, guard_px: int, share: dict[str, float]
) -> list[tuple[str, Region]]:
    parts = [part for part in PARTS if share[part] > 0]
    width = whole.shape[1] - guard_px * (len(parts) - 1)
    total = sum(share.values())
    ends = np.rint(np.cumsum([share[p] / total for p in parts]) * width).astype(int)
    starts = [0, *ends[:-1]]
    narrow = min(int(end - start) for start, end in zip(starts, ends, strict=True))
    if narrow < _LEAST_PX:
        raise DataError(
            f"is {whole.shape[1]} px wide: too narrow to be cut into {', '.join(parts)} with guard "
            f"bands of {guard_px} px (a part would have {narrow}, {_LEAST_PX} are needed)",
            "give more fields in several groups, a narrower guard band or larger fractions",
            file=split_paths(field.phase)[0],
        )
    cut = []
    for i, part in enumerate(parts):
        x0 = whole.x0 + int(starts[i]) + i * guard_px
        x1 = whole.x0 + int(ends[i]) + i * guard_px
        cut.append((part, whole._replace(x0=x0, x1=x1)))
        if guard_px and i < len(parts) - 1:
            cut.append(("omit", whole._replace(x0=x1, x1=x1 + guard_px)))
    return cut


def _fractions(fractions: Sequence[float]) -> dict[str, float]:
    good = len(fractions) == 3 and min(fractions) >= 0 and fractions[0] > 0
    if not good or abs(sum(fractions)) < 1e-9:
        raise InputError(
            f"fractions {tuple(fractions)}", "give (train, validation, test), none negative"
        )
    return dict(zip(PARTS, map(float, fractions), strict=True))


def _on_two_sides(table: pd.DataFrame, column: str) -> list[str]:
    sides = Counter(value for value, _ in set(zip(table[column], table["split"], strict=True)))
    return [str(value) for value in table[column].unique() if sides[value] > 1]


def _warn(pairs: Pairs, text: str) -> Pairs:
    warnings.warn(f"{pairs.name}: {text}", SplitWarning, stacklevel=3)
    return replace(pairs, notes=(*pairs.notes, text))
