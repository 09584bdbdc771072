"""Where outputs are fetched from: resolved once, never private, and what was checked is connected to."""

import asyncio
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest

from models.errors import ProviderRejected, ProviderUnavailable
from services.gateways import fal_download
from services.gateways.public_addresses import PrivateAddress, PublicAddresses, guard, is_public


class Wire(httpcore.AsyncNetworkBackend):
    """Notes where a connection goes, and refuses it."""

    def __init__(self) -> None:
        self.connects: list[str] = []

    async def connect_tcp(self, host: str, port: int, **options: Any) -> httpcore.AsyncNetworkStream:
        self.connects.append(host)
        raise httpcore.ConnectError("refused")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A resolver of our own; `asked` in it lists the questions."""
    table: dict[str, list[str]] = {"asked": []}

    async def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
        table["asked"].append(host)
        if host not in table:
            raise OSError("unknown")
        return [(0, 0, 0, "", (address, port)) for address in table[host]]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", staticmethod(getaddrinfo))
    return table


def backend(wire: Wire, *, private: bool = False) -> PublicAddresses:
    return PublicAddresses(wire, trusted=("queue.fal.run", "fal.run"), private=private)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True), ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True), ("127.0.0.1", False),
        ("10.1.2.3", False), ("172.16.0.1", False), ("192.168.1.1", False), ("169.254.169.254", False),
        ("0.0.0.0", False), ("100.64.0.1", False), ("224.0.0.1", False), ("::1", False), ("fe80::1%eth0", False),
        ("fd00::1", False), ("::ffff:127.0.0.1", False), ("2002:7f00:1::", False),
    ],
)  # fmt: skip
def test_addresses(address: str, public: bool) -> None:
    """Private, loopback, link-local, shared, multicast and disguised addresses are not public."""
    assert public is is_public(address)


async def test_the_checked_address_is_the_one_used(names: dict[str, list[str]]) -> None:
    """One question to the resolver, then a connect to its answer, not to the name."""
    wire, names["fal.media"] = Wire(), ["93.184.215.14", "93.184.215.15"]
    with pytest.raises(httpcore.ConnectError):
        await backend(wire).connect_tcp("fal.media", 443)
    assert (["fal.media"], ["93.184.215.14", "93.184.215.15"]) == (names["asked"], wire.connects)


@pytest.mark.parametrize("answer", [["127.0.0.1"], ["93.184.215.14", "10.0.0.1"]])
async def test_a_private_answer_is_refused(names: dict[str, list[str]], answer: list[str]) -> None:
    """Nothing is connected to, even when only one of several answers is private."""
    wire, names["fal.media"], names["queue.fal.run"] = Wire(), answer, ["93.184.215.14"]
    with pytest.raises(PrivateAddress):
        await backend(wire).connect_tcp("fal.media", 443)
    assert [] == wire.connects


async def test_a_provider_on_a_private_network(names: dict[str, list[str]]) -> None:
    """Private answers are taken with the setting, for hosts the operator named, and when the queue is private too."""
    names["fal.media"] = names["fal.run"] = ["127.0.0.1"]
    names["queue.fal.run"] = ["93.184.215.14"]
    for private, host in ((True, "fal.media"), (False, "fal.run")):
        wire = Wire()
        with pytest.raises(httpcore.ConnectError):
            await backend(wire, private=private).connect_tcp(host, 443)
        assert ["127.0.0.1"] == wire.connects
    names["queue.fal.run"] = ["127.0.0.1"]
    with pytest.raises(httpcore.ConnectError):
        await backend(Wire()).connect_tcp("fal.media", 443)


async def test_a_refused_address_is_a_rejected_output(names: dict[str, list[str]], tmp_path: Path) -> None:
    """Through the whole fetch: a private answer is for good, an unknown name is not; no file is left."""
    names["v3.fal.media"], names["queue.fal.run"] = ["169.254.169.254"], ["93.184.215.14"]
    async with guard(httpx.AsyncClient(trust_env=False), trusted=("queue.fal.run",), private=False) as client:
        for host, expected in (("v3.fal.media", ProviderRejected), ("gone.fal.media", ProviderUnavailable)):
            with pytest.raises(expected):
                await fal_download.fetch(client, f"https://{host}/a.png", tmp_path / "a", limit=10, seconds=5)
    assert [] == list(tmp_path.iterdir())


async def test_a_proxy_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes through a proxy of the environment is resolved there."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    async with guard(httpx.AsyncClient(), trusted=("queue.fal.run",), private=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("https://v3.fal.media/a.png")
