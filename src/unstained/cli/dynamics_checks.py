"""``unstained dynamics divisions``, ``validity`` and ``error``: inheritance, and belief."""

from __future__ import annotations

import math
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ..errors import DataError, InputError, contents_of
from ..images.atomic import write_csv
from ._dynamics import (
    Border,
    Cells,
    Least,
    Out,
    named,
    relative_traces,
    save_both,
    say_absent,
)
from ._tables import check_folder, new_folder
from ._words import listed

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from ..dynamics.model_error import ErrorBounds, ErrorInTime
    from ..dynamics.traces import MarkerTraces

__all__ = ["divisions", "error", "validity"]


def divisions(
    cells: Cells,
    out: Out,
    window_min: Annotated[
        float, typer.Option(metavar="MIN", help="Before and after, over which levels are averaged.")
    ] = 60.0,
    skip_min: Annotated[float, typer.Option(metavar="MIN", help="Left out on either side.")] = 0.0,
    border: Border = False,
    seed: Annotated[int, typer.Option(help="Of bootstrap and permutations.")] = 0,
) -> None:
    """What daughters get of their mother: asymmetry, sisters' correlation, sums.

    Writes division_levels.csv, inheritance.csv, and divisions as PNG and SVG.
    """
    import pandas as pd

    from ..cell_table import read_cells
    from ..dynamics.divisions import (
        DivisionSettings,
        division_levels,
        inheritance,
        why_left_out,
    )
    from ..figures.kymographs import division_figure

    settings = DivisionSettings(window_min=window_min, skip_min=skip_min, border=border, seed=seed)
    check_folder(out)
    table = read_cells(cells)
    with contents_of(cells):
        levels = division_levels(table, settings)
    if not border:
        say_absent(cells, table, "border")
    found, notes = [], []
    for _, of_marker in levels.groupby("marker", sort=False):
        try:
            found += inheritance(of_marker, settings)
        except DataError as error:  # a marker that was not measured must not hide the others
            notes.append(error)
    if not found:
        with contents_of(cells):
            raise notes[0]
    rows = []
    for one in found:
        row: dict[str, Any] = {}
        for key, value in one._asdict().items():
            if hasattr(value, "estimate"):
                row |= {key: value.estimate, f"{key}_low": value.low, f"{key}_high": value.high}
            else:
                row[key] = value
        rows.append(row)
        print(
            f"{one.marker}: {one.divisions} divisions of {one.families} families; asymmetry "
            f"{_with_interval(one.asymmetry)} (random pairs {one.random_asymmetry:.2f}, "
            f"p {one.asymmetry_p:.3g}); sisters r {_with_interval(one.sister_r)}, given the mother "
            f"{_with_interval(one.sister_r_given_mother)}; mother and daughter r "
            f"{_with_interval(one.mother_r)}; daughters' sum over mother "
            f"{_with_interval(one.sum_over_mother)}"
        )
        if one.left_out:
            why = why_left_out(levels[levels["marker"] == one.marker])
            print(f"note: {one.marker}: {one.left_out} divisions left out: {why}")
    for note in notes:
        print(f"note: left out: {note}")
    results = pd.DataFrame(rows)
    new_folder(out, "division_levels", "inheritance", "divisions")
    write_csv(levels, out / "division_levels.csv")
    write_csv(results, out / "inheritance.csv")
    drawn = results.rename(
        columns={"asymmetry_low": "low", "asymmetry_high": "high", "random_asymmetry": "random"}
    )
    save_both(division_figure(levels, drawn), out, "divisions")
    print(f"tables and figures: {out}")


