"""A trained segmentation: a folder with its network, its thresholds and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import FileError, InputError, ModelError
from ..images.atomic import atomic_dir
from ..images.saved import from_saved
from ..images.tiles import read_reflected, tiles
from ..learning.augment import ALL_MOTIONS, Symmetry, apply_symmetry, undo_symmetry
from ..learning.checkpoints import load_tensors
from ..learning.devices import choose_device
from ..learning.engines import Engine, make_engine
from ..learning.model_file import MODEL, WEIGHTS, read_model_file, told_as_damage, write_model_files
from ..learning.networks import Generator, NetworkSpec, load_network
from .normalize import Statistics, measure_statistics, normalize
from .partition import PartitionSettings, partition
from .release import opened_release
from .targets import HEIGHT, INTERIOR, NUCLEI, NUCLEUS, maps_of_outputs

__all__ = ["CellModel", "CellsAndNuclei"]

KIND = "cells"

_TILE = 1024
_ALIKE = 0.05  # pixel sizes that differ by less count as equal

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]


class CellsAndNuclei(NamedTuple):
    """Labels (Y, X) int32 of one image.

    `nuclei` has the number of the cell that a nucleus lies in; None where the model was not
    taught nuclei.
    """

    labels: Labels
    nuclei: Labels | None


@dataclass(frozen=True, eq=False)
class CellModel:
    """Outlines cells in label-free images.

    Attributes
    ----------
    network : Generator
        One plane in; the maps of `targets` out.
    cuts : PartitionSettings
    views : int
        Mirrored and turned views whose maps are averaged: 1, 2, 4 or 8.
    cell_px : int
        Longest side of a cell that it was trained on (99th percentile), pixels.
    pixel_size_um : float or None
        Of the training images; None where they do not tell.
    about : mapping
        Data, groups, settings, scores: what ``model.json`` tells.
    device : str
        Where the network runs.
    """

    network: Generator = field(repr=False)
    cuts: PartitionSettings
    views: int
    cell_px: int
    pixel_size_um: float | None = None
    about: Mapping[str, Any] = field(default_factory=dict, repr=False)
    device: str = "cpu"

    @property
    def map_names(self) -> tuple[str, ...]:
        """Names of the maps: interior, height and, if taught, nuclei."""
        return ("interior", "height", "nuclei")[: self.network.spec.outputs]

    def halo_px(self, pixel_size_um: float | None = None) -> int:
        """Halo for `tiling.label_tiles` with which tiles give what the whole image gives.

        A pixel's label depends on the maps of its cell, these on the image as far as the
        network sees; `label_tiles` needs an eighth more. In pixels of the image, of a size as
        for `segment`.
        """
        reach = self.network.halo + 3 * round(self.cuts.smooth_px)
        return int(np.ceil((reach + self.cell_px) * 8 / 7 / self._zoom(pixel_size_um)))

    @cached_property
    def _engine(self) -> Engine:
        # float32: bf16 rounds otherwise in tiles of another shape
        precision = "float32" if self.device == "cpu" else "auto"
        return make_engine(self.network, engine="torch", precision=precision, device=self.device)

    def maps(
        self, image: NDArray[Any], statistics: Statistics | None = None, *, tile: int = _TILE
    ) -> Floats:
        """Maps of an image of the model's own pixel size.

        Parameters
        ----------
        image : (Y, X) array
            Grey values as they come.
        statistics : Statistics, optional
            Of the image that this is a part of; measured here where not given.
        tile : int
            Side of the parts that the network takes, pixels; the result does not depend on it.

        Returns
        -------
        (K, Y, X) float32 array
            As `map_names`: probability of interior, height (0 to 1), probability of nucleus.

        Raises
        ------
        InputError
            No (Y, X) image.
        DataError
            The image is constant or not finite.
        """
        image = _plane(image)
        grey = normalize(image, statistics or measure_statistics(image))
        out = np.empty((len(self.map_names), *grey.shape), np.float32)
        network = self.network
        for part in tiles(grey.shape, tile=tile, halo=network.halo, stride=network.stride):
            seen = read_reflected(lambda y, x: grey[y, x], part.outer, grey.shape)
            maps = np.mean([self._view(seen, motion) for motion in _motions(self.views)], axis=0)
            out[:, *part.paste] = maps[:, *part.inner]
        return out

    def _view(self, seen: Floats, motion: Symmetry) -> Floats:
        moved = np.ascontiguousarray(apply_symmetry(seen[None, None], motion))  # (1, 1, Y, X)
        return undo_symmetry(maps_of_outputs(self._engine(moved)[0]), motion)

    def segment(
        self,
        image: NDArray[Any],
        pixel_size_um: float | None = None,
        statistics: Statistics | None = None,
    ) -> Labels:
        """Label the cells of an image.

        Parameters
        ----------
        image : (Y, X) array
            Grey values as they come.
        pixel_size_um : float, optional
            Where given and known to the model, the image is resampled to the model's pixels
            first (if they differ by more than 5 %) and the labels are taken back.
        statistics : Statistics, optional
            As for `maps`. To be given for tiles of an image, with those of the whole.

        Returns
        -------
        (Y, X) int32 array
            0 is background, cells are 1, 2, ...

        Raises
        ------
        InputError, DataError
            As `maps`.
        """
        return self.segment_both(image, pixel_size_um, statistics).labels

    def segment_both(
        self,
        image: NDArray[Any],
        pixel_size_um: float | None = None,
        statistics: Statistics | None = None,
    ) -> CellsAndNuclei:
        """Label cells, and nuclei where the model was taught them; arguments as for `segment`."""
        image = _plane(image)
        shape = image.shape
        statistics = statistics or measure_statistics(image)
        scaled = _resampled(image, self._zoom(pixel_size_um))
        maps = self.maps(scaled, statistics)
        labels = partition(maps[INTERIOR], maps[HEIGHT], self.cuts)
        nuclei = None
        if len(maps) > NUCLEI:
            nuclei = _nearest(np.where(maps[NUCLEI] >= NUCLEUS, labels, 0), shape)
        return CellsAndNuclei(_nearest(labels, shape), nuclei)

    def _zoom(self, pixel_size_um: float | None) -> float:
        """Model pixels for each pixel of an image; 1 where sizes are alike or not known."""
        if pixel_size_um is None or self.pixel_size_um is None:
            return 1.0
        if not 0 < pixel_size_um < np.inf:
            raise InputError(f"a pixel size of {pixel_size_um} um", "give micrometers above 0")
        zoom = pixel_size_um / self.pixel_size_um
        return 1.0 if abs(zoom - 1) < _ALIKE else zoom

    def save(self, folder: str | Path, *, replace: bool = False) -> None:
        """Write the model folder in one step.

        Raises
        ------
        FileError
            It exists already (without `replace`) or cannot be written.
        """
        with atomic_dir(folder, replace=replace) as temporary:
            self.write_into(temporary)

    def write_into(self, folder: Path) -> None:
        """Both files, ``model.json`` last."""
        said = {
            "maps": self.map_names,
            "network": self.network.spec.as_dict(),
            "cuts": self.cuts._asdict(),
            "views": self.views,
            "cell_px": self.cell_px,
            "pixel_size_um": self.pixel_size_um,
            "about": dict(self.about),
        }
        write_model_files(folder, KIND, self.network.state_dict(), said)

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "auto") -> CellModel:
        """Read what `save` wrote, or a release (``.zip``) of it.

        Parameters
        ----------
        folder : path
        device : str
            Where it is to run: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...

        Raises
        ------
        InputError
            The device is not there.
        FileError, ModelError
            The folder is no segmentation, is unfinished, damaged, or of a newer version.
        """
        folder = Path(folder)
        if folder.suffix == ".zip" and folder.is_file():
            return cls._of_release(folder, device)
        said = read_model_file(folder, KIND)
        with told_as_damage(folder):
            spec = NetworkSpec.from_saved(said["network"])
            cuts = from_saved(PartitionSettings, said["cuts"], "cuts")
            rest = {
                "views": from_saved(int, said["views"], "views"),
                "cell_px": from_saved(int, said["cell_px"], "cell_px"),
                "pixel_size_um": from_saved(float | None, said["pixel_size_um"], "pixel_size_um"),
                "about": dict(said["about"]),
            }
            _ = _motions(rest["views"])  # refuses 3
            network = load_network(spec, load_tensors(folder / WEIGHTS)[0], folder / WEIGHTS)
        return cls(network, cuts, **rest, device=str(choose_device(device)))

    @classmethod
    def _of_release(cls, file: Path, device: str) -> CellModel:
        with opened_release(file, (MODEL, WEIGHTS)) as folder:
            try:
                return cls.load(folder, device=device)
            except (FileError, ModelError) as error:  # the temporary folder is gone when it is read
                raise type(error)(error.reason, error.remedy, file=file) from error


def _plane(image: NDArray[Any]) -> NDArray[Any]:
    image = np.asarray(image)
    if image.ndim != 2 or 0 in image.shape:
        raise InputError(f"an image of shape {image.shape}", "give one (Y, X) plane")
    return image


def _motions(views: int) -> tuple[Symmetry, ...]:
    """Identity, mirror in X, both mirrors, all eight motions: any one of them maps on the rest."""
    mirrored = tuple(m for m in ALL_MOTIONS if not m.transpose)
    return {1: mirrored[:1], 2: mirrored[:2], 4: mirrored, 8: ALL_MOTIONS}[views]


def _resampled(image: NDArray[Any], zoom: float) -> NDArray[Any]:
    if zoom == 1:
        return image
    height, width = (max(1, round(n * zoom)) for n in image.shape)
    way = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    return cv2.resize(image.astype(np.float32), (width, height), interpolation=way)


def _nearest(labels: Labels, shape: tuple[int, ...]) -> Labels:
    """Labels of the nearest pixel's center, in an image of another size."""
    if labels.shape == shape:
        return labels
    y, x = (
        ((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(shape, labels.shape, strict=True)
    )
    return labels[np.ix_(y, x)]
