"""A task's own metrics, from what the model answers where a setting stops: log-likelihoods, or texts.

lm-eval's task does the scoring, document by document; only its inputs come from a replay. Standard errors have closed
forms where the metric does, so that a hundred settings cost no bootstrap.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.metrics import mean

from eebench.errors import EEBenchError
from eebench.harness import LoadedTask, TaskOptions
from eebench.quality import is_informative, retention_of
from eebench.records.results import MetricValue

MetricKey = tuple[str, str]
"""(metric, filter)"""
Response = Any
"""What a model returns for a request: (log-likelihood, is greedy), the log-likelihood of a whole text, or a text."""

PREFERRED = ("acc", "exact_match", "bits_per_byte", "acc_norm", "byte_perplexity", "word_perplexity", "perplexity")
"""The main metric of a task is the first of these it defines, else its first."""
SHARE_OF_CHOICES = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info")
"""Metrics whose chance level is one over the number of choices."""
GUESSES = 64
"""Random answers averaged for the chance level of a metric without a closed form."""
BOOTSTRAP_DRAWS = 100
PROBED = 16
"""Documents that are scored to see which metrics a task has."""


@dataclass(frozen=True)
class MainMetric:
    """What quality is measured in.

    Attributes:
        name: the metric's, with its filter where another filter of the task comes first.
        direction: +1 if a higher value is better, -1 if a lower one is.
        chance: its value for guessing.
    """

    name: str
    direction: int
    chance: float


class TaskScorer:
    """Scores responses with a task's own metrics.

    Attributes:
        documents: the instances of each document, in the order of the trace's documents.
        metrics: those that are numbers, in the task's order.
        main: the one that `quality` is measured in; `measured_in` is the same with its direction and chance.
        direction: +1 if a higher value is better, -1 if a lower one is.
        chance: the main metric's value for guessing.

    Raises:
        EEBenchError: the task defines no metric that is a number, or not the one named.
    """

    def __init__(
        self,
        loaded: LoadedTask,
        instances: Sequence[Instance],
        num_tokens: Sequence[int] = (),
        vocab: int = 0,
        metric: str | None = None,
    ) -> None:
        """
        Args:
            num_tokens: scored tokens of each instance of a likelihood task.
            vocab: size of the vocabulary: guessing a text costs ln V nats per token.
            metric: what to measure quality in, as `find_metric` takes it; by default what the task prefers.
        """
        self._task = loaded.task
        self._name = loaded.name
        by_document: dict[Any, list[Instance]] = defaultdict(list)
        for instance in instances:
            by_document[instance.doc_id].append(instance)
        self.documents = list(by_document.values())
        self._scored: dict[tuple[int, tuple[Response, ...]], Mapping[MetricKey, Any]] = {}
        self._rolling = loaded.output_type == "loglikelihood_rolling"
        self._generates = loaded.generates
        self._guessed = [-tokens * math.log(vocab) for tokens in num_tokens]
        nothing = self.grouped([""] * len(instances))
        items = self._per_document(nothing if self._generates else self._guesses())
        self.metrics = [key for key, values in items.items() if values and self._is_number(key, values)]
        self._preferred = self._prefer()
        self.main = self._preferred if metric is None else self._named(metric)
        self.measured_in = self._main_metric(self.main)
        self.direction, self.chance = self.measured_in.direction, self.measured_in.chance

    @property
    def own(self) -> MainMetric:
        """What the task is measured in where no metric is named."""
        return self.measured_in if self.main == self._preferred else self._main_metric(self._preferred)

    def responses(self, logprobs: Sequence[float], greedy: Sequence[bool]) -> list[list[Response]]:
        """A response per instance, grouped by document, from log-likelihoods and whether each answer is the top-1."""
        return self.grouped(list(logprobs) if self._rolling else list(zip(logprobs, greedy, strict=True)))

    def grouped(self, flat: Sequence[Response]) -> list[list[Response]]:
        """A response per instance, grouped by document."""
        grouped, start = [], 0
        for instances in self.documents:
            grouped.append(list(flat[start : start + len(instances)]))
            start += len(instances)
        return grouped

    def score(self, responses: Sequence[Sequence[Response]]) -> dict[MetricKey, list[Any]]:
        """What every metric has to say of each document; some say nothing of some documents."""
        return self._per_document(responses)

    def value(self, key: MetricKey, items: Sequence[Any]) -> MetricValue:
        """A metric over some documents, with its standard error; no value where it overflows, as a perplexity can."""
        value = self._aggregated(key, items)
        return MetricValue(value, None if value is None else _stderr(self._aggregate(key), items))

    def main_value(self, items: Sequence[Any]) -> float | None:
        """The main metric over some documents."""
        return self._aggregated(self.main, items)

    def _aggregate(self, key: MetricKey) -> Any:
        return self._task.aggregation().get(key[0], mean)

    def _aggregated(self, key: MetricKey, items: Sequence[Any]) -> float | None:
        try:
            value = float(self._aggregate(key)(list(items)))
        except OverflowError:
            return None
        return value if math.isfinite(value) else None

    def documents_in(self, responses: Sequence[Sequence[Response]], chosen: Sequence[int]) -> list[Any]:
        """What the main metric says of the chosen documents."""
        scored = (self._score_document(number, tuple(responses[number])) for number in chosen)
        return [values[self.main] for values in scored if self.main in values]

    def retention(self, quality: float | None, full: float | None) -> float | None:
        """(Q - chance) / (Q_full - chance); None where the full model is at chance."""
        return retention_of(quality, full, self.chance)

    def informative(self, full: MetricValue) -> tuple[bool, str]:
        """Whether the full model is significantly better than chance, and if not, why."""
        if full.value is None or full.stderr is None:
            return False, f"too few documents to tell the full model's {self.main[0]} from chance."
        if is_informative(full.value, full.stderr, self.chance, self.direction):
            return True, ""
        return False, (
            f"the full model's {self.main[0]} {full.value:.3f} ± {full.stderr:.3f} is not significantly better than "
            f"chance ({self.chance:.3f})."
        )

    def _per_document(self, responses: Sequence[Sequence[Response]]) -> dict[MetricKey, list[Any]]:
        items: dict[MetricKey, list[Any]] = defaultdict(list)
        for number, of_document in enumerate(responses):
            for key, value in self._score_document(number, tuple(of_document)).items():
                items[key].append(value)
        return items

    def _score_document(self, number: int, responses: tuple[Response, ...]) -> Mapping[MetricKey, Any]:
        """One document's metrics; settings that stop alike on a document share the work."""
        known = self._scored.get((number, responses))
        if known is None:
            known = self._scored[(number, responses)] = self._ask_task(self.documents[number], responses)
        return known

    def _ask_task(self, instances: Sequence[Instance], responses: Sequence[Response]) -> Mapping[MetricKey, Any]:
        for instance, response in zip(instances, responses, strict=True):
            instance.resps = [response]
            instance.filtered_resps = {}
        for task_filter in self._task._filters:
            task_filter.apply(instances)
        doc = instances[0].doc
        scored = {}
        for name in instances[0].filtered_resps:
            filtered = [instance.filtered_resps[name] for instance in instances]
            for metric, value in self._task.process_results(doc, filtered).items():
                scored[(metric, name)] = value
        return scored

    def _prefer(self) -> MetricKey:
        if not self.metrics:
            raise EEBenchError(
                f"task '{self._name}' defines no metric that is a number, so it cannot be scored; leave it out."
            )
        preferred = {metric: rank for rank, metric in enumerate(PREFERRED)}
        return min(self.metrics, key=lambda key: preferred.get(key[0], len(PREFERRED)))

    def _named(self, metric: str) -> MetricKey:
        found = find_metric(metric, self.metrics)
        if found is None:
            raise EEBenchError(
                f"task '{self._name}' defines no metric '{metric}' that is a number: there are "
                f"{', '.join(spelled(self.metrics))}."
            )
        return found

    def _main_metric(self, key: MetricKey) -> MainMetric:
        (name,) = spelled(self.metrics, [key])
        direction = 1 if self._task.higher_is_better().get(key[0], True) else -1
        return MainMetric(name, direction, 0.0 if self._generates else self._chance(key))

    def _is_number(self, key: MetricKey, values: Sequence[Any]) -> bool:
        try:
            return key[0] != "bypass" and self.value(key, values).value is not None
        except (TypeError, ValueError):
            return False

    def _guesses(self) -> list[list[Response]]:
        return self.responses(self._guessed, [False] * len(self._guessed))

    def _chance(self, key: MetricKey) -> float:
        metric = key[0]
        if self._rolling or "perplexity" in metric:
            return self.value(key, self._per_document(self._guesses())[key]).value or 0.0
        if all(len(instances) == 1 for instances in self.documents):
            return 0.0  # nothing to choose from: the answer must be the top-1 of the whole vocabulary
        if metric in SHARE_OF_CHOICES:
            return float(np.mean([self._share(instances) for instances in self.documents]))
        return self._simulated_chance(key)

    def _share(self, instances: Sequence[Instance]) -> float:
        choices = len(instances) // (2 if "acc_mutual_info" in self._task._metric_fn_list else 1)
        gold = self._task.doc_to_target(instances[0].doc)
        return (len(gold) if isinstance(gold, list) else 1) / choices

    def _simulated_chance(self, key: MetricKey) -> float:
        rng = np.random.default_rng(0)
        count = sum(len(instances) for instances in self.documents)
        values = []
        for _ in range(GUESSES):
            items = self._per_document(self.responses((-rng.random(count)).tolist(), [False] * count))
            values.append(self.value(key, items[key]).value or 0.0)
        self._scored.clear()
        return float(np.mean(values))


