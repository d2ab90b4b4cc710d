"""The site is whole, well-formed, escaped, the same every time, and says what the ranking says."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from urllib.request import urlopen

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from eebench.cli import main
from eebench.cli.run import run as run_command
from eebench.files import slug
from eebench.ranking.rank import rank
from eebench.records.results import KV_MODES, KvMode, StoredResult, Summary
from eebench.records.store import Run, Store
from eebench.reports.by_kv_mode import MEANINGS
from eebench.site import about_model
from eebench.site.about_kv_modes import kv_modes_context
from eebench.site.about_model import model_context
from eebench.site.boards import Boards, interval, scores
from eebench.site.commands import command
from eebench.site.folder import MARKER, write
from eebench.site.material import gather
from eebench.site.server import server
from eebench.site.slugs import policy_page
from tests.records import evaluation, provenance, result, stored, summary
from tests.site_records import CLOSING, HOSTILE, LOSSES, MODELS, TASKS, fill

VOID = {"meta", "link", "img", "input", "br", "hr", "source"}


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["site", *arguments])


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("results") / "results.db")
    fill(path)
    return path


@pytest.fixture(scope="module")
def site(db: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sites") / "site"
    done = invoke("build", str(out), "--db", db)
    assert done.exit_code == 0, done.output
    return out


# --- pages -------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """A page taken apart, strictly: what is opened is closed, in order."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, dict[str, str]]] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.data: dict[str, Any] = {}
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert not self.open, f"{path}: {self.open} left open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute given twice in {tag}"
        found = {name: value or "" for name, value in attrs}
        self.elements.append((tag, found))
        if tag not in VOID:
            self.open.append((tag, found))

    def handle_endtag(self, tag: str) -> None:
        assert tag not in VOID
        opened, _ = self.open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"

    def handle_data(self, data: str) -> None:
        tag, attributes = self.open[-1] if self.open else ("", {})
        if tag == "script":
            self.data[attributes["id"]] = json.loads(data)
        else:
            self.text.append(data)

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def values(self, attribute: str) -> list[str]:
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]


def pages(site: Path) -> dict[str, Page]:
    return {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}


def test_there_is_a_page_for_everything_that_was_measured(site: Path) -> None:
    made = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    assert {policy_page(policy) for policy in LOSSES} <= made
    assert {"task/agreement.html", "task/facts.html", "task/lists.html", "model/tiny.html"} <= made
    assert {f"model/{slug(model)}.html" for model in MODELS} <= made
    assert {"run/1.html", "run/2.html"} <= made
    assert "run/3.html" not in made  # nothing is shown of it
    assert len(made) == 6 + len(LOSSES) + len(MODELS) + 3 + 2


def test_links_lead_to_files_and_to_parts_of_pages(site: Path) -> None:
    for path, page in pages(site).items():
        for link in page.values("href") + page.values("src"):
            target, _, part = link.partition("#")
            assert ":" not in target, f"{path} leads out of the site: {link}"
            file = (site / path).parent / target if target else site / path
            assert file.is_file(), f"{path}: nothing at {link}"
            if "=" in part:
                assert all(value in Page(file).values("value") for _, value in parse_qsl(part, strict_parsing=True))
            else:
                assert not part or part in Page(file).values("id")


def test_pages_are_well_formed_and_can_be_read_aloud(site: Path) -> None:
    for path, page in pages(site).items():
        ids = page.values("id")
        assert len(ids) == len(set(ids)), path
        assert all(name in ids for name in page.values("aria-labelledby")), path
        assert page.named("html") == [{"lang": "en"}]
        assert len(page.named("h1")) == len(page.named("main")) == len(page.named("title")) == 1
        assert len(page.named("caption")) == len(page.named("table")) > 0, path
        assert all(head.get("scope") in ("col", "colgroup", "row") for head in page.named("th")), path
        assert all(plot.get("aria-label") for plot in page.named("div") if plot.get("role") == "img"), path
        assert page.named("a")[0] == {"class": "skip", "href": "#content"}


