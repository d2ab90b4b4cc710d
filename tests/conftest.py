"""What all tests share: a cache and a database of their own, and the real parts where there are any."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.worlds import World

if "PYTEST_XDIST_WORKER" in os.environ:  # a process per core: torch is not to start a thread per core in each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("untimed", deadline=None)  # no test asserts a time
settings.load_profile("untimed")

REQUIRE_ALL = os.environ.get("EEBENCH_REQUIRE_ALL") == "1"
DATASETS = Path(__file__).parents[1] / ".." / "shared" / "datasets"


STOPPABLE = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from eebench.cli import main; main()"
)
"""The program as one that heeds ctrl-C, which those that a shell has started in the background do not."""


def missing(reason: str) -> None:
    """Skip where a real part is missing; on CI, where all parts must be there, fail."""
    if REQUIRE_ALL:
        pytest.fail(f"EEBENCH_REQUIRE_ALL=1, and {reason}")
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def own_places(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees or touches the user's cache or results."""
    places = tmp_path_factory.mktemp("places")
    monkeypatch.setenv("EEBENCH_CACHE", str(places / "cache"))
    monkeypatch.setenv("EEBENCH_DB", f"sqlite:///{places / 'results.db'}")
    monkeypatch.delenv("EEBENCH_DATASETS", raising=False)


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> World:
    """A run of a few policies on a small random model, with its results and its traces as the cache and database."""
    from tests.worlds import a_world

    made = a_world(tmp_path_factory)
    made.enter(monkeypatch)
    return made


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The real weights of SmolLM2-135M-Instruct, as `eebench models pull smollm2-135m` leaves them."""
    from eebench.cache import local_copy

    folder = local_copy("smollm2-135m")
    if folder is None:
        missing("the weights are not here: eebench models pull smollm2-135m")
    assert folder is not None
    return folder


@pytest.fixture(scope="session")
def gemma3() -> Path:
    """The real weights of Gemma 3 270M, as `eebench models pull gemma3-270m` leaves them."""
    from eebench.cache import local_copy

    folder = local_copy("gemma3-270m")
    if folder is None:
        missing("the weights are not here: eebench models pull gemma3-270m")
    assert folder is not None
    return folder


@pytest.fixture(scope="session")
def datasets_dir() -> Path:
    """Public test sets in the hub's layout."""
    folder = Path(os.environ.get("EEBENCH_TEST_DATASETS", DATASETS))
    if not folder.is_dir():
        pytest.skip(f"no data sets in the hub's layout at {folder}: set EEBENCH_TEST_DATASETS")
    return folder.resolve()
