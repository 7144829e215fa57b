"""Settings of strength, texture and noise, and the rules that choose them."""

from __future__ import annotations

import pytest

from ctdenoise.config.controls import LEVELS, Recommended
from ctdenoise.config.inference import InferSettings
from ctdenoise.config.load import find_settings_file, load_settings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.errors import SettingsError


def loaded(tmp_path, text, *overrides):
    path = tmp_path / "rules.yaml"
    path.write_text(text, encoding="utf-8")
    return load_settings(InferSettings, path, overrides)


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_a_strength_and_a_texture(level):
    settings = load_settings(InferSettings, None, [f"strength={level}"])
    assert (settings.strength, settings.texture) == LEVELS[level]


def test_levels_take_away_more_and_more():
    strengths = [strength for strength, _ in LEVELS.values()]
    assert strengths == sorted(strengths)
    assert list(LEVELS) == ["low", "medium", "high"]


def test_a_texture_that_is_given_holds_for_a_level_too():
    settings = load_settings(InferSettings, None, ["strength=low", "texture=0.2"])
    assert settings.texture == 0.2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["strength=lots"], "strength"),
        (["strength=0.5", "noise_target=10"], "strength follows from noise_target"),
        (["texture=1.2"], "texture"),
        (["noise_target=0"], "noise_target"),
    ],
    ids=["level", "both", "texture", "target"],
)
def test_what_cannot_be_meant_is_refused(changes, words):
    with pytest.raises(SettingsError, match=words):
        load_settings(InferSettings, None, changes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("presets: [{name: a, when: {kernle: B70}}]", "did you mean `kernel`"),
        ("presets: [{name: a, when: {kernel: 'B['}}]", "no regular expression"),
        ("presets: [{name: a, when: {thickness_mm: [3, 1]}}]", "can never hold"),
        ("presets: [{name: a}, {name: b, when: {kernel: B70}}]", "'b' is never chosen"),
        (
            "presets: [{name: a, when: {body_part: HEAD}}, {name: b, when: {body_part: HEAD}}]",
            "'b' is never chosen",
        ),
        ("presets: [{name: a, when: {body_part: HEAD}}, {name: a}]", "two presets are called 'a'"),
        ("presets: [{when: {body_part: HEAD}}]", "name"),
    ],
    ids=["unknown key", "pattern", "thickness", "after all", "twice", "names", "nameless"],
)
def test_a_rule_that_cannot_work_is_refused_in_one_sentence(tmp_path, text, words):
    with pytest.raises(SettingsError) as refusal:
        loaded(tmp_path, text)
    assert words in str(refusal.value)
    assert str(refusal.value).count("\n  ") <= 2


@pytest.mark.parametrize(
    ("when", "facts", "fits"),
    [
        ("{kernel: 'B[67].*'}", {"convolution_kernel": "b70f"}, True),
        ("{kernel: 'B[67]'}", {"convolution_kernel": "B70f"}, False),
        ("{kernel: '.*'}", {}, False),
        ("{body_part: CHEST, kernel: LUNG}", {"convolution_kernel": "LUNG"}, False),
        ("{manufacturer: 'SIEMENS.*'}", {"manufacturer": "Siemens Healthineers"}, True),
        ("{thickness_mm: [0, 1.5]}", {"slice_thickness_mm": 1.5}, False),
        ("{thickness_mm: [0, 1.5]}", {"slice_thickness_mm": 0.6}, True),
        ("{}", {}, True),
    ],
    ids=["pattern", "part", "unknown", "both", "maker", "upper end", "thin", "all"],
)
def test_a_rule_fits_when_all_of_its_conditions_hold(tmp_path, when, facts, fits):
    settings = loaded(tmp_path, f"presets: [{{name: a, when: {when}, strength: 0.3}}]")
    chosen, name = settings.for_scan(Acquisition(**facts))
    assert (name == "a") is fits
    assert chosen.strength == (0.3 if fits else None)
    assert chosen.presets == ()


def test_a_chosen_rule_replaces_all_controls(tmp_path):
    settings = loaded(tmp_path, "{noise_target: 9, presets: [{name: a, strength: 0.3}]}")
    chosen, _ = settings.for_scan(Acquisition())
    assert (chosen.strength, chosen.texture, chosen.noise_target) == (0.3, 0.0, None)


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"convolution_kernel": "B70f", "body_part_examined": "CHEST"}, "sharp kernel"),
        ({"convolution_kernel": "Br64d/3"}, "sharp kernel"),
        ({"convolution_kernel": "BONEPLUS", "manufacturer": "GE MEDICAL SYSTEMS"}, "sharp kernel"),
        ({"convolution_kernel": "YA"}, "sharp kernel"),
        ({"convolution_kernel": "FC52"}, "sharp kernel"),
        ({"convolution_kernel": "H31s", "body_part_examined": "HEAD"}, "head"),
        ({"convolution_kernel": "B40f", "slice_thickness_mm": 0.75}, "thin slices"),
        ({"convolution_kernel": "STANDARD", "slice_thickness_mm": 5.0}, "all others"),
        ({}, "all others"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.get("convolution_kernel", "?"),
)
def test_the_ready_presets_know_the_kernels_of_every_maker(facts, name):
    settings = load_settings(InferSettings, find_settings_file("infer", "presets"))
    assert settings.for_scan(Acquisition(**facts))[1] == name


@pytest.mark.parametrize(
    ("settings", "share"),
    [({}, 0.75), ({"strength": 0.2}, 0.2), ({"strength": 0}, 0), ({"noise_target": 8}, 1.0)],
    ids=["none", "given", "zero", "target"],
)
def test_a_strength_that_is_not_given_is_the_models_own(settings, share):
    found = InferSettings(**settings, presets=[{"name": "all", **settings}])
    assert found.share(Recommended(0.75)) == share
    figures = found.with_recommended(Recommended(0.75))
    assert (figures.strength, figures.presets[0].strength) == (share, share)
    assert figures.with_recommended(Recommended(0.1, 0.2)) == figures


@pytest.mark.parametrize(
    ("settings", "below"),
    [
        ({}, 0.1),
        ({"strength": 1}, 0.1),
        ({"keep_below_per_mm": 0.2}, 0.2),
        ({"keep_below_per_mm": 0}, 0.0),
    ],
    ids=["none", "strength", "given", "zero"],
)
def test_what_is_kept_is_the_models_own_unless_it_is_given(settings, below):
    own = Recommended(0.75, 0.1)
    found = InferSettings(**settings, presets=[{"name": "all", **settings}])
    figures = found.with_recommended(own)
    assert figures.keep_below_per_mm == figures.presets[0].keep_below_per_mm == below
    assert found.with_recommended(Recommended()).kept_below() == settings.get(
        "keep_below_per_mm", 0.0
    )


def test_ready_settings_leave_the_strength_to_the_model():
    assert load_settings(InferSettings, find_settings_file("infer", "default")).strength is None
