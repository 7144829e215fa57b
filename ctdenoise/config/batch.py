"""Settings of `batch`: where many studies are worked on, and how often a failing one is tried."""

from __future__ import annotations

from pydantic import Field

from ctdenoise.config.base import Settings
from ctdenoise.config.executor import ExecutorSettings


class BatchSettings(Settings):
    """How `batch` goes through its studies; nothing here changes a result."""

    executor: ExecutorSettings = ExecutorSettings()
    """Where studies are worked on, and what each may take."""

    retries: int = Field(default=2, ge=0, le=100)
    """How often a study is tried again whose process was lost, took too long or too much memory, or
    that failed in another way that may pass. What is wrong with its files does not pass."""

    retry_after_s: float = Field(default=5.0, ge=0)
    """How long it waits before the first of these, s; twice as long before each further one."""
