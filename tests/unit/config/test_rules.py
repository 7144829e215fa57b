"""Rules of the server: which series they mean, what they do, and which of them are refused."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from ctdenoise.config.base import Settings
from ctdenoise.config.load import load_settings
from ctdenoise.config.pattern import TEXT_MOST, Pattern, fits
from ctdenoise.config.rules import RuleConditions, Rules, RuleSettings, first_fitting
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.series_facts import SeriesFacts
from ctdenoise.errors import SettingsError

CHEST = SeriesFacts(
    "CT",
    120,
    plane="axial",
    acquisition=Acquisition(
        manufacturer="Maker",
        manufacturer_model_name="Scanner 7",
        slice_thickness_mm=1.0,
        convolution_kernel="B70f",
        body_part_examined="CHEST",
    ),
    modality="CT",
    protocol="Thorax routine",
    study_description="CT Thorax",
    series_description="Lung 1.0",
    image_type="ORIGINAL/PRIMARY/AXIAL",
    sender="SCANNER1",
)
DO = {"model": "identity"}


class Listed(Settings):
    """A list of rules, as a settings file has it."""

    rules: Rules = ()
    """The rules."""


class Single(Settings):
    """One pattern."""

    pattern: Pattern
    """The pattern."""


def rules(*written):
    return Listed.model_validate({"rules": [{"do": DO, **rule} for rule in written]}).rules


@pytest.mark.parametrize(
    ("condition", "other"),
    [
        ({"what": "CT"}, {"what": "scout"}),
        ({"modality": "CT"}, {"modality": "PT"}),
        ({"kernel": "b[67].*"}, {"kernel": "B30f"}),
        ({"body_part": "CHEST|THORAX"}, {"body_part": "HEAD"}),
        ({"manufacturer": "mak.*"}, {"manufacturer": "Monger"}),
        ({"manufacturer_model": "scanner \\d"}, {"manufacturer_model": "Scanner"}),
        ({"thickness_mm": [0, 1.5]}, {"thickness_mm": [1.5, 9]}),
        ({"protocol": ".*routine"}, {"protocol": "Thorax"}),
        ({"study_description": "CT.*"}, {"study_description": "MR.*"}),
        ({"series_description": "lung.*"}, {"series_description": "Bone.*"}),
        ({"image_type": "ORIGINAL/.*"}, {"image_type": "DERIVED/.*"}),
        ({"plane": ["axial"]}, {"plane": ["coronal", "sagittal"]}),
        ({"slices": [120, 121]}, {"slices": [121, None]}),
        ({"slices": [None, None]}, {"slices": [None, 120]}),
        ({"sender": "SCANNER\\d"}, {"sender": "ARCHIVE"}),
        ({"arrived_by": ["dimse"]}, {"arrived_by": ["folder", "orthanc"]}),
    ],
    ids=lambda value: next(iter(value)),
)
def test_a_condition_holds_for_what_it_says_and_for_nothing_else(condition, other):
    assert RuleConditions.model_validate(condition).fit(CHEST)
    wrong = RuleConditions.model_validate(other)
    assert not wrong.fit(CHEST)
    (why,) = wrong.misfits(CHEST)
    assert why.startswith(f"{next(iter(other))} is ")


def test_what_a_header_does_not_say_fits_nothing():
    silent = SeriesFacts("", 0)
    for condition in ("what", "modality", "kernel", "body_part", "manufacturer", "protocol"):
        assert not RuleConditions.model_validate({condition: ".*"}).fit(silent)
    assert not RuleConditions(thickness_mm=(0, 100)).fit(silent)
    assert not RuleConditions(plane=("axial",)).fit(silent)


def test_the_first_rule_that_fits_is_taken():
    found = rules(
        {"name": "head", "when": {"body_part": "HEAD"}},
        {"name": "sharp", "when": {"kernel": "B[67].*"}},
        {"name": "all"},
    )
    assert [rule.name for rule in found] == ["head", "sharp", "all"]
    assert first_fitting(found, CHEST) == found[1]
    head = replace(CHEST, acquisition=replace(CHEST.acquisition, body_part_examined="HEAD"))
    assert first_fitting(found, head) == found[0]
    assert first_fitting(found[:1], CHEST) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"kernel": "B70"}),
        ({"slices": [20, None]}, {"slices": [50, 100]}),
        ({"thickness_mm": [0, 3]}, {"thickness_mm": [1, 3], "kernel": "B70"}),
        ({"plane": ["axial", "coronal"]}, {"plane": ["axial"]}),
        ({"modality": "CT"}, {"modality": "CT", "body_part": "HEAD"}),
    ],
    ids=["all", "slices", "thickness", "plane", "further-condition"],
)
def test_a_rule_that_can_never_be_taken_is_refused(before, after):
    first, second = {"name": "a", "when": before}, {"name": "b", "when": after}
    with pytest.raises(ValueError, match="'b' is never chosen"):
        rules(first, second)
    assert len(rules({"name": "b", "when": after}, {"name": "a", "when": before})) == 2


def test_rules_have_names_of_their_own_and_either_do_or_skip():
    with pytest.raises(ValueError, match="two rules are called 'a'"):
        rules({"name": "a", "when": {"modality": "CT"}}, {"name": "a"})
    for wrong in ({"name": "a"}, {"name": "a", "do": DO, "skip": "both"}):
        with pytest.raises(ValueError, match="either `do` or `skip`"):
            RuleSettings.model_validate(wrong)


def test_a_rule_says_what_infer_is_told():
    (rule,) = rules({"name": "a", "do": {**DO, "change": {"strength": "low"}}})
    settings = rule.do.infer_settings()
    assert (settings.strength, settings.texture) == (0.3, 1.0)
    assert settings.checks.on_error == "stop"
    (rule,) = rules({"name": "a", "do": {**DO, "on_error": "warn", "infer": "presets"}})
    assert rule.do.infer_settings().checks.on_error == "warn"
    assert rule.do.infer_settings().presets


def test_a_strength_in_a_rule_sets_presets_aside():
    action = {**DO, "infer": "presets", "change": {"strength": 0.5}}
    (rule,) = rules({"name": "a", "do": action})
    assert rule.do.infer_settings().presets == ()


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ({"change": {"strenght": 0.5}}, "did you mean `strength`"),
        ({"change": {"strength": 2}}, "less than or equal to 1"),
        ({"infer": "absent"}, "no such settings file"),
    ],
    ids=["unknown", "value", "file"],
)
def test_what_infer_would_refuse_is_refused_with_the_rule(action, words, tmp_path):
    path = tmp_path / "serve.yaml"
    path.write_text("rules: [{name: a, do: {model: identity}}]", encoding="utf-8")
    assert load_settings(Listed, path).rules[0].name == "a"
    with pytest.raises(ValueError, match=words):
        rules({"name": "a", "do": {**DO, **action}})


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+b",
        "(a|aa)+$",
        "(.*)*",
        "(\\w+\\s?)*$",
        "(?:x?){50}",
        "x?" * 40,
        ".*a.*b.*c.*d.*",
        "B[",
    ],
)
def test_a_pattern_that_could_take_for_ever_is_refused(pattern):
    with pytest.raises(ValueError, match=r"take for ever|no regular expression"):
        Single(pattern=pattern)


def test_the_slowest_pattern_that_is_allowed_ends_soon():
    pattern = Single(pattern="a*a*a*a*b").pattern
    begun = time.process_time()
    assert not fits(pattern, "a" * 10_000)
    assert time.process_time() - begun < 20  # measured: 0.13 s
    assert fits("a*", "a" * (TEXT_MOST + 1))


def test_an_unknown_key_of_a_rule_is_told_with_its_place(tmp_path):
    path = tmp_path / "serve.yaml"
    path.write_text(
        "rules:\n  - name: a\n    when: {kernle: B70}\n    do: {model: identity}\n",
        encoding="utf-8",
    )
    with pytest.raises(SettingsError, match=r"line 3: unknown key .*did you mean `kernel`"):
        load_settings(Listed, path)
