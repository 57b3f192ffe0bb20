"""What commands share that read a table of cells and write a folder of tables and figures."""

from __future__ import annotations

from pathlib import Path

__all__ = ["check_folder", "new_folder"]


def check_folder(out: Path) -> None:
    """Refuse a folder that cannot be one, before the work is done.

    Raises
    ------
    FileError
        It, or a folder that it shall lie in, is a file.
    """
    from ..errors import FileError

    for path in (out, *out.parents):
        if path.exists() and not path.is_dir():
            raise FileError("is a file, not a folder", "give another folder", file=path)


def new_folder(out: Path, *names: str) -> None:
    """Make the folder of results, without tables and figures of these names of an earlier run.

    Parameters
    ----------
    out : Path
    *names : str
        Without their ending: .csv, .json, .png, .svg and .pdf are removed.

    Raises
    ------
    FileError
        It cannot be made, or an earlier result cannot be removed.
    """
    from ..errors import FileError

    check_folder(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in names:
            for suffix in ("csv", "json", "png", "svg", "pdf"):
                (out / f"{name}.{suffix}").unlink(missing_ok=True)
    except OSError as error:
        raise FileError(
            f"cannot be written: {error.strerror or error}",
            "choose a folder that you may write to",
            file=out,
        ) from error
