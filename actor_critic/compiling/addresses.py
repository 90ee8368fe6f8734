"""Calls of compiled functions at addresses.

Numba compiles a function, and all that it calls, once more within each of its callers. A large function is called at
its address instead, so that it is compiled once. The address is an argument, because it differs from run to run, and
the code of the callers is cached.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def calling(signature: Any) -> Any:
    """Return a compiled function that calls the function of a signature at an address, given its arguments.

    Arguments of other types are an error of the compiler.
    """

    @intrinsic
    def call(context: Any, address: Any, *arguments: Any) -> Any:
        if tuple(map(_plain, arguments)) != tuple(map(_plain, signature.args)):
            return None  # a typing error: Numba itself would convert an array of another layout without a word

        def generate(context: Any, builder: Any, own: Any, values: Any) -> Any:
            kind = context.call_conv.get_function_type(signature.return_type, signature.args)
            function = builder.inttoptr(values[0], ir.PointerType(kind))
            given = cgutils.unpack_tuple(builder, values[1], len(signature.args))
            returns, kinds = signature.return_type, signature.args
            status, result = context.call_conv.call_function(builder, function, returns, kinds, given)
            with cgutils.if_unlikely(builder, status.is_error):
                context.call_conv.return_status_propagate(builder, status)
            return result

        return signature.return_type(address, types.Tuple(signature.args)), generate

    return call


def _plain(kind: Any) -> Any:
    """Return a type whether or not its values are constant or read-only."""
    return kind.copy(readonly=False) if isinstance(kind, types.Array) else types.unliteral(kind)


def address_of(function: Any, signature: Any) -> int:
    """Compile a function with a signature, or load it from the cache, and return its address.

    Args:
        function: A function decorated with :data:`compiled`.
        signature: The one that is given to :func:`calling`. With another one, the call would misread its arguments.

    Raises:
        TypeError: The function returns another type.
    """
    function.compile(signature)
    made = function.overloads[signature.args]
    if made.signature.return_type != signature.return_type:
        raise TypeError(f"{function.__name__} returns {made.signature.return_type}, not {signature.return_type}")
    return int(made.library.get_pointer_to_function(made.fndesc.llvm_func_name))