def validity(
    cells: Cells,
    out: Out,
    reference: Annotated[
        Path, typer.Option(metavar="CELLS.h5ad", help="Cells of the training images.")
    ],
    group: Annotated[
        str | None,
        typer.Option(help="Column of the reference: its fields or donors; its images if several."),
    ] = None,
    level: Annotated[float, typer.Option(help="Share of good frames beyond the limit.")] = 0.05,
    border: Border = False,
    seed: Annotated[int, typer.Option(help="Of the parts of the reference.")] = 0,
) -> None:
    """Are the frames of a live movie like the fixed cells that a model was trained on?

    Compares what the label-free image and the outlines show, not the stains. Writes validity.csv,
    shifts.csv, and validity as PNG and SVG.
    """
    import pandas as pd

    from ..cell_table import label_free_features, need_columns, read_cells
    from ..dynamics.fixed_to_live import ValiditySettings
    from ..dynamics.fixed_to_live import validity as check
    from ..figures.kymographs import validity_figure

    settings = ValiditySettings(level=level, seed=seed)
    check_folder(out)
    every = read_cells(cells)
    live, training = _whole(cells, every, border), _cells_of(reference, border)
    if group is not None:
        with contents_of(reference):
            need_columns(training, [group], "name one of its columns")
    elif (training.obs["image"].value_counts() >= settings.least_cells).sum() > 1:
        group = "image"
    elif training.obs["image"].nunique() > 1:
        print(
            f"note: fewer than two images of the reference have {settings.least_cells} cells: "
            "single cells are compared, which is stricter; name larger groups with --group"
        )
    interval = float(live.uns.get("unstained", {}).get("frame_interval_s", math.nan))
    names = live.obs["image"].astype(str)
    frames_of = every.obs["frame"].groupby(every.obs["image"].astype(str)).unique()
    with contents_of(reference):
        features = label_free_features(training)
    results = {}
    for name in names.unique():  # one bad movie must not hide among good ones
        movie = live[(names == name).to_numpy()]
        with contents_of(cells):
            of_movie = label_free_features(movie)
        with contents_of(f"{cells}, image {name}, against {reference}"):
            results[name] = check(
                of_movie,
                movie.obs["frame"].to_numpy(),
                features,
                groups=None if group is None else training.obs[group].astype(str).to_numpy(),
                all_frames=frames_of[name],
                settings=settings,
            )
    new_folder(out, "shifts", "validity", *_earlier_movies(out))
    frames, shifts = [], []
    for name, found in results.items():
        frames.append(found.frames.assign(image=name))
        shifts.append(found.shifts.assign(image=name))
        known = interval if interval > 0 else None
        suffix = f"-{name}" if names.nunique() > 1 else ""
        figure = validity_figure(found.frames, few=found.few, frame_interval_s=known)
        save_both(figure, out, f"validity{suffix}")
        print(f"{name}: {found.verdict}")
        if found.few:
            print(
                f"note: {len(found.few)} of {len(found.few) + len(found.frames)} frames have "
                f"fewer than {settings.least_cells} {'' if border else 'whole '}cells and are not "
                "judged"
            )
        if found.incomplete:
            print(f"note: {found.incomplete} cells lack a feature and do not count")
        if found.left_out:
            print(f"note: not compared: {', '.join(found.left_out)}")
    for name in sorted(set(frames_of.index) - set(results)):
        print(f"note: {name} has no whole cell and is not judged; --border keeps cut ones")
    write_csv(pd.concat(frames), out / "validity.csv")
    write_csv(pd.concat(shifts), out / "shifts.csv")
    print("note: this compares label-free images; it cannot see whether the stain itself changed")
    print(f"tables and figures: {out}")


def _cells_of(path: Path, border: bool) -> AnnData:
    """A table's cells; without `border` those alone that the image's edge does not cut.

    A note tells where the table cannot say which these are.
    """
    from ..cell_table import read_cells

    return _whole(path, read_cells(path), border)


def _whole(path: Path, table: AnnData, border: bool) -> AnnData:
    """The same of a table that is read already."""
    from ..cell_table import off_border

    if border:
        return table
    say_absent(path, table, "border")
    with contents_of(path):
        return off_border(table)


def _earlier_movies(out: Path) -> list[str]:
    """Names of the figures that an earlier run made, a movie each."""
    from ..images.tables import read_typed_table

    try:
        earlier = read_typed_table(out / "validity.csv", ["image"])["image"]
    except (OSError, ValueError, KeyError):
        return []
    return [f"validity-{name}" for name in earlier.dropna().unique()]


