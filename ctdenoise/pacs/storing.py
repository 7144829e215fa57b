"""C-STORE: instances to a DIMSE peer, over one association or several side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Event, Thread

from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ctdenoise.config.peers import DimsePeer
from ctdenoise.errors import PeerError, PeerRefused
from ctdenoise.pacs.association import (
    CONTEXTS_MOST,
    Association,
    Context,
    Proposal,
    opened,
)
from ctdenoise.pacs.commands import Element, Operation, request
from ctdenoise.pacs.outgoing import Outgoing, converted
from ctdenoise.pacs.refusals import Fate, Verdict, verdict

_PLAIN = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))


@dataclass(frozen=True, slots=True)
class Answered:
    """What a peer answered to one instance.

    Args:
        instance: The file.
        verdict: What became of it.
        converted: Whether it went out in another transfer syntax than it is stored in.
    """

    instance: Outgoing
    verdict: Verdict
    converted: bool = False


def store(instances: Sequence[Outgoing], peer: DimsePeer) -> Iterator[Answered]:
    """Send instances, once, and give the answer to each as it comes.

    Args:
        instances: What to send.
        peer: Where to.

    Raises:
        PeerUnavailable: If the peer cannot be reached or is lost; what was given before counts.
        PeerRefused: If it refuses the association.
    """
    for group in _groups(instances):
        if peer.associations == 1 or len(group) == 1:
            yield from _over_one(group, peer)
        else:
            yield from _SideBySide(group, peer).answers()


def _over_one(instances: Sequence[Outgoing], peer: DimsePeer) -> Iterator[Answered]:
    proposals = _proposals(instances)
    with opened(peer, proposals) as association:
        if not association.contexts:
            raise _takes_none(instances, association.name)
        offered = _Offered(proposals, association.contexts)
        for instance in instances:
            yield _stored(association, offered, instance)


def _stored(association: Association, offered: _Offered, instance: Outgoing) -> Answered:
    context = offered.context_for(instance)
    if context is None:
        return Answered(instance, Verdict(Fate.NEVER, _not_taken(instance)))
    is_converted = context.transfer_syntax != instance.transfer_syntax
    number = association.next_message_id()
    command = request(
        Operation.STORE,
        number,
        instance.sop_class_uid,
        has_data=True,
        more={Element.AFFECTED_SOP_INSTANCE_UID: instance.sop_instance_uid},
    )
    if is_converted:
        try:
            data = converted(instance, context.transfer_syntax)
        except PeerRefused as error:
            return Answered(instance, Verdict(Fate.NEVER, error.what))
        association.send(context, command, data)
    else:
        with instance.path.open("rb") as file:
            file.seek(instance.start)
            association.send(context, command, file)
    _, answer = association.receive()
    if not answer.answers(Operation.STORE, number):
        raise PeerRefused("its answer is to something else.", where=association.name)
    return Answered(instance, verdict(answer.status), is_converted)


@dataclass(slots=True)
class _Offered:
    """Which of the presentation contexts of an association are there, for what."""

    proposals: Sequence[Proposal]
    contexts: Sequence[Context]
    known: dict[tuple[str, str], Context | None] = field(default_factory=dict)

    def context_for(self, instance: Outgoing) -> Context | None:
        """The context in which an instance goes: as it is stored, or else uncompressed."""
        key = (instance.sop_class_uid, instance.transfer_syntax)
        if key not in self.known:
            fitting = [c for c in self.contexts if c.sop_class_uid == instance.sop_class_uid]
            same = [c for c in fitting if c.transfer_syntax == instance.transfer_syntax]
            plain = [c for c in fitting if c.transfer_syntax in _PLAIN]
            self.known[key] = next(iter((*same, *plain)), None)
        return self.known[key]


def _proposals(instances: Sequence[Outgoing]) -> tuple[Proposal, ...]:
    """One context for each way in which a kind of object is stored, and one to fall back on."""
    stored = dict.fromkeys((one.sop_class_uid, one.transfer_syntax) for one in instances)
    plain = dict.fromkeys(one.sop_class_uid for one in instances)
    return (
        *(Proposal(uid, (syntax,)) for uid, syntax in stored),
        *(Proposal(uid, _PLAIN) for uid in plain),
    )


def _groups(instances: Sequence[Outgoing]) -> Iterator[list[Outgoing]]:
    """Instances in groups whose presentation contexts fit one association, order kept."""
    group: list[Outgoing] = []
    contexts: set[tuple[str, str]] = set()
    for instance in instances:
        needed = {
            (instance.sop_class_uid, instance.transfer_syntax),
            (instance.sop_class_uid, ""),
        }
        if len(contexts | needed) > CONTEXTS_MOST:
            yield group
            group, contexts = [], set()
        contexts |= needed
        group.append(instance)
    if group:
        yield group


def _takes_none(instances: Sequence[Outgoing], name: str) -> PeerRefused:
    kinds = sorted({UID(one.sop_class_uid).name for one in instances})
    return PeerRefused(
        f"it takes none of what is to be sent ({', '.join(kinds[:3])}).",
        where=name,
        fix="Have the peer accept these kinds of object from this AE title.",
    )


def _not_taken(instance: Outgoing) -> str:
    return f"it takes no {UID(instance.sop_class_uid).name}"


class _SideBySide:
    """Instances over several associations, the answers in one line.

    Args:
        instances: What to send.
        peer: Where to, and over how many associations.
    """

    def __init__(self, instances: Sequence[Outgoing], peer: DimsePeer) -> None:
        count = min(peer.associations, len(instances))
        self._shares = [instances[start::count] for start in range(count)]
        self._peer = peer
        self._line: SimpleQueue[Answered | BaseException | None] = SimpleQueue()
        self._stop = Event()

    def answers(self) -> Iterator[Answered]:
        """The answers as they come; what went wrong is raised when all have ended."""
        threads = [Thread(target=self._work, args=(share,)) for share in self._shares]
        for thread in threads:
            thread.start()
        errors: list[BaseException] = []
        try:
            running = len(threads)
            while running:
                item = self._line.get()
                if item is None:
                    running -= 1
                elif isinstance(item, Answered):
                    yield item
                else:
                    errors.append(item)
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
        if errors:
            raise _worst(errors)

    def _work(self, share: Sequence[Outgoing]) -> None:
        try:
            for answer in _over_one(share, self._peer):
                self._line.put(answer)
                if self._stop.is_set():
                    break
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            self._line.put(error)
        finally:
            self._line.put(None)


def _worst(errors: Sequence[BaseException]) -> BaseException:
    """The error to raise of several: one that is no peer's first, then one that is final."""

    def rank(error: BaseException) -> int:
        if not isinstance(error, PeerError):
            return 0
        return 1 if isinstance(error, PeerRefused) else 2

    return min(errors, key=rank)
