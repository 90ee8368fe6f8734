"""A spin barrier for processes that share memory, and the operations that threads and processes meet with."""

import sys
from typing import Any

from numba import types
from numba.extending import intrinsic

from actor_critic.compiling.functions import compiled_with

HAS_BARRIER = sys.platform != "win32"  # Windows has no sched_yield

STRIDE = 8
"""Numbers between two flags, so that each has its own cache line."""

YIELDS = 500
"""Some hundred microseconds, in which the others may get a core."""

_SPINS = 4000  # some microseconds; the others usually arrive sooner
_NAP = 20  # microseconds

give_way: Any = types.ExternalFunction("sched_yield", types.int32())
sleep: Any = types.ExternalFunction("usleep", types.int32(types.uint32))


generated: Any = intrinsic  # untyped, because the compiled functions take other arguments


@generated
def load(context: Any, flags: Any, place: Any) -> Any:
    """Read a flag with acquire order: all writes before the flag are then visible."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.load_atomic(builder.gep(array.data, [arguments[1]]), "acquire", 8)

    return types.int64(flags, types.intp), generate


@generated
def store(context: Any, flags: Any, place: Any, number: Any) -> Any:
    """Write a flag with release order, after all earlier writes of this thread."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        builder.store_atomic(arguments[2], builder.gep(array.data, [arguments[1]]), "release", 8)
        return context.get_dummy_value()

    return types.void(flags, types.intp, types.int64), generate


@compiled_with(nogil=True)
def wait(flags: Any, count: int, place: int, step: int, yields: int, naps: int) -> bool:
    """Set the flag of ``place`` to ``step``, and wait until all ``count`` flags are at least that.

    Args:
        flags: [count · STRIDE] int64, zeros at first.
        count: How many meet.
        place: The place of this one.
        step: A number that grows by one each time.
        yields: How often to yield the core before napping.
        naps: How often to nap before giving up.

    Returns:
        Whether all have come. If not, this may be called again with the same step.
    """
    store(flags, STRIDE * place, step)
    spins = slept = 0
    for other in range(count):
        while load(flags, STRIDE * other) < step:
            spins += 1
            if spins > _SPINS + yields:
                if slept >= naps:
                    return False
                slept += 1
                sleep(_NAP)
            elif spins > _SPINS:
                give_way()
    return True
