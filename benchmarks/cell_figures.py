"""The figures of single cells in the docs, from simulated cells: fields of donors, and movies.

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
from unstained.images import as_image, read_image, write_ome_tiff

MARKERS = ("CD105", "CD90", "CD73", "CD29", "CD146", "CD106", "STRO-1", "CD44")
MOVIE_MARKERS = "CD105,CD29,CD44,STRO-1"
FIELDS = 36
WIDTH_PX = 1000
COLORS = 256
WAVE_MIN, WAVE_UM = 120, 40
QUICK = ("--preset", "fast", "--set", "steps=150")  # enough for a figure
SHOWN = {
    "agreement": ("scatter", "bland_altman", "coverage"),
    "distributions": ("distributions",),
    "clusters": ("clusters",),
    "components": ("biplot-markers", "biplot-markers-and-shape", "correlations"),
    "phenotypes": ("levels", "differences"),
    "factors": ("medium", "variance"),
    "snapshots": ("snapshots",),
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
        labels, nuclei = (
            [image.with_name(image.name.replace("phase", what)) for image in images]
            for what in ("labels", "nuclei")
        )
        segmentation_from_outlines(images, labels, outlined, nuclei=nuclei)
    cells = home / "fields.h5ad"
    stains = ("--stains", pairs / "manifest.csv", "--conditions", conditions)
    run(cells, "cells", "measure", outlined, *stains, "--out", cells)
    model, predicted = home / "model", home / "predicted"
    run(model, "staining", "train", pairs / "manifest.csv", "--out", model, *QUICK)
    run(predicted, "staining", "predict", model, *images, "--out", predicted)
    of_model = home / "predicted.h5ad"
    stains = ("--stains", predicted, "--conditions", conditions)
    run(of_model, "cells", "measure", outlined, *stains, "--out", of_model)
    return cells


def film(home: Path, name: str, *more: object) -> Path:
    """A simulated movie, its cells outlined and followed; the segmentation folder."""
    made = home / name
    size = ("--size", 640, "--cells", 20, "--cycle-h", 8, "--markers", MOVIE_MARKERS)
    wave = ("--wave-min", WAVE_MIN, "--wave-um", WAVE_UM)
    run(made, "simulate", "movie", "--out", made, *size, *wave, *more)
    outlined = home / f"{name}-cells"
    zarr = made / "movie.ome.zarr"
    labels = ("--outlines", zarr / "labels" / "cells", "--nuclei", zarr / "labels" / "nuclei")
    run(outlined, "cells", "outline", f"{zarr}#phase", *labels, "--out", outlined)
    run(outlined / "tracks.csv", "cells", "track", outlined)
    return outlined


def measured(outlined: Path, name: str, *stains: object) -> Path:
    """The table of a movie's cells."""
    cells = outlined.parent / f"{name}.h5ad"
    run(cells, "cells", "measure", outlined, *stains, "--out", cells)
    return cells


def taught(home: Path) -> Path:
    """A network that saw 24 frames of a movie of its own."""
    film(home, "teaching", "--frames", 24, "--interval", 1500, "--seed", 1)
    manifest, model = home / "frames.csv", home / "movie-model"
    if not manifest.exists():
        frames_of(home / "teaching" / "movie.ome.zarr", home / "frames", manifest)
    run(model, "staining", "train", manifest, "--out", model, *QUICK)
    return model


def frames_of(path: Path, frames: Path, manifest: Path) -> None:
    """Each frame of a movie as a pair of its own."""
    frames.mkdir(exist_ok=True)
    movie = read_image(path)
    rows = [["phase", "stain", "marker", "group"]]
    for t in range(movie.shape[0]):
        files = {}
        for c, channel in enumerate(movie.channels):
            files[channel.name] = frames / f"t{t:02d}_{channel.name}.ome.tif"
            plane = as_image(movie.plane(t, c), "YX", pixel_size_um=movie.pixel_size_um)
            write_ome_tiff(plane, files[channel.name], overwrite=True)
        phase = str(files.pop("phase").resolve())
        rows += [[phase, str(file.resolve()), name, f"t{t:02d}"] for name, file in files.items()]
    with manifest.open("w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows(rows)


def predicted(home: Path, name: str, model: Path) -> tuple[object, ...]:
    """The stains of a movie as the network predicts them."""
    stains = home / f"{name}-predicted"
    phase = f"{home / name / 'movie.ome.zarr'}#phase"
    run(stains, "staining", "predict", model, phase, "--out", stains)
    return ("--stains", stains)


def movies(home: Path) -> tuple[Path, Path]:
    """Followed cells of a movie of ten hours, in its stains and in predicted ones with bands.

    The bands are of another movie; a third taught the network.
    """
    shown = film(home, "movie", "--frames", 200, "--interval", 180)
    judged = film(home, "judged", "--frames", 24, "--interval", 1500, "--seed", 2)
    cells = measured(shown, "followed", "--channels", MOVIE_MARKERS)
    model = taught(home)
    of_model = measured(judged, "judged-predicted", *predicted(home, "judged", model))
    of_stains = measured(judged, "judged-measured", "--channels", MOVIE_MARKERS)
    bands = home / "bands"
    run(bands, "cells", "agree", of_model, of_stains, "--group", "track", "--out", bands)
    guessed = (*predicted(home, "movie", model), "--bands", bands / "bands.json")
    return cells, measured(shown, "followed-predicted", *guessed)


def shrink(file: Path, target: Path) -> None:
    """A figure at the width that a page shows, no color off by more than an eighth of its range.

    Maximum coverage keeps rare colors, as those of a legend or of a color bar's end, which a
    median cut gives to the frequent ones; a step of k-means brings greys back.
    """
    image = Image.open(file).convert("RGB")
    image.thumbnail((WIDTH_PX, 10 * WIDTH_PX))
    target.parent.mkdir(parents=True, exist_ok=True)
    few = image.quantize(COLORS, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
    few.save(target, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--docs", type=Path)
    given = parser.parse_args()
    home = given.out
    home.mkdir(parents=True, exist_ok=True)
    still, (moving, live) = fields(home), movies(home)
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
    for name, table, more in (
        ("snapshots", moving, ()),
        ("traces", live, ()),
        ("correlation", moving, ("--detrend", "line")),  # cells grow
        ("divisions", moving, ()),
    ):
        run(out[name], "dynamics", name, table, *more, "--out", out[name])
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