def test_nothing_that_a_name_says_is_markup(site: Path) -> None:
    for path, page in pages(site).items():
        assert not page.named("img"), path
        assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")], path
        for script in page.named("script"):
            assert script.get("type") == "application/json" or script["src"].endswith(".js"), path
    text = "".join(Page(site / "index.html").text)
    assert HOSTILE in text
    assert CLOSING in text
    assert HOSTILE in Page(site / "index.html").data["index"]["views"]["full"][""][""]["rows"]
    assert "<script>alert" not in (site / "index.html").read_text()


def test_pages_say_where_everything_may_come_from(site: Path) -> None:
    for path, page in pages(site).items():
        policies = [meta["content"] for meta in page.named("meta") if "http-equiv" in meta]
        assert len(policies) == 1, path
        assert policies[0].startswith("default-src 'none';"), path
        assert "http" not in policies[0]


def test_the_plotting_script_is_there_once(site: Path) -> None:
    scripts = [path.name for path in site.rglob("*.js")]
    assert sorted(scripts) == ["board.js", "charts.js", "site.js", "vega.js"]
    assert "vegaEmbed" in (site / "assets/vega.js").read_text()


def test_names_that_differ_in_case_have_pages_of_their_own(site: Path) -> None:
    assert Page(site / policy_page("entropy")).named("title")
    assert policy_page("entropy").lower() != policy_page("Entropy").lower()
    assert "not among EEBench's policies" in "".join(Page(site / policy_page("Entropy")).text)
    assert "BranchyNet" in "".join(Page(site / policy_page("entropy")).text)


@given(st.text(max_size=90), st.text(max_size=90))
def test_a_slug_is_a_safe_file_name_of_its_own(one: str, other: str) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*(\.[0-9a-f]{32})?", slug(one))
    assert len(slug(one)) < 80
    assert (slug(one).lower() == slug(other).lower()) == (one == other)


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "a/b", "a\\b", ".", "", "index.html", "ENTROPY", "é"])
def test_a_slug_never_leaves_its_folder(name: str) -> None:
    assert Path("policy", slug(name)).resolve().parent == Path("policy").resolve()


# --- what the ranking says ---------------------------------------------------------------------------------------


def test_every_view_is_the_ranking_of_its_results(site: Path, db: str) -> None:
    views = Page(site / "index.html").data["index"]["views"]
    count = 0
    with Store.open(db) as store:
        for kv_mode, models in views.items():
            results = store.newest(kv_mode=kv_mode).results
            for model, tasks in models.items():
                for task, view in tasks.items():
                    assert_same(view, [s for s in results if _in(s, model, task)], store)
                    count += 1
    assert count == 3 * 3 + 2 + 2 * 2  # full: all, tiny and the other on all and each task; copy: tiny on lists alone


def _in(stored: StoredResult, model: str, task: str) -> bool:
    return model in ("", stored.evaluation.model) and task in ("", stored.evaluation.task)


def assert_same(view: Any, results: list[StoredResult], store: Store) -> None:
    for by in ("layers", "compute", "quality"):
        board = rank(results, by, store)
        assert view["by"][by]["order"] == [[row.policy, row.rank] for row in board.ranking]
        assert view["by"][by]["summary"] == board.summary
        assert view["by"][by]["notes"][: len(board.notes)] == board.notes
        for ranked in board.ranking:
            shown = view["rows"][ranked.policy]["cells"][2]
            expected = ranked.ee_score_layers
            assert shown.get("sort") == (None if expected is None else pytest.approx(expected, abs=1e-3))


def test_controls_and_bounds_are_marked_and_not_ranked(site: Path) -> None:
    view = Page(site / "index.html").data["index"]["views"]["full"][""][""]
    ranks = dict(view["by"]["layers"]["order"])
    for policy, shown in view["rows"].items():
        assert (ranks[policy] is None) == (shown["kind"] != "policy")
        assert shown["cells"][0].get("kind", "policy") == shown["kind"]


