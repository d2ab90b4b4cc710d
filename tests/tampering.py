"""Every way to tamper with a bundle that the leaderboard knows, and the words in which it says so."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from eebench.cost import CostModel
from tests.worlds import DICE, DOCUMENTS, ROLLING, WRITTEN, Changed

RECORDS = "eebench_records"
"""A task of generation that the run is not on."""


def figure(name: str, value: float, setting: str = "entropy", evaluation: int = 0, part: str = "test") -> Any:
    """A figure of a setting, edited."""

    def edit(bundle: Changed) -> None:
        bundle.setting(setting, evaluation)["summaries"][part][name] = value

    return edit


def cell(column: str, value: Any, setting: str = "entropy", evaluation: int = 0) -> Any:
    """A number of a document, edited."""

    def edit(bundle: Changed) -> None:
        bundle.setting(setting, evaluation)["documents"][column][2] = value

    return edit


def shared(name: str, value: Any, evaluation: int = 0) -> Any:
    """Something that all settings share, edited."""

    def edit(bundle: Changed) -> None:
        bundle.shared[evaluation][name] = value

    return edit


def document(name: str, value: Any, number: int = 2) -> Any:
    """Something that all settings share of a document, edited."""

    def edit(bundle: Changed) -> None:
        bundle.shared[0]["documents"][number][name] = value

    return edit


def line(name: str, value: Any, setting: str = "entropy", evaluation: int = 0) -> Any:
    """A field of a setting, edited."""

    def edit(bundle: Changed) -> None:
        bundle.setting(setting, evaluation)[name] = value

    return edit


def cheaper(bundle: Changed) -> None:
    """Fewer FLOPs than the layers cost, the figures made to fit."""
    setting = bundle.setting("entropy")
    rows = setting["documents"]
    rows["flops"] = [0.9 * flops for flops in rows["flops"]]
    parts = np.array([row["part"] for row in bundle.shared[0]["documents"]])
    for part, figures in setting["summaries"].items():
        chosen = np.ones(len(parts), bool) if part == "all" else parts == part
        figures["compute_saved"] = (
            1 - np.array(rows["flops"])[chosen].sum() / np.array(rows["flops_full"])[chosen].sum()
        )


def cheaper_model(bundle: Changed) -> None:
    """A cost model in which a read of the head is cheap, its own figures made to fit."""
    plain = bundle.shared[0]["cost"]
    bundle.shared[0]["cost"] = CostModel.from_json({**plain, "head": plain["head"] / 2}).to_json()


def fewer_rows(bundle: Changed) -> None:
    bundle.setting("entropy")["documents"]["agrees"].pop()


def without_document(bundle: Changed, number: int) -> None:
    del bundle.shared[0]["documents"][number]
    bundle.shared[0]["n_docs"] -= 1
    for setting in bundle.lines[0]:
        for values in setting["documents"].values():
            del values[number]


def reordered(bundle: Changed) -> None:
    bundle.setting("entropy")["documents"]["id"].reverse()


def other_part(bundle: Changed) -> None:
    row = bundle.shared[0]["documents"][2]
    row["part"] = "test" if row["part"] == "calibration" else "calibration"


def histogram(bundle: Changed) -> None:
    counts = bundle.setting("dice")["exit_histogram"]
    counts[0], counts[1] = counts[0] + 1, counts[1] - 1


def moved_selection(bundle: Changed) -> None:
    shares = bundle.setting("dice")["selection"]
    shares["at"], shares["before"] = 1.0, 0.0
    shares["after"] = 0.0


def claims_oracle_is_a_policy(bundle: Changed) -> None:
    bundle.setting("oracle")["kind"] = "policy"


def numbers_of_the_oracle(bundle: Changed) -> None:
    """A policy of one's own with what hindsight reaches, rows and figures alike."""
    own, oracle = bundle.setting("dice"), bundle.setting("oracle")
    copied = "metrics", "quality_full", "summaries", "exit_histogram", "selection", "documents"
    own.update({name: oracle[name] for name in copied})


def better_than_the_oracle(bundle: Changed) -> None:
    """The oracle's rows, a layer later in every document than they were measured."""
    oracle = bundle.setting("oracle")
    rows, layers = oracle["documents"], bundle.shared[0]["num_layers"]
    rows["exit_layers"] = [n * layers for n in rows["n_positions"]]
    rows["flops"] = rows["flops_full"]
    oracle["exit_histogram"] = [0] * (layers - 1) + [sum(rows["n_positions"])]
    for figures in oracle["summaries"].values():
        figures |= {"mean_exit_layer": layers, "layers_saved": 0, "compute_saved": 0}
    oracle["selection"] = {"before": 0, "at": 0, "after": 1}


