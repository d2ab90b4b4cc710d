"""The leaderboard reads well in a terminal, and other programs can read it too."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from eebench.errors import EEBenchError
from eebench.ranking.board import Board, RankingRow
from eebench.records.results import MetricValue, StoredResult
from eebench.reports.by_kv_mode import kv_mode_records
from eebench.reports.formats import decimal, percent, quality
from eebench.reports.terminal import show, show_kv_modes
from eebench.reports.text import FORMATS, to_csv, to_json, to_latex, to_markdown
from tests.records import evaluation, stored, summary, timed, timing


def row(rank: int | None, policy: str, **changes: Any) -> RankingRow:
    """A row of the ranking."""
    made: dict[str, Any] = {
        "rank": rank,
        "policy": policy,
        "kind": "policy",
        "bound": changes.get("kind") == "bound",
        "ee_score_layers": 12.34,
        "ee_score_compute": -4.56,
        "ee_score_quality": None,
        "skill_layers": 0.01,
        "n_tasks": 1,
        "n_models": 1,
        "setting_99": None,
        "layers_saved_99": 0.0534,
        "compute_saved_99": -3.521,
        "fidelity_99": 0.99149,
        "retention_99": 1.004,
    }
    return RankingRow(**{**made, **changes})


def board(tasks: tuple[str, ...] = ("agreement", "facts")) -> Board:
    """Two policies, a control and a bound, on one model."""
    settings = [
        ("patience", "patience=4,min_layer=2", "policy", summary(layers_saved=0.5, mean_exit_layer=3.0)),
        ("entropy", "threshold=0.5", "policy", summary(layers_saved=0.75, mean_exit_layer=1.5)),
        ("entropy", "threshold=0.1", "policy", summary()),
        ("full", "", "control", summary(layers_saved=0.0, compute_saved=-0.0, mean_exit_layer=6.0, fidelity=1.0)),
        ("oracle", "", "bound", summary(retention=None)),
    ]
    results = [
        stored(of=evaluation(task=task), policy=policy, parameters=parameters, kind=kind, summaries={"all": figures})
        for task in tasks
        for policy, parameters, kind, figures in settings
    ]
    setting = "entropy:threshold=0.1" if len(tasks) == 1 else None
    ranking = [
        row(1, "entropy", setting_99=setting, ee_score_quality=-0.04),
        row(2, "patience", ee_score_layers=-1.25),
        row(None, "full", kind="control", ee_score_layers=0.0, ee_score_compute=0.0),
        row(None, "oracle", kind="bound", ee_score_layers=100.0, ee_score_compute=100.0, retention_99=None),
    ]
    return Board(ranking, results, ["No policy beats the coin."], ["facts is left out of the quality score."])


def printed(board: Board, width: int, results: bool = False) -> str:
    """What a terminal of this width shows, without the blanks at the ends of lines."""
    console = Console(width=width, file=StringIO(), color_system=None)
    with console.capture() as capture:
        show(board, console, results)
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


# --- the terminal ------------------------------------------------------------------------------------------------

RANKING_100 = """\
Exit policies ranked by layers saved, tiny on 2 tasks, 8 documents

                   ───── EE-score by ──────    saved at 99%   ─── kept at 99% ───
rank     policy    layers  compute  quality  layers  compute  fidelity  retention
1        entropy     12.3     -4.6      0.0    5.3%  -352.1%     99.1%     100.4%
2        patience    -1.2     -4.6        –    5.3%  -352.1%     99.1%     100.4%

control  full         0.0      0.0        –    5.3%  -352.1%     99.1%     100.4%
bound    oracle     100.0    100.0        –    5.3%  -352.1%     99.1%          –

EE-score: 0 is a coin tossed at every position, 100 is the oracle; by layers saved, by compute
saved, and by the quality that is retained.
at 99%: for the setting picked at a fidelity of 99% on calibration documents, as measured on test
documents.
saved: share of the layers, and of the compute with lens reads included, that the full model would
have used.
fidelity: share of positions at which the exit layer's top-1 is the full model's.
retention: quality above chance, as a share of the full model's.
control, bound: shown for comparison and never ranked; a bound sees the layers to come.