def test_an_interval_stands_below_its_score() -> None:
    (row,) = rank([stored()]).ranking
    row = replace(row, ee_score_layers=12.34, interval_layers=(-1.0, 2.26), ee_score_compute=-4.56)
    row = replace(row, interval_compute=(-4.5, -4.5), interval_quality=(-7e14, 8e14))
    layers, compute, quality = scores(row)
    assert (layers.text, layers.note) == ("12.3", "-1.0 to 2.3")
    assert (compute.text, compute.note) == ("-4.6", "")
    assert (quality.text, quality.note, quality.sort) == ("–", "", None)
    assert interval((-7e14, 8e14)) == "< -1000 to > 1000"


def test_only_some_models_and_tasks_can_be_shown(db: str, tmp_path: Path) -> None:
    assert invoke("build", str(tmp_path / "site"), "--db", db, "-m", "tiny", "-t", "facts").exit_code == 0
    made = {path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*.html")}
    assert {path for path in made if path.startswith(("model", "task/"))} == {
        "models.html",
        "model/tiny.html",
        "task/facts.html",
    }
    assert list(Page(tmp_path / "site/index.html").data["index"]["views"]["full"]) == [""]


def test_of_many_tasks_a_model_page_draws_the_mean_and_lists_each(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(db) as store:
        material = gather(store, ["tiny"], TASKS)

    def lines_and_columns() -> tuple[list[str], list[str]]:
        (mode,) = model_context("tiny", material, Boards(material), {})["modes"]
        drawn = {row["name"] for row in mode["lens"]["datasets"]["lens"]}
        return sorted(drawn), [header.label for header in mode["lens_table"].headers]

    assert lines_and_columns() == (sorted(TASKS), ["layer", *sorted(TASKS)])
    monkeypatch.setattr(about_model, "MOST_LINES", 1)
    mean = f"mean over {len(TASKS)} tasks"
    assert lines_and_columns() == ([mean], ["layer", mean, *sorted(TASKS)])


# --- KV modes ----------------------------------------------------------------------------------------------------


def decoded(
    path: Path,
    modes: dict[KvMode, Summary],
    model: str = "tiny",
    policy: str = "entropy",
    documents: dict[KvMode, str] | None = None,
) -> str:
    """A database with a setting on a generation task under these KV modes, a run each."""
    with Store.open(str(path)) as store:
        for mode, figures in modes.items():
            run = store.begin_run(provenance(command=f"eebench run -m tiny -t lists --limit 4 --kv-mode {mode}"))
            about = evaluation(model=model, task="lists", kv_mode=mode, coin_end={})
            about = replace(about, documents_hash=(documents or {}).get(mode, about.documents_hash))
            store.add_result(store.add_evaluation(run, about), result(policy, summaries={"all": figures}))
            store.finish_run(run, "finished")
    return str(path)


def side_by_side(db: str) -> dict[str, Any]:
    with Store.open(db) as store:
        return kv_modes_context(gather(store, (), ()))


def test_kv_modes_stand_side_by_side_with_their_differences_to_full(tmp_path: Path) -> None:
    modes: dict[KvMode, Summary] = {
        "full": summary(quality=0.5, fidelity=0.9),
        "propagate": summary(quality=0.55, fidelity=0.9),
        "copy": summary(quality=0.25, fidelity=0.75),
    }
    said = side_by_side(decoded(tmp_path / "results.db", modes))
    assert [(header.label, header.group) for header in said["table"].headers[3:-1]] == [
        ("full", "quality"),
        ("propagate", "quality"),
        ("copy", "quality"),
        ("propagate", "quality to full"),
        ("copy", "quality to full"),
        ("full", "fidelity"),
        ("propagate", "fidelity"),
        ("copy", "fidelity"),
        ("propagate", "fidelity to full"),
        ("copy", "fidelity to full"),
    ]
    (row,) = said["table"].rows
    assert [cell.text for cell in row.cells[:-1]] == [
        *("entropy:threshold=0.5", "tiny", "lists"),
        *("0.500", "0.550", "0.250", "+0.050", "-0.250"),
        *("90.0%", "90.0%", "75.0%", "0.0%", "-15.0%"),
    ]
    assert [cell.sort for cell in row.cells[3:8]] == [0.5, 0.55, 0.25, pytest.approx(0.05), -0.25]
    assert [line.count("--limit 4") for line in row.cells[-1].command.splitlines()] == [1, 1, 1]
    assert [mode for mode, _ in said["meanings"]] == list(modes)
    assert "copy against full, mean over 1 setting: quality -0.250, fidelity -15.0%." in said["notes"]


def test_every_kv_mode_has_a_meaning() -> None:
    assert list(MEANINGS) == list(KV_MODES)


def test_without_full_modes_have_no_differences(tmp_path: Path) -> None:
    said = side_by_side(decoded(tmp_path / "results.db", {"propagate": summary(), "copy": summary()}))
    assert [header.group for header in said["table"].headers[3:-1]] == ["quality"] * 2 + ["fidelity"] * 2


def test_the_page_of_kv_modes_is_linked_from_all(site: Path) -> None:
    for path, page in pages(site).items():
        assert "../" * path.count("/") + "kv-modes.html" in page.values("href"), path
    page = Page(site / "kv-modes.html")
    assert all("--kv-mode copy" in command for command in page.values("data-command"))
    assert [link["href"] for link in page.named("a") if "aria-current" in link] == ["kv-modes.html"]
    assert "the exit layer's K/V, copied upward" in "".join(page.text)


@pytest.mark.parametrize(
    ("modes", "documents"),
    [
        ({"full": summary()}, {}),
        ({"copy": summary()}, {}),
        ({"full": summary(), "copy": summary()}, {"copy": "other"}),
    ],
)
def test_there_is_no_page_of_kv_modes_where_nothing_can_be_compared(
    tmp_path: Path, modes: dict[KvMode, Summary], documents: dict[KvMode, str]
) -> None:
    db = decoded(tmp_path / "results.db", modes, documents=documents)
    assert invoke("build", str(tmp_path / "site"), "--db", db).exit_code == 0
    for path, page in pages(tmp_path / "site").items():
        assert not [link for link in page.values("href") if "kv-modes" in link], path
    assert not (tmp_path / "site/kv-modes.html").exists()


def test_names_are_text_on_the_page_of_kv_modes(tmp_path: Path) -> None:
    db = decoded(tmp_path / "results.db", {"full": summary(), "copy": summary()}, CLOSING, HOSTILE)
    assert invoke("build", str(tmp_path / "site"), "--db", db).exit_code == 0
    page = Page(tmp_path / "site/kv-modes.html")
    assert not page.named("img")
    assert HOSTILE in "".join(page.text)
    assert CLOSING in "".join(page.text)
    assert "<script>alert" not in (tmp_path / "site/kv-modes.html").read_text()


def test_what_is_compared_on_older_documents_leads_nowhere_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    decoded(path, {"full": summary(), "copy": summary()}, policy="patience")
    newer: dict[KvMode, str] = {"full": "newer full", "copy": "newer copy"}
    db = decoded(path, {"full": summary(), "copy": summary()}, documents=newer)
    assert invoke("build", str(tmp_path / "site"), "--db", db).exit_code == 0
    page = Page(tmp_path / "site/kv-modes.html")
    assert all((tmp_path / "site" / link).is_file() for link in page.values("href") if not link.startswith("#"))
    assert "patience:threshold=0.5" in "".join(page.text)
    assert not [link for link in page.values("href") if link.startswith("policy/")]
    assert "of which 1 are shown here" in " ".join("".join(Page(tmp_path / "site/run/1.html").text).split())


# --- commands ----------------------------------------------------------------------------------------------------


def ran(text: str) -> dict[int, Run]:
    return {1: Run(1, "finished", "2026-01-02", None, provenance(command=text), 1)}


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("eebench run -m a,b -t c --limit 40 --db x.db", ["--limit", "40", "--dtype", "float32"]),
        ("eebench run --limit=5 --seed 7 -p all", ["--limit", "5", "--seed", "7", "--dtype", "float32"]),
        ("eebench run --dtype bfloat16 --half-layers --device cuda", ["--dtype", "bfloat16", "--half-layers"]),
        ("eebench run --quantize 4bit", ["--quantize", "4bit"]),
        ("eebench run 'never closed", ["--dtype", "float32"]),
        ("rm -rf /; curl example.org --limit", ["--dtype", "float32"]),
    ],
)
def test_a_command_keeps_what_changes_the_numbers(text: str, options: list[str]) -> None:
    said = command([stored()], ran(text))
    expected = ["eebench", "run", "-p", "entropy:threshold=0.5", "-m", "tiny", "-t", "agreement", *options]
    assert shlex.split(said) == expected
    run_command.make_context("run", shlex.split(said)[2:])


