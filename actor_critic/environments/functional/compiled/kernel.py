"""The loops of a functional environment as compiled functions of one signature each.

The signatures hold only integers and pointers, so code that calls them, such as the compiled collector, is compiled
once for all environments.
"""

import contextlib
import hashlib
import logging
import os
import re
import sys
from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numba
import numpy as np
from numba import carray, int64, njit, types
from numba.core import cgutils
from numba.core.caching import IndexDataCacheFile
from numba.core.ccallback import CFunc
from numba.core.compiler import CompileResult
from numba.core.types import voidptr
from numba.extending import intrinsic

from actor_critic.compiling import cache_folder, unused
from actor_critic.environments.functional.compiled import random
from actor_critic.environments.functional.compiled.explain import explain
from actor_critic.environments.functional.compiled.user_code import ForeignRandomError, UserCode, rename
from actor_critic.environments.functional.features import feature_maker
from actor_critic.environments.functional.layout import Layout
from actor_critic.environments.functional.loops import FAILED, LOOPS, bind, number_maker
from actor_critic.environments.functional.random import WORDS
from actor_critic.errors import ConfigError

log = logging.getLogger("actor_critic")


# Signatures: first, last, the number of versions of the parameters (, limit), and the arrays of the templates in
# ``functional/loops.py`` as pointers. ``memory``, ``seen`` and ``finals_seen`` are left out: they are other arrays as
# bytes.
_RESET = int64(int64, int64, int64, *[voidptr] * 6)
_STEP = int64(int64, int64, int64, int64, *[voidptr] * 11)
_OBSERVE = int64(int64, int64, int64, *[voidptr] * 6)


@intrinsic
def address(context: Any, array: Any) -> Any:
    """Return a pointer to the first entry of an array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.bitcast(found.data, context.get_value_type(voidptr))

    return voidptr(array), generate


def _calling(signature: Any) -> Any:
    """Return a compiled function that calls the function of a signature at an address."""

    @intrinsic
    def call(context: Any, function: Any, *arguments: Any) -> Any:
        def generate(context: Any, builder: Any, types: Any, values: Any) -> Any:
            from llvmlite import ir

            kinds = [context.get_value_type(kind) for kind in signature.args]
            pointer = ir.FunctionType(ir.IntType(64), kinds).as_pointer()
            given = cgutils.unpack_tuple(builder, values[1], len(kinds))
            return builder.call(builder.inttoptr(values[0], pointer), given)

        return int64(function, types.Tuple(signature.args)), generate

    return call


call_reset, call_step, call_observe = _calling(_RESET), _calling(_STEP), _calling(_OBSERVE)
"""Compiled functions: call a function of a :class:`Kernel`, given its address and its arguments."""


class Kernel:
    """The compiled loops of one environment class with one layout.

    Attributes:
        reset: The address of the function that begins episodes; ``call_reset`` calls it.
        step: The address of the function that steps environments.
        observe: The address of the function that writes observations.
        was_cached: Whether nothing had to be compiled.
    """

    def __init__(self, functions: dict[str, Callable[..., Any]], layout: Layout) -> None:
        """Compile the loops, or load them from the cache.

        Args:
            functions: The functions of the environment by name.
            layout: Its types and shapes.

        Raises:
            ConfigError: A function cannot be compiled; the message names it, the line and the reason.
        """
        code = UserCode()
        try:
            compiled = {name: code.compiled(function) for name, function in functions.items()}
        except TypeError as error:
            raise ConfigError(f"environment: {layout.name}: {error}; expected static methods") from None
        except ForeignRandomError as error:
            raise ConfigError(f"environment: {layout.name}: {error}") from None
        names: dict[str, Any] = {
            **compiled,
            "number_of": code.compiled(number_maker(layout)),
            "encode": code.compiled(feature_maker(layout)),
            "random_at": random.random_at,
            "start": random.start,
            "episode_seed": random.episode_seed,
        }
        names.setdefault("action_mask", _no_mask)
        loops = bind(layout, names, njit(error_model="numpy"))
        digest = hashlib.sha256(f"{code.digest} {layout} {_machine()}".encode()).hexdigest()
        code.rename(digest)
        for compiled_loop in loops.values():
            rename(compiled_loop.py_func, digest)
        self.was_cached = True
        made = _loaded.setdefault(digest, {})
        for loop, signature in (("reset", _RESET), ("step", _STEP), ("observe", _OBSERVE)):
            if loop in made:
                continue
            kept = _Kept(f"{layout.name}-{loop}-{digest[:32]}")
            if not kept.is_there and self.was_cached:
                log.info("compiling %s: this takes some seconds, and again only if its functions change", layout.name)
            try:
                made[loop] = _compiled(_entry_points(loops[loop], layout, digest)[loop], signature, kept)
            except Exception as error:  # errors within the compiler are of any kind
                explain(functions, layout, error)
            self.was_cached = self.was_cached and kept.is_there
        self.reset, self.step, self.observe = (np.int64(made[loop].address) for loop in LOOPS)


_loaded: dict[str, dict[str, Any]] = {}
"""Compiled loops in memory, by digest; they stay there, since collectors hold addresses."""


@njit
def _no_mask(state: Any, mask: Any, parameters: Any) -> None:
    pass


def _compiled(function: Any, signature: Any, cache: "_Kept") -> Any:
    """Compile a function to a C callback, or load it from a cache."""
    made = CFunc(function, (signature.args, signature.return_type), locals={}, options={"error_model": "numpy"})
    made._cache = cache
    made.compile()
    return made


class _Kept:
    """The cache of one compiled function, in a file named by everything that its code depends on."""

    def __init__(self, key: str) -> None:
        self._folder, name = cache_folder(), re.sub(r"\W", "-", key)
        self._file = self._folder and IndexDataCacheFile(str(self._folder), name, key)
        self._payload = None
        if self._file:
            with contextlib.suppress(Exception):  # a damaged file raises anything; the code is compiled again
                self._payload = self._file.load("code")
        if self._folder and self._payload is not None:
            with contextlib.suppress(OSError):  # it is used: see `unused`
                os.utime(self._folder / f"{name}.nbi")
        self.is_there = self._payload is not None

    def load_overload(self, signature: Any, target: Any) -> Any:
        """Return the compiled function, or None."""
        target.refresh()
        return CompileResult._rebuild(target, *self._payload) if self._payload is not None else None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Save a compiled function."""
        if self._file and self._folder:
            with contextlib.suppress(OSError):  # such as a full disk; the next process compiles again
                self._file.save("code", result._reduce())
            for index in unused(self._folder.glob("*-*-*.nbi")):  # every change of an environment leaves some
                for path in self._folder.glob(f"{index.stem}.*"):
                    path.unlink(missing_ok=True)