def error(
    cells: Cells,
    out: Out,
    relative_error: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="SD of the error over the level, as 0.05: sd / mean of unstained cells agree.",
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(metavar="CELLS.h5ad", help="The same cells measured with their true stains."),
    ] = None,
    markers: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="All if not given.")
    ] = None,
    least_frames: Least = 10,
    border: Border = False,
) -> None:
    """How much of each fluctuation may be the model's error, and what is left without it.

    Correlation times without the error, and correlations between markers without errors that may
    go together. Writes model_error.csv and, of two markers or more, error_correlations.csv.
    """
    import pandas as pd

    from ..cell_table import traces_of
    from ..dynamics.model_error import error_bounds, error_of_traces
    from ..dynamics.traces import marker_traces

    if (relative_error is None) == (truth is None):
        raise InputError("--relative-error or --truth is needed", "give one of the two")
    check_folder(out)
    table = _cells_of(cells, border)
    true = None if truth is None else _cells_of(truth, border)
    names = listed(markers) or None
    say_absent(cells, table, "parent")
    with contents_of(cells):
        traces = relative_traces(
            marker_traces(table, names, least_frames=least_frames, border=border)
        )
    rows, shares = [], []
    for name, values in zip(traces.markers, traces.values, strict=True):
        sd, lasting = relative_error, None
        if true is not None:
            with contents_of(cast(Path, truth)):
                of_truth = traces_of(true, name)
            with contents_of(f"{cells} against {truth}, {name}"):
                found = error_of_traces(traces_of(table, name), of_truth)
            _say_error(name, found)
            # what is constant in a cell is no part of its fluctuation
            sd = found.sd * math.sqrt(1 - found.constant_share)
            lasting = [found.tau_min if found.lasting_share > found.white_share else 0.0]
        with contents_of(cells), named(name):
            bounds = error_bounds(
                values,
                traces.frame_interval_s,
                cast(float, sd),
                error_tau_min=lasting,
                groups=traces.lineage,
            )
        rows.append(bounds.table.assign(marker=name))
        shares.append(bounds.share[1])
        _say_bounds(name, bounds)
    new_folder(out, "model_error", "error_correlations")
    write_csv(pd.concat(rows), out / "model_error.csv")
    if len(shares) > 1:
        write_csv(_error_correlations(traces, shares), out / "error_correlations.csv")
    else:
        print("note: no correlations: they need two markers")
    print(f"tables: {out}")


def _error_correlations(traces: MarkerTraces, shares: list[float]) -> pd.DataFrame:
    """Fluctuation correlation of each two markers, and its range without the errors."""
    import pandas as pd

    from ..dynamics.correlations import compare_correlations
    from ..dynamics.model_error import correlation_bounds

    r = compare_correlations(traces.values, traces.values, groups=traces.lineage).fluctuation.r
    rows = []
    for i, j in combinations(range(len(shares)), 2):
        one, other = traces.markers[i], traces.markers[j]
        if not math.isfinite(shares[i] + shares[j] + r[i, j]):
            print(f"{one} and {other}: no range: an error does not fit, or no correlation is known")
            continue
        low, high = correlation_bounds(float(r[i, j]), (shares[i], shares[j]))
        rows.append((one, other, float(r[i, j]), low, high))
        print(
            f"{one} and {other}: fluctuation correlation {r[i, j]:.2f}; without errors, which may "
            f"go together or not, {low:.2f} to {high:.2f}"
        )
    return pd.DataFrame(rows, columns=["marker_1", "marker_2", "r", "low", "high"])


def _say_error(name: str, found: ErrorInTime) -> None:
    print(
        f"{name}: error {found.sd:.1%}, of its variance {found.constant_share:.0%} constant in a "
        f"cell, {found.white_share:.0%} new in each frame, {found.lasting_share:.0%} lasting"
        + (f" {found.tau_min:.0f} min" if math.isfinite(found.tau_min) else "")
    )


def _say_bounds(name: str, bounds: ErrorBounds) -> None:
    low, high = bounds.share
    if math.isnan(low):
        print(f"{name}: so large an error does not fit these traces, however long it may last")
        return
    shares = " to ".join(dict.fromkeys(f"{share:.0%}" for share in (low, high)))
    times = " to ".join(dict.fromkeys(f"{tau:.0f}" for tau in bounds.tau_min))
    none = "" if bounds.always_told else ", or none that can be told"
    print(
        f"{name}: {shares} of the fluctuation may be error; correlation time without it "
        + (f"{times} min{none}" if math.isfinite(bounds.tau_min[0]) else "not to be told")
    )


def _with_interval(interval: Any) -> str:
    return f"{interval.estimate:.2f} ({interval.low:.2f} to {interval.high:.2f})"