def test_a_default_sweep_has_the_name_of_its_policy() -> None:
    swept = [stored(policy="static", parameters=f"layer={layer}", kind="control") for layer in range(1, 7)]
    assert "-p static " in command(swept, {})
    assert "-p static:layer=1,static:layer=2 " in command(swept[:2], {})


def test_what_was_measured_differently_has_a_command_of_its_own() -> None:
    runs = ran("eebench run --limit 4") | {2: Run(2, "finished", "", None, provenance(command="eebench run"), 1)}
    other = stored(2, of=evaluation(task="facts"))
    both = [stored(), StoredResult(2, 2, 2, "", other.evaluation, other.result)]
    assert [line.count("--limit 4") for line in command(both, runs).splitlines()] == [1, 0]
    assert "-t agreement,facts" in command([stored(), other], ran("eebench run"))


def test_models_that_were_measured_alike_share_a_command() -> None:
    both = [stored(), stored(2, of=evaluation(model="other"))]
    assert "-m other,tiny" in command(both, ran("eebench run"))


def test_a_command_names_the_kv_mode_and_the_file_of_a_policy() -> None:
    copied = stored(of=evaluation(kv_mode="copy"))
    assert "--kv-mode copy" in command([copied], ran("eebench run --kv-mode full,copy"))
    own = stored(policy="mine", builtin=False)
    assert "-p ./my_policy.py:Mine " in command([own], ran("eebench run -p ./my_policy.py:Mine"))
    assert "-p mine:threshold=0.5 " in command([own], ran("eebench run"))  # of a package that is installed


