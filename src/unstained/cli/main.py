"""The command ``unstained``: picks a group of commands by its first word and runs it.

The groups are Typer apps in modules of their own, imported when called; the help below is
plain text, so that ``unstained --help`` imports nothing.
"""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from os.path import expanduser
from typing import NoReturn

from .. import __version__
from ..errors import UnstainedError

__all__ = ["GROUPS", "main"]

# each names a module beside this one that holds a Typer called `app`
GROUPS = {
    "demo": "Train on a real field, predict and score it: a few minutes.",
    "datasets": "List and fetch small, openly licensed data sets.",
    "images": "Check pairs of images before training; subtract background.",
    "cells": "Outline, follow and measure single cells.",
    "heterogeneity": "How cells differ: distributions, clusters, components, factors.",
    "dynamics": "How cells change: traces, correlation times, kymographs, divisions.",
    "colonies": "Find colonies in whole wells and learn what they are from few labels.",
    "simulate": "Make cells, movies and wells of colonies whose truth is known.",
    "staining": "Predict stains: train models, predict, score.",
}

_HELP = """\
Usage: unstained COMMAND [ARGS]...

  Predict fluorescent stains in unstained cells, and know how far to trust them.

Commands:
{commands}

Options:
  --version  Print the version.
  --help     Show this message; after a command, what that command takes.
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    0: done. 1: an error that the user can mend, printed as one line on stderr. 2: the command
    was not understood. 130: interrupted. A bug keeps its traceback.
    """
    _write_what_can_be()
    words = [_from_home(word) for word in (sys.argv[1:] if argv is None else argv)]
    if not words or words[0] in ("--help", "-h", "help"):
        width = max(map(len, GROUPS)) + 2
        lines = (f"  {name:{width}}{line}" for name, line in GROUPS.items())
        print(_HELP.format(commands="\n".join(lines)), end="")
        sys.exit(0)
    if words[0] == "--version":
        print(f"unstained {__version__}")
        sys.exit(0)
    if words[0] not in GROUPS:
        near = get_close_matches(words[0], GROUPS, n=1)
        hint = f"did you mean {near[0]}?" if near else "see unstained --help"
        _leave(f"no command {words[0]!r}; {hint}", 2)
    _run(words[0], words[1:])


def _run(group: str, words: list[str]) -> NoReturn:
    warnings.formatwarning = lambda message, *_, **__: f"unstained: note: {message}\n"
    try:
        from typer.main import get_command, get_group

        app = import_module(f".{group}", __package__).app
        # Typer takes a lone command for the whole app: so it is for `demo`, not for the groups
        command = get_command(app) if group == "demo" else get_group(app)
        command.main(args=words, prog_name=f"unstained {group}")
    except UnstainedError as error:
        _leave(str(error), 1)
    except OSError as error:
        from ..images.atomic import disk_remedy

        remedy = disk_remedy(error)
        if remedy is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        _leave(f"{where}{error.strerror}; {remedy}", 1)
    except KeyboardInterrupt:  # while the group is still being imported
        _leave("interrupted", 130)
    except SystemExit as leave:
        if leave.code == 130:  # Typer's way to pass on an interrupt
            _leave("interrupted", 130)
        raise
    sys.exit(0)


def _write_what_can_be() -> None:
    """Results into a file or pipe are in cp1252 on Windows, which has no alpha: a ? is shown."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _from_home(word: str) -> str:
    """``~`` as the user's folder, which the shells of Windows hand over as it is."""
    # Path's own raises where ~ is followed by the name of no user
    return expanduser(word) if word.startswith(("~/", "~\\")) else word  # noqa: PTH111


def _leave(line: str, code: int) -> NoReturn:
    print("unstained: " + " ".join(line.split()), file=sys.stderr)
    sys.exit(code)
