"""QIDO-RS: looking for studies, series and instances at a DICOMweb peer (PS3.18 10.6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydicom.datadict import keyword_for_tag

from ctdenoise.errors import PeerRefused
from ctdenoise.pacs.matches import Level
from ctdenoise.pacs.web import JSON, WebConnection

_PLURAL: Mapping[Level, str] = {"study": "studies", "series": "series", "image": "instances"}
_PAGE = 1000
_NO_CONTENT = 204


def found_by_web(
    connection: WebConnection,
    level: Level,
    keys: Mapping[str, str],
    shown: Sequence[str],
    *,
    most: int,
) -> Iterator[Mapping[str, str]]:
    """What a peer finds, as text by keyword.

    Args:
        connection: To the peer.
        level: What to look for.
        keys: What it must fit, with the UIDs of what it lies in.
        shown: What to tell of it.
        most: No more than so many.

    Raises:
        PeerUnavailable: If the peer is lost or busy.
        PeerRefused: If it does not do it.
    """
    rest = dict(keys)
    path = ""
    if level != "study":
        path += f"/studies/{rest.pop('StudyInstanceUID')}"
    if level == "image":
        path += f"/series/{rest.pop('SeriesInstanceUID')}"
    query = [*rest.items(), *(("includefield", keyword) for keyword in shown)]
    seen = 0
    while seen < most:
        page = min(_PAGE, most - seen)
        limits = [("limit", str(page)), ("offset", str(seen))]
        items = _items(connection, f"{path}/{_PLURAL[level]}", [*query, *limits])
        for item in items[: most - seen]:
            yield web_texts(item)
        seen += len(items)
        if len(items) < page:
            return


def _items(
    connection: WebConnection, path: str, query: Sequence[tuple[str, str]]
) -> list[Mapping[str, Any]]:
    with connection.get(path, accept=JSON, query=query) as answer:
        answer.require_success()
        items = None if answer.status == _NO_CONTENT else answer.json()
    if items is None:
        return []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise PeerRefused("its answer is no list of matches.", where=connection.name)
    return items


def web_texts(item: Mapping[str, Any]) -> dict[str, str]:
    """The values of an object of the DICOM JSON model as text, by keyword.

    Args:
        item: As it was parsed (PS3.18 annex F).
    """
    result = {}
    for tag, element in item.items():
        keyword = _keyword(tag)
        values = element.get("Value") if isinstance(element, dict) else None
        if keyword and isinstance(values, list) and element.get("vr") != "SQ":
            result[keyword] = "\\".join(map(_text, values))
    return result


def _keyword(tag: str) -> str:
    try:
        return keyword_for_tag(int(tag, 16)) if len(tag) == 8 else ""
    except ValueError:
        return ""


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("Alphabetic", ""))
    return "" if value is None else str(value)
