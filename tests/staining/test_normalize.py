"""Grey values are brought to a common scale that neither the lamp nor the cells change."""

from __future__ import annotations

import numpy as np
import pytest

from unstained.errors import DataError
from unstained.staining.normalize import Normalization, Statistics, fit_normalization, normalize


def wells(light: float, *, cells: float, seed: int = 0) -> np.ndarray:
    """(1, 64, 64): background `light` with 1 % noise; a share `cells` at half the light."""
    rng = np.random.default_rng(seed)
    plane = light * (1 + 0.01 * rng.standard_normal((64, 64)))
    plane[: int(64 * cells)] *= 0.5
    return plane[None]


def brought(normalization: Normalization, planes: np.ndarray) -> np.ndarray:
    return normalize(planes, normalization.of(lambda y, x: planes[:, y, x], planes.shape[-2:]))


def test_background_normalization_knows_neither_lamp_nor_number_of_cells() -> None:
    fitted = fit_normalization("auto", [wells(1000, cells=0.25), wells(3000, cells=0.25)])
    assert fitted.way == "background"
    few, many, bright = (
        brought(fitted, wells(light, cells=share))
        for light, share in ((1000, 0.1), (1000, 0.4), (9000, 0.1))
    )
    # a cell lies 0.5 of the light below it: five tenths
    depth = -5.0
    for image, share in ((few, 0.1), (many, 0.4), (bright, 0.1)):
        assert np.median(image[:, : int(64 * share)]) == pytest.approx(depth, rel=0.02)
    # each image's own SD would make the cells of the fuller image flatter
    own = [brought(Normalization(), wells(1000, cells=share))[:, :4].mean() for share in (0.1, 0.4)]
    assert abs(own[0]) > 1.3 * abs(own[1])


def test_models_of_bright_images_are_normalized_alike_and_can_be_joined() -> None:
    # one was trained on sparse cells under a weak lamp, the other on dense ones under a strong one
    first = fit_normalization("auto", [wells(1000, cells=0.1)])
    assert first == fit_normalization("auto", [wells(5000, cells=0.3)])


def test_a_dark_background_is_not_divided_by() -> None:
    rng = np.random.default_rng(0)
    dark = np.abs(rng.standard_normal((1, 64, 64)))
    assert fit_normalization("auto", [dark]).way == "image"
    black = wells(1000, cells=0.25)
    black[:, 8:] = 0
    fitted = fit_normalization("background", [wells(1000, cells=0.25)])
    with pytest.raises(DataError, match=r"background of 0.*normalization=image"):
        brought(fitted, black)


def test_a_constant_image_is_refused_whatever_the_normalization() -> None:
    flat = np.full((2, 64, 64), 7.0)
    for way in ("image", "background", "dataset"):
        known = Statistics((1.0, 1.0), (0.1, 0.1)) if way == "dataset" else None
        fitted = Normalization(way, known)
        with pytest.raises(DataError, match="constant at 7"):
            brought(fitted, flat)
