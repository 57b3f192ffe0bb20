"""How often the bands of predicted totals hold cells of fields that they never saw.

    python benchmarks/bands.py --out runs/bands

Twelve simulated fields are outlined and their true stains measured. A "prediction" is the measured
total with an error of 10 % of each cell and one that all cells of a field share. Each field is left
out in turn: with bands that take the other cells as independent (pooled), and with those that are
calibrated by fields. First one draw of the errors, through `unstained cells agree`; then the mean
over many.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from unstained.cell_table import names_of, read_cells, values_of, write_cells
from unstained.cells.agreement_report import agree_files
from unstained.cells.bands import fit_band, held_out_coverage
from unstained.cells.measure_files import FileOptions, measure_folder
from unstained.cells.outline_folder import segmentation_from_outlines
from unstained.simulate import write_pairs
from unstained.statistics import mean_interval

FIELDS = 12
CELL_SD = 0.10
FIELD_SD = (0.03, 0.10, 0.20)  # of the errors that cells of a field share
LEVEL = 0.6
DRAWS = 200


def measured(home: Path, seed: int) -> Path:
    """The table of the cells of simulated fields with their true stains; made once."""
    table = home / "measured.h5ad"
    if table.exists():
        return table
    manifest = home / "pairs" / "manifest.csv"
    if not manifest.exists():
        write_pairs(manifest.parent, fields=FIELDS, seed=seed)
    outlined = home / "cells"
    if not outlined.exists():
        images = sorted(manifest.parent.glob("*_phase.tif"))
        labels = [image.with_name(image.name.replace("phase", "labels")) for image in images]
        segmentation_from_outlines(images, labels, outlined)
    measure_folder(outlined, table, None, FileOptions(manifest))
    return table


def predicted(
    totals: np.ndarray, field: np.ndarray, field_sd: float, rng: np.random.Generator
) -> np.ndarray:
    """(N,) totals with an error of each cell and one of each of the fields (N,), 0 ... K - 1."""
    of_cell = CELL_SD * rng.normal(size=totals.size)
    of_field = field_sd * rng.normal(size=field.max() + 1)[field]
    return np.asarray(totals * (1 + of_cell + of_field))


def one_draw(table: Path, out: Path, rng: np.random.Generator) -> None:
    """What `unstained cells agree --group image` says of each marker."""
    cells = read_cells(table)
    field = np.unique(cells.obs["image"].astype(str), return_inverse=True)[1]
    markers = names_of(cells, "marker")
    with_errors = np.array(cells.X)
    for name in markers:
        of = values_of(cells, [name])[:, 0]
        with_errors[:, cells.var_names.get_loc(name)] = predicted(of, field, FIELD_SD[0], rng)
    cells.X = with_errors
    with TemporaryDirectory(dir=out) as folder:
        file = write_cells(cells, Path(folder) / "predicted.h5ad")
        report = agree_files(file, table, Path(folder) / "agreement", group="image")
    means = report.coverage[report.coverage["group"] == "(mean)"].set_index("marker")
    print(f"| marker | cells | fields | left-out cells in the {LEVEL:.0%} band | width / total |")
    print("|---|---|---|---|---|")
    for name, n, share, low, high, width in means[
        ["n", "share", "low", "high", "width"]
    ].itertuples():
        print(
            f"| {name} | {n} | {field.max() + 1} | {share:.2f} [{low:.2f}, {high:.2f}] "
            f"| {width:.2f} |"
        )


def pooled_share(p: np.ndarray, y: np.ndarray, field: np.ndarray) -> float:
    """Mean over fields of the share of their cells in a band of all other cells, as independent."""
    shares = []
    for out in (field == number for number in range(field.max() + 1)):
        low, high = fit_band(p[~out], y[~out], LEVEL).interval(p[out])
        shares.append(np.mean((y[out] >= low) & (y[out] <= high)))
    return float(np.mean(shares))


def many_draws(table: Path, rng: np.random.Generator) -> None:
    """Mean share over draws of the errors, of pooled bands and of those calibrated by fields."""
    cells = read_cells(table)
    field = np.unique(cells.obs["image"].astype(str), return_inverse=True)[1]
    y = values_of(cells, names_of(cells, "marker")[:1])[:, 0]
    print(f"\n| error of a cell | of a field | pooled | by fields |  ({DRAWS} draws)")
    print("|---|---|---|---|")
    for field_sd in FIELD_SD:
        shares: dict[str, list[float]] = {"pooled": [], "by fields": []}
        for _ in range(DRAWS):
            p = predicted(y, field, field_sd, rng)
            shares["pooled"].append(pooled_share(p, y, field))
            shares["by fields"].append(held_out_coverage(p, y, LEVEL, groups=field).share)
        means = [mean_interval(np.array(of)) for of in shares.values()]
        said = [f"{mean.estimate:.3f} [{mean.low:.3f}, {mean.high:.3f}]" for mean in means]
        print(f"| {CELL_SD:.0%} | {field_sd:.0%} | {' | '.join(said)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    table = measured(given.out, given.seed)
    rng = np.random.default_rng(given.seed)
    one_draw(table, given.out, rng)
    many_draws(table, rng)


if __name__ == "__main__":
    main()
