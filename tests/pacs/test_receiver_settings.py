"""Settings of the ways in say who may come in, or are refused."""

from __future__ import annotations

from typing import Any

import pytest

from ctdenoise.config.load import checked
from ctdenoise.config.receiver import CompletenessSettings, ReceiverSettings
from ctdenoise.errors import SettingsError

TLS = {"certificate": "a.pem", "ca_file": "b.pem"}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"host": "localhost"},
        {"host": "::1"},
        {"host": "0.0.0.0", "senders": [{"ae_title": "CT1"}]},  # noqa: S104
        {"host": "0.0.0.0", "tls": TLS},  # noqa: S104
        {"host": "10.1.2.3", "anyone": True},
    ],
    ids=str,
)
def test_a_receiver_that_says_who_may_send_is_allowed(settings: dict[str, Any]) -> None:
    checked(ReceiverSettings, settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"host": "0.0.0.0"}, "needs `senders`"),  # noqa: S104
        ({"host": "10.1.2.3"}, "needs `senders`"),
        ({"host": "::", "tls": {**TLS, "client_certificate": "optional"}}, "needs `senders`"),
        ({"ae_title": "MUCH TOO LONG TITLE"}, "1 to 16 characters"),
        ({"ae_title": "BACK\\SLASH"}, "no backslash"),
        ({"senders": [{"ae_title": "A", "addresses": ["10.1.2.3/8"]}]}, "no network"),
        ({"senders": [{"ae_title": "A", "addresses": ["scanner"]}]}, "no address"),
        ({"pdu_bytes": 2**30}, "pdu_bytes"),
    ],
    ids=str,
)
def test_a_receiver_that_does_not_is_refused_in_words(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        checked(ReceiverSettings, settings)


def test_the_longest_wait_is_the_longest() -> None:
    with pytest.raises(SettingsError, match="longest_wait_s"):
        checked(CompletenessSettings, {"quiet_s": 60, "longest_wait_s": 30})
