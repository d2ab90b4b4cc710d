"""A run remembers enough about itself to be repeated."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eebench.records import provenance


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith("GIT_"):
            monkeypatch.delenv(name)
    root = tmp_path / "repository"
    root.mkdir()
    (root / "file").write_text("one\n")
    git(root, "init", "--quiet")
    git(root, "add", "file")
    git(root, "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", "first")
    return root


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True).stdout


def test_a_clean_checkout_is_named_by_its_commit(repository: Path) -> None:
    assert provenance.checkout(repository) == (git(repository, "rev-parse", "HEAD").strip(), False)


@pytest.mark.parametrize("name", ["file", "new_file"])
def test_a_checkout_with_changed_or_new_files_is_dirty(repository: Path, name: str) -> None:
    (repository / name).write_text("two\n")
    commit, dirty = provenance.checkout(repository)
    assert commit
    assert dirty is True


def test_an_installed_package_inside_somebody_elses_repository_is_no_checkout(repository: Path) -> None:
    installed = repository / "site-packages"
    installed.mkdir()
    assert provenance.checkout(installed) == (None, None)


def test_a_folder_outside_of_any_repository_is_no_checkout(tmp_path: Path) -> None:
    assert provenance.checkout(tmp_path) == (None, None)


def test_a_git_hook_of_another_repository_does_not_answer_for_this_one(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    assert provenance.checkout(tmp_path) == (None, None)


def test_without_git_there_is_no_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert provenance.checkout(repository) == (None, None)


def test_versions_are_those_of_the_installed_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    monkeypatch.setattr(provenance, "PACKAGES", ("numpy", "no-such-package"))
    assert provenance.versions() == {"python": sys.version.split()[0], "numpy": np.__version__}


def test_collecting_imports_nothing_heavy() -> None:
    script = (
        "import sys; from eebench.records.provenance import collect, device_name;"
        "collect('run', 1, 'cpu', device_name('cpu'));"
        "print(sorted({'torch', 'transformers', 'lm_eval'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert said.strip() == "[]"


def test_collect_keeps_what_it_is_told() -> None:
    made = provenance.collect("eebench run -p entropy", 7, "cpu", "A processor")
    assert (made.command, made.seed, made.device, made.device_name) == (
        "eebench run -p entropy",
        7,
        "cpu",
        "A processor",
    )


def test_the_processor_is_named_by_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_read", lambda _path: "processor\t: 0\nmodel name\t: Fast One @ 3 GHz\n")
    assert provenance.device_name("cpu") == "Fast One @ 3 GHz"


def test_a_processor_the_system_has_no_name_for_is_named_by_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_read", lambda _path: "")
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert provenance.device_name("cpu") == "aarch64"


def test_a_gpu_is_named_by_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"The GPU at {device}")
    assert provenance.device_name("cuda:1") == "The GPU at cuda:1"