def _machine() -> str:
    """Return what compiled code depends on, besides its source."""
    host = llvmlite.binding
    features = host.get_host_cpu_features().flatten()
    return f"{sys.version} {numba.__version__} {np.__version__} {host.get_host_cpu_name()} {features}"


def _entry_points(loop: Any, layout: Layout, digest: str) -> dict[str, Any]:
    """Return for each loop the function with pointers that calls it."""
    state, state_shape, size = layout.state, layout.state_shape, layout.state_size
    out, out_shape, out_size = layout.observations.dtype, layout.out_shape, layout.out_size
    num_features, num_logits, num_groups = (
        layout.observations.num_features,
        layout.actions.num_logits,
        layout.actions.num_groups,
    )
    parameters_type = layout.parameters
    u64, i64, f32, flag, byte = np.uint64, np.int64, np.float32, np.bool_, np.uint8

    def reset(first, last, num, stream, parameters, versions, states, words, counts):
        return loop(
            first, last, num, carray(stream, (5,), i64), carray(parameters, (num,), parameters_type),
            carray(versions, (last,), i64), carray(states, (last, *state_shape), state),
            carray(states, (last, size), byte), carray(words, (last, WORDS), u64), carray(counts, (last, 2), i64),
        )  # fmt: skip

    def step(
        first, last, num, limit, stream, parameters, versions, states, words, counts, actions, rewards, terminated,
        truncated, finals,
    ):  # fmt: skip
        return loop(
            first, last, num, limit, carray(stream, (5,), i64), carray(parameters, (num,), parameters_type),
            carray(versions, (last,), i64), carray(states, (last, *state_shape), state),
            carray(states, (last, size), byte), carray(words, (last, WORDS), u64), carray(counts, (last, 2), i64),
            carray(actions, (last, num_groups), i64), carray(rewards, (last,), f32),
            carray(terminated, (last,), flag), carray(truncated, (last,), flag),
            carray(finals, (last, *out_shape), out), carray(finals, (last, out_size), byte),
        )  # fmt: skip

    def observe(first, last, num, parameters, versions, states, observations, features, masks):
        return loop(
            first, last, carray(parameters, (num,), parameters_type), carray(versions, (last,), i64),
            carray(states, (last, *state_shape), state),
            carray(observations, (last, *out_shape), out), carray(observations, (last, out_size), byte),
            carray(features, (last, num_features), f32), carray(masks, (last, num_logits), flag),
        )  # fmt: skip

    return {function.__name__: _guarded(function, digest) for function in (reset, step, observe)}


def _guarded(function: Any, digest: str) -> Any:
    """Return a function that returns ``FAILED`` instead of an exception, which could not pass through its callers."""
    name = function.__name__
    rename(function, digest)
    inner = njit(error_model="numpy")(function)

    def of_nine(a, b, c, d, e, f, g, h, i):
        try:
            return inner(a, b, c, d, e, f, g, h, i)
        except Exception:
            return FAILED

    def of_fifteen(a, b, c, d, e, f, g, h, i, j, k, m, n, o, p):
        try:
            return inner(a, b, c, d, e, f, g, h, i, j, k, m, n, o, p)
        except Exception:
            return FAILED

    made = of_nine if function.__code__.co_argcount == 9 else of_fifteen
    made.__qualname__ = f"{made.__qualname__}_{name}"
    rename(made, digest)
    return made
