"""What a training tells of its validation."""

from __future__ import annotations

import pytest

from unstained.cli._progress import TrainingReport
from unstained.learning.loop import Progress


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ({"recall": 0.5, "accuracy": 0.25}, ", validation recall 0.500, accuracy 0.250\n"),
        ({"recall": float("nan"), "accuracy": 0.25}, ", validation accuracy 0.250\n"),
        ({"recall": float("nan"), "accuracy": float("nan")}, None),
        (None, None),
    ],
)
def test_a_score_that_is_not_known_is_not_told(
    scores: dict[str, float] | None, said: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    TrainingReport()("refit", Progress(50, 200, None, {"loss": 1.0}, scores))
    assert capsys.readouterr().err == ("" if said is None else f"refit: step 50/200{said}")
