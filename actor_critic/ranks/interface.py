"""The network interface by which the ranks of several machines reach each other."""

import ipaddress
import socket
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]

_ANY_PORT = 9  # nothing is sent


def interface_to(host: str, store: "Store | None", rank: int, size: int) -> str | None:
    """Return the name of the interface by which this rank reaches the others; None if all are on this machine.

    By itself, gloo takes the address that the name of this machine has. Debian and Ubuntu write 127.0.1.1 to
    ``/etc/hosts`` for it, where no other machine can reach this one.

    Args:
        host: The address at which the ranks meet.
        store: The store that all ranks reach, under names that only they have; None without one.
        rank: The number of this rank.
        size: K, the number of ranks.
    """
    own = address_towards(host)
    if store is not None:
        store.set(f"address/{rank}", own)
        others = [store.get(f"address/{other}").decode() for other in range(size) if other != rank]
        if _is_local(own):  # the ranks may meet on this machine, whose name is a local address here
            own = next((address_towards(other) for other in others if not _is_local(other)), own)
    return None if _is_local(own) else _interface_with(own)


def address_towards(host: str) -> str:
    """Return the own address of packets to a host; empty if it has no address, or no route leads there."""
    try:
        found = socket.getaddrinfo(host, _ANY_PORT, type=socket.SOCK_DGRAM)
    except OSError:
        return ""
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.connect(address)  # chooses the route, and sends nothing
                return str(probe.getsockname()[0])
        except OSError:
            continue
    return ""


def _is_local(address: str) -> bool:
    return not address or ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _interface_with(address: str) -> str | None:
    for name, entries in psutil.net_if_addrs().items():
        if any(entry.address.partition("%")[0] == address.partition("%")[0] for entry in entries):
            return name
    return None
