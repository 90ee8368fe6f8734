"""Random numbers in compiled code: the same functions as in :mod:`actor_critic.environments.functional.random`.

``episode_seed`` here is :func:`actor_critic.seeding.episode_seed`.
"""

from typing import Any

import numpy as np
from numba import carray, types
from numba.core import cgutils
from numba.core.datamodel.models import StructModel
from numba.extending import intrinsic, make_attribute_wrapper, overload_method, register_model

from actor_critic.compiling import Array, compiled
from actor_critic.environments.functional import random as in_python
from actor_critic.environments.functional.random import WORDS

_M0, _M1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_W0, _W1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_SHIFT, _ONE, _FOUR = np.uint64(11), np.uint64(1), np.uint64(4)
_UNIT = 2.0**-53


class _RandomType(types.Type):
    def __init__(self) -> None:
        super().__init__(name="Random")


RANDOM = _RandomType()
"""The type of ``random`` in compiled code: a pointer to the state of a generator."""

_WORDS = types.CPointer(types.uint64)


@register_model(_RandomType)
class _RandomModel(StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("words", _WORDS)])


make_attribute_wrapper(_RandomType, "words", "words")


@intrinsic
def random_at(context: Any, words: Any) -> Any:
    """Return the generator whose state is a contiguous array of WORDS words."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        made = cgutils.create_struct_proxy(RANDOM)(context, builder)
        made.words = array.data
        return made._getvalue()

    return RANDOM(words), generate


@intrinsic
def high_product(context: Any, a: Any, b: Any) -> Any:
    """Return the upper 64 bits of the product of two numbers of 64 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from llvmlite import ir

        wide = ir.IntType(128)
        product = builder.mul(builder.zext(arguments[0], wide), builder.zext(arguments[1], wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate


@compiled
def _product(a: Any, b: Any, c: Any, d: Any) -> Any:
    """Return a · b and c · d in words of 64 bits: low, high, low, high."""
    return a * b, high_product(a, b), c * d, high_product(c, d)


@compiled
def refill(words: Array) -> None:
    """Write the block of the current draw into a state; see :func:`~.random.philox`."""
    c0, c1, c2, c3 = words[1] // _FOUR + _ONE, np.uint64(0), np.uint64(0), np.uint64(0)
    k0, k1 = words[0], np.uint64(0)
    for _ in range(10):
        product = _product(_M0, c0, _M1, c2)
        c0, c1, c2, c3 = product[3] ^ c1 ^ k0, product[2], product[1] ^ c3 ^ k1, product[0]
        k0 += _W0
        k1 += _W1
    words[2], words[3], words[4], words[5] = c0, c1, c2, c3


@compiled
def next_word(random: Any) -> Any:
    """Return the next 64 bits."""
    words = carray(random.words, (WORDS,))
    place = words[1] % _FOUR
    if place == 0:
        refill(words)
    words[1] += _ONE
    return words[np.int64(2) + np.int64(place)]


@overload_method(_RandomType, "uniform")
def _uniform(random: Any, low: Any = 0.0, high: Any = 1.0) -> Any:
    def uniform(random: Any, low: Any = 0.0, high: Any = 1.0) -> Any:
        return low + (high - low) * (np.float64(next_word(random) >> _SHIFT) * _UNIT)

    return uniform


@overload_method(_RandomType, "integers")
def _integers(random: Any, low: Any, high: Any) -> Any:
    def integers(random: Any, low: Any, high: Any) -> Any:
        if high <= low:
            raise ValueError("integers: low must be less than high")
        return np.int64(low) + np.int64(high_product(next_word(random), np.uint64(np.int64(high) - np.int64(low))))

    return integers


# Not strict: the methods have annotations and these functions have others.
@overload_method(_RandomType, "normal", strict=False)
def _normal(self: Any, mean: Any = 0.0, deviation: Any = 1.0) -> Any:
    return in_python.Random.normal


@overload_method(_RandomType, "exponential", strict=False)
def _exponential(self: Any, mean: Any = 1.0) -> Any:
    return in_python.Random.exponential


@overload_method(_RandomType, "poisson", strict=False)
def _poisson(self: Any, mean: Any) -> Any:
    return in_python.Random.poisson


@overload_method(_RandomType, "choice", strict=False)
def _choice(self: Any, weights: Any) -> Any:
    return in_python.Random.choice


@overload_method(_RandomType, "shuffle", strict=False)
def _shuffle(self: Any, values: Any) -> Any:
    return in_python.Random.shuffle


# NumPy's SeedSequence, from its documentation and O'Neill (2015), "Developing a seed_seq alternative".
_INIT_A, _MULT_A = np.uint32(0x43B0D7E5), np.uint32(0x931E8875)
_INIT_B, _MULT_B = np.uint32(0x8B51F9DD), np.uint32(0x58F38DED)
_MIX_LEFT, _MIX_RIGHT = np.uint32(0xCA01F9DD), np.uint32(0x4973F715)
_HALF = np.uint32(16)
_POOL = 4


@compiled
def _hashed(value: Any, constants: Array) -> Any:
    """Return a hashed word, and update the running constant of the hash."""
    value = np.uint32(value ^ constants[0])
    constants[0] = np.uint32(constants[0] * _MULT_A)
    value = np.uint32(value * constants[0])
    return np.uint32(value ^ (value >> _HALF))


@compiled
def _mixed(x: Any, y: Any) -> Any:
    """Return two words mixed into one."""
    found = np.uint32(np.uint32(_MIX_LEFT * x) - np.uint32(_MIX_RIGHT * y))
    return np.uint32(found ^ (found >> _HALF))


@compiled
def episode_seed(seed: int, purpose: int, low: int, span: int, environment: int, episode: int) -> Any:
    """Return the seed of one episode; ``low`` and ``span`` are the range of seeds of the purpose."""
    entropy = np.zeros(_POOL + 3, np.uint32)
    entropy[0] = seed
    entropy[_POOL], entropy[_POOL + 1], entropy[_POOL + 2] = purpose, environment, episode
    constants = np.full(1, _INIT_A, np.uint32)
    pool = np.empty(_POOL, np.uint32)
    for i in range(_POOL):
        pool[i] = _hashed(entropy[i], constants)
    for source in range(_POOL):
        for target in range(_POOL):
            if source != target:
                pool[target] = _mixed(pool[target], _hashed(pool[source], constants))
    for source in range(_POOL, entropy.size):
        for target in range(_POOL):
            pool[target] = _mixed(pool[target], _hashed(entropy[source], constants))
    value = np.uint32(pool[0] ^ _INIT_B)
    value = np.uint32(value * np.uint32(_INIT_B * _MULT_B))
    value = np.uint32(value ^ (value >> _HALF))
    return np.uint64(low) + np.uint64(value) % np.uint64(span)


@compiled
def start(words: Array, seed: Any) -> None:
    """Start with the first number of a seed."""
    words[0] = seed
    words[1] = np.uint64(0)
