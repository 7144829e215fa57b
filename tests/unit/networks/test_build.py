"""Every network keeps the contract of `DenoisingNetwork`."""

from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from ctdenoise.config.networks import (
    IdentitySettings,
    NetworkSettings,
    RedCnnSettings,
    segmentation_classes,
)
from ctdenoise.networks.build import build_network

EVERY_NETWORK = [
    IdentitySettings(),
    RedCnnSettings(channels=4, start_as_identity=False),
    RedCnnSettings(channels=4, start_as_identity=False, head={"classes": 2}),
]


@pytest.mark.parametrize("settings", EVERY_NETWORK, ids=lambda s: s.name)
class TestContract:
    def test_the_image_has_the_shape_and_type_of_the_input(self, settings):
        net = build_network(settings).eval()
        scaled = torch.rand(2, 1, net.constraints.smallest_input + 5, 32)
        with torch.no_grad():
            image = net(scaled).image
        assert image.shape == scaled.shape
        assert image.dtype == torch.float32

    def test_each_slice_of_a_batch_is_denoised_by_itself(self, settings):
        net = build_network(settings).eval()
        scaled = torch.rand(3, 1, 32, 32)
        with torch.no_grad():
            together = net(scaled).image
            alone = torch.cat([net(scaled[index : index + 1]).image for index in range(3)])
        torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)

    def test_the_input_is_not_changed(self, settings):
        net = build_network(settings).eval()
        scaled = torch.rand(1, 1, 32, 32)
        before = scaled.clone()
        with torch.no_grad():
            net(scaled)
        assert torch.equal(scaled, before)

    def test_pixels_beyond_the_receptive_field_do_not_matter(self, settings):
        net = build_network(settings).eval()
        radius = net.constraints.receptive_field_radius
        near = torch.rand(1, 1, 64, 64)
        far = near.clone()
        far[..., 0] += 1.0
        with torch.no_grad():
            difference = (net(near).image - net(far).image).abs()
        assert difference[..., radius + 1 :].max() == 0

    def test_the_folded_network_predicts_the_same(self, settings):
        net = build_network(settings).eval()
        scaled = torch.rand(1, 1, 40, 40)
        with torch.no_grad():
            torch.testing.assert_close(
                net.folded()(scaled).image, net(scaled).image, rtol=0, atol=1e-5
            )

    def test_settings_survive_json(self, settings):
        adapter = TypeAdapter(NetworkSettings)
        assert adapter.validate_python(settings.as_json()) == settings


def test_the_identity_network_returns_the_very_values():
    scaled = torch.randn(1, 1, 8, 8)
    assert torch.equal(build_network(IdentitySettings())(scaled).image, scaled)


@pytest.mark.parametrize(
    "values",
    [
        {"name": "redcnn", "channels": 0},
        {"name": "redcnn", "chanels": 96},
        {"name": "redcnn", "head": {"classes": 1}},
        {"name": "unheard-of"},
    ],
)
def test_impossible_networks_are_refused(values):
    with pytest.raises(ValidationError):
        TypeAdapter(NetworkSettings).validate_python(values)


def test_the_classes_of_a_network_are_those_of_its_head():
    assert segmentation_classes(RedCnnSettings()) is None
    assert segmentation_classes(RedCnnSettings(head={"classes": 4})) == 4
    assert segmentation_classes(IdentitySettings()) is None