def copied_static(bundle: Changed) -> None:
    """A cut model that is said to agree with the full one more often than its layer does."""
    setting = bundle.setting("static:layer=2")
    rows = setting["documents"]
    rows["agrees"] = rows["n_positions"]
    for figures in setting["summaries"].values():
        figures["fidelity"] = 1.0
    setting["selection"] = {"before": 0.0, "at": 1.0, "after": 0.0}


def hasty_full_model(bundle: Changed) -> None:
    full, cut = bundle.setting("full"), bundle.setting("static:layer=1")
    full.update({name: cut[name] for name in ("metrics", "summaries", "exit_histogram", "selection", "documents")})


def source_with(*changes: tuple[str, str]) -> Any:
    def edit(bundle: Changed) -> None:
        text = DICE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        bundle.source(text)

    return edit


def no_source(bundle: Changed) -> None:
    for file in bundle.sources:
        (bundle.folder / file).unlink()
        del bundle.contents["files"][file]
    bundle.contents["policies"] = []
    bundle.sources = {}


def twice(bundle: Changed) -> None:
    bundle.lines[0].append(bundle.lines[0][0])


def twice_by_hash(bundle: Changed) -> None:
    bundle.lines[0].append({**bundle.setting("entropy:threshold=5.0"), "policy_hash": "0" * 8})


def source_under_another_hash(bundle: Changed) -> None:
    for one in [*bundle.contents["policies"], *(line for line in bundle.lines[0] if not line["builtin"])]:
        one.update({"sha256": "0" * 64} if "sha256" in one else {"policy_hash": "0" * 64})


def coin_that_never_agrees(bundle: Changed) -> None:
    """The end of the no-skill line where it makes every policy look skilled, figures and all."""
    for row in bundle.shared[0]["documents"]:
        row["coin"]["agrees"] = 0
    for figures in bundle.shared[0]["coin_end"].values():
        figures["fidelity"] = 0.0


def at_an_end(layer: int, column: str, value: Any, evaluation: int = 0) -> Any:
    """A document of a setting that stops at one layer throughout, otherwise than whatever stops there."""

    def edit(bundle: Changed) -> None:
        for line in bundle.lines[evaluation]:
            rows = line["documents"]
            for number, (n, exits) in enumerate(zip(rows["n_positions"], rows["exit_layers"], strict=True)):
                if exits == n * layer and line["policy"] != "full":
                    rows[column][number] = value
                    return
        raise AssertionError("no document stops there throughout")

    return edit


def checked_for_nothing(bundle: Changed) -> None:
    """Tokens that the whole model checks, at no cost."""
    bundle.shared[2]["kv_mode"] = "verify"
    for rows in (row["coin"] for row in bundle.shared[2]["documents"]):
        rows["exit_layers"], rows["flops"] = rows["n_positions"] * 5, 1.0


def without_full(bundle: Changed) -> None:
    bundle.lines[0].remove(bundle.setting("full"))


def without_oracle(bundle: Changed) -> None:
    bundle.lines[0].remove(bundle.setting("oracle"))


def better_metric(bundle: Changed) -> None:
    bundle.setting("entropy")["metrics"]["acc,none"]["value"] = 0.99


def surer_metric(bundle: Changed) -> None:
    bundle.setting("entropy")["metrics"]["acc,none"]["stderr"] = 0.01


def another_metric(name: str, value: float, evaluation: int = 0) -> Any:
    def edit(bundle: Changed) -> None:
        bundle.setting("entropy", evaluation)["metrics"][f"{name},none"]["value"] = value

    return edit


def without_all(bundle: Changed) -> None:
    del bundle.setting("entropy")["summaries"]["all"]


def coin_end(bundle: Changed) -> None:
    bundle.shared[0]["coin_end"]["test"]["fidelity"] = 0.9


def coin_rows(bundle: Changed) -> None:
    bundle.shared[0]["documents"][0]["coin"]["exit_layers"] += 1


def no_test_part(bundle: Changed) -> None:
    del bundle.setting("entropy")["summaries"]["test"]


