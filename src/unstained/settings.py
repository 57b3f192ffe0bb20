"""What all settings have in common: changes that come as text, types and ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, replace
from numbers import Integral, Real
from types import MappingProxyType, NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

import numpy as np

from .errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Settings = TypeVar("Settings", bound=DataclassInstance)

__all__ = ["changed_settings", "check_settings"]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def changed_settings(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """The same settings but for `changes`; text is read as the setting's own type.

    Parameters
    ----------
    settings : dataclass
        Flat; its values are text, numbers and booleans. Their type is that of the default.
    changes : mapping of str to value
        A boolean may be ``"true"``, ``"yes"``, ``"1"``, ``"false"``, ``"no"``, ``"0"``; a whole
        number 20.0, but not 20.5.

    Raises
    ------
    InputError
        A setting is not known, or its value is not usable.
    """
    kinds = {
        f.name: type(getattr(settings, f.name) if f.default is MISSING else f.default)
        for f in fields(settings)
    }
    ready: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in kinds:
            raise InputError(f"setting {name!r} is not known", f"known: {', '.join(kinds)}")
        try:
            ready[name] = _converted(value, kinds[name])
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"setting {name} is {value!r}", _WANTED.get(kinds[name], "give text")
            ) from error
    return replace(settings, **ready)


_WANTED = {bool: "give true or false", int: "give a whole number", float: "give a number"}
_TYPES: dict[type, type | tuple[type, ...]] = {
    bool: (bool, np.bool_),
    int: Integral,
    float: Real,
    str: str,
}
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _converted(value: Any, kind: type) -> Any:
    """A value as the type of its setting; ValueError, TypeError or OverflowError if it is none."""
    if kind is bool:
        said = value if isinstance(value, bool) else _TRUTHS.get(str(value).lower())
        if said is None:
            raise ValueError(value)
        return said
    if value is None or (isinstance(value, bool) and kind in (int, float)):
        raise TypeError(value)
    converted = kind(value)
    if kind is int and not isinstance(value, str) and converted != value:
        raise ValueError(value)
    return converted


def check_settings(
    settings: DataclassInstance,
    choices: Mapping[str, Sequence[Any]] = _NOTHING,
    *,
    least: Mapping[str, float] = _NOTHING,
    positive: Sequence[str] = (),
    shares: Sequence[str] = (),
    below_one: Sequence[str] = (),
    infinite: Sequence[str] = (),
) -> None:
    """Refuse values of another type or out of range.

    A number must be finite and 0 or more where nothing else is said; NumPy's are as good as
    Python's. Fields that are neither text nor number nor boolean, such as lists, are left to the
    class.

    Parameters
    ----------
    settings : dataclass
    choices : mapping of str to sequence
        What a setting may be, by its name.
    least : mapping of str to float
        The smallest value of a setting, where it is not 0.
    positive, shares, below_one, infinite : sequence of str
        Names of settings that must be above 0, at most 1, below 1, and of those that may be
        infinite.

    Raises
    ------
    InputError
        Names the first setting that is out of range.
    """
    kinds = get_type_hints(type(settings))
    values: dict[str, Any] = {f.name: getattr(settings, f.name) for f in fields(settings)}
    for name, value in values.items():
        if (kind := _plain(kinds[name], value)) and not _is(value, kind):
            raise InputError(f"{name} is {value!r}", _WANTED.get(kind, "give text"))
    for name, allowed in choices.items():
        if values[name] not in allowed:
            raise InputError(
                f"{name} is {values[name]!r}", f"choose {', '.join(map(str, allowed))}"
            )
    # NumPy's too
    numbers: dict[str, Any] = {n: value for n, value in values.items() if isinstance(value, Real)}
    for name, value in numbers.items():
        lowest = least.get(name, 0)
        if name not in infinite and not abs(value) < math.inf:
            raise InputError(f"{name} is {value}", "give a finite number")
        if name in positive and not value > 0:
            raise InputError(f"{name} is {value}", "give a number above 0")
        if not value >= lowest:
            raise InputError(f"{name} is {value}", f"give {lowest} or more")
        begin = "above 0, at most" if name in positive else f"{lowest} to"
        if name in shares and value > 1:
            raise InputError(f"{name} is {value}", f"give {begin} 1")
        begin = "above 0 and" if name in positive else f"{lowest} to"
        if name in below_one and value >= 1:
            raise InputError(f"{name} is {value}", f"give {begin} below 1")


def _plain(kind: Any, value: Any) -> type | None:
    """The type that a value of this annotation must have; None where it is no plain one."""
    if isinstance(kind, UnionType):
        kinds = [one for one in get_args(kind) if one is not NoneType]
        kind = kinds[0] if len(kinds) == 1 and value is not None else None
    return kind if kind in _TYPES else None


def _is(value: Any, kind: type) -> bool:
    """True is no number."""
    return isinstance(value, _TYPES[kind]) and isinstance(value, _TYPES[bool]) == (kind is bool)
