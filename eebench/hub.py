"""Whether the model hub can be asked, decided before a library waits for it."""

from __future__ import annotations

import os
import socket
from functools import cache
from urllib.parse import urlparse

SECONDS_TO_ANSWER = 5


def go_offline() -> None:
    """Never ask the hub: set before transformers, datasets and huggingface_hub are imported."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_DATASETS_OFFLINE"] = "1"


def is_offline() -> bool:
    """Whether the hub must not be asked."""
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")


@cache
def reachable() -> bool:
    """Whether the hub answers. Libraries try again for minutes where it does not."""
    if is_offline():
        return False
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True  # a proxy is asked instead, and only it knows
    endpoint = urlparse(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    try:
        with socket.create_connection((endpoint.hostname, endpoint.port or 443), timeout=SECONDS_TO_ANSWER):
            return True
    except OSError:
        return False
