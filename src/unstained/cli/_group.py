"""A group of commands whose help says of each command what it does, in a whole sentence."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

__all__ = ["WholeSentences"]

_NO_LIMIT = 1000  # characters; no first sentence of a command is as long


class WholeSentences(TyperGroup):
    """Wraps the sentences in the list of commands, where Typer cuts them off with `...`."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands; called by Typer with its own context and formatter."""
        rows = [(name, self.commands[name]) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(_NO_LIMIT)) for name, one in rows])
