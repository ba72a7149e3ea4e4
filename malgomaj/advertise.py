"""How the manager reaches this worker."""

import asyncio
import ipaddress
import os
import socket
from urllib.parse import quote, urlsplit
from uuid import UUID

from malgomaj.config import WorkerSettings
from malgomaj.peer import Peer
from shared import project_version
from shared.auth import BasicCredentials
from shared.wire import BATCH_EXTENSION, END_EXTENSION, HOLD_EXTENSION, SOURCES_EXTENSION, Subscriber


async def introduction(
    settings: WorkerSettings, manager: Peer, port: int, uuid: UUID, credentials: BasicCredentials, languages: list[str]
) -> Subscriber:
    """What the worker tells the manager of itself. ``port`` is the one that it listens on."""
    host = settings.advertise.host or await _own_host(settings.listen.host, manager)
    user, password = quote(credentials.user, safe=""), quote(credentials.password, safe="")
    authority = f"{user}:{password}@{_bracketed(host)}:{settings.advertise.port or port}"
    return Subscriber(
        uuid=uuid,
        scheme=settings.advertise.scheme,
        authority=authority,
        languages=languages,
        capacity=len(os.sched_getaffinity(0)),
        version=project_version(),
        extensions=[
            BATCH_EXTENSION,
            END_EXTENSION,
            HOLD_EXTENSION,
            *([SOURCES_EXTENSION] if settings.cache.sources_bytes else []),
        ],
    )


async def _own_host(listen_host: str, manager: Peer) -> str:
    """Where the worker listens; where that is everywhere, the address from which it reaches the manager."""
    if not _is_everywhere(listen_host):
        return listen_host
    try:
        return await _local_address_towards(manager)
    except OSError:
        return socket.gethostname()


def _is_everywhere(host: str) -> bool:
    if not host:
        return True
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


async def _local_address_towards(peer: Peer) -> str:
    """The address that packets to ``peer`` leave from. Sends none."""
    parts = urlsplit(peer.base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=(parts.hostname or "", port)
    )
    try:
        return str(transport.get_extra_info("sockname")[0])
    finally:
        transport.close()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
