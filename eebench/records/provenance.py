"""Where a run comes from: versions, the checkout's commit, and the name of the device."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from eebench.records.results import Provenance

PACKAGES = ("eebench", "torch", "transformers", "lm-eval", "numpy")
"""Whose versions can change a result."""

_ROOT = Path(__file__).resolve().parents[2]
_GIT_SECONDS = 10


def collect(command: str, seed: int, device: str, device_name: str) -> Provenance:
    """The provenance of a run that starts now."""
    commit, dirty = checkout(_ROOT)
    return Provenance(
        command=command,
        seed=seed,
        device=device,
        device_name=device_name,
        versions=versions(),
        git_commit=commit,
        git_dirty=dirty,
    )


def versions() -> dict[str, str]:
    """The versions of Python and of `PACKAGES`, without importing any; a package that is not installed is not named."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def checkout(root: Path) -> tuple[str | None, bool | None]:
    """The commit of the git checkout at `root`, and whether it has changes; (None, None) where it is none.

    A folder somewhere inside a checkout is none itself: an environment in another project's repository is not that
    project.
    """
    top, commit = _git(root, "rev-parse", "--show-toplevel"), _git(root, "rev-parse", "HEAD")
    if not top or not commit or Path(top).resolve() != root.resolve():
        return None, None
    changes = _git(root, "status", "--porcelain")
    return commit, None if changes is None else bool(changes)


def device_name(device: str) -> str:
    """What the device is called by its maker: the GPU's name for `cuda` devices, the processor's for all others."""
    if device.startswith("cuda"):
        import torch

        name: str = torch.cuda.get_device_name(device)
        return name
    return _processor_name()


def _processor_name() -> str:
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return value.strip()
    return platform.processor() or platform.machine() or "unknown processor"


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _git(root: Path, *arguments: str) -> str | None:
    """What git says, or None if it is missing or fails."""
    # A hook that runs EEBench sets GIT_DIR and others, which would answer for another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=_GIT_SECONDS,
            env=environment,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
