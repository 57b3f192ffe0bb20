"""SS, RS and FC cells: by a person's eye, by a rule, and how far the two agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..cell_table import plain_name, values_of
from ..errors import DataError, InputError
from ..images.image import Array
from ..settings import check_settings
from ..statistics import Interval, resampled_sums

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = [
    "PHENOTYPES",
    "Agreement",
    "Rule",
    "RuleSettings",
    "agreement",
    "phenotype_rule",
    "phenotypes_of_person",
]

PHENOTYPES: Mapping[str, str] = {
    "SS": "spindle-shaped",
    "RS": "small, triangular or star-shaped, rapidly self-renewing",
    "FC": "large, flattened, cuboidal",
}
"""The three phenotypes of Imboden et al. (2021), and what such a cell looks like."""

_OTHER_WORDS = {"spindle": "SS", "star": "RS", "flat": "FC"}  # as the simulator calls them


@dataclass(frozen=True)
class RuleSettings:
    """Thresholds of `phenotype_rule`.

    Attributes
    ----------
    aspect_ratio : float
        From here on a cell is a spindle. A ratio of lengths holds at any magnification, so it has
        a fixed default: 2.5, between the triangles and stars (below 2.4 in nine of ten simulated
        cells) and the spindles.
    area_um2 : float or None
        From here on a cell that is no spindle is flat. Areas depend on density, passage and
        medium, and on how outlines were drawn, so None finds it in the cells at hand.
    """

    aspect_ratio: float = 2.5
    area_um2: float | None = None

    def __post_init__(self) -> None:
        check_settings(self, least={"aspect_ratio": 1}, positive=("area_um2",))


class Rule(NamedTuple):
    """What `phenotype_rule` said.

    Attributes
    ----------
    phenotype : (N,) object array of str or None
        SS, RS, FC; None where area or aspect ratio is missing.
    area_um2 : float
        The threshold that was used; NaN where all cells are spindles.
    """

    phenotype: Array
    area_um2: float


class Agreement(NamedTuple):
    """Two ways to call the same cells.

    Attributes
    ----------
    names : tuple of str
    confusion : (K, K) int array
        Rows: the person; columns: the rule.
    kappa : Interval
        Cohen's kappa: 1 where they always agree, 0 where as often as by chance. NaN where either
        calls all cells one thing.
    agreed : float
        Share of cells called the same.
    """

    names: tuple[str, ...]
    confusion: Array
    kappa: Interval
    agreed: float


def phenotype_rule(
    area_um2: npt.ArrayLike, aspect_ratio: npt.ArrayLike, settings: RuleSettings | None = None
) -> Rule:
    """Call cells SS, RS or FC by their area and aspect ratio.

    After the description of Haasters et al. [1]_, who called cells by eye; the numbers are ours.
    An aspect ratio from the threshold on is SS. Of the others a large one is FC and a small one
    RS. Where no area is given, it is the one that parts the logarithms of their areas with the
    least variance within the parts (Otsu [2]_). That parts any cells, also where there are no
    flat ones: look at `area_um2`, and where it is known, give it.

    A cell that rounds up to divide is small and round, and is called RS.

    Parameters
    ----------
    area_um2, aspect_ratio : (N,) float arrays
        NaN where not known.
    settings : RuleSettings, optional

    Raises
    ------
    InputError
        Arrays of different lengths.
    DataError
        No cell has both, an area is not positive, or all areas are the same and none is given.

    References
    ----------
    .. [1] Haasters et al. (2009), J Anat 214:759, doi 10.1111/j.1469-7580.2009.01065.x.
    .. [2] Otsu (1979), IEEE Trans Syst Man Cybern 9:62, doi 10.1109/TSMC.1979.4310076.
    """
    chosen = settings or RuleSettings()
    area, ratio = np.asarray(area_um2, np.float64), np.asarray(aspect_ratio, np.float64)
    if area.shape != ratio.shape or area.ndim != 1:
        raise InputError(f"areas {area.shape}, ratios {ratio.shape}", "give one of each a cell")
    known = np.isfinite(area) & np.isfinite(ratio)
    if not known.any():
        raise DataError("no cell has an area and an aspect ratio", "measure the cells first")
    if (area[known] <= 0).any():
        raise DataError("an area is not positive", "look at the outlines")
    phenotype = np.full(area.size, None, object)
    spindle = known & (ratio >= chosen.aspect_ratio)
    rest = known & ~spindle
    threshold = chosen.area_um2
    if threshold is None:
        threshold = _otsu(np.log(area[rest])) if rest.any() else float("nan")
    phenotype[spindle] = "SS"
    phenotype[rest] = np.where(area[rest] >= threshold, "FC", "RS")
    return Rule(phenotype, float(threshold))


def _otsu(x: Array) -> float:
    """exp of the middle of the gap that parts x with the least variance within."""
    s = np.sort(x)
    if s[0] == s[-1]:
        raise DataError(
            f"cells that are no spindles have one area ({s.size} cells): they cannot be parted",
            "give the area from which a cell is flat: --area",
        )
    n = np.arange(1, s.size)
    below = np.cumsum(s)[:-1]
    # variance between the parts, n1 n2 (m1 - m2)^2, for a cut after each value but the last
    between = n * (s.size - n) * (below / n - (s.sum() - below) / (s.size - n)) ** 2
    between[s[1:] == s[:-1]] = -1  # equal areas stay together
    cut = int(between.argmax())
    return math.exp((s[cut] + s[cut + 1]) / 2)


def phenotypes_of_person(cells: AnnData, table: pd.DataFrame) -> tuple[Array, int]:
    """What a person called the cells.

    Parameters
    ----------
    cells : AnnData
    table : DataFrame
        phenotype, and image, frame, label or id (``image/frame/label``). SS, RS, FC, or spindle,
        star, flat; empty or NA where the person could not tell.

    Returns
    -------
    ((N,) object array of str or None, int)
        By cell; and rows of the table that are of no cell.

    Raises
    ------
    DataError
        A column is missing, a cell is there twice, another word, or no cell is meant.
    """
    if "phenotype" not in table or not ("id" in table or {"image", "frame", "label"} <= {*table}):
        raise DataError(
            f"columns {', '.join(map(str, table.columns))}",
            "give image,frame,label,phenotype or id,phenotype",
        )
    if "id" in table:
        said = table["id"].astype(str)
    else:
        said = table["image"].astype(str) + "/" + table["frame"].astype(str)
        said = said + "/" + table["label"].astype(str)
    obs = cells.obs
    own = obs["image"].astype(str) + "/" + obs["frame"].astype(str) + "/" + obs["label"].astype(str)
    # Set 03/0/1 is of Set-03, as the table of cells spells it
    plain = said.map(_plain_id)
    said = said.where(said.isin(own) | ~plain.isin(own), plain)
    if (twice := said.duplicated()).any():
        raise DataError(f"cell {said[twice].iloc[0]} is there twice", "keep one row a cell")
    called = pd.Series(_known_words(table["phenotype"].tolist()), index=said, dtype=object)
    unknown = int((~called.index.isin(own)).sum())
    if unknown == len(called):
        raise DataError(
            f"none of {len(called)} rows is of a cell of the table, as {said.iloc[0]}",
            f"name cells as {own.iloc[0]}",
        )
    found = called.reindex(own.to_numpy()).to_numpy(object, copy=True)
    found[pd.isna(found)] = None
    return found, unknown


def _plain_id(text: str) -> str:
    """``image/frame/label`` with the image's name as tables spell it."""
    image, *cell = text.rsplit("/", 2)
    return "/".join([plain_name(image), *cell])


