"""Small random models of several families, and a tokenizer for them, made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import AutoConfig

VOCAB = 384
LAYERS = 5

COMMON = {"vocab_size": VOCAB, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
LLAMA_LIKE = {
    **COMMON,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": LLAMA_LIKE,
    "qwen2": LLAMA_LIKE,
    "cohere": {**LLAMA_LIKE, "logit_scale": 0.3},
    "gemma2": {**LLAMA_LIKE, "head_dim": 8, "sliding_window": 6, "final_logit_softcapping": 3.0},
    "opt": {
        **COMMON,
        "hidden_size": 32,
        "word_embed_proj_dim": 16,
        "ffn_dim": 48,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "max_position_embeddings": 256,
        "do_layer_norm_before": False,
    },
    "gpt2": {**COMMON, "n_embd": 32, "n_layer": LAYERS, "n_head": 4, "n_positions": 256},
    "gpt_neox": {
        **COMMON,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "max_position_embeddings": 256,
    },
}


T5_LIKE = {
    **COMMON,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_heads": 4,
    "num_layers": 3,
    "num_decoder_layers": LAYERS,
    "decoder_start_token_id": 0,
}

ENCODER_DECODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "t5": ("t5", {**T5_LIKE, "tie_word_embeddings": True}),
    "flan-t5": ("t5", {**T5_LIKE, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
    "mt5": ("mt5", T5_LIKE),
    "bart": (
        "bart",
        {
            **COMMON,
            "d_model": 32,
            "encoder_layers": 3,
            "decoder_layers": LAYERS,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 48,
            "decoder_ffn_dim": 48,
            "max_position_embeddings": 256,
            "decoder_start_token_id": 1,
            "forced_eos_token_id": None,
        },
    ),
}
"""name -> (model type, configuration); encoder and decoder differ in depth."""


def small_model(family: str, seed: int = 0, **overrides: Any) -> Any:
    """A random model, its norms and biases random too, so that no identity holds by accident."""
    torch.manual_seed(seed)
    if family in ENCODER_DECODERS:
        model_type, shape = ENCODER_DECODERS[family]
        model = AutoModelForSeq2SeqLM.from_config(AutoConfig.for_model(model_type, **{**shape, **overrides})).eval()
    else:
        config = AutoConfig.for_model(family, **{**FAMILIES[family], **overrides})
        model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 1:
                weight.copy_(torch.randn_like(weight) * 0.3 + (1.0 if name.endswith("weight") else 0.0))
            else:
                weight.mul_(1.0 if "t5" in family else 6.0)  # as most come, they say the same at every layer
    return model


def small_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level, no merges: every text can be encoded, one token per byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {"<pad>": 0, "<eos>": 1, **{symbol: i + 2 for i, symbol in enumerate(alphabet)}}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<eos>", eos_token="<eos>", pad_token="<pad>", model_max_length=256
    )


def save_small_model(folder: Path, family: str = "llama", seed: int = 0) -> Path:
    """A small model as a local folder that `eebench run --models` takes."""
    small_model(family, seed).save_pretrained(folder)
    small_tokenizer().save_pretrained(folder)
    return folder
