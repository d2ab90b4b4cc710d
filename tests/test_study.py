"""`eebench study`: every figure against a slow, obvious computation, and the report as a user gets it."""

from __future__ import annotations

import json
import sys
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from eebench.cli import main
from eebench.cost import CostModel
from eebench.ranking.bootstrap import Estimate
from eebench.ranking.eas import eas
from eebench.records.results import Evaluation, KvMode
from eebench.spec import parse_policies, settings_for
from eebench.study import render
from eebench.study.capability import capability, dealt_out
from eebench.study.full_loss import loss_by_position, running_text
from eebench.study.kv_copy import Decoded, quality_by_length, side_by_side, survival
from eebench.study.locating import best_located, locate, location_row, reliability
from eebench.study.material import Material, TaskMaterial
from eebench.study.report import Column, Figure, Report, Section, Table
from eebench.study.subwords import exits_by_class, frequency_quarters, starts_after_continuations
from eebench.study.verdict import Claim, Studied, claims_against, claims_of
from eebench.study.words import PARTS
from tests.records import evaluation, result
from tests.small_models import save_small_model
from tests.traces import random_trace

LAYERS = 6


class Letters:
    """Surfaces by id: a word start, a continuation, a comma, and two words."""

    def __getitem__(self, token: int) -> str:
        return (" boat", "house", ",", " the", " 7")[token]


def a_material(model: str = "mine", seed: int = 0, documents: int = 60) -> Material:
    rng = np.random.default_rng(seed)
    tasks = []
    for number in range(2):
        trace = random_trace(seed + number, layers=LAYERS, documents=documents, longest=9)
        trace = replace(trace, target=rng.integers(0, 5, trace.num_positions).astype(np.int32))
        tasks.append(TaskMaterial(an_evaluation(f"task-{number}", documents), trace, ()))
    cost = CostModel((10.0,) * LAYERS, (0.0,) * LAYERS, (0,) * LAYERS, 40.0)
    return Material(model, model, cost, tasks, Letters())  # type: ignore[arg-type]


def an_evaluation(task: str, documents: int) -> Evaluation:
    return replace(evaluation(), task=task, n_docs=documents, metric="acc")


class TestCapability:
    def setup_method(self) -> None:
        self.material = a_material()
        self.found = capability(self.material)

    def test_bounds_are_the_first_layer_and_the_first_for_good(self) -> None:
        top1 = self.material.trace.statistics["top1"]
        for position in range(self.material.trace.num_positions):
            column = [int(token) for token in top1[:, position]]
            first = next(k for k in range(1, LAYERS + 1) if column[k - 1] == column[-1])
            stable = next(k for k in range(1, LAYERS + 1) if set(column[k - 1 :]) == {column[-1]})
            assert self.material.oracle[position] == first
            assert self.material.stable[position] == stable

    def test_savings_are_means_over_positions(self) -> None:
        oracle = self.material.oracle
        assert self.found.oracle.value == pytest.approx(1 - oracle.mean() / LAYERS)
        assert self.found.oracle.low < self.found.oracle.value < self.found.oracle.high
        assert self.found.stable.value <= self.found.oracle.value
        assert self.found.layers["oracle"].sum() == pytest.approx(1)

    def test_compute_with_and_without_the_head(self) -> None:
        oracle = self.material.oracle.astype(float)
        blocks, full = 10 * oracle.sum(), 10 * LAYERS * len(oracle)
        heads = 40 * len(oracle)
        assert self.found.compute_without_head.value == pytest.approx(1 - blocks / full)
        assert self.found.compute_with_head.value == pytest.approx(1 - (blocks + heads) / (full + heads))

    def test_columns_are_means_of_the_trace(self) -> None:
        layers, trace = self.found.layers, self.material.trace
        np.testing.assert_allclose(layers["agreement"], (trace.statistics["top1"] == trace.final_top1).mean(axis=1))
        np.testing.assert_allclose(layers["final_divergence"], trace.final_divergence.mean(axis=1), rtol=1e-5)
        assert layers["final_divergence"].iloc[-1] == pytest.approx(0, abs=1e-5)
        np.testing.assert_allclose(layers["target_logprob"], trace.target_logprob.mean(axis=1), rtol=1e-5)

    def test_predictions_that_are_dealt_out_stay_in_their_task(self) -> None:
        first = dealt_out(self.material)
        assert ((first >= 1) & (first <= LAYERS)).all()
        assert self.found.by_chance.value == pytest.approx(1 - first.mean() / LAYERS)

    def test_eas(self) -> None:
        agreement = np.array([0.25, 0.64, 1.0])
        assert eas(agreement) == pytest.approx(((0.25 * 2 / 3) ** 0.5 + (0.64 / 3) ** 0.5) / 2)
        assert eas(np.zeros(4)) == 0


