"""Whether the model hub can be asked, decided before a library waits for it."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from functools import cache
from threading import Event, Thread
from urllib.parse import urlparse

SECONDS_TO_ANSWER = 5


def go_offline() -> None:
    """Never ask the hub: set before transformers, datasets and huggingface_hub are imported."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_DATASETS_OFFLINE"] = "1"


def is_offline() -> bool:
    """Whether the hub must not be asked."""
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")


def reachable() -> bool:
    """Whether the hub may be asked and answers. Libraries try again for minutes where it does not."""
    return not is_offline() and _answers()


@cache
def _answers() -> bool:
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True  # a proxy is asked instead, and only it knows
    answered = Event()
    # A thread, because looking up a name has no time limit, and a hub of many addresses is tried at each in turn.
    knock = Thread(target=_knock, args=(answered,), daemon=True)
    knock.start()
    knock.join(SECONDS_TO_ANSWER)
    return answered.is_set()


def _knock(answered: Event) -> None:
    endpoint = urlparse(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    port = endpoint.port or (80 if endpoint.scheme == "http" else 443)
    with suppress(OSError), socket.create_connection((endpoint.hostname, port), timeout=SECONDS_TO_ANSWER):
        answered.set()
