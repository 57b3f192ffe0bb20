"""Draw the picture of the README from what `unstained demo` left.

unstained demo --out demo
python benchmarks/front_picture.py demo --out docs/images
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from unstained.figures import composite_figure, save_figure
from unstained.images import load_pairs, read_image

ROWS = slice(150, 406)  # of the test strip: cells, a bundle and single fibers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("demo", type=Path, help="what unstained demo was given as --out")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    phase = load_pairs("isl").of_split("test").fields()[0].read_phase()
    figure = composite_figure(
        phase[len(phase) // 2, ROWS],
        stains(given.demo / "prediction.ome.zarr"),
        measured=stains(given.demo / "measured.ome.zarr"),
    )
    save_figure(figure, given.out / "front.png", dpi=110)


def stains(path: Path) -> dict[str, np.ndarray]:
    image = read_image(path)
    names = [channel.name for channel in image.channels]
    return {n: a[ROWS].astype(np.float32) for n, a in zip(names, image.planes(), strict=True)}


if __name__ == "__main__":
    main()
