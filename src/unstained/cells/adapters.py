"""Third-party segmenters, where they are installed: functions from image to labels.

Written against Cellpose 4.2.1, StarDist 0.9.2 and InstanSeg 0.1.2 (``instanseg-torch``). Their
weights are downloaded by themselves when first used, under licenses of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import DataError, InputError, MissingExtra, ModelError, NetworkError
from ..images.image import Array, LazyArray
from .normalize import Limits, measure_limits

__all__ = ["ADAPTERS", "PACKAGES", "Segmenter", "cellpose", "instanseg", "stardist"]


@dataclass(frozen=True)
class Segmenter:
    """A third-party segmenter as a function from image to labels.

    Each of them scales grey values so that two percentiles become 0 and 1. That is done here in
    its place, so that all tiles of an image are scaled by the percentiles of the whole.

    Attributes
    ----------
    percentiles : (float, float)
        Its own.
    of_scaled : callable
        (Y, X) float32 image of that scale, and the micrometers of its pixels or None, to (Y, X)
        int32 labels.
    """

    percentiles: tuple[float, float]
    of_scaled: Callable[[Array, float | None], Array]

    def limits(self, image: LazyArray) -> Limits:
        """What becomes 0 and 1, of a whole image."""
        return measure_limits(image, self.percentiles)

    def __call__(
        self, image: Array, pixel_size_um: float | None, limits: Limits | None = None
    ) -> Array:
        """(Y, X) int32 labels of a (Y, X) image, none where the limits are equal.

        `limits` are to be given for tiles of an image, with those of the whole.
        """
        low, high = self.limits(image) if limits is None else limits
        if not high > low:
            return np.zeros(image.shape, np.int32)
        return self.of_scaled(((image.astype(np.float32) - low) / (high - low)), pixel_size_um)


def cellpose(
    model: str = "cpsam_v2", *, device: str = "auto", diameter_um: float | None = None
) -> Segmenter:
    """Cellpose-SAM [1]_ as a function from image to labels.

    Parameters
    ----------
    model : str
        Name of a model, or path to weights.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    diameter_um : float, optional
        Of the cells: the image is scaled so that they have 30 px, Cellpose's own. Not given:
        the image as it is.

    Raises
    ------
    MissingExtra
        Cellpose is not installed.
    ModelError
        There is no such model.
    NetworkError
        Its weights are not here and cannot be downloaded.
    InputError
        The device is not there; when called, a diameter and no pixel size.

    References
    ----------
    .. [1] Pachitariu, Rariden, Stringer (2025), bioRxiv. doi:10.1101/2025.04.28.651001
    """
    models = _imported("cellpose.models", "Cellpose", "pip install cellpose")
    known = [*models.MODEL_NAMES, *models.get_user_models()]
    if model not in known and not Path(model).exists():  # else it would take its default
        raise ModelError(
            f"Cellpose has no model {model!r}", f"choose {', '.join(known)}, or a file of weights"
        )
    chosen = _device(device)
    network = _loaded(
        "Cellpose",
        lambda: models.CellposeModel(
            gpu=chosen.type != "cpu", pretrained_model=model, device=chosen
        ),
    )

    def segment(image: Array, pixel_size_um: float | None) -> Array:
        diameter_px = None
        if diameter_um is not None:
            if pixel_size_um is None:
                raise InputError(
                    f"a diameter of {diameter_um} um and an unknown pixel size",
                    "give the pixel size too",
                )
            diameter_px = diameter_um / pixel_size_um
        masks = network.eval(image, diameter=diameter_px, normalize=False)[0]
        return _labels(masks, image)

    return Segmenter((1, 99), segment)


def stardist(model: str = "2D_versatile_fluo", *, device: str = "auto") -> Segmenter:
    """StarDist [1]_ as a function from image to labels; made for nuclei and other round cells.

    Parameters
    ----------
    model : str
        Name of a model that StarDist offers, or folder of one that was trained with it.
    device : str
        ``auto`` or ``cpu``: TensorFlow, on which StarDist runs, chooses by itself.

    Raises
    ------
    MissingExtra
        StarDist or TensorFlow is not installed.
    InputError
        Another device.
    ModelError
        There is no such model.
    NetworkError
        Its weights are not here and cannot be downloaded.

    References
    ----------
    .. [1] Schmidt et al. (2018), MICCAI. doi:10.1007/978-3-030-00934-2_30
    """
    if device not in ("auto", "cpu"):
        raise InputError(
            f"device {device!r} for StarDist",
            "TensorFlow chooses by itself: leave --device auto, and hide GPUs with "
            "CUDA_VISIBLE_DEVICES",
        )
    models = _imported("stardist.models", "StarDist", "pip install stardist tensorflow")
    if device == "cpu":
        tensorflow = _imported("tensorflow", "StarDist", "pip install stardist tensorflow")
        tensorflow.config.set_visible_devices([], "GPU")
    folder = Path(model)
    if (folder / "config.json").is_file():
        network = _loaded(
            "StarDist",
            lambda: models.StarDist2D(None, name=folder.name, basedir=str(folder.parent)),
        )
    else:
        network = _loaded("StarDist", lambda: models.StarDist2D.from_pretrained(model))
    if network is None:  # it prints the names and returns nothing
        raise ModelError(
            f"StarDist has no model {model!r}", "choose one that it lists above, or a folder"
        )

    def segment(image: Array, pixel_size_um: float | None) -> Array:
        return _labels(network.predict_instances(image, axes="YX")[0], image)

    return Segmenter((1, 99.8), segment)


def instanseg(model: str = "fluorescence_nuclei_and_cells", *, device: str = "auto") -> Segmenter:
    """InstanSeg [1]_ as a function from image to labels of whole cells.

    Parameters
    ----------
    model : str
        Name of a model that InstanSeg offers, or folder with the ``instanseg.pt`` that it exported;
        for images of one channel.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises
    ------
    MissingExtra
        InstanSeg is not installed.
    NetworkError
        Its weights are not here and cannot be downloaded.
    InputError
        The device is not there.

    References
    ----------
    .. [1] Goldsborough et al. (2024), arXiv:2408.15954
    """
    package = _imported("instanseg", "InstanSeg", "pip install instanseg-torch")
    chosen = str(_device(device))
    if (Path(model) / "instanseg.pt").is_file():
        model = str(Path(model).resolve())  # it looks for others below a folder of its own
    network = _loaded("InstanSeg", lambda: package.InstanSeg(model, device=chosen, verbosity=0))

    def segment(image: Array, pixel_size_um: float | None) -> Array:
        output = network.eval_small_image(
            image,
            pixel_size=pixel_size_um,
            normalise=False,
            return_image_tensor=False,
            target="cells",
        )
        # (1, 1, Y, X) tensor -> (Y, X)
        return _labels(np.asarray(output.cpu()).reshape(output.shape[-2:]), image)

    return Segmenter((0.1, 99.9), segment)


ADAPTERS: dict[str, Callable[..., Segmenter]] = {
    "cellpose": cellpose,
    "stardist": stardist,
    "instanseg": instanseg,
}
"""By the name that the command line takes."""

PACKAGES = {"cellpose": "cellpose", "stardist": "stardist", "instanseg": "instanseg-torch"}
"""The distributions that they come in."""


def _imported(module: str, name: str, remedy: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtra(f"{name} is not installed ({error})", remedy) from error


def _loaded(name: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except Exception as error:
        # Keras, by which StarDist downloads, raises a plain Exception
        if not isinstance(error, OSError) and type(error) is not Exception:
            raise
        raise NetworkError(
            f"the weights of {name} could not be loaded or downloaded ({error})",
            "run it once where there is a network, or copy its folder of weights",
        ) from error


def _device(name: str) -> Any:
    from ..learning.devices import choose_device

    return choose_device(name)


def _labels(found: Array, image: Array) -> Array:
    labels = np.asarray(found)
    if labels.shape != image.shape:
        raise DataError(
            f"the segmenter gave {labels.shape} labels for an image of {image.shape}",
            "use the version that this was written for, see unstained.cells.adapters",
        )
    return labels.astype(np.int32)
