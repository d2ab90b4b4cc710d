"""A leaderboard's folder: the bundles that were accepted, and published traces to check them by.

    <leaderboard>/bundles/<date>-<model>-<digest>/bundle.json  a bundle, as it was added
                 /checks/<bundle>.json                         what was found of it then (`checks`)
                 /traces/<model>-<task>-<hash>/trace.json      published traces, where there are any

Nothing in it is edited: what was accepted is named by its hashes.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from eebench.archives import opened
from eebench.errors import EEBenchError
from eebench.published.kept_traces import DESCRIPTION, KeptTrace, published_in
from eebench.submission.bundles import CONTENTS, LIMITS, Bundle, read_bundle
from eebench.submission.checks import check_of, contradicted, read_check

BUNDLES, TRACES = "bundles", "traces"

CLOCKS_DIFFER = timedelta(days=1)


@dataclass(frozen=True)
class Leaderboard:
    """The folder of a leaderboard."""

    folder: Path

    @property
    def places(self) -> list[Path]:
        """The folders of its bundles, the oldest first."""
        return sorted(path.parent for path in self.folder.glob(f"{BUNDLES}/*/{CONTENTS}"))

    @property
    def in_order_of_acceptance(self) -> list[Path]:
        """The folders of its bundles, those that nothing is kept of last: whatever date they bear, they came last."""
        return sorted(self.places, key=lambda place: not check_of(self.folder, place.name).exists())

    def bundles(self) -> list[Bundle]:
        """Its bundles, the oldest first, each with what a trace had proved of it when it was accepted.

        Raises:
            EEBenchError: one is damaged or not what was accepted, or what was found of it then cannot be.
        """
        return sorted(map(self._accepted, self.places), key=lambda bundle: (_age(bundle), bundle.name))

    def _accepted(self, place: Path) -> Bundle:
        bundle = read_bundle(place)
        if wrong := next(wrong_place(place, bundle), ""):
            raise EEBenchError(
                f"{place} is not what was accepted: {wrong}. Put back what was, or remove the folder; `eebench "
                f"leaderboard verify` names all that has changed."
            )
        check = read_check(self.folder, bundle.name)
        if check and (wrong := next(contradicted(check, bundle), "")):
            raise EEBenchError(f"{place}: {wrong}.")
        return replace(bundle, verified=check.verified) if check else bundle

    def traces(self) -> list[KeptTrace]:
        """The published traces that lie in it.

        Raises:
            EEBenchError: one is damaged as far as its description tells.
        """
        there = next((self.folder / TRACES).glob(f"*/{DESCRIPTION}"), None)
        return published_in(self.folder / TRACES) if there else []

    def has(self, bundle: Bundle) -> bool:
        """Whether this very bundle is on it."""
        return self._place(bundle).exists()

    def _place(self, bundle: Bundle) -> Path:
        return self.folder / BUNDLES / bundle.name

    def add(self, path: Path, bundle: Bundle) -> Path:
        """Keep a bundle as it lies at `path`, and return its folder.

        Raises:
            EEBenchError: it is no longer what was read, or cannot be written; nothing half is left.
        """
        place = self._place(bundle)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".adding-", dir=place.parent) as temporary:
                copy = Path(temporary) / "bundle"
                with opened(path, LIMITS) as folder:
                    shutil.copytree(folder, copy)
                if (again := read_bundle(copy)).digest != bundle.digest or again.altered:
                    raise EEBenchError(f"{path} has changed while it was read: try again.")
                copy.rename(place)
        except OSError as error:
            raise EEBenchError(f"{place} cannot be written ({error.strerror or error}).") from None
        return place


def wrong_place(place: Path, bundle: Bundle) -> Iterator[str]:
    """How the bundle in a folder of a leaderboard differs from what was put there, in sentences."""
    yield from bundle.altered
    yield from misplaced(place, bundle)


def misplaced(place: Path, bundle: Bundle) -> Iterator[str]:
    """Whether a folder has the name of another bundle, and so of another `bundle.json`, in a sentence."""
    if place.name != bundle.name:
        yield f"its {CONTENTS} is not the one that was accepted: its folder would be called {bundle.name}"


def _age(bundle: Bundle) -> datetime:
    """What bundles are ordered by: a run that says it has yet to end is newer than none."""
    return datetime.min.replace(tzinfo=UTC) if in_the_future(bundle) else bundle.ended


def in_the_future(bundle: Bundle) -> str:
    """Whether its run ends later than now, and by more than clocks differ, in a sentence."""
    now = datetime.now(UTC)
    later = bundle.ended > now + CLOCKS_DIFFER
    return f"its run ended at {bundle.finished}, and it is {now:%Y-%m-%d} here" if later else ""


def is_leaderboard(folder: Path) -> bool:
    """Whether a folder looks like a leaderboard's."""
    return (folder / BUNDLES).is_dir()


def find_leaderboard(given: Path | None, *, make: bool = False) -> Leaderboard:
    """The leaderboard that is given, or the one in the current folder.

    Args:
        make: take an empty folder, or one that is not there yet, for a new one.

    Raises:
        EEBenchError: there is none.
    """
    folder = given or Path("leaderboard")
    if is_leaderboard(folder):
        return Leaderboard(folder)
    if given is None:
        raise EEBenchError("there is no folder `leaderboard` here that is one: name the leaderboard's folder.")
    if make and folder.parent.is_dir() and (not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))):
        return Leaderboard(folder)
    raise EEBenchError(
        f"{folder} is not a leaderboard: it has no folder `{BUNDLES}`. A new one begins in an empty folder."
    )
