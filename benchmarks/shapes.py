"""How long the shape features of many cells take, with and without nuclei.

    python benchmarks/shapes.py

Ellipses of random size, length and direction, each with a round nucleus, stand on a grid; sizes
are areas in pixels. The first call, which compiles or loads machine code, is not counted.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from unstained.cells.shape import shape_features
from unstained.images.image import Array


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    print("| cells | px of a cell | nuclei | seconds | us a cell |")
    print("|---|---|---|---|---|")
    for radius in (8, 18, 32):
        labels, nuclei = ellipses(given.cells, radius)
        size = np.count_nonzero(labels) / given.cells
        for name, of in (("", None), ("yes", nuclei)):
            shape_features(labels[:200, :200], 0.5, None if of is None else of[:200, :200])
            seconds = min(_seconds(labels, of) for _ in range(given.repeats))
            each = 1e6 * seconds / given.cells
            print(f"| {given.cells} | {size:.0f} | {name} | {seconds:.2f} | {each:.0f} |")


def ellipses(cells: int, radius: float) -> tuple[Array, Array]:
    """Label images of cells whose radius is `radius` on average, and of their nuclei."""
    rng = np.random.default_rng(0)
    pitch, columns = round(4.4 * radius), int(np.ceil(np.sqrt(cells)))
    labels = np.zeros((pitch * int(np.ceil(cells / columns)), pitch * columns), np.int32)
    nuclei = np.zeros_like(labels)
    y, x = np.mgrid[:pitch, :pitch] - (pitch - 1) / 2
    for i in range(cells):
        r, long, turn = radius * rng.uniform(0.8, 1.2), rng.uniform(1, 1.7), rng.uniform(0, np.pi)
        along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        place = np.s_[
            i // columns * pitch : (i // columns + 1) * pitch,
            i % columns * pitch : (i % columns + 1) * pitch,
        ]
        labels[place][np.hypot(along / long, across * long) < r] = i + 1
        nuclei[place][np.hypot(x, y) < 0.4 * r] = i + 1
    return labels, nuclei


def _seconds(labels: Array, nuclei: Array | None) -> float:
    start = time.perf_counter()
    shape_features(labels, 0.5, nuclei)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