def test_a_command_is_one_command_whatever_it_was_called() -> None:
    evil = stored(policy="x; rm -rf ~", parameters="", of=evaluation(model="$(reboot)", task="a b"))
    said = shlex.split(command([evil], {}))
    assert said[:8] == ["eebench", "run", "-p", "x; rm -rf ~", "-m", "$(reboot)", "-t", "a b"]
    assert "'$(reboot)'" in command([evil], {})


# --- the folder --------------------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_database_gives_the_same_bytes(site: Path, db: str, tmp_path: Path) -> None:
    for seed in ("1", "2"):
        build = ["-c", "from eebench.cli import main; main()", "site", "build", str(tmp_path / seed), "--db", db]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, *build], check=True, env=environment, capture_output=True)
        assert contents(tmp_path / seed) == contents(site)


def test_a_site_is_replaced_as_a_whole(site: Path, db: str, tmp_path: Path) -> None:
    out = tmp_path / "site"
    out.mkdir()  # an empty folder is no one's
    assert invoke("build", str(out), "--db", db, "-m", "tiny").exit_code == 0
    assert not (out / f"model/{slug(CLOSING)}.html").exists()
    assert invoke("build", str(out), "--db", db).exit_code == 0
    assert contents(out) == contents(site)
    assert list(tmp_path.iterdir()) == [out]


def test_a_build_that_fails_leaves_the_old_site(tmp_path: Path) -> None:
    out = tmp_path / "site"
    write(out, [("index.html", b"old")])

    def half() -> Iterator[tuple[str, bytes]]:
        yield "index.html", b"new"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write(out, half())
    assert (out / "index.html").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]


def _file(out: Path) -> None:
    out.write_text("mine")


def _folder(out: Path) -> None:
    out.mkdir()
    (out / "index.html").write_text("mine")


