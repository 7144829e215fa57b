"""How many instances a second the receiver takes, beside storescp of dcmtk and pynetdicom's own.

    python -m tests.perf.bench_receiver [--instances 300] [--rounds 3] [--folder FOLDER]

Every receiver runs in a process of its own and takes the same instances (512x512, 16 bits, random,
so that nothing is small) from the same sender: a process that has every byte in memory, sends one
instance after the other over one association, and waits for each answer. Receivers take turns.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ctdenoise.config.receiver import InboxSettings, ReceiverSettings
from ctdenoise.pacs.inbox import Inbox
from ctdenoise.pacs.receiver import Receiver
from tests.pacs.dcmtk import found
from tests.pacs.raw_sender import CT, RawSender, command, fragment, pdu
from tests.pacs.receiving import data_set_of, one_slice

PDU_BYTES = 131_072


def prepared(sender: int, instances: int) -> list[bytes]:
    """Everything that a sender sends of each instance, as it goes over the wire."""
    dataset = one_slice(f"study {sender}", 0, size=512)
    whole = data_set_of(dataset, ExplicitVRLittleEndian)
    first = str(dataset.SOPInstanceUID).encode()
    made = []
    for index in range(instances):
        name = f"1.2.{sender}.{10_000 + index}".encode().ljust(len(first), b"1")
        data = whole.replace(first, name)
        asked = command(1, sop_instance=name.decode())
        message = [pdu(4, fragment(asked, command=True))]
        size = PDU_BYTES - 6
        for start in range(0, len(data), size):
            last = start + size >= len(data)
            message.append(pdu(4, fragment(data[start : start + size], last=last)))
        made.append(b"".join(message))
    return made


def send(port: int, messages: list[bytes], called: str) -> None:
    """Send prepared instances over one association."""
    with RawSender(port, timeout_s=120) as sender:
        syntaxes = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
        assert sender.associate([(CT, syntaxes[:1])], called=called) == [0]
        for message in messages:
            sender.send(message)
            assert sender.status() == 0
        sender.release()


def _send_all(port: int, number: int, instances: int, called: str, ready, go, done) -> None:
    messages = prepared(number, instances)
    ready.release()
    go.wait()
    send(port, messages, called)
    done.put(time.monotonic())


def sending_s(port: int, senders: int, instances: int, called: str) -> float:
    """Seconds that several senders take, each in a process of its own."""
    context = multiprocessing.get_context("fork")
    ready, go, done = context.Semaphore(0), context.Event(), context.SimpleQueue()
    share = instances // senders
    processes = [
        context.Process(target=_send_all, args=(port, number, share, called, ready, go, done))
        for number in range(senders)
    ]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire()
    started = time.monotonic()
    go.set()
    ends = [done.get() for _ in processes]
    for process in processes:
        process.join()
    return max(ends) - started


def _serve_ours(folder: Path, durable: bool, pipe) -> None:
    inbox = Inbox(folder, InboxSettings(durable=durable, free_mb=1))
    with Receiver(inbox, ReceiverSettings(port=0), on_kept=lambda _: None) as receiver:
        before = time.process_time()
        pipe.send(receiver.port)
        pipe.recv()
        used = time.process_time() - before
    pipe.send((_peak_mb(), used, inbox.usage().instances))


def _serve_pynetdicom(folder: Path, durable: bool, pipe) -> None:
    from pynetdicom import AE, _config, evt

    _config.LOG_HANDLER_LEVEL = "none"

    def keep(event: evt.Event) -> int:
        path = folder / f"{event.request.AffectedSOPInstanceUID}.dcm"
        with path.open("wb") as file:
            file.write(event.encoded_dataset())
            if durable:
                file.flush()
                os.fsync(file.fileno())
        return 0

    entity = AE("CTDENOISE")
    entity.maximum_pdu_size = PDU_BYTES
    entity.add_supported_context(CT, [ExplicitVRLittleEndian])
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)]
    )
    before = time.process_time()
    pipe.send(server.server_address[1])
    pipe.recv()
    used = time.process_time() - before
    server.shutdown()
    pipe.send((_peak_mb(), used, len(list(folder.iterdir()))))


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@contextmanager
def in_process(serve, folder: Path, durable: bool) -> Iterator[tuple[int, list]]:
    """A receiver of Python; gives its port, and afterwards what it used."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(folder, durable, theirs))
    process.start()
    used: list = []
    yield ours.recv(), used
    ours.send("end")
    used += ours.recv()
    process.join()


@contextmanager
def storescp(folder: Path) -> Iterator[tuple[int, list]]:
    """Storescp of dcmtk, which writes to the cache of the system and waits for no disk."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["-aet", "CTDENOISE", "-pdu", str(PDU_BYTES), "--fork", "-od", str(folder)]
    program = str(found("storescp"))
    process = subprocess.Popen(
        [program, *options, str(port)], env={**os.environ, "TCP_NODELAY": "1"}
    )
    pause = threading.Event()
    while True:
        with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)):
            break
        pause.wait(0.05)
    used: list = []
    yield port, used
    process.terminate()
    _, _, spent = os.wait4(process.pid, 0)  # with its children
    process.returncode = 0
    seconds = spent.ru_utime + spent.ru_stime
    used += [0, seconds, len(list(folder.iterdir()))]  # its peak counts what it was forked from


RECEIVERS = {
    "ours, durable": lambda folder: in_process(_serve_ours, folder, True),
    "ours, cached": lambda folder: in_process(_serve_ours, folder, False),
    "storescp, cached": storescp,
    "pynetdicom, durable": lambda folder: in_process(_serve_pynetdicom, folder, True),
    "pynetdicom, cached": lambda folder: in_process(_serve_pynetdicom, folder, False),
}


def main(arguments: list[str]) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--instances", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--senders", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--receivers", nargs="+", default=list(RECEIVERS))
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args(arguments)
    took: dict[tuple[str, int], list[float]] = {}
    used: dict[tuple[str, int], list] = {}
    for _ in range(options.rounds):
        for senders in options.senders:
            for name in options.receivers:
                count = options.instances // senders * senders
                folder = Path(tempfile.mkdtemp(dir=options.folder))
                with RECEIVERS[name](folder) as (port, facts):
                    seconds = sending_s(port, senders, options.instances, "CTDENOISE")
                took.setdefault((name, senders), []).append(seconds)
                facts[1] = min(facts[1] / count, used.get((name, senders), facts)[1])
                used[name, senders] = facts
                assert facts[2] == count, (name, facts, count)
                shutil.rmtree(folder)
    print(f"{options.instances} instances of 512x512, best and median of {options.rounds}")
    for (name, senders), seconds in sorted(took.items()):
        best, middle = min(seconds), statistics.median(seconds)
        rate = options.instances / best
        print(
            f"{name:20s} {senders} senders: {best:6.2f} s, {middle:6.2f} s, {rate:5.0f}/s, "
            f"{used[name, senders][0] or '-':>4} MB, {used[name, senders][1] * 1000:5.2f} ms CPU"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