class TestLocating:
    def test_early_is_wrong_and_shares_add_up(self) -> None:
        material = a_material()
        (setting,) = settings_for(parse_policies(["confidence:threshold=0.6"]), LAYERS)
        located = locate(setting, material)
        assert not located.right[located.off < 0].any()
        assert located.right[located.off == 0].all()
        row: dict[str, Any] = location_row(located, material)
        assert row["early"] + row["exact"] + row["late"] == pytest.approx(1)
        assert row["exact"] <= row["within_1"] <= row["within_2"] <= 1
        confusion = located.confusion(LAYERS)
        assert confusion.sum() == material.trace.num_positions
        assert np.trace(confusion) == (located.off == 0).sum()

    def test_the_best_setting_is_chosen_on_calibration_documents(self) -> None:
        material = a_material()
        settings = settings_for(parse_policies(["static"]), LAYERS)
        trace = material.trace
        calibration = trace.in_part("calibration")[trace.document]
        near = [(np.abs(k - material.oracle[calibration]) <= 1).mean() for k in range(1, LAYERS + 1)]
        assert best_located(settings, material).setting == f"static:layer={int(np.argmax(near)) + 1}"

    def test_calibration_error_by_hand(self) -> None:
        material = a_material()
        found = reliability(material)
        confidence, agrees = material.trace.statistics["max_prob"][2], material.trace.agrees[2]
        error = 0.0
        for b in range(15):
            some = (confidence >= b / 15) & ((confidence < (b + 1) / 15) | (b == 14))
            if some.any():
                error += some.mean() * abs(agrees[some].mean() - confidence[some].mean())
        assert found.ece[2] == pytest.approx(error, abs=1e-6)
        assert found.curve.groupby("layer")["share"].sum().to_numpy() == pytest.approx(np.ones(LAYERS))


class TestSubwords:
    def test_means_by_class(self) -> None:
        material = a_material()
        table = exits_by_class(material, {"always-3": np.full(material.trace.num_positions, 3)})
        whole = material.trace.num_positions
        for by in ("part of word", "kind of token", "frequency of the token", "position in the text"):
            assert table[table["by"] == by]["positions"].sum() == whole
        starts = table[table["class"] == "start"].iloc[0]
        assert starts["oracle"] == pytest.approx(material.oracle[material.classes.part == 0].mean())
        assert starts["oracle_low"] < starts["oracle"] < starts["oracle_high"]
        assert (table["always-3"] == 3).all()

    def test_the_difference_is_that_of_the_means(self) -> None:
        material = a_material()
        part = material.classes.part
        starts, inside = (material.oracle[part == PARTS.index(name)].mean() for name in ("start", "continuation"))
        assert starts_after_continuations(material)[0] == pytest.approx(starts - inside)

    def test_quarters_keep_ties_together(self) -> None:
        target = np.array([1] * 10 + [2] * 5 + [3, 4, 5, 6, 7])
        quarter = frequency_quarters(target)
        assert all(len(set(quarter[target == token])) == 1 for token in set(target))
        assert quarter[0] > quarter[-1]


def decoded(mode: KvMode, same: list[int]) -> Decoded:
    """Answers of 1, 2, 4 and 4 tokens, of which `same` are the full model's; good where they are all its."""
    length = np.array([1, 2, 4, 4])
    agreed = np.array(same)
    quality = np.stack([agreed == length, np.ones(4)], axis=1).astype(float)
    columns = {"common_prefix": agreed, "kept": agreed / length, "quality": quality}
    of = evaluation(documents={**evaluation().documents, "n_positions": length})
    return Decoded("lists", mode, "static:layer=3", of, result(documents={**result().documents, **columns}))


