"""A spin barrier for two compiled threads, passed once per optimizer step."""

import sys
from typing import Any

from numba import types
from numba.extending import intrinsic

from actor_critic.backends.fused.compiling import compiled_with

HAS_BARRIER = sys.platform != "win32"  # where sched_yield has another name

NUM_FLAGS = 16
"""Length of the array of flags: the flag of each side has a cache line of its own."""

_SPINS = 4000  # some microseconds: the other side mostly arrives sooner
_YIELDS = 500  # some hundred microseconds, in which the other side may get its core back
_NAP = 20  # microseconds: another thread needs the core, such as the one that collects the next rollout

_give_way: Any = types.ExternalFunction("sched_yield", types.int32())
_sleep: Any = types.ExternalFunction("usleep", types.int32(types.uint32))


generated: Any = intrinsic  # untyped: the functions it makes are called with other arguments


@generated
def _load(context: Any, flags: Any, place: Any) -> Any:
    """Read a flag, and see everything that its writer had written before it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.load_atomic(builder.gep(array.data, [arguments[1]]), "acquire", 8)

    return types.int64(flags, types.intp), generate


@generated
def _store(context: Any, flags: Any, place: Any, number: Any) -> Any:
    """Write a flag, after everything that this thread has written before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        builder.store_atomic(arguments[2], builder.gep(array.data, [arguments[1]]), "release", 8)
        return context.get_dummy_value()

    return types.void(flags, types.intp, types.int64), generate


@compiled_with(nogil=True)
def wait(flags: Any, side: int, step: int) -> None:
    """Raise the flag of ``side``, 0 or 1, for a step, and wait until the other side has raised its own."""
    _store(flags, 8 * side, step)
    spins = 0
    while _load(flags, 8 * (1 - side)) < step:
        spins += 1
        if spins > _SPINS + _YIELDS:
            _sleep(_NAP)
        elif spins > _SPINS:
            _give_way()
