"""`eebench models check`: what a model is, how it is read and what a read costs; or why it cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import AutoConfig

from eebench.cli import main
from eebench.model_check import check_model
from tests.small_models import FAMILIES, LAYERS, VOCAB, save_small_model, small_tokenizer


def eebench(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("family", [*FAMILIES, "t5"])
def test_a_model_is_described_as_it_was_built(family: str, tmp_path: Path) -> None:
    found = check_model(str(save_small_model(tmp_path / family, family)))
    assert (found.num_layers, found.vocab_size, found.hidden_size) == (LAYERS, VOCAB, 32)
    assert found.self_check_error <= 1e-4
    assert found.weights_bytes == 4 * found.parameters
    assert found.tail[-1].startswith(("lm_head", "embed_out", "logit_scale", "final_logit_softcapping"))


def test_the_tail_names_projections_and_what_scales_the_logits(tmp_path: Path) -> None:
    assert "model.decoder.project_out" in check_model(str(save_small_model(tmp_path / "opt", "opt"))).tail
    assert "logit_scale=0.3" in check_model(str(save_small_model(tmp_path / "cohere", "cohere"))).tail
    assert "final_logit_softcapping=3.0" in check_model(str(save_small_model(tmp_path / "gemma2", "gemma2"))).tail


def test_the_command_prints_it(tmp_path: Path) -> None:
    answer = eebench("models", "check", str(save_small_model(tmp_path / "small")))
    assert answer.exit_code == 0, answer.output
    for fact in ("is read exactly", "layers (L)         5", "break-even (e*)", "blocks             model.layers"):
        assert fact in answer.stdout
    assert "generation         K/V shared along the tree" in answer.stdout
    assert "execution          blocks can be skipped, K/V exact" in answer.stdout


def test_a_configuration_is_enough_to_check_a_family(tmp_path: Path) -> None:
    folder = save_small_model(tmp_path / "small")
    (folder / "model.safetensors").write_bytes(b"")
    answer = eebench("models", "check", str(folder), "--family-config")
    assert answer.exit_code == 0, answer.output
    assert "as a small random model of its configuration" in answer.stdout
    assert "layers (L)         4" in answer.stdout


def test_what_cannot_be_read_is_refused_by_check_and_by_run_in_the_same_words(tmp_path: Path) -> None:
    config = AutoConfig.for_model(
        "bert", vocab_size=VOCAB, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    small_tokenizer().save_pretrained(tmp_path)
    checked = eebench("models", "check", str(tmp_path))
    run = eebench("run", "-m", str(tmp_path), "-t", "eebench_facts", "--limit", "2")
    assert checked.exit_code == run.exit_code == 2
    assert "BertLMHeadModel is not causal as it is configured" in checked.stderr
    assert checked.stderr.splitlines()[-1] == run.stderr.splitlines()[-1]