TAMPERED: dict[str, tuple[Callable[[Changed], None], str]] = {
    # edited figures
    "layers saved": (figure("layers_saved", 0.9), "layers saved of test documents is 0.9, and its rows make it "),
    "compute saved": (figure("compute_saved", 0.9), "compute saved of test documents is 0.9, and its rows make it "),
    "mean exit layer": (figure("mean_exit_layer", 1.5), "mean exit layer of test documents is 1.5"),
    "lens reads": (figure("lens_reads", 1.0), "lens reads of test documents is 1"),
    "fidelity": (figure("fidelity", 0.999), "fidelity of test documents is 0.999"),
    "fidelity on calibration": (figure("fidelity", 0.999, part="calibration"), "fidelity of calibration documents"),
    "quality": (figure("quality", 0.99), "quality of test documents is 0.99"),
    "retention": (figure("retention", 1.5), "retention of test documents is 1.5"),
    "bits per byte": (figure("quality", 0.5, evaluation=1), f"{ROLLING}, entropy:threshold=5.0: quality of test"),
    "answers kept": (figure("kept", 1.0, "static:layer=1", 2, "all"), f"{WRITTEN}, static:layer=1: kept of all"),
    "not a number": (figure("layers_saved", math.nan), "layers saved of test documents is nan"),
    "all documents left out": (without_all, "it has figures of calibration, test, and its documents make up"),
    "a part left out": (no_test_part, "it has figures of all, calibration, and its documents make up"),
    "the histogram": (histogram, "its exit histogram is not that of the exit layers in its rows"),
    "shares that do not sum to 1": (line("selection", {"before": 0, "at": 0.5, "after": 0}), "sums to 0.5, not to 1"),
    "shares of another fidelity": (moved_selection, "its layer selection is not that of its fidelity"),
    "the main metric": (better_metric, "none of its metrics is acc of "),
    "another metric": (another_metric("acc_norm", 1.5), "acc_norm,none is 1.5 ± "),
    "an infinite metric": (another_metric("word_perplexity", math.inf, 1), "word_perplexity,none is inf ± "),
    "perplexity of other bits": (another_metric("byte_perplexity", 2.0, 1), "are not those of one text"),
    "quality beyond a share": (cell("quality", [7.0, 1.0]), "document 2 has a quality outside of 0 to 1"),
    "its standard error": (surer_metric, "the standard error of acc does not follow from its rows"),
    "the full model's quality": (
        line("quality_full", 0.1),
        "quality_full is 0.1, and that is not the full model's acc",
    ),
    "the end of the no-skill line": (coin_end, "the end of the no-skill line: fidelity of test documents is 0.9"),
    "rows of the no-skill line": (coin_rows, "the end of the no-skill line: it does not stop everywhere at"),
    "whether it is informative": (shared("informative", True), "informative is true, and the full model's rows say"),
    # values that cannot be
    "layer 0": (cell("exit_layers", 0), "document 2 stops at a layer outside of 1 to 5"),
    "a layer too deep": (cell("exit_layers", 10_000), "document 2 stops at a layer outside of 1 to 5"),
    "no reads": (cell("lens_reads", 0), "document 2 reads the head less than once, or oftener than"),
    "more reads than layers": (cell("lens_reads", 10_000), "document 2 reads the head less than once, or oftener than"),
    "negative FLOPs": (cell("flops", -1.0), "document 2 takes no FLOPs, or fewer"),
    "FLOPs that are no number": (cell("flops", math.nan), "flops of document 2 is not a finite number"),
    "infinite FLOPs": (cell("flops_full", math.inf), "flops_full of document 2 is not a finite number"),
    "the full model made dearer": (cell("flops_full", 1e12), "costs the full model something else than for other"),
    "the full model made cheaper": (cell("flops_full", 1.0), "the full model takes more FLOPs than flops_full"),
    "fewer FLOPs than layers": (cheaper, "takes fewer FLOPs than its exit layers and reads cost"),
    "a cheaper cost model": (cheaper_model, "takes more FLOPs than its exit layers and reads cost"),
    "more agreement than positions": (cell("agrees", 10_000), "document 2 has more positions that agree with the full"),
    "agreement of another layer": (copied_static, "its fidelity is higher than the layers that it stops at allow"),
    "more agreement at a layer": (document("layer_agrees", [9999] * 5), "more positions of a document agree"),
    "a last layer that disagrees": (document("layer_agrees", [0] * 5), "the last layer does not agree with the full"),
    "guessing without a number": (shared("chance", math.nan), "the quality of guessing is not a finite number"),
    "a cost model of fewer layers": (shared("cost", {"block": [1.0]}), "its cost model cannot be: "),
    "an answer kept that is not": (cell("kept", 1.5, "static:layer=1", 2), "document 2 has a share outside of 0 to 1"),
    "an answer of another length": (cell("answer_length", 0.5, "full", 2), "an answer of a length that its positions"),
    "a full model that stops early": (hasty_full_model, "full: it is the full model, and stops before the last layer"),
    "quality weighed": (cell("quality", [1.0, 9.0]), "document 2 has a quality that is weighed otherwise than others"),
    "bits weighed": (cell("quality", [-9.0, 9e9], evaluation=1), "document 2 has a quality that is weighed otherwise"),
    "quality without a number": (cell("quality", [None, 1.0]), "document 2 has a quality that is not a finite number"),
    # documents
    "fewer rows than documents": (fewer_rows, "documents are missing: agrees has 15 rows for 16 documents"),
    "a document left out": (lambda b: without_document(b, 3), "numbered from 0 without a gap, and document 3 is not"),
    "the last document left out": (
        lambda b: without_document(b, DOCUMENTS - 1),
        "documents_hash is not the hash of their prompts",
    ),
    "another number of documents": (shared("n_docs", 20), "documents are missing: n_docs is 20, and there are 16"),
    "another order": (reordered, "its documents are others than those of the evaluation, or in another order"),
    "the other part": (other_part, "and its hash says "),
    "other positions": (cell("n_positions", 3), "document 2 has another number of positions than for other settings"),
    "other prompts": (document("prompt_hash", "0" * 64), "documents_hash is not the hash of their prompts"),
    # policies
    "an oracle as a policy": (claims_oracle_is_a_policy, "it says that oracle is a policy, and it is a bound"),
    "numbers of the oracle": (numbers_of_the_oracle, "dice:rate=0.2: it stops where oracle does in every document"),
    "an oracle made worse": (
        better_than_the_oracle,
        "oracle: document 0 does not stop at the first layers that agree with the full model",
    ),
    "others beside an oracle made worse": (
        better_than_the_oracle,
        "stops earlier than the oracle would with as many right",
    ),
    "a source that builds on a bound": (
        source_with(("ExitPolicy, LayerView", "Bound, LayerView"), ("(ExitPolicy)", "(Bound)")),
        "it says that dice is a policy, and its source makes it a bound: it sees the layers to come",
    ),
    "a source that imports a bound": (
        source_with(("ExitPolicy, LayerView", "Bound, ExitPolicy, LayerView")),
        "it says that dice is a policy, and its source imports Bound, which sees the layers to come",
    ),
    "a source that imports the oracle": (
        source_with(("class Dice", "from eebench.policies.oracle import Oracle\n\n\nclass Dice")),
        "its source imports eebench.policies.oracle, and a policy has its view and nothing else",
    ),
    "a source that reaches behind its view": (
        source_with(("layer.uniform(layer.index)", "layer._source._positions.target_logprob[-1]")),
        "its source uses ._positions, which is not its own",
    ),
    "a source that says it is a control": (
        source_with(('formula = "a', 'kind = "control"\n    formula = "a')),
        "it says that dice is a policy, and its source makes it a control",
    ),
    "a source without the policy": (source_with(("class Dice", "class Other")), "defines no policy dice"),
    "a source that is no Python": (source_with(("class Dice", "klass Dice")), "defines no policy dice"),
    "no source": (no_source, "the source of dice is not in the bundle under the hash that it was measured with"),
    "the name of a built-in policy": (line("builtin", False), "entropy is the name of a built-in policy, and this one"),
    "a built-in policy that is none": (line("builtin", True, "dice"), "EEBench, which has no policy of that name"),
    "other parameters": (line("params", {"threshold": 0.5}), "its parameters are those of entropy:threshold=0.5"),
    "parameters of one's own": (line("params", {"rate": 0.9}, "dice"), "its parameters are others than its name says"),
    "impossible parameters": (line("params", {"threshold": -1}), "its parameters are none that entropy takes"),
    "a setting twice": (twice, "entropy:threshold=5.0: it is there twice"),
    "no oracle": (without_oracle, "the oracle's own row is missing"),
    "no full model": (without_full, "the full model's own row is missing"),
    "another kind of task": (shared("task", RECORDS), f"{RECORDS} is measured as a likelihood task, and it is none"),
    # what contradicts itself
    "a no-skill line that never agrees": (
        coin_that_never_agrees,
        "agrees with the full model at another number of positions than layer 1 does",
    ),
    "quality that was not given up": (
        at_an_end(5, "quality", [0.5, 1.0]),
        "stops at the last layer throughout, and its quality is not the full model's",
    ),
    "quality that was not kept": (
        at_an_end(1, "quality", [0.5, 1.0]),
        "stops at layer 1 throughout, and its quality is not that of the end of the no-skill line",
    ),
    "agreement that was not given up": (
        at_an_end(5, "agrees", 0),
        "stops at the last layer throughout, and its agrees is not the full model's",
    ),
    "an answer that was not given up": (
        at_an_end(5, "repetition", 0.9, 2),
        "stops at the last layer throughout, and its repetition is not the full model's",
    ),
    "a full model that is dear for an answer": (
        at_an_end(5, "flops_full", 1e12, 2),
        "costs the full model another sum than its own answer does",
    ),
    "a likelihood task that is executed": (shared("kv_mode", "copy"), "a likelihood task is never executed"),
    "a check that skips layers": (
        shared("kv_mode", "verify", 2),
        "stops before the last layer, and verify runs all layers on every token",
    ),
    "a check without FLOPs": (checked_for_nothing, "takes fewer FLOPs than checking every token costs"),
    "a source under another hash": (
        source_under_another_hash,
        ".py is not the file that bundle.json names: its SHA-256 differs",
    ),
    "a built-in setting twice, of other sources": (twice_by_hash, "entropy:threshold=5.0: it is there twice"),
}


