"""A model that `cells train --release` packed into one file, read as it is."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from ..errors import FileError, ModelError

__all__ = ["opened_release"]

_LARGEST_BYTES = 4 * 2**30  # of a member; what is larger is no network of ours


@contextmanager
def opened_release(file: Path, names: tuple[str, str]) -> Iterator[Path]:
    """A temporary folder with the files of a model that a zip holds.

    Only files of these names, all in one folder of the zip, are written, under these names and
    nowhere else. Where ``FILE.sha256`` lies beside the zip, it must agree.

    Parameters
    ----------
    file : Path
    names : (str, str)
        ``model.json`` and the weights.

    Raises
    ------
    FileError
        It is no zip, or one that is cut short.
    ModelError
        It holds no model, several of them, or other bytes than its SHA-256 says.
    """
    _check_hash(file)
    with TemporaryDirectory(prefix="unstained-") as folder:
        try:
            with zipfile.ZipFile(file) as archive:
                for member, name in _members(archive, file, names):
                    with archive.open(member) as packed, (Path(folder) / name).open("wb") as out:
                        shutil.copyfileobj(packed, out)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            # of a compression or an encryption that zipfile does not know: the last two
            raise FileError(
                f"cannot be read as a zip ({error})", "copy the release again", file=file
            ) from error
        yield Path(folder)


def _members(
    archive: zipfile.ZipFile, file: Path, names: tuple[str, str]
) -> list[tuple[zipfile.ZipInfo, str]]:
    found: dict[str, list[zipfile.ZipInfo]] = {name: [] for name in names}
    for member in archive.infolist():
        if (name := PurePosixPath(member.filename).name) in found:
            found[name].append(member)
    counts = [len(members) for members in found.values()]
    parents = {PurePosixPath(m.filename).parent for members in found.values() for m in members}
    if counts != [1, 1] or len(parents) != 1:
        raise ModelError(
            f"holds {counts[0]} {names[0]} and {counts[1]} {names[1]}, in {len(parents)} folders",
            "give a file that `unstained cells train --release` wrote, or a model folder",
            file=file,
        )
    chosen = [(members[0], name) for name, members in found.items()]
    for member, name in chosen:
        if member.file_size > _LARGEST_BYTES:
            raise ModelError(
                f"{name} would have {member.file_size / 2**30:.0f} GiB",
                "this is no model",
                file=file,
            )
    return chosen


def _check_hash(file: Path) -> None:
    beside = file.with_name(f"{file.name}.sha256")
    if not beside.is_file():
        return
    words = beside.read_text(encoding="utf-8", errors="replace").split()
    with file.open("rb") as packed:
        digest = sha256()
        while block := packed.read(2**20):
            digest.update(block)
    if words and words[0].lower() != digest.hexdigest():
        raise ModelError(
            f"has the SHA-256 {digest.hexdigest()}, {beside.name} says {words[0]}",
            "copy both files again",
            file=file,
        )
