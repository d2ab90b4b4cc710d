"""The site in a real browser, opened from the disk: it sorts, filters, plots and links, and asks nobody for a thing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from eebench.files import slug
from eebench.records.store import Store
from eebench.site.build import build
from eebench.site.slugs import policy_page
from tests.conftest import missing
from tests.site_records import CLOSING, HOSTILE, LOSSES, fill

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

PAGES = (
    "index.html",
    "policies.html",
    "models.html",
    "tasks.html",
    "kv-modes.html",
    "runs.html",
    policy_page("entropy"),
    policy_page(HOSTILE),
    "model/tiny.html",
    f"model/{slug(CLOSING)}.html",
    "task/agreement.html",
    "task/lists.html",
    "run/1.html",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    fill(str(folder / "results.db"))
    with Store.open(str(folder / "results.db")) as store:
        build(store, folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, by playwright."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed: pip install playwright")
    chromium = shutil.which("chromium")
    if chromium is None:
        missing("there is no Chromium: apt-get install chromium")
    with sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield launched
        launched.close()


@dataclass
class Visit:
    """A page in a tab, and what went wrong in it."""

    site: Path
    page: Any
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("requestfailed", self._failed)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("dialog", self._alerted)

    def _failed(self, request: Any) -> None:
        if request.failure != "net::ERR_ABORTED":  # a page that is left while it loads
            self.complaints.append(f"failed: {request.url}: {request.failure}")

    def _alerted(self, dialog: Any) -> None:
        self.complaints.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def open(self, path: str) -> Any:
        self.page.goto((self.site / path.partition("#")[0]).as_uri() + "".join(re.findall("#.*", path)))
        for place in self.page.locator(".plot").all():
            place.locator("svg").wait_for()
        return self.page

    def arrives_at(self, heading: str) -> None:
        """Wait for the page of this heading."""
        self.page.get_by_role("heading", name=heading, exact=True, level=1).wait_for()

    def policies(self) -> list[str]:
        """The names in the ranking, from the top."""
        return list(self.page.locator("#ranking tbody th a").all_inner_texts())

    def column(self, name: str) -> list[float]:
        """The numbers of a column of the ranking, from the top."""
        place = self.page.locator(f"#ranking th[data-name='{name}']").evaluate("head => head.cellIndex")
        cells = self.page.locator(f"#ranking tbody tr > :nth-child({place + 1})").all()
        return [float(cell.get_attribute("data-sort")) for cell in cells if cell.get_attribute("data-sort")]

    def sort_by(self, name: str) -> None:
        self.page.locator(f"#ranking th[data-name='{name}'] button").click()

    def fragment(self) -> str:
        return str(self.page.evaluate("decodeURIComponent(location.hash)"))


@pytest.fixture
def visit(site: Path, browser: Any) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    visit = Visit(site, context.new_page())
    yield visit
    context.close()
    assert visit.complaints == []
    assert all(url.startswith(("file://", "data:")) for url in visit.asked), visit.asked


# --- the ranking -------------------------------------------------------------------------------------------------


def test_the_script_says_what_the_page_said_without_it(site: Path, browser: Any, visit: Visit) -> None:
    visit.open("index.html")
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto((site / "index.html").as_uri())
    assert plain.locator("#ranking").inner_text() == visit.page.locator("#ranking").inner_text()
    assert plain.locator("#notes").inner_text() == visit.page.locator("#notes").inner_text()
    assert plain.locator("#filters").is_hidden()
    context.close()


def test_a_column_sorts_by_its_heading(visit: Visit) -> None:
    page = visit.open("index.html")
    assert len(visit.policies()) == len(LOSSES)
    head = page.locator("#ranking th[data-name='quality']")
    visit.sort_by("quality")
    falling = visit.column("quality")
    assert falling == sorted(falling, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    visit.sort_by("quality")
    assert visit.column("quality") == sorted(falling)
    assert head.get_attribute("aria-sort") == "ascending"
    assert page.locator("#ranking [aria-sort]").count() == 1
    visit.sort_by("policy")
    names = [name.lower() for name in visit.policies()]
    assert names == sorted(names)


def test_kv_modes_sort_by_what_they_keep(visit: Visit) -> None:
    page = visit.open("kv-modes.html")
    page.get_by_role("button", name=re.compile(r"^copy fidelity\W*$")).click()
    shown = page.locator("#kv-modes tbody th").all_inner_texts()
    assert shown[0].startswith("full")
    assert [name.partition("=")[2] for name in shown[1:]] == ["0.1", "0.25", "0.5"]


def test_it_sorts_by_the_keyboard(visit: Visit) -> None:
    page = visit.open("index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.locator("#ranking th[data-name='layers'] button").focus()
    page.keyboard.press("Enter")
    assert visit.fragment() == "#sort=layers&dir=descending"


def test_what_has_no_rank_comes_last_whichever_way(visit: Visit) -> None:
    visit.open("index.html")
    visit.sort_by("rank")
    assert visit.column("rank") == sorted(visit.column("rank"), reverse=True)
    ranked = len(visit.column("rank"))
    assert visit.policies()[:ranked] == ["Entropy", "patience", HOSTILE, "entropy"]


def test_a_view_can_be_linked_and_outlives_a_reload(visit: Visit) -> None:
    page = visit.open("index.html")
    page.select_option("select[name=model]", CLOSING)
    page.select_option("select[name=task]", "facts")
    page.select_option("select[name=by]", "compute")
    page.uncheck("input[value=control]")
    visit.sort_by("compute")
    page.select_option("select[name=x]", "compute")
    before = page.locator("#ranking").inner_text()
    assert f"ranked by compute saved: {CLOSING} on facts" in before
    assert "random" not in visit.policies()
    assert visit.fragment() == "#" + "&".join(
        (
            f"model={CLOSING.replace(' ', '+')}",
            "task=facts",
            "by=compute",
            "x=compute",
            "kind=policy,bound",
            "sort=compute",
            "dir=descending",
        )
    )
    page.reload()
    assert page.locator("#ranking").inner_text() == before
    assert page.input_value("select[name=model]") == CLOSING
    assert page.input_value("select[name=x]") == "compute"
    assert not page.is_checked("input[value=control]")
    page.get_by_role("button", name="reset").click()
    assert visit.fragment() == ""
    assert len(visit.policies()) == len(LOSSES)


def test_a_link_opens_its_view(visit: Visit) -> None:
    page = visit.open("index.html#kv=copy&task=lists")
    assert sorted(visit.policies()) == ["entropy", "full"]
    assert "KV mode copy" in page.locator("#ranking caption").inner_text()
    assert "There are no EE-scores and no ranks under KV mode copy" in page.locator("#notes").inner_text()
    page.evaluate("location.hash = 'model=tiny&task=lists'")
    page.wait_for_function("document.querySelectorAll('#ranking tbody tr').length === 3")
    assert page.input_value("select[name=kv]") == "full"


def test_a_view_of_nothing_says_so(visit: Visit) -> None:
    page = visit.open(f"index.html#model={CLOSING}&task=lists")
    assert page.get_by_text("Nothing has been measured there.", exact=True).last.is_visible()
    assert page.locator("#ranking").is_hidden()


def test_a_link_that_means_nothing_opens_the_whole(visit: Visit) -> None:
    visit.open("index.html#model=none&task=__proto__&kv=constructor&sort=toString&by=<b>")
    assert len(visit.policies()) == len(LOSSES)


# --- plots -------------------------------------------------------------------------------------------------------


def test_pointing_at_a_point_says_which_setting_it_is(visit: Visit) -> None:
    page = visit.open("index.html#model=tiny&task=facts")
    points = page.locator("#plots .mark-symbol.role-mark path[aria-label*='setting: entropy:threshold=0.25']")
    points.first.hover()
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    assert "entropy:threshold=0.25" in tooltip.inner_text()
    assert re.search(r"layers saved:?\s+25\.0%", tooltip.inner_text())
    page.locator(f'#plots .mark-symbol.role-mark path[aria-label*="{HOSTILE}"]').first.hover()
    page.wait_for_function("document.querySelector('#vg-tooltip-element').innerText.includes('<script>alert(1)')")


def test_what_is_plotted_can_be_read_as_a_table(visit: Visit) -> None:
    page = visit.open("index.html#model=tiny&task=facts&kind=policy")
    assert "12 settings of 4 policies" in page.locator("#plots .plot").get_attribute("aria-label")
    page.get_by_text("The points as a table").click()
    page.locator("#plots table").wait_for()
    assert page.locator("#plots table tbody tr").count() == 12
    page.select_option("select[name=y]", "quality")
    assert "there is no quality above chance to retain" in page.locator("#plots").inner_text()


def test_a_histogram_shows_the_setting_that_is_picked(visit: Visit) -> None:
    page = visit.open("model/tiny.html")
    section = page.locator(".histogram").first
    section.locator("select[name=setting]").select_option("patience:patience=2")
    label = section.locator(".plot").get_attribute("aria-label")
    assert label.startswith(
        "Bar chart of the layers at which patience:patience=2 stops on agreement: most often at layer 6"
    )
    section.locator("select[name=task]").select_option("lists")
    assert "on lists" in section.locator(".plot").get_attribute("aria-label")


def test_plots_follow_the_colours_of_the_page(visit: Visit) -> None:
    page = visit.open("task/agreement.html")

    def ink() -> str:
        page.locator(".plot svg").first.wait_for()
        return str(page.locator(".plot svg .role-axis-title text").first.get_attribute("fill"))

    light = ink()
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "before => document.querySelector('.plot svg .role-axis-title text')?.getAttribute('fill') !== before",
        arg=light,
    )
    assert {light, ink()} == {"#1b1b1b", "#e9e9e7"}


# --- every page --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1280, 375])
@pytest.mark.parametrize("path", PAGES)
def test_no_page_is_wider_than_the_screen(visit: Visit, path: str, width: int) -> None:
    page = visit.open(path)
    page.set_viewport_size({"width": width, "height": 800})
    for details in page.locator("details > summary").all():
        details.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_links_lead_from_page_to_page(visit: Visit) -> None:
    page = visit.open("index.html")
    page.locator("#ranking").get_by_role("link", name=HOSTILE).click()
    visit.arrives_at(HOSTILE)
    page.locator("#scores").get_by_role("link", name="tiny").first.click()
    visit.arrives_at("tiny")
    page.get_by_role("link", name="tiny in the ranking").click()
    visit.arrives_at("Exit policies ranked")
    page.locator("#ranking caption", has_text="tiny on 3 tasks").wait_for()
    page.go_back()
    visit.arrives_at("tiny")
    page.locator("#tasks").get_by_role("link", name="facts").click()
    visit.arrives_at("facts")
    page.get_by_role("link", name="Runs").click()
    visit.arrives_at("Runs")
    page.get_by_role("link", name="1", exact=True).click()
    visit.arrives_at("Run 1")
    assert "--limit 40" in page.locator("main .command").inner_text()


def test_a_name_is_text_wherever_it_stands(visit: Visit) -> None:
    for path in ("index.html", policy_page(HOSTILE), f"model/{slug(CLOSING)}.html"):
        page = visit.open(path)
        assert HOSTILE in page.locator("main").inner_text()
        assert page.locator("img").count() == 0


def test_a_command_can_be_copied(visit: Visit) -> None:
    page = visit.open("index.html#model=tiny&task=facts")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="copy the command that measures entropy again", exact=True).click()
    shown = page.locator("#copied pre")
    shown.wait_for()
    said = "-p entropy:threshold=0.1,entropy:threshold=0.25,entropy:threshold=0.5 -m tiny -t facts --limit 40 --seed 7"
    assert said in shown.inner_text()
    assert page.evaluate("navigator.clipboard.readText()") == shown.inner_text()
    page.keyboard.press("Escape")
    assert page.locator("#copied pre").count() == 0
