"""Simulated phase contrast beside real: pictures, spectra, histograms, halos, distances.

    python benchmarks/realism.py OUT [--fields N]

The real images are those of `usiigaci`, train and movie. Each distance is a root mean square or a
mean over a curve of an image: the logarithm of the radially averaged power spectrum, the sorted
grey values over their median, the mean grey value against the distance from the cells' edges.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from scipy import fft, ndimage

from unstained import datasets
from unstained.images import atomic_path, read_labels
from unstained.simulate import SimulatedField, simulate_field

Array = np.ndarray[Any, Any]

DENSE = ("set13", "set15", "set19")
MOVIE = ("t01", "t09", "t18")
SHAPE = (1022, 1022)
EDGE_PX = 16  # how far from an edge the halo is followed


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
    """Cells as a hand outlines them: 3 px too large, give or take 2 px."""
    depth = ndimage.distance_transform_edt(labels > 0) - ndimage.distance_transform_edt(labels == 0)
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(labels.shape), 8)
    return np.asarray(depth + 2 * noise / noise.std() > -3)


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
    """As many cells, and as many of them round, as were outlined in the real ones."""
    densities = np.linspace(95, 240, n)  # per mm2 where a pixel is 0.65 um wide
    return [
        simulate_field(
            1024,
            markers=("BODY",),
            seed=(2024, i),
            density_per_mm2=float(density),
            round_share=0.06,
        )
        for i, density in enumerate(densities)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--fields", type=int, default=6)
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    real = real_fields()
    simulated = simulated_fields(chosen.fields)
    looks = [look(*field) for field in real]
    dense = [a for a in looks if a.name in DENSE]
    others = [a for a in looks if a.name not in DENSE]
    made = [look(f"sim{i}", f.phase, by_hand(f.labels, i)) for i, f in enumerate(simulated)]
    print("| distance | spectrum, decades | grey values | halo |\n|---|---|---|---|")
    for title, first, second in (
        ("simulated to real (all)", made, looks),
        ("real: 13, 15, 19 to the others", dense, others),
        ("real: among the others", others, others),
    ):
        pairs = [distances(a, b) for a in first for b in second if a is not b]
        print(f"| {title} | " + " | ".join(f"{v:.3f}" for v in np.median(pairs, axis=0)) + " |")
    _pictures(chosen.out, real, simulated)
    _curves(chosen.out, made, dense, others)


def _pictures(out: Path, real: list[tuple[str, Array, Array]], made: list[SimulatedField]) -> None:
    """Real above, simulated below; 400 px each, the same grey scale."""
    import imageio.v3 as iio

    def crop(image: Array) -> Array:
        part = image[100:500, 100:500] / np.median(image)
        return np.asarray(np.clip((part - 0.5) / 1.2 * 255, 0, 255), np.uint8)

    named = {name: image for name, image, _ in real}
    upper = [crop(named[name]) for name in ("set03", "set13", "t09")]
    lower = [crop(field.phase) for field in made[-3:]]
    with atomic_path(out / "simulated.png") as path:
        iio.imwrite(path, np.hstack(lower))
    with atomic_path(out / "side_by_side.png") as path:
        iio.imwrite(path, np.vstack([np.hstack(upper), np.hstack(lower)]))


def _curves(out: Path, made: list[Look], dense: list[Look], others: list[Look]) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    x = (
        np.geomspace(0.005, 0.5, 40),
        np.linspace(0.001, 0.999, 999),
        np.arange(-EDGE_PX, EDGE_PX) + 0.5,
    )
    for looks, color, title in (
        (others, "0.6", "real"),
        (dense, "tab:blue", "real: 13, 15, 19"),
        (made, "tab:red", "simulated"),
    ):
        for i, a in enumerate(looks):
            for axis, where, curve in zip(axes, x, a[1:], strict=True):
                axis.plot(where, curve, color=color, lw=0.8, label=title if i == 0 else None)
    axes[0].set(xscale="log", xlabel="cycles per pixel", ylabel="log10 power")
    axes[1].set(ylim=(0, 3), xlabel="quantile", ylabel="grey value / median")
    axes[2].set(xlabel="pixels from the cells' edge, outside > 0", ylabel="grey value / median")
    axes[0].legend()
    with atomic_path(out / "curves.png") as path:
        figure.savefig(path, dpi=90)


if __name__ == "__main__":
    main()
