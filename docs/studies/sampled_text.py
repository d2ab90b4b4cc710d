"""Sample text from a model, a JSON line each: what keeps a training from forgetting what the model could do before.

    python docs/studies/sampled_text.py MODEL OUTPUT.jsonl [--texts 640]

Half of the texts begin with nothing, half answer a request in the model's chat template. Training on a model's own
samples needs no data (LLM-QAT, Liu et al. 2023, arXiv 2305.17888). The same seed, versions and threads give the same
texts.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any

import torch

from eebench.models.loading import load_model
from eebench.progress import Terminal

FORMS = (
    "Tell a short story about {}.",
    "Explain {} to a ten-year-old.",
    "Write a letter to a friend about {}.",
    "Write a conversation between two people about {}.",
    "List five facts about {}, one sentence each.",
    "Ask three questions about {} and answer each.",
    "What should a beginner know about {}?",
    "Write a diary entry that mentions {}.",
)
TOPICS = (
    "a lighthouse", "baking bread", "the moon", "a lost dog", "trains", "growing tomatoes", "a broken bridge", "rain",
    "learning to swim", "a village market", "bees", "an old clock", "the number seven", "a rowing boat", "snow",
    "a first day at work", "mending a chair", "stars", "a school play", "potatoes", "a stolen bicycle", "the sea",
    "playing chess", "a sleepless night", "foxes", "a long walk", "paying taxes", "a birthday", "glass", "volcanoes",
    "a quiet neighbour", "fractions", "iron", "a museum", "sheep", "a late bus", "electricity", "a wedding", "maps",
    "the tallest tree",
)  # fmt: skip
BATCH = 32
NEW_TOKENS = 160


def prompts(tokenizer: Any, count: int) -> list[list[int]]:
    """What the texts begin with: nothing and a request in turns. [count][tokens]"""
    requests = [form.format(topic) for topic, form in product(TOPICS, FORMS)]
    start = [tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id]
    begun = []
    for i in range(count):
        request = [{"role": "user", "content": requests[i // 2 * 7 % len(requests)]}]
        asked = tokenizer.apply_chat_template(request, add_generation_prompt=True, return_dict=True)["input_ids"]
        begun.append(start if i % 2 == 0 else list(asked))
    return begun


@torch.inference_mode()
def sample(model: Any, tokenizer: Any, begun: list[list[int]]) -> list[str]:
    """A text for each prompt, at temperature 1; what the tokenizer calls special is left in, but for the ends."""
    end = tokenizer.eos_token_id
    width = max(map(len, begun))
    ids = torch.tensor([[end] * (width - len(one)) + one for one in begun])
    mask = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in begun])
    out = model.generate(ids, attention_mask=mask, do_sample=True, top_k=0, max_new_tokens=NEW_TOKENS, pad_token_id=end)
    texts = []
    for row, one in zip(out.tolist(), begun, strict=True):
        new = row[width:]
        new = new[: new.index(end)] if end in new else new
        texts.append(tokenizer.decode((one if len(one) > 1 else []) + new))
    return texts


def main(name: str, output: str, count: int) -> None:
    """Write the texts."""
    loaded = load_model(name)
    torch.manual_seed(1234)
    begun = prompts(loaded.tokenizer, count)
    texts: list[str] = []
    with Terminal().stage(f"Sampling from {name}", count) as advance:
        for first in range(0, count, BATCH):
            some = sample(loaded.model, loaded.tokenizer, begun[first : first + BATCH])
            texts += [text for text in some if text.strip()]
            advance(len(some))
    lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts]
    Path(output).write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("output")
    parser.add_argument("--texts", type=int, default=640)
    given = parser.parse_args()
    main(given.model, given.output, given.texts)
