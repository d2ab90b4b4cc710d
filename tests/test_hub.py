"""Whether the hub can be asked is known in seconds, and an offline run never asks."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest

from eebench.models import hub

PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", *PROXIES):
        monkeypatch.setenv(name, "")
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    hub._answers.cache_clear()
    yield
    hub._answers.cache_clear()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The addresses that somebody tried to reach from here on."""
    addresses: list[Any] = []
    monkeypatch.setattr(socket, "create_connection", lambda address, **_kwargs: addresses.append(address))
    return addresses


def test_a_hub_that_answers_is_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert hub.reachable()


def test_a_hub_that_refuses_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    assert not hub.reachable()


def test_a_hub_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    never = Event()

    def wait(*_args: Any, **_kwargs: Any) -> None:
        never.wait(60)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", wait)
    monkeypatch.setattr(hub, "SECONDS_TO_ANSWER", 0.05)
    assert not hub.reachable()
    never.set()


def test_it_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(address: Any, **_kwargs: Any) -> None:
        asked.append(address)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", refuse)
    assert not hub.reachable()
    assert not hub.reachable()
    assert asked == [("huggingface.co", 443)]


def test_offline_means_that_nothing_is_asked(asked: list[Any]) -> None:
    hub.go_offline()
    assert hub.is_offline()
    assert not hub.reachable()
    assert asked == []


def test_going_offline_holds_even_after_the_hub_has_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    test_a_hub_that_answers_is_reachable(monkeypatch)
    hub.go_offline()
    assert not hub.reachable()


@pytest.mark.parametrize("proxy", PROXIES)
def test_behind_a_proxy_only_the_proxy_knows(monkeypatch: pytest.MonkeyPatch, asked: list[Any], proxy: str) -> None:
    monkeypatch.setenv(proxy, "http://proxy.invalid:3128")
    assert hub.reachable()
    assert asked == []
