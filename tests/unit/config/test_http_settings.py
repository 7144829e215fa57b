"""Settings of the HTTP server: what is safe by default, and what must be said aloud."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ctdenoise.config.http import HttpSettings

TLS = {"certificate": "cert.pem", "key": "key.pem"}
FROM_FILE = {"token_file": "token"}
FROM_ENVIRONMENT = {"token_environment": "TOKEN"}


def test_by_default_only_this_machine_can_read_and_nothing_names_a_patient():
    settings = HttpSettings()
    assert settings.is_loopback
    assert not any((settings.show_patient, settings.show_descriptions, settings.insecure))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LocalHost"])
def test_loopback_needs_nothing_more(host):
    assert HttpSettings(host=host).is_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "status.clinic"])  # noqa: S104
@pytest.mark.parametrize(
    "given",
    [{}, {"tls": TLS}, FROM_FILE],
    ids=["neither", "tls alone", "token alone"],
)
def test_another_address_needs_tls_and_a_token(host, given):
    with pytest.raises(ValidationError, match="give `tls` and a token"):
        HttpSettings(host=host, **given)
    assert not HttpSettings(host=host, tls=TLS, **FROM_FILE).is_loopback
    assert HttpSettings(host=host, insecure=True, **given).insecure


@pytest.mark.parametrize("shown", ["show_patient", "show_descriptions"])
def test_patient_data_needs_a_token_even_on_loopback(shown):
    with pytest.raises(ValidationError, match="need a token"):
        HttpSettings(**{shown: True})
    assert HttpSettings(**{shown: True}, **FROM_ENVIRONMENT).has_token


def test_one_token_is_enough():
    with pytest.raises(ValidationError, match="not both"):
        HttpSettings(**FROM_FILE, **FROM_ENVIRONMENT)
