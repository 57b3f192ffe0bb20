"""The networks of a panel, each in an engine that runs it, and what they predict together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from ..images.image import Array
from ..learning.augment import Symmetry, apply_symmetry, undo_symmetry
from ..learning.engines import TOLERANCE, Engine, difference, make_engine

if TYPE_CHECKING:
    from .panel import Panel

__all__ = ["MemberEngines"]


class MemberEngines:
    """The mean prediction of a panel's networks over symmetries, by engines that are made once.

    Parameters
    ----------
    panel : Panel
    engine, precision, device : str
        See `learning.engines.make_engine`.
    symmetries : sequence
        Motions that predictions are averaged over.
    """

    def __init__(
        self,
        panel: Panel,
        *,
        engine: str,
        precision: str,
        device: str,
        symmetries: Sequence[Symmetry],
    ) -> None:
        self._panel, self._symmetries = panel, symmetries
        self._precision, self._device = precision, device
        # int8 has one engine: nothing to choose
        self._wanted = "openvino-int8" if (engine, precision) == ("auto", "int8") else engine
        self._engines: list[Engine] = []
        self._chosen = self._wanted != "auto"

    @property
    def made(self) -> bool:
        return bool(self._engines)

    @property
    def name(self) -> str:
        return self._engines[0].name

    @property
    def precisions(self) -> tuple[str, ...]:
        """Of each network's engine."""
        return tuple(engine.precision for engine in self._engines)

    @property
    def calibrated(self) -> bool:
        """Whether `make` needs pieces of the image: int8 does."""
        return "int8" in (self._precision, self._wanted.rpartition("-")[2])

    @property
    def open_to_choice(self) -> bool:
        """Whether any engine will do, and they have not been compared yet."""
        return not self._chosen

    def make(self, samples: Sequence[Array]) -> None:
        """Make the engines that are asked for; torch where any will do.

        Parameters
        ----------
        samples : sequence of (1, P, Y, X) float32 arrays
            Normalized pieces of the image, for int8.
        """
        self._make("torch" if self.open_to_choice else self._wanted, samples)

    def choose_fastest(self, sample: Array) -> None:
        """Compare all engines on (1, P, Y, X) normalized planes, and go on with the fastest."""
        self._chosen = True
        self._make("auto", [sample])

    def __call__(self, batch: Array) -> Array:
        """(1, P, Y, X) normalized planes to (M, Y, X) normalized stains of all members."""
        stains = np.zeros((len(self._panel.markers), *batch.shape[-2:]), np.float32)
        for symmetry in self._symmetries:
            moved = np.ascontiguousarray(apply_symmetry(batch, symmetry))
            outputs = [engine(moved)[0] for engine in self._engines]
            stains += undo_symmetry(self._panel.combined(outputs, axis=0), symmetry)
        stains /= len(self._symmetries)
        return stains

    def seconds(self, piece: Array, pixels: int) -> float:
        """Time for so many pixels, from that of one piece after a first run."""
        self(piece)
        start = time.perf_counter()
        self(piece)
        taken = time.perf_counter() - start
        return taken * pixels / int(np.prod(piece.shape[-2:]))

    def _make(self, name: str, samples: Sequence[Array]) -> None:
        """Engines of all members: the one chosen on the first serves the others, if it may."""
        networks = [member.network for member in self._panel.members]
        precision, device = self._precision, self._device
        first = make_engine(
            networks[0], engine=name, precision=precision, device=device, calibration=samples
        )
        engines = [first]
        for network in networks[1:]:
            engine = make_engine(
                network, engine=first.name, precision=precision, device=device, calibration=samples
            )
            if name == "auto" and not _same(engine, network, samples[0]):
                engine = make_engine(network, engine="torch", precision="float32", device=device)
            engines.append(engine)
        self._engines = engines


def _same(engine: Engine, network: nn.Module, sample: Array) -> bool:
    reference = make_engine(network, engine="torch", precision="float32")
    return difference(engine(sample), reference(sample)) <= TOLERANCE[engine.precision]
