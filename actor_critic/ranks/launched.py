"""Joining the ranks that a launcher has started: torchrun, Ray Train, or Slurm with torchrun."""

import atexit
import contextlib
import ctypes
import gc
import io
import os
import signal
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from actor_critic.errors import ActorCriticError, ConfigError, RankFault
from actor_critic.process import end_at_once
from actor_critic.ranks.interface import interface_to
from actor_critic.ranks.meeting import meet
from actor_critic.ranks.ranks import ALONE, Ranks

if TYPE_CHECKING:  # torch.distributed takes long to import, and most runs do not need it
    from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]

    from actor_critic.ranks.group import ProcessGroup

_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_JOINED = "ACTOR_CRITIC_JOINED"
"""The process that joined; its children inherit the launcher's variables, but are no ranks."""

_INTERFACE = "GLOO_SOCKET_IFNAME"

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)

_SECONDS = 30.0  # to reach torchrun's agent, which runs already

_joined: "ProcessGroup | None" = None


def is_launched() -> bool:
    """Return whether a launcher started this process as one of several ranks.

    Ray Train makes the default process group itself; torchrun sets variables from which :func:`join` makes it.
    """
    group = _existing_group()
    return _is_of_launcher() and (os.environ["WORLD_SIZE"] != "1" if group is None else group[1] > 1)


def _is_of_launcher() -> bool:
    """Return whether a launcher started this process, maybe as the only one."""
    own = os.environ.get(_JOINED, str(os.getpid())) == str(os.getpid())
    return own and (_existing_group() is not None or all(os.environ.get(name) for name in _NEEDED))


def _existing_group() -> tuple[int, int] | None:
    """Return rank and size of the default process group; None if there is none in this process."""
    dist = sys.modules.get("torch.distributed")  # a process that has not imported it has no group
    if dist is None or not dist.is_available() or not dist.is_initialized():
        return None
    return dist.get_rank(), dist.get_world_size()


def check_is_alone(what: str) -> None:
    """Check that this process is no rank.

    Args:
        what: What it is about to do, for the error.

    Raises:
        ConfigError: It is one of several ranks.
    """
    if is_launched():
        raise ConfigError(
            f"ranks: {what} runs several trainings, and this process is rank {rank()} of a single one; start it "
            f"without torchrun"
        )


def rank() -> int:
    """Return the number of this rank; 0 without a launcher."""
    if not is_launched():
        return 0
    group = _existing_group()
    return _number("RANK", 0) if group is None else group[0]


def size() -> int:
    """Return the number of ranks; 1 without a launcher."""
    if not is_launched():
        return 1
    group = _existing_group()
    return _number("WORLD_SIZE", 1) if group is None else group[1]


def rank_on_this_host() -> int:
    """Return the number of this rank among those of this machine; 0 without a launcher."""
    return _number("LOCAL_RANK", 0) if is_launched() else 0


def restarts() -> int:
    """Return how often torchrun has restarted the ranks after one was lost."""
    return _number("TORCHELASTIC_RESTART_COUNT", 0) if _is_of_launcher() else 0


def _number(variable: str, default: int) -> int:
    value = os.environ.get(variable, str(default))
    if not value.isdecimal():
        raise ConfigError(f"ranks: the environment variable {variable} is {value!r}; expected a whole number")
    return int(value)


