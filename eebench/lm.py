"""One setting as an lm-eval model: `--model eebench --model_args pretrained=...,policy=entropy,threshold=0.5`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.registry import register_model

from eebench.errors import EEBenchError
from eebench.generation.answers import tokens_of
from eebench.generation.tree_decoding import grow
from eebench.generation.tree_runner import TreeRunner
from eebench.models.blocks import LayerReader
from eebench.models.loading import LoadOptions, load_model
from eebench.policy import ExitPolicy
from eebench.replaying import replay
from eebench.spec import parse_policies, settings_for
from eebench.traces.encoding import Encoder
from eebench.traces.tracing import trace_documents

DOCUMENTS_AT_ONCE = 32


@register_model("eebench")
class EEBenchLM(Encoder):
    """A model that stops where a policy says so, scored by lm-eval.

    Args:
        pretrained: whatever `eebench run --models` takes.
        policy: a policy's name or file; its parameters are further model arguments.

    Raises:
        EEBenchError: the model or policy cannot be had, or the arguments mean more than one setting.
    """

    def __init__(
        self,
        pretrained: str,
        policy: str = "full",
        dtype: str | None = None,
        device: str | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        device_map: str | None = None,
        trust_remote_code: bool = False,
        allow_pickle: bool = False,
        **parameters: Any,
    ) -> None:
        # lm-eval asks for its default GPU where there is none, and means a CPU then.
        on = None if device == "cuda:0" and not torch.cuda.is_available() else device
        options = LoadOptions(
            dtype, on, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle, device_map=device_map
        )
        loaded = load_model(pretrained, options)
        super().__init__(loaded.model, loaded.tokenizer)
        self._reader = LayerReader(loaded.model)
        self._setting = one_setting(policy, parameters, self._reader.num_layers)
        self._sequences = int(str(batch_size)) if str(batch_size or "").isdecimal() else None

    def loglikelihood(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        return self._decide(requests)

    def loglikelihood_rolling(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[float]:
        return [logprob for logprob, _greedy in self._decide(requests)]

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        documents = self.encode_prompts(requests)
        answers: list[tuple[int, ...]] = []
        for start in range(0, len(documents), DOCUMENTS_AT_ONCE):
            some = documents[start : start + DOCUMENTS_AT_ONCE]
            tree = grow(self._runner, None, some, [self._setting], self.stop_rule)
            answers.extend(tokens_of(tree.along(tree.whole_way(self._setting))))
        return [self.text(request, answer) for request, answer in zip(requests, answers, strict=True)]

    @cached_property
    def _runner(self) -> TreeRunner:
        return TreeRunner(self._reader)

    def _decide(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        responses: list[tuple[float, bool]] = []
        documents = self.encode(requests)
        for start in range(0, len(documents), DOCUMENTS_AT_ONCE):
            trace = trace_documents(self._reader, documents[start : start + DOCUMENTS_AT_ONCE], self._sequences)
            logprobs, greedy = trace.answers(replay(self._setting, trace).exit_layer)
            responses.extend(zip(logprobs.tolist(), greedy.tolist(), strict=True))
        return responses


def one_setting(policy: str, parameters: dict[str, Any], num_layers: int) -> ExitPolicy:
    """The setting that a policy and its parameters name.

    Raises:
        EEBenchError: they name more than one.
    """
    assigned = ",".join(
        f"{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in parameters.items()
    )
    settings = settings_for(parse_policies([f"{policy}:{assigned}" if assigned else policy]), num_layers)
    if len(settings) != 1:
        raise EEBenchError(
            f"policy={policy} means {len(settings)} settings, and lm-eval scores one: give its parameters, "
            f"as in {settings[0].setting().replace(':', ',')}."
        )
    return settings[0]
