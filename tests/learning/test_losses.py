import pytest
import torch

from unstained.learning.losses import (
    absolute_error,
    correlation_loss,
    discriminator_loss,
    generator_loss,
    squared_error,
)


def _two_samples() -> tuple[torch.Tensor, torch.Tensor]:
    stain = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]], [[[4.0, 4.0], [4.0, 4.0]]]])  # (2, 1, 2, 2)
    return stain, torch.ones(2, 1)


def test_an_absent_marker_adds_nothing_whatever_is_predicted() -> None:
    stain, _ = _two_samples()
    present = torch.tensor([[1.0], [0.0]])
    wild = stain.clone()
    wild[1] += 1000
    wild[0] += 0.5
    assert absolute_error(wild, stain, present).item() == pytest.approx(0.5)
    assert squared_error(wild, stain, present).item() == pytest.approx(0.25)
    assert correlation_loss(wild, stain, present).item() == pytest.approx(0, abs=1e-5)


def test_correlation_is_taken_over_the_batch_not_patch_by_patch() -> None:
    # each patch alone is perfectly anticorrelated or constant; together bright goes with bright
    stain = torch.tensor([[[[0.0, 1.0]]], [[[10.0, 11.0]]]])
    predicted = torch.tensor([[[[1.0, 0.0]]], [[[11.0, 10.0]]]])
    # deviations from 5.5: stain -5.5 -4.5 4.5 5.5, predicted -4.5 -5.5 5.5 4.5
    r = 4 * (5.5 * 4.5) / (2 * (5.5**2 + 4.5**2))
    loss = correlation_loss(predicted, stain, torch.ones(2, 1))
    assert loss.item() == pytest.approx(1 - r, abs=1e-4)


def test_correlation_does_not_see_offset_and_scale() -> None:
    stain, present = _two_samples()
    assert correlation_loss(3 * stain - 7, stain, present).item() == pytest.approx(0, abs=1e-5)


def test_adversarial_losses_are_least_squares() -> None:
    real, predicted = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5])
    # discriminator: ((1-1)^2 + (0-1)^2)/2 = 0.5 and (0.25 + 0.25)/2 = 0.25, halved together
    assert discriminator_loss(real, predicted).item() == pytest.approx(0.5 * (0.5 + 0.25))
    assert generator_loss(predicted).item() == pytest.approx(0.25)  # (0.5 - 1)^2
    # a cross-entropy would grow without bound where least squares stays finite
    assert generator_loss(torch.tensor([-9.0])).item() == pytest.approx(100.0)
