"""Settings: changes that come as text, and ranges."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, is_dataclass
from typing import get_args, get_origin, get_type_hints

import numpy as np
import pytest

from unstained import cells, colonies, dynamics, heterogeneity, images, simulate, staining
from unstained.errors import InputError
from unstained.settings import changed_settings, check_settings


@dataclass(frozen=True)
class Some:
    network: str = "unet"
    steps: int = 10
    rate: float = 0.1
    mirror: bool = True


def test_text_is_read_as_the_setting_s_own_type():
    changes = {"steps": "20", "rate": "1e-3", "mirror": "no"}
    assert changed_settings(Some(), changes) == Some("unet", 20, 1e-3, False)


def test_the_type_is_that_of_the_default_and_not_of_the_value_before():
    assert changed_settings(Some(rate=1), {"rate": "0.5", "steps": 20.0}) == Some(
        rate=0.5, steps=20
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"step": 1}, "'step' is not known; known: network, steps, rate, mirror"),
        ({"steps": "1.5"}, "steps is '1.5'; give a whole number"),
        ({"steps": 250.9}, "steps is 250.9; give a whole number"),
        ({"steps": float("inf")}, "steps is inf; give a whole number"),
        ({"steps": None}, "steps is None; give a whole number"),
        ({"steps": True}, "steps is True; give a whole number"),
        ({"rate": "much"}, "rate is 'much'; give a number"),
        ({"rate": [1]}, r"rate is \[1\]; give a number"),
        ({"network": None}, "network is None; give text"),
        ({"mirror": "perhaps"}, "mirror is 'perhaps'; give true or false"),
        ({"mirror": 0.5}, "mirror is 0.5; give true or false"),
    ],
)
def test_changes_that_cannot_be_are_refused(changes, said):
    with pytest.raises(InputError, match=said):
        changed_settings(Some(), changes)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Some(network="resnet"), "network is 'resnet'; choose compact, unet"),
        (Some(steps=0), "steps is 0; give 1 or more"),
        (Some(rate=1.0), "rate is 1.0; give 0 to below 1"),
        (Some(rate=-0.1), "rate is -0.1; give 0 or more"),
        (Some(rate=float("nan")), "rate is nan; give a finite number"),
    ],
)
def test_values_out_of_range_are_refused(settings, said):
    ranges = {"least": {"steps": 1}, "below_one": ("rate",)}
    check_settings(Some(), {"network": ("compact", "unet")}, **ranges)
    with pytest.raises(InputError, match=said):
        check_settings(settings, {"network": ("compact", "unet")}, **ranges)


@pytest.mark.parametrize(
    "settings",
    [Some(steps=np.int64(0)), Some(rate=np.float32(-1)), Some(rate=np.float32("nan"))],
)
def test_numbers_of_numpy_have_the_same_range(settings):
    with pytest.raises(InputError, match=r"give (1 or more|0 or more|a finite number)"):
        check_settings(settings, {}, least={"steps": 1})


def test_a_share_may_be_1_and_not_more():
    check_settings(Some(rate=1.0), {}, least={}, shares=("rate",))
    with pytest.raises(InputError, match="give 0 to 1"):
        check_settings(Some(rate=1.1), {}, least={}, shares=("rate",))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Some(steps="30"), "steps is '30'; give a whole number"),
        (Some(steps=30.0), "steps is 30.0; give a whole number"),
        (Some(rate="0.1"), "rate is '0.1'; give a number"),
        (Some(mirror="no"), "mirror is 'no'; give true or false"),
        (Some(network=5), "network is 5; give text"),
    ],
)
def test_values_of_another_type_are_refused_where_nothing_reads_text(settings, said):
    check_settings(Some(rate=1, steps=np.int64(3)), {}, least={})
    with pytest.raises(InputError, match=said):
        check_settings(settings, {}, least={})


def test_a_setting_may_have_to_be_above_0():
    check_settings(Some(rate=1e-9), positive=("rate",))
    with pytest.raises(InputError, match=r"rate is 0\.0; give a number above 0"):
        check_settings(Some(rate=0.0), positive=("rate",))


@pytest.mark.parametrize(("value", "most"), [(1.5, "at most 1"), (1.0, "and below 1")])
def test_a_share_that_must_be_above_0_is_not_offered_0(value, most):
    shares, below_one = (["rate"], []) if value > 1 else ([], ["rate"])
    with pytest.raises(InputError, match=f"give above 0,? {most}"):
        check_settings(Some(rate=value), positive=["rate"], shares=shares, below_one=below_one)


def test_what_numpy_calls_true_is_as_good_as_true():
    chosen = heterogeneity.Choice(keep_border=np.bool_(True))
    assert chosen == heterogeneity.Choice(keep_border=True)
    with pytest.raises(InputError, match=r"steps is .*; give a whole number"):
        check_settings(Some(steps=np.bool_(True)))


def test_true_is_no_number():
    with pytest.raises(InputError, match="steps is True; give a whole number"):
        check_settings(Some(steps=True))


def test_a_setting_that_may_be_none_is_checked_where_it_is_not():
    @dataclass(frozen=True)
    class Free:
        tile: int | None = None
        parts: Sequence[str] = ()

    check_settings(Free(), least={"tile": 8})
    check_settings(Free(8, ["a"]), least={"tile": 8})
    for tile, said in ((7, "give 8 or more"), (8.0, "whole number"), ("8", "whole number")):
        with pytest.raises(InputError, match=said):
            check_settings(Free(tile), least={"tile": 8})


PUBLIC = [
    getattr(package, name)
    for package in (cells, colonies, dynamics, heterogeneity, images, simulate, staining)
    for name in package.__all__
    if re.search(r"(Settings|Options|Plan|Choice|Camera|Dish|Marker|Optics)$", name)
    and is_dataclass(getattr(package, name))
]


@pytest.mark.parametrize("kind", PUBLIC, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_all_settings_refuse_what_is_not_of_their_type(kind):
    for name, hint in get_type_hints(kind).items():
        allowed = set(get_args(hint) or [hint])
        if get_origin(hint) is tuple or not allowed <= {int, float, type(None)}:
            continue
        others = [float("nan"), "3", True, *([2.5] if float not in allowed else [])]
        others += [] if type(None) in allowed else [None]
        for value in others:
            with pytest.raises(InputError, match=name):
                kind(**{name: value})


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (cells.FileOptions, {"pixel_size_um": 0}),
        (cells.SourceOptions, {"frame_interval_s": 0}),
        (colonies.FileOptions, {"pixel_size_um": -1.0}),
        (colonies.Plan, {"folds": 1}),
        (colonies.Plan, {"by": "x"}),
        (colonies.Plan, {"seed": -1}),
        (dynamics.CorrelationTimeSettings, {"trend": "cubic"}),
        (dynamics.PeriodSettings, {"least_amplitude": float("inf")}),
        (heterogeneity.ClusterSettings, {"clusters": 0}),
        (images.CheckSettings, {"c_max": 70}),
        (simulate.MovieSettings, {"seed": -1}),
        (simulate.Optics, {"condenser_na": -0.1}),
        (staining.ScoreSettings, {"level": 95}),
    ],
)
def test_settings_refuse_what_cannot_be(kind, wrong):
    (name,) = wrong
    with pytest.raises(InputError, match=f"^{name} is "):
        kind(**wrong)