def _known_words(words: Sequence[object]) -> list[str | None]:
    known: list[str | None] = []
    for word in words:
        text = "" if word is None or word != word else str(word).strip()
        if text.upper() in ("", "NA", "NAN"):
            known.append(None)
            continue
        name = _OTHER_WORDS.get(text.lower(), text.upper())
        if name not in PHENOTYPES:
            raise DataError(
                f"phenotype {text!r}", f"there are {', '.join([*PHENOTYPES, *_OTHER_WORDS])}"
            )
        known.append(name)
    return known


def agreement(
    person: npt.ArrayLike,
    rule: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Agreement:
    """How far two ways to call cells agree, beyond chance [1]_.

    kappa = (a - e) / (1 - e), a the share of cells called the same, e the share if both called
    at random with their own frequencies. Cells that either did not call are left out. The
    interval is over cells, or over whole groups (`statistics.resampled_interval`).

    Raises
    ------
    DataError
        No cell was called by both.

    References
    ----------
    .. [1] Cohen (1960), Educ Psychol Meas 20:37, doi 10.1177/001316446002000104.
    """
    names = tuple(PHENOTYPES)
    a, b = (pd.Categorical(np.asarray(w, object), names).codes for w in (person, rule))
    both = (a >= 0) & (b >= 0)
    if not both.any():
        raise DataError("no cell was called by both", "call some cells that have a shape")
    k = len(names)
    pair = np.eye(k * k)[a[both].astype(int) * k + b[both]]  # (n, K K), one 1 a row

    def kappa(sums: Array) -> Array:
        matrix = sums.reshape(*sums.shape[:-1], k, k)
        total = matrix.sum(axis=(-2, -1))
        same = np.trace(matrix, axis1=-2, axis2=-1) / total
        chance = (matrix.sum(axis=-1) * matrix.sum(axis=-2)).sum(axis=-1) / total**2
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(chance < 1, (same - chance) / (1 - chance), np.nan))

    group = None if groups is None else np.asarray(groups)[both]
    found = resampled_sums(pair, kappa, groups=group, level=level, draws=draws, seed=seed)
    interval = found.within(-1, 1)
    confusion = pair.sum(axis=0).reshape(k, k).astype(int)
    return Agreement(names, confusion, interval, float(np.trace(confusion) / confusion.sum()))


def shape_of(cells: AnnData) -> tuple[Array, Array]:
    """Area and aspect ratio of each cell.

    Raises
    ------
    InputError
        They were not measured.
    """
    area, ratio = values_of(cells, ["area_um2", "aspect_ratio"]).T
    return area, ratio
