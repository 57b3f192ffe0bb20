"""What a mother's expression becomes in its two daughters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..cell_table import interval_of, names_of, need_columns, values_of
from ..errors import DataError
from ..images.image import Array
from ..settings import check_settings
from ..statistics.intervals import Interval, Scale, check_level, resampled_interval

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

__all__ = ["DivisionSettings", "Inheritance", "division_levels", "inheritance", "why_left_out"]


_DIVISION = ("image", "mother", "daughter_1", "daughter_2")
_LEAST = 3  # divisions

# why a division is left out, and what to do
_REASONS = {
    "edge": ("a cell touches the image's edge", "keep such frames (border=True, --border)"),
    "unseen": (
        "a cell has a level in too few frames of the window",
        "take another window (window_min, --window-min) or follow the cells for longer",
    ),
    "not positive": ("a level is not positive", "look at the background of the stain"),
}


@dataclass(frozen=True)
class DivisionSettings:
    """Over which time levels are averaged, and how sure numbers are.

    Attributes
    ----------
    window_min : float
        Minutes before and after a division over which a level is averaged; 0 takes one frame.
    skip_min : float
        Minutes on either side that are left out, as cells are balls then.
    least_share : float
        Of the window's frames, in which a cell must have been measured.
    border : bool
        Use frames in which a cell touches the image's edge; its total lacks a part.
    level : float
        Coverage of intervals.
    draws : int
        Bootstrap samples and permutations.
    seed : int
    """

    window_min: float = 60.0
    skip_min: float = 0.0
    least_share: float = 0.5
    border: bool = False
    level: float = 0.95
    draws: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(
            self, least={"draws": 100}, positive=("least_share",), shares=("least_share",)
        )
        check_level(self.level)


class Inheritance(NamedTuple):
    """How one marker is handed on, over D divisions.

    Correlations are those of logarithms; intervals are over families
    (`statistics.resampled_interval`), for mothers that are daughters themselves share their cells.

    Attributes
    ----------
    marker : str
    divisions, families : int
    left_out : int
        Divisions with a level that is not positive, which has no logarithm.
    asymmetry : Interval
        Mean of ``|d1 - d2| / (d1 + d2)``: 0 for equal sisters, 1 where one has all.
    random_asymmetry : float
        The same of random pairs of newborn cells.
    asymmetry_p, sister_p : float
        Chance that random pairs differ as much from such pairs: two-sided permutation test. NaN
        where no image has two divisions.
    sister_r : Interval
        Intraclass correlation of the two sisters.
    mother_r : Interval
        Between a mother's last level and a daughter's.
    sister_r_given_mother : Interval
        Intraclass correlation of what a straight line through the mother's level leaves of the
        sisters. Negative: what one gets the other lacks.
    sum_over_mother, mean_over_mother : Interval
        Geometric mean of ``(d1 + d2) / m`` and ``(d1 + d2) / (2 m)``: 1 for the first where
        marker is neither made nor lost.
    mother_sum_r : Interval
        Between a mother's level and its daughters' sum; that of their mean is the same.
    """

    marker: str
    divisions: int
    families: int
    left_out: int
    asymmetry: Interval
    random_asymmetry: float
    asymmetry_p: float
    sister_r: Interval
    sister_p: float
    mother_r: Interval
    sister_r_given_mother: Interval
    sum_over_mother: Interval
    mean_over_mother: Interval
    mother_sum_r: Interval


def division_levels(cells: AnnData, settings: DivisionSettings | None = None) -> pd.DataFrame:
    """Levels of mothers before and of daughters after each division.

    A division is a track that is the `parent` of exactly two others in its image. Levels are
    totals inside the outline, averaged over the window: of the mother up to its last frame, of
    each daughter from its first.

    Parameters
    ----------
    cells : AnnData
        With `track`, `parent` and `time_s`.
    settings : DivisionSettings, optional

    Returns
    -------
    DataFrame
        A row for each division and marker: image, frame (the daughters' first), mother,
        daughter_1, daughter_2, family (image and founder), marker, mother_level, level_1,
        level_2, asymmetry, left_out. A level is NaN where the cell was seen whole in too few frames
        of the window; asymmetry is NaN where the sum is not positive. `left_out` is empty, or why
        the division does not count: ``edge`` (it would if cells at the image's edge were kept),
        ``unseen`` or ``not positive``.

    Raises
    ------
    DataError
        A column is missing, no marker, no track with two daughters, or frames that are unequally
        spaced.
    """
    import pandas as pd

    chosen = settings or DivisionSettings()
    need_columns(cells, ("track", "parent"), "follow them: unstained cells track DIR")
    need_columns(cells, ("time_s",), "give --frame-interval to unstained cells measure")
    markers = names_of(cells, "marker")
    if not markers:
        raise DataError("the cells have no marker", "measure stains: unstained cells measure")
    columns = ["image", "frame", "track", "parent", "time_s"]
    table = cells.obs[columns].reset_index(drop=True).astype({"image": str})
    table[markers] = values_of(cells, markers)
    # a part of these cells is outside: no level, but still a daughter
    edge = "border" in cells.obs and not chosen.border
    table["cut"] = cells.obs["border"].to_numpy(bool) if edge else False
    table = table[table["track"] > 0].sort_values(["image", "track", "frame"])
    found = _divisions(table)
    if found.empty:
        raise DataError(
            "no track has two daughters",
            "give a movie in which cells divide, followed with divisions",
        )
    interval = interval_of(table)
    tracks = {
        (image, track): rows
        for (image, track), rows in table.groupby(["image", "track"], sort=False)
    }
    rows = []
    for division in found.to_dict("records"):
        who = [division[name] for name in _DIVISION[1:]]
        levels = [
            _level(tracks[division["image"], track], markers, interval, chosen, before=i == 0)
            for i, track in enumerate(who)
        ]
        for m, marker in enumerate(markers):
            mother, first, second = (float(level[0, m]) for level in levels)
            total = first + second
            rows.append(
                division
                | {
                    "marker": marker,
                    "mother_level": mother,
                    "level_1": first,
                    "level_2": second,
                    "asymmetry": abs(first - second) / total if total > 0 else np.nan,
                    "left_out": _reason(np.array([level[:, m] for level in levels])),
                }
            )
    return pd.DataFrame(rows)


def inheritance(
    levels: pd.DataFrame, settings: DivisionSettings | None = None
) -> list[Inheritance]:
    """Asymmetry, correlation of sisters and what is left of the mother, for each marker.

    Random pairs are made of newborn cells of one image, dealt anew; an image with one division
    keeps its pair.

    Parameters
    ----------
    levels : DataFrame
        From `division_levels`.
    settings : DivisionSettings, optional

    Returns
    -------
    list of Inheritance
        In the order of the markers.

    Raises
    ------
    DataError
        Fewer than three divisions with all three levels positive, or a marker that is the same
        in all cells.
    """
    chosen = settings or DivisionSettings()
    return [
        _inherited(str(marker), rows, chosen)
        for marker, rows in levels.groupby("marker", sort=False)
    ]


def _divisions(table: pd.DataFrame) -> pd.DataFrame:
    """image, frame, mother, daughter_1, daughter_2, family."""
    import pandas as pd

    born = table.groupby(["image", "track"], sort=True).agg(
        frame=("frame", "min"), parent=("parent", "first")
    )
    parents = {key: int(p) for key, p in born["parent"].items()}
    rows = []
    children = born[born["parent"] > 0].reset_index()
    for _, daughters in children.groupby(["image", "parent"], sort=True):
        image, mother = str(daughters["image"].iloc[0]), int(daughters["parent"].iloc[0])
        if len(daughters) != 2 or (image, mother) not in parents:
            continue
        first, second = (int(track) for track in daughters["track"])
        rows.append(
            {
                "image": image,
                "frame": int(daughters["frame"].min()),
                "mother": mother,
                "daughter_1": first,
                "daughter_2": second,
                "family": f"{image}/{_founder(image, mother, parents)}",
            }
        )
    return pd.DataFrame(rows)


def _founder(image: str, track: int, parents: Mapping[Any, int]) -> int:
    """The oldest ancestor; a track that is its own ancestor is a mistake of the table."""
    passed = {track}
    while (before := parents.get((image, track), 0)) > 0:
        if before in passed:
            raise DataError(
                f"track {track} of {image} is its own ancestor", "follow the cells anew"
            )
        passed.add(before)
        track = before
    return track


def why_left_out(levels: pd.DataFrame) -> str:
    """Divisions of one marker that do not count: ``2 where a level is not positive``."""
    counts = levels["left_out"].value_counts()
    return ", ".join(
        f"{counts[name]} where {_REASONS[name][0]}" for name in _REASONS if name in counts
    )


def _reason(levels: Array) -> str:
    """Of the levels of mother and daughters, without and with frames at the edge, (3, 2)."""
    if (levels[:, 0] > 0).all():
        return ""
    if (levels[:, 1] > 0).all():
        return "edge"
    return "unseen" if np.isnan(levels[:, 1]).any() else "not positive"


def _level(
    track: pd.DataFrame,
    markers: list[str],
    interval_s: float,
    settings: DivisionSettings,
    *,
    before: bool,
) -> Array:
    """Mean of each marker over the window at the track's end (`before`) or beginning.

    (2, M): of the frames in which the cell is whole, and of all.
    """
    time = track["time_s"].to_numpy(np.float64)
    away = (time[-1] - time if before else time - time[0]) / 60
    end = settings.skip_min + max(settings.window_min, interval_s / 60)
    # a window of n intervals holds n frames
    inside = (away > settings.skip_min - 1e-6) & (away < end - 1e-6)
    every = track[markers].to_numpy(np.float64)[inside]
    whole = np.where(track["cut"].to_numpy()[inside, None], np.nan, every)
    values = np.stack([whole, every])  # (2, T, M)
    wanted = max(1.0, settings.least_share * (end - settings.skip_min) * 60 / interval_s)
    known = np.isfinite(values).sum(axis=1)
    total = np.where(np.isfinite(values), values, 0).sum(axis=1)
    return np.asarray(np.where(known >= wanted - 1e-9, total / np.maximum(known, 1), np.nan))


def _inherited(marker: str, rows: pd.DataFrame, settings: DivisionSettings) -> Inheritance:
    every = rows[["mother_level", "level_1", "level_2"]].to_numpy(np.float64)
    usable = (every > 0).all(axis=1)  # NaN is not
    if usable.sum() < _LEAST:
        why = why_left_out(rows) if "left_out" in rows else ""
        raise DataError(
            f"{marker}: {usable.sum()} divisions with positive levels of mother and daughters of "
            f"{len(rows)}, {_LEAST} are needed" + (f"; left out: {why}" if why else ""),
            _remedy(rows) if why else "give a movie with more divisions",
        )
    levels, kept = every[usable], rows[usable]
    if np.ptp(levels[:, 1:]) <= 1e-9 * np.abs(levels).max():
        raise DataError(f"{marker} is the same in all newborn cells", "leave the marker out")
    family = kept["family"].to_numpy(str)

    def interval(statistic: Any, scale: Scale = "plain") -> Interval:
        return resampled_interval(
            levels,
            statistic,
            groups=family,
            scale=scale,
            level=settings.level,
            draws=settings.draws,
            seed=settings.seed,
        )

    dealt = _dealt(levels[:, 1:], kept["image"].to_numpy(str), settings)
    random = np.array([(_mean_asymmetry(pair), _intraclass(np.log(pair))) for pair in dealt])
    asymmetry = _mean_asymmetry(levels[:, 1:])
    sister = _intraclass(np.log(levels[:, 1:]))
    return Inheritance(
        marker=marker,
        divisions=len(levels),
        families=len(np.unique(family)),
        left_out=int((~usable).sum()),
        asymmetry=interval(lambda of: _mean_asymmetry(of[:, 1:])),
        random_asymmetry=float(random[:, 0].mean()) if len(random) else float("nan"),
        asymmetry_p=_two_sided(asymmetry, random[:, 0]) if len(random) else float("nan"),
        sister_r=interval(lambda of: _intraclass(np.log(of[:, 1:])), "fisher"),
        sister_p=_two_sided(sister, random[:, 1]) if len(random) else float("nan"),
        mother_r=interval(lambda of: _mother_daughter(np.log(of)), "fisher"),
        sister_r_given_mother=interval(
            lambda of: _intraclass(_without_mother(np.log(of))), "fisher"
        ),
        sum_over_mother=interval(_sum_over_mother),
        mean_over_mother=interval(lambda of: _sum_over_mother(of) / 2),
        mother_sum_r=interval(
            lambda of: _pearson(np.log(of[:, 0]), np.log(of[:, 1:].sum(axis=1))), "fisher"
        ),
    )


def _remedy(rows: pd.DataFrame) -> str:
    """What to do about the most frequent reason for leaving divisions out."""
    counts = rows.loc[rows["left_out"] != "", "left_out"].value_counts()
    return f"{_REASONS[str(counts.idxmax())][1]}, or give a movie with more divisions"


def _mean_asymmetry(pairs: Array) -> float:
    """(D, 2) positive levels."""
    return float(np.mean(np.abs(pairs[:, 0] - pairs[:, 1]) / pairs.sum(axis=1)))


def _intraclass(pairs: Array) -> float:
    """Fisher's intraclass correlation of (D, 2): Pearson's with each pair both ways round."""
    deviation = pairs - pairs.mean()
    variance = float((deviation**2).mean())
    return float((deviation[:, 0] * deviation[:, 1]).mean() / variance) if variance > 0 else np.nan


def _mother_daughter(levels: Array) -> float:
    return _pearson(np.repeat(levels[:, 0], 2), levels[:, 1:].ravel())


def _without_mother(levels: Array) -> Array:
    """(D, 3) to (D, 2): daughters less the line through the mother's level."""
    mother = levels[:, 0] - levels[:, 0].mean()
    daughters = levels[:, 1:] - levels[:, 1:].mean()
    square = float((mother**2).sum())
    slope = float((mother * daughters.mean(axis=1)).sum()) / square if square > 0 else 0.0
    return np.asarray(daughters - slope * mother[:, None])


def _sum_over_mother(levels: Array) -> float:
    return float(np.exp(np.mean(np.log(levels[:, 1:].sum(axis=1) / levels[:, 0]))))


def _pearson(a: Array, b: Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else float("nan")


def _dealt(pairs: Array, image: Array, settings: DivisionSettings) -> list[Array]:
    """Newborn cells of each image dealt into new pairs; none where no image has two."""
    members = [np.flatnonzero(image == name) for name in np.unique(image)]
    if max(len(m) for m in members) < 2:
        return []
    rng = np.random.default_rng(settings.seed)
    made = []
    for _ in range(settings.draws):
        dealt = pairs.copy()
        for m in members:
            dealt[m] = rng.permutation(pairs[m].ravel()).reshape(-1, 2)
        made.append(dealt)
    return made


def _two_sided(value: float, random: Array) -> float:
    """Twice the smaller tail, at most 1."""
    n = 1 + random.size
    low, high = 1 + (random <= value).sum(), 1 + (random >= value).sum()
    return float(min(1.0, 2 * min(low, high) / n))
