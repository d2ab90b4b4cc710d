"""The wheel, built and installed in an empty environment outside the checkout, has its policies and tasks and runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.small_models import save_small_model

CHECKOUT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment that holds the wheel and, of what it depends on, only what it needs not build.

    The dependencies are those of this environment, on the path as a plain folder: an editable install there does not
    count, so EEBench comes from the wheel or not at all.
    """
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a build leaves files beside what it builds
    shutil.copytree(CHECKOUT, source, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__"))
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)]
    subprocess.run(build, check=True, cwd=folder)
    environment = folder / "environment"
    venv.create(environment)
    packages = next(environment.glob("lib/python*/site-packages"))
    (wheel,) = folder.glob("eebench-*.whl")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(packages), str(wheel)]
    subprocess.run(install, check=True, cwd=folder)
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    return environment / "bin"


def run(installed: Path, folder: Path, *arguments: str) -> str:
    command = [str(installed / "python"), "-c", "from eebench.cli import main; main()", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_comes_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    command = [
        str(installed / "python"),
        "-c",
        "import eebench.policies, eebench.tasks; print(eebench.tasks.__path__[0])",
    ]
    where = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()
    assert Path(where).is_relative_to(installed.parent)


def test_it_has_its_policies_tasks_and_models(installed: Path, tmp_path: Path) -> None:
    assert "patience" in run(installed, tmp_path, "policies")
    assert "eebench_facts" in run(installed, tmp_path, "tasks")
    assert "llama2-7b" in run(installed, tmp_path, "models")


def test_it_runs_and_reports(installed: Path, tmp_path: Path) -> None:
    model = save_small_model(tmp_path / "small")
    task = ("-t", "eebench_facts,eebench_passages", "--limit", "8")
    run(installed, tmp_path, "run", "--quiet", "-m", str(model), "-p", "entropy,patience", *task)
    board = run(installed, tmp_path, "report")
    assert "entropy" in board
    assert "oracle" in board
