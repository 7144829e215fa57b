"""What starts the server by itself (systemd, container) fits the program that it starts."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from ctdenoise.config.http import HttpSettings
from ctdenoise.config.receiver import ReceiverSettings
from ctdenoise.config.serve import ServeSettings
from tests.e2e.spoken import FOLDER, understood

ROOT = FOLDER.parent
UNITS = sorted((FOLDER / "systemd").iterdir())
STATE = "/var/lib/ctdenoise"


class Unit(configparser.RawConfigParser):
    """A unit of systemd; keys keep their case, and the last of several values counts."""

    optionxform = staticmethod(str)

    def __init__(self, path):
        super().__init__(strict=False)
        self.read_string(path.read_text(encoding="utf-8"))


@pytest.fixture
def serve_unit():
    return Unit(FOLDER / "systemd" / "ctdenoise-serve.service")


class TestSystemd:
    def test_the_server_is_called_as_it_wants_to_be(self, serve_unit):
        line = serve_unit["Service"]["ExecStart"].replace("${STATE_DIRECTORY}", STATE)
        program, *words = shlex.split(line)
        assert program == "/opt/ctdenoise/bin/ctdenoise"
        assert words[0] == "serve"
        arguments = understood(words)
        assert arguments["state"] == Path(STATE)
        assert arguments["config"] == Path("/etc/ctdenoise/serve.yaml")

    def test_there_is_time_to_stop_in_order(self, serve_unit):
        seconds = float(serve_unit["Service"]["TimeoutStopSec"])
        assert seconds >= ServeSettings().stop_s + 30
        assert serve_unit["Service"]["KillMode"] == "mixed"

    @pytest.mark.parametrize("name", ["ctdenoise-serve", "ctdenoise-nightly"])
    def test_what_it_may_do_is_cut_down(self, name):
        service = Unit(FOLDER / "systemd" / f"{name}.service")["Service"]
        wanted = {
            "User": "ctdenoise",
            "NoNewPrivileges": "yes",
            "ProtectSystem": "strict",
            "PrivateTmp": "yes",
            "UMask": "0077",
            "StateDirectoryMode": "0700",
            "CapabilityBoundingSet": "",
        }
        assert {key: service.get(key) for key in wanted} == wanted
        assert "MemoryMax" in service

    def test_the_nightly_job_is_one_of_ours(self):
        service = Unit(FOLDER / "systemd" / "ctdenoise-nightly.service")["Service"]
        script = Path(shlex.split(service["ExecStart"])[0])
        assert script.parent == Path("/opt/ctdenoise/pipelines")
        assert (FOLDER / script.name).stat().st_mode & 0o111

    def test_systemd_understands_every_line(self, tmp_path):
        if shutil.which("systemd-analyze") is None:
            pytest.skip("there is no systemd-analyze")
        for path in UNITS:
            text = path.read_text(encoding="utf-8")
            here = re.sub(r"^(ExecStart=)/opt/\S+", r"\1/bin/true", text, flags=re.MULTILINE)
            (tmp_path / path.name).write_text(here, encoding="utf-8")
        done = subprocess.run(
            ["systemd-analyze", "verify", *(tmp_path / path.name for path in UNITS)],
            capture_output=True,
            text=True,
            check=False,
        )
        if "Failed to" in done.stderr and done.returncode:
            pytest.skip("systemd-analyze cannot run here")
        assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def steps():
    """The instructions of the container file as pairs of word and rest, lines joined."""
    text = (FOLDER / "container" / "Containerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def last(steps, word):
    return [rest for name, rest in steps if name == word][-1]


class TestContainer:
    def test_the_server_is_called_as_it_wants_to_be(self, steps):
        assert json.loads(last(steps, "ENTRYPOINT")) == ["ctdenoise"]
        words = json.loads(last(steps, "CMD"))
        assert words[0] == "serve"
        assert understood(words)["state"] == Path(last(steps, "VOLUME"))

    def test_it_does_not_run_as_root(self, steps):
        assert last(steps, "USER") == "10001:10001"
        places = [place for place, (word, _) in enumerate(steps) if word in {"RUN", "USER"}]
        assert steps[places[-1]][0] == "USER"

    def test_its_health_is_asked_for_where_the_server_tells_it(self, steps):
        _, _, check = last(steps, "HEALTHCHECK").partition("CMD ")
        program = json.loads(check)
        assert program[:2] == ["python", "-c"]
        compile(program[2], "healthcheck", "exec")
        settings = HttpSettings()
        assert f"http://{settings.host}:{settings.port}/health" in program[2]

    def test_the_port_is_that_of_the_receiver(self, steps):
        assert last(steps, "EXPOSE") == str(ReceiverSettings().port)

    def test_what_is_copied_exists_and_is_enough_to_build(self, steps):
        copied = [rest.split()[:-1] for word, rest in steps if word == "COPY"]
        sources = {name for names in copied for name in names if not name.startswith("--from")}
        assert all((ROOT / name).exists() for name in sources - {"/opt/ctdenoise"})
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        needed = {
            "pyproject.toml",
            project["project"]["readme"],
            *project["project"]["license-files"],
        }
        needed |= set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"])
        assert needed | {"ctdenoise"} <= sources

    def test_its_extras_exist_and_its_versions_are_pinned(self, steps):
        (install,) = (rest for word, rest in steps if word == "RUN" and "pip install" in rest)
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        extras = re.search(r"\.\[([\w,]+)\]", install)[1].split(",")
        assert set(extras) <= set(project["project"]["optional-dependencies"])
        assert "--constraint constraints.txt" in install

    def test_no_secret_is_in_it(self, steps):
        text = " ".join(rest for _, rest in steps).lower()
        assert not re.search(r"password|token|secret|api_?key", text)
