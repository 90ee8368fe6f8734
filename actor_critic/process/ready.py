"""Processes that begin at once: forked from a server that has imported what they need."""

import multiprocessing.context
import os
import sys
import types
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np

HAS_SERVER = sys.platform == "linux"  # elsewhere, system libraries do not survive a fork


def ready_process(target: Callable[..., None], arguments: Sequence[Any], imports: Sequence[str]) -> BaseProcess:
    """Return a process that calls a function; its ``start`` may start the server.

    Only modules of this package are imported in the server. A process of its own imports the user's modules anew. The
    server and its processes keep the signals blocked that are blocked where the first one starts.

    Args:
        target: The function, of the top level of a module.
        arguments: Its arguments.
        imports: Modules that the server imports once.
    """
    if not HAS_SERVER:
        return multiprocessing.get_context("spawn").Process(target=target, args=tuple(arguments))
    process = _ReadyProcess(target=_begin, args=(dict(os.environ), target, *arguments))
    process.imports = tuple(imports)
    return process


def _begin(environment: dict[str, str], target: Callable[..., None], *arguments: Any) -> None:
    os.environ.clear()
    os.environ.update(environment)  # the server's differs
    np.random.seed()  # all processes have the server's; Python's own generator seeds itself in a fork
    target(*arguments)


if HAS_SERVER:
    from multiprocessing import forkserver, popen_forkserver

    class _Server(forkserver.ForkServer):
        """A server that imports modules from the folders of this process.

        multiprocessing has one server for a whole program. It is the program's own, with modules, blocked signals and
        variables of its choice.
        """

        def __init__(self, imports: Sequence[str], origin: tuple[Any, ...]) -> None:
            super().__init__()
            self.set_forkserver_preload(list(imports))
            self.origin = origin

        def leave(self) -> None:
            """Let the server end with the last of its processes."""
            alive: int | None = getattr(self, "_forkserver_alive_fd", None)
            if alive is not None:
                os.close(alive)

        def ensure_running(self) -> None:
            before = dict(os.environ)
            folders = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
            # Without the second variable, a package of the current folder would come before those of this process.
            os.environ |= {"PYTHONPATH": folders, "PYTHONSAFEPATH": "1"}
            try:
                super().ensure_running()
            finally:
                os.environ.clear()
                os.environ.update(before)

    class _Servers:
        """Keeps the last server while a new one would be the same."""

        def __init__(self) -> None:
            self._last: _Server | None = None

        def choose(self, imports: Sequence[str]) -> None:
            """Let the next process come from a server that has imported these modules."""
            origin = os.getpid(), dict(os.environ), list(sys.path), imports
            if self._last is None or self._last.origin != origin:
                if self._last is not None:
                    self._last.leave()
                self._last = _Server(imports, origin)

        def connect_to_new_process(self, fds: list[int]) -> tuple[int, int]:
            assert self._last is not None
            return self._last.connect_to_new_process(fds)

        read_signed = staticmethod(forkserver.read_signed)

    _servers = _Servers()

    class _Popen(popen_forkserver.Popen):
        # The base class has its server from a global name of its module.
        _launch = types.FunctionType(
            vars(popen_forkserver.Popen)["_launch"].__code__, vars(popen_forkserver) | {"forkserver": _servers}
        )

    class _ReadyProcess(multiprocessing.context.ForkServerProcess):
        imports: tuple[str, ...] = ()

        @staticmethod
        def _Popen(process: Any) -> Any:  # noqa: N802 - multiprocessing's name
            _servers.choose(process.imports)
            return _Popen(process)
