"""Reading ahead and writing behind: order, one error, nothing left running."""

from __future__ import annotations

import threading
import time

import pytest

from ctdenoise.core.overlap import Busy, in_lanes, read_ahead, write_behind


def test_items_come_in_order_and_all_are_written():
    written: list[int] = []
    with read_ahead(range(100)) as read, write_behind(written.append, depth=2) as hand_over:
        for item in read:
            hand_over(item * 2)
    assert written == [2 * item for item in range(100)]


def test_reading_is_never_more_than_the_queue_ahead():
    made: list[int] = []

    def items():
        for item in range(50):
            made.append(item)
            yield item

    with read_ahead(items(), depth=2) as read:
        for item in read:
            # Two wait in the queue and one is in the hands of the reader.
            assert len(made) <= item + 1 + 2 + 1


def test_an_error_of_the_reader_is_raised_where_its_items_are_used():
    def items():
        yield 1
        raise ValueError("damaged")

    seen = []
    with pytest.raises(ValueError, match="damaged"), read_ahead(items()) as read:
        seen.extend(read)
    assert seen == [1]


def test_an_error_of_the_writer_ends_the_work():
    def full(_: int) -> None:
        raise OSError("disk is full")

    handed: list[int] = []

    def work() -> None:
        with write_behind(full) as hand_over:
            for item in range(1000):
                hand_over(item)
                handed.append(item)

    with pytest.raises(OSError, match="disk is full"):
        work()
    assert len(handed) < 1000


def test_an_error_at_the_last_item_is_not_lost():
    def full(_: int) -> None:
        raise OSError("disk is full")

    with pytest.raises(OSError, match="disk is full"), write_behind(full) as hand_over:
        hand_over(1)


def test_an_error_of_the_work_drops_what_waits_and_leaves_no_thread():
    before = threading.active_count()
    release = threading.Event()
    written: list[int] = []

    def slow(item: int) -> None:
        release.wait(5)
        written.append(item)

    def work() -> None:
        with read_ahead(iter(range(10**9))) as read, write_behind(slow, depth=3) as hand_over:
            for item in read:
                hand_over(item)
                if item == 2:
                    release.set()
                    raise RuntimeError("of the work")

    with pytest.raises(RuntimeError, match="of the work"):
        work()
    assert written == list(range(len(written)))
    assert threading.active_count() == before


class TestLanes:
    @pytest.mark.parametrize("lanes", [1, 3])
    def test_results_come_in_order(self, lanes):
        waits = [threading.Event() for _ in range(6)]

        def work(item: int) -> int:
            if lanes > 1 and item % 3 == 0:
                waits[item].wait(10)  # until the one after it is done
            elif item % 3 == 1:
                waits[item - 1].set()
            return item * 2

        assert list(in_lanes(work, range(6), lanes=lanes)) == [(n, 2 * n) for n in range(6)]

    def test_no_more_is_asked_for_than_there_are_lanes(self):
        asked: list[int] = []

        def items():
            for item in range(20):
                asked.append(item)
                yield item

        for item, _ in in_lanes(str, items(), lanes=3):
            assert len(asked) <= item + 3

    def test_an_error_ends_the_work(self):
        def work(item: int) -> int:
            if item == 4:
                raise ValueError("damaged")
            return item

        seen = []

        def use() -> None:
            for item, _ in in_lanes(work, range(100), lanes=2):
                seen.append(item)

        with pytest.raises(ValueError, match="damaged"):
            use()
        assert seen == [0, 1, 2, 3]


def test_what_threads_do_at_the_same_time_counts_once():
    busy, together = Busy(), threading.Barrier(3)

    def work() -> None:
        with busy.at("denoise"):
            together.wait(10)

    start = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < busy.seconds["denoise"] <= time.perf_counter() - start