# --- names of metrics --------------------------------------------------------------------------------------------


def find_metric(name: str, among: Sequence[MetricKey]) -> MetricKey | None:
    """The metric of a name, by the first filter that has it unless the name says which: `metric,filter`."""
    metric, _comma, chosen = name.partition(",")
    return next((key for key in among if key[0] == metric and chosen in ("", key[1])), None)


def spelled(among: Sequence[MetricKey], keys: Sequence[MetricKey] | None = None) -> list[str]:
    """The shortest names by which `find_metric` finds metrics; by default of all."""
    return [key[0] if find_metric(key[0], among) == key else ",".join(key) for key in (keys or among)]


def metrics_of(loaded: LoadedTask, options: TaskOptions) -> list[MetricKey]:
    """The metrics of a task that are numbers, from its first documents alone, so that no model need be loaded.

    Raises:
        EEBenchError: there is none.
    """
    documents = PROBED if options.limit is None else min(PROBED, options.limit)
    instances = loaded.requests(replace(options, limit=documents, chat_template=False), None)
    return TaskScorer(loaded, instances, [1] * len(instances), 2).metrics


# --- standard errors ---------------------------------------------------------------------------------------------


def _stderr(aggregate: Any, items: Sequence[Any]) -> float | None:
    """The standard error of `aggregate(items)` over documents, or None where it cannot be told."""
    if len(items) < 2:
        return None
    name = getattr(aggregate, "__name__", "")
    if name in ("weighted_perplexity", "bits_per_byte", "perplexity"):
        return _stderr_of_perplexity(name, aggregate, items)
    if aggregate is mean:
        return float(np.std(np.asarray(items, dtype=float), ddof=1) / math.sqrt(len(items)))
    return _bootstrapped(aggregate, items)


