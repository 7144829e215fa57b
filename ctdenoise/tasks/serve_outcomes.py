"""What the server hands to its workers, and what it gets back of every series: plain values.

This module loads nothing that computes: the process that receives and sends stays small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ctdenoise.config.rules import Rules
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.series_facts import ArrivedBy
from ctdenoise.jobs.work import Named
from ctdenoise.tasks.serve_plan import Order

Status = Literal["done", "kept", "skipped", "refused", "failed"]

REASON_MOST = 500
"""Characters of a reason in the ledger."""


@dataclass(frozen=True, slots=True)
class StudyWork:
    """One study to work on.

    Args:
        job: Id of the job.
        made_at: Seconds since 1970 that the series are dated by.
        files: What arrived of the study, and nothing else.
        entrances: How series of some senders came; see `rule_facts`.
        scratch: Folder for this job alone; removed at the end.
        results: Folder above those of all jobs.
        thumbnails: Folder above those of the pictures of all jobs; None for no pictures.
        rules: Which series are meant.
        orders: What is done, by the name of the rule.
        made_before: Series that earlier jobs of the study made: by recipe, the folder below
            `results`.
        keep_descriptions: Whether SeriesDescription is put into the outcome.
        is_last_try: Whether a series that fails now is given up.
    """

    job: str
    made_at: int
    files: tuple[str, ...]
    entrances: Mapping[str, ArrivedBy]
    scratch: str
    results: str
    thumbnails: str | None
    rules: Rules
    orders: Mapping[str, Order]
    made_before: Mapping[str, str] = field(default_factory=dict)
    keep_descriptions: bool = False
    is_last_try: bool = False


@dataclass(frozen=True, slots=True)
class ServedSeries:
    """What became of one series of a study; what the status page shows has the same names.

    Args:
        number: Its number in the study, from 1.
        what: "CT", "scout", ...
        slices: How many slices or instances it has.
        status: "done" now, "kept" since it was made before, "skipped" by a rule or for want of one,
            "refused" as it cannot be used, "failed" for another reason.
        reason: Why it is not done.
        rule: Name of the rule; empty without one.
        model: Name of the denoiser; empty where none was asked.
        model_digest: Which one it was; empty where none was asked.
        folder: Where the result lies below the folder of all results; empty without one.
        recipe: Digest of slices, model and settings; empty where nothing was to be made.
        sha256: Digest of all files of the result.
        send_to: Names of the peers that get it.
        seconds: How long it took.
        noise_before_hu: Noise in the soft tissue of the series.
        noise_after_hu: The same in the result.
        description: SeriesDescription, where it is wanted.
        thumbnail: Number of its pictures; None without.
    """

    number: int
    what: str
    slices: int
    status: Status
    reason: str = ""
    rule: str = ""
    model: str = ""
    model_digest: str = ""
    folder: str = ""
    recipe: str = ""
    sha256: str = ""
    send_to: tuple[str, ...] = ()
    seconds: float = 0.0
    noise_before_hu: float | None = None
    noise_after_hu: float | None = None
    description: str = ""
    thumbnail: int | None = None

    def as_json(self) -> dict[str, JsonValue]:
        """As plain JSON."""
        return {**asdict(self), "send_to": list(self.send_to)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> ServedSeries:
        """Read back.

        Raises:
            TypeError: If the record is of another kind.
        """
        return cls(**{**record, "send_to": tuple(record["send_to"])})


def outcomes_of(result: Mapping[str, Any]) -> tuple[ServedSeries, ...]:
    """The series in what `process` returned, or in the result of a job; none in anything else.

    Args:
        result: Plain JSON.
    """
    try:
        return tuple(ServedSeries.from_json(one) for one in result.get("series", ()))
    except (TypeError, KeyError, AttributeError):
        return ()


_WORK = "ctdenoise.tasks.serve_work"

PROCESS = Named(_WORK, "process")
"""What a worker does with a `StudyWork`."""

CHECK_MODELS = Named(_WORK, "check_models")
"""What a worker does with orders before the first study."""
