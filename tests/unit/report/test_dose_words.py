"""Dose equivalence is one sentence for each lesion, at the dose next to a quarter."""

from __future__ import annotations

from ctdenoise.report.dose_words import dose_sentences
from tests.judgements import figure


def equivalent(dose: float, value: float | None, contrast: float = 3.0):
    at = (("contrast_hu", contrast), ("diameter_mm", 10.0), ("dose_percent", dose))
    return figure(
        f"dose_equivalent[10 mm, {contrast:g} HU, {dose:g} %]", value, "%", error=4, at=at
    )


def test_the_dose_next_to_a_quarter_speaks():
    found = dose_sentences([equivalent(10, 12), equivalent(30, 41), equivalent(100, 120)])
    (sentence,) = found
    assert sentence == (
        "3 HU lesions of 10 mm: after the denoiser, 30 % dose shows them as well as 41.0 % dose "
        "does without it (37.0 to 45.0 %)."
    )


def test_each_lesion_has_a_sentence_and_what_is_unknown_has_none():
    found = dose_sentences([equivalent(25, 30), equivalent(25, None, 5.0), equivalent(25, 28, 7.0)])
    assert [text[:4] for text in found] == ["3 HU", "7 HU"]


def test_other_figures_say_nothing_about_dose():
    assert dose_sentences([figure("dprime_ratio[x]", 1.0)]) == []
