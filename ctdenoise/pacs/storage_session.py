"""One association in which somebody stores (C-STORE) or asks whether we are there (C-ECHO)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ctdenoise.pacs import storage_commands as commands
from ctdenoise.pacs.acceptance import Association
from ctdenoise.pacs.inbox import IncomingInstance, Kept, NotKeptError
from ctdenoise.pacs.incoming import Reason
from ctdenoise.pacs.storage_commands import Command
from ctdenoise.pacs.upper_layer import (
    Connection,
    DataValue,
    Pdu,
    ProtocolError,
    data_pdus,
    data_values,
    release_answer,
)

_log = logging.getLogger(__name__)

_STATUS: dict[Reason, int] = {
    "full": commands.OUT_OF_RESOURCES,
    "limit": commands.OUT_OF_RESOURCES,
    "disk": commands.OUT_OF_RESOURCES,
    "too-large": commands.CANNOT_UNDERSTAND,
    "mismatch": commands.NOT_THE_CLASS,
    "not-dicom": commands.CANNOT_UNDERSTAND,
    "changing": commands.OUT_OF_RESOURCES,
}


class Store(Protocol):
    """Where instances go; `Inbox` is one."""

    def incoming(self, *, uids: tuple[str, str], syntax: str, sender: str) -> IncomingInstance:
        """See `Inbox.incoming`."""


class Listener(Protocol):
    """Who is told of what arrives, as soon as it is safe."""

    def kept(self, kept: Kept) -> None:
        """An instance is in the inbox."""

    def not_kept(self, reason: Reason) -> None:
        """An instance was refused."""


@dataclass(slots=True)
class _Arriving:
    """An instance whose data set is on its way; written nowhere once it was refused."""

    command: Command
    context: int
    instance: IncomingInstance | None = None
    status: int = commands.SUCCESS
    comment: str = ""

    def refuse(self, status: int, comment: str) -> None:
        """Take what still comes, and throw it away."""
        self.leave()
        self.status, self.comment = status, comment

    def leave(self) -> None:
        """Remove what was written, unless it was kept."""
        instance, self.instance = self.instance, None
        if instance is not None:
            instance.close()


class StorageSession:
    """What follows once an association was agreed upon.

    Args:
        connection: To the sender.
        association: What was agreed upon.
        store: Where instances go.
        listener: Who is told of them.
        idle_timeout_s: Longest silence.
    """

    def __init__(
        self,
        connection: Connection,
        association: Association,
        store: Store,
        listener: Listener,
        *,
        idle_timeout_s: float,
    ) -> None:
        self._connection = connection
        self._association = association
        self._store = store
        self._listener = listener
        self._idle_timeout_s = idle_timeout_s
        self._command = bytearray()
        self._context = 0
        self._arriving: _Arriving | None = None

    @property
    def is_between_messages(self) -> bool:
        """Whether nothing is under way, so that the association may be ended."""
        return self._arriving is None and not self._command

    def run(self, is_ending: Callable[[], bool]) -> None:
        """Serve until the sender releases the association.

        Args:
            is_ending: Asked between messages; the association is ended where it says so.

        Raises:
            ConnectionEndedError: If the connection ends otherwise.
            ProtocolError: If the sender does what is not allowed.
        """
        try:
            while not (is_ending() and self.is_between_messages):
                kind, body = self._connection.read(self._idle_timeout_s)
                if kind is Pdu.DATA:
                    for value in data_values(body):
                        self._take(value)
                elif kind is Pdu.RELEASE_RQ:
                    self._connection.send(release_answer())
                    self._connection.wait_for_end()
                    return
                elif kind is Pdu.ABORT:
                    return
                else:
                    raise ProtocolError("this is not the time for it", 2)
        finally:
            if self._arriving is not None:
                self._arriving.leave()

    def _take(self, value: DataValue) -> None:
        if self._arriving is not None:
            self._take_data(self._arriving, value)
            return
        if not value.is_command or value.context not in self._association.contexts:
            raise ProtocolError("a message begins with its command, in an accepted context", 6)
        if self._command and value.context != self._context:
            raise ProtocolError("a message is in one presentation context", 6)
        self._context = value.context
        self._command += value.data
        if len(self._command) > commands.COMMAND_BYTES_MOST:
            raise ProtocolError("a command is larger than any", 6)
        if value.is_last:
            command = commands.parsed_command(bytes(self._command))
            self._command.clear()
            self._begin(command)

    def _begin(self, command: Command) -> None:
        if command.field == commands.CANCEL:
            return
        if command.has_data_set:
            self._arriving = _Arriving(command, self._context)
            self._open(self._arriving)
        elif command.field == commands.ECHO:
            self._answer(command, self._context, commands.SUCCESS)
        elif command.field == commands.STORE:
            self._answer(command, self._context, commands.CANNOT_UNDERSTAND, "no data set")
        else:
            self._answer(command, self._context, commands.UNKNOWN_OPERATION)

    def _open(self, arriving: _Arriving) -> None:
        command = arriving.command
        sop_class, syntax = self._association.contexts[arriving.context]
        if command.field != commands.STORE:
            arriving.refuse(commands.UNKNOWN_OPERATION, "")
            return
        if command.sop_class_uid != sop_class:
            arriving.refuse(commands.CLASS_NOT_SUPPORTED, "not the class of its context")
            return
        uids = (command.sop_class_uid, command.sop_instance_uid)
        sender = self._association.sender
        try:
            arriving.instance = self._store.incoming(uids=uids, syntax=syntax, sender=sender)
        except NotKeptError as error:
            self._refuse(arriving, error)

    def _take_data(self, arriving: _Arriving, value: DataValue) -> None:
        if value.is_command or value.context != arriving.context:
            raise ProtocolError("the data set of a message is missing", 6)
        if arriving.instance is not None:
            try:
                arriving.instance.write(value.data)
                if value.is_last:
                    self._listener.kept(arriving.instance.keep())
            except NotKeptError as error:
                self._refuse(arriving, error)
        if value.is_last:
            arriving.leave()
            self._arriving = None
            self._answer(arriving.command, arriving.context, arriving.status, arriving.comment)

    def _refuse(self, arriving: _Arriving, error: NotKeptError) -> None:
        arriving.refuse(_STATUS[error.reason], error.what)
        self._listener.not_kept(error.reason)
        _log.warning("an instance was refused (%s): %s", error.reason, error.what)

    def _answer(self, command: Command, context: int, status: int, comment: str = "") -> None:
        encoded = commands.answer(command, status, comment)
        self._connection.send(data_pdus(context, encoded, self._association.pdu_bytes))
