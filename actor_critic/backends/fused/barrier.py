"""Two threads of compiled code that meet once for each optimizer step."""

import sys
from typing import Any

from numba import types
from numba.extending import intrinsic

from actor_critic.backends.fused.compiling import compiled_with

CAN_MEET = sys.platform != "win32"  # where giving way has another name

BOARD_SIZE = 16
"""Numbers on a board: each side's stands in a cache line of its own."""

_SPINS = 4000  # some microseconds: the other side mostly comes sooner
_YIELDS = 500  # some hundred microseconds, in which it may have got the processor back
_NAP = 20  # microseconds: somebody else needs the processor, such as who collects the next rollout

_give_way: Any = types.ExternalFunction("sched_yield", types.int32())
_sleep: Any = types.ExternalFunction("usleep", types.int32(types.uint32))


generated: Any = intrinsic  # what it makes of a function is called with other arguments


@generated
def _load(context: Any, board: Any, place: Any) -> Any:
    """Read a number, and see all that its writer had written before it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.load_atomic(builder.gep(array.data, [arguments[1]]), "acquire", 8)

    return types.int64(board, types.intp), generate


@generated
def _store(context: Any, board: Any, place: Any, number: Any) -> Any:
    """Write a number, after all that this thread has written before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        builder.store_atomic(arguments[2], builder.gep(array.data, [arguments[1]]), "release", 8)
        return context.get_dummy_value()

    return types.void(board, types.intp, types.int64), generate


@compiled_with(nogil=True)
def meet(board: Any, side: int, time: int) -> None:
    """Say on the board [16] that ``side``, 0 or 1, has come to the ``time``-th meeting, and wait for the other."""
    _store(board, 8 * side, time)
    spins = 0
    while _load(board, 8 * (1 - side)) < time:
        spins += 1
        if spins > _SPINS + _YIELDS:
            _sleep(_NAP)
        elif spins > _SPINS:
            _give_way()
