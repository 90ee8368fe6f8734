"""A spin barrier for two compiled threads, which they pass once per optimizer step."""

import sys
from typing import Any

from numba import types
from numba.extending import intrinsic

from actor_critic.compiling import compiled_with

HAS_BARRIER = sys.platform != "win32"  # Windows has no sched_yield

NUM_FLAGS = 16
"""Length of the array of flags: each side's flag has its own cache line."""

_SPINS = 4000  # some microseconds; the other side usually arrives sooner
_YIELDS = 500  # some hundred microseconds, in which the other side may get a core
_NAP = 20  # microseconds; another thread, such as one that collects the next rollout, needs the core

_give_way: Any = types.ExternalFunction("sched_yield", types.int32())
_sleep: Any = types.ExternalFunction("usleep", types.int32(types.uint32))


generated: Any = intrinsic  # untyped, because the compiled functions take other arguments


@generated
def _load(context: Any, flags: Any, place: Any) -> Any:
    """Read a flag with acquire order: all writes before the flag are then visible."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.load_atomic(builder.gep(array.data, [arguments[1]]), "acquire", 8)

    return types.int64(flags, types.intp), generate


@generated
def _store(context: Any, flags: Any, place: Any, number: Any) -> Any:
    """Write a flag with release order, after all earlier writes of this thread."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        builder.store_atomic(arguments[2], builder.gep(array.data, [arguments[1]]), "release", 8)
        return context.get_dummy_value()

    return types.void(flags, types.intp, types.int64), generate


@compiled_with(nogil=True)
def wait(flags: Any, side: int, step: int) -> None:
    """Set the flag of ``side`` (0 or 1) to ``step``, and wait until the other side has done the same."""
    _store(flags, 8 * side, step)
    spins = 0
    while _load(flags, 8 * (1 - side)) < step:
        spins += 1
        if spins > _SPINS + _YIELDS:
            _sleep(_NAP)
        elif spins > _SPINS:
            _give_way()
