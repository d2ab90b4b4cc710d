"""A representative third of all causal-LM types is read exactly; those that cannot be are refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.families.check import check
from tests.families.shrink import TYPES

DOCUMENT = Path(__file__).parents[1] / "docs" / "models.md"

EXACT = [
    model_type
    for line in (
        # plain decoders, learned positions, rotary, parallel blocks, scaled and soft-capped logits, projections
        "llama mistral qwen2 qwen3 gpt2 gptj gpt_neo gpt_neox opt phi phi3 gemma gemma2 gemma3_text granite ",
        "cohere cohere2 ",
        "olmo olmo2 olmo3 stablelm starcoder2 smollm3 nemotron glm glm4 helium biogpt codegen ",
        "gpt_bigcode openai-gpt xglm ",
        # ALiBi, sliding windows, mixtures of experts, latent attention
        "bloom falcon mpt ministral mixtral olmoe qwen2_moe qwen3_moe gpt_oss granitemoe deepseek_v2 deepseek_v3 ",
        "minicpm3 jetmoe ",
        # state-space, recurrent and hybrid
        "mamba mamba2 falcon_mamba rwkv recurrent_gemma jamba bamba zamba falcon_h1 lfm2 qwen3_next ",
        # encoders and decoders of pairs, as causal models
        "bert roberta bart marian pegasus whisper",
    )
    for model_type in line.split()
]

REFUSED = {
    "deepseek_v4": "keeps several residual streams",
    "hrm_text": "has no list of blocks that a forward pass calls once each, in order",
    "mllama": "has no list of blocks that a forward pass calls once each, in order",
    "cpmant": "is not causal as it is configured",
    "xlnet": "cannot be read layer by layer",
}


@pytest.mark.parametrize("model_type", EXACT)
def test_every_layer_is_read_exactly(model_type: str) -> None:
    checked = check(model_type)
    assert checked.verdict == "exact", checked.reason


@pytest.mark.parametrize("model_type", REFUSED)
def test_what_cannot_be_read_is_refused_in_a_sentence(model_type: str) -> None:
    checked = check(model_type)
    assert checked.verdict == "refused"
    assert REFUSED[model_type] in checked.reason


def test_the_third_is_a_third() -> None:
    assert len(EXACT) + len(REFUSED) >= len(TYPES) / 3
    assert set(EXACT) | set(REFUSED) <= set(TYPES)


def test_the_document_lists_every_type() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert [model_type for model_type in TYPES if f"| `{model_type}` |" not in document] == []


def test_the_document_says_nothing_is_read_wrongly() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert " wrong " not in document.partition("<!-- table: begin -->")[2].partition("\n\n")[0]
    assert document.count("| exact |") >= 160
