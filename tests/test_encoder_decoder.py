"""Encoder-decoder models: exits in the decoder, the encoder at full depth, numbers those of lm-eval's own path."""

from __future__ import annotations

import math

import pytest
import torch

from eebench.harness import LoadedTask, load_tasks
from eebench.models.blocks import LayerReader
from eebench.subject import load_subject
from eebench.task_traces import trace_task
from tests.small_models import ENCODER_DECODERS, LAYERS, VOCAB, save_small_model, small_model
from tests.test_lens import cut, everywhere
from tests.test_run import OPTIONS, TASKS, plain_lm_eval, scored


@pytest.fixture(scope="module")
def tasks() -> dict[str, LoadedTask]:
    return {task.name: task for task in load_tasks(TASKS, OPTIONS)}


@pytest.mark.parametrize("family", ENCODER_DECODERS)
class TestFamily:
    def test_the_lens_at_every_layer_is_the_model_with_its_decoder_cut_there(self, family: str) -> None:
        model = small_model(family, seed=1)
        reader = LayerReader(model)
        source, input_ids = torch.randint(2, VOCAB, (3, 13)), torch.randint(2, VOCAB, (3, 7))
        mask = torch.ones_like(source)
        mask[1, 9:] = 0
        states = reader.states(input_ids, *everywhere(input_ids), source, mask)
        assert reader.num_layers == LAYERS
        for k in range(1, LAYERS + 1):
            inputs = {"input_ids": source, "attention_mask": mask, "decoder_input_ids": input_ids}
            with torch.inference_mode():
                own = cut(model, k)(**inputs, use_cache=False).logits.flatten(0, 1)
            torch.testing.assert_close(reader.logits(states[k - 1]), own, rtol=0, atol=1e-4)

    @pytest.mark.parametrize("name", TASKS)
    def test_full_is_plain_lm_eval_and_static_k_is_the_decoder_cut_at_k(
        self, family: str, name: str, tasks: dict[str, LoadedTask], tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        subject = load_subject(str(save_small_model(tmp_path_factory.mktemp(family), family)))
        traced = trace_task(subject, tasks[name], OPTIONS)
        for k in (1, 3, LAYERS):
            plain = plain_lm_eval(cut(subject.loaded.model, k), subject.loaded.tokenizer, tasks[name])
            replayed = scored(traced, f"static:layer={k}")
            assert replayed.keys() == plain.keys()
            for metric, value in plain.items():
                ours = replayed[metric]
                assert ours is not None
                if "perplexity" in metric:  # of random models astronomical: 1e-4 of it would be 1e-6 of its logarithm
                    ours, value = math.log(ours), math.log(value)
                assert ours == pytest.approx(value, rel=1e-4, abs=1e-4), (k, metric)

    def test_batch_size_changes_nothing(
        self, family: str, tasks: dict[str, LoadedTask], tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        subject = load_subject(str(save_small_model(tmp_path_factory.mktemp(family), family)))
        task = tasks["eebench_longwords"]
        single = trace_task(subject, task, OPTIONS, batch_size=1).trace
        batched = trace_task(subject, task, OPTIONS, batch_size=16).trace
        torch.testing.assert_close(
            torch.from_numpy(batched.target_logprob), torch.from_numpy(single.target_logprob), rtol=0, atol=1e-4
        )
