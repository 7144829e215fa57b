"""How many instances a study has, as a peer of the server knows it."""

from __future__ import annotations

import logging
from collections.abc import Collection

from ctdenoise.config.peers import Peer
from ctdenoise.jobs.performing import failure_of
from ctdenoise.pacs.client import find
from ctdenoise.pacs.matches import Wanted

_log = logging.getLogger(__name__)

_COUNT = "NumberOfStudyRelatedInstances"


class ExpectedCount:
    """Asks a peer by C-FIND or QIDO-RS; what is not known is no reason to wait.

    Args:
        name: Of the peer, for the log.
        peer: Whom to ask.
    """

    def __init__(self, name: str, peer: Peer) -> None:
        self._name = name
        self._peer = peer

    def __call__(self, study_instance_uid: str, senders: Collection[str]) -> int | None:
        """How many instances the peer has of a study; None if it does not say.

        Args:
            study_instance_uid: The study.
            senders: Where it came from.
        """
        del senders
        try:
            wanted = Wanted(study_instance_uid=study_instance_uid)
            found = find(self._peer, "study", wanted, most=1) if study_instance_uid else ()
        except Exception as error:  # noqa: BLE001 - an odd answer must not end the server
            words = failure_of(error).words
            _log.warning("%s does not say how many instances a study has: %s", self._name, words)
            return None
        count = found[0].attributes.get(_COUNT, "") if found else ""
        return int(count) if count.isascii() and count.isdigit() and int(count) > 0 else None
