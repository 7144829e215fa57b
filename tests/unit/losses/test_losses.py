"""Losses are the formulas of the design."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from ctdenoise.config.losses import LossSettings
from ctdenoise.errors import UsageError
from ctdenoise.losses.build import Target, build_loss
from ctdenoise.losses.segmentation import SMOOTHING, dice
from ctdenoise.networks.prediction import Prediction

CLASSES = 3


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def some_labels(seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, CLASSES, (2, 8, 8), generator=generator, dtype=torch.uint8)


def certain(labels: torch.Tensor) -> torch.Tensor:
    """Scores whose softmax is the one-hot code of the labels."""
    one_hot = torch.nn.functional.one_hot(labels.long(), CLASSES).movedim(-1, 1)
    return 100.0 * one_hot.float()


def loss_of(*terms: dict[str, object]):
    return build_loss(LossSettings.model_validate({"terms": terms}))


def test_mse_is_the_mean_squared_difference():
    image, full = random(2, 1, 8, 8), random(2, 1, 8, 8, seed=2)
    found = loss_of({"name": "mse"})(Prediction(image), Target(full))
    torch.testing.assert_close(found.total, ((image - full) ** 2).mean())
    torch.testing.assert_close(found.terms["mse"], found.total)


def test_cross_entropy_is_minus_the_mean_logarithm_of_the_true_class():
    logits, labels = random(2, CLASSES, 8, 8), some_labels()
    image = random(2, 1, 8, 8)
    found = loss_of({"name": "cross_entropy"})(Prediction(image, logits), Target(image, labels))
    probability = logits.softmax(1).gather(1, labels.long().unsqueeze(1))
    torch.testing.assert_close(found.total, -probability.log().mean())


@pytest.mark.parametrize("include_background", [True, False])
def test_dice_is_the_formula_summed_over_the_classes(include_background):
    logits, labels = random(2, CLASSES, 8, 8), some_labels()
    p = logits.softmax(1)
    expected = torch.zeros(())
    for index in range(0 if include_background else 1, CLASSES):
        t = (labels == index).float()
        q = p[:, index]
        expected = expected + 1 - 2 * (t * q).sum() / ((t**2).sum() + (q**2).sum())
    # Smoothing moves each class by less than its share of a sum of some 20 pixels.
    torch.testing.assert_close(
        dice(logits, labels, include_background=include_background),
        expected,
        rtol=0,
        atol=CLASSES * SMOOTHING,
    )


def test_dice_is_0_at_perfect_overlap():
    labels = some_labels()
    assert float(dice(certain(labels), labels, include_background=True)) == pytest.approx(
        0, abs=1e-6
    )


def test_dice_is_1_for_each_class_without_overlap():
    labels = some_labels()
    wrong = certain((labels + 1) % CLASSES)
    found = float(dice(wrong, labels, include_background=True))
    # Smoothing over a class of some 80 pixels: far below 1e-6 each.
    assert found == pytest.approx(CLASSES, abs=1e-5)


def test_a_class_that_is_nowhere_costs_nothing():
    labels = torch.zeros(1, 8, 8, dtype=torch.uint8)
    assert float(dice(certain(labels), labels, include_background=True)) == pytest.approx(
        0, abs=1e-6
    )


def test_a_class_that_is_not_shown_costs_what_its_share_of_the_softmax_says():
    labels = torch.zeros(1, 8, 8, dtype=torch.uint8)
    for share in (0.5, 1e-4):
        logits = torch.tensor([1 - share, share]).log()[None, :, None, None].expand(1, 2, 8, 8)
        logits = logits.clone().requires_grad_()
        p = logits.detach().softmax(1)[:, 1]
        squares = float((p**2).sum())
        background = 1 - 2 * 64 * (1 - share) / (64 + 64 * (1 - share) ** 2)
        found = dice(logits.detach(), labels, include_background=True)
        expected = 1 - SMOOTHING / (squares + SMOOTHING) + background
        assert float(found) == pytest.approx(expected, abs=1e-5)
        # Flat: the background's own term is nearly all of what pulls.
        alone = dice(logits, labels, include_background=False)
        (pull,) = torch.autograd.grad(alone, logits)
        assert float(pull.abs().max()) < 0.02


def test_the_dice_of_a_batch_is_not_the_mean_of_the_dice_of_its_halves():
    labels = torch.zeros(2, 4, 4, dtype=torch.uint8)
    labels[0, :2] = 1
    logits = random(2, 2, 4, 4)
    halves = [dice(logits[n : n + 1], labels[n : n + 1], include_background=True) for n in (0, 1)]
    assert abs(dice(logits, labels, include_background=True) - sum(halves) / 2) > 0.05


def test_weighted_cross_entropy_is_a_mean_over_pixels_and_so_over_pieces():
    logits, labels = random(2, CLASSES, 8, 8), some_labels()
    weights = [0.5, 2.0, 10.0]
    image = random(2, 1, 8, 8)
    loss = loss_of({"name": "cross_entropy", "class_weights": weights})
    found = loss(Prediction(image, logits), Target(image, labels)).total
    pixelwise = -logits.log_softmax(1).gather(1, labels.long().unsqueeze(1))[:, 0]
    torch.testing.assert_close(found, (torch.tensor(weights)[labels.long()] * pixelwise).mean())
    halves = [
        loss(Prediction(image[n], logits[n]), Target(image[n], labels[n])).total
        for n in (slice(0, 1), slice(1, 2))
    ]
    torch.testing.assert_close(found, sum(halves) / 2)
    equal = loss_of({"name": "cross_entropy", "class_weights": [1.0] * CLASSES})
    plain = loss_of({"name": "cross_entropy"})
    given = Prediction(image, logits), Target(image, labels)
    torch.testing.assert_close(equal(*given).total, plain(*given).total)


def test_the_total_is_the_weighted_sum_and_terms_are_before_their_weight():
    image, full = random(2, 1, 8, 8), random(2, 1, 8, 8, seed=2)
    prediction = Prediction(image, random(2, CLASSES, 8, 8))
    found = loss_of(
        {"name": "mse", "weight": 2.0},
        {"name": "cross_entropy", "weight": 0.5},
        {"name": "dice", "weight": 0.25},
    )(prediction, Target(full, some_labels()))
    assert list(found.terms) == ["mse", "cross_entropy", "dice"]
    expected = (
        2.0 * found.terms["mse"] + 0.5 * found.terms["cross_entropy"] + 0.25 * found.terms["dice"]
    )
    torch.testing.assert_close(found.total, expected)
    assert not any(value.requires_grad for value in found.terms.values())


@pytest.mark.parametrize("name", ["mse", "cross_entropy", "dice"])
def test_every_loss_has_a_gradient_and_falls_along_it(name):
    image = random(2, 1, 8, 8).requires_grad_()
    logits = random(2, CLASSES, 8, 8, seed=4).requires_grad_()
    target = Target(random(2, 1, 8, 8, seed=5), some_labels())
    loss = loss_of({"name": name})
    before = loss(Prediction(image, logits), target).total
    before.backward()
    moved = image if name == "mse" else logits
    with torch.no_grad():
        moved -= 0.1 * moved.grad
    assert loss(Prediction(image, logits), target).total < before


@pytest.mark.parametrize("name", ["cross_entropy", "dice"])
def test_labels_are_asked_for_by_name(name):
    prediction = Prediction(random(1, 1, 8, 8), random(1, CLASSES, 8, 8))
    with pytest.raises(UsageError, match=f"`{name}` needs labels"):
        loss_of({"name": name})(prediction, Target(random(1, 1, 8, 8)))


@pytest.mark.parametrize("name", ["cross_entropy", "dice"])
def test_a_head_is_asked_for_by_name(name):
    target = Target(random(1, 1, 8, 8), some_labels()[:1])
    with pytest.raises(UsageError, match="segmentation head"):
        loss_of({"name": name})(Prediction(random(1, 1, 8, 8)), target)


@pytest.mark.parametrize("name", ["mse", "cross_entropy", "dice"])
def test_losses_are_computed_in_float32_under_low_precision(name):
    half = Prediction(random(1, 1, 8, 8).bfloat16(), random(1, CLASSES, 8, 8).bfloat16())
    found = loss_of({"name": name})(half, Target(random(1, 1, 8, 8), some_labels()[:1]))
    assert found.total.dtype == torch.float32


@pytest.mark.parametrize(
    "terms",
    [
        [],
        [{"name": "mse"}, {"name": "mse", "weight": 2.0}],
        [{"name": "mse", "weight": 0.0}],
        [{"name": "mse", "wieght": 1.0}],
        [{"name": "l7"}],
        [{"name": "cross_entropy", "class_weights": [0.0, 0.0]}],
        [{"name": "cross_entropy", "class_weights": [1.0, -1.0]}],
    ],
)
def test_impossible_losses_are_refused(terms):
    with pytest.raises(ValidationError):
        LossSettings.model_validate({"terms": terms})


def test_only_segmentation_terms_need_labels():
    assert not LossSettings().needs_labels
    assert LossSettings.model_validate({"terms": [{"name": "dice"}]}).needs_labels


def test_what_a_network_adds_itself_is_part_of_the_total_and_named():
    image, full = random(2, 1, 8, 8), random(2, 1, 8, 8)
    plain = loss_of({"name": "mse"})(Prediction(image), Target(full))
    found = loss_of({"name": "mse"})(Prediction(image, penalty=torch.tensor(0.5)), Target(full))
    assert found.total == plain.total + 0.5
    assert found.terms["penalty"] == 0.5
