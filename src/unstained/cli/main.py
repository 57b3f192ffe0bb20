"""The command ``unstained``: its groups are imported when they are called.

``unstained --help`` shows the lines written here and imports no more than Typer.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn

import typer
from typer.core import TyperGroup

from .. import __version__
from ..errors import UnstainedError

if TYPE_CHECKING:
    from typer.core import TyperCommand

__all__ = ["app", "main"]


class _Group(NamedTuple):
    module: str  # holds a Typer named `app`
    help: str
    single: bool = False  # one command, not a group of them


GROUPS = {
    "demo": _Group("demo", "Train on a real field, predict, score: ten minutes.", single=True),
    "datasets": _Group("datasets", "List and fetch small, openly licensed data sets."),
    "images": _Group("images", "Check pairs of images before training on them."),
    "staining": _Group("staining", "Train, predict, score: stains that nobody applied."),
}

# what a user mends without us: the disk is full, or a folder may not be written
_USER_ERRNO = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EROFS: "the disk is read-only; choose another folder",
    errno.EACCES: "permission denied; choose another folder or change its permissions",
}


class _LazyGroup(TyperGroup):
    """Lists the groups from `GROUPS`; imports one when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(GROUPS)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperGroup | TyperCommand | None:
        if cmd_name not in GROUPS:
            return None
        group = GROUPS[cmd_name]
        sub = import_module(f".{group.module}", __package__).app
        command: Any = typer.main.get_command(sub) if group.single else typer.main.get_group(sub)
        command.name = cmd_name
        return command  # type: ignore[no-any-return]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, group.help) for name, group in GROUPS.items()])


app = typer.Typer(cls=_LazyGroup, rich_markup_mode=None, add_completion=False, no_args_is_help=True)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"unstained {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """See stains that nobody applied, and know how far to believe them."""


def _fail(line: str, code: int) -> NoReturn:
    print("unstained: " + " ".join(line.split()), file=sys.stderr)
    sys.exit(code)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    0: done. 1: an error that the user can mend, printed as one line on stderr. 2: the command
    was not understood. 130: interrupted. A bug keeps its traceback.
    """
    try:
        typer.main.get_group(app).main(args=argv, prog_name="unstained")
    except UnstainedError as error:
        _fail(str(error), 1)
    except OSError as error:
        if error.errno not in _USER_ERRNO:
            raise
        where = f"{error.filename}: " if error.filename else ""
        _fail(where + _USER_ERRNO[error.errno], 1)
    except SystemExit as leave:
        if leave.code == 130:
            _fail("interrupted; nothing half-written was left under a final name", 130)
        raise
