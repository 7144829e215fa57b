"""torch.compile, refused where it cannot work."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.util import find_spec

import torch
from torch import nn

from ctdenoise.errors import SettingsError, listed


def compiled(network: nn.Module, device: torch.device) -> nn.Module:
    """The network as torch.compile runs it; weights are shared with the network.

    Args:
        network: On its device, in its memory format.
        device: Where it is.

    Raises:
        SettingsError: If a tool that torch.compile needs is missing.
    """
    missing = missing_tools(device)
    if missing:
        raise SettingsError(
            f"torch.compile cannot work here:\n{listed(missing)}",
            where="compile",
            fix="Install what is missing, or train with compile=false.",
        )
    return torch.compile(network)  # type: ignore[return-value]  # a module for a module


def missing_tools(device: torch.device) -> list[str]:
    """What torch.compile lacks for a device, one sentence each."""
    missing = []
    if platform.system() == "Windows":
        missing.append("it is not supported on Windows here")
    compilers = [os.environ.get("CXX"), "g++", "clang++"]
    if not any(shutil.which(name) for name in compilers if name):
        missing.append("there is no C++ compiler (g++, clang++, or the one that CXX names)")
    if device.type == "cuda" and find_spec("triton") is None:
        missing.append("the package triton, which makes programs for the GPU, is not installed")
    return missing
