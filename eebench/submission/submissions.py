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
from dataclasses import dataclass
from pathlib import Path

from eebench.archives import opened
from eebench.errors import EEBenchError
from eebench.published.kept_traces import DESCRIPTION, KeptTrace, published_in
from eebench.submission.bundles import CONTENTS, LIMITS, Bundle, read_bundle

BUNDLES, TRACES = "bundles", "traces"


@dataclass(frozen=True)
class Leaderboard:
    """The folder of a leaderboard."""

    folder: Path

    @property
    def places(self) -> list[Path]:
        """The folders of its bundles, the oldest first."""
        return sorted(path.parent for path in self.folder.glob(f"{BUNDLES}/*/{CONTENTS}"))

    def bundles(self) -> Iterator[Bundle]:
        """Its bundles, the oldest first.

        Raises:
            EEBenchError: one is damaged.
        """
        return map(read_bundle, self.places)

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
