"""Files and folders appear under their final name in one step, or not at all."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FileError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "atomic_dir",
    "atomic_path",
    "disk_remedy",
    "json_text",
    "make_folder",
    "read_json",
    "remove_folder",
    "write_csv",
    "write_json",
    "write_text",
]

_WAITS_S = (0.1, 0.2, 0.4, 0.8, 1.5)
_HELD = (errno.EACCES, errno.ENOTEMPTY)
_FORBIDDEN = '<>:"|?*'  # in names on Windows, and on disks of its making
_LONGEST = 247  # characters of the path of a folder on Windows; of a file 259


@contextmanager
def atomic_path(target: str | os.PathLike[str], *, replace: bool = True) -> Iterator[Path]:
    """Write a file under a temporary name beside `target`, then rename it.

    The folder of `target` is made where it is absent. The temporary name keeps the suffix
    (``out.tif`` is written as ``.out.1f3a.part.tif``), since writers choose the format by it.

    Parameters
    ----------
    target : path-like
        Final name of the file.
    replace : bool
        Whether an existing file of that name is replaced.

    Yields
    ------
    Path
        Where to write. If the block raises, this file is removed and `target` stays as it was.

    Raises
    ------
    FileError
        `target` exists and may not be replaced, its folder cannot be made, the disk is full, or
        writing is not permitted.
    """
    target = Path(target)
    with _disk_errors(target):
        if target.is_dir() or (target.exists() and not replace):
            raise FileError("exists already", "choose another name or remove it", file=target)
        part = _part(target)
        try:
            yield part
            if not part.exists():
                raise RuntimeError(f"nothing was written to {part}")
            _patiently(lambda: part.replace(target))
        finally:
            with suppress(OSError):  # else it would hide why the block raised
                part.unlink(missing_ok=True)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """A value as JSON that every program reads; a number that is not finite is null.

    Python's own would write NaN and Infinity, which JSON does not know.

    Parameters
    ----------
    value : object
        Mappings, sequences, arrays, text and numbers, NumPy's too.
    indent : int, optional
        Spaces for each level; else one line.

    Raises
    ------
    TypeError
        Something in it is none of these.
    """
    return json.dumps(_plain(value), indent=indent, allow_nan=False)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # an array or a number of NumPy, which is not imported for this
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: str | os.PathLike[str], said: Mapping[str, Any]) -> Path:
    """A JSON file with line breaks, whole or not at all; see `json_text`.

    Raises
    ------
    FileError
        It cannot be written.
    """
    return write_text(path, json_text(said, indent=2) + "\n")


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """A text file in UTF-8, whole or not at all; its lines end alike on every system.

    Raises
    ------
    FileError
        It cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return Path(path)


def read_json(path: str | os.PathLike[str], remedy: str) -> dict[str, Any]:
    """What `write_json` wrote.

    Raises
    ------
    FileError
        It is not there, or damaged; with this remedy.
    """
    try:
        return dict(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise FileError(f"cannot be read ({error})", remedy, file=path) from error


def write_csv(
    table: pd.DataFrame, path: str | os.PathLike[str], *, float_format: str | None = "%.8g"
) -> Path:
    """Write a table without its index; its lines end alike on every system.

    Parameters
    ----------
    table : DataFrame
    path : path-like
    float_format : str or None
        Of its numbers, by default eight digits; None for those that give the same number back.

    Raises
    ------
    FileError
        It cannot be written.
    """
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, float_format=float_format, lineterminator="\n")
    return Path(path)


@contextmanager
def atomic_dir(target: str | os.PathLike[str], replace: bool = False) -> Iterator[Path]:
    """Fill a folder under a temporary name beside `target`, then rename it.

    Parameters
    ----------
    target : path-like
        Final name of the folder.
    replace : bool
        Whether an existing folder of that name is replaced. It is removed only after the new
        one is complete.

    Yields
    ------
    Path
        An empty folder. If the block raises, it is removed and `target` stays as it was.

    Raises
    ------
    FileError
        `target` exists and may not be replaced, its folder cannot be made, the disk is full, or
        writing is not permitted.
    """
    target = Path(target)
    with _disk_errors(target):
        if target.exists() and (not replace or not target.is_dir()):
            raise FileError("exists already", "choose another name or remove it", file=target)
        part = _part(target)
        make_folder(part, target)
        old = part.with_name(part.name + ".old")
        try:
            yield part
            if target.exists():
                _patiently(lambda: target.replace(old))
            try:
                _patiently(lambda: part.replace(target))
            except OSError:
                if old.exists():
                    _patiently(lambda: old.replace(target))
                raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def make_folder(path: str | os.PathLike[str], target: str | os.PathLike[str] | None = None) -> Path:
    """Make a folder, and those above it, where it is not there.

    Raises
    ------
    FileError
        A file has its name or that of a folder above it, or writing is not permitted. It names
        `target`, which the folder is made for, where that is given.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"its folder cannot be made: {error.strerror} ({error.filename})"
        raise FileError(reason, "choose another folder", file=target or folder) from error
    return folder


def remove_folder(path: Path) -> None:
    """Remove a folder with all that is in it."""
    _patiently(lambda: shutil.rmtree(path))


def _patiently(act: Callable[[], object]) -> None:
    """Do what Windows may refuse for a moment, some three seconds long.

    Virus scanners, indexers and what keeps folders in the cloud open new files, and what is
    open can be neither renamed nor removed there: an image that took hours would be lost.
    """
    for wait in _WAITS_S if sys.platform == "win32" else ():
        try:
            act()
        except OSError as error:
            if error.errno not in _HELD:
                raise
            time.sleep(wait)
        else:
            return
    act()


def _part(target: Path) -> Path:
    make_folder(target.parent, target)
    return target.with_name(f".{target.stem}.{uuid.uuid4().hex[:8]}.part{target.suffix}")


_NOT_PERMITTED = (
    "choose another folder or change its permissions, or close the file where another program has "
    "it open, as Excel may"
)
_REMEDIES = {
    errno.ENOSPC: "free some space or choose another disk",
    errno.EDQUOT: "your quota is used up: free some space or choose another disk",
    errno.EACCES: _NOT_PERMITTED,
    errno.EPERM: _NOT_PERMITTED,
    errno.EROFS: "choose a folder that you may write to",
    errno.ENAMETOOLONG: "give a shorter name",
}


def disk_remedy(error: OSError) -> str | None:
    """What a user can do about what the operating system refused; None where it may be a bug."""
    path = Path(str(error.filename or "")).absolute()
    name = str(path)
    if error.errno == errno.EINVAL and set(_FORBIDDEN) & set(name[len(path.drive) :]):
        return f"give a name without the characters {' '.join(_FORBIDDEN)}"
    # Windows says of a path that is too long that it is not there
    if sys.platform == "win32" and error.errno == errno.ENOENT and len(name) > _LONGEST:
        return (
            f"the path has {len(name)} characters, and Windows takes {_LONGEST} of a folder, 259 "
            "of a file: choose one nearer to the drive, or allow long paths (LongPathsEnabled)"
        )
    return _REMEDIES.get(error.errno or 0)


@contextmanager
def _disk_errors(target: Path) -> Iterator[None]:
    """Say in the user's words what the operating system refused while `target` was written."""
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        remedy = disk_remedy(error)
        if remedy is None:
            raise
        reason = f"cannot be written: {error.strerror or error}"
        raise FileError(reason, remedy, file=target) from error
