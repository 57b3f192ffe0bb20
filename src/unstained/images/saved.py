"""What a JSON file says, as the types that were written to it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

__all__ = ["from_saved"]


def from_saved(kind: Any, value: Any, name: str) -> Any:
    """A value of a JSON file as what it was before it was written.

    Files are changed by hand, and by programs: a width that is text shows here, not in the
    middle of a network.

    Parameters
    ----------
    kind : type
        ``str``, ``bool``, ``int``, ``float`` (finite), ``tuple[X, ...]`` of a list, ``X | None``,
        or a dataclass or named tuple of such fields, of a mapping.
    value : object
        As `json.loads` gives it.
    name : str
        What to call it in the error.

    Returns
    -------
    kind

    Raises
    ------
    TypeError
        It is of another type, at any depth; a field is missing or not known.
    UnstainedError
        The dataclass itself refuses the values.
    """
    if isinstance(kind, UnionType):
        if value is None and NoneType in get_args(kind):
            return None
        (kind,) = (one for one in get_args(kind) if one is not NoneType)
    if get_origin(kind) is tuple and isinstance(value, list):
        each = get_args(kind)[0]
        return tuple(from_saved(each, one, f"{name}[{i}]") for i, one in enumerate(value))
    if (is_dataclass(kind) or hasattr(kind, "_fields")) and isinstance(value, Mapping):
        kinds = get_type_hints(kind)
        return kind(
            **{
                field: from_saved(kinds[field], one, f"{name}.{field}") if field in kinds else one
                for field, one in value.items()
            }
        )
    number = isinstance(value, int | float) and not isinstance(value, bool)
    number = number and abs(value) <= sys.float_info.max  # nor NaN
    if kind is float and number:
        return float(value)
    if kind is int and number and value == int(value):
        return int(value)
    if kind in (str, bool) and isinstance(value, kind):
        return value
    wanted = getattr(kind, "__name__", str(kind)) if get_origin(kind) is None else "list"
    raise TypeError(f"{name} is {value!r}, not {_WANTED.get(wanted, 'a mapping')}")


_WANTED = {
    "str": "text",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a finite number",
    "list": "a list",
}
