"""Writes the documents of every task from scratch: `python -m eebench.tasks.generate`. The same bytes every time."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from random import Random
from types import ModuleType

from eebench.tasks.generators import (
    agreement,
    analogies,
    arithmetic,
    categories,
    edits,
    endings,
    entities,
    facts,
    lastword,
    lists,
    longwords,
    passages,
    patterns,
    records,
)

GENERATORS: tuple[ModuleType, ...] = (
    agreement,
    analogies,
    arithmetic,
    categories,
    edits,
    endings,
    entities,
    facts,
    lastword,
    lists,
    longwords,
    passages,
    patterns,
    records,
)
SEED = "eebench 1.0"


def name_of(generator: ModuleType) -> str:
    return generator.__name__.rpartition(".")[2]


def jsonl(generator: ModuleType) -> str:
    """The file of one task. Each task has its own random stream, so editing one leaves the others as they are."""
    rows = generator.rows(Random(f"{SEED} {name_of(generator)}"))
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write(folder: Path) -> None:
    for generator in GENERATORS:
        path = folder / name_of(generator) / f"{name_of(generator)}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(jsonl(generator), encoding="utf-8", newline="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent, help="where to write (default: here)")
    write(parser.parse_args().folder)


if __name__ == "__main__":
    main()
