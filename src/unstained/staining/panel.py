"""The virtual-staining model: named markers, and the networks that predict them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, ModelError
from ..images.atomic import atomic_dir, write_text
from ..images.saved import from_saved
from ..learning.augment import IDENTITY, Symmetry, apply_symmetry, undo_symmetry
from ..learning.checkpoints import load_tensors
from ..learning.model_file import (
    MODEL,
    WEIGHTS,
    read_model_file,
    told_as_damage,
    write_model_files,
)
from ..learning.networks import Generator, NetworkSpec, apply_whole, load_network
from .normalize import PER_IMAGE, MarkerSpec, Normalization, ReadPlanes, Statistics, normalize

if TYPE_CHECKING:
    from torch import Tensor

    from ..images.image import Array, Image
    from .normalize import Floats

__all__ = ["CARD", "Member", "Panel"]

CARD = "CARD.md"
KIND = "stains"


@dataclass(frozen=True)
class Member:
    """One network of a panel, in evaluation mode, and the markers of its outputs."""

    network: Generator = field(repr=False)
    markers: tuple[str, ...]


@dataclass(frozen=True)
class Panel:
    """Markers that can be predicted from label-free planes.

    A shared panel has one member with a head per marker; a separate one has a member per
    marker; an ensemble has several members for a marker, whose mean is the prediction. All are
    used in the same way.

    Attributes
    ----------
    markers : tuple of MarkerSpec
        In the order in which the members' outputs name them.
    members : tuple of Member
    normalization : Normalization
        Brings label-free planes to a common scale.
    symmetries : tuple of Symmetry
        Motions that the training images' optics allow; what `tta` averages over.
    pixel_size_um : float or None
        Of the training images, micrometers.
    about : mapping
        What the card tells: data, splits, settings, scores, versions. JSON values.
    parts : tuple of str
        Fingerprints of the models that it was put together from; none for a model of its own.
    """

    markers: tuple[MarkerSpec, ...]
    members: tuple[Member, ...]
    normalization: Normalization = PER_IMAGE
    symmetries: tuple[Symmetry, ...] = (IDENTITY,)
    pixel_size_um: float | None = None
    about: Mapping[str, Any] = field(default_factory=dict, repr=False)
    parts: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        names = [m.name for m in self.markers]
        produced = list(dict.fromkeys(name for m in self.members for name in m.markers))
        if names != produced:
            raise ModelError(
                f"markers {names} do not match the networks' outputs {produced}",
                "name each marker once, in the order of the outputs",
            )
        if len({m.network.spec.planes for m in self.members}) != 1:
            raise ModelError(
                "the networks take different numbers of label-free planes",
                "join models that were trained on the same planes",
            )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(m.name for m in self.markers)

    @property
    def planes(self) -> int:
        """Label-free planes that a prediction needs."""
        return self.members[0].network.spec.planes

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the weights and of all else that a prediction depends on."""
        said: list[Any] = [self.markers, self.normalization, self.pixel_size_um]
        said += [(member.network.spec, member.markers) for member in self.members]
        digest = hashlib.sha256(repr(said).encode())
        for member in self.members:
            for name, tensor in member.network.state_dict().items():
                digest.update(name.encode())
                digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @property
    def origins(self) -> tuple[str, ...]:
        """Fingerprints of the saved models that its predictions come from."""
        return self.parts or (self.fingerprint,)

    @property
    def offset(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """(M,) background of each stain, in its own units."""
        return np.array([m.offset for m in self.markers], np.float32)

    @property
    def scale(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """(M,) units of each stain per unit of network output."""
        return np.array([m.scale for m in self.markers], np.float32)

    def input_statistics(self, read_planes: ReadPlanes, shape_yx: tuple[int, int]) -> Statistics:
        """What to normalize an image with; see `Normalization.of`."""
        return self.normalization.of(read_planes, shape_yx)

    def normalize(self, planes: Array, statistics: Statistics) -> Floats:
        """(..., P, Y, X) grey values to what the networks take."""
        return normalize(planes, statistics)

    def predict_stack(self, planes: Array, *, tta: bool = False) -> dict[str, Floats]:
        """Predict equal-shaped images whole: (N, P, Y, X) grey values to {marker: (N, Y, X)}.

        For single-cell images and crops; `predict` takes images of any size tile by tile. With
        `tta`, the mean over `symmetries`.

        Raises
        ------
        InputError
            The images differ in shape, have other planes than `planes`, or there are none.
        DataError
            A plane is constant, or has no light to divide by.
        """
        shapes = sorted({np.shape(image) for image in planes})
        if len(shapes) != 1 or len(shapes[0]) != 3 or shapes[0][0] != self.planes or 0 in shapes[0]:
            raise InputError(
                f"images of shape {' and '.join(map(str, shapes)) or 'of none'}",
                f"give (N, {self.planes}, Y, X): one image or more, all of one shape",
            )
        planes = np.asarray(planes)
        every = [self._of_array(p) for p in planes]
        ready = np.stack([self.normalize(p, s) for p, s in zip(planes, every, strict=True)])
        outputs = np.zeros((len(ready), len(self.names), *ready.shape[-2:]), np.float32)
        motions = self.symmetries if tta else (IDENTITY,)
        for motion in motions:
            moved = np.ascontiguousarray(apply_symmetry(ready, motion))
            found = [apply_whole(member.network, moved) for member in self.members]
            outputs += undo_symmetry(self.combined(found, axis=1), motion)
        outputs /= len(motions)
        stains = self.offset[:, None, None] + self.scale[:, None, None] * outputs  # (N, M, Y, X)
        return {name: stains[:, i] for i, name in enumerate(self.names)}

    def combined(self, outputs: Sequence[Floats], *, axis: int) -> Floats:
        """Outputs of the members, their markers along `axis`, to the mean for each marker."""
        stacked = np.concatenate(outputs, axis=axis)
        produced = [name for member in self.members for name in member.markers]
        if len(produced) == len(self.names):
            return stacked
        weights = np.array([[n == name for n in produced] for name in self.names], np.float32)
        weights /= weights.sum(axis=1, keepdims=True)
        mean: Floats = np.moveaxis(np.tensordot(weights, stacked, (1, axis)), 0, axis)
        return mean

    def _of_array(self, planes: Array) -> Statistics:
        return self.input_statistics(lambda y, x: planes[:, y, x], planes.shape[-2:])

    def predict(self, image: Image | Array, **options: Any) -> Image:
        """Predict all markers; see `staining.predict` and its `PredictOptions`."""
        from .prediction import predict
        from .predictor import PredictOptions

        return predict(self, image, PredictOptions(**options))

    def of_markers(self, names: Sequence[str]) -> Panel:
        """Only the members that predict these markers, each whole.

        Raises
        ------
        InputError
            No marker is named, or one that the panel does not predict.
        """
        if not names:
            raise InputError("no marker is named", f"choose from {', '.join(self.names)}")
        unknown = [n for n in names if n not in self.names]
        if unknown:
            raise InputError(
                f"the model does not predict {', '.join(unknown)}",
                f"it predicts {', '.join(self.names)}",
            )
        members = tuple(m for m in self.members if set(m.markers) & set(names))
        kept = [name for member in members for name in member.markers]
        return replace(
            self,
            members=members,
            markers=tuple(m for m in self.markers if m.name in kept),
            parts=self.origins,
        )

    @staticmethod
    def join(panels: Sequence[Panel]) -> Panel:
        """Put the markers of several panels together, as the paper's composite does.

        Raises
        ------
        InputError
            There is none.
        ModelError
            They share a marker, or differ in planes, normalization or pixel size.
        """
        if not panels:
            raise InputError("there are no models to join", "give one or more")
        first = panels[0]
        names = [name for panel in panels for name in panel.names]
        if len(set(names)) < len(names):
            raise ModelError(
                f"two models predict {', '.join(sorted({n for n in names if names.count(n) > 1}))}",
                "predict with one of them at a time",
            )
        for other in panels[1:]:
            ours, theirs = ((panel.normalization, panel.pixel_size_um) for panel in (first, other))
            if ours != theirs:
                raise ModelError(
                    f"models of {', '.join(first.names)} and {', '.join(other.names)} differ in "
                    "normalization or pixel size",
                    "predict with one model at a time, or train them together",
                )
        common = set.intersection(*(set(p.symmetries) for p in panels))
        return replace(
            first,
            markers=tuple(m for p in panels for m in p.markers),
            members=tuple(m for p in panels for m in p.members),
            symmetries=tuple(s for s in first.symmetries if s in common),
            about={"joined": [dict(p.about) for p in panels]} if len(panels) > 1 else first.about,
            parts=tuple(name for p in panels for name in p.origins),
        )

    def save(self, folder: str | Path, *, card: str | None = None, replace: bool = False) -> None:
        """Write ``model.safetensors``, ``model.json`` and ``CARD.md``; the folder appears whole.

        Parameters
        ----------
        folder : path
        card : str, optional
            Text of the card; not given, it is made of `about`, as after training.
        replace : bool
            Whether an existing folder of that name is replaced.

        Raises
        ------
        FileError
            The folder exists or cannot be written.
        """
        from .card import write_card

        with atomic_dir(folder, replace=replace) as temporary:
            self.write_into(temporary, card=write_card(self) if card is None else card)

    def write_into(self, folder: Path, *, card: str = "") -> None:
        """Write the files into an existing folder; ``model.json``, by which it is a model, last."""
        tensors = {
            f"members/{i}/{name}": tensor
            for i, member in enumerate(self.members)
            for name, tensor in member.network.state_dict().items()
        }
        write_text(folder / CARD, card)
        write_model_files(folder, KIND, tensors, self._as_json())

    def _as_json(self) -> dict[str, Any]:
        return {
            "markers": [asdict(m) for m in self.markers],
            "members": [
                {"network": m.network.spec.as_dict(), "markers": list(m.markers)}
                for m in self.members
            ],
            "normalization": asdict(self.normalization),
            "symmetries": [list(s) for s in self.symmetries],
            "pixel_size_um": self.pixel_size_um,
            "about": dict(self.about),
        }

    @classmethod
    def load(cls, folder: str | Path) -> Panel:
        """Read a model folder.

        Raises
        ------
        FileError, ModelError
            The folder is no model, is unfinished, damaged, or of a newer version.
        """
        folder = Path(folder)
        said = read_model_file(folder, KIND)
        with told_as_damage(folder):
            markers = from_saved(tuple[MarkerSpec, ...], said["markers"], "markers")
            normalization = from_saved(Normalization, said["normalization"], "normalization")
            symmetries = tuple(
                Symmetry(*from_saved(tuple[bool, ...], s, "symmetry")) for s in said["symmetries"]
            )
            pixel_size_um = from_saved(float | None, said["pixel_size_um"], "pixel_size_um")
            if pixel_size_um is not None and not pixel_size_um > 0:
                raise ValueError(f"pixel_size_um is {pixel_size_um:g}")
            about = _checked_about(said["about"])
            tensors, _ = load_tensors(folder / WEIGHTS)
            members = tuple(
                Member(
                    load_network(
                        NetworkSpec.from_saved(member["network"]),
                        _below(f"members/{i}/", tensors),
                        folder / WEIGHTS,
                    ),
                    from_saved(tuple[str, ...], member["markers"], "markers of a member"),
                )
                for i, member in enumerate(said["members"])
            )
        try:
            return cls(
                markers=markers,
                members=members,
                normalization=normalization,
                symmetries=symmetries,
                pixel_size_um=pixel_size_um,
                about=about,
            )
        except ModelError as error:
            raise ModelError(error.reason, error.remedy, file=folder / MODEL) from error


_NOTED: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("data", "settings", "versions", "scores"), dict),
    "members": list,
    "seconds": (int, float),
}
"""Notes that the card and the splits of a score are made of; a model may lack them."""


def _checked_about(about: Any) -> dict[str, Any]:
    """TypeError where a note is of another kind than what training writes."""
    if not isinstance(about, dict):
        raise TypeError(f"about is {about!r}")
    kinds = {f"about.{name}": (about[name], kind) for name, kind in _NOTED.items() if name in about}
    for name, (value, kind) in kinds.items():
        if not isinstance(value, kind):
            raise TypeError(f"{name} is {value!r}")
    groups = about.get("data", {}).get("groups", {})
    if not isinstance(groups, dict) or not all(
        isinstance(names, list) for names in groups.values()
    ):
        raise TypeError(f"about.data.groups is {groups!r}")
    return about


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def remove_training(folder: Path) -> None:
    """Drop what only a resume needs (checkpoints, members, mapped fields); histories stay."""
    for name in ("checkpoint.safetensors", "best.safetensors"):
        for path in folder.rglob(name):
            path.unlink()
    for name in ("cache", "member"):
        for path in list(folder.glob(f"*/{name}")):
            shutil.rmtree(path, ignore_errors=True)
