"""The connections of the durable engine to PostgreSQL."""

import os
import socket
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import psutil
import pytest

from tests.contract.dbos_worker import jobs_at


def connections(port: int) -> Iterator[socket.socket]:
    """Each of this process to a port."""
    for found in psutil.Process().net_connections("tcp"):
        if found.raddr and found.raddr.port == port:
            with socket.socket(fileno=os.dup(found.fd)) as opened:
                yield opened


@pytest.mark.skipif(sys.platform != "linux", reason="other systems call the options by other names")
async def test_dead_ones_are_noticed(postgres_url: str) -> None:
    """All are probed, and given up after 25 seconds without an answer to what was sent."""
    port = urlsplit(postgres_url).port or 5432
    jobs = jobs_at(postgres_url, executor="local")
    await jobs.start({})
    try:
        options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE)]
        options += [(socket.IPPROTO_TCP, name) for name in (socket.TCP_KEEPIDLE, socket.TCP_USER_TIMEOUT)]
        found = {tuple(opened.getsockopt(*option) for option in options) for opened in connections(port)}
    finally:
        await jobs.stop()
    assert {(1, 10, 25_000)} == found
