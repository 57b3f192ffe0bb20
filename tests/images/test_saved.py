"""What JSON says becomes what was written, or is refused by name."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import pytest

from unstained.images.saved import from_saved


class Cuts(NamedTuple):
    height: float = 0.5
    area_px: int = 30


@dataclass(frozen=True)
class Network:
    name: str
    smooth: bool
    scale: tuple[float, ...]
    cuts: Cuts
    pixel_size_um: float | None = None


SOUND = Network("unet", True, (1.0, 2.5), Cuts(0.25, 12), None)


def _json() -> dict[str, Any]:
    whole = asdict(SOUND) | {"cuts": SOUND.cuts._asdict()}
    return dict(json.loads(json.dumps(whole)))


def test_what_was_written_comes_back_with_its_types() -> None:
    assert from_saved(Network, _json(), "network") == SOUND
    assert from_saved(Network, _json() | {"pixel_size_um": 1}, "network").pixel_size_um == 1.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": 3}, "network.name is 3, not text"),
        ({"smooth": 1}, "network.smooth is 1, not true or false"),
        ({"scale": [1.0, "2"]}, r"network.scale\[1\] is '2', not a finite number"),
        ({"scale": 1.0}, "network.scale is 1.0, not a list"),
        ({"cuts": {"area_px": 1.5}}, "network.cuts.area_px is 1.5, not a whole number"),
        ({"cuts": [1]}, r"network.cuts is \[1\], not a mapping"),
        ({"pixel_size_um": float("nan")}, "network.pixel_size_um is nan, not a finite number"),
        ({"pixel_size_um": 10**400}, "network.pixel_size_um is 1000.*, not a finite number"),
        ({"depth": 1}, "unexpected keyword argument 'depth'"),
    ],
)
def test_another_type_is_named_with_its_place(change: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        from_saved(Network, _json() | change, "network")
