"""A second thread that takes over a part of a compiled function, within a microsecond and without Python.

The function posts a call and does its own part; see :func:`side_by_side`. The helper claims the call if it is awake. If
it has not claimed it by then, the function makes the call itself, so nobody waits for a thread that sleeps. The results
are the same in both cases, because the two parts write to different places.
"""

import os
import queue
import threading
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils

from actor_critic.compiling.barrier import STRIDE, generated, give_way, load, sleep, store
from actor_critic.compiling.functions import Array, compiled, compiled_with

POSTED, CLAIMED, DONE, LEAVES, SLEEPS = (STRIDE * line for line in range(5))
"""Places in a post, each in its own cache line: the number of the last call that was posted, claimed by either thread,
and made by the helper; and whether the helper must leave, and whether it sleeps."""

_FUNCTION, _DATA, _CODE = POSTED + 1, POSTED + 2, DONE + 1  # written before the number in the same cache line

_SPINS = 2000  # some microseconds
_YIELDS = 2000  # about a millisecond, in which Python prepares the next call
_LONGEST_NAP = 1000  # microseconds
_NAPS = 1000  # about a second


class Helper:
    """A thread that helps compiled functions; it begins with the first :meth:`wake` and ends with this object.

    Attributes:
        post: Where compiled functions post their calls, after :meth:`wake`.
    """

    def __init__(self) -> None:
        """Make a helper without a thread."""
        self.post = NOBODY
        self._process = 0  # the one that the thread is in

    def wake(self) -> None:
        """Start the thread, or wake it if it sleeps, as it does a second after the last call.

        A forked process has no thread, so it starts one of its own. Without one, functions make all calls themselves.
        """
        if self._process != os.getpid():
            self._begin()
        elif self.post.size and self.post[SLEEPS]:
            self.post[SLEEPS] = 0
            self._bell.put(None)

    def _begin(self) -> None:
        self._process = os.getpid()
        self.post = post = _new_post()
        post[LEAVES] = 1
        serve(post)  # compiles it here, and returns at once
        post[[LEAVES, SLEEPS]] = 0
        self._bell = bell = queue.SimpleQueue[None]()  # unlike an event, it may be used by a destructor
        thread = threading.Thread(target=_help, args=(post, bell), name="helper", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system allows no more threads
            self.post = NOBODY
            return
        bell.put(None)
        weakref.finalize(self, _dismiss, post, bell, thread)


NOBODY: npt.NDArray[np.int64] = np.zeros(0, np.int64)
"""The post of no helper."""


def _new_post() -> npt.NDArray[np.int64]:
    """Return zeros that begin with a cache line."""
    numbers = np.zeros(6 * STRIDE, np.int64)
    first = -numbers.ctypes.data // numbers.itemsize % STRIDE
    return numbers[first : first + 5 * STRIDE]


def _help(post: npt.NDArray[np.int64], bell: "queue.SimpleQueue[None]") -> None:
    while not post[LEAVES]:
        bell.get()
        serve(post)


def _dismiss(post: npt.NDArray[np.int64], bell: "queue.SimpleQueue[None]", thread: threading.Thread) -> None:
    post[LEAVES] = 1
    bell.put(None)
    if thread is not threading.current_thread():
        thread.join(1.0)


@generated
def _claim(context: Any, post: Any, number: Any) -> Any:
    """Claim call ``number``; return whether nobody else has."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        place = builder.gep(array.data, [context.get_constant(types.intp, CLAIMED)])
        before = builder.sub(arguments[1], context.get_constant(types.int64, 1))
        found = builder.cmpxchg(place, before, arguments[1], "acq_rel", "acquire")
        return builder.extract_value(found, 1)

    return types.boolean(post, types.int64), generate


def _stack_copy(builder: Any, value: Any) -> Any:
    """Copy a value to memory that lasts as long as the compiled function runs."""
    place = cgutils.alloca_once(builder, value.type)
    builder.store(value, place)
    return place


@generated
def _call(context: Any, function: Any, data: Any) -> Any:
    """Make the call at two addresses, and return 0 or the code of its error."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = context.call_conv.get_function_type(types.none, [types.intp])
        stub = builder.inttoptr(values[0], kind.as_pointer())
        result, error = (cgutils.alloca_once(builder, each.pointee, zfill=True) for each in kind.args[:2])
        return builder.zext(builder.call(stub, [result, error, values[1]]), context.get_value_type(types.int64))

    return types.int64(types.int64, types.int64), generate


def side_by_side(own: Any, other: Any) -> Any:
    """Return a compiled function that calls two compiled functions at the same time, whose results are ignored.

    It takes the post of a helper, and the arguments of each function as a tuple. The second call is posted, and the
    first one is made meanwhile. The post :data:`NOBODY` makes one after the other.

    If the first call fails, or the helper's, it raises MemoryError, since compiled functions fail only without memory.
    Both calls have ended then: the helper reads the arguments on this function's stack.
    """

    @generated
    def put(context: Any, post: Any, arguments: Any) -> Any:
        """Write down the address of a function that makes the call, and the address of its arguments."""

        def make(given: Any) -> None:
            other(*given)

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            data = _stack_copy(builder, values[1])
            kind = context.call_conv.get_function_type(types.none, [types.intp])
            stub = ir.Function(builder.module, kind, builder.module.get_unique_name("posted_call"))
            stub.linkage = "internal"
            inner = ir.IRBuilder(stub.append_basic_block())
            place = inner.inttoptr(context.call_conv.get_arguments(stub)[0], data.type)
            context.compile_internal(inner, make, types.none(signature.args[1]), [inner.load(place)])
            context.call_conv.return_value(inner, context.get_dummy_value())
            array = context.make_array(signature.args[0])(context, builder, values[0])
            for index, pointer in ((_FUNCTION, stub), (_DATA, data)):
                number = builder.ptrtoint(pointer, ir.IntType(64))
                builder.store(number, builder.gep(array.data, [context.get_constant(types.intp, index)]))
            return context.get_dummy_value()

        return types.none(post, arguments), generate

    @compiled_with(cache=False)  # the cache does not find a closure again; it holds the functions that call this one
    def both(post: Array, own_arguments: Any, other_arguments: Any) -> None:
        has_helper, is_done = post.size > 0, True
        if has_helper:
            put(post, other_arguments)
            store(post, POSTED, post[POSTED] + 1)
        try:
            own(*own_arguments)
        except Exception:
            is_done = False
        if not has_helper or _claim(post, post[POSTED]):  # the helper sleeps, or is late
            if is_done:
                other(*other_arguments)
        else:
            is_done &= _wait_for_helper(post)
        if not is_done:
            raise MemoryError("there is too little memory for an update")

    return both


@compiled
def _wait_for_helper(post: Array) -> bool:
    """Wait until the helper has made the call, and return whether it succeeded."""
    spins = 0
    while load(post, DONE) < post[POSTED]:
        spins += 1
        if spins > _SPINS:
            give_way()
    return bool(post[_CODE] == 0)


@compiled_with(nogil=True)
def serve(post: Array) -> None:
    """Make the calls that are posted, until none came for a second or the helper must leave."""
    seen = post[CLAIMED]
    idle, nap = 0, 1
    while load(post, LEAVES) == 0:
        number = load(post, POSTED)
        if number > seen:
            seen, idle, nap = number, 0, 1
            if _claim(post, number):
                post[_CODE] = _call(post[_FUNCTION], post[_DATA])
                store(post, DONE, number)
            continue
        idle += 1
        if idle > _SPINS + _YIELDS + _NAPS:
            break
        if idle > _SPINS + _YIELDS:
            nap = min(2 * nap, _LONGEST_NAP)
            sleep(nap)
        elif idle > _SPINS:
            give_way()
    store(post, SLEEPS, 1)