def _with_another(out: Path) -> None:
    write(out, [("index.html", b"")])
    (out / "CNAME").write_text("mine")


def _damaged(out: Path) -> None:
    _folder(out)
    (out / MARKER).write_text("{")


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (_file, "is a file: give the name of a folder for the site."),
        (_folder, "is not a site that EEBench made, and is left alone: give the name of a new folder."),
        (_damaged, "is not a site that EEBench made, and is left alone: give the name of a new folder."),
        (_with_another, "holds CNAME, which is no part of the site: move it away, or give a new folder."),
    ],
)
def test_nothing_else_is_written_over(db: str, tmp_path: Path, prepare: Callable[[Path], None], said: str) -> None:
    out = tmp_path / "out"
    prepare(out)
    before = contents(tmp_path)
    answer = invoke("build", str(out), "--db", db)
    assert answer.exit_code == 2
    assert answer.stderr == f"Error: {out} {said}\n"
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--db", "none.db"], "no results yet in none.db: start with `eebench run`"),
        (["-m", "tony"], "unknown model 'tony': did you mean tiny?"),
        (["-t", "fact"], "unknown task 'fact': did you mean facts?"),
    ],
)
def test_bad_input_is_one_sentence(db: str, tmp_path: Path, arguments: list[str], said: str) -> None:
    answer = invoke("build", str(tmp_path / "site"), "--db", db, *arguments)
    assert answer.exit_code == 2
    assert answer.stderr.startswith(f"Error: {said}")
    assert answer.stderr.count("\n") == 1
    assert not (tmp_path / "site").exists()


def test_a_missing_folder_is_one_sentence(db: str, tmp_path: Path) -> None:
    answer = invoke("build", str(tmp_path / "none/site"), "--db", db)
    assert (answer.exit_code, answer.stderr.count("\n")) == (2, 1)
    assert f"there is no folder {tmp_path / 'none'}." in answer.stderr


@pytest.mark.parametrize("lacking", ["altair", "vl_convert", "jinja2"])
def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch, lacking: str) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == lacking else object())
    answer = invoke("build", "site")
    assert answer.exit_code == 2
    assert answer.stderr == (
        "Error: figures and pages need altair, vl-convert and jinja2: pip install 'eebench[plots]'.\n"
    )


def test_help_and_building_import_nothing_heavy(db: str, tmp_path: Path) -> None:
    script = (
        "import sys; from eebench.cli import main; main(sys.argv[1:], standalone_mode=False);"
        "print(sorted({'torch', 'lm_eval', 'transformers', 'datasets', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    for words in (["--help"], ["site", "--help"], ["site", "build", str(tmp_path / "site"), "--db", db]):
        said = subprocess.run([sys.executable, "-c", script, *words], check=True, capture_output=True, text=True)
        assert said.stdout.splitlines()[-1] == "[]"


# --- a look at it ------------------------------------------------------------------------------------------------


def test_a_site_can_be_served_to_this_machine(site: Path) -> None:
    with server(site, 0) as serving:
        assert serving.server_address[0] == "127.0.0.1"
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        with urlopen(f"http://127.0.0.1:{serving.server_port}/index.html") as answer:
            assert answer.read() == (site / "index.html").read_bytes()
        serving.shutdown()


def test_only_a_site_is_served_and_only_on_a_free_port(site: Path, tmp_path: Path) -> None:
    answer = invoke("serve", str(tmp_path))
    assert answer.exit_code == 2
    assert answer.stderr == f"Error: there is no site in {tmp_path}: `eebench site build {tmp_path}` makes one.\n"
    with server(site, 0) as serving:
        answer = invoke("serve", str(site), "--port", str(serving.server_port))
    assert answer.exit_code == 2
    assert "give another --port" in answer.stderr


def test_a_copied_site_is_still_a_site(site: Path, db: str, tmp_path: Path) -> None:
    shutil.copytree(site, tmp_path / "copy")
    assert invoke("build", str(tmp_path / "copy"), "--db", db).exit_code == 0
