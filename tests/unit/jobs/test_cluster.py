"""Units on a cluster of Dask: workers that are lost, that cannot be used, that come and go."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ctdenoise.config.executor import DistributedSettings, ExecutorSettings, LimitSettings
from ctdenoise.errors import PeerUnavailable, UsageError
from ctdenoise.jobs.executors import build_executor
from ctdenoise.jobs.work import Executor, Failure, WorkUnit
from tests.unit.jobs import work_samples as samples
from tests.unit.jobs.test_processes import DEADLINE_S, gathered, only, results, wait_for

pytest.importorskip("distributed")
from ctdenoise.jobs import cluster
from ctdenoise.jobs.remote_work import Terms, objection, versions

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="worker processes need Linux")


@contextmanager
def connected(address: str, shared: Path, **changes: Any) -> Iterator[Executor]:
    limits = LimitSettings(**changes.pop("limits", {}))
    place = DistributedSettings(address=address, **{"connect_s": DEADLINE_S, **changes})
    settings = ExecutorSettings(place=place, limits=limits)
    with closing(build_executor(settings, shared=shared)) as executor:
        yield executor


def connect(address: str, shared: Path, **changes: Any) -> None:
    with connected(address, shared, **changes):
        pass


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def program(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program of Dask, which is ended with its children."""
    command = [sys.executable, "-m", "dask", *words]
    with subprocess.Popen(
        command, stderr=subprocess.DEVNULL, start_new_session=True, cwd=Path(__file__).parents[3]
    ) as one:
        try:
            yield one
        finally:
            os.killpg(one.pid, signal.SIGKILL)


@contextmanager
def scheduler() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    address = f"tcp://127.0.0.1:{free_port()}"
    port = address.rpartition(":")[2]
    with program("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard") as one:
        yield address, one


@contextmanager
def worker(address: str, folder: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    words = ("--nthreads", "1", "--no-dashboard", "--local-directory", str(folder), *more)
    with program("worker", address, "--host", "127.0.0.1", "--no-nanny", *words) as one:
        yield one


def wait_for_capacity(executor: Executor, capacity: int) -> None:
    end = time.monotonic() + DEADLINE_S
    while executor.capacity != capacity:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_every_unit_has_its_result_and_dask_says_nothing(tmp_path, capfd):
    with connected("local:2", tmp_path / "out", limits={"memory_mb": 256}) as executor:
        assert executor.capacity == 2
        found = results(executor, samples.double, *range(10))
        refused = only(executor, samples.refuse).failure
        lost = only(executor, samples.end_by, signal.SIGKILL).failure
        large = only(executor, samples.hold_and_wait, 600).failure
        assert only(executor, samples.double, 4).result == 8
    assert {int(name): one.result for name, one in found.items()} == {n: 2 * n for n in range(10)}
    assert refused is not None
    assert refused.final
    assert lost is not None
    assert lost.kind == "lost"
    assert large == Failure("memory", "it took more than 256 MB of memory and was stopped")
    assert capfd.readouterr() == ("", "")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_unit_of_a_killed_worker_is_done_by_another_and_workers_may_come_and_go(tmp_path):
    with (
        scheduler() as (address, _),
        worker(address, tmp_path) as first,
        connected(address, tmp_path / "out") as executor,
    ):
        assert executor.capacity == 1
        note = samples.Note(tmp_path / "first", 300.0)
        executor.submit(WorkUnit("a", samples.wait_once, note))
        wait_for(note.path)
        with worker(address, tmp_path):
            wait_for_capacity(executor, 2)
            first.kill()
            found = gathered(executor, 1)
            wait_for_capacity(executor, 1)
    assert found["a"].result == "done the second time"


def test_a_scheduler_that_is_lost_is_told_in_words(tmp_path):
    with (
        scheduler() as (address, process),
        worker(address, tmp_path),
        connected(address, tmp_path / "out") as executor,
    ):
        note = samples.Note(tmp_path / "ids", 300.0)
        executor.submit(WorkUnit("a", samples.wait_with_child, note))
        wait_for(note.path)
        process.kill()
        with pytest.raises(PeerUnavailable, match="the connection to the scheduler was lost"):
            gathered(executor, 1)


def test_a_cluster_that_does_not_answer_or_has_no_worker_is_told_in_words(tmp_path):
    nobody = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(PeerUnavailable, match="no scheduler that answers"):
        connect(nobody, tmp_path / "out", connect_s=0.5)
    with scheduler() as (address, _):
        wait_for_port(address)
        with pytest.raises(PeerUnavailable, match="has no worker after 1 s"):
            connect(address, tmp_path / "out", connect_s=1.0)
        with (
            worker(address, tmp_path),  # which has no GPU
            connected(address, tmp_path / "out", gpu=True) as executor,
        ):
            assert executor.capacity == 0


def wait_for_port(address: str) -> None:
    host, port = address.removeprefix("tcp://").split(":")
    end = time.monotonic() + DEADLINE_S
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1.0).close()
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.05)
        else:
            return


