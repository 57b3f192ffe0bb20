"""``unstained cells``: outlines by a network or by hand, tracks, measures, scores."""

from __future__ import annotations

import typer

from ._group import WholeSentences
from .cells_measure import agree, measure
from .cells_outline import export, outline
from .cells_segment import score, segment
from .cells_track import score_tracks, track
from .cells_train import train

app = typer.Typer(
    cls=WholeSentences,
    help="Outline, follow and measure single cells.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
for command in (train, segment, outline, export, track, measure, agree, score, score_tracks):
    app.command()(command)
