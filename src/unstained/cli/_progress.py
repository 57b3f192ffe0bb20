"""What a command shows while it works; on stderr, so that results can be piped."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from ..learning.loop import Progress

__all__ = ["Bar", "TrainingReport", "newly_trained"]

Trained = TypeVar("Trained")


class Bar:
    """A share done with the time left, on one line that is written anew; nothing into a file."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._shown = sys.stderr.isatty()
        self._began = time.monotonic()
        self._open = False

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_line()

    def __call__(self, share: float) -> None:
        if not self._shown:
            return
        left = ""
        if share > 0:
            taken = time.monotonic() - self._began
            left = f", {_duration(taken * (1 - share) / share)} left"
        print(f"\r{self._what} {share:4.0%}{left}   ", end="", file=sys.stderr, flush=True)
        self._open = True

    def say(self, text: str) -> None:
        """A line that stays."""
        self._end_line()
        print(text, file=sys.stderr, flush=True)

    def _end_line(self) -> None:
        if self._open:
            print(file=sys.stderr)
            self._open = False


class TrainingReport:
    """Step, time left and loss on one line; each validation on a line that stays.

    Also sent to other processes as it is, so it holds nothing but text.
    """

    def __init__(self, what: str = "") -> None:
        self._what = what

    def __call__(self, name: str, progress: Progress) -> None:
        left = ""
        if progress.seconds_left is not None:
            left = f", {_duration(progress.seconds_left)} left"
        line = f"{self._what or name}: step {progress.step}/{progress.steps}{left}"
        if sys.stderr.isatty():
            loss = progress.losses["loss"]
            print(f"\r{line}, loss {loss:.3f}    ", end="", file=sys.stderr, flush=True)
        known = {k: v for k, v in (progress.scores or {}).items() if not math.isnan(v)}
        if known:  # a refit on all data has nothing to validate with
            scores = ", ".join(f"{k} {v:.3f}" for k, v in known.items())
            start = "\r" if sys.stderr.isatty() else ""
            print(f"{start}{line}, validation {scores}", file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        """A line before the first step."""
        print(f"note: {text}", file=sys.stderr, flush=True)


def newly_trained(out: Path, train: Callable[[], Trained]) -> Trained | None:
    """What `train` gives; None, which is said, where `out` held a finished model before.

    Said afterwards: `train` refuses a model that was begun with other settings.
    """
    from ..learning.model_file import MODEL

    finished = (out / MODEL).exists()
    trained = train()
    if finished:
        print(f"nothing is left to train: {out} is finished")
        return None
    return trained


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
