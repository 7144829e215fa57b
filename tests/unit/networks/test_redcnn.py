"""RED-CNN is the network of its paper."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name

from ctdenoise.config.networks import RedCnnSettings, SegmentationHeadSettings
from ctdenoise.networks.build import build_network
from ctdenoise.networks.prediction import DenoisingNetwork


def small(**changes: object) -> RedCnnSettings:
    return RedCnnSettings.model_validate({"channels": 4, "start_as_identity": False, **changes})


def network(settings: RedCnnSettings, seed: int = 0) -> DenoisingNetwork:
    return build_network(settings, generator=torch.Generator().manual_seed(seed)).eval()


def slices(count: int = 2, size: int = 64, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(seed))


def as_written_in_the_paper(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The formulas of the design, layer by layer, on the raw weights."""

    def down(index: int, maps: torch.Tensor) -> torch.Tensor:
        return F.conv2d(maps, state[f"conv{index}.weight"], state[f"conv{index}.bias"])

    def up(index: int, maps: torch.Tensor) -> torch.Tensor:
        weight, bias = state[f"tconv{index}.weight"], state[f"tconv{index}.bias"]
        return F.conv_transpose2d(maps, weight, bias)

    c1 = down(1, x)
    c2 = down(2, torch.relu(c1))
    c3 = down(3, torch.relu(c2))
    c4 = down(4, torch.relu(c3))
    c5 = down(5, torch.relu(c4))
    d1 = up(1, torch.relu(c5)) + torch.relu(c4)
    d2 = up(2, torch.relu(d1))
    d3 = up(3, torch.relu(d2)) + torch.relu(c2)
    d4 = up(4, torch.relu(d3))
    return up(5, torch.relu(d4)) + x


def test_it_has_1848865_parameters_at_96_channels():
    full = build_network(RedCnnSettings())
    assert sum(weight.numel() for weight in full.parameters()) == 1_848_865


def test_the_output_is_the_formula_of_the_paper():
    net = network(small())
    with torch.no_grad():
        for parameter in net.parameters():  # biases start at zero: let them count too
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator()))
        found = net(slices()).image
        expected = as_written_in_the_paper(net.state_dict(), slices())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_a_last_relu_cuts_below_zero_and_only_there():
    plain, cut = network(small()), network(small(final_relu=True))
    with torch.no_grad():
        without, with_relu = plain(slices() - 0.5).image, cut(slices() - 0.5).image
    assert without.min() < 0
    torch.testing.assert_close(with_relu, without.clamp(min=0), rtol=0, atol=0)


@pytest.mark.parametrize("size", [21, 22, 40, 64])
def test_the_size_is_kept_down_to_the_smallest_input(size):
    with torch.no_grad():
        assert network(small())(slices(1, size)).image.shape == (1, 1, size, size)


def test_the_smallest_input_is_21():
    net = network(small())
    assert net.constraints.smallest_input == 21
    with pytest.raises(RuntimeError), torch.no_grad():
        net(slices(1, 20))


def test_the_receptive_field_is_41_pixels_wide():
    net = network(small())
    x = slices(1, 81).requires_grad_()
    net(x).image[0, 0, 40, 40].backward()
    rows, columns = torch.nonzero(x.grad[0, 0], as_tuple=True)
    assert (rows.min(), rows.max()) == (20, 60)
    assert (columns.min(), columns.max()) == (20, 60)
    assert net.constraints.receptive_field_radius == 20


def test_every_parameter_gets_a_gradient():
    net = network(small(head={"classes": 3}))
    prediction = net(slices())
    (prediction.image.square().sum() + prediction.logits.square().sum()).backward()
    without = [
        name
        for name, parameter in net.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    ]
    assert without == []


def test_a_fresh_network_returns_its_input_exactly_by_default():
    net = network(RedCnnSettings(channels=4))
    with torch.no_grad():
        assert torch.equal(net(slices()).image, slices())


