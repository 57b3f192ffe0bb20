"""Scores of many pairs, summed up with intervals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import InputError, count_of, some_of
from ..images.image import Array
from ..settings import check_settings
from ..statistics import (
    MIN_GROUPS,
    Interval,
    correlation_moments,
    mean_interval,
    moments_correlation,
    resampled_sums,
)

__all__ = ["MOMENTS", "SCORES", "ScoreSettings", "ScoreTable", "score_interval"]


SCORES = ("r_s", "r_lap", "mae", "ssim", "snr_rms", "snr_var", "c_max")
_LIMITS = {"r_s": (-1, 1), "r_lap": (-1, 1), "ssim": (-1, 1), "c_max": (0, 1)}
"""Of what a score can be; the others are positive."""
MOMENTS = ("n", "sx", "sy", "sxx", "syy", "sxy")

_LARGEST_KSIZE = 31  # of OpenCV's Laplacian
_PARTS = "parts of the only field"


@dataclass(frozen=True)
class ScoreSettings:
    """How to score.

    Attributes
    ----------
    ksize : int
        Side of the Laplacian kernel of r_lap, px; odd, at most 31.
    block_px : int
        Side of the blocks whose sums tell how much stain there is.
    part_px : int
        Side of the parts of a field that are drawn with replacement where it is the only one.
        Much larger than a cell, or neighbors would count as independent.
    window_px : int
        Side of the window of the local SD, a baseline.
    class_column : str
        Column of the pairs within whose classes cells are correlated too.
    batch : int
        Single-cell images predicted at once.
    level, draws, seed
        Coverage, resamples and seed of the bootstrap.

    Raises
    ------
    InputError
        A size or count that cannot be.
    """

    ksize: int = 31
    block_px: int = 32
    part_px: int = 128
    window_px: int = 15
    class_column: str = "phase_of_cycle"
    batch: int = 256
    level: float = 0.95
    draws: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        sizes = ("ksize", "block_px", "part_px", "window_px", "batch", "draws")
        check_settings(
            self, least=dict.fromkeys(sizes, 1), positive=("level",), below_one=("level",)
        )
        if not self.ksize % 2 or self.ksize > _LARGEST_KSIZE:
            raise InputError(
                f"ksize is {self.ksize}", f"give an odd size up to {_LARGEST_KSIZE} px"
            )


@dataclass(frozen=True, repr=False)
class ScoreTable:
    """Scores of a model on the pairs of one split.

    Attributes
    ----------
    pairs : DataFrame
        One row for each pair: pair, marker, group, class_, single_cell, `SCORES`, note, and the
        `MOMENTS` of its pixels. What is undefined is NaN, with the reason in `note`.
    amounts : DataFrame
        One row for each block or cell: pair, marker, group, class_, unit ("block" or "cell"),
        part (of its field: a row of `parts`, counted from 0), measured, predicted; sums in the
        stain's units, cells background subtracted.
    baselines : DataFrame
        One row for each pair and baseline: pair, marker, group, baseline, plane, r_s, r_lap, mae,
        ssim, and measured, predicted (a single-cell image's totals, else NaN).
    parts : DataFrame
        One row for each part of a large field: pair, marker, group, class_ and the `MOMENTS` of
        its pixels.
    split, settings
        What was scored, and how.
    notes : tuple of str
        What a reader must know: how baselines were fitted, what has no prediction.
    """

    pairs: pd.DataFrame
    amounts: pd.DataFrame
    baselines: pd.DataFrame
    parts: pd.DataFrame
    split: str = "test"
    settings: ScoreSettings = field(default_factory=ScoreSettings)
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """``<ScoreTable of the split test: 8 pairs of DAPI, TuJ1>``."""
        pairs = count_of(len(self.pairs), "pair")
        return f"<ScoreTable of the split {self.split}: {pairs} of {some_of(self.markers)}>"

    @property
    def markers(self) -> tuple[str, ...]:
        """In order of first appearance."""
        return tuple(str(marker) for marker in self.pairs["marker"].unique())

    @property
    def interval_over(self) -> dict[str, dict[str, str]]:
        """What the intervals of each marker and score are over.

        ``{"DAPI": {"r_s": "groups", "r_lap": "groups", ..., "amounts": "pairs"}}``, where
        "amounts" are cell_r, and slope and bias of the verdict; "" stands for no interval. With
        fewer than three groups an interval over pairs holds for these groups only; two pairs have
        none. Of a single field, r_s and amounts are over its parts, which tells of no other field.
        """
        found: dict[str, dict[str, str]] = {}
        for marker in self.markers:
            rows = self.pairs[self.pairs["marker"] == marker]
            units = dict.fromkeys(SCORES, self.unit(rows))
            if len(rows) == 1:
                few = len(self.parts_of(marker)) < MIN_GROUPS
                units = dict.fromkeys(SCORES, "") | {"r_s": "" if few else _PARTS}
            cells = self.cells(marker)
            units["amounts"] = self.unit(cells if len(cells) else self.blocks(marker))
            found[marker] = units
        return found

    def summary(self) -> dict[str, dict[str, Any]]:
        """Mean of each score, with the number of pairs and an interval, for each marker.

        ``{"DAPI": {"r_s": {"mean", "n", "low", "high"}, "r_lap": ..., ..., "c_max": ...}}``; with
        single-cell images or labels also "cell_r", "cell_r_within" (for each class), and with
        single-cell images "pixel_r", the r of all pixels pooled. None stands for undefined, so
        that it is JSON. Intervals: `statistics.resampled_interval` over `interval_over`
        (cell_r_within over what the cells of its class allow by the same rule).
        """
        found: dict[str, dict[str, Any]] = {}
        for marker in self.markers:
            rows = self.pairs[self.pairs["marker"] == marker]
            entry: dict[str, Any] = {name: _entry(self._mean(rows, name)) for name in SCORES}
            if len(rows) == 1:
                entry["r_s"] |= self._within_field(marker)
            cells = self.cells(marker)
            if len(cells):
                entry["cell_r"] = _entry(self.correlation(cells))
                classes = cells[cells["class_"] != ""]
                if len(classes):
                    entry["cell_r_within"] = {
                        str(name): _entry(self.correlation(part))
                        for name, part in classes.groupby("class_", sort=False)
                    }
            if rows["single_cell"].any():
                moments = rows[list(MOMENTS)].to_numpy(np.float64)
                entry["pixel_r"] = _entry(self._correlation(moments, self.clusters(rows)))
            found[marker] = entry
        return found

    def baseline_summary(self) -> dict[str, dict[str, dict[str, Any]]]:
        """As `summary`, for each marker and baseline: r_s, r_lap, mae, ssim, perhaps cell_r."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for (marker, name), rows in self.baselines.groupby(["marker", "baseline"], sort=False):
            entry = {
                score: _entry(self._mean(rows, score)) for score in ("r_s", "r_lap", "mae", "ssim")
            }
            cells = rows[rows["measured"].notna()]
            if len(cells):
                entry["cell_r"] = _entry(self.correlation(cells))
            found.setdefault(str(marker), {})[str(name)] = entry
        return found

    def cells(self, marker: str) -> pd.DataFrame:
        """The rows of `amounts` that are cells of `marker`."""
        a = self.amounts
        return a[(a["marker"] == marker) & (a["unit"] == "cell")]

    def blocks(self, marker: str) -> pd.DataFrame:
        """The rows of `amounts` that are blocks of `marker`."""
        a = self.amounts
        return a[(a["marker"] == marker) & (a["unit"] == "block")]

    def correlation(self, rows: pd.DataFrame) -> Interval:
        """Pearson r of predicted with measured amounts, and its interval.

        NaN for fewer than four rows; 0 where all predictions are equal. Bounds are NaN where
        `unit` has nothing to be over.
        """
        x = rows["measured"].to_numpy(np.float64)
        y = rows["predicted"].to_numpy(np.float64)
        if len(rows) < 4 or np.ptp(x) == 0:
            return Interval(float("nan"), float("nan"), float("nan"), len(rows))
        if np.ptp(y) == 0:
            return Interval(0.0, 0.0, 0.0, len(rows))
        x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
        moments = np.array([correlation_moments(a, b) for a, b in zip(x, y, strict=True)])
        groups = self.clusters(rows)
        if groups is None:
            r = float(moments_correlation(moments.sum(axis=0)))
            return Interval(r, r, r, len(rows)).alone()
        return self._correlation(moments, groups)

    def parts_of(self, marker: str) -> Array:
        """(parts, 6) `MOMENTS` of the parts of a marker's fields."""
        return self.parts.loc[self.parts["marker"] == marker, list(MOMENTS)].to_numpy(np.float64)

    def _within_field(self, marker: str) -> dict[str, Any]:
        """Interval of the r_s of a single field, over its parts; {} where it has too few."""
        moments = self.parts_of(marker)
        if len(moments) < MIN_GROUPS:
            return {}
        found = _entry(self._correlation(moments, None))
        return {"low": found["low"], "high": found["high"]}

    def _mean(self, rows: pd.DataFrame, score: str) -> Interval:
        s = self.settings
        rows = rows[np.isfinite(rows[score].to_numpy(np.float64))]
        return score_interval(
            score,
            rows[score].to_numpy(np.float64),
            groups=self.clusters(rows),
            level=s.level,
            draws=s.draws,
            seed=s.seed,
        )

    def _correlation(self, moments: Array, groups: Array | None) -> Interval:
        s = self.settings
        return resampled_sums(
            moments,
            moments_correlation,
            groups=groups,
            scale="fisher",
            level=s.level,
            draws=s.draws,
            seed=s.seed,
        )

    def unit(self, rows: pd.DataFrame) -> str:
        """What an interval of rows is over: groups; fewer than three: pairs; of a single field its
        parts. "" where these, too, are fewer than three.
        """
        if rows["group"].nunique() >= MIN_GROUPS:
            return "groups"
        if rows["pair"].nunique() >= MIN_GROUPS:
            return "pairs"
        one = rows["pair"].nunique() == 1 and "part" in rows
        return _PARTS if one and rows["part"].nunique() >= MIN_GROUPS else ""

    def clusters(self, rows: pd.DataFrame) -> Array | None:
        """The `unit` that each row belongs to, (N,); None where it is ""."""
        columns = {"groups": "group", "pairs": "pair", _PARTS: "part"}
        unit = self.unit(rows)
        return np.asarray(rows[columns[unit]]) if unit else None


def score_interval(
    score: str, values: npt.ArrayLike, *, groups: npt.ArrayLike | None = None, **how: Any
) -> Interval:
    """Mean of a score, one of `SCORES`, as `statistics.mean_interval` (`how`: its settings).

    Bounds end where the score does; fewer than three values or groups have none.
    """
    found = mean_interval(values, groups=groups, **how)
    units = found.n if groups is None else np.unique(np.asarray(groups).astype(str)).size
    if units < MIN_GROUPS:
        return found.alone()
    return found.within(*_LIMITS.get(score, (0, np.inf)))


def _entry(interval: Interval) -> dict[str, Any]:
    def number(value: float) -> float | None:
        return float(value) if np.isfinite(value) else None

    return {
        "mean": number(interval.estimate),
        "n": interval.n,
        "low": number(interval.low),
        "high": number(interval.high),
    }
