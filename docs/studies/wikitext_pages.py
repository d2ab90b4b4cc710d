"""Write pages of WikiText-2 as plain text, a JSON line each: what `eebench tune` is given to make the joint adapter.

    python docs/studies/wikitext_pages.py DATASETS_DIR OUTPUT.jsonl

DATASETS_DIR holds `EleutherAI/wikitext_document_level` in the hub's layout. The pages are those of its validation and
train splits, never of the test split, which is scored; lm-eval's own function takes the spaces of WikiText's
tokenisation out, as its `wikitext` task does before it scores.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from datasets import load_dataset
from lm_eval.tasks.wikitext.preprocess_wikitext import wikitext_detokenizer


def main(datasets_dir: str, output: str) -> None:
    """Write the pages."""
    folder = Path(datasets_dir) / "EleutherAI" / "wikitext_document_level"
    pages = [row for split in ("validation", "train") for row in load_dataset(str(folder), split=split)]
    lines = [json.dumps({"text": wikitext_detokenizer(page)}, ensure_ascii=False) + "\n" for page in pages]
    Path(output).write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
