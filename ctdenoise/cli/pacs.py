"""`ctdenoise pacs`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from ctdenoise.cli.options import Config, Out, Overrides

if TYPE_CHECKING:
    from ctdenoise.config.peers import PacsSettings, Peer
    from ctdenoise.tasks.pacs import Match, Moved

pacs = App(name="pacs", help_format="markdown")

_Calling = Annotated[str | None, Parameter(name="--calling")]
_Study = Annotated[str, Parameter(name="--study", show_default=False)]
_Series = Annotated[str, Parameter(name="--series", show_default=False)]
_Instance = Annotated[str, Parameter(name="--instance", show_default=False)]
_Text = Annotated[str, Parameter(show_default=False)]
_Flag = Annotated[bool, Parameter(negative="", show_default=False)]
_Level = Literal["study", "series", "image"]

_HEADS = {
    "StudyDate": "date",
    "StudyTime": "time",
    "ModalitiesInStudy": "modalities",
    "StudyDescription": "study",
    "NumberOfStudyRelatedSeries": "series",
    "NumberOfStudyRelatedInstances": "instances",
    "SeriesNumber": "number",
    "Modality": "modality",
    "SeriesDescription": "series",
    "BodyPartExamined": "body part",
    "NumberOfSeriesRelatedInstances": "instances",
    "InstanceNumber": "number",
    "PatientName": "patient",
    "PatientID": "patient id",
    "PatientBirthDate": "born",
    "AccessionNumber": "accession",
    "StudyInstanceUID": "study uid",
    "SeriesInstanceUID": "series uid",
    "SOPInstanceUID": "instance uid",
}
"""What columns are called."""

_MEGABYTE = 1e6


@pacs.command(name="echo")
def echo_peer(
    peer: str, /, *, config: Config = None, overrides: Overrides = (), calling: _Calling = None
) -> None:
    """Ask a peer whether it is there, and whether it knows us.

    Args:
        peer: A name in the settings, or an address: `dimse://TITLE@host:port`,
            `dimse+tls://TITLE@host:port` or `https://host/dicom-web`.
        config: YAML file with named peers.
        overrides: Settings to change, as key=value; may be given several times.
        calling: Our own AE title, if it is not the one in the settings.
    """
    settings, found = _peer(peer, config, overrides, calling)
    del settings
    from ctdenoise.cli import console
    from ctdenoise.config.peer_address import shown
    from ctdenoise.tasks import pacs as task

    answer = task.echo(found)
    connect = f"{1000 * answer.connect_s:.0f} ms" if answer.connect_s else ""
    console.show_facts(
        f"{shown(found)} answers",
        (
            ("connection", connect),
            ("answer", f"{1000 * answer.answer_s:.1f} ms"),
            ("agreed on", answer.protocol),
            ("implementation", answer.implementation),
        ),
    )


@pacs.command(name="find")
def find_at_peer(  # noqa: PLR0913 - each argument is an option of the command
    peer: str,
    /,
    *,
    level: _Level = "study",
    study: _Study = "",
    series: _Series = "",
    instance: _Instance = "",
    accession: _Text = "",
    date: _Text = "",
    modality: _Text = "",
    description: _Text = "",
    patient_id: _Text = "",
    patient_name: _Text = "",
    patient: _Flag = False,
    limit: int = 1000,
    json: _Flag = False,
    csv: _Flag = False,
    config: Config = None,
    overrides: Overrides = (),
    calling: _Calling = None,
) -> None:
    """List what a peer has: studies, their series, or instances. `*` and `?` stand for anything.

    Args:
        peer: A name in the settings, or an address; see `pacs echo`.
        level: What to list.
        study: UID of a study.
        series: UID of a series.
        instance: UID of an instance.
        accession: Accession number of the study.
        date: Date of the study, 20260131, or a range such as 20260101-20260131 or 20260101-.
        modality: Such as CT.
        description: Of the study, or of the series with --level series: `*chest*`.
        patient_id: Patient ID.
        patient_name: Patient's name as DICOM writes it, `DOE^*`.
        patient: Also show name, ID and birth date of the patient and the accession number, which
            are not even asked for otherwise.
        limit: List no more than so many.
        json: Print JSON for other programs.
        csv: Print CSV for other programs.
        config: YAML file with named peers.
        overrides: Settings to change, as key=value; may be given several times.
        calling: Our own AE title, if it is not the one in the settings.
    """
    from ctdenoise.cli import console
    from ctdenoise.errors import UsageError

    if limit < 1:
        raise UsageError("--limit is at least 1.")
    settings, found = _peer(peer, config, overrides, calling)
    from ctdenoise.tasks import pacs as task

    wanted = task.Wanted(
        study_instance_uid=study,
        series_instance_uid=series,
        sop_instance_uid=instance,
        accession_number=accession,
        patient_id=patient_id,
        patient_name=patient_name,
        date=date,
        modality=modality,
        description=description,
    )
    matches = task.find(found, level, wanted, settings, most=limit, patient=patient)
    if json:
        console.print_line(task.as_json(matches, level, patient=patient))
    elif csv:
        console.print_line(task.as_csv(matches, level, patient=patient))
    else:
        _show_matches(matches, level, patient=patient)
        more = "; there may be more, see --limit" if len(matches) == limit else ""
        console.say(f"{len(matches)} found{more}")


@pacs.command(name="get")
def get_from_peer(  # noqa: PLR0913 - each argument is an option of the command
    peer: str,
    /,
    *,
    study: _Study,
    out: Out,
    series: _Series = "",
    instance: _Instance = "",
    config: Config = None,
    overrides: Overrides = (),
    calling: _Calling = None,
) -> None:
    """Get a study, a series or an instance into a folder, by C-GET or WADO-RS.

    The folder appears when as many instances are there as the peer lists. After a lost connection
    only what is missing is asked for; so it is when a killed run is started again.

    Args:
        peer: A name in the settings, or an address; see `pacs echo`.
        study: UID of the study.
        out: Folder to make; new or empty. Files are named by digests of their UIDs.
        series: UID of one of its series.
        instance: UID of one of its instances.
        config: YAML file with named peers.
        overrides: Settings to change, as key=value; may be given several times.
        calling: Our own AE title, if it is not the one in the settings.
    """
    settings, found = _peer(peer, config, overrides, calling)
    from ctdenoise.cli import console
    from ctdenoise.tasks import pacs as task

    wanted = task.Wanted(
        study_instance_uid=study, series_instance_uid=series, sop_instance_uid=instance
    )
    with console.progress() as progress:
        report = task.get(found, wanted, out, settings, progress=progress)
    console.show_facts(
        f"Got {report.instances} instances",
        (
            ("of an earlier run", str(report.kept) if report.kept else ""),
            ("size", f"{report.bytes_got / _MEGABYTE:.1f} MB"),
            ("time", _speed(report.seconds, report.instances - report.kept)),
            ("tried again", _times(report.failures)),
            ("written to", str(report.out)),
        ),
    )


@pacs.command(name="move")
def move_between_peers(  # noqa: PLR0913 - each argument is an option of the command
    peer: str,
    /,
    *,
    study: _Study,
    to: Annotated[str, Parameter(name="--to")],
    series: _Series = "",
    instance: _Instance = "",
    config: Config = None,
    overrides: Overrides = (),
    calling: _Calling = None,
) -> int:
    """Have a peer send something to another one, by C-MOVE. Ends with 4 if some instances failed.

    Args:
        peer: Who has it: a name in the settings, or an address; see `pacs echo`.
        study: UID of the study.
        to: AE title of who is to get it; the peer must know it.
        series: UID of one of its series.
        instance: UID of one of its instances.
        config: YAML file with named peers.
        overrides: Settings to change, as key=value; may be given several times.
        calling: Our own AE title, if it is not the one in the settings.
    """
    settings, found = _peer(peer, config, overrides, calling)
    del settings
    from ctdenoise.cli import console
    from ctdenoise.tasks import pacs as task

    wanted = task.Wanted(
        study_instance_uid=study, series_instance_uid=series, sop_instance_uid=instance
    )
    with console.progress() as progress:
        moved = task.move(found, wanted, to, progress=progress)
    _show_moved(moved)
    return 4 if moved.failed else 0


@pacs.command(name="send")
def send_to_peer(
    study: Path,
    /,
    *more: Path,
    to: Annotated[str, Parameter(name="--to")],
    config: Config = None,
    overrides: Overrides = (),
    calling: _Calling = None,
) -> None:
    """Send DICOM files to a peer, by C-STORE or STOW-RS.

    They go out as they are stored. A peer that takes only uncompressed images gets what is
    compressed without loss decompressed, and the report says so.

    Args:
        study: A DICOM file, or a folder: every DICOM file below it is sent.
        more: More of them.
        to: A name in the settings, or an address; see `pacs echo`.
        config: YAML file with named peers.
        overrides: Settings to change, as key=value; may be given several times.
        calling: Our own AE title, if it is not the one in the settings.
    """
    settings, found = _peer(to, config, overrides, calling)
    from ctdenoise.cli import console
    from ctdenoise.config.peer_address import shown
    from ctdenoise.tasks import pacs as task

    with console.progress() as progress:
        report = task.send((study, *more), found, settings, progress=progress)
    console.show_facts(
        f"Sent {report.sent} instances",
        (
            ("to", shown(found)),
            ("size", f"{report.bytes_sent / _MEGABYTE:.1f} MB"),
            ("time", _speed(report.seconds, report.sent)),
            ("tried again", _times(report.failures)),
            ("not as stored", f"{report.converted} uncompressed" if report.converted else ""),
            *(("warning", f"{words} ({count})") for words, count in report.warnings),
        ),
    )


def _peer(
    text: str, config: Path | None, overrides: tuple[str, ...], calling: str | None
) -> tuple[PacsSettings, Peer]:
    from ctdenoise.config.load import find_settings_file, load_settings
    from ctdenoise.config.peers import PacsSettings
    from ctdenoise.pacs.requirements import require_pacs_extra

    file = find_settings_file("pacs", config or "default")
    settings = load_settings(PacsSettings, file, overrides)
    require_pacs_extra()
    from ctdenoise.tasks import pacs as task

    return settings, task.named_peer(text, settings, calling=calling)


def _show_matches(matches: tuple[Match, ...], level: _Level, *, patient: bool) -> None:
    from rich.markup import escape

    from ctdenoise.cli import console
    from ctdenoise.tasks import pacs as task

    own = [name for name in task.columns(level, patient=patient) if name in _HEADS]
    dropped = {"StudyTime", "SOPClassUID"}
    if level != "study":
        dropped |= {"NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "StudyDate"}
        dropped |= {"ModalitiesInStudy", "StudyInstanceUID"}
    if level == "image":
        dropped |= {"SeriesInstanceUID", "NumberOfSeriesRelatedInstances", "SeriesNumber"}
        dropped |= {"BodyPartExamined"}
    shown = [name for name in own if name not in dropped]
    rows = [[escape(match.attributes.get(name, "")) for name in shown] for match in matches]
    console.show_table([_HEADS[name] for name in shown], rows, figures={"instances", "number"})


def _show_moved(moved: Moved) -> None:
    from ctdenoise.cli import console

    console.show_facts(
        f"Moved {moved.completed + moved.warned} instances",
        (
            ("with a warning", str(moved.warned) if moved.warned else ""),
            ("failed", str(moved.failed) if moved.failed else ""),
            *(("failed instance", uid) for uid in moved.failed_uids),
        ),
    )


def _speed(seconds: float, instances: int) -> str:
    rate = f" ({instances / seconds:.0f} instances per second)" if seconds > 0 else ""
    return f"{seconds:.1f} s{rate}"


def _times(count: int) -> str:
    if not count:
        return ""
    return "once" if count == 1 else f"{count} times"
