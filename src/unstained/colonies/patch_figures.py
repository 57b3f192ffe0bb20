"""What the network is shown: patches of each class, and a colony of several classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..figures import class_patches, colony_with_patches, save_figure
from ..images.image import Array
from .classifier import ColonyClassifier
from .crops import ArrayCrops, patch_corners
from .examples import Examples
from .votes import MULTI_LABEL

__all__ = ["patch_figures"]

_LOOKED_AT = 40
"""Images of a class, or of several classes, among which a large one is chosen."""
_PATCHES = 6


def patch_figures(examples: Examples, classifier: ColonyClassifier, folder: Path) -> list[Path]:
    """Draw ``patches.png`` and, where there is an image of several classes, ``several.png``.

    The first has an image of each class: whole, the patch in its middle, and the middle half of
    that, which is the second stream of a network with two scales. The second has the colony's
    mask and some patches in the colors of the classes that they are predicted to be.
    """
    side = int(classifier.about["patch"])
    plain = examples.with_stains(None)
    labels = examples.table["label"].to_numpy()
    rows = {}
    for name in classifier.classes:
        found = np.flatnonzero(labels == name)
        if found.size:
            pixels = plain.read(_largest(plain, found)).pixels[0]
            rows[name] = [pixels, _middle(pixels, side), _middle(pixels, side // 2)]
    titles = ["whole", f"{side} px", f"{side // 2} px"]
    written = []
    if rows:
        written.append(save_figure(class_patches(rows, scales=titles), folder / "patches.png"))
    several = np.flatnonzero(labels == MULTI_LABEL)
    if several.size:
        index = _largest(plain, several)
        if min(plain.read(index).pixels.shape[1:]) >= side:
            written.append(_draw_several(examples, index, classifier, folder / "several.png"))
    return written


def _draw_several(examples: Examples, index: int, classifier: ColonyClassifier, path: Path) -> Path:
    side = int(classifier.about["patch"])
    pixels, mask, _ = examples.read(index)
    corners = patch_corners(mask, pixels.shape[1:], side, classifier.settings.inside)
    corners = _spread(corners, _PATCHES)
    cut = [pixels[:, y : y + side, x : x + side] for y, x in corners]
    predicted = []
    if cut:
        codes = classifier.predict_proba(ArrayCrops(cut)).argmax(axis=1)
        predicted = [classifier.classes[code] for code in codes]
    inside = np.ones(pixels.shape[1:], bool) if mask is None else mask
    boxes = [(float(y), float(x), float(y + side), float(x + side)) for y, x in corners]
    shown = examples.with_stains(None).read(index).pixels[0]
    return save_figure(colony_with_patches(shown, inside, boxes, labels=predicted), path)


def _largest(examples: Examples, among: Array) -> int:
    """Of some images evenly spread over the table, the one with the most pixels."""
    step = max(1, len(among) // _LOOKED_AT)
    return int(max(among[::step], key=lambda i: examples.read(int(i)).pixels[0].size))


def _middle(pixels: Array, side: int) -> Array:
    y, x = (max(0, (size - side) // 2) for size in pixels.shape)
    return pixels[y : y + side, x : x + side]


def _spread(corners: Array, n: int) -> Array:
    """(n, 2) of the corners, each as far from those before it as can be."""
    if len(corners) <= n:
        return corners
    chosen = [0]
    distance = ((corners - corners[0]) ** 2).sum(axis=1)
    while len(chosen) < n:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, ((corners - corners[chosen[-1]]) ** 2).sum(axis=1))
    return corners[chosen]
