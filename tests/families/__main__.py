"""python -m tests.families [TYPE...] [--write docs/models.md]: check every type, print what came of each."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import torch
import transformers

from tests.families.check import Checked, check
from tests.families.shrink import TYPES


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.families")
    parser.add_argument("types", nargs="*", default=list(TYPES))
    parser.add_argument("--write", type=Path, help="write the table into this document")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    checked = []
    for number, model_type in enumerate(arguments.types, start=1):
        result = check(model_type)
        checked.append(result)
        about = result.path if result.verdict == "exact" else result.reason
        print(f"{number:3}/{len(arguments.types)} {result.verdict:<9} {model_type:<24} {about}", flush=True)
    print(dict(Counter(result.verdict for result in checked)))
    if arguments.write:
        write(arguments.write, checked)


def write(path: Path, checked: list[Checked]) -> None:
    """Put the table between the markers of a document."""
    head, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _old, _, tail = rest.partition(END)
    path.write_text(f"{head}{BEGIN}\n{table(checked)}\n{END}{tail}", encoding="utf-8")


BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def table(checked: list[Checked]) -> str:
    counts = Counter(result.verdict for result in checked)
    lines = [
        f"transformers {transformers.__version__}, torch {torch.__version__.partition('+')[0]}: "
        + ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
        + f", of {len(checked)}. Of the exact ones {sum(result.shares for result in checked)} share K/V along a tree "
        f"and {sum(result.executes for result in checked)} are executed.",
        "",
        "| type | verdict | blocks | tail | largest error | generation |",
        "|---|---|---|---|---|---|",
    ]
    for result in sorted(checked, key=lambda result: result.model_type):
        if result.verdict == "exact":
            tail = ", ".join(f"`{name}`" for name in result.tail)
            decoding = ", ".join(["tree"] * result.shares + ["executed"] * result.executes) or "sequences"
            cells = (f"`{result.path}`", tail, f"{result.error:.0e}", decoding)
            lines.append(f"| `{result.model_type}` | exact | {' | '.join(cells)} |")
        else:
            reason = result.reason.replace("|", "\\|")
            lines.append(f"| `{result.model_type}` | {result.verdict} | {reason} | | | |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
