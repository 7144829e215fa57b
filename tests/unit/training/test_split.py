from __future__ import annotations

import shutil

import pytest

from ctdenoise.config.training import ValidationSettings
from ctdenoise.errors import PairsError, SettingsError
from ctdenoise.io.pair_manifest import MANIFEST_FILE, read_manifest
from ctdenoise.io.pairs import find_pairs
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


def test_a_gap_keeps_slices_of_the_only_patient_apart(make_pair):
    pair = make_pair(slices=10)
    spacing_mm = pair.geometry.slice_spacing_mm
    split = split_pairs([pair], ValidationSettings(gap_mm=1.5 * spacing_mm), seed=0)
    assert [(part.start, part.stop) for part in split.train] == [(0, 6)]
    assert [(part.start, part.stop) for part in split.validation] == [(8, 10)]
    with pytest.raises(PairsError, match="no slice of the only patient"):
        split_pairs([pair], ValidationSettings(gap_mm=100 * spacing_mm), seed=0)


def test_one_scan_at_several_doses_in_several_folders_stays_on_one_side(make_pair):
    pairs = [
        make_pair(f"{patient}{dose}", patient=patient, doses=(dose,), slices=2)
        for patient in ("p0", "p1", "p2")
        for dose in (0.1, 0.25, 0.5)
    ]
    for seed in range(6):
        split = split_pairs(pairs, ValidationSettings(share=0.3), seed=seed)
        digests = [
            {read_manifest(part.files.folder / MANIFEST_FILE).full.sha256 for part in side}
            for side in (split.train, split.validation)
        ]
        assert not digests[0] & digests[1]
        assert len(split.validation) == 3


def test_copies_of_a_scan_under_two_patient_keys_may_not_be_on_both_sides(make_pair, tmp_path):
    original = make_pair("a", patient="p0", slices=2)
    make_pair("b", patient="p1", slices=2)
    copy = original.folder.parent / "copy"
    shutil.copytree(original.folder, copy)
    manifest = copy / MANIFEST_FILE
    manifest.write_text(manifest.read_text().replace('"p0"', '"p9"'))
    pairs = find_pairs([original.folder.parent])
    assert {files.patient_key for files in pairs} == {"p0", "p1", "p9"}
    with pytest.raises(PairsError, match="same full-dose scan under different patient keys"):
        split_pairs(pairs, ValidationSettings(patients=("p9",)), seed=0)
    both = split_pairs(pairs, ValidationSettings(patients=("p0", "p9")), seed=0)
    assert _patients(both.train) == {"p1"}


def test_pairs_without_a_key_stay_together_and_are_said_to_be_uncertain(make_pair, caplog):
    pairs = [make_pair(f"u{i}", slices=2, seed=i) for i in range(3)]
    pairs.append(make_pair("k", patient="p0", slices=2))
    split = split_pairs(pairs, ValidationSettings(patients=("p0",)), seed=0)
    assert _patients(split.train) == {""}
    assert len(split.train) == 3
    assert "no patient key" in caplog.text
