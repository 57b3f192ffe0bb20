"""Simulated phase contrast beside real: pictures, spectra, histograms, halos, distances.

    python benchmarks/realism.py OUT [--fields N]

The real images are those of `usiigaci`, train and movie. Each distance between two images is a
root mean square or a mean over a curve: the logarithm of the radially averaged power spectrum, the
sorted grey values over their median, the mean grey value against the distance from the cells'
edges.

Two tables. The first has medians over pairs of images; for a perfect simulator they are those
among the real images, and not 0. The second has the energy distance of Szekely and Rizzo (2013),
J Stat Plan Inference 143:1249, ``2 E d(X, Y) - E d(X, X') - E d(Y, Y')``: 0 for two sets from one
distribution; with a 95 % bootstrap interval over images.

The simulator was tuned on the images of TUNED; the others are held out, but were looked at: see
docs/simulation.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from PIL import Image
from scipy import fft, ndimage

from phase_pictures import SHOWN, shown
from unstained import datasets
from unstained.images import atomic_path, read_labels
from unstained.simulate import Camera, SimulatedField, simulate_field

Array = np.ndarray[Any, Any]

DENSE = ("set13", "set15", "set19")
MOVIE = ("t01", "t09", "t18")
TUNED = ("set02", "set06", "set13", "set18", "set22", "set27", "set36")
SHAPE = (1022, 1022)
DRAWS = 2000  # of the bootstrap
EDGE_PX = 16  # how far from an edge the halo is followed

PICTURED = (6, 8, 7)  # of the simulated fields
HAND_PX, HAND_SD_PX = 1.9, 3.0  # by how much a hand's outline is too large, and errs
CAMERA = Camera(gain=3.2, offset=0.0)  # the empty field at 32000: full at twice that, as the real


class Kind(NamedTuple):
    """Cells of a culture."""

    density_per_mm2: tuple[float, float, float]
    spread: float
    round_share: float


# as outlined, where a pixel is 0.65 um wide: 98 to 168 large cells per mm2, of which a median
# covers 3300 px, and 95 to 243 small ones of 1300 px (sets 13, 15, 19, 30, 36, 41)
LARGE = Kind((100.0, 135.0, 165.0), spread=1.15, round_share=0.08)
SMALL = Kind((100.0, 185.0, 240.0), spread=0.7, round_share=0.06)


class Look(NamedTuple):
    """What an image looks like, in curves."""

    name: str
    spectrum: Array  # (R,) log10 of power over frequency, 0.005 to 0.5 cycles per pixel
    greys: Array  # (Q,) quantiles 0.001 to 0.999 of the grey values over their median
    halo: Array  # (2 EDGE_PX,) mean grey over the median, from 16 px inside to 16 px outside


def look(name: str, image: Array, labels: Array) -> Look:
    """The curves of one image, (Y, X), and its label image."""
    relative = image[: SHAPE[0], : SHAPE[1]].astype(float)
    relative /= np.median(relative)
    cells = labels[: SHAPE[0], : SHAPE[1]] > 0
    return Look(
        name,
        _spectrum(relative),
        np.quantile(relative, np.linspace(0.001, 0.999, 999)),
        _halo(relative, cells),
    )


def _spectrum(relative: Array) -> Array:
    window = np.outer(np.hanning(SHAPE[0]), np.hanning(SHAPE[1]))
    power = abs(fft.fft2((relative - relative.mean()) * window)) ** 2 / (window**2).sum()
    frequency = np.hypot(*np.meshgrid(fft.fftfreq(SHAPE[0]), fft.fftfreq(SHAPE[1])))
    edges = np.geomspace(0.005, 0.5, 41)
    ring = np.digitize(frequency.ravel(), edges)
    mean = np.bincount(ring, power.ravel(), 42) / np.maximum(np.bincount(ring, minlength=42), 1)
    return np.asarray(np.log10(mean[1:41]))


def _halo(relative: Array, cells: Array) -> Array:
    inside = ndimage.distance_transform_edt(cells)
    outside = ndimage.distance_transform_edt(~cells)
    signed = np.where(cells, -np.ceil(inside), np.ceil(outside) - 1).astype(int) + EDGE_PX
    near = (signed >= 0) & (signed < 2 * EDGE_PX)
    total = np.bincount(signed[near], relative[near], 2 * EDGE_PX)
    return np.asarray(total / np.maximum(np.bincount(signed[near], minlength=2 * EDGE_PX), 1))


def distances(a: Look, b: Look) -> tuple[float, float, float]:
    """Spectra (decades, RMS), greys (mean of absolute differences), halos (RMS)."""
    return (
        float(np.sqrt(np.mean((a.spectrum - b.spectrum) ** 2))),
        float(np.mean(abs(a.greys - b.greys))),
        float(np.sqrt(np.mean((a.halo - b.halo) ** 2))),
    )


def by_hand(labels: Array, seed: int) -> Array:
    """Cells as a hand outlines them: 1.9 px too large, give or take 3 px."""
    depth = ndimage.distance_transform_edt(labels > 0) - ndimage.distance_transform_edt(labels == 0)
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(labels.shape), 8)
    return np.asarray(depth + HAND_SD_PX * noise / noise.std() > -HAND_PX)


def real_fields() -> list[tuple[str, Array, Array]]:
    """The training sets, outlined by hand, and three frames of the movie, outlined by a program."""
    folder = datasets.fetch("usiigaci")
    files = [(p.name, p / "raw.tif", p / "instances.png") for p in (folder / "train").iterdir()]
    movie = folder / "movie"
    files += [(t, movie / f"{t}.tif", movie / "tracks" / f"{t}.png") for t in MOVIE]
    return [
        (name, tifffile.imread(image), np.asarray(read_labels(labels)))
        for name, image, labels in sorted(files)
    ]


def simulated_fields(n: int) -> list[SimulatedField]:
    """Two fields like the sets of large cells, then one like those of small cells, and so on.

    Density and, to a tenth, size are those that were outlined; the share of round cells is tuned.
    """
    kinds = [SMALL if i % 3 == 2 else LARGE for i in range(n)]
    return [
        simulate_field(
            1024,
            markers=("BODY",),
            seed=(2024, i),
            density_per_mm2=kind.density_per_mm2[i // 3 % 3],
            spread=kind.spread,
            round_share=kind.round_share,
            camera=CAMERA,
        )
        for i, kind in enumerate(kinds)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--fields", type=int, default=18)
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    simulated = simulated_fields(chosen.fields)
    real = [look(*field) for field in real_fields()]
    made = [look(f"sim{i}", f.phase, by_hand(f.labels, i)) for i, f in enumerate(simulated)]
    dense = [a for a in real if a.name in DENSE]
    others = [a for a in real if a.name not in DENSE]
    held_out = [a for a in real if a.name not in TUNED]
    rows = (
        ("simulated to real (all)", made, real),
        ("simulated to real (held out)", made, held_out),
        ("real: 13, 15, 19 to the others", dense, others),
        ("real: among the others", others, others),
        ("real: among all", real, real),
    )
    head = "| {} | spectrum, decades | grey values | halo |\n|---|---|---|---|"
    print(head.format("median of pairs"))
    for title, first, second in rows:
        pairs = [distances(a, b) for a in first for b in second if a is not b]
        print(f"| {title} | " + " | ".join(f"{v:.3f}" for v in np.median(pairs, axis=0)) + " |")
    print("\n" + head.format("energy distance"))
    for title, first, second in rows[:3]:
        print(f"| {title} | " + " | ".join(energy_distances(first, second)) + " |")
    more = np.mean([a.spectrum for a in real], 0) - np.mean([a.spectrum for a in made], 0)
    print("\nmean power of the real, decades above that of the simulated")
    for i in range(0, 40, 8):
        low, high = np.geomspace(0.005, 0.5, 41)[[i, i + 8]]
        print(f"  {low:.3f} to {high:.3f} cycles per pixel: {more[i : i + 8].mean():+.2f}")
    _pictures(chosen.out, simulated)
    _curves(chosen.out, made, dense, others)


def energy_distances(first: list[Look], second: list[Look]) -> list[str]:
    """Energy distance of two sets in each of the three measures, with its interval, as text."""
    looks = first + second
    pairs = np.array([[distances(a, b) for b in looks] for a in looks])  # (N, N, 3)
    mine, theirs = np.arange(len(first)), np.arange(len(first), len(looks))
    rng = np.random.default_rng(0)
    drawn = [
        _energy(pairs, rng.choice(mine, len(mine)), rng.choice(theirs, len(theirs)))
        for _ in range(DRAWS)
    ]
    low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)
    found = _energy(pairs, mine, theirs)
    return [f"{e:.3f} [{a:.3f}, {b:.3f}]" for e, a, b in zip(found, low, high, strict=True)]


def _energy(pairs: Array, x: Array, y: Array) -> Array:
    """Of images x and y in a matrix of distances; an image drawn twice is no pair."""

    def mean(rows: Array, columns: Array) -> Array:
        differ = rows[:, None] != columns
        if not differ.any():  # one image drawn over and over
            return np.full(pairs.shape[-1], np.nan)
        return np.asarray(pairs[np.ix_(rows, columns)][differ].mean(0))

    return 2 * mean(x, y) - mean(x, x) - mean(y, y)


def _pictures(out: Path, made: list[SimulatedField]) -> None:
    """Simulated fields and, above them, real ones."""
    folder = datasets.fetch("usiigaci")
    upper = [shown(tifffile.imread(folder / path)) for path in SHOWN]
    lower = [shown(made[i].phase) for i in PICTURED]
    with atomic_path(out / "simulated.png") as path:
        Image.fromarray(np.hstack(lower)).save(path)
    with atomic_path(out / "side_by_side.png") as path:
        Image.fromarray(np.vstack([np.hstack(upper), np.hstack(lower)])).save(path)


def _curves(out: Path, made: list[Look], dense: list[Look], others: list[Look]) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    x = (
        np.geomspace(0.005, 0.5, 40),
        np.linspace(0.001, 0.999, 999),
        np.arange(-EDGE_PX, EDGE_PX) + 0.5,
    )
    for looks, color, title in (
        (made, "tab:red", "simulated"),
        (others, "0.4", "real"),
        (dense, "tab:blue", "real: 13, 15, 19"),
    ):
        for i, a in enumerate(looks):
            for axis, where, curve in zip(axes, x, a[1:], strict=True):
                axis.plot(where, curve, color=color, lw=0.8, label=title if i == 0 else None)
    axes[0].set(xscale="log", xlabel="cycles per pixel", ylabel="log10 power")
    axes[1].set(ylim=(0, 2.2), xlabel="quantile", ylabel="grey value / median")
    axes[2].set(xlabel="pixels from the cells' edge, outside > 0", ylabel="grey value / median")
    axes[0].legend()
    with atomic_path(out / "curves.png") as path:
        figure.savefig(path, dpi=90)


if __name__ == "__main__":
    main()
