"""``unstained datasets``: list, fetch and bundle the registered data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ._group import WholeSentences

app = typer.Typer(
    cls=WholeSentences,
    help="List and fetch small, openly licensed data sets.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@app.command("list")
def list_() -> None:
    """Names, sizes, licences, and what to cite."""
    from .. import datasets

    for name in datasets.names():
        data_set = datasets.info(name)
        here = "in the cache" if datasets.is_cached(name) else "not fetched"
        print(f"{name}  {data_set.n_bytes / 1e6:.0f} MB, {data_set.licence}, {here}")
        print(f"    {data_set.title}")
        print(f"    cite: {data_set.cite}")


@app.command()
def fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Data sets to fetch.")],
) -> None:
    """Bring data sets into the cache, check their hashes, print their folders.

    Broken off, it continues where it stopped. Without network: put NAME.zip into a folder and
    name that folder in UNSTAINED_DATA.
    """
    from .. import datasets

    for name in names:
        print(datasets.fetch(name, progress=_Progress(name)))


@app.command()
def bundle(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Data set to pack.")],
    out: Annotated[Path, typer.Option(help="Folder for NAME.zip.")] = Path(),
) -> None:
    """Write NAME.zip, to be used on a machine without network."""
    from .. import datasets

    datasets.fetch(name, progress=_Progress(name))
    print(datasets.bundle(name, out))


class _Progress:
    """Bytes at hand, on one line of stderr that is written anew; nothing into a file."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, n_bytes: int, n_all: int) -> None:
        import sys

        if sys.stderr.isatty():
            end = "\n" if n_bytes == n_all else ""
            line = f"\r{self.name}: {n_bytes / 1e6:.1f} of {n_all / 1e6:.1f} MB"
            print(line, end=end, file=sys.stderr, flush=True)
