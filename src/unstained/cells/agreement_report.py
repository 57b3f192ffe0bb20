"""A comparison of predicted and measured cells as a folder: tables, figures, bands, reference."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ..cell_table import label_free_features, read_cells
from ..errors import DataError
from .bands import Bands, fit_band, held_out_coverage
from .cell_agreement import Matched, agreement, match_cells
from .familiar import Reference, fit_reference

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["AgreementReport", "agree_files"]


_STRANGE = (0.01, 0.05)
"""Shares of familiar cells that may be flagged; the second where cells are few."""


class AgreementReport(NamedTuple):
    """What `agree_files` found and wrote.

    Attributes
    ----------
    table : DataFrame
        Of `agreement`.
    coverage : DataFrame
        Rows of `bands.Coverage.table` with a column marker; the group ``(mean)`` is the mean over
        groups with its interval.
    bands : Bands
    notes : tuple of str
    folder : Path
    """

    table: pd.DataFrame
    coverage: pd.DataFrame
    bands: Bands
    notes: tuple[str, ...]
    folder: Path


def agree_files(
    predicted: str | os.PathLike[str],
    measured: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    *,
    group: str | None = None,
    level: float = 0.6,
) -> AgreementReport:
    """Compare two tables of cells, and learn from them how far to believe new predictions.

    Writes into a new folder ``agreement.csv``, ``cells.csv`` (matched totals), ``coverage.csv``,
    the figures ``scatter``, ``bland_altman`` and ``coverage`` (PNG, SVG), ``bands.json``
    (`bands.Bands`), and ``reference.json`` (`familiar.Reference`) where the cells are enough.

    Parameters
    ----------
    predicted, measured : path-like
        ``.h5ad`` of one segmentation folder; of cells that trained nothing.
    out_dir : path-like
        Must not exist yet.
    group : str, optional
        Column that names what is to be held out: donor, well ... Without it cells count as
        independent.
    level : float
        Of the bands.

    Raises
    ------
    FileError, DataError, InputError
        As `match_cells` and `bands.fit_band`; the folder exists.
    """
    from ..images.atomic import atomic_dir

    of_predicted, of_measured = read_cells(predicted), read_cells(measured)
    matched = match_cells(of_predicted, of_measured, group)
    notes: list[str] = _remarks(matched, group)
    with atomic_dir(out_dir) as folder:
        table = agreement(matched)
        bands = _bands(matched, level, notes)
        coverage = _coverage(matched, level, notes)
        reference = _reference(of_measured, group, notes)
        table.to_csv(folder / "agreement.csv", index=False)
        matched.cells.to_csv(folder / "cells.csv", index=False)
        coverage.to_csv(folder / "coverage.csv", index=False)
        bands.write(folder / "bands.json")
        if reference is not None:
            reference.write(folder / "reference.json")
        _draw(matched, bands, coverage, folder)
    return AgreementReport(table, coverage, bands, tuple(notes), Path(out_dir))


def _remarks(matched: Matched, group: str | None) -> list[str]:
    notes = []
    if matched.only_predicted or matched.only_measured:
        notes.append(
            f"{matched.only_predicted} cells are in the predicted table only, "
            f"{matched.only_measured} in the measured one only; they are left out"
        )
    if group is None:
        notes.append(
            "cells counted as independent, which those of one image, well or donor are not: give "
            "--group to see how far the numbers hold for a new one"
        )
    return notes


def _bands(matched: Matched, level: float, notes: list[str]) -> Bands:
    """Bands for new groups where these are enough, else for new cells of the same groups."""
    bands = {}
    for marker in matched.markers:
        predicted, measured, groups = matched.totals(marker)
        band = fit_band(predicted, measured, level, groups=groups)
        if groups is not None and not np.isfinite(band.threshold):
            notes.append(
                f"{marker}: {np.unique(groups).size} groups are too few to promise {level:.0%} for "
                f"a new one (needed: {int(np.ceil(level / (1 - level) - 1e-9))}); the band is for "
                "new cells of these groups"
            )
            band = fit_band(predicted, measured, level)
        if not np.isfinite(band.threshold):
            notes.append(f"{marker}: {band.n} cells are too few for a band of {level:.0%}")
        bands[marker] = band
    return Bands(level, bands)


def _coverage(matched: Matched, level: float, notes: list[str]) -> pd.DataFrame:
    parts = []
    for marker in matched.markers:
        predicted, measured, groups = matched.totals(marker)
        if np.unique(np.arange(predicted.size) if groups is None else groups).size < 2:
            notes.append(f"{marker}: nothing can be held out, so that the coverage is not known")
            continue
        found = held_out_coverage(predicted, measured, level, groups=groups)
        mean = {
            "group": "(mean)",
            "n": predicted.size,
            "share": found.share,
            "low": found.low,
            "high": found.high,
            "covered": found.table["covered"].sum(),
            "width": found.table["width"].mean(),
        }
        both = pd.concat([found.table, pd.DataFrame([mean])], ignore_index=True)
        both.insert(0, "marker", marker)
        parts.append(both)
        if found.high < level:
            notes.append(
                f"{marker}: {found.share:.0%} of held-out cells lie in the {level:.0%} band: it is "
                "too narrow for new groups"
            )
    columns = ["marker", "group", "n", "covered", "share", "low", "high", "width"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _reference(cells: AnnData, group: str | None, notes: list[str]) -> Reference | None:
    """The strictest reference that the cells are enough for."""
    groups = cells.obs[group].to_numpy(str) if group in cells.obs else None
    for level in _STRANGE:
        try:
            reference = fit_reference(label_free_features(cells), level, groups=groups)
        except DataError as error:
            refused = error
        else:
            if level > _STRANGE[0]:
                notes.append(
                    "few cells: a new cell is flagged where it is stranger than all but "
                    f"{level:.0%} of them, not {_STRANGE[0]:.0%}"
                )
            return reference
    notes.append(f"no reference.json, so that strange cells cannot be flagged: {refused}")
    return None


def _draw(matched: Matched, bands: Bands, coverage: pd.DataFrame, folder: Path) -> None:
    from ..figures.cells import bland_altman_figure, coverage_figure, totals_figure
    from ..figures.style import save_figure
    from .cell_agreement import bland_altman

    totals = {m: matched.totals(m)[:2] for m in matched.markers}
    ends = {}
    limits = {}
    for marker, (predicted, measured) in totals.items():
        at = np.linspace(predicted.min(), predicted.max(), 200)
        ends[marker] = (at, *bands.markers[marker].interval(at))
        found = bland_altman(predicted, measured, groups=matched.totals(marker).groups)
        limits[marker] = (found.mean, found.low, found.high)
    figures = {
        "scatter": totals_figure(totals, ends, bands.level),
        "bland_altman": bland_altman_figure(totals, limits),
    }
    if len(coverage):
        figures["coverage"] = coverage_figure(coverage, bands.level)
    for name, figure in figures.items():
        for suffix in ("png", "svg"):
            save_figure(figure, folder / f"{name}.{suffix}")
