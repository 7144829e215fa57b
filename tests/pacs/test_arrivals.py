"""A study is handed on when it is complete: every file at least once, nothing twice for nothing."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctdenoise.config.receiver import CompletenessSettings, InboxSettings
from ctdenoise.pacs.arrivals import ROUNDS_MOST, Arrivals, Round
from ctdenoise.pacs.inbox import Inbox, Kept
from tests.dicom.builders import as_bytes, uid
from tests.pacs.receiving import one_slice

QUIET, COUNTED, LONGEST = 60.0, 5.0, 600.0
RULES = CompletenessSettings(quiet_s=QUIET, counted_quiet_s=COUNTED, longest_wait_s=LONGEST)


@dataclass
class Place:
    """An inbox, what watches it, and a clock that stands still until it is told to go on."""

    folder: Path
    rules: CompletenessSettings = RULES
    now: float = 1000.0
    counts: dict[str, int | None] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """As after a crash: only the folder is known."""
        self.inbox = Inbox(self.folder, InboxSettings(free_mb=1, durable=False))
        self.arrivals = Arrivals(
            self.inbox, self.rules, clock=lambda: self.now, expected=self.count
        )

    def count(self, study_instance_uid: str, _: frozenset[str]) -> int | None:
        self.asked.append(study_instance_uid)
        return self.counts.get(study_instance_uid)

    def arrive(self, study: str, index: int, *, other: bool = False, sender: str = "CT1") -> Kept:
        kept = self.inbox.keep_file(BytesIO(file_of(study, index, other=other)), sender=sender)
        self.arrivals.arrived(kept)
        return kept

    def after(self, seconds: float) -> tuple[Round, ...]:
        self.now += seconds
        return self.arrivals.due()

    def take(self, seconds: float) -> list[Round]:
        """What is due after some time, handed on."""
        rounds = list(self.after(seconds))
        for one in rounds:
            self.arrivals.handed_on(one)
        return rounds


FILES: dict[tuple[str, int, bool], bytes] = {}


def file_of(study: str, index: int, *, other: bool = False) -> bytes:
    if (study, index, other) not in FILES:
        dataset = one_slice(study, index)
        dataset.ContentTime = "111111" if other else "101010"
        FILES[study, index, other] = as_bytes(dataset)
    return FILES[study, index, other]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "inbox")


def test_a_study_is_complete_when_nothing_of_it_came_for_a_while(place: Place) -> None:
    for index in range(3):
        place.arrive("a", index)
        assert place.after(QUIET - 1) == ()
    (done,) = place.take(1)
    assert done.why == "quiet"
    assert len(done.files) == 3
    assert done.study_instance_uid == uid("study", "a")
    assert done.senders == {"CT1"}
    assert place.take(10 * QUIET) == []


def test_studies_that_arrive_at_once_do_not_wait_for_each_other(place: Place) -> None:
    place.arrive("a", 0, sender="CT1")
    place.after(50)
    place.arrive("b", 0, sender="CT2")
    place.arrive("a", 1, sender="CT3")
    place.after(20)
    place.arrive("b", 1)
    (a,) = place.take(40)
    assert a.study_instance_uid == uid("study", "a")
    assert a.senders == {"CT1", "CT3"}
    (b,) = place.take(20)
    assert b.study_instance_uid == uid("study", "b")


def test_a_file_that_comes_late_makes_a_further_round_with_everything(place: Place) -> None:
    place.arrive("a", 0)
    (first,) = place.take(QUIET)
    place.arrive("a", 1)
    (second,) = place.take(QUIET)
    assert len(first.files) == 1
    assert set(second.files) > set(first.files)
    assert first.id != second.id
    assert first.study == second.study


def test_the_same_file_again_makes_no_round_but_shows_that_its_sender_is_busy(
    place: Place,
) -> None:
    place.arrive("a", 0)
    place.after(50)
    assert place.arrive("a", 0).outcome == "again"
    assert place.after(50) == ()
    assert len(place.take(10)) == 1
    place.arrive("a", 0)
    assert place.take(10 * QUIET) == []
    assert place.arrivals.waiting() == ()


def test_a_study_that_never_ends_is_handed_on_after_the_longest_wait(place: Place) -> None:
    rounds = []
    for index in range(14):
        place.arrive("a", index)
        rounds += place.take(50)
    (done,) = rounds
    assert done.why == "longest wait"
    assert len(done.files) == 12
    (rest,) = place.take(QUIET)
    assert len(rest.files) == 14


def test_a_study_of_which_all_came_that_a_peer_counted_does_not_wait(place: Place) -> None:
    place.counts[uid("study", "a")] = 2
    place.arrive("a", 0)
    assert place.after(COUNTED) == ()
    place.arrive("a", 1)
    (done,) = place.take(COUNTED)
    assert done.why == "counted"


def test_a_study_of_which_something_is_missing_waits_as_long_as_it_may(place: Place) -> None:
    place.counts[uid("study", "a")] = 3
    place.arrive("a", 0)
    assert place.after(QUIET * 2) == ()
    (waiting,) = place.arrivals.waiting()
    assert (waiting.instances, waiting.expected) == (1, 3)
    (done,) = place.take(LONGEST)
    assert done.why == "longest wait"


def test_a_peer_is_not_asked_while_a_study_arrives_and_not_all_the_time(place: Place) -> None:
    place.arrive("a", 0)
    place.after(1)
    assert place.asked == []
    for _ in range(10):
        place.after(COUNTED)
    assert len(place.asked) == 2  # after 6 s, and again after 36 s


def test_a_study_that_a_peer_calls_stable_is_complete_at_once(place: Place) -> None:
    place.arrive("a", 0)
    place.arrivals.stable(uid("study", "a"))
    place.arrivals.stable(uid("study", "unknown"))
    (done,) = place.take(0)
    assert done.why == "stable"
    place.arrive("a", 1)
    assert place.take(1) == []


def test_a_round_is_told_of_until_it_is_handed_on_and_a_crash_changes_nothing(
    place: Place,
) -> None:
    place.arrive("a", 0)
    (first,) = place.after(QUIET)
    place.arrive("a", 1)
    assert place.after(0) == (first,)
    place.start()
    assert place.after(0) == (first,)
    place.arrivals.handed_on(first)
    place.start()
    assert place.after(0) == ()
    (second,) = place.take(QUIET)
    assert len(second.files) == 2
    place.start()
    assert place.take(10 * QUIET) == []


def test_a_file_that_was_handed_on_before_it_was_told_of_makes_no_round(place: Place) -> None:
    place.arrive("a", 0)
    place.now += QUIET
    late = place.inbox.keep_file(BytesIO(file_of("a", 1)), sender="CT1")
    (done,) = place.take(0)
    assert late.path in done.files
    place.arrivals.arrived(late)
    assert place.take(10 * QUIET) == []
    assert place.arrivals.waiting() == ()


def test_a_conflict_is_part_of_a_round_and_makes_one(place: Place) -> None:
    place.arrive("a", 0)
    (first,) = place.take(QUIET)
    assert first.conflicts == ()
    place.arrive("a", 0, other=True)
    (second,) = place.take(QUIET)
    assert second.files == first.files
    assert len(second.conflicts) == 1


def test_what_was_removed_and_comes_again_is_new(place: Place) -> None:
    place.arrive("a", 0)
    place.arrive("a", 1)
    (first,) = place.take(QUIET)
    place.inbox.remove(first.study, first.files[:1])
    for index in range(2):
        place.arrive("a", index)
    (second,) = place.take(QUIET)
    assert set(second.files) == set(first.files)
    place.inbox.remove(second.study, second.files)
    assert place.inbox.studies() == ()
    place.arrive("a", 0)
    (third,) = place.take(QUIET)
    assert len({first.id, second.id, third.id}) == 3


def test_damaged_notes_cost_work_and_lose_nothing(place: Place) -> None:
    place.arrive("a", 0)
    (first,) = place.take(QUIET)
    for text in (
        "",
        "{",
        "[]",
        '{"handed_on": 1, "offered": null}',
        '{"handed_on": [], "offered": {"id": "x", "why": "quiet", "files": ["../x"]}}',
    ):
        (place.inbox.folder(first.study) / "rounds.json").write_text(text)
        place.start()
        (again,) = place.take(QUIET)
        assert again.files == first.files
        assert again.id != first.id


def test_the_caller_need_not_look_before_something_can_be_due(place: Place) -> None:
    assert place.arrivals.next_look_s() > 600
    place.arrive("a", 0)
    assert place.arrivals.next_look_s() == pytest.approx(COUNTED)
    place.arrivals.stable(uid("study", "a"))
    assert place.arrivals.next_look_s() == 0


ACTIONS = st.one_of(
    st.tuples(st.just("arrive"), st.sampled_from("ab"), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from((1.0, COUNTED, QUIET, LONGEST))),
    st.tuples(st.just("stable"), st.sampled_from("ab")),
    st.tuples(st.just("take"), st.booleans()),
    st.tuples(st.just("crash")),
)


@dataclass
class Taker:
    """Takes what is due, and knows which files were never handed on."""

    place: Place
    taken: list[Round] = field(default_factory=list)
    new: dict[str, set[Path]] = field(default_factory=lambda: {"a": set(), "b": set()})

    def arrive(self, study: str, index: int, *, other: bool) -> None:
        kept = self.place.arrive(study, index, other=other)
        if not any(kept.path in (*one.files, *one.conflicts) for one in self.taken):
            self.new[study].add(kept.path)

    def take(self, *, crashes: bool) -> None:
        for one in self.place.after(0):
            known = [other for other in self.taken if other.id == one.id]
            assert known in ([], [one])
            if not known:
                self._first_time(one)
            if crashes:
                self.place.start()
                return
            self.place.arrivals.handed_on(one)

    def _first_time(self, one: Round) -> None:
        self.taken.append(one)
        study = next(name for name in "ab" if uid("study", name) == one.study_instance_uid)
        fresh = self.new[study] & {*one.files, *one.conflicts}
        assert fresh, "handed on again without a new file"
        self.new[study] -= fresh


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=st.lists(ACTIONS, max_size=25))
def test_whatever_happens_every_file_is_handed_on_and_nothing_twice_for_nothing(
    actions: list[tuple],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder) / "inbox")
        taker = Taker(place)
        for action in actions:
            match action:
                case ("arrive", study, index, other):
                    taker.arrive(study, index, other=other)
                case ("wait", seconds):
                    place.now += seconds
                case ("stable", study):
                    place.arrivals.stable(uid("study", study))
                case ("take", crashes):
                    taker.take(crashes=crashes)
                case _:
                    place.start()
        for _ in range(3):  # a round that was offered already, then what came meanwhile
            place.now += LONGEST
            taker.take(crashes=False)
        assert taker.new == {"a": set(), "b": set()}
        assert place.arrivals.waiting() == ()


@pytest.mark.parametrize("count", [None, 1, 9], ids=["unknown", "all here", "more to come"])
def test_the_next_look_is_never_now_while_nothing_can_be_told(place, count):
    place.counts[uid("study", "one")] = count
    place.arrive("one", 0)
    for _ in range(int(LONGEST)):
        if place.after(1.0):
            break
        assert 0 < place.arrivals.next_look_s() <= LONGEST, place.now
    else:
        pytest.fail("the study was never complete")


def test_very_many_complete_studies_are_handed_on_some_at_a_time(place):
    for number in range(2 * ROUNDS_MOST + 1):
        place.now += 0.001
        place.arrive(f"study {number}", 0)
    counts = [len(place.take(QUIET))]
    while place.arrivals.waiting():
        assert place.arrivals.next_look_s() == 0
        counts.append(len(place.take(0)))
    assert counts == [ROUNDS_MOST, ROUNDS_MOST, 1]


def test_what_was_kept_and_not_told_of_is_found_when_it_comes_again(place):
    place.inbox.keep_file(BytesIO(file_of("one", 0)), sender="CT1")  # and then something failed
    assert place.after(LONGEST) == ()
    assert place.arrive("one", 0).outcome == "again"
    assert len(place.take(LONGEST)) == 1
    place.arrive("one", 0)
    assert place.take(LONGEST) == []
