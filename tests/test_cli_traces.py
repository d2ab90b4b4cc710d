"""`eebench traces`: what lies in the cache, and how to be rid of it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner, Result

from eebench.cache import traces_dir
from eebench.cli import main
from eebench.traces.cache import TraceCache
from tests.test_trace_cache import KEY, SHARD, a_trace


def traces(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["traces", *arguments])


@pytest.fixture
def cache() -> TraceCache:
    cache = TraceCache(traces_dir())
    for task in ("one_task", "another_task"):
        cache.save(replace(KEY, task=task, model_id="./models/[tiny]"), SHARD, a_trace())
    return cache


def test_an_empty_cache_says_how_to_fill_it() -> None:
    result = traces()
    assert result.exit_code == 0
    assert result.output == f"No traces yet in {traces_dir()}: `eebench run` makes them.\n"


@pytest.mark.parametrize("arguments", [(), ("list",)])
def test_traces_are_listed_with_id_model_task_and_size(cache: TraceCache, arguments: tuple[str, ...]) -> None:
    lines = traces(*arguments).output.splitlines()
    listed = cache.traces()
    total = sum(trace.bytes for trace in listed)
    assert [line.split()[0] for line in lines] == ["id", *(trace.digest[:12] for trace in listed), f"{total / 1e3:.1f}"]
    assert lines[1].split()[1:7] == ["./models/[tiny]", "abc", "float32", "another_task", "1.0", "1"]
    assert lines[1].endswith("kB")


def test_a_trace_without_its_description_is_listed_as_such(cache: TraceCache) -> None:
    (cache.root / cache.traces()[0].digest / "trace.json").unlink()
    assert "unreadable: its trace.json is damaged" in traces().output


def test_the_beginning_of_an_id_is_enough_to_remove_one(cache: TraceCache) -> None:
    gone, stays = cache.traces()
    result = traces("rm", gone.digest[:6], gone.digest)
    assert result.exit_code == 0
    assert result.output.startswith("Removed 1 trace (")
    assert cache.traces() == [stays]


def test_all_can_be_removed(cache: TraceCache) -> None:
    assert traces("rm", "--all").output.startswith("Removed 2 traces (")
    assert cache.traces() == []
    assert traces("rm", "--all").output == "Removed 0 traces (0 bytes).\n"


def test_an_unknown_id_is_told_with_near_ones_and_nothing_is_removed(cache: TraceCache) -> None:
    known = cache.traces()[0].digest[:12]
    wrong = known[:-1] + ("x" if known[-1] != "x" else "y")
    result = traces("rm", known, wrong)
    assert result.exit_code == 2
    assert f"unknown trace '{wrong}': did you mean {known}" in result.output
    assert len(cache.traces()) == 2


@pytest.mark.parametrize("arguments", [("rm",), ("rm", "")])
def test_removing_nothing_in_particular_removes_nothing(cache: TraceCache, arguments: tuple[str, ...]) -> None:
    cache.remove(cache.traces()[0].digest)
    assert traces(*arguments).exit_code == 2
    assert len(cache.traces()) == 1


def test_a_beginning_that_several_have_is_told(cache: TraceCache) -> None:
    for name in ("abc1", "abc2"):
        (cache.root / name).mkdir()
    result = traces("rm", "abc")
    assert (result.exit_code, result.output) == (2, "Error: 2 traces begin with 'abc': give more of the id.\n")


def test_listing_does_not_import_torch(cache: TraceCache) -> None:
    code = (
        "import sys; from eebench.cli import main; main(['traces'], standalone_mode=False); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
