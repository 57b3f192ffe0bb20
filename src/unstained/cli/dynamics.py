"""``unstained dynamics``: how the markers of single cells change over time."""

from __future__ import annotations

import typer

from ._group import WholeSentences
from .dynamics_checks import divisions, error, validity
from .dynamics_kymograph import kymograph
from .dynamics_snapshots import snapshots
from .dynamics_traces import correlation, traces

app = typer.Typer(
    cls=WholeSentences,
    help="Traces, correlations, kymographs and divisions of followed cells.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
for command in (snapshots, traces, correlation, kymograph, divisions, validity, error):
    app.command()(command)
