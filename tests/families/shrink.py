"""A small random model of any type: its default configuration, shrunk by the names that configurations share.

Nothing large is ever built: parameters are counted on the meta device first.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

TYPES = tuple(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
VOCAB = 300
MOST_PARAMETERS = 20_000_000


def _each(names: str, largest: int) -> dict[str, int]:
    return dict.fromkeys(names.split(), largest)


LARGEST = {
    **_each("hidden_size d_model n_embd dim model_dim lru_width embedding_size attention_hidden_size", 32),
    **_each("word_embed_proj_dim embedding_dim", 32),
    **_each("intermediate_size ffn_dim d_ff n_inner ffn_hidden_size dim_ff", 48),
    **_each("decoder_ffn_dim encoder_ffn_dim", 48),
    **_each("moe_intermediate_size shared_expert_intermediate_size shared_intermediate_size", 24),
    **_each("expert_ffn_hidden_size", 24),
    **_each("num_hidden_layers n_layer n_layers num_layers decoder_layers num_decoder_layers", 4),
    **_each("num_blocks", 4),
    **_each("encoder_layers", 4),  # transformers takes a decoder's cache to be as deep as the encoder
    **_each("attn_layer_period", 2),
    **_each("attn_layer_offset", 1),
    **_each("num_attention_heads n_head n_heads num_heads decoder_attention_heads encoder_attention_heads", 4),
    **_each("num_decoder_attention_heads num_encoder_attention_heads linear_num_value_heads", 4),
    **_each("num_key_value_heads num_kv_heads n_mamba_heads linear_num_key_heads index_n_heads", 2),
    **_each("head_dim v_head_dim qk_nope_head_dim qk_rope_head_dim mamba_d_head mamba_head_dim mamba_headdim", 8),
    **_each("linear_key_head_dim linear_value_head_dim index_head_dim dim_head", 8),
    **_each("state_size ssm_state_size mamba_d_state hidden_size_per_layer_input", 8),
    **_each("sliding_window attention_window window_size local_attention", 8),
    **_each("mamba_n_heads mamba_num_heads", 8),
    **_each("kv_lora_rank q_lora_rank qk_head_dim chunk_size", 16),
    **_each("index_topk", 64),  # beyond it, what an indexer picks among ties depends on the length of the batch
    **_each("mamba_expand", 2),
    **_each("mamba_n_groups", 1),
    **_each("rotary_dim", 4),
    **_each("num_experts num_local_experts n_routed_experts moe_num_experts num_routed_experts", 4),
    **_each("num_experts_per_tok num_experts_per_token moe_top_k moe_k", 2),
    **_each("n_group topk_group first_k_dense_replace n_shared_experts", 1),
    **_each("max_position_embeddings n_positions n_ctx max_seq_len max_sequence_length", 128),
}
TOKENS = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id", "sep_token_id")
NESTED = ("text_config", "vision_config", "audio_config", "decoder", "encoder")
PER_LAYER = ("layer", "block", "pattern", "freq", "types")
"""Words in the names of lists with an entry per layer."""


def shrink(config: Any) -> Any:
    """Lower every size that has a name many configurations share."""
    heads = _get(config, "num_attention_heads")
    as_many = heads is not None and _get(config, "num_key_value_heads") == heads
    for name, largest in LARGEST.items():
        value = _get(config, name)
        if isinstance(value, int) and not isinstance(value, bool) and value > largest:
            _set(config, name, largest)
    if as_many:  # latent attention has no groups
        _set(config, "num_key_value_heads", _get(config, "num_attention_heads"))
    for name in ("vocab_size", "vocab_size_per_layer_input"):
        if isinstance(_get(config, name), int):
            _set(config, name, VOCAB)
    for name in TOKENS:
        value = _get(config, name)
        if isinstance(value, list) or (isinstance(value, int) and value >= VOCAB):
            _set(config, name, 1)
    _shrink_lists(config)
    for name in NESTED:
        nested = _get(config, name)
        if hasattr(nested, "to_dict"):
            shrink(nested)
    return config


def _shrink_lists(config: Any) -> None:
    """Keep of lists with an entry per layer as many as there are layers: the first, the last, and some between."""
    depth = _get(config, "num_hidden_layers") or 4
    for name in list(vars(config)):
        value = _get(config, name)
        if isinstance(value, list | tuple) and len(value) > depth and any(word in name for word in PER_LAYER):
            picked = [value[i * (len(value) - 1) // (depth - 1)] for i in range(depth)]
            _set(config, name, type(value)(picked))


def _get(config: Any, name: str) -> Any:
    try:
        return getattr(config, name, None)
    except Exception:  # some attributes refuse to be asked for
        return None


def _set(config: Any, name: str, value: Any) -> None:
    try:
        setattr(config, name, value)
    except Exception:  # or to be set
        return


Mend = Callable[[Any], None]


def _with(**values: Any) -> Mend:
    """Set attributes of the configuration that runs the text."""

    def mend(config: Any) -> None:
        for name, value in values.items():
            setattr(config, name, value)

    return mend


ROPE = {"rope_type": "default", "rope_theta": 10000.0}


MENDS: dict[str, Mend] = {
    "hunyuan_v1_dense": _with(head_dim=8),
    "hunyuan_v1_moe": _with(head_dim=8),
    "ministral": _with(head_dim=8),
    "dots1": _with(n_shared_experts=1, n_routed_experts=4, num_experts_per_tok=2, n_group=1),
    "deepseek_v2": _with(n_group=1, topk_group=1, num_experts_per_tok=2),
    "zamba": _with(
        layers_block_type=["linear_attention", "hybrid"] * 2, attention_hidden_size=64, attention_head_dim=16
    ),
    "nemotron": _with(num_key_value_heads=2),
    "mamba2": _with(num_heads=8, head_dim=8),
    "zamba2": _with(n_mamba_heads=8, mamba_headdim=8),
    "bamba": _with(attn_layer_indices=[1]),
    "falcon_h1": _with(mamba_d_ssm=64, mamba_n_heads=8, mamba_d_head=8),
    "reformer": _with(axial_pos_embds=False, attn_layers=["local"] * 4),
    "xmod": _with(default_language="en_XX"),
    "xlm": _with(causal=True),
    "xlnet": _with(attn_type="uni"),
    "lfm2_moe": _with(layer_types=["conv", "full_attention"] * 2),
    "gemma3n_text": _with(num_kv_shared_layers=0),
    "gemma4_assistant": _with(num_kv_shared_layers=0),
    "gemma4_unified_assistant": _with(num_kv_shared_layers=0),
    "cohere_compass_text": _with(
        layer_types=["sliding_attention", "full_attention"] * 2,
        rope_parameters=dict.fromkeys(("sliding_attention", "full_attention"), ROPE),
    ),
}
"""What generic shrinking leaves inconsistent, type by type."""


def small_config(model_type: str) -> Any:
    """The shrunk configuration of a type, as a decoder where it can be either."""
    config = AutoConfig.for_model(model_type)
    shrink(config)
    if hasattr(config, "is_decoder"):
        config.is_decoder = True
    MENDS.get(model_type, lambda _config: None)(config)
    return config


def small_model(model_type: str, seed: int = 0) -> Any:
    """A small random model, norms and biases random too, so that no identity holds by accident.

    Raises:
        ValueError: even shrunk it is large.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = small_config(model_type)
        with torch.device("meta"):
            size = sum(weight.numel() for weight in AutoModelForCausalLM.from_config(config).parameters())
        if size > MOST_PARAMETERS:
            raise ValueError(f"too large by default: {size / 1e6:.0f} M parameters after shrinking")
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config).eval().float()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 1:
                weight.copy_(torch.randn_like(weight) * 0.3 + (1.0 if name.endswith("weight") else 0.0))
            else:
                weight.mul_(3.0)
    return model
