"""Outgoing connections go to public addresses only: a name is resolved once, and what was checked is connected to.

Between a check of its own and httpx's connect, a name could change its address (DNS rebinding); here they are one.
A proxy of the environment resolves names itself and is trusted: its connections are not touched.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from typing import Any

import httpcore
import httpx

SocketOptions = Iterable[Any]


class PrivateAddress(Exception):
    """A name leads into a private network."""


class PublicAddresses(httpcore.AsyncNetworkBackend):
    """Connects like `inner`, but to public addresses only.

    `trusted` are hosts that the operator has named. When the first of them lies in a private network, so does
    everything else of the provider, and nothing is refused; `private` says so outright.
    """

    def __init__(self, inner: httpcore.AsyncNetworkBackend, *, trusted: Sequence[str], private: bool) -> None:
        self._inner = inner
        self._trusted = [httpx.URL(f"https://{host}").host for host in trusted]
        self._private = private

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's signature
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers. Raises `PrivateAddress`."""
        addresses = await _resolved(host, port)
        if not all(map(is_public, addresses)) and not await self._may_be_private(host):
            raise PrivateAddress(host)
        for address in addresses:
            try:
                return await self._inner.connect_tcp(
                    address, port, timeout=timeout, local_address=local_address, socket_options=socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if address == addresses[-1]:
                    raise
        raise httpcore.ConnectError(f"{host} has no address")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        socket_options: SocketOptions | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise PrivateAddress(path)

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)

    async def _may_be_private(self, host: str) -> bool:
        if self._private or host in self._trusted:
            return True
        try:
            return not all(map(is_public, await _resolved(self._trusted[0], 443)))
        except (httpcore.ConnectError, IndexError):
            return False


def guard(client: httpx.AsyncClient, *, trusted: Sequence[str], private: bool) -> httpx.AsyncClient:
    """Make the client's own connections go to public addresses only; those through a proxy stay as they are."""
    pool: Any = client._transport._pool  # type: ignore[attr-defined]  # httpx 0.28 has no public way
    pool._network_backend = PublicAddresses(pool._network_backend, trusted=trusted, private=private)
    return client


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the internet: not private, loopback, link-local, shared or multicast."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and (inner := ip.ipv4_mapped or ip.sixtofour):
        return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


async def _resolved(host: str, port: int) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
