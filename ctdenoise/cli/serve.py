"""`ctdenoise serve`."""

from __future__ import annotations

import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ctdenoise.cli.options import Config, Overrides

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from ctdenoise.tasks.serve import Ready, ServeReport
    from ctdenoise.tasks.serve_explain import ExplainedSeries
    from ctdenoise.tasks.serve_shared import Alarm


_log = logging.getLogger(__name__)


def serve(
    *,
    config: Config = None,
    overrides: Overrides = (),
    state: Annotated[Path | None, Parameter(name="--state")] = None,
    once: Annotated[bool, Parameter(name="--once", negative="")] = False,
    explain: Annotated[Path | None, Parameter(name="--explain")] = None,
) -> int:
    """Work on studies as they arrive, and send the results back.

    Args:
        config: Ready settings such as `default`, or a YAML file.
        overrides: Settings to change, as key=value; may be given several times.
        state: Folder for everything that the server must not forget, in place of that of the
            settings.
        once: Work on what is in the inbox and the watched folders now, send it, and end. Nothing is
            received meanwhile.
        explain: Say which rule fits each series of a study, and why the others do not, and do
            nothing.
    """
    from ctdenoise.config.load import find_settings_file, load_settings
    from ctdenoise.config.serve import ServeSettings
    from ctdenoise.errors import UsageError

    path = find_settings_file("serve", config or "default")

    def read() -> ServeSettings:
        return load_settings(ServeSettings, path, overrides)

    settings = read()
    if explain is not None:
        from ctdenoise.tasks import serve_explain

        _show_explained(serve_explain.run(explain, settings))
        return 0
    state = state or settings.state
    if state is None:
        raise UsageError(
            "there is no folder for what the server must not forget.",
            fix="Give one with --state, or as `state` in the settings.",
        )
    from ctdenoise.cli.serve_log import logged
    from ctdenoise.tasks import serve as task
    from ctdenoise.tasks.serve_shared import Alarm

    alarm = Alarm()
    with logged(settings.log, state), _stopped_by_signals(alarm):
        report = task.run(
            settings, state=state, once=once, alarm=alarm, on_ready=_say_ready, reload=read
        )
    return _show_report(report) if once else 0


class _stopped_by_signals:  # noqa: N801 - reads as what the block is
    """SIGTERM and Ctrl-C stop the server in order; SIGHUP lets it read its rules again."""

    def __init__(self, alarm: Alarm) -> None:
        self._alarm = alarm
        self._before: list[tuple[int, object]] = []

    def __enter__(self) -> None:
        handlers: Sequence[tuple[int, Callable[[int, FrameType | None], None]]] = (
            (signal.SIGTERM, self._stop),
            (signal.SIGINT, self._stop),
            (signal.SIGHUP, self._reload),
        )
        for number, handler in handlers:
            self._before.append((number, signal.signal(number, handler)))

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)  # type: ignore[arg-type]  # what it gave us

    def _stop(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._alarm.stop()

    def _reload(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._alarm.reload()


def _say_ready(ready: Ready) -> None:
    parts = [] if ready.dicom_port is None else [f"DICOM on port {ready.dicom_port}"]
    parts += [f"status at {ready.status_url}/"] if ready.status_url else []
    _log.info("ready: %s", ", ".join(parts) or "watching")


def _show_report(report: ServeReport) -> int:
    from ctdenoise.cli.console import show_facts
    from ctdenoise.errors import SomeStudiesFailed

    show_facts(
        "Studies",
        [(name, str(count)) for name, count in report.counts.items() if count],
    )
    failed = report.counts["dead-letter"] + report.waiting
    if failed:
        raise SomeStudiesFailed(
            f"{failed} studies were given up or have to be tried again.",
            fix="`ctdenoise jobs list` says which and why; the next run tries those that wait.",
        )
    return 0


def _show_explained(found: tuple[ExplainedSeries, ...]) -> None:
    from ctdenoise.cli.console import print_line

    for one in found:
        slices = "1 slice" if one.slices == 1 else f"{one.slices} slices"
        title = f" {one.description!r}" if one.description else ""
        print_line(f"series {one.number}{title} ({one.what}, {slices}): {one.outcome}")
        for rule in one.tried:
            print_line(f"  {rule.name}: {'; '.join(rule.misfits) or 'fits'}")
