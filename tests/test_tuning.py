"""`eebench tune`: it lowers its loss, goes on where it stopped, and makes a model like any other."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file

from eebench.cli import main
from eebench.errors import EEBenchError
from eebench.models.loading import LoadOptions, load_model
from eebench.tuning.host_memory import keep_freed_memory
from eebench.tuning.recipe import Recipe
from eebench.tuning.text_data import blocks_of, read_texts
from eebench.tuning.train import tune
from tests.small_models import ENCODER_DECODERS, save_small_model, small_tokenizer

SENTENCES = ("The ferry leaves at seven.", "Nobody has seen the ferry.", "We saw the boats at seven.")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.jsonl"
    rows = [json.dumps({"text": " ".join(SENTENCES[(i + j) % 3] for j in range(4))}) for i in range(40)]
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_small_model(tmp_path / "base")


def a_recipe(base: Path, text: Path, **changes: Any) -> Recipe:
    recipe = Recipe(str(base), (str(text),), rank=4, steps=8, batch=2, length=32, warmup=2, layers=3, positions=40)
    return replace(recipe, learning_rate=5e-3, precision="float32", **changes)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_layers_come_to_say_what_the_last_one_says(base: Path, text: Path, tmp_path: Path, method: Any) -> None:
    recipe = a_recipe(base, text, method=method, steps=40)
    tuned = tune(recipe, tmp_path / "out", measure_every=20)
    assert tuned.last.step == 40
    assert sum(tuned.last.agreement[:-1]) > sum(tuned.first.agreement[:-1]) + 0.5
    assert tuned.last.full_loss < tuned.first.full_loss
    curve = json.loads((tmp_path / "out" / "curve.json").read_text())
    assert [point["step"] for point in curve["held_out"]] == [0, 20, 40]
    assert curve["trained"][-1]["early_loss"] < curve["trained"][0]["early_loss"]


@pytest.mark.parametrize("method", ["lora", "full"])
def test_an_anchored_model_stays_nearer_to_what_it_was(base: Path, text: Path, tmp_path: Path, method: Any) -> None:
    ids = torch.arange(2, 26).view(1, -1)
    was = load_model(str(base)).model(ids).logits.log_softmax(-1)
    moved = {}
    for anchor in (0.0, 1.0):
        out = tmp_path / f"out{anchor}"
        tune(a_recipe(base, text, method=method, steps=30, anchor=anchor), out)
        name = f"{base}+{out}" if method == "lora" else str(out)
        now = load_model(name).model(ids).logits.log_softmax(-1)
        moved[anchor] = float((was.exp() * (was - now)).sum(-1).mean())
    assert moved[1.0] < moved[0.0] / 4


def test_an_adapter_is_a_model_like_any_other(base: Path, text: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tune(a_recipe(base, text), out)
    recipe = json.loads((out / "recipe.json").read_text())
    assert recipe["steps"] == 8
    assert recipe["data"] == ["text.jsonl"]
    assert len(recipe["data_sha256"]) == 64
    ids = torch.arange(2, 20).view(1, -1)
    with torch.inference_mode():
        tuned, plain = (load_model(name).model(input_ids=ids).logits for name in (f"{base}+{out}", str(base)))
    assert not torch.allclose(tuned, plain, atol=1e-3)
    assert all(weight.dtype == torch.bfloat16 for weight in load_file(out / "adapter_model.safetensors").values())


class TestTrainedOn:
    """An adapter is trained on: what comes out is one adapter, on the model that the first was on."""

    def test_it_goes_on_from_where_the_first_was(self, base: Path, text: Path, tmp_path: Path) -> None:
        one = tune(a_recipe(base, text, steps=20), tmp_path / "one")
        again = tune(replace(a_recipe(base, text), model=one.name, rank=None), tmp_path / "other")
        assert again.first.full_loss == pytest.approx(one.last.full_loss, abs=0.02)  # it was kept in bfloat16
        assert one.first.full_loss - again.first.full_loss > 0.1
        assert again.name == f"{base}+{tmp_path / 'other'}"
        weights, others = (load_file(tuned.folder / "adapter_model.safetensors") for tuned in (one, again))
        assert {name: weight.shape for name, weight in weights.items()} == {
            name: weight.shape for name, weight in others.items()
        }
        assert any(not torch.equal(weight, others[name]) for name, weight in weights.items())

    def test_the_recipe_says_what_came_before(self, base: Path, text: Path, tmp_path: Path) -> None:
        one = tune(a_recipe(base, text, steps=2), tmp_path / "one")
        again = tune(replace(a_recipe(base, text, steps=3), model=one.name, rank=None), tmp_path / "other")
        recipe = json.loads((again.folder / "recipe.json").read_text())
        assert (recipe["steps"], recipe["after"]["steps"], recipe["rank"]) == (3, 2, 4)
        assert recipe["model"] == recipe["after"]["model"] == str(base)

    def test_another_programs_adapter_has_no_recipe(self, base: Path, text: Path, tmp_path: Path) -> None:
        one = tune(a_recipe(base, text, steps=1), tmp_path / "one")
        (one.folder / "recipe.json").write_text("flour, water, salt")
        again = tune(replace(a_recipe(base, text, steps=1), model=one.name), tmp_path / "other")
        assert "after" not in json.loads((again.folder / "recipe.json").read_text())

    def test_all_weights_are_trained_with_the_adapter_in_them(self, base: Path, text: Path, tmp_path: Path) -> None:
        one = tune(a_recipe(base, text, steps=20), tmp_path / "one")
        whole = tune(replace(a_recipe(base, text, steps=1, method="full"), model=one.name), tmp_path / "whole")
        assert whole.first.full_loss == pytest.approx(one.last.full_loss, abs=0.02)
        assert json.loads((whole.folder / "recipe.json").read_text())["model"] == one.name

    def test_the_anchor_is_the_model_without_any_adapter(self, base: Path, text: Path, tmp_path: Path) -> None:
        one = tune(a_recipe(base, text, steps=20), tmp_path / "one")
        back = replace(a_recipe(base, text, steps=30, anchor=1.0, early_weight=0.0), model=one.name)
        again = tune(back, tmp_path / "other")
        ids = torch.arange(2, 26).view(1, -1)
        was, far, near = (
            load_model(name).model(ids).logits.log_softmax(-1) for name in (str(base), one.name, again.name)
        )
        moved = [float((was.exp() * (was - now)).sum(-1).mean()) for now in (far, near)]
        assert moved[1] < moved[0] / 4

    def test_another_rank_is_refused(self, base: Path, text: Path, tmp_path: Path) -> None:
        one = tune(a_recipe(base, text, steps=1), tmp_path / "one")
        with pytest.raises(EEBenchError, match="has rank 4, not 8: leave out --rank"):
            tune(replace(a_recipe(base, text), model=one.name, rank=8), tmp_path / "other")
        assert not (tmp_path / "other").exists()

    def test_another_models_adapter_is_refused(self, base: Path, text: Path, tmp_path: Path) -> None:
        one = tune(a_recipe(base, text, steps=1), tmp_path / "one")
        another = save_small_model(tmp_path / "another", "gpt2")
        with pytest.raises(EEBenchError, match="does not fit it"):
            tune(replace(a_recipe(base, text), model=f"{another}+{one.folder}"), tmp_path / "other")


class Stopped(Exception):
    pass


def test_stopped_and_gone_on_is_the_same_as_never_stopped(
    base: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = a_recipe(base, text)
    tune(recipe, tmp_path / "straight", save_every=3, measure_every=2)

    from eebench.tuning.train import _Reporting

    on_step_end = _Reporting.on_step_end

    def stop_at_5(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        on_step_end(self, args, state, control, **kwargs)
        if state.global_step == 5:
            raise Stopped

    monkeypatch.setattr(_Reporting, "on_step_end", stop_at_5)
    with pytest.raises(Stopped):
        tune(recipe, tmp_path / "halted", save_every=3, measure_every=2)
    monkeypatch.setattr(_Reporting, "on_step_end", on_step_end)
    assert not (tmp_path / "halted" / "adapter_config.json").exists()  # nothing that looks finished
    tune(recipe, tmp_path / "halted", save_every=3, measure_every=2)

    one, other = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("straight", "halted"))
    for name, weight in one.items():
        torch.testing.assert_close(other[name], weight, rtol=0, atol=0)
    curves = [json.loads((tmp_path / name / "curve.json").read_text()) for name in ("straight", "halted")]
    assert curves[0] == curves[1]


class TestRefused:
    def test_another_recipe_in_the_same_folder(self, base: Path, text: Path, tmp_path: Path) -> None:
        tune(a_recipe(base, text, steps=2), tmp_path / "out")
        with pytest.raises(EEBenchError, match="holds a training with another steps"):
            tune(a_recipe(base, text, steps=3), tmp_path / "out")
        tune(a_recipe(base, text, steps=3), tmp_path / "out", fresh=True)

    def test_a_folder_with_something_else_in_it(self, base: Path, text: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis.tex").write_text("mine")
        with pytest.raises(EEBenchError, match="is not empty"):
            tune(a_recipe(base, text), tmp_path / "out")

    def test_an_encoder_decoder(self, text: Path, tmp_path: Path) -> None:
        folder = save_small_model(tmp_path / "t5", next(iter(ENCODER_DECODERS)))
        with pytest.raises(EEBenchError, match="is an encoder-decoder model"):
            tune(a_recipe(folder, text), tmp_path / "out")

    def test_too_little_text(self, tmp_path: Path) -> None:
        with pytest.raises(EEBenchError, match="there are 11 tokens of text"):
            blocks_of(small_tokenizer(), ["0123456789"], 32, 4)


class TestText:
    @pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt", "a.parquet"])
    def test_files(self, name: str, tmp_path: Path) -> None:
        import pandas as pd

        path = tmp_path / name
        frame = pd.DataFrame({"number": [1, 2], "text": ["One ferry.", "Two boats."]})
        if name.endswith("jsonl"):
            frame.to_json(path, orient="records", lines=True)
        elif name.endswith("csv"):
            frame.to_csv(path, index=False)
        elif name.endswith("parquet"):
            frame.to_parquet(path)
        else:
            path.write_text("One ferry.\n\nTwo boats.")
        wanted = ["One ferry.\n\nTwo boats."] if name.endswith("txt") else ["One ferry.", "Two boats."]
        assert read_texts([str(path)]) == wanted

    def test_a_field_that_is_not_there(self, text: Path) -> None:
        with pytest.raises(EEBenchError, match="has no field prose: --field, of text"):
            read_texts([str(text)], field="prose")

    def test_what_is_no_data(self, tmp_path: Path) -> None:
        with pytest.raises(EEBenchError, match="there is no file"):
            read_texts([str(tmp_path / "nowhere.jsonl")])
        (tmp_path / "a.docx").write_text("x")
        with pytest.raises(EEBenchError, match="no kind of file"):
            read_texts([str(tmp_path / "a.docx")])
        (tmp_path / "broken.jsonl").write_text('{"text": "a"\n{{{')
        with pytest.raises(EEBenchError, match="could not be read"):
            read_texts([str(tmp_path / "broken.jsonl")])

    def test_whole_texts_are_held_out(self) -> None:
        texts = [f"<{i}>" * 20 for i in range(100)]
        tokenizer = small_tokenizer()
        blocks = blocks_of(tokenizer, texts, 16, 8)
        assert len(blocks.held_out) == 8
        train, held_out = (
            set(re.findall("<[0-9]+>", tokenizer.decode(part.flatten()))) for part in (blocks.train, blocks.held_out)
        )
        assert len(train) > 90
        assert held_out
        assert not train & held_out
        assert blocks.digest == blocks_of(tokenizer, texts, 16, 4).digest

    def test_of_one_text_the_end_is_held_out(self) -> None:
        tokenizer = small_tokenizer()
        blocks = blocks_of(tokenizer, [" ".join(f"number{i}" for i in range(400))], 16, 8)
        ids = tokenizer(" ".join(f"number{i}" for i in range(400))).input_ids
        ids += [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
        assert len(blocks.held_out) == min(8, len(ids) // 160)
        assert blocks.train.flatten().tolist() == ids[: blocks.train.size]
        assert blocks.held_out.flatten().tolist() == ids[-blocks.held_out.size :]


def eebench(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


class TestCommand:
    def test_says_what_it_did_and_how_to_measure_it(self, base: Path, text: Path, tmp_path: Path) -> None:
        small = ("--rank", "2", "--batch-size", "2", "--length", "32", "--positions", "20", "--layers", "2")
        answer = eebench("tune", str(base), "--data", str(text), "-o", str(tmp_path / "out"), "--steps", "3", *small)
        assert answer.exit_code == 0, answer.output
        assert "loss of the full model" in answer.stdout
        assert f"eebench run -m {base},{base}+{tmp_path / 'out'}" in answer.stdout
        assert "{'loss'" not in answer.output
        assert (tmp_path / "out" / "curve.svg").read_text().startswith("<svg")

    def test_wrong_input_is_one_sentence(self, base: Path, text: Path, tmp_path: Path) -> None:
        for arguments in (
            ("tune", "no-such-model", "--data", str(text), "-o", str(tmp_path / "out")),
            ("tune", str(base), "--data", str(tmp_path / "nothing.txt"), "-o", str(tmp_path / "out2")),
            ("tune", str(base), "--data", str(text), "-o", str(text)),
        ):
            answer = eebench(*arguments)
            assert answer.exit_code == 2, answer.output
            assert isinstance(answer.exception, SystemExit)
            assert answer.stderr.count("Error: ") == 1


def test_it_makes_no_folder_where_the_model_is_unknown(text: Path, tmp_path: Path) -> None:
    eebench("tune", "no-such-model", "--data", str(text), "-o", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


class TestHostMemory:
    """Freed memory is kept only where it is known how."""

    def test_blocks_are_used_again(self) -> None:
        script = (
            "import resource, torch\n"
            "from eebench.tuning.host_memory import keep_freed_memory\n"
            "def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
            "def fill(): torch.ones(8 << 20)\n"
            "def told(times):\n"
            "    before = faults()\n"
            "    for _ in range(times): fill()\n"
            "    return faults() - before\n"
            "as_it_comes = told(20)\n"
            "kept = keep_freed_memory()\n"
            "told(20)\n"
            "print(int(kept), as_it_comes, told(20))\n"
        )
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
        kept, as_it_comes, after = map(int, done.stdout.split())
        if not kept:
            pytest.skip("this system's malloc is not glibc's")
        assert after < as_it_comes / 10

    def test_what_a_user_has_set_up_is_left_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
        assert not keep_freed_memory()

    def test_another_c_library_is_left_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.confstr", lambda _name: None)
        assert not keep_freed_memory()

    def test_tuning_asks_for_it(self, base: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[bool] = []
        monkeypatch.setattr("eebench.tuning.train.keep_freed_memory", lambda: asked.append(True))
        tune(a_recipe(base, text, steps=1), tmp_path / "out", options=LoadOptions(device="cpu"))
        assert asked == [True]