class TestKvCopy:
    answers = (decoded("full", [1, 2, 4, 3]), decoded("propagate", [1, 2, 4, 2]), decoded("copy", [1, 0, 3, 1]))

    def test_answers_that_have_not_departed_by_hand(self) -> None:
        table = survival(self.answers)
        found = {(row.kv_mode, row.tokens): (row.same, row.answers) for row in table.itertuples()}
        assert found["full", 1] == found["propagate", 1] == (1, 4)
        assert found["copy", 1] == (0.75, 4)
        assert found["full", 2] == (1, 3)
        assert found["copy", 2] == (pytest.approx(1 / 3), 3)
        assert (found["full", 4], found["propagate", 4], found["copy", 4]) == ((0.5, 2), (0.5, 2), (0, 2))
        assert table["tokens"].max() == 4  # no answer is longer

    def test_short_and_long_answers_by_hand(self) -> None:
        table = quality_by_length(self.answers)
        found = {(row.kv_mode, row.answers): (row.documents, row.quality, row.kept) for row in table.itertuples()}
        assert found["full", "short"] == (2, 1, 1)
        assert found["full", "long"] == (2, 0.5, pytest.approx(0.875))
        assert found["copy", "short"] == (2, 0.5, 0.5)
        assert found["copy", "long"] == (2, 0, pytest.approx(0.5))

    def test_modes_side_by_side_are_the_same_numbers(self) -> None:
        for table, values in (
            (survival(self.answers), ["same"]),
            (quality_by_length(self.answers), ["quality", "kept"]),
        ):
            wide = side_by_side(table)
            assert len(wide) == len(table) / 3
            for _, row in table.iterrows():
                rest = [name for name in table if name not in (*values, "kv_mode")]
                (there,) = wide[(wide[rest] == row[rest]).all(axis=1)].to_dict("records")
                assert [there[f"{value} {row['kv_mode']}"] for value in values] == list(row[values])


class TestVerdict:
    def test_a_finding_is_where_its_interval_lies(self) -> None:
        def finding(low: float, high: float) -> str:
            return Claim("", "", "", Estimate((low + high) / 2, low, high), "").finding

        assert finding(0.1, 0.2) == "supported"
        assert finding(-0.2, -0.1) == "not supported"
        assert finding(-0.1, 0.2) == "undecided"
        assert finding(float("nan"), float("nan")) == "undecided"

    def test_a_model_against_itself_differs_by_nothing(self) -> None:
        one, other = studied(a_material("one")), studied(a_material("other"))
        claims = claims_against(one, other)
        assert len(claims) >= 3
        for claim in claims:
            if "hurt" in claim.claim:
                assert claim.finding == "supported"  # no worse than the margin
            else:
                assert claim.difference == Estimate(0, 0, 0)
                assert claim.finding == "undecided"

    def test_agreement_that_was_raised_is_found(self) -> None:
        before, material = a_material("before"), a_material("after")
        better = []
        for task in material.tasks:
            top1 = task.trace.statistics["top1"].copy()
            top1[2:] = top1[-1]
            better.append(replace(task, trace=replace(task.trace, statistics={**task.trace.statistics, "top1": top1})))
        after = replace(material, tasks=better)
        widened, *_others = claims_against(studied(before), studied(after))
        assert widened.finding == "supported"
        natural = claims_of(studied(after))[0]
        assert natural.finding == "supported"


def studied(material: Material) -> Studied:
    settings = settings_for(parse_policies(["confidence"]), LAYERS)
    return Studied(material, capability(material), {"confidence": best_located(settings, material)}, [])