def _bootstrapped(aggregate: Any, items: Sequence[Any]) -> float | None:
    """For metrics without a closed form; seeded, so that the same documents give the same error."""
    rng = np.random.default_rng(0)
    draws = rng.integers(len(items), size=(BOOTSTRAP_DRAWS, len(items)))
    try:
        values = [float(aggregate([items[i] for i in draw])) for draw in draws]
    except (ArithmeticError, TypeError, ValueError):
        return None
    error = float(np.std(values, ddof=1))
    return error if math.isfinite(error) else None


def _stderr_of_perplexity(name: str, aggregate: Any, items: Sequence[Any]) -> float:
    """Delta method on the ratio sum(log-likelihood) / sum(weight), exact to first order.

    Items are (log-likelihood, weight), or log-likelihoods of equal weight.
    """
    pairs = np.array([item if isinstance(item, tuple) else (item, 1.0) for item in items], dtype=float)
    logprobs, weights = pairs.T
    ratio = logprobs.sum() / weights.sum()
    residual = logprobs - ratio * weights
    n = len(pairs)
    error = math.sqrt(n / (n - 1) * float((residual**2).sum())) / weights.sum()
    # d/dx of -x / ln 2 and of exp(-x)
    slope = 1 / math.log(2) if name == "bits_per_byte" else math.exp(-ratio)
    return float(error * slope)
