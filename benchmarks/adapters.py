"""Do the adapters agree with the packages themselves? For an environment that has one of them.

    python benchmarks/adapters.py cellpose|stardist|instanseg

Without their published weights: StarDist is trained for half a minute on drawn discs and must
find discs that it has not seen; InstanSeg gets a module that thresholds, in the form in which it
exports its own; Cellpose gets random weights, so that only the way through it is tried.
`pip install cellpose`, `stardist tensorflow` or `instanseg-torch` first, beside unstained.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from unstained.cells.adapters import cellpose, instanseg, stardist
from unstained.cells.matching import average_precision


def discs(seed: int, side: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """(Y, X) image and labels of up to eight bright discs that do not touch."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.int32)
    image = rng.normal(100, 5, (side, side)).astype(np.float32)
    y, x = np.mgrid[:side, :side]
    for label in range(1, 9):
        (cy, cx), radius = rng.uniform(12, side - 12, 2), rng.uniform(6, 11)
        inside = (y - cy) ** 2 + (x - cx) ** 2 < radius**2
        if not labels[inside].any():
            labels[inside] = label
            image[inside] += rng.uniform(60, 120)
    return image, labels


def try_stardist(folder: Path) -> None:
    from csbdeep.utils import normalize
    from stardist.models import Config2D, StarDist2D

    pairs = [discs(seed) for seed in range(40)]
    images = [normalize(image, 1, 99.8) for image, _ in pairs]
    labels = [of for _, of in pairs]
    config = Config2D(
        n_rays=16,
        grid=(1, 1),
        unet_n_depth=2,
        unet_n_filter_base=8,
        train_patch_size=(96, 96),
        train_epochs=30,
        train_steps_per_epoch=20,
        train_tensorboard=False,
    )
    network = StarDist2D(config, name="discs", basedir=str(folder))
    network.train(images[:32], labels[:32], validation_data=(images[32:], labels[32:]))
    network.optimize_thresholds(images[32:], labels[32:])
    segment = stardist(str(folder / "discs"))
    scores = []
    for seed in range(100, 110):
        image, true = discs(seed)
        # the adapter scales by the same percentiles as `normalize` above
        scores.append(average_precision(true, segment(image, None), [0.5])[0])
    print(f"stardist: average precision at IoU 0.5 of ten images {np.mean(scores):.2f}")


def try_instanseg(folder: Path) -> None:
    import torch

    class Threshold(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pixel_size, self.cells_and_nuclei = 0.5, True

        def forward(self, x, target_segmentation):  # TorchScript takes them for tensors
            return (x[:, :1] > 0.5).float().repeat(1, int(target_segmentation.sum()), 1, 1)

    torch.jit.script(Threshold()).save(str(folder / "instanseg.pt"))
    segment = instanseg(str(folder), device="cpu")
    image = np.zeros((60, 80), np.uint16)
    image[10:30, 20:50] = 1000
    for pixel_size_um in (None, 0.5, 1.0):  # the last is resampled there and back
        assert np.array_equal(segment(image, pixel_size_um) > 0, image > 0)
    print("instanseg: the same pixels, with and without resampling")


def try_cellpose(folder: Path) -> None:
    import torch
    from cellpose.models import CPSAM

    torch.manual_seed(0)
    CPSAM(dtype=torch.float32).save_model(str(folder / "random"))
    image, _ = discs(0)
    for diameter_um in (None, 20.0):
        labels = cellpose(str(folder / "random"), device="cpu", diameter_um=diameter_um)(image, 1.0)
        assert labels.shape == image.shape
        assert labels.dtype == np.int32
    print("cellpose: labels of the image's shape, with and without a diameter")


TRIALS: dict[str, Callable[[Path], None]] = {
    "cellpose": try_cellpose,
    "instanseg": try_instanseg,
    "stardist": try_stardist,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", choices=sorted(TRIALS))
    with tempfile.TemporaryDirectory() as folder:
        TRIALS[parser.parse_args().package](Path(folder))


if __name__ == "__main__":
    main()