def test_a_fresh_identity_start_still_learns():
    net = network(RedCnnSettings(channels=4)).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    losses = []
    for _ in range(5):
        loss = (net(slices()).image - 0.5 * slices()).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("channels", [16, 32])
def test_scaled_weights_shrink_with_the_width_of_the_layer(channels):
    weight = network(small(channels=channels), seed=3).state_dict()["conv3.weight"]
    expected = (3 * channels * 25) ** -0.5
    # 6,400 draws or more: the standard error of a standard deviation is 0.9 %; five of them.
    assert float(weight.std()) == pytest.approx(expected, rel=0.045)


def test_a_narrow_network_learns_more_in_its_first_steps_than_with_the_weights_of_the_paper():
    generator = torch.Generator().manual_seed(11)
    full = 0.25 + 0.02 * torch.randn(4, 1, 9, 9, generator=generator)
    full = F.interpolate(full, size=(40, 40), mode="bicubic")
    low = full + 0.01 * torch.randn(full.shape, generator=generator)
    errors = {}
    for init in ("scaled", "gaussian"):
        net = network(RedCnnSettings(channels=8, init=init), seed=1).train()
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
        for _ in range(40):
            loss = (net(low).image - full).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        errors[init] = loss.item()
    before = (low - full).square().mean().item()
    assert errors["scaled"] < 0.9 * before
    assert errors["scaled"] < errors["gaussian"]


def test_gaussian_weights_have_the_deviation_of_the_paper():
    weight = network(small(channels=32, init="gaussian")).state_dict()["conv3.weight"]
    assert float(weight.std()) == pytest.approx(0.01, rel=0.022)


def test_the_same_generator_gives_the_same_weights():
    first, second, other = network(small(), 1), network(small(), 1), network(small(), 2)
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)
    )
    assert not torch.equal(first.state_dict()["conv1.weight"], other.state_dict()["conv1.weight"])


def test_building_with_a_generator_leaves_the_global_random_state_alone():
    before = torch.random.get_rng_state()
    network(small())
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_head_gives_one_map_per_class_at_full_size():
    net = network(small(head=SegmentationHeadSettings(classes=5)))
    with torch.no_grad():
        prediction = net(slices(2, 48))
    assert prediction.logits.shape == (2, 5, 48, 48)
    assert prediction.image.shape == (2, 1, 48, 48)


def test_the_head_does_not_change_the_image():
    with torch.no_grad():
        plain = network(small(), 5)
        headed = network(small(head={"classes": 3}), 9)
        headed.load_state_dict(plain.state_dict(), strict=False)
        assert torch.equal(plain(slices()).image, headed(slices()).image)


@pytest.mark.parametrize("head", [None, {"classes": 3}])
def test_transposed_convolutions_equal_flipped_plain_ones(head):
    net = network(small(channels=8, head=head))
    folded = net.folded()
    assert not any(isinstance(layer, torch.nn.ConvTranspose2d) for layer in folded.modules())
    with torch.no_grad():
        plain, fast = net(slices()), folded(slices())
    torch.testing.assert_close(fast.image, plain.image, rtol=0, atol=1e-5)
    if head:
        torch.testing.assert_close(fast.logits, plain.logits, rtol=0, atol=1e-5)


def test_folding_leaves_the_network_itself_trainable():
    net = network(small())
    keys = set(net.state_dict())
    net.folded()
    assert set(net.state_dict()) == keys
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_the_image_is_float32_when_the_weights_are_bfloat16():
    net = network(small(channels=8))
    half = network(small(channels=8)).to(torch.bfloat16)
    with torch.no_grad():
        exact, rounded = net(slices()).image, half(slices()).image
    assert rounded.dtype == torch.float32
    # bfloat16 keeps 8 bits; only the change goes through it, in ten layers.
    change = (exact - slices()).abs().max()
    assert (rounded - exact).abs().max() < 0.05 * change
