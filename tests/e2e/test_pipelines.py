"""The jobs in `pipelines/` call commands that exist, with settings that those commands accept."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

import pytest

from ctdenoise.config.base import Settings
from ctdenoise.config.comparison import CompareSettings
from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.load import find_settings_file, load_settings
from ctdenoise.config.phantom import PhantomSettings
from ctdenoise.config.sampling import SampleSettings
from ctdenoise.config.training import TrainSettings

FOLDER = Path(__file__).parents[2] / "pipelines"
KINDS: dict[str, type[Settings]] = {
    "phantom": PhantomSettings,
    "simulate": SimulateSettings,
    "train": TrainSettings,
    "compare": CompareSettings,
}
SAY = """#!/usr/bin/env bash
printf '%s\\x1f' "$@"
printf '\\n'
"""
"""A program that says what it was called with, words apart by a character that none of them has."""


@pytest.fixture
def spoken(tmp_path):
    """Runs a job with a program that does nothing; gives the words of every call."""
    program = tmp_path / "say"
    program.write_text(SAY, encoding="utf-8")
    program.chmod(0o755)

    def run(job, *arguments, **variables):
        done = subprocess.run(
            ["bash", FOLDER / job, *arguments, tmp_path / "out"],
            env={"PATH": "/usr/bin:/bin", "CTDENOISE": str(program), **variables},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return [line.split("\x1f")[:-1] for line in done.stdout.splitlines()]

    return run


def value_of(option, words):
    return words[words.index(option) + 1]


def changes_in(words):
    return [words[place + 1] for place, word in enumerate(words) if word == "--set"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
class TestAblations:
    def test_every_call_has_settings_that_its_command_accepts(self, spoken):
        for words in spoken("ablations.sh", SEEDS="1"):
            if words[0] in KINDS:
                file = find_settings_file(words[0], value_of("--config", words))
                load_settings(KINDS[words[0]], file, changes_in(words))

    def test_what_is_compared_was_trained_before_on_pairs_that_were_made_before(self, spoken):
        made = set()
        for words in spoken("ablations.sh", SEEDS="1 2"):
            if words[0] == "train":
                for pairs in words[1 : words.index("--config")]:
                    assert any(folder.startswith(f"{pairs}/") for folder in made)
            if words[0] == "compare":
                assert set(words[1 : words.index("--on")]) <= made
            made.add(value_of("--out", words))

    def test_variants_of_a_page_differ_in_their_settings(self, spoken):
        calls = spoken("ablations.sh", SEEDS="1")
        trained = {value_of("--out", words): words[1:-2] for words in calls if words[0] == "train"}
        for words in calls:
            if words[0] == "compare":
                variants = [tuple(trained[model]) for model in words[1 : words.index("--on")]]
                assert len(set(variants)) == len(variants) > 1

    def test_seeds_and_sizes_are_the_callers_choice(self, spoken):
        calls = spoken(
            "ablations.sh",
            ABLATIONS="gates",
            SEEDS="7",
            TRAIN_PATIENTS="2",
            TEST_PATIENTS="1",
            TRAIN_SET="steps=2 validation.every=1",
        )
        trained = [words for words in calls if words[0] == "train"]
        assert {value_of("--seed", words) for words in trained} == {"7"}
        assert all({"steps=2", "validation.every=1"} <= set(changes_in(words)) for words in trained)
        assert sum(words[0] == "phantom" for words in calls) == 3


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
class TestReleaseModels:
    @pytest.fixture
    def calls(self, spoken, tmp_path):
        for number in ("00003", "00004"):
            pair = tmp_path / "out" / "phantoms" / number / "pair"
            pair.mkdir(parents=True)
            (pair / "pair.json").write_text(f' "patient_key": "key{number}",\n', encoding="utf-8")
        return spoken("release_models.sh", "data", JUDGES="00003 00004", SERIES="one two")

    def test_every_call_has_settings_that_its_command_accepts(self, calls):
        for words in calls:
            if words[0] == "train":
                file = find_settings_file("train", value_of("--config", words))
                settings = load_settings(TrainSettings, file, changes_in(words))
                assert settings.validation.patients == ("key00003", "key00004")
            elif words[0] != "phantom":
                assert words[:2] in (
                    ["simulate", "data/series/one"],
                    ["simulate", "data/series/two"],
                )

    def test_a_patient_who_is_left_out_is_in_no_pair_that_is_learnt_from(self, calls):
        folds = {
            value_of("--out", words).rpartition("/")[2]: words
            for words in calls
            if "/folds/" in value_of("--out", words)
        }
        assert sorted(folds) == ["fast_one", "fast_two", "redcnn_one", "redcnn_two"]
        for name, words in folds.items():
            held = name.partition("_")[2]
            other = {"one": "two", "two": "one"}[held]
            learnt = words[1 : words.index("--config")]
            assert not any(pairs.endswith(f"/pairs/{held}") for pairs in learnt)
            assert sum(pairs.endswith(f"/pairs/{other}") for pairs in learnt) == 1

    def test_parts_follow_each_other_and_patients_join_in_the_last(self, calls):
        trained = {value_of("--out", w).rpartition("/")[2]: w for w in calls if w[0] == "train"}
        for name in ("fast", "redcnn"):
            parts = [trained[part] for part in (f"{name}_base", f"{name}_apart", name)]
            learnt = [words[1 : words.index("--config")] for words in parts]
            assert [Path(each[0]).name for each in learnt] == [
                "phantoms",
                "phantoms_apart",
                "phantoms",
            ]
            with_patients = [any("/pairs/" in pairs for pairs in each) for each in learnt]
            assert with_patients == [False, False, True]
            for before, words in itertools.pairwise(parts):
                assert f"init.from={value_of('--out', before)}" in changes_in(words)

    def test_the_phantoms_that_judge_are_given_to_every_training(self, calls):
        for words in (each for each in calls if each[0] == "train"):
            learnt = [Path(pairs) for pairs in words[1 : words.index("--config")]]
            numbers = {pairs.parent.name for pairs in learnt if pairs.name == "pair"}
            assert "phantoms" in {pairs.name for pairs in learnt} or numbers == {"00003", "00004"}

    def test_phantoms_that_are_there_are_not_drawn_again_and_others_are(self, calls):
        drawn = [words for words in calls if words[0] == "phantom"]
        assert len(drawn) == 1
        assert value_of("--out", drawn[0]).endswith("/phantoms_apart")
        settings = load_settings(SampleSettings, None, changes_in(drawn[0]))
        assert settings.slices_apart_mm > settings.slice_thickness_mm[1]
