"""Building a site: pages from templates, assets as they are, and one script that draws the plots."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from eebench import strict_json
from eebench.records.store import Store
from eebench.site import folder
from eebench.site.material import Material, gather
from eebench.site.pages import Page, navigation, pages
from eebench.submission.checks import Checks
from eebench.templates import environment

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:"
)
"""What a browser may load: files of the site, and nothing from anywhere else. Vega compiles its expressions."""

ASSETS = ("site.css", "site.js", "charts.js", "board.js", "icon.svg")


def build(
    store: Store,
    out: Path,
    models: Collection[str] = (),
    tasks: Collection[str] = (),
    checks: Checks | None = None,
) -> int:
    """Build the site of the newest results of these models and tasks, of all when none is named.

    Args:
        checks: what was found of the bundles that the results came in, where they are a leaderboard's.

    Returns:
        How many files it has.

    Raises:
        EEBenchError: there is nothing to show, or it cannot be written there.
    """
    folder.check(out)
    return folder.write(out, site_files(gather(store, models, tasks, checks)))


def site_files(material: Material) -> Iterator[tuple[str, bytes]]:
    """Every file of a site, as (path from its root, content)."""
    draw = Renderer(navigation(material))
    for page in pages(material):
        yield page.path, draw(page).encode()
    source = files("eebench.site") / "assets"
    for name in ASSETS:
        yield f"assets/{name}", (source / name).read_bytes()
    yield "assets/vega.js", _plotting_script().encode()


def _plotting_script() -> str:
    """Vega, Vega-Lite and vega-embed in one script."""
    import vl_convert

    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return script


class Renderer:
    """Makes a page's HTML; whatever is put into a template is escaped."""

    def __init__(self, navigation: Sequence[tuple[str, str, str]]) -> None:
        self._environment = environment("eebench.site")
        self._environment.globals["navigation"] = navigation
        self._environment.policies["json.dumps_function"] = partial(strict_json.dumps, separators=(",", ":"))
        self._environment.policies["json.dumps_kwargs"] = {}

    def __call__(self, page: Page) -> str:
        about = {"root": page.root, "title": page.title, "part": page.part, "version": version("eebench")}
        template = self._environment.get_template(page.template)
        return template.render(page.context, content_policy=CONTENT_POLICY, **about)
