"""Every error that a user can cause: what came, what was needed, what to do.

The command line prints these as one line and leaves with exit code 1; anything else is a
bug and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike

__all__ = [
    "DataError",
    "FileError",
    "InputError",
    "MissingExtra",
    "ModelError",
    "NetworkError",
    "UnstainedError",
    "contents_of",
    "count_of",
    "refuse_name",
    "some_of",
]


class UnstainedError(Exception):
    """An error that the user can fix.

    Parameters
    ----------
    reason : str
        What came and what was needed, with the offending value.
    remedy : str, optional
        What to do about it.
    file : path-like, optional
        The file at fault.
    """

    def __init__(
        self, reason: str, remedy: str = "", *, file: str | PathLike[str] | None = None
    ) -> None:
        self.reason = reason
        self.remedy = remedy
        self.file = None if file is None else str(file)
        where = "" if file is None else f"{file}: "
        super().__init__(f"{where}{reason}" + (f"; {remedy}" if remedy else ""))


class InputError(UnstainedError, ValueError):
    """An argument or setting is not usable."""


class FileError(UnstainedError, OSError):
    """A file is absent, unreadable, broken or cannot be written."""


class DataError(UnstainedError, ValueError):
    """The contents of images or tables are not usable."""


class ModelError(UnstainedError):
    """A model folder is absent, damaged or does not fit the data."""


class NetworkError(UnstainedError, OSError):
    """Something had to be downloaded and could not be."""


class MissingExtra(UnstainedError, ImportError):
    """An optional dependency is not installed; the remedy names the extra."""


@contextmanager
def contents_of(file: str | PathLike[str]) -> Iterator[None]:
    """Name the file in a `DataError` or `InputError` that names none.

    What looks at a table does not know where it came from; who read it does. Settings that are
    wrong whatever the file holds are to be checked outside.
    """
    try:
        yield
    except (DataError, InputError) as error:
        if error.file is not None:
            raise
        raise type(error)(error.reason, error.remedy, file=file) from error


def refuse_name(value: object, wanted: str, instead: str) -> None:
    """Refuse the name of a file or data set where its contents are needed.

    Parameters
    ----------
    value : object
        What was given; anything but text and paths passes.
    wanted : str
        In words: ``pairs``.
    instead : str
        How to get it, as Python, with the name in the place of ``{}``: ``load_pairs({})``.

    Raises
    ------
    InputError
    """
    if isinstance(value, str | PathLike):
        name = repr(str(value))
        raise InputError(f"got the name {name}, not {wanted}", f"give {instead.format(name)}")


def count_of(number: int, noun: str) -> str:
    """``3 errors``, ``1 error``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def some_of(names: Sequence[str], most: int = 10) -> str:
    """``a, b and 3 more``: at most `most` names, and how many are left out."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
