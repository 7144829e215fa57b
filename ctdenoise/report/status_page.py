"""The pages of a running service: how it goes, and what became of one job.

They are made for every request and name nobody: whoever fills them in decides what may be shown.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from ctdenoise.report.rendering import rendered

_LONGEST_REASON = 260
_SHORT_ID = 26


@dataclass(frozen=True, slots=True)
class ShownSeries:
    """One series of a job.

    Args:
        number: Of the series in its study.
        what: "CT", "scout", ...
        status: "done", "kept", "skipped", "refused", "failed".
        reason: Why nothing was made; empty otherwise.
        rule: Name of the rule.
        model: Name of the denoiser.
        slices: How many.
        seconds: How long it took; 0 for not at all.
        noise_before_hu: Noise of the scan; None if unknown.
        noise_after_hu: Noise of the result.
        description: Free text of the scanner; empty unless it may be shown.
        pictures: Addresses of the pictures before and after; empty without.
    """

    number: int
    what: str = ""
    status: str = ""
    reason: str = ""
    rule: str = ""
    model: str = ""
    slices: int = 0
    seconds: float = 0.0
    noise_before_hu: float | None = None
    noise_after_hu: float | None = None
    description: str = ""
    pictures: tuple[str, ...] = ()

    @property
    def is_made(self) -> bool:
        """Whether there is a result."""
        return self.status in {"done", "kept", ""}


@dataclass(frozen=True, slots=True)
class ShownJob:
    """One job.

    Args:
        id: What the ledger calls it.
        href: Address of its page; empty where it has none.
        state: How far it is.
        changed: Seconds since 1970 of the last move.
        created: Seconds since 1970.
        tries: How often it was begun.
        reason: Why it waits, was refused or given up.
        not_before: Seconds since 1970 before which it is not tried again; 0 for at once.
        series: What became of its series.
    """

    id: str
    href: str
    state: str
    changed: float
    created: float
    tries: int = 0
    reason: str = ""
    not_before: float = 0.0
    series: tuple[ShownSeries, ...] = ()

    @property
    def short_id(self) -> str:
        """The beginning of a long id."""
        if len(self.id) <= _SHORT_ID + 2:
            return self.id
        return self.id[:_SHORT_ID] + "\N{HORIZONTAL ELLIPSIS}"

    @property
    def made(self) -> tuple[ShownSeries, ...]:
        """The series of which there is a result."""
        return tuple(one for one in self.series if one.is_made)

    @property
    def slices(self) -> int:
        """Slices of the series of which there is a result."""
        return sum(one.slices for one in self.made)

    @property
    def seconds(self) -> float:
        """Time of all series."""
        return sum(one.seconds for one in self.series)

    @property
    def rules(self) -> str:
        """Names of the rules that took part."""
        return _listed(one.rule for one in self.made)

    @property
    def models(self) -> str:
        """Names of the denoisers."""
        return _listed(one.model for one in self.made)


@dataclass(frozen=True, slots=True)
class ShownPlace:
    """A way in or a destination.

    Args:
        name: What to call it.
        is_well: Whether it works as far as is known.
        words: How it is, in a few words.
        since: Seconds since 1970 that the words are about; None for now.
    """

    name: str
    is_well: bool
    words: str
    since: float | None = None


@dataclass(frozen=True, slots=True)
class ShownCount:
    """Jobs in one state.

    Args:
        state: The state.
        count: How many.
        words: What the state means.
    """

    state: str
    count: int
    words: str


@dataclass(frozen=True, slots=True)
class ShownTable:
    """A table of jobs.

    Args:
        title: What they have in common.
        kind: "waiting", "results" or "problems": which columns it has.
        jobs: The jobs in their order.
        total: How many there are in all; the rest is not shown.
        more: Address of a page with more of them; empty without.
        note: What to do about them; empty for nothing.
        command: The command that does it; empty without.
    """

    title: str
    kind: str
    jobs: tuple[ShownJob, ...]
    total: int
    more: str = ""
    note: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class StatusPage:
    """How it goes.

    Args:
        now: Seconds since 1970.
        version: Of ctdenoise.
        refresh_s: Seconds after which the page loads itself again; 0 for never.
        reasons: Why it does not do its work; empty if it does.
        facts: Name and value for the head.
        counts: Jobs in each state.
        selected: The state that alone is shown; empty for all.
        tables: Tables of jobs.
        entrances: How studies come in.
        destinations: Where results go.
    """

    now: float
    version: str
    refresh_s: int
    reasons: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    counts: tuple[ShownCount, ...]
    selected: str
    tables: tuple[ShownTable, ...]
    entrances: tuple[ShownPlace, ...]
    destinations: tuple[ShownPlace, ...]


@dataclass(frozen=True, slots=True)
class ShownMove:
    """One line of a history.

    Args:
        at: Seconds since 1970.
        after: The state it came to.
        reason: Why; empty where that is plain.
    """

    at: float
    after: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class JobPage:
    """What became of one job.

    Args:
        now: Seconds since 1970.
        version: Of ctdenoise.
        refresh_s: Seconds after which the page loads itself again; 0 for never.
        job: The job.
        history: What it went through, oldest first.
        patient: Name and value of what is known of the patient; empty unless it may be shown.
        command: The command that tries it again; empty where that is not possible.
    """

    now: float
    version: str
    refresh_s: int
    job: ShownJob
    history: tuple[ShownMove, ...]
    patient: tuple[tuple[str, str], ...] = field(default=())
    command: str = ""


def status_html(page: StatusPage) -> str:
    """The page of the service."""
    return rendered("status.html", page=page, **_WORDS)


def job_html(page: JobPage) -> str:
    """The page of one job."""
    return rendered("status_job.html", page=page, **_WORDS)


def style_hashes(html: str) -> tuple[str, ...]:
    """Digests of the styles in a page, as a content security policy names them.

    With them a browser takes the styles of the page itself and nothing that was slipped into it.
    """
    return tuple(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in re.findall(r"<style>(.*?)</style>", html, flags=re.DOTALL)
    )


def clock_text(seconds: float) -> str:
    """A time in the zone of this machine, with its offset: 2026-11-22 14:05:09 +01:00."""
    local = datetime.fromtimestamp(seconds).astimezone()
    offset = local.strftime("%z")
    return f"{local:%Y-%m-%d %H:%M:%S} {offset[:3]}:{offset[3:]}"


def duration_text(seconds: float) -> str:
    """A duration in its largest two units: 45 s, 3 min 20 s, 2 h 5 min, 4 d 3 h."""
    whole = max(0, round(seconds))
    if 0 < seconds < 10 and seconds != whole:
        return f"{seconds:.1f} s"
    for size, unit, smaller, small_unit in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {small_unit}" if rest else "")
    return f"{whole} s"


def _ago_text(seconds: float, now: float) -> str:
    """How long ago, or in how long."""
    if seconds > now + 1:
        return f"in {duration_text(seconds - now)}"
    return f"{duration_text(max(0, int(now - seconds)))} ago"


def _noise_text(series: ShownSeries) -> str:
    """Noise before and after, as far as it is known."""
    before, after = (
        "\N{EN DASH}" if value is None else f"{value:.1f}"
        for value in (series.noise_before_hu, series.noise_after_hu)
    )
    return before if before == after else f"{before} \N{RIGHTWARDS ARROW} {after}"


def _cut_text(text: str) -> str:
    """A reason for a table; whole on the page of its job."""
    if len(text) <= _LONGEST_REASON:
        return text
    return text[: _LONGEST_REASON - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(word for word in words if word))


_WORDS = {
    "clock": clock_text,
    "duration": duration_text,
    "ago": _ago_text,
    "noise": _noise_text,
    "cut": _cut_text,
}
"""What the templates say times and numbers with."""
