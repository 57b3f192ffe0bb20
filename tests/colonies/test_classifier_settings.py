"""Settings of the classifier: those of each method, and those that cannot be."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from unstained.colonies.classifier import ColonyClassifier
from unstained.colonies.settings import METHODS, ClassifierSettings
from unstained.errors import InputError


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_settings_that_can_be_saved(method: str) -> None:
    settings = ClassifierSettings.of_method(method)
    assert settings.method == method
    said = json.loads(json.dumps(settings.as_dict(), allow_nan=False))
    del said["method"]
    assert ClassifierSettings.of_method(method, **said) == settings


def test_the_paper_recipe_has_the_papers_numbers() -> None:
    # CHECKLIST B.5, B.7, B.8 and the settings that the paper leaves unsaid
    paper = ClassifierSettings.of_method("ipb-paper")
    assert (paper.learning_rate, paper.momentum, paper.weight_decay) == (0.005, 0.9, 1e-4)
    assert (paper.batch, paper.unlabelled_batch, paper.threshold) == (32, 32, 0.65)
    assert {paper.flips, paper.rotation, paper.jitter, paper.blur, paper.inside} == {0.25}
    assert (paper.contrast, paper.brightness) == (0.5, 0.75)
    assert (paper.uda, paper.uda_ramp, paper.uda_temperature, paper.feedback) == (8, 5000, 1, 1)
    assert (paper.warmup_epochs, paper.ema, paper.balance, paper.redraw) == (10, 0, 1, False)
    assert (paper.balance_floor, paper.balance_cap, paper.views) == (0, math.inf, 1)
    assert paper.balanced_labels
    assert not paper.logarithm
    assert paper.sampled
    assert paper.clip == 0


def test_methods_that_are_compared_see_the_same_patches() -> None:
    shared = [
        *(
            "patch",
            "inside",
            "normalization",
            "logarithm",
            "flips",
            "rotation",
            "jitter",
            "blur",
            "contrast",
        ),
        *("brightness", "quarter_turns", "cutout", "batch", "views", "validation", "network"),
    ]
    rows = {
        tuple(getattr(ClassifierSettings.of_method(method), name) for name in shared)
        for method in METHODS
        if method != "ipb-paper"
    }
    assert len(rows) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "setting 'colour' is not known; known: method"),
        ({"scales": 3}, "scales is 3"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"momentum": 0}, "momentum is 0.0 and nesterov True"),
        ({"batch": 1}, "batch is 1; give 2"),
        ({"unlabelled_batch": 1}, "unlabelled_batch is 1; give 2"),
        ({"batch": "many"}, "batch is 'many'; give a whole number"),
        ({"batch": 1.5}, "batch is 1.5; give a whole number"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": -2}, "steps is -2"),
        ({"views": 0}, "views is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"learning_rate": -0.1}, "learning_rate is -0.1"),
        ({"learning_rate": "nan"}, "learning_rate is nan"),
        ({"learning_rate": None}, "learning_rate is None; give a number"),
        ({"uda_temperature": 0}, "uda_temperature is 0"),
        ({"balance_cap": 0.5}, "balance_cap is 0.5"),
        ({"balance_cap": "nan"}, "balance_cap is nan"),
        ({"select": "worst"}, "select is 'worst'"),
        ({"redraw": "perhaps"}, "redraw is 'perhaps'; give true or false"),
        ({"sampled": True, "feedback": 1.0}, "an averaged teacher learns nothing"),
        ({"feedback": 1.0}, "sampled is false with feedback 1.0; the feedback judges labels that"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ColonyClassifier("ipb", **changes)


def test_an_unknown_method_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(InputError, match=r"'gan' is not known; choose ipb, ipb-paper"):
        ColonyClassifier("gan")


def test_settings_come_as_text_from_a_command() -> None:
    settings = ClassifierSettings.of_method("ipb", redraw="no", steps="12", balance_cap="inf")
    assert (settings.redraw, settings.steps, settings.balance_cap) == (False, 12, math.inf)
