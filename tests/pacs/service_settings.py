"""Settings of `serve` for the fault tests: impatient, with rules for the studies that are sent."""

from __future__ import annotations

from typing import Any

from tests.pacs.destination import Destination

_OFTEN = 1000


def service_settings(
    *places: Destination,
    quiet_s: float = 1.0,
    model: str = "identity",
    workers: int = 1,
    **sections: dict[str, Any],
) -> dict[str, Any]:
    """Series with a soft kernel are denoised and sent to every destination, hard ones are skipped.

    Nothing is given up for having been killed often.

    Args:
        places: Who gets the results.
        quiet_s: When a study is complete.
        model: What denoises.
        workers: Processes.
        sections: Added to the sections of the settings.
    """
    names = [f"place{number}" for number in range(len(places))]
    again = {"tries": _OFTEN, "first_wait_s": 0.2, "factor": 2.0, "longest_wait_s": 2.0}
    whole: dict[str, Any] = {
        "inbox": {"free_mb": 0},
        "completeness": {"quiet_s": quiet_s, "longest_wait_s": max(60.0, quiet_s)},
        "rules": [
            {"name": "hard", "when": {"kernel": "B7.*"}, "skip": "hard kernels are left alone"},
            {
                "name": "soft",
                "when": {"modality": "CT"},
                "do": {"model": model, "send_to": names},
            },
        ],
        "peers": {name: peer(place) for name, place in zip(names, places, strict=True)},
        "executor": {"place": {"name": "processes", "workers": workers}, "threads": 1},
        "work_again": again,
        "send_again": again,
        "stop_s": 10,
    }
    for name, section in sections.items():
        whole[name] = {**whole.get(name, {}), **section}
    return whole


def peer(place: Destination, *, port: int | None = None) -> dict[str, Any]:
    """How settings name a destination; it is given a few seconds to answer.

    Args:
        place: The destination.
        port: Where it is called, if not at its own.
    """
    timeouts = {"connect_s": 5, "association_s": 5, "answer_s": 5, "network_s": 5}
    if place.kind == "web":
        url = f"http://127.0.0.1:{port or place.port}"
        return {"kind": "dicomweb", "url": url, "timeouts": timeouts}
    return {
        "kind": "dimse",
        "host": "127.0.0.1",
        "port": port or place.port,
        "ae_title": "DESTINATION",
        "timeouts": timeouts,
    }