def eebench(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


class TestFullLoss:
    def test_by_position_is_what_a_loop_counts(self) -> None:
        before = a_material()
        tasks = [
            replace(task, trace=replace(task.trace, target_logprob=task.trace.target_logprob * np.float32(1.5)))
            for task in before.tasks
        ]
        after = replace(before, tasks=tasks)
        frame = loss_by_position(before, after).set_index("position")
        for name, first, end in (("0", 0, 1), ("1 to 3", 1, 4), ("4 to 15", 4, 16)):
            losses = []
            for material in (before, after):
                trace = material.trace
                at = [i for i in range(trace.num_positions) if first <= trace.position[i] < end]
                losses.append(-sum(float(trace.target_logprob[-1, i]) for i in at) / len(at))
            row = frame.loc[name]
            assert row["before"] == pytest.approx(losses[0])
            assert row["after"] == pytest.approx(losses[1])
            assert row["difference"] == pytest.approx(losses[1] - losses[0])
            assert row["low"] <= row["difference"] <= row["high"]
        assert frame["positions"].sum() == before.trace.num_positions

    def test_only_running_text_counts_where_there_is_some(self) -> None:
        material = a_material()
        tasks = list(material.tasks)
        tasks[1] = replace(tasks[1], evaluation=replace(tasks[1].evaluation, metric="bits_per_byte"))
        some = running_text(replace(material, tasks=tasks))
        assert some.sum() == tasks[1].trace.num_positions
        assert not some[: tasks[0].trace.num_positions].any()
        assert running_text(material).all()


class Page(HTMLParser):
    """A page taken apart, strictly: what is opened is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def values(self, attribute: str) -> list[str]:
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]


def assert_readable(page: Page, out: Path) -> None:
    """What a page of a study promises to who reads it on a phone, in the dark, or aloud."""
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert all(name in ids for name in page.values("aria-labelledby"))
    links = page.values("href")
    assert all(link[1:] in ids if link.startswith("#") else (out / link).is_file() for link in links)
    sections = [f"#{attributes['aria-labelledby']}" for attributes in page.named("section")]
    assert [link for link in links if link.startswith("#")] == sections
    assert {attributes["scope"] for attributes in page.named("th")} == {"col", "row"}
    assert len(page.named("caption")) == len(page.named("table")) == len(links) - len(sections)
    for image in page.named("img"):
        assert len(image["alt"]) > 40
        kind, _, content = image["src"].partition(",")
        assert kind == "data:image/svg+xml;base64"
        root = ElementTree.fromstring(b64decode(content))
        assert abs(float(root.attrib["width"]) - int(image["width"])) <= 1
    assert "width=device-width, initial-scale=1" in page.values("content")
    assert not page.named("script")


def report_of(*sections: Section) -> Report:
    return Report("A <title>", "eebench study '<b>'", sections)


class TestPage:
    def test_whatever_is_said_is_text(self) -> None:
        evil = "<img src=x onerror=alert(1)>"
        frame = pd.DataFrame({"name": [evil], "value": [0.5]})
        table = Table("t", evil, frame, [Column("name", evil, left=True), Column("value", "value", ".1%")])
        figure = Figure("f", None, evil, f'" {evil}')
        text = "<text>&lt;b&gt;</text>"
        drawn = {"f": f'<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20.4">{text}</svg>'}
        text = render.page(report_of(Section(evil, [evil], [table], [figure], model=evil)), drawn)
        page = Page(text)
        (image,) = page.named("img")
        assert (image["width"], image["height"], image["alt"]) == ("30", "20", f'" {evil}')
        assert not page.named("b")
        assert evil not in text

    def test_rows_are_named_by_the_column_that_tells_them_apart(self) -> None:
        frame = pd.DataFrame({"by": ["part", "part"], "class": ["start", "inside"], "oracle": [1.0, 2.0]})
        columns = [Column("by", "by", left=True), Column("class", "class", left=True), Column("oracle", "oracle")]
        text = render.page(report_of(Section("One", tables=[Table("t", "T", frame, columns, named=1)])), {})
        assert text.count('<th scope="row" class="words">start</th>') == 1
        assert text.count('<td class="words">part</td>') == 2

    def test_contents_list_sections_under_their_model(self) -> None:
        made = report_of(Section("Verdict"), Section("Sub-words", model="a"), Section("K/V of it", model="a"))
        listed = [(model, [number for number, _ in some]) for model, some in made.contents()]
        assert listed == [("", [1]), ("a", [2, 3])]
        assert [section.heading for section in made.sections] == ["Verdict", "a: sub-words", "a: K/V of it"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("models")
    first, second = (str(save_small_model(folder / f"small<{i}>", seed=i)) for i in range(2))
    return first, second


class TestCommand:
    def test_a_model_against_another_as_report_and_data(self, models: tuple[str, str], tmp_path: Path) -> None:
        out = tmp_path / "study"
        arguments = ("-t", "eebench_facts,eebench_passages", "--limit", "8", "--kv-limit", "2", "--max-gen-toks", "4")
        answer = eebench("study", models[0], "--against", models[1], *arguments, "-o", str(out))
        assert answer.exit_code == 0, answer.output
        for words in ("Verdict", "supported", "Before and after", "ocating the layer", "/V of skipped layers"):
            assert words in answer.stdout
        text = (out / "study.md").read_text()
        for name in [line.partition("](")[2][:-1] for line in text.splitlines() if line.startswith("![")]:
            ElementTree.fromstring((out / name).read_text())
        page = (out / "study.html").read_text()
        assert "small<0>" not in page
        assert "small&lt;0&gt;" in page
        assert page.count("<img") == text.count("![")
        assert_readable(Page(page), out)
        verdict = pd.read_csv(out / "data" / "verdict.csv")
        assert set(verdict["finding"]) <= {"supported", "not supported", "undecided"}
        assert (verdict["low"] <= verdict["difference"]).all()
        layers = pd.read_csv(next(iter(out.glob("data/layers-*.csv"))))
        assert layers["oracle"].sum() == pytest.approx(1, abs=1e-4)

        scores = pd.read_csv(out / "data" / "ee-scores.csv").set_index("policy")
        for model, column in zip(models, ("before", "after"), strict=True):
            assert eebench("run", "-m", model, "-p", "entropy,static,oracle", *arguments[:4]).exit_code == 0
            said = json.loads(eebench("report", "-m", model, "--format", "json").stdout)
            rows = {row["policy"]: row["ee_score_layers"] for row in said["ranking"]}
            assert rows.keys() >= {"entropy", "static", "oracle"}
            for policy, score in rows.items():
                assert scores.loc[policy, column] == pytest.approx(score, abs=1e-3)
        assert (scores["after"] - scores["before"]).to_numpy() == pytest.approx(scores["difference"], abs=1e-3)

    def test_nothing_is_drawn_that_is_not_written(
        self, models: tuple[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for lacking in ("altair", "vl_convert", "jinja2"):
            monkeypatch.setitem(sys.modules, lacking, None)  # importing it is an ImportError
        answer = eebench("study", models[0], "-t", "eebench_facts", "--limit", "6", "--kv-tasks", "none")
        assert answer.exit_code == 0, answer.output
        assert "Calibration" in answer.stdout

    def test_a_part_that_cannot_be_had_is_said(self, tmp_path: Path) -> None:
        parallel = str(save_small_model(tmp_path / "parallel", "gpt_neox"))
        answer = eebench("study", parallel, "-t", "eebench_facts", "--limit", "6", "--kv-tasks", "none")
        assert answer.exit_code == 0, answer.output
        assert "has no state between its attention and its MLP" in answer.stdout

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (("-t", "eebench_lists"), "is a generation task: name it with --kv-tasks"),
            (("--kv-tasks", "eebench_facts"), "--kv-tasks takes generation tasks"),
            (("-t", "eebench_fact"), "unknown task 'eebench_fact'"),
            (("--against", "smollm2-135n"), "unknown model 'smollm2-135n'"),
        ],
    )
    def test_wrong_input_is_one_sentence(
        self, models: tuple[str, str], arguments: tuple[str, ...], sentence: str
    ) -> None:
        answer = eebench("study", models[0], *arguments)
        assert answer.exit_code == 2
        assert isinstance(answer.exception, SystemExit)
        assert sentence in answer.stderr

    def test_models_of_different_tokenizers_are_refused_before_anything_is_measured(
        self, models: tuple[str, str], tmp_path: Path
    ) -> None:
        other = save_small_model(tmp_path / "other")
        saved = json.loads((other / "tokenizer.json").read_text())
        vocab = saved["model"]["vocab"]
        vocab["a"], vocab["e"] = vocab["e"], vocab["a"]
        (other / "tokenizer.json").write_text(json.dumps(saved))
        answer = eebench("study", models[0], "--against", str(other), "-t", "eebench_facts", "--limit", "4")
        assert answer.exit_code == 2
        assert "cut documents of eebench_facts into different tokens" in answer.stderr
        assert "study each by itself" in answer.stderr
        assert "Tracing" not in answer.stderr

    @pytest.mark.parametrize("lacking", ["altair", "vl_convert", "jinja2"])
    def test_what_is_not_installed_is_said(self, monkeypatch: pytest.MonkeyPatch, lacking: str) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == lacking else object())
        answer = eebench("study", "smollm2-135m", "-o", "out")
        assert answer.exit_code == 2
        assert "pip install 'eebench[plots]', or leave --output out." in answer.stderr
