"""A comparison of predicted and measured cells as a folder: tables, figures, bands, reference."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ..cell_table import label_free_features, names_of, read_cells
from ..errors import DataError, contents_of
from ..images.image import Array
from ..statistics import MIN_GROUPS
from .bands import Bands, fit_band, held_out_coverage
from .cell_agreement import Matched, agreement, match_cells
from .familiar import Reference, fit_reference, flag_strange
from .measuring import measuring_of

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["AgreementReport", "agree_files", "agreement_lines"]


_BEYOND = 10.0  # times the measured totals; a larger error says that there is hardly any stain
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
    training: str | os.PathLike[str] | None = None,
) -> AgreementReport:
    """Compare two tables of cells, and learn from them how far to trust new predictions.

    Writes into a new folder ``agreement.csv``, ``cells.csv`` (matched totals), ``coverage.csv``,
    the figures ``scatter``, ``bland_altman`` and, where it is known, ``coverage`` (PNG, SVG),
    ``bands.json`` (`bands.Bands`), and ``reference.json`` (`familiar.Reference`) where the cells
    are enough: of the training cells where these are given, else of the compared cells. Compared
    cells that lie outside of the training cells are left out of all else, as their predictions
    are of new tables.

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
    training : path-like, optional
        ``.h5ad`` of the cells that the model was trained on, for the reference.

    Raises
    ------
    FileError, DataError, InputError
        As `match_cells`, `bands.fit_band` and, with training cells, `familiar.flag_strange`; the
        folder exists; the measured table is of predicted stains.
    """
    from ..images.atomic import atomic_dir

    of_predicted, of_measured = read_cells(predicted), read_cells(measured)
    made = [str(name) for name in of_measured.uns.get("unstained", {}).get("predicted", ())]
    made = [name for name in made if name in names_of(of_predicted, "marker")]
    if made:
        raise DataError(
            f"has {', '.join(made)} as a model predicted it: that measures nothing",
            "give the table of predicted stains first, that of measured stains second",
            file=measured,
        )
    notes: list[str] = []
    if training is None:
        reference = _reference(of_measured, group, notes)
    else:
        reference = _training_reference(read_cells(training), Path(training).name, group, notes)
        with contents_of(predicted):
            of_predicted = _familiar_only(of_predicted, reference, notes)
    with contents_of(f"{predicted}, {measured}"):
        matched = match_cells(of_predicted, of_measured, group)
    flagged = _flagged(of_predicted, of_measured)
    notes = _remarks(matched, group, flagged) + _backgrounds(of_predicted, of_measured) + notes
    with atomic_dir(out_dir) as folder:
        table = agreement(matched)
        bands = replace(_bands(matched, level, notes), measured=measuring_of(of_predicted))
        coverage = _coverage(matched, level, notes)
        table.to_csv(folder / "agreement.csv", index=False, lineterminator="\n")
        matched.cells.to_csv(folder / "cells.csv", index=False, lineterminator="\n")
        coverage.to_csv(folder / "coverage.csv", index=False, lineterminator="\n")
        bands.write(folder / "bands.json")
        if reference is not None:
            reference.write(folder / "reference.json")
        _draw(matched, bands, coverage, folder)
    return AgreementReport(table, coverage, bands, tuple(notes), Path(out_dir))


def agreement_lines(found: AgreementReport) -> list[str]:
    """A line for each marker, in words where a number is not defined."""
    coverage = found.coverage[found.coverage["group"] == "(mean)"].set_index("marker")["share"]
    lines = []
    for row in found.table.to_dict("records"):
        share, error = coverage.get(row["marker"], float("nan")), row["relative_error"]
        fit = "no r and no slope, since a total is the same in all of them or they are too few"
        if np.isfinite(row["r"]) and np.isfinite(row["slope"]):
            ends = [row["r_low"], row["r_high"]]
            known = f" [{ends[0]:.2f}, {ends[1]:.2f}]" if np.isfinite(ends).all() else ""
            fit = f"r {row['r']:.2f}{known}, slope {row['slope']:.2f}"
        off = f"relative error {error:.1%}"
        if not error <= _BEYOND:
            off = f"error more than {_BEYOND:g} times the measured totals, which are near 0"
        held = f"held-out coverage of the {found.bands.level:.0%} band "
        held += f"{share:.0%}" if np.isfinite(share) else "not known"
        lines.append(f"{row['marker']}: {row['n']} cells, {fit}, {off}, {held}")
    return lines


def _flagged(predicted: AnnData, measured: AnnData) -> int:
    """Cells of both tables that lie outside of the training cells, so that they lack totals."""
    if "outside" not in predicted.obs:
        return 0
    keys = ["image", "frame", "label"]
    outside = predicted.obs.loc[predicted.obs["outside"].to_numpy(bool), keys]
    theirs = measured.obs[keys].astype({"image": str})
    return len(outside.astype({"image": str}).merge(theirs, on=keys))


def _remarks(matched: Matched, group: str | None, flagged: int) -> list[str]:
    notes = []
    if matched.only_predicted or matched.only_measured:
        notes.append(
            f"{matched.only_predicted} cells are in the predicted table only, "
            f"{matched.only_measured} in the measured one only; they are left out"
        )
    notes += [
        f"{marker}: {n - flagged} cells have no predicted or no measured total; they are left out"
        for marker, n in matched.unpaired.items()
        if n > flagged
    ]
    if group is not None:
        notes += _few_groups(matched)
    else:
        notes.append(
            "cells counted as independent, which those of one image, well or donor are not: give "
            "--group to see how far the numbers hold for a new one"
        )
    return notes


def _few_groups(matched: Matched) -> list[str]:
    """Of how few groups the intervals are."""
    known = {str(m): of["group"].nunique() for m, of in matched.cells.groupby("marker", sort=False)}
    return [
        f"{marker}: {n} groups are too few for intervals, which are over groups: "
        f"{MIN_GROUPS} are needed"
        for marker, n in known.items()
        if n < MIN_GROUPS
    ]


def _backgrounds(predicted: AnnData, measured: AnnData) -> list[str]:
    """A note where something else was subtracted: it looks like a bias of the prediction."""
    ours, theirs = measuring_of(predicted), measuring_of(measured)
    if ours is None or theirs is None or ours.same_background(theirs):
        return []
    return [
        f"predicted totals have {ours.said()}; measured ones {theirs.said()}: what these differ "
        "by counts as a bias of the prediction"
    ]


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
            "covered": found.table["covered"].sum(min_count=1),
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
    """Of the compared cells, where no table of training cells is given."""
    groups = cells.obs[group].to_numpy(str) if group in cells.obs else None
    found = _fitted(cells, groups, "compared cells, perhaps unlike those of the training", notes)
    if found is not None:
        notes.append(
            "reference.json is of the compared cells: a cell unlike these is flagged. Give the "
            "cells that the model was trained on as --training to flag cells unlike those"
        )
    return found


def _training_reference(
    cells: AnnData, file: str, group: str | None, notes: list[str]
) -> Reference | None:
    """Of the cells that the model was trained on."""
    column = group if group in cells.obs else "image"
    groups = cells.obs[column].astype(str).to_numpy(str)
    found = _fitted(cells, groups, f"training cells, {file}", notes)
    if found is not None:
        notes.append(f"reference.json is of the {cells.n_obs} training cells in {file}")
    return found


def _familiar_only(cells: AnnData, reference: Reference | None, notes: list[str]) -> AnnData:
    """Predicted cells, those without totals that are unlike the training."""
    if reference is None:
        return cells
    flagged = flag_strange(cells, reference)
    if flagged.obs["outside"].all():
        raise DataError(
            f"all {cells.n_obs} predicted cells lie outside of the training cells",
            "compare cells like those that the model was trained on, or leave --training out",
        )
    notes.append(
        f"{int(flagged.obs['outside'].sum())} of {cells.n_obs} predicted cells lie outside of the "
        "training cells and are not compared"
    )
    return flagged


def _fitted(cells: AnnData, groups: Array | None, whose: str, notes: list[str]) -> Reference | None:
    """The strictest reference that the cells are enough for."""
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
            return replace(reference, cells=whose, measured=measuring_of(cells))
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
    if coverage["share"].notna().any():
        figures["coverage"] = coverage_figure(coverage, bands.level)
    for name, figure in figures.items():
        for suffix in ("png", "svg"):
            save_figure(figure, folder / f"{name}.{suffix}")
