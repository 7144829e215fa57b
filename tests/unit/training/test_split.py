from __future__ import annotations

import pytest

from ctdenoise.config.training import ValidationSettings
from ctdenoise.errors import PairsError, SettingsError
from ctdenoise.training.split import split_pairs


def _patients(ranges):
    return {part.files.patient_key for part in ranges}


@pytest.mark.parametrize("seed", range(4))
def test_no_patient_is_on_both_sides(make_pair, seed):
    pairs = [make_pair(f"{i}", patient=f"p{i % 4}", slices=2) for i in range(7)]
    split = split_pairs(pairs, ValidationSettings(share=0.4), seed=seed)
    assert not _patients(split.train) & _patients(split.validation)
    assert len(_patients(split.validation)) == split.held_out_patients == 2
    assert len(split.train) + len(split.validation) == len(pairs)


def test_the_seed_and_not_the_order_of_the_pairs_decides_who_is_held_out(make_pair):
    pairs = [make_pair(f"{i}", patient=f"p{i}", slices=2) for i in range(5)]
    settings = ValidationSettings(share=0.2)
    held_out = [_patients(split_pairs(pairs, settings, seed=seed).validation) for seed in range(8)]
    turned = _patients(split_pairs(pairs[::-1], settings, seed=0).validation)
    assert turned == held_out[0]
    assert len({frozenset(patients) for patients in held_out}) > 1


def test_named_patients_are_held_out(make_pair):
    pairs = [make_pair(f"{i}", patient=f"p{i}", slices=2) for i in range(3)]
    split = split_pairs(pairs, ValidationSettings(patients=("p1",)), seed=0)
    assert _patients(split.validation) == {"p1"}


def test_an_unknown_patient_and_holding_out_everybody_are_refused(make_pair):
    pairs = [make_pair(f"{i}", patient=f"p{i}", slices=2) for i in range(2)]
    with pytest.raises(SettingsError, match="p9"):
        split_pairs(pairs, ValidationSettings(patients=("p9",)), seed=0)
    with pytest.raises(SettingsError, match="nobody"):
        split_pairs(pairs, ValidationSettings(patients=("p0", "p1")), seed=0)


def test_one_patient_keeps_its_last_slices_out_and_says_so(make_pair, caplog):
    pairs = [make_pair("a", slices=10), make_pair("b", slices=5)]  # unknown patients: maybe one
    split = split_pairs(pairs, ValidationSettings(share=0.2), seed=0)
    assert [(part.start, part.stop) for part in split.train] == [(0, 8), (0, 4)]
    assert [(part.start, part.stop) for part in split.validation] == [(8, 10), (4, 5)]
    assert "one patient" in caplog.text


def test_one_slice_cannot_be_split(make_pair):
    with pytest.raises(PairsError, match="one slice"):
        split_pairs([make_pair(slices=1)], ValidationSettings(), seed=0)
