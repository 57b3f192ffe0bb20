"""Seconds to find the colonies of a whole well, and entropy beside scikit-image's.

python benchmarks/detection.py [--wells FOLDER]

FOLDER is one of ``unstained simulate colonies``; without it one well is simulated. Also prints
how many of its colonies are found, and how well.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from skimage.filters.rank import entropy
from skimage.morphology import disk

from unstained.colonies.detect import detect_colonies, to_uint8
from unstained.colonies.entropy import local_entropy
from unstained.images import read_image, read_labels
from unstained.simulate.colony_wells import ColonySettings
from unstained.simulate.colony_writer import write_colonies

REPEATS = 3


def best(work: Callable[[], object]) -> float:
    """Wall time of the fastest call, seconds."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def speed(image: np.ndarray) -> None:
    began = time.perf_counter()
    local_entropy(np.zeros((9, 9), np.uint8))
    print(
        f"first call (numba imported, code compiled or loaded): {time.perf_counter() - began:.1f} s"
    )
    grey = to_uint8(image)
    theirs = best(lambda: entropy(grey, disk(3)))
    print(f"{grey.shape[0]} x {grey.shape[1]} px, {os.cpu_count()} cores, best of {REPEATS}")
    print(f"entropy, scikit-image: {theirs:.2f} s")
    for threads in (1, 2):
        ours = best(lambda n=threads: local_entropy(grey, threads=n))
        print(f"entropy, ours, {threads} threads: {ours:.2f} s, {theirs / ours:.0f} times as fast")
    difference = np.abs(entropy(grey, disk(3)) - local_entropy(grey)).max()
    print(f"largest difference: {difference:.1e} bits")
    print(f"whole frame, all six steps: {best(lambda: detect_colonies(image, None, 0.8)):.2f} s")


def found(folder: Path) -> None:
    """Share of true colonies found, and intersection over union, over all frames."""
    overlaps, extra, total = [], 0, 0
    for path in sorted((folder / "wells").glob("*_labels.tif")):
        true = read_labels(path)
        image = read_image(path.with_name(path.name.replace("_labels", ""))).plane()
        labels = detect_colonies(image, None, 0.8).labels
        total += int(labels.max())
        for colony in range(1, int(true.max()) + 1):
            inside = true == colony
            label = int(np.bincount(labels[inside], minlength=2)[1:].argmax()) + 1
            union = inside | (labels == label)
            overlaps.append((inside & (labels == label)).sum() / union.sum())
        touched = np.unique(labels[true > 0])
        extra += int(labels.max()) - np.count_nonzero(touched)
    iou = np.array(overlaps)
    print(f"{iou.size} true colonies, {total} objects, {extra} of them on none")
    print(f"found with IoU >= 0.5: {(iou >= 0.5).mean():.3f}, at all: {(iou > 0).mean():.3f}")
    quarters = np.percentile(iou, (0, 25, 50, 75))
    print("IoU: least {:.2f}, quartiles {:.2f}, {:.2f}, {:.2f}".format(*quarters))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wells", type=Path)
    given = parser.parse_args().wells
    with tempfile.TemporaryDirectory() as scratch:
        folder = given or write_colonies(
            Path(scratch) / "wells", ColonySettings(wells=1, frames=3), workers=2
        )
        first = min((folder / "wells").glob("*_frame???.tif"))
        speed(read_image(first).plane())
        found(folder)


if __name__ == "__main__":
    main()
