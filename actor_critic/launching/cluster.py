"""A connection to a Ray cluster."""

import contextlib
import importlib.util
import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from actor_critic.errors import ConfigError
from actor_critic.ranks import is_launched

_SECONDS = 5.0
"""How long a cluster may take to answer."""


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that this process is connected to.

    Attributes:
        cpus: The number of CPUs of each node.
    """

    cpus: tuple[float, ...]

    def places(self, cpus: float) -> int:
        """Return the number of processes that the nodes have room for.

        Args:
            cpus: The CPUs of each process.
        """
        return sum(int(each // cpus) for each in self.cpus)

    def check_has_room(self, ranks: int, cpus: float) -> None:
        """Check that the nodes have room for all ranks.

        Args:
            ranks: The number of ranks.
            cpus: The CPUs of each rank.

        Raises:
            ConfigError: They have not.
        """
        if (places := self.places(cpus)) < ranks:
            nodes = ", ".join(f"{each:g}" for each in self.cpus) or "none"
            raise ConfigError(
                f"--ranks: {ranks} ranks need {cpus:g} CPU(s) each, and the Ray cluster has room for {places} (CPUs of "
                f"its nodes: {nodes}); expected at most {places} ranks, or a larger cluster"
            )


@contextlib.contextmanager
def connect(address: str | None) -> Iterator[Cluster]:
    """Connect to a Ray cluster while the block runs; without an address, to one of this machine, or start one.

    Args:
        address: The address as HOST:PORT; None for that of RAY_ADDRESS, or of this machine.

    Raises:
        ConfigError: Ray is not installed, this process is a rank already, or the cluster cannot be reached.
    """
    if importlib.util.find_spec("ray") is None:
        raise ConfigError("--launcher: ray is not installed: pip install 'actor-critic[ray]'")
    if is_launched():
        raise ConfigError("--launcher: ray starts ranks itself, and this process is a rank; start it without torchrun")
    wanted = address or os.environ.get("RAY_ADDRESS") or None
    _check_answers(wanted)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # otherwise Ray warns that this will change
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    try:
        ray.init(wanted, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise _unreachable(wanted, " ".join(str(error).split())) from None
    try:
        yield current_cluster()
    finally:
        ray.shutdown()


def current_cluster() -> Cluster:
    """Return the cluster as it is now."""
    import ray

    listed: Any = ray.nodes  # it has no types
    return Cluster(tuple(node["Resources"].get("CPU", 0.0) for node in listed() if node["Alive"]))


def _check_answers(address: str | None) -> None:
    """Check that something answers at an address, since Ray waits for a minute."""
    if address is None or address in ("auto", "local"):
        return
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        raise ConfigError(
            f"--ray-address: {address!r} is not allowed; expected HOST:PORT of the head node, such as 10.0.0.1:6379, "
            f"and a command that is started on a machine of the cluster"
        )
    try:
        with socket.create_connection((host, int(port)), _SECONDS):
            pass
    except (OSError, OverflowError) as error:
        raise _unreachable(address, str(error)) from None


def _unreachable(address: str | None, reason: str) -> ConfigError:
    return ConfigError(
        f"--ray-address: no Ray cluster can be reached at {address or 'this machine'} ({reason:.200}); start one with "
        f"`ray start --head`, or check the address"
    )