# --- what rows alone do not show ---------------------------------------------------------------------------------


def swapped_rows(bundle: Changed) -> None:
    """Two documents of one part change places: no sum, and so no figure, is another."""
    rows = bundle.setting("dice")["documents"]
    columns = [name for name in rows if name != "id"]
    parts = [row["part"] for row in bundle.shared[0]["documents"]]
    one, other = next(
        (i, j)
        for i in range(DOCUMENTS)
        for j in range(i)
        if parts[i] == parts[j]
        and (rows["n_positions"][i], rows["flops_full"][i]) == (rows["n_positions"][j], rows["flops_full"][j])
        and rows["exit_layers"][i] != rows["exit_layers"][j]
    )
    for name in columns:
        rows[name][one], rows[name][other] = rows[name][other], rows[name][one]


def ends_of(rows: dict[str, Any]) -> list[int]:
    """The first or the last layer where all positions of a document stop there, else 0."""
    layers = [exits / n for exits, n in zip(rows["exit_layers"], rows["n_positions"], strict=True)]
    return [int(layer) if layer in (1, 5) else 0 for layer in layers]


def swapped_quality(bundle: Changed) -> None:
    """A setting is right in one document and wrong in another the other way round than it was."""
    rows = bundle.setting("oracle-stable")["documents"]
    alike = bundle.setting("oracle")["documents"]["exit_layers"]
    quality, between = rows["quality"], [end == 0 for end in ends_of(rows)]
    parts = [row["part"] for row in bundle.shared[0]["documents"]]
    one, other = next(
        (i, j)
        for i in range(DOCUMENTS)
        for j in range(i)
        if parts[i] == parts[j] and quality[i] != quality[j] and between[i] and between[j]
        if alike[i] == rows["exit_layers"][i]
    )
    quality[one], quality[other] = quality[other], quality[one]


def swapped_loglikelihoods(bundle: Changed) -> None:
    """The same in perplexity, for all settings alike that do not stop at one layer throughout in one of them alone."""
    parts = [row["part"] for row in bundle.shared[1]["documents"]]
    one, other = next((i, j) for i in range(DOCUMENTS) for j in range(i) if parts[i] == parts[j])
    told = [ends_of(setting["documents"]) for setting in bundle.lines[1]]
    bundle.lines[1] = [line for line, ends in zip(bundle.lines[1], told, strict=True) if ends[one] == ends[other]]
    for quality in (setting["documents"]["quality"] for setting in bundle.lines[1]):
        quality[one], quality[other] = quality[other], quality[one]
    coins = [bundle.shared[1]["documents"][number]["coin"] for number in (one, other)]
    coins[0]["quality"], coins[1]["quality"] = coins[1]["quality"], coins[0]["quality"]


BY_TRACE: dict[str, tuple[Callable[[Changed], None], str]] = {
    "rows of two documents": (swapped_rows, " of document "),
    "quality of two documents": (swapped_quality, "is another than that of a setting that answers alike"),
    "log-likelihoods of two documents": (swapped_loglikelihoods, "its log-likelihoods are others than in the trace"),
}