def join(timeout: float) -> Ranks:
    """Return the ranks of this run: those that a launcher started, or this process alone.

    Args:
        timeout: Seconds to wait for another rank, above 0.

    Raises:
        ConfigError: The launcher's port is in use, or the other ranks do not come.
        RankFault: A rank was lost before.
    """
    global _joined
    if not is_launched():
        return ALONE
    if _joined is not None:
        _joined.check_connection()
        return _joined
    import torch
    import torch.distributed as dist

    from actor_critic.ranks.group import ProcessGroup

    if not dist.is_initialized():
        try:
            has_nccl = torch.cuda.is_available() and dist.is_nccl_available()
            backend = "cpu:gloo,cuda:nccl" if has_nccl else "gloo"
            os.environ.setdefault("TORCH_NCCL_BLOCKING_WAIT", "1")  # a late rank is an error, and no abort
            meeting = _place_to_meet(timeout)
            dist.init_process_group(backend, timeout=timedelta(seconds=timeout), **meeting)
        except (RuntimeError, OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
            remedy = (
                "another program uses this port; choose another one with --master-port or MASTER_PORT"
                if "EADDRINUSE" in reason or "in use" in reason
                else "the ranks do not reach each other; check address, port, firewall, and that all ranks started"
            )
            raise ConfigError(f"ranks: rank {rank()} cannot join at {place}: {remedy} ({reason:.200})") from None
        atexit.register(_leave)
    _end_with_launcher()
    os.environ[_JOINED] = str(os.getpid())
    _joined = ProcessGroup(timeout)
    return _joined


def share(error: ActorCriticError) -> None:
    """Let all ranks raise an error that this one raised before it joined; without this, they would wait for it."""
    if not is_launched() or _joined is not None:
        return
    with contextlib.suppress(ActorCriticError):
        ranks = join(_SECONDS)
        with ranks.joint():
            raise error


def wait_for_all() -> None:
    """Wait until all ranks call this, if they are still connected."""
    if _joined is not None and not _joined.is_broken:
        with contextlib.suppress(RankFault):
            _joined.any(False)


def _place_to_meet(timeout: float) -> dict[str, Any]:
    """Return the arguments of ``init_process_group`` that say where the ranks meet."""
    store = _agent_store()
    if store is None:  # the launcher's variables say so
        _choose_interface(None)
        return {}
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]

    name = meet(store, rank(), size(), timeout)
    own = PrefixStore(f"actor_critic/{name}", store)
    _choose_interface(own)
    return {"store": own, "rank": rank(), "world_size": size()}


def _choose_interface(store: "Store | None") -> None:
    """Let gloo use the interface by which the ranks reach each other, unless the user has chosen one."""
    if _INTERFACE not in os.environ and (name := interface_to(os.environ["MASTER_ADDR"], store, rank(), size())):
        os.environ[_INTERFACE] = name


def remember(name: str, value: str) -> None:
    """Store a text with torchrun's agent, where it survives a restart of the ranks; elsewhere do nothing."""
    if (store := _agent_store()) is not None:
        store.set(f"actor_critic/{name}", value)


def recall(name: str) -> str | None:
    """Return a text that :func:`remember` stored before a restart; None if there is none."""
    store = _agent_store()
    key = f"actor_critic/{name}"
    if store is None or not store.check([key]):
        return None
    found: bytes = store.get(key)
    return found.decode()


def _agent_store() -> "TCPStore | None":
    """Return the store of torchrun's agent; None without torchrun."""
    if not _is_of_launcher() or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return None
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    try:
        return TCPStore(host, port, is_master=False, timeout=timedelta(seconds=_SECONDS))
    except (RuntimeError, OSError):
        return None


def _leave() -> None:
    """Close the process group at exit, unless a rank was lost: closing would then wait for it."""
    if _joined is not None and not _joined.is_broken:
        _joined.close()


def _fail_if_unraised() -> None:
    """End with the exit code of an error that this rank could not raise; only this way, Python lets a program fail."""
    if _joined is None or os.environ.get(_JOINED) != str(os.getpid()):  # a forked process has a copy of _joined
        return
    if (fault := _joined.unraised) is not None:
        with contextlib.suppress(OSError, ValueError):  # it may be closed
            print("error:", fault, file=sys.stderr)
        # The objects of the program are not destroyed, so what its open files hold would be lost. The type is asked,
        # because isinstance asks the object too, and a weak proxy may then raise an error.
        files = [each for each in gc.get_objects() if issubclass(type(each), io.IOBase)]
        end_at_once(fault.exit_code, sys.stdout, sys.stderr, *files)


# Exit handlers run from the last to the first. This one is registered early, so those of the program run before it.
atexit.register(_fail_if_unraised)


def _end_with_launcher() -> None:
    """Let the system send SIGTERM to this rank when torchrun is killed; otherwise it would train on alone."""
    if sys.platform == "linux" and "TORCHELASTIC_RUN_ID" in os.environ:
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)
