"""`model+adapter`: a PEFT adapter merged into its base, part of what the model is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from eebench.errors import EEBenchError
from eebench.models.loading import load_model, resolve
from tests.small_models import save_small_model, small_model

peft = pytest.importorskip("peft")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_small_model(tmp_path / "base")


def save_adapter(folder: Path, seed: int = 0) -> Path:
    """A LoRA adapter that changes something: as it is made, its second matrix is zero."""
    adapted = peft.get_peft_model(small_model("llama"), peft.LoraConfig(r=4, target_modules=["q_proj", "down_proj"]))
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    adapted.save_pretrained(folder)
    return folder


def test_its_logits_are_those_of_the_adapted_model(base: Path, tmp_path: Path) -> None:
    adapter = save_adapter(tmp_path / "adapter")
    loaded = load_model(f"{base}+{adapter}")
    adapted = peft.PeftModel.from_pretrained(small_model("llama"), str(adapter)).eval()
    input_ids = torch.arange(2, 12).view(1, 10)
    with torch.inference_mode():
        ours, theirs = loaded.model(input_ids=input_ids).logits, adapted(input_ids=input_ids).logits
        plain = small_model("llama")(input_ids=input_ids).logits
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
    assert not torch.allclose(ours, plain, atol=1e-2)
    assert type(loaded.model).__name__ == "LlamaForCausalLM"


def test_it_is_another_model_than_its_base_and_than_another_adapter_on_it(base: Path, tmp_path: Path) -> None:
    first, second = save_adapter(tmp_path / "first"), save_adapter(tmp_path / "second", seed=1)
    names = (str(base), f"{base}+{first}", f"{base}+{second}")
    assert len({load_model(name).revision for name in names}) == 3
    assert len({resolve(name).model_id for name in names}) == 3


def test_a_folder_without_an_adapter_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(EEBenchError, match="no adapter at"):
        resolve(f"{base}+{tmp_path / 'nowhere'}")
    with pytest.raises(EEBenchError, match="no adapter at"):
        resolve(f"{base}+")


def test_an_adapter_without_safetensors_is_refused(base: Path, tmp_path: Path) -> None:
    adapter = save_adapter(tmp_path / "adapter")
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(EEBenchError, match=r"has no \*\.safetensors weights"):
        resolve(f"{base}+{adapter}")


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    other = save_small_model(tmp_path / "other", "gpt2")
    with pytest.raises(EEBenchError, match="does not fit it"):
        load_model(f"{other}+{save_adapter(tmp_path / 'adapter')}")
