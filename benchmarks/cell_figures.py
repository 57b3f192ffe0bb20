"""The figures of single cells in the docs, from simulated cells: fields of donors, and a movie.

    python benchmarks/cell_figures.py --out runs/cell-figures --docs docs/images/cells

Runs the commands that a user would, then shrinks their figures. What is there is not made again.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from PIL import Image

from unstained.cells.outline_folder import segmentation_from_outlines
from unstained.cli.main import main as unstained

MARKERS = ("CD105", "CD90", "CD73", "CD29", "CD146", "CD106", "STRO-1", "CD44")
MOVIE_MARKERS = "CD105,CD29,CD44,STRO-1"
FIELDS = 36
WIDTH_PX = 1000
SHOWN = {
    "agreement": ("scatter", "bland_altman", "coverage"),
    "distributions": ("distributions",),
    "clusters": ("clusters",),
    "components": ("biplot-markers", "biplot-markers-and-shape", "correlations"),
    "phenotypes": ("levels", "differences"),
    "factors": ("medium", "variance"),
    "traces": ("traces",),
    "correlation": ("correlations", "autocorrelation", "spectra"),
    "kymograph": ("kymograph", "waves"),
    "divisions": ("divisions",),
    "validity": ("validity",),
}
"""Folders of the commands, and the figures of each that are shown."""


def run(out: Path, *words: object) -> None:
    """One command, unless its output is there."""
    if out.exists():
        return
    print("unstained", *words, flush=True)
    try:
        unstained([str(word) for word in words])
    except SystemExit as left:
        if left.code:
            raise


def fields(home: Path) -> Path:
    """Cells of simulated fields, four donors and two media that make no difference."""
    pairs = home / "pairs"
    names = ",".join(MARKERS)
    run(pairs, "simulate", "pairs", "--out", pairs, "--fields", FIELDS, "--markers", names)
    images = sorted(pairs.glob("*_phase.tif"))
    conditions = home / "conditions.csv"
    with conditions.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["image", "donor", "medium"])
        donors = [(f"donor {i % 4}", ("A", "B")[i // 4 % 2]) for i in range(len(images))]
        table.writerows((image.stem, *known) for image, known in zip(images, donors, strict=True))
    outlined = home / "fields"
    if not outlined.exists():
        labels = [image.with_name(image.name.replace("phase", "labels")) for image in images]
        segmentation_from_outlines(images, labels, outlined)
    cells = home / "fields.h5ad"
    stains = ("--stains", pairs / "manifest.csv", "--conditions", conditions)
    run(cells, "cells", "measure", outlined, *stains, "--out", cells)
    model, predicted = home / "model", home / "predicted"
    quick = ("--preset", "fast", "--set", "steps=150")  # enough for a figure
    run(model, "staining", "train", pairs / "manifest.csv", "--out", model, *quick)
    run(predicted, "staining", "predict", model, *images, "--out", predicted)
    of_model = home / "predicted.h5ad"
    stains = ("--stains", predicted, "--conditions", conditions)
    run(of_model, "cells", "measure", outlined, *stains, "--out", of_model)
    return cells


def movie(home: Path) -> Path:
    """Followed cells of a simulated movie of ten hours."""
    made = home / "movie"
    size = ("--frames", 200, "--interval", 180, "--size", 640, "--cells", 20, "--cycle-h", 8)
    run(made, "simulate", "movie", "--out", made, "--markers", MOVIE_MARKERS, *size)
    outlined = home / "followed"
    zarr = made / "movie.ome.zarr"
    labels = ("--outlines", zarr / "labels" / "cells")
    run(outlined, "cells", "outline", f"{zarr}#phase", *labels, "--out", outlined)
    run(outlined / "tracks.csv", "cells", "track", outlined)
    cells = home / "followed.h5ad"
    run(cells, "cells", "measure", outlined, "--channels", MOVIE_MARKERS, "--out", cells)
    return cells


def shrink(file: Path, target: Path) -> None:
    """A figure at the width that a page shows, with few colors."""
    image = Image.open(file).convert("RGB")
    image.thumbnail((WIDTH_PX, 10 * WIDTH_PX))
    target.parent.mkdir(parents=True, exist_ok=True)
    image.quantize(64).save(target, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--docs", type=Path)
    given = parser.parse_args()
    home = given.out
    home.mkdir(parents=True, exist_ok=True)
    still, moving = fields(home), movie(home)
    out = {name: home / name for name in SHOWN}
    agree = ("cells", "agree", home / "predicted.h5ad", still, "--group", "donor")
    run(out["agreement"], *agree, "--out", out["agreement"])
    phenotypes = out["phenotypes"] / "cells.h5ad"
    for name, table in (
        ("distributions", still),
        ("clusters", still),
        ("phenotypes", still),
        ("components", phenotypes),
    ):
        run(out[name], "heterogeneity", name, table, "--out", out[name])
    compared = ("--factor", "medium", "--unit", "image", "--nested", "donor")
    run(out["factors"], "heterogeneity", "factors", still, *compared, "--out", out["factors"])
    for name, more in (
        ("traces", ()),
        ("correlation", ("--detrend", "line")),  # cells grow
        ("divisions", ()),
    ):
        run(out[name], "dynamics", name, moving, *more, "--out", out[name])
    ends = ("--skip-min", 60)
    run(out["kymograph"], "dynamics", "kymograph", moving, *ends, "--out", out["kymograph"])
    like = ("--reference", still)
    run(out["validity"], "dynamics", "validity", moving, *like, "--out", out["validity"])
    if given.docs is not None:
        for folder, names in SHOWN.items():
            for name in names:
                shrink(out[folder] / f"{name}.png", given.docs / f"{folder}-{name}.png")


if __name__ == "__main__":
    main()
