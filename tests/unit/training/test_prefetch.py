"""Batches prepared while the network computes."""

from __future__ import annotations

import threading

import pytest
import torch
from monai.data import get_track_meta

from ctdenoise.config.training import DataSettings
from ctdenoise.tasks import train as task
from ctdenoise.training.job import prepare_job
from ctdenoise.training.patches import plain_tensors
from ctdenoise.training.prefetch import BATCHES_A_THREAD, prepared_ahead, threads_for
from tests.unit.training.test_run import StopSoon

CHANGING = {
    "patches": {"size": 24, "smallest_scale": 0.8, "largest_scale": 1.25, "jitter_hu": 20},
    "data": {"threads": 2},
}


class Numbers:
    """A sequence that notes what it was asked for."""

    def __init__(self, count, *, fails_at=None):
        self.count, self.fails_at, self.asked = count, fails_at, []

    def __len__(self):
        return self.count

    def __getitem__(self, step):
        self.asked.append(step)
        if step == self.fails_at:
            raise MemoryError(f"batch {step}")
        return step * step


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_batches_come_in_order_and_each_is_prepared_once(threads):
    numbers = Numbers(20)
    with prepared_ahead(numbers, threads=threads) as batches:
        assert [batches[step] for step in range(5, 20)] == [n * n for n in range(5, 20)]
    assert sorted(numbers.asked) == list(range(5, 20))


def test_no_more_is_prepared_than_stated():
    numbers = Numbers(1000)
    with prepared_ahead(numbers, threads=2) as batches:
        assert batches[0] == 0
    assert max(numbers.asked) <= 2 * BATCHES_A_THREAD


def test_an_error_comes_where_its_batch_is_asked_for_and_ends_the_threads():
    before = threading.active_count()
    seen = []

    def work():
        with prepared_ahead(Numbers(9, fails_at=3), threads=2) as batches:
            seen.extend(batches[step] for step in range(9))

    with pytest.raises(MemoryError, match="batch 3"):
        work()
    assert seen == [0, 1, 4]
    assert threading.active_count() == before


def test_ctrl_c_ends_the_threads():
    before = threading.active_count()

    def work():
        with prepared_ahead(Numbers(99), threads=2) as batches:
            assert batches[0] == 0
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert threading.active_count() == before


def test_a_cpu_prepares_nothing_ahead_unless_asked():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert threads_for(DataSettings(), cpu) == 0
    assert threads_for(DataSettings(threads=3), cpu) == 3
    assert 1 <= threads_for(DataSettings(), gpu) <= 4


def test_any_number_of_threads_gives_the_same_batches(make_pair, tiny):
    pair = make_pair(doses=(0.25, 0.5), labelled=True)
    alone = prepare_job([pair], tiny.replaced(**CHANGING), seed=1).batches
    with prepared_ahead(alone, threads=3) as batches:
        for step in range(len(alone)):
            one, other = alone[step], batches[step]
            assert torch.equal(one.low, other.low)
            assert torch.equal(one.target.image, other.target.image)


def test_metadata_come_back_when_the_last_thread_is_done():
    before = get_track_meta()
    entered, leave = threading.Event(), threading.Event()

    def work():
        with plain_tensors():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=work)
    with plain_tensors():
        thread.start()
        assert entered.wait(10)
    assert get_track_meta() is False
    leave.set()
    thread.join()
    assert get_track_meta() == before


def test_a_stopped_run_with_changes_and_threads_resumes_bit_for_bit(make_pair, tiny, tmp_path):
    pairs = [make_pair(doses=(0.25, 0.5)).folder]
    settings = tiny.replaced(**CHANGING)
    task.run(pairs, settings.replaced(data={"threads": 0}), out=tmp_path / "whole", seed=1)
    first = task.run(pairs, settings, out=tmp_path / "parts", seed=1, progress=StopSoon(3))
    assert first.stopped == "interrupted"
    task.run(pairs, settings, out=tmp_path / "parts", seed=1, resume=True)
    for name in ("last/step_000000008.safetensors",):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
