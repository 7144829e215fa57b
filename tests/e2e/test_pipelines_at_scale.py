"""Jobs for clusters and cohorts call commands that exist, and each study goes to one part."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ctdenoise.config.batch import BatchSettings
from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.load import find_settings_file, load_settings
from tests.e2e.spoken import FOLDER, Stage, understood

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path)


@pytest.fixture
def studies(tmp_path):
    """A list of 10 studies; nobody looks into them."""
    path = tmp_path / "studies.txt"
    path.write_text("".join(f"/data/study {number}\n" for number in range(10)), encoding="utf-8")
    return path


def value_of(option, words):
    return words[words.index(option) + 1]


class TestTorchrun:
    @pytest.fixture
    def stage(self, tmp_path):
        return Stage(tmp_path, {"torchrun": "", "srun": 'exec "${@:4}"', "scontrol": "echo node7"})

    def words_for_train(self, stage):
        (words,) = stage.calls("torchrun")
        place = words.index("-m")
        assert words[place + 1] == "ctdenoise"
        return words[:place], words[place + 2 :]

    def test_a_training_is_started_on_all_gpus_of_the_machine(self, stage):
        assert stage.run("torchrun.sh", "pairs", stage.folder / "model").returncode == 0
        placing, words = self.words_for_train(stage)
        assert placing == ["--nproc-per-node", "gpu", "--standalone"]
        assert understood(words)["out"] == stage.folder / "model"

    def test_settings_are_the_callers_choice(self, stage):
        chosen = {"TRAIN": "redcnn_seg", "TRAIN_SET": "steps=5 threads=1", "PROCESSES": "2"}
        stage.run("torchrun.sh", "pairs", stage.folder / "model", **chosen)
        placing, words = self.words_for_train(stage)
        assert placing[:2] == ["--nproc-per-node", "2"]
        assert understood(words)["overrides"] == ("steps=5", "threads=1")
        assert understood(words)["config"] == Path("redcnn_seg")

    def test_a_stopped_one_goes_on_and_a_finished_one_is_left_alone(self, stage):
        model = stage.folder / "model"
        model.mkdir()
        stage.run("torchrun.sh", "pairs", model, TRAIN_SET="steps=5")
        _, words = self.words_for_train(stage)
        assert understood(words)["resume"] is True
        assert "--set" not in words
        (model / "run.json").write_text('{"results": {"stopped": "finished"}}')
        done = stage.run("torchrun.sh", "pairs", model)
        assert done.returncode == 0
        assert "is finished" in done.stderr
        assert len(stage.calls("torchrun")) == 1

    def test_on_several_nodes_one_launcher_each_meets_at_the_first(self, stage):
        slurm = {"SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_ID": "4711", "SLURM_JOB_NODELIST": "n[7-8]"}
        done = stage.run("slurm/train.sbatch", "pairs", stage.folder / "model", **slurm)
        assert done.returncode == 0, done.stderr
        (started,) = stage.calls("srun")
        assert started[:2] == ["--nodes=2", "--ntasks-per-node=1"]
        placing, words = self.words_for_train(stage)
        assert value_of("--rdzv-endpoint", placing) == "node7:24711"
        assert value_of("--nnodes", placing) == "2"
        assert understood(words)["out"] == stage.folder / "model"


class TestCohort:
    def test_every_study_below_a_folder_is_simulated(self, stage):
        chosen = {"DOSES": "0.25 0.1", "BATCH": "--workers 4 --timeout 3600"}
        assert stage.run("cohort_pairs.sh", stage.folder, "out", **chosen).returncode == 0
        (words,) = stage.calls()
        arguments = understood(words)
        assert arguments["out"] == Path("out")
        assert arguments["options"].below == stage.folder
        assert arguments["options"].workers == 4
        file = find_settings_file("simulate", arguments["config"])
        settings = load_settings(SimulateSettings, file, arguments["overrides"])
        assert settings.dose == (0.25, 0.1)

    def test_a_list_of_studies_is_taken_as_well(self, stage, studies):
        stage.run("cohort_pairs.sh", studies, "out")
        (words,) = stage.calls()
        assert understood(words)["options"].table == studies

    @pytest.mark.parametrize(
        ("code", "strict", "expected"),
        [("4", "", 0), ("4", "1", 4), ("3", "", 3), ("130", "", 130), ("0", "1", 0)],
    )
    def test_studies_that_cannot_be_used_are_no_failure_unless_asked_for(
        self, tmp_path, studies, code, strict, expected
    ):
        stage = Stage(tmp_path, {"ctdenoise": f"exit {code}"})
        assert stage.run("cohort_pairs.sh", studies, "out", STRICT=strict).returncode == expected


class TestArray:
    SLURM = {"SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "2"}  # noqa: RUF012

    @pytest.fixture
    def stage(self, tmp_path):
        return Stage(tmp_path, {"ctdenoise": "", "srun": 'exec "${@:2}"'})

    def run(self, stage, studies, task):
        return stage.run(
            "slurm/batch_array.sbatch", "infer", studies, stage.folder / "out", "--model", "nlm",
            SLURM_ARRAY_TASK_ID=str(task), **self.SLURM,
        )  # fmt: skip

    def lists(self, stage):
        return [
            understood(words)["options"].table.read_text("utf-8").splitlines()
            for words in stage.calls()
        ]

    def test_each_study_is_in_one_part_and_each_part_has_a_folder(self, stage, studies):
        for task in (2, 3, 4):
            done = self.run(stage, studies, task)
            assert done.returncode == 0, done.stderr
        every = [study for part in self.lists(stage) for study in part]
        assert sorted(every) == sorted(studies.read_text("utf-8").splitlines())
        assert len({understood(words)["out"] for words in stage.calls()}) == 3

    def test_a_part_is_the_same_when_it_is_run_again(self, stage, studies):
        for _ in range(2):
            assert self.run(stage, studies, 3).returncode == 0
        first, again = stage.calls()
        assert first == again
        assert understood(first)["model"] == "nlm"

    def test_the_header_of_a_table_is_in_every_part(self, stage):
        table = stage.folder / "studies.csv"
        table.write_text("study,name\n/a,1\n/b,2\n/c,3\n", encoding="utf-8")
        assert self.run(stage, table, 3).returncode == 0
        (words,) = stage.calls()
        assert understood(words)["options"].table.suffix == ".csv"
        assert self.lists(stage) == [["study,name", "/b,2"]]

    def test_a_part_without_a_study_ends_well(self, stage):
        few = stage.folder / "few.txt"
        few.write_text("/a\n", encoding="utf-8")
        assert self.run(stage, few, 3).returncode == 0
        assert stage.calls() == []

    def test_relative_paths_and_gaps_in_the_array_are_refused(self, stage, studies):
        few = stage.folder / "few.txt"
        few.write_text("/a\nb\n", encoding="utf-8")
        done = self.run(stage, few, 3)
        assert done.returncode == 2
        assert "line 2: paths must begin with /" in done.stderr
        assert self.run(stage, studies, 7).returncode == 2
        assert stage.calls() == []


BOTH_BEGAN = 'until (($(grep -c ^dask "$SAID") == 2)); do sleep 0.02; done'
"""Scheduler and worker are started beside the batch, and are ended with it."""


class TestDask:
    SLURM = {"SLURM_JOB_ID": "4711", "SLURM_CPUS_PER_TASK": "3"}  # noqa: RUF012

    @pytest.fixture
    def stage(self, tmp_path):
        if shutil.which("openssl") is None:
            pytest.skip("there is no openssl")
        return Stage(tmp_path, {"ctdenoise": BOTH_BEGAN, "dask": "", "srun": 'exec "$@"'})

    def run(self, stage, studies, **more):
        return stage.run(
            "slurm/batch_dask.sbatch",
            "infer",
            studies,
            "out",
            "--model",
            "nlm",
            **self.SLURM,
            **more,
        )

    def test_scheduler_workers_and_batch_meet_at_one_encrypted_address(self, stage, studies):
        done = self.run(stage, studies)
        assert done.returncode == 0, done.stderr
        (words,) = stage.calls()
        arguments = understood(words)
        assert arguments["options"].table == studies
        settings = load_settings(BatchSettings, Path(f"{stage.said}.yaml"), ())
        place = settings.executor.place
        assert place.address.startswith("tls://")
        assert place.address.endswith(":24711")
        assert not place.gpu
        assert settings.executor.threads == 3
        scheduler, worker = sorted(stage.calls("dask"))
        host, port = (value_of(option, scheduler) for option in ("--host", "--port"))
        assert f"tls://{host}:{port}" == worker[1] == place.address
        for call in (scheduler, worker):
            assert value_of("--tls-key", call) == str(place.tls.key)

    def test_nothing_secret_is_left(self, stage, studies):
        self.run(stage, studies)
        assert not list(stage.folder.glob(".ctdenoise-*"))

    def test_gpus_are_used_where_each_task_has_one(self, stage, studies):
        self.run(stage, studies, SLURM_GPUS_PER_TASK="1")
        assert load_settings(BatchSettings, Path(f"{stage.said}.yaml"), ()).executor.place.gpu
        (worker,) = (call for call in stage.calls("dask") if call[0] == "worker")
        assert value_of("--resources", worker) == "GPU=1"

    def test_the_outcome_is_that_of_the_batch(self, stage, studies):
        stage.programs["ctdenoise"] = f"{BOTH_BEGAN}; exit 4"
        assert self.run(stage, studies).returncode == 4


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="there is no shellcheck")
def test_jobs_are_written_without_traps():
    jobs = [path for path in FOLDER.rglob("*") if path.suffix in {".sh", ".sbatch"}]
    assert len(jobs) >= 6
    done = subprocess.run(["shellcheck", *jobs], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
