"""How totals were measured: what two tables must share before numbers of one serve the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from ..images.saved import from_saved
from .measure import MeasureSettings

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["Measuring", "check_measuring", "measuring_of"]

_SAME_PIXEL = 0.01  # by which sizes may differ: totals, sums over pixels, then differ by 2 %


@dataclass(frozen=True)
class Measuring:
    """What the size of a total depends on beside the cell.

    Attributes
    ----------
    background : str
        As in `MeasureSettings`.
    gap_um, ring_um : float
        As there; they matter where the background is looked for.
    pixel_sizes_um : tuple of float
        Of the images, each once, ascending.
    """

    background: str
    gap_um: float
    ring_um: float
    pixel_sizes_um: tuple[float, ...]

    @classmethod
    def by(cls, settings: MeasureSettings, pixel_sizes_um: Iterable[float]) -> Measuring:
        """Of settings and the pixel sizes of images."""
        sizes = tuple(sorted({float(size) for size in pixel_sizes_um}))
        return cls(settings.background, settings.gap_um, settings.ring_um, sizes)

    @classmethod
    def from_json(cls, saved: Mapping[str, Any] | None) -> Measuring | None:
        """What `to_json` gave; None from files that do not say it.

        Raises
        ------
        TypeError
            It is something else.
        """
        measuring: Measuring | None = from_saved(cls | None, saved, "measured")
        return measuring

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def same_background(self, other: Measuring) -> bool:
        """Whether the same is subtracted from every pixel."""
        return self._subtracted() == other._subtracted()

    def same_pixels(self, other: Measuring) -> bool:
        """Whether each size of the other is one of these, within 1 %."""
        return all(
            any(np.isclose(size, known, rtol=_SAME_PIXEL, atol=0) for known in self.pixel_sizes_um)
            for size in other.pixel_sizes_um
        )

    def said(self) -> str:
        """For people."""
        reach = self._subtracted()[1:]
        more = f" ({', '.join(f'{value:g} um' for value in reach)})" if reach else ""
        sizes = ", ".join(f"{size:g}" for size in self.pixel_sizes_um)
        return f"background {self.background}{more}, pixels of {sizes} um"

    def _subtracted(self) -> tuple[str | float, ...]:
        """The level, or how it is looked for and within which distances."""
        level = MeasureSettings(self.background).level
        if level is not None:  # "none" is 0, and "100" is "100.0"
            return (level,)
        reach = (self.gap_um, self.ring_um) if self.background == "ring" else (self.gap_um,)
        return (self.background, *reach)


def measuring_of(cells: AnnData) -> Measuring | None:
    """How a table was measured; None where it does not say, as one made elsewhere."""
    about = cells.uns.get("unstained", {})
    if "settings" not in about or "sources" not in about:
        return None
    how = about["settings"]
    settings = MeasureSettings(str(how["background"]), float(how["gap_um"]), float(how["ring_um"]))
    return Measuring.by(settings, about["sources"]["pixel_size_um"])


def check_measuring(
    then: Measuring | None, now: Measuring | None, what: str, *, pixels: bool = True
) -> tuple[str, ...]:
    """Refuse numbers that were learned from cells that were measured in another way.

    Parameters
    ----------
    then, now : Measuring or None
        Of the cells that gave the numbers, and of those that they are to serve.
    what : str
        The numbers, such as "the bands".
    pixels : bool
        Whether the size of pixels matters, as for sums over them.

    Returns
    -------
    tuple of str
        A note where either is not known, so that nothing could be compared.

    Raises
    ------
    DataError
        Background or pixel size differ.
    """
    if then is None or now is None:
        return (f"how the cells behind {what} were measured is not known: it was not compared",)
    if not then.same_background(now) or (pixels and not then.same_pixels(now)):
        raise DataError(
            f"{what} were made of cells measured with {then.said()}; these have {now.said()}",
            "measure both in the same way (--background); images of another pixel size need "
            "their own: unstained cells agree",
        )
    return ()
