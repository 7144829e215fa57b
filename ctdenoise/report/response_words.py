"""What a response says of a denoiser, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from ctdenoise.metrics.limits import Verdict

_RECOVERY = "contrast_recovery["
_DETECTABILITY = "dprime_ratio[inserted"
_FALSE = "false_structure"
_AREA = "100 cm\N{SUPERSCRIPT TWO}"


def words_about_response(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """A sentence for each kind of figure of a response that was held against a limit.

    Args:
        verdicts: Of all figures; those of other studies are left alone.
    """
    sentences = []
    for prefix, tell in (
        (_RECOVERY, _about_recovery),
        (_DETECTABILITY, _about_detectability),
        (_FALSE, _about_false_structure),
    ):
        some = [one for one in verdicts if one.metric.key.startswith(prefix)]
        if some:
            sentences.append(tell(some))
    return tuple(sentences)


def _about_recovery(verdicts: Sequence[Verdict]) -> str:
    failed = [one for one in verdicts if one.outcome == "fail"]
    if failed:
        worst = min(failed, key=_value)
        return (
            f"It takes contrast from lesions: {_count(failed, verdicts)} kinds of them that must "
            f"come through do not, at worst {_kind(worst)}, of which {100 * _value(worst):.0f} % "
            "of the contrast are left. Lower noise was bought with faint lesions."
        )
    if all(one.outcome == "pass" for one in verdicts):
        least = min(verdicts, key=_value)
        return (
            f"Lesions that must come through keep their contrast: {100 * _value(least):.0f} % at "
            f"least ({_kind(least)})."
        )
    return (
        "No kind of lesion is shown to lose its contrast, but there were too few of them to tell "
        "for all."
    )


def _about_detectability(verdicts: Sequence[Verdict]) -> str:
    failed = [one for one in verdicts if one.outcome == "fail"]
    if failed:
        worst = min(failed, key=_value)
        return (
            f"A model observer finds {_count(failed, verdicts)} kinds of faint lesions less well "
            f"after it than before, at worst {_kind(worst)}: d' is {_value(worst):.2f} times that "
            "in the scan."
        )
    if all(one.outcome == "pass" for one in verdicts):
        return "A model observer finds faint lesions as well after it as before, or better."
    return (
        "Whether a model observer finds faint lesions as well as before cannot be told from so few."
    )


def _about_false_structure(verdicts: Sequence[Verdict]) -> str:
    (verdict,) = verdicts[:1]
    metric = verdict.metric
    if verdict.outcome == "not measured" or metric.value is None:
        return "There was no calm soft tissue in which false structure could be looked for."
    upper = metric.interval.high if metric.interval else metric.value
    searched = f"{metric.mask}: {metric.reduction}"
    if verdict.outcome == "fail":
        return (
            f"It shows structure where there is none: {metric.value:.1f} spots in {_AREA} that the "
            f"scan does not explain ({searched}; {metric.note})."
        )
    if metric.value == 0:
        return (
            f"It adds no structure that the scan does not explain ({searched}; at most "
            f"{upper:.2f} in {_AREA} with 95 % confidence)."
        )
    return (
        f"It may show structure where there is none: {metric.value:.2f} spots in {_AREA}, at most "
        f"{upper:.2f} ({searched}; {metric.note})."
    )


def _count(some: Sequence[Verdict], of: Sequence[Verdict]) -> str:
    return f"{len(some)} of {len(of)}"


def _kind(verdict: Verdict) -> str:
    """The lesion of a figure: "15 HU, 7 mm"."""
    inner = verdict.metric.key.partition("[")[2].rstrip("]")
    return inner.removeprefix("inserted, ")


def _value(verdict: Verdict) -> float:
    value = verdict.metric.value
    return 1.0 if value is None else value
