"""Traces on disk: what comes back is what was written, bit by bit, or it is made again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eebench.errors import EEBenchError
from eebench.traces import cache as trace_cache
from eebench.traces.cache import DamagedTrace, TraceCache, TraceKey, shard_digest
from eebench.traces.trace import Document, Request, Trace

KEY = TraceKey("owner/model", "abc", "float32", "a_task", "1.0", "statistics-1")
SHARD = shard_digest(["first", "second"])
LAYERS, POSITIONS = 3, 7


def a_trace(positions: int = POSITIONS) -> Trace:
    rng = np.random.default_rng(0)
    per_layer = (LAYERS, positions)
    cosine = rng.random(per_layer, dtype=np.float32)
    cosine[:1] = np.nan  # what a statistic has that is not there at layer 1
    return Trace(
        statistics={
            "top1": rng.integers(0, 50_000, per_layer, dtype=np.int32),
            "entropy": rng.random(per_layer, dtype=np.float32) * np.float32(1e-30),
            "state_cosine": cosine,
        },
        target_logprob=-rng.random(per_layer, dtype=np.float32),
        final_divergence=rng.random(per_layer, dtype=np.float32),
        target=rng.integers(0, 50_000, positions),
        position=np.arange(positions),
        length=np.full(positions, 9),
        context=np.arange(positions) + 20,
        key=rng.integers(0, 2**64, positions, dtype=np.uint64),
        request=np.minimum(np.arange(positions), 1),
        requests=(Request(0, 0), Request(1, 3)),
        documents=(Document(4, "hash-é"), Document(9, "hash")),
    )


def assert_same_bits(one: Trace, other: Trace) -> None:
    def same(a: Any, b: Any) -> bool:
        return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())

    assert one.statistics.keys() == other.statistics.keys()
    assert all(same(values, other.statistics[name]) for name, values in one.statistics.items())
    arrays = ("target_logprob", "final_divergence", "target", "position", "length", "context", "key", "request")
    assert all(same(getattr(one, name), getattr(other, name)) for name in arrays)
    assert (one.requests, one.documents) == (other.requests, other.documents)


@pytest.fixture
def cache(tmp_path: Path) -> TraceCache:
    return TraceCache(tmp_path / "traces")


def the_shard(cache: TraceCache) -> Path:
    (path,) = cache.root.glob("*/*.parquet")
    return path


@pytest.mark.parametrize("positions", [POSITIONS, 1, 0])
def test_a_shard_comes_back_bit_by_bit(cache: TraceCache, positions: int) -> None:
    cache.save(KEY, SHARD, a_trace(positions))
    loaded = cache.load(KEY, SHARD)
    assert loaded is not None
    assert_same_bits(a_trace(positions), loaded)


def test_other_documents_models_and_tasks_do_not_get_it(cache: TraceCache) -> None:
    cache.save(KEY, SHARD, a_trace())
    assert cache.load(KEY, shard_digest(["first"])) is None
    changed: dict[str, Any] = {
        "model_id": "x",
        "revision": "x",
        "dtype": "x",
        "task": "x",
        "task_version": "x",
        "statistics": "x",
        "format": 0,
    }
    for field, value in changed.items():
        assert cache.load(replace(KEY, **{field: value}), SHARD) is None


def test_a_shard_is_named_by_its_documents_in_order() -> None:
    assert shard_digest(["a", "b"]) not in (shard_digest(["b", "a"]), shard_digest(["ab"]), shard_digest(["a"]))


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "longer"])
def test_a_damaged_shard_is_told_and_removed(cache: TraceCache, damage: str) -> None:
    cache.save(KEY, SHARD, a_trace())
    path = the_shard(cache)
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    path.write_bytes({"flipped": flipped, "cut": whole[:middle], "empty": b"", "longer": whole + b"\0"}[damage])
    with pytest.raises(DamagedTrace, match=SHARD):
        cache.load(KEY, SHARD)
    assert cache.load(KEY, SHARD) is None
    cache.save(KEY, SHARD, a_trace())
    assert cache.load(KEY, SHARD) is not None


@pytest.mark.parametrize("content", [b"no Parquet at all", b""])
def test_garbage_under_the_right_name_is_damage_too(cache: TraceCache, content: bytes) -> None:
    cache.save(KEY, SHARD, a_trace())
    path = the_shard(cache)
    path.unlink()
    path.with_name(f"{SHARD}-{trace_cache._checksum(content)}.parquet").write_bytes(content)
    with pytest.raises(DamagedTrace):
        cache.load(KEY, SHARD)
    assert cache.load(KEY, SHARD) is None


def test_what_cannot_be_read_is_damage_too(cache: TraceCache) -> None:
    cache.save(KEY, SHARD, a_trace())
    path = the_shard(cache)
    path.unlink()
    path.mkdir()
    with pytest.raises(DamagedTrace):
        cache.load(KEY, SHARD)


def test_a_write_that_fails_leaves_nothing(cache: TraceCache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.save(KEY, SHARD, a_trace())

    def full(path: Path, content: bytes) -> None:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    before = sorted(cache.root.rglob("*"))
    with pytest.raises(EEBenchError, match=r"cannot be written \(No space left on device\); make room"):
        cache.save(KEY, shard_digest(["third"]), a_trace())
    assert sorted(cache.root.rglob("*")) == before


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = TraceCache(tmp_path / "file" / "traces")
    assert cache.load(KEY, SHARD) is None
    with pytest.raises(EEBenchError, match="cannot be written"):
        cache.save(KEY, SHARD, a_trace())


def test_the_cache_lists_what_it_holds(cache: TraceCache) -> None:
    assert cache.traces() == []
    cache.save(KEY, SHARD, a_trace())
    cache.save(KEY, shard_digest(["third"]), a_trace())
    cache.save(replace(KEY, task="another_task"), SHARD, a_trace())
    one, another = cache.traces()
    assert (another.key, another.shards) == (replace(KEY, task="another_task"), 1)
    assert (one.key, one.digest, one.shards) == (KEY, KEY.digest, 2)
    assert one.bytes == sum(path.stat().st_size for path in (cache.root / KEY.digest).glob("*.parquet"))


@pytest.mark.parametrize("about", ["{", "[]", json.dumps({"model_id": "old format"})])
def test_a_trace_that_lost_its_description_can_still_be_removed(cache: TraceCache, about: str) -> None:
    cache.save(KEY, SHARD, a_trace())
    (cache.root / KEY.digest / "trace.json").write_text(about)
    (listed,) = cache.traces()
    assert (listed.key, listed.digest, listed.shards) == (None, KEY.digest, 1)
    cache.remove(listed.digest)
    assert cache.traces() == []


def test_removing_twice_is_no_error(cache: TraceCache) -> None:
    cache.save(KEY, SHARD, a_trace())
    cache.remove(KEY.digest)
    cache.remove(KEY.digest)
    assert cache.load(KEY, SHARD) is None