No policy beats the coin.

facts is left out of the quality score.
"""

RANKING_80 = """\
Exit policies ranked by layers saved, tiny on 2 tasks, 8 documents

                 ──── EE-score by ─────  saved at 99%  ── kept at 99% ───
rank    policy   layers compute quality layers compute fidelity retention
1       entropy    12.3    -4.6     0.0   5.3% -352.1%    99.1%    100.4%
2       patience   -1.2    -4.6       –   5.3% -352.1%    99.1%    100.4%

control full        0.0     0.0       –   5.3% -352.1%    99.1%    100.4%
bound   oracle    100.0   100.0       –   5.3% -352.1%    99.1%         –

EE-score: 0 is a coin tossed at every position, 100 is the oracle; by layers
saved, by compute saved, and by the quality that is retained.
at 99%: for the setting picked at a fidelity of 99% on calibration documents, as
measured on test documents.
saved: share of the layers, and of the compute with lens reads included, that
the full model would have used.
fidelity: share of positions at which the exit layer's top-1 is the full
model's.
retention: quality above chance, as a share of the full model's.
control, bound: shown for comparison and never ranked; a bound sees the layers
to come.

No policy beats the coin.

facts is left out of the quality score.
"""

RESULTS_80 = """\
tiny on agreement: acc 0.562 for the full model, 0.250 for guessing; 6 layers, 4
documents, 6 positions

                                    ────── kept ────── ─── saved ──── ── mean ──
setting                     quality retention fidelity layers compute exit reads
entropy
  threshold=0.1       0.500 ± 0.250     80.0%    87.5%  25.0%  -12.5%  4.5   4.5
  threshold=0.5       0.500 ± 0.250     80.0%    87.5%  75.0%  -12.5%  1.5   4.5
patience
  patience=4,         0.500 ± 0.250     80.0%    87.5%  50.0%  -12.5%  3.0   4.5
  min_layer=2
full (control)
  (no parameters)     0.500 ± 0.250     80.0%   100.0%   0.0%    0.0%  6.0   4.5
oracle (bound)
  (no parameters)     0.500 ± 0.250         –    87.5%  25.0%  -12.5%  4.5   4.5

All documents. quality: the task's metric ± its standard error. retention:
quality above chance, as a share of the full model's.
fidelity: share of positions at which the exit layer's top-1 is the full
model's.
saved: share of the layers, and of the compute with lens reads included, that
the full model would have used.
exit, reads: the layer a position stops at, counted from 1, and how often it
reads the head, on average.

