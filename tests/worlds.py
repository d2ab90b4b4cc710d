"""A run on a small random model, for tests of what leaves the database: bundles, leaderboards and published traces."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from eebench.cli import main
from tests.small_models import save_small_model

DICE = '''"""Toss a die at every layer."""

from eebench.policy import Bools, ExitPolicy, LayerView, swept


class Dice(ExitPolicy):
    """Stop at each layer with the same probability, and be no wiser for it."""

    formula = "a seeded die per position and layer"
    source = "a test"

    rate: float = swept(0.3, over=(0.2, 0.5), ge=0, le=1)

    def stops(self, layer: LayerView) -> Bools:
        return (layer.uniform(layer.index) < self.rate) & (layer.max_prob > 0)
'''

CHOICE, ROLLING, WRITTEN = "eebench_agreement", "eebench_passages", "eebench_lists"
"""A multiple-choice task, one of perplexity, and one of generation, in the order of the bundle's evaluations."""

DOCUMENTS = 16

POLICIES = ("entropy:threshold=[5.0,5.5]", "gate:threshold=[0.3,0.6]", "static", "random:p=0.5", "oracle-stable")


@dataclass(frozen=True)
class World:
    """Where a run has left its traces and its results."""

    cache: Path
    db: str
    model: str
    policy: Path

    def enter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have commands find the traces and the results, away from EEBench's own leaderboard."""
        monkeypatch.chdir(self.cache.parent)
        monkeypatch.setenv("EEBENCH_CACHE", str(self.cache))
        monkeypatch.setenv("EEBENCH_DB", self.db)


def eebench(*arguments: str | Path) -> Result:
    """A command as a user types it."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


_MADE: list[World] = []


def a_world(factory: pytest.TempPathFactory) -> World:
    """A run of a few policies on three tasks, and the bundle of it; made once."""
    if not _MADE:
        _MADE.append(_make_world(factory.mktemp("world")))
    return _MADE[0]


def _make_world(root: Path) -> World:
    world = World(root / "cache", f"sqlite:///{root / 'results.db'}", str(root / "tiny"), root / "dice.py")
    save_small_model(Path(world.model), seed=3)
    world.policy.write_text(DICE)
    with pytest.MonkeyPatch.context() as patch:
        world.enter(patch)
        policies = [argument for spec in (*POLICIES, str(world.policy)) for argument in ("-p", spec)]
        tasks = (
            "-t",
            f"{CHOICE},{ROLLING},{WRITTEN}",
            "--limit",
            str(DOCUMENTS),
            "--max-gen-toks",
            "6",
            "--num-fewshot",
            "0",
        )
        ran = eebench("run", "-m", world.model, *tasks, *policies)
        assert ran.exit_code == 0, ran.output
        assert eebench("export", "-o", root / "bundle").exit_code == 0
    return world


def bundle_of(world: World, place: Path) -> Path:
    """A copy of the bundle of the world's run, to be changed at will."""
    return Path(shutil.copytree(world.cache.parent / "bundle", place / "bundle"))


# --- bundles that somebody has changed ---------------------------------------------------------------------------

Edit = Callable[["Changed"], None]


@dataclass
class Changed:
    """The files of a bundle as plain JSON, to be changed and written again with hashes that fit.

    Attributes:
        shared: what all settings share, an evaluation each.
        lines: the settings of each evaluation.
    """

    folder: Path
    contents: dict[str, Any] = field(init=False)
    shared: list[dict[str, Any]] = field(init=False)
    lines: list[list[dict[str, Any]]] = field(init=False)
    sources: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.contents = json.loads(self._read("bundle.json"))
        files = self.contents["evaluations"]
        self.shared = [json.loads(self._read(one["evaluation"])) for one in files]
        self.lines = [[json.loads(line) for line in self._read(one["results"]).splitlines()] for one in files]
        self.sources = {one["file"]: self._read(one["file"]) for one in self.contents["policies"]}
        for shared, lines in zip(self.shared, self.lines, strict=True):
            for line in lines:  # columns that are left out of a file may be changed like the others
                coins = [document["coin"] for document in shared["documents"]]
                told = {name: [coin[name] for coin in coins] for name in coins[0]}
                line["documents"] = {"id": [one["id"] for one in shared["documents"]], **told, **line["documents"]}

    def setting(self, text: str, evaluation: int = 0) -> dict[str, Any]:
        """The line of a setting, by its text or how that begins."""
        lines = {line["setting"]: line for line in self.lines[evaluation]}
        return lines.get(text) or next(line for setting, line in lines.items() if setting.startswith(text))

    def source(self, text: str) -> None:
        """Give the policy of one's own another source, with the hash of it wherever it is named."""
        (file,) = self.sources
        self.sources[file] = text
        digest = hashlib.sha256(text.encode()).hexdigest()
        self.contents["policies"] = [{"sha256": digest, "file": file}]
        for line in (line for lines in self.lines for line in lines if not line["builtin"]):
            line["policy_hash"] = digest

    def write(self) -> None:
        """Write everything, and name it by its hashes."""
        for files, shared, lines in zip(self.contents["evaluations"], self.shared, self.lines, strict=True):
            self._write(files["evaluation"], json.dumps(shared))
            self._write(files["results"], "".join(f"{json.dumps(line)}\n" for line in lines))
        for file, text in self.sources.items():
            self._write(file, text)
        self._write("bundle.json", json.dumps(self.contents))

    def _read(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")
        if name != "bundle.json":
            self.contents["files"][name] = hashlib.sha256(text.encode()).hexdigest()


def changed(world: World, place: Path, edit: Edit) -> Path:
    """The bundle of the world's run after somebody has changed it, and hashed it anew."""
    folder = bundle_of(world, place)
    bundle = Changed(folder)
    edit(bundle)
    bundle.write()
    return folder
