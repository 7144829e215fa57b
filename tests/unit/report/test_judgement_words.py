"""The verdict in words says what was won and what was lost for it."""

from __future__ import annotations

import pytest

from ctdenoise.config.limits import DENOISER_LIMITS
from ctdenoise.metrics.limits import judged
from ctdenoise.metrics.measured import Measured
from ctdenoise.metrics.table import Interval, Metric
from ctdenoise.report.judgement_words import at_words, headline, limit_rows


def metric(
    key: str, value: float | None, unit: str = "", *, error: float | None = None, at=(), title=""
):
    interval = None
    if error is not None and value is not None:
        interval = Interval(value - error, value + error, "exact")
    return Metric(
        key,
        title or key.partition("[")[0].replace("_", " ").capitalize(),
        value,
        unit,
        window="none",
        mask="",
        reduction="",
        better="neither",
        description="",
        interval=interval,
        at=at,
    )


LESION = (("contrast_hu", 15.0), ("diameter_mm", 7.0))
RMSE = metric("rmse_change", -60.0, "%")
NOISE = metric("noise_change[scan]", -75.0, "%")


def words(*metrics: Metric):
    return headline(Measured(metrics), judged(metrics, DENOISER_LIMITS))


def recovery(value: float, error: float = 0.02, at=LESION) -> Metric:
    return metric("contrast_recovery[15 HU, 7 mm]", value, error=error, at=at)


def test_less_error_for_fainter_lesions_fails_in_words():
    found = words(RMSE, NOISE, recovery(0.41))
    assert found.outcome == "fail"
    assert found.sentence == (
        "RMSE falls by 60 %, but contrast of 15 HU lesions of 7 mm falls to 0.41: fails."
    )
    assert found.counts == "1 limit: 1 failed"


def test_nothing_passes_where_a_study_could_not_be_done():
    metrics = (NOISE, recovery(0.97, 0.01))
    verdicts = judged(metrics, DENOISER_LIMITS)
    found = headline(Measured(metrics), verdicts, ("lcd: an output without noise",))
    assert found.outcome == "unclear"
    assert "could be measured" in found.sentence


def test_without_a_truth_noise_is_what_was_won():
    found = words(NOISE, recovery(0.97, 0.01))
    assert found.sentence == "Noise falls by 75 %, and all limits that were tested are met."
    assert found.outcome == "pass"


def test_an_interval_over_the_limit_is_told_as_such():
    found = words(NOISE, recovery(0.91, 0.05))
    assert found.outcome == "unclear"
    assert "cannot be told" in found.sentence
    assert found.counts == "1 limit: 1 cannot be told"


def test_the_worst_figure_of_a_limit_speaks_for_it():
    far = recovery(0.3, at=(("contrast_hu", 20.0), ("diameter_mm", 10.0)))
    row = limit_rows(judged([recovery(0.8), far, recovery(0.99, 0.01)], DENOISER_LIMITS))[0]
    assert row.value == "0.30"
    assert row.where == "worst: 20 HU lesions of 10 mm"
    assert row.figures == "3 figures: 2 fail, 1 pass"
    assert row.limit == "at least 0.9"


@pytest.mark.parametrize(
    ("lost", "text"),
    [
        (
            metric("drift[soft]", 2.34, "HU", error=0.1, title="Drift of soft tissue"),
            "soft tissue drifts by +2.3 HU",
        ),
        (
            metric("fav_shift[scan]", -35.0, "%"),
            "noise becomes coarser (mean frequency falls by 35 %)",
        ),
        (
            metric(
                "dprime_ratio[10 mm, 3 HU, 25 %]",
                0.7,
                error=0.1,
                at=(("contrast_hu", 3.0), ("diameter_mm", 10.0), ("dose_percent", 25.0)),
            ),
            "detectability of 3 HU lesions of 10 mm at 25 % dose falls to 0.70",
        ),
        (
            metric("ttf50_ratio[20 HU]", 0.6, at=(("contrast_hu", 20.0),)),
            "resolution at 20 HU contrast falls to 0.60",
        ),
        (metric("z_ttf50_ratio", 0.5), "resolution along the patient falls to 0.50"),
    ],
    ids=["drift", "texture", "detectability", "resolution", "along"],
)
def test_each_kind_of_loss_has_its_words(lost, text):
    assert f"Noise falls by 75 %, but {text}: fails." in words(NOISE, lost).sentence


def test_many_losses_are_counted_after_the_worst():
    metrics = [
        recovery(0.4),
        metric("fav_shift[scan]", -50.0, "%"),
        metric("drift[soft]", 3.0, "HU"),
        metric("z_ttf50_ratio", 0.5),
        metric("ttf50_ratio[20 HU]", 0.6, at=(("contrast_hu", 20.0),)),
        metric("dprime_ratio[x]", 0.6),
    ]
    sentence = words(*metrics).sentence
    assert sentence.startswith("Contrast of 15 HU lesions of 7 mm falls to 0.40, detectability of")
    assert sentence.endswith("and 3 more limits are failed: fails.")


def test_nothing_judged_is_said():
    assert words(NOISE).outcome == "not measured"
    assert words(NOISE).sentence == "Noise falls by 75 %. No limit was tested."


def test_what_is_not_measured_is_neither_met_nor_failed():
    found = words(NOISE, metric("fav_shift[scan]", None, "%"))
    assert found.outcome == "not measured"
    assert found.counts == "1 limit: 1 not measured"


def test_a_place_in_words_has_true_minus_signs():
    lesion = metric("x", 1.0, at=(("contrast_hu", -20.0), ("diameter_mm", 5.0)))
    assert at_words(lesion) == "\N{MINUS SIGN}20 HU lesions of 5 mm"


def test_bright_and_dark_lesions_are_one_loss():
    dark = metric(
        "contrast_recovery[-20 HU, 7 mm]",
        0.5,
        error=0.02,
        at=(("contrast_hu", -20.0), ("diameter_mm", 7.0)),
    )
    sentence = words(NOISE, recovery(0.41), dark).sentence
    assert "contrast of 15 HU lesions of 7 mm falls to 0.41, and 1 more limit is failed" in sentence