def test_workers_of_another_version_are_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "versions", lambda: ("99.1", versions()[1]))
    message = r"none of the 2 workers can be used:\n  - 2 of them: it has ctdenoise .*, and 99.1"
    with pytest.raises(UsageError, match=message), connected("local:2", tmp_path / "out"):
        pass


def terms(probe: Path, **changes: Any) -> Terms:
    version, python = versions()
    words = {"run": "r", "version": version, "python": python, "token": "abc"}
    return Terms(**{**words, "probe": probe, "settings": "", "prepare": b"", **changes})


def test_a_worker_without_the_folder_or_with_another_one_is_recognised(tmp_path):
    probe = tmp_path / "probe"
    assert "a file system in common" in str(objection(terms(probe)))
    probe.write_text("abd")
    assert "another one, though of the same name" in str(objection(terms(probe)))
    probe.write_text("abc")
    assert objection(terms(probe)) is None
    assert "it has Python 3." in str(objection(terms(probe, python="2.7")))
    assert [path.name for path in tmp_path.iterdir()] == ["probe"]


def test_a_worker_that_turns_out_unfit_loses_no_unit(tmp_path, monkeypatch):
    """Its folder vanishes after it was asked: the unit goes to the other one, which is told so."""
    with connected("local:1", tmp_path / "out") as executor:
        (tmp_path / "out" / next((tmp_path / "out").iterdir()).name).unlink()
        executor.submit(WorkUnit("a", samples.double, 1))
        with pytest.raises(UsageError, match="does not see the output folder"):
            gathered(executor, 1)


@pytest.mark.parametrize(
    ("address", "tls"), [("tls://host:1", None), ("tcp://host:1", {"ca": "a", "cert": "b"})]
)
def test_certificates_go_with_an_encrypted_address(address, tls):
    files = None if tls is None else {**tls, "key": "c"}
    with pytest.raises(ValueError, match="go together"):
        DistributedSettings(address=address, tls=files)


def test_a_cluster_can_be_encrypted(tmp_path):
    files = certificate(tmp_path)
    words = [f"--tls-{name}={path}" for name, path in files.items()]
    words = [word.replace("--tls-ca=", "--tls-ca-file=") for word in words]
    address = f"tls://127.0.0.1:{free_port()}"
    port = address.rpartition(":")[2]
    options = ("--protocol", "tls", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
    with (
        program("scheduler", *options, *words),
        worker(address, tmp_path, *words),
        connected(address, tmp_path / "out", tls=files) as executor,
    ):
        assert only(executor, samples.double, 4).result == 8


def certificate(folder: Path) -> dict[str, Path]:
    """A certificate of an hour that signs itself."""
    files = {"ca": folder / "cert.pem", "cert": folder / "cert.pem", "key": folder / "key.pem"}
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=localhost", "-keyout", str(files["key"]), "-out", str(files["cert"])]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    return files
