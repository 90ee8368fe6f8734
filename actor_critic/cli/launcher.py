"""`--launcher`: what starts the processes of a command, this machine or a Ray cluster."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from actor_critic.cli.places import absolute
from actor_critic.errors import ConfigError
from actor_critic.process import cores

if TYPE_CHECKING:  # PyTorch is imported after the settings are checked
    from actor_critic.config import Settings
    from actor_critic.training import Start

LOCAL, RAY = "local", "ray"

MAX_FAILURES = 3

_Function = TypeVar("_Function", bound=Callable[..., Any])


def launcher_options(function: _Function) -> _Function:
    """Add the flags of a launcher to a command."""
    options = [
        click.option(
            "--launcher",
            type=click.Choice([LOCAL, RAY]),
            default=LOCAL,
            help="Where processes run: on this machine, or on a Ray cluster. Default: local.",
        ),
        click.option(
            "--ray-address",
            metavar="HOST:PORT",
            help="With --launcher ray: the head node. Default: RAY_ADDRESS, or a cluster of this machine.",
        ),
        click.option(
            "--max-failures",
            type=int,
            metavar="INTEGER",
            help="With --launcher ray: how often processes that were lost are started again; −1 for always. "
            f"Default: {MAX_FAILURES}.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@dataclass(frozen=True)
class Launcher:
    """The flags of a launcher.

    Attributes:
        name: "local" or "ray".
        address: The address of the cluster; None to look for one.
        max_failures: How often processes are started again; None for the default.
        ranks: K, the ranks of one data-parallel run.
        storage: Where its checkpoints are kept during the run.
    """

    name: str
    address: str | None = None
    max_failures: int | None = None
    ranks: int | None = None
    storage: str | None = None

    @property
    def is_ray(self) -> bool:
        """Whether processes run on a Ray cluster."""
        return self.name == RAY

    @property
    def restarts(self) -> int:
        """How often processes are started again."""
        return MAX_FAILURES if self.max_failures is None else self.max_failures

    def check(self, has_many_runs: bool) -> None:
        """Check that the flags belong together.

        Args:
            has_many_runs: Whether the command trains several runs.

        Raises:
            ConfigError: They do not.
        """
        flags = {"--ranks": self.ranks, "--storage": self.storage}
        of_ray = {"--ray-address": self.address, "--max-failures": self.max_failures, **flags}
        given = [name for name, value in (flags if has_many_runs else of_ray).items() if value is not None]
        if not self.is_ray and (given := [name for name, value in of_ray.items() if value is not None]):
            raise ConfigError(f"command line: {given[0]} needs --launcher ray")
        if has_many_runs and given:
            raise ConfigError(
                f"command line: {given[0]} belongs to one run on several processes, and --seeds trains several runs; "
                f"leave out one of them"
            )
        if self.restarts < -1:
            raise ConfigError(f"command line: --max-failures: {self.restarts} is not allowed; expected −1 or more")

    def as_flags(self) -> list[str]:
        """Return the words of the command line that say this."""
        words = ["--launcher", self.name] if self.is_ray else []
        words += ["--ray-address", self.address] if self.address is not None else []
        return [*words, *(["--max-failures", str(self.max_failures)] if self.max_failures is not None else [])]

    @contextlib.contextmanager
    def processes(self, settings: "Settings", cpus: int) -> Iterator[tuple["Start", int]]:
        """Return what starts the process of a seed or trial, and the number of processes that there is room for.

        Args:
            settings: The settings of the runs.
            cpus: The cores that each process keeps busy.

        Raises:
            ConfigError: The cluster cannot be reached, or is too small.
        """
        if not self.is_ray:
            from actor_critic.training import start_here

            yield start_here, max(1, cores.available() // cpus)
            return
        from actor_critic.launching import Pool, connect

        with connect(self.address) as cluster:
            pool = Pool(cluster, cpus, absolute(""), self.restarts)
            yield pool.start, pool.at_a_time
