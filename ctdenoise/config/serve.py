"""Settings of `serve`: what comes in, what is done with it, where it goes, how long it is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ctdenoise.config.base import Settings
from ctdenoise.config.executor import ExecutorSettings, LimitSettings, ProcessesSettings
from ctdenoise.config.http import HttpSettings
from ctdenoise.config.peers import Peer, PeerName, RetrySettings
from ctdenoise.config.receiver import (
    CompletenessSettings,
    InboxSettings,
    OrthancSettings,
    ReceiverSettings,
    WatchFolderSettings,
)
from ctdenoise.config.rules import Rules


class RetentionSettings(Settings):
    """How long what is no longer needed is kept, in days.

    Studies that were given up (`dead-letter`) are kept whole until a person settles them.
    """

    inbox_days: float = Field(default=2.0, ge=0)
    """What arrived of a study that is done. Longer than a sender may take to send a study again
    with a few more images."""

    refused_days: float = Field(default=7.0, ge=0)
    """What arrived of a study that was refused."""

    results_days: float = Field(default=14.0, ge=0)
    """Results of a study that is done, and its thumbnails."""

    ledger_days: float = Field(default=400.0, ge=1)
    """That a study was done or refused, and what was delivered of it. It is known again, and
    nothing of it is sent twice, for so long. Not less than any of the others."""

    backup_hours: float = Field(default=1.0, gt=0)
    """How often the ledger is copied, in hours."""

    @model_validator(mode="after")
    def _ledger_is_kept_longest(self) -> Self:
        longest = max(self.inbox_days, self.refused_days, self.results_days)
        if self.ledger_days < longest:
            raise ValueError(
                "`ledger_days` is below another of these: what is kept of a study that nobody "
                "knows any more would be worked on and sent once more"
            )
        return self


class LogSettings(Settings):
    """What the server writes about its work. It names nobody: digests, counts and reasons."""

    format: Literal["text", "json"] = "text"
    """`text`: lines for people on stderr. `json`: a JSON object a line."""

    level: Literal["debug", "info", "warning"] = "info"
    """Least important kind of line."""

    file: bool = True
    """Whether lines also go to `log.jsonl` in the state folder."""


class ServeSettings(Settings):
    """A server that works on studies as they arrive, without a person."""

    state: Path | None = None
    """Folder for everything that the server must not forget; `--state` gives another. Only one
    server at a time can use it."""

    receiver: ReceiverSettings | None = ReceiverSettings()
    """What listens for DICOM; null for nothing."""

    inbox: InboxSettings = InboxSettings()
    """How much is taken in."""

    completeness: CompletenessSettings = CompletenessSettings()
    """When a study is complete."""

    ask: PeerName | None = None
    """Name of the peer that is asked how many instances a study has, so that a complete one does
    not wait for the quiet time; null for none."""

    folders: tuple[WatchFolderSettings, ...] = ()
    """Folders whose studies are taken."""

    orthanc: tuple[OrthancSettings, ...] = ()
    """Orthanc archives whose stable studies are fetched."""

    rules: Rules = ()
    """Which series are worked on, how, and who gets the results: the first that fits is taken. A
    series that fits none is left alone, and so is what ctdenoise derived itself."""

    peers: dict[PeerName, Peer] = Field(default={})
    """Those who get results or are asked, by name."""

    executor: ExecutorSettings = ExecutorSettings(
        place=ProcessesSettings(workers=1), limits=LimitSettings(seconds=7200)
    )
    """Where studies are worked on, and what each may take."""

    work_again: RetrySettings = RetrySettings(tries=3, first_wait_s=60, longest_wait_s=3600)
    """How often work is tried that fails for a reason that may pass, such as a lost process."""

    send_again: RetrySettings = RetrySettings(tries=30, first_wait_s=10, longest_wait_s=3600)
    """How often sending is tried to a peer that cannot be reached or has no room. With these
    numbers it is given up after about a day."""

    retention: RetentionSettings = RetentionSettings()
    """How long things are kept."""

    http: HttpSettings = HttpSettings()
    """Health, metrics and the status page."""

    log: LogSettings = LogSettings()
    """What is written about the work."""

    stop_s: Annotated[float, Field(ge=0, le=3600)] = 20.0
    """Longest time to end in, seconds, when the server is told to stop. Work that is not done by
    then is stopped, and done again when the server starts."""

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for rule in self.rules:
            for name in rule.do.send_to if rule.do is not None else ():
                if name not in self.peers:
                    raise ValueError(
                        f"rule '{rule.name}' sends to {name}, which `peers` does not have"
                    )
        if self.ask is not None and self.ask not in self.peers:
            raise ValueError(f"`ask` names {self.ask}, which `peers` does not have")
        return self