facts is left out of the quality score.
"""


def test_the_ranking_in_a_terminal_of_100_columns() -> None:
    assert printed(board(), 100) == RANKING_100


def test_the_ranking_in_a_terminal_of_80_columns() -> None:
    assert printed(board(), 80) == RANKING_80


def test_results_stand_under_their_policies_from_the_least_saved_to_the_most() -> None:
    assert printed(board(("agreement",)), 80, results=True) == RESULTS_80


def test_one_model_on_one_task_shows_its_settings_the_ranking_and_the_settings_picked() -> None:
    text = printed(board(("agreement",)), 100)
    headings = ["tiny on agreement: acc", "Exit policies ranked by layers saved, tiny on agreement", "Settings picked"]
    assert [text.index(heading) for heading in headings] == sorted(text.index(heading) for heading in headings)
    assert "Settings picked at 99%: entropy:threshold=0.1.\n" in text


def test_results_of_several_tasks_are_a_table_each() -> None:
    text = printed(board(), 100, results=True)
    assert text.count("tiny on agreement: acc") == text.count("tiny on facts: acc") == 1
    assert "ranked by" not in text


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    wide = board(("agreement",))
    wide.results.append(stored(policy="my-own-policy-of-note", parameters="a_first_parameter=1.5,a_second_one=2.25"))
    wide.ranking.append(row(3, "my-own-policy-of-note"))
    lines = printed(wide, width).splitlines()
    assert max(len(line) for line in lines) <= width


def test_a_name_that_looks_like_markup_is_shown_as_it_is() -> None:
    odd = Board([row(1, "[bold]x[/bold]")], [stored(policy="[bold]x[/bold]")])
    assert "[bold]x[/bold]" in printed(odd, 100)


def test_numbers_are_rounded_to_what_they_are_good_for() -> None:
    assert [percent(value) for value in (0.12345, -0.0001, 1.0, None)] == ["12.3%", "0.0%", "100.0%", "–"]
    assert [decimal(value) for value in (12.34, -0.04, None)] == ["12.3", "0.0", "–"]
    assert [quality(value) for value in (0.52349, 1234.56, 1.5e9, None)] == ["0.523", "1235", "1.5e+09", "–"]


# --- generation --------------------------------------------------------------------------------------------------

WROTE = {"answer_length": 12.5, "common_prefix": 3.0, "departs": 0.25, "repetition": 0.125}


def writing_board() -> Board:
    """One setting on a generation task."""
    made = stored(summaries={"all": summary(**WROTE)})
    return Board([row(1, "entropy")], [made])


def test_results_in_generation_say_how_long_answers_are_and_how_many_depart_and_repeat() -> None:
    text = printed(writing_board(), 120, results=True)
    assert "tokens  depart  repeat" in text
    assert "12.5   25.0%   12.5%" in text
    assert "answers: their mean length in tokens, the share of them that depart" in text
    assert "depart" not in printed(board(), 120, results=True)


def test_a_narrow_terminal_spares_columns_rather_than_breaking_numbers_or_running_over_its_edge() -> None:
    made = writing_board()
    table, _, legend = printed(made, 80, results=True).partition("No room here for ")
    assert max(map(len, table.splitlines())) <= 80
    assert "repeat" in table
    assert legend.startswith("retention, reads: --results --format csv has them.\n")
    made.results.append(stored(parameters="threshold=0.0012345", summaries={"all": summary(**WROTE)}))
    assert "  threshold=0.0012345 " in printed(made, 80, results=True)


def test_short_names_take_no_more_room_than_they_need() -> None:
    short = Board([row(1, "ab"), row(None, "full", kind="control")], [stored(policy="ab")])
    lines = printed(short, 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert "rank     policy  layers" in "\n".join(lines)


def test_records_of_results_hold_the_figures_of_answers() -> None:
    (made,) = json.loads(to_json(writing_board()))["results"]
    assert {name: made[name] for name in WROTE} == WROTE
    assert json.loads(to_json(board()))["results"][0]["answer_length"] is None
    assert "answers: repeat |" in to_markdown(writing_board(), results=True)


# --- measured time -----------------------------------------------------------------------------------------------

TIMINGS = timed(
    timing("full", seconds=(4.0, 4.0, 4.0), mean_exit_layer=6.0, flops=3e9, departs=0.0),
    timing(seconds=(2.0, 2.5, 1.6), kv_mode="truncate"),
    timing(seconds=(3.9, 4.1, 3.95), kv_mode="copy"),
    timing("confidence:threshold=0.9", seconds=(8.0, 8.0, 10.0), flops=6e9),
    timing("static:layer=5", seconds=(4.4, 4.2, 4.5), kv_mode="verify", draft_length=3),
)


def test_measured_time_stands_under_the_ranking_and_says_how_sure_it_is() -> None:
    made = replace(board(), timings=TIMINGS)
    text = printed(made, 120)
    assert text.index("No policy beats the coin.") < text.index("Measured time, tiny (float32) on A processor")
    assert text.index("Measured time") < text.index("facts is left out of the quality score.")
    for line in (
        "static:layer=3\n  truncate  20.0 (16.0–25.0)    2.00 (1.60–2.50)       1.50   3.0   250 ms   50.0%",
        "  copy      10.1 (9.76–10.3)  ≈ 1.01 (0.98–1.03)       1.50   3.0   250 ms   50.0%",
        "  verify 3",
        "Faster than the full model, the ratio is the speed-up: static:layer=3 under truncate at 2.00×.",
        "Slower than the full model: static:layer=5 under verify at 0.91×, confidence:threshold=0.9 at 0.50×.",
        "Inside the noise, neither faster nor slower: static:layer=3 under copy at 1.01×.",
        "once in 4 times, with 3 rounds",
    ):
        assert line in text
    assert "Measured time" not in printed(board(), 120)


@pytest.mark.parametrize("width", [80, 100, 120])
def test_measured_time_fits_the_terminal(width: int) -> None:
    lines = printed(replace(board(), timings=TIMINGS), width).splitlines()
    assert max(map(len, lines)) <= width


def test_each_model_task_and_device_has_a_table_of_its_own() -> None:
    elsewhere = timed(timing(), timing(device_name="A GPU"), timing(task="edits"), timing(model="small"))
    assert printed(replace(board(), timings=elsewhere), 100).count("Measured time, ") == 4


def test_the_ratio_is_that_of_each_round_and_its_median_not_a_ratio_of_medians() -> None:
    made = timing(seconds=(1.0, 2.0, 6.0), full_decode_seconds=[4.0, 2.0, 3.0])
    assert made.ratios == [4.0, 1.0, 0.5]
    assert made.ratio == 1.0
    assert made.inside_noise


def test_timings_are_in_json_and_markdown_and_never_in_the_ranking() -> None:
    made = replace(board(), timings=TIMINGS)
    records = json.loads(to_json(made))["timings"]
    names = "model task device_name setting kv_mode tokens_per_second ratio ratio_min ratio_max predicted_ratio prefill"
    assert all(set(names.split()) <= set(record) for record in records)
    assert [record["inside_noise"] for record in records] == [False, False, True, False, False]
    assert (records[1]["ratio"], records[1]["ratio_min"], records[1]["ratio_max"]) == (2.0, 1.6, 2.5)
    assert json.loads(to_json(made))["ranking"] == json.loads(to_json(board()))["ranking"]
    assert "\n### Measured time\n\n| model | task | device | setting |" in to_markdown(made)
    assert to_csv(made) == to_csv(board())
    assert to_latex(made) == to_latex(board())


def test_choosing_policies_chooses_their_timings() -> None:
    made = replace(board(), timings=timed(timing("full"), timing("entropy:threshold=0.5")))
    assert [stored.timing.policy for stored in made.only(["entropy"]).timings] == ["entropy"]


# --- KV modes ----------------------------------------------------------------------------------------------------


def kv_results() -> list[StoredResult]:
    """Two settings under two modes, a third under one alone."""
    figures = {
        "full": summary(quality=0.5, fidelity=0.9, answer_length=10.0, departs=0.25, repetition=0.0),
        "copy": summary(quality=0.25, fidelity=0.75, answer_length=14.0, departs=1.0, repetition=0.5),
        "propagate": summary(quality=0.5, fidelity=0.9, answer_length=9.0, departs=0.25, repetition=0.0),
    }
    pairs = [(p, m) for p in ("threshold=0.1", "threshold=0.5") for m in ("copy", "full")]
    pairs += [("threshold=0.5", "propagate"), ("threshold=0.9", "full")]
    return [
        stored(of=evaluation(kv_mode=mode), parameters=parameters, summaries={"all": figures[mode]})
        for parameters, mode in pairs
    ]


def test_kv_modes_stand_under_their_setting_with_what_they_change() -> None:
    records = kv_mode_records(kv_results())
    assert [(r["setting"], r["kv_mode"]) for r in records] == [
        ("entropy:threshold=0.1", "full"),
        ("entropy:threshold=0.1", "copy"),
        ("entropy:threshold=0.5", "full"),
        ("entropy:threshold=0.5", "propagate"),
        ("entropy:threshold=0.5", "copy"),
    ]
    copied = records[1]
    assert (copied["quality_to_full"], copied["answer_length_to_full"]) == (-0.25, 4.0)
    assert copied["fidelity_to_full"] == pytest.approx(-0.15)
    assert records[0]["quality_to_full"] is None


@pytest.mark.parametrize("width", [80, 120])
def test_kv_modes_in_a_terminal(width: int) -> None:
    console = Console(width=width, file=StringIO(), color_system=None)
    with console.capture() as capture:
        show_kv_modes(kv_mode_records(kv_results()), console)
    text = capture.get()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "KV modes, tiny on agreement: 6 layers, 4 documents" in text
    words = " ".join(text.split())
    assert "entropy:threshold=0.1 full 0.500 – 90.0% – 10.0 – 25.0% 0.0%" in words
    assert "copy 0.250 -0.250 75.0% -15.0% 14.0 +4.0 100.0% 50.0%" in words
    assert "copy against full, mean over 2 settings: quality -0.250, fidelity -15.0%, length +4.0." in words
    assert "propagate against full, mean over 1 setting: quality 0.000, fidelity 0.0%, length -1.0." in words


def test_without_full_there_is_nothing_to_take_a_difference_to() -> None:
    modes = [stored for stored in kv_results() if stored.evaluation.kv_mode != "full"]
    records = kv_mode_records(modes)
    assert [r["kv_mode"] for r in records] == ["propagate", "copy"]
    assert {r["fidelity_to_full"] for r in records} == {None}


# --- formats for other programs ----------------------------------------------------------------------------------


def test_json_has_the_ranking_and_the_results_under_the_promised_names() -> None:
    made = json.loads(to_json(board()))
    ranking = "rank policy ee_score_layers ee_score_compute ee_score_quality skill_layers bound n_tasks n_models"
    results = (
        "model task policy params kv_mode metric quality quality_stderr quality_full chance retention num_layers "
        "mean_exit_layer layers_saved compute_saved lens_reads fidelity n_docs n_positions bound"
    )
    assert list(made) == ["ranking", "results", "timings"]
    assert all(set(ranking.split()) <= set(record) for record in made["ranking"])
    assert all(set(results.split()) <= set(record) for record in made["results"])
    assert [record["bound"] for record in made["ranking"]] == [False, False, False, True]
    assert made["results"][0]["params"] == {"patience": 4, "min_layer": 2}
    assert made["results"][0]["quality_stderr"] == 0.25


def test_json_is_strict_where_a_number_is_not_finite() -> None:
    odd = stored(
        summaries={"all": summary(quality=float("inf"))}, metrics={"acc,none": MetricValue(float("nan"), None)}
    )

    def refuse(word: str) -> None:
        raise AssertionError(word)

    (record,) = json.loads(to_json(Board([], [odd])), parse_constant=refuse)["results"]
    assert record["quality"] is None
    assert record["metrics"] == {"acc,none": {"value": None, "stderr": None}}


def test_csv_holds_the_numbers_of_the_json_report() -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(board()))))
    assert [line["policy"] for line in lines] == ["entropy", "patience", "full", "oracle"]
    assert lines[1]["ee_score_layers"] == "-1.25"
    assert (lines[2]["rank"], lines[2]["bound"], lines[3]["bound"]) == ("", "false", "true")


def test_csv_of_results_keeps_lists_and_mappings_as_json() -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(board(), results=True))))
    assert len(lines) == 10
    assert lines[0]["setting"] == "patience:patience=4,min_layer=2"
    assert json.loads(lines[0]["exit_histogram"]) == [1, 0, 1, 1, 0, 3]
    assert json.loads(lines[0]["params"]) == {"patience": 4, "min_layer": 2}


def test_markdown_is_a_table_with_its_sentences_below() -> None:
    made = Board([row(1, "entropy")], [], ["A <b>summary</b>."], ["A note."])
    assert to_markdown(made) == (
        "| rank | policy | EE-score by: layers | EE-score by: compute | EE-score by: quality | saved at 99%: layers "
        "| saved at 99%: compute | kept at 99%: fidelity | kept at 99%: retention |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| 1 | entropy | 12.3 | -4.6 | – | 5.3% | -352.1% | 99.1% | 100.4% |\n"
        "\nA &lt;b&gt;summary&lt;/b&gt;.\n"
        "\nA note.\n"
    )


@pytest.mark.parametrize("name", ["a|b", "<script>", "*a*", "`a`", "_a_", "a_b", "[a](b)", "a\\", "~~a~~", "a &lt; b"])
def test_markdown_shows_any_name_as_it_is(name: str) -> None:
    html = MarkdownIt().enable(["table", "strikethrough"]).render(to_markdown(Board([row(1, name)], [])))
    shown = name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert f"<td>{shown}</td>" in html


def test_latex_is_a_booktabs_table() -> None:
    made = Board([row(1, "entropy"), row(None, "full", kind="control")], [], ["Saves 5%."])
    assert to_latex(made) == (
        "% Saves 5%.\n"
        "\\begin{tabular}{llrrrrrrr}\n"
        "\\toprule\n"
        "\\multicolumn{2}{c}{} & \\multicolumn{3}{c}{EE-score by} & \\multicolumn{2}{c}{saved at 99\\%} "
        "& \\multicolumn{2}{c}{kept at 99\\%} \\\\\n"
        "\\cmidrule(lr){3-5} \\cmidrule(lr){6-7} \\cmidrule(lr){8-9}\n"
        "rank & policy & layers & compute & quality & layers & compute & fidelity & retention \\\\\n"
        "\\midrule\n"
        "1 & entropy & 12.3 & $-$4.6 & -- & 5.3\\% & $-$352.1\\% & 99.1\\% & 100.4\\% \\\\\n"
        "\\midrule\n"
        "control & full & 12.3 & $-$4.6 & -- & 5.3\\% & $-$352.1\\% & 99.1\\% & 100.4\\% \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
    )


def test_latex_escapes_what_it_would_take_for_a_command() -> None:
    made = to_latex(Board([row(1, r"a_b & 5% $x$ #1 {y} \z ~ ^ <w>")], []))
    assert (
        r"1 & a\_b \& 5\% \$x\$ \#1 \{y\} \textbackslash{}z \textasciitilde{} \textasciicircum{} "
        r"\textless{}w\textgreater{} & 12.3"
    ) in made


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_can_show_an_empty_board(form: str) -> None:
    for results in (False, True):
        assert isinstance(FORMATS[form](Board([], []), results), str)


@pytest.mark.parametrize("form", ["markdown", "csv", "latex"])
def test_every_format_has_a_line_per_result_on_request(form: str) -> None:
    made = FORMATS[form](board(), True)
    assert made.count("patience:patience=4,min") == 2
    assert "No policy beats the coin" not in made


# --- choosing policies -------------------------------------------------------------------------------------------


def test_choosing_policies_keeps_their_ranks_among_all() -> None:
    chosen = board().only(["patience"])
    assert [(line.policy, line.rank) for line in chosen.ranking] == [("patience", 2)]
    assert {stored.result.policy for stored in chosen.results} == {"patience"}
    assert chosen.notes[-1] == "Shown: patience; ranked among all 2 policies."


def test_choosing_an_unknown_policy_names_near_ones() -> None:
    with pytest.raises(EEBenchError) as raised:
        board().only(["entrophy"])
    assert raised.value.message == (
        "unknown policy 'entrophy': did you mean entropy? On the board: entropy, full, oracle, patience."
    )
