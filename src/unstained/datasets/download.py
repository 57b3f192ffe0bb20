"""Bring a data set into the cache: from an offline bundle, else from its public address.

Every file is checked against the registry's SHA-256 and appears under its name only when it
is right, so a broken-off fetch continues where it stopped and nothing is fetched twice.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import DataError, FileError, InputError, NetworkError
from ..images.atomic import atomic_path
from .registry import DataFile, info

__all__ = ["bundle", "cache_dir", "fetch", "is_cached"]

Progress = Callable[[int, int], None]  # bytes at hand, bytes of the whole set


def cache_dir() -> Path:
    """Folder of the data sets: what ``UNSTAINED_CACHE`` names, else the user's cache."""
    given = _named_in("UNSTAINED_CACHE")
    if given:
        return Path(given).expanduser()
    import pooch

    return Path(pooch.os_cache("unstained"))


def is_cached(name: str) -> bool:
    """Whether every file of the set is in the cache with its right size (hashes: `fetch`)."""
    folder = cache_dir() / name
    return all(_size(folder / file.path) == file.n_bytes for file in info(name).files)


def fetch(name: str, *, progress: Progress | None = None) -> Path:
    """Folder with the files of a data set, each checked by its hash.

    Looks into the cache; what is missing there is unpacked from the bundle ``NAME.zip`` in the
    folder that ``UNSTAINED_DATA`` names, else downloaded.

    Parameters
    ----------
    name : str
        One of `names()`.
    progress : callable, optional
        Called with the bytes at hand and the bytes of the whole set, after each file.

    Raises
    ------
    InputError
        There is no such data set, or ``UNSTAINED_DATA`` is no folder.
    DataError
        The bundle is damaged: a file is absent or has another hash.
    NetworkError
        A file is neither cached nor bundled and could not be downloaded.
    FileError
        The cache cannot be written.
    """
    data_set = info(name)
    folder = cache_dir() / name
    missing = [file for file in data_set.files if not _is_right(folder / file.path, file)]
    at_hand = data_set.n_bytes - sum(file.n_bytes for file in missing)
    if progress is not None:
        progress(at_hand, data_set.n_bytes)
    zipped = _bundle_at_hand(name)
    for file in missing:
        if zipped is not None:
            _unpack(zipped, name, file, folder / file.path)
        else:
            _download(name, file, folder / file.path)
        at_hand += file.n_bytes
        if progress is not None:
            progress(at_hand, data_set.n_bytes)
    return folder


def bundle(name: str, out_dir: str | os.PathLike[str]) -> Path:
    """Write the offline bundle ``NAME.zip`` into a folder; fetches the set where needed.

    The same files give the same bytes. Carry it to a machine without network and name its
    folder in ``UNSTAINED_DATA``.
    """
    folder = fetch(name)
    target = Path(out_dir) / f"{name}.zip"
    with atomic_path(target) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in info(name).files:
            entry = zipfile.ZipInfo(f"{name}/{file.path}", date_time=(2020, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, (folder / file.path).read_bytes())
    return target


def _bundle_at_hand(name: str) -> Path | None:
    given = _named_in("UNSTAINED_DATA")
    if not given:
        return None
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise InputError(
            f"UNSTAINED_DATA names {given}, which is no folder",
            f"name the folder that holds {name}.zip, or unset it",
        )
    zipped = folder / f"{name}.zip"
    return zipped if zipped.is_file() else None


def _named_in(variable: str) -> str:
    # quotes that are set in the command prompt of Windows stay part of the value
    return os.environ.get(variable, "").strip('"')


def _unpack(zipped: Path, name: str, file: DataFile, target: Path) -> None:
    # only names of the registry are looked up, and no more is read than the registry says:
    # an archive can neither write elsewhere nor unpack to more than that
    again = "copy or make the bundle again"
    _make_folder(target.parent)
    try:
        with zipfile.ZipFile(zipped) as archive, archive.open(f"{name}/{file.path}") as packed:
            content = packed.read(file.n_bytes + 1)
    except KeyError:
        raise DataError(f"has no {name}/{file.path}", again, file=zipped) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        # RuntimeError: packed anew with a password, or in a way that Python does not know
        raise DataError(f"is damaged at {file.path} ({error})", again, file=zipped) from error
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise DataError(f"{file.path} is not the registry's (SHA-256)", again, file=zipped)
    with atomic_path(target) as part:
        part.write_bytes(content)


def _download(name: str, file: DataFile, target: Path) -> None:
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    _make_folder(target.parent)
    try:
        pooch.retrieve(
            url=file.url,
            known_hash=f"sha256:{file.sha256}",
            fname=target.name,
            path=target.parent,
            downloader=pooch.HTTPDownloader(timeout=30),
        )
    except requests.RequestException as error:
        raise NetworkError(
            f"could not be downloaded from {urlsplit(file.url).netloc} ({type(error).__name__})",
            f"connect and call again (it continues), or put {name}.zip into a folder and name "
            "that folder in UNSTAINED_DATA",
            file=f"{name}/{file.path}",
        ) from error
    except ValueError as error:  # pooch: the hash differs
        raise NetworkError(
            f"arrived damaged, or {urlsplit(file.url).netloc} has changed it (SHA-256)",
            f"call again; if it stays, use a bundle {name}.zip (UNSTAINED_DATA)",
            file=f"{name}/{file.path}",
        ) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"cannot be made ({error.strerror})",
            "name a folder that may be written in UNSTAINED_CACHE",
            file=folder,
        ) from error


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _is_right(path: Path, file: DataFile) -> bool:
    if _size(path) != file.n_bytes:
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256
