"""The compiler's messages in plain words."""

import re
from collections.abc import Callable

from actor_critic.environments.functional.random import RANDOM_METHODS

_CONSTANTS = "numbers, tuples of numbers, NumPy arrays and functions at the top of a module"

_EMPTY = {"DictType": "dict", "ListType": "list"}

_Match = re.Match[str]

_TYPES: tuple[tuple[str, str], ...] = (
    (r"Literal\[str\]\(.*?\)", "text"),
    (r"Literal\[\w+\]\((.*?)\)", r"\1"),
    (r"OptionalType\((.*?)\)", r"\1 or None"),
    (r"nestedarray\((\w+), \(.*?\)\)", r"array of \1"),
    (r"array\((\w+), \d+d, \w+\)", r"array of \1"),
    (r"(?:reflected )?list\((.*?)\)<iv=None>", r"list of \1"),
    (r"LiteralList\(\(.*\)\)", "list of several types"),
    (r"DictType\[.*?\](?:<iv=None>)?", "dict"),
    (r"unicode_type|\[unichr x \d+\]", "text"),
    (r"Record\(.*\)", "record"),
    (r"\bnone\b", "None"),
    (r"UniTuple\((.*?) x (\d+)\)", r"tuple of \2 \1"),
    (r"Tuple\(([^()]*)\)", r"tuple of (\1)"),
    (r".*generator\(.*", "generator"),
)


def plain_type(text: str) -> str:
    """Return a type of Numba in plain words."""
    for pattern, words in _TYPES:
        text = re.sub(pattern, words, text, flags=re.DOTALL)
    return text


def plain_reason(text: str) -> str:
    """Return what a message of Numba says is wrong, and what to write instead, where that is known."""
    text = re.sub(r"\x1b\[\d+m", "", text)
    matches = [(found, words) for pattern, words in _REASONS if (found := re.search(pattern, text))]
    # What comes first in the message is the function itself; what comes later is inside of NumPy's functions.
    first, words = min(matches, key=lambda pair: pair[0].start(), default=(None, None))
    return words(first) if first and words else _first_line(text)


def _attribute(found: _Match) -> str:
    name, kind = found[1], found[2].strip()
    if kind == "Random":
        return f"random has no {name!r}; it has {', '.join(RANDOM_METHODS)}"
    if kind.startswith("Module("):
        module = re.sub(r"Module\(<module '([\w.]+)'.*", r"\1", kind, flags=re.DOTALL)
        return (
            f"{module}.{name} is not available in compiled code, which may use NumPy and math; a function of your own "
            f"is imported by name: from {module} import {name}"
        )
    return f"{plain_type(kind)} has no {name!r} in compiled code"


def _global(found: _Match) -> str:
    name, kind = found[1], found[2].rpartition(".")[2]
    if kind == "type":
        return (
            f"it uses the class {name}; functions cannot use classes: put numbers into parameters or module constants, "
            f"and helper functions at the top of the module"
        )
    return _collection(name, kind)


def _collection(name: str, kind: str) -> str:
    remedy = "make it a tuple or a NumPy array" if kind in ("list", "dict", "set") else f"expected {_CONSTANTS}"
    return f"the global {name} is a {kind}, which compiled code cannot use; {remedy}"


def _call(found: _Match) -> str:
    signature = plain_type(" ".join(found[1].split()))
    name = signature.partition("(")[0]
    if signature.startswith(("getitem(record", "setitem(record")):
        return "the index of a record is a variable; expected a constant, such as out[0]"
    if name == "getitem":
        what = signature.partition("(")[2].rpartition(",")[0]
        return f"{what} has no entries, so it cannot be indexed"
    remedy = "; write min(max(x, low), high)" if name == "clip" else ""
    return f"{signature} is not possible in compiled code{remedy}"


def _unify(found: _Match) -> str:
    name = re.sub(r"\.\d+$", "", found[3]).lstrip("$")
    kinds = sorted({plain_type(found[1]), plain_type(found[2])})
    return f"the variable {name} is {' in one place and '.join(kinds)} in another; give it one type"


def _returned(found: _Match) -> str:
    return f"it returns values of different types: {plain_type(found[1])}"


_F_STRING = "it formats a number in an f-string; leave texts to render"

_UNSUPPORTED = {
    "IMPORT_NAME": "it imports a module; import it at the top of the file",
    "UNPACK_EX": "it unpacks with a star (a, *b = ...); use indices or slices",
    "BUILD_MAP": "it builds a dict; use arrays or separate variables",
    "LOAD_BUILD_CLASS": "it defines a class; functions may use numbers and arrays",
    "SETUP_WITH": "it uses a with statement; leave it out",
    "FORMAT_WITH_SPEC": _F_STRING,  # from Python 3.13 on
}


def _opcode(found: _Match) -> str:
    return _UNSUPPORTED.get(found[1], f"it uses Python that is not available in compiled code ({found[1]})")


_REASONS: tuple[tuple[str, Callable[[_Match], str]], ...] = (
    (r"Unknown attribute '(\w+)' of type ([^\n]+)", _attribute),
    (r"Untyped global name '(\w+)':[^<]*<class '([\w.]+)'>", _global),
    (r"reflected (list|set)\([^\n]*assigned to variable '(\w+)' in globals", lambda m: _collection(m[2], m[1])),
    (r"NameError: name '(\w+)' is not defined", lambda found: f"the name {found[1]!r} is not defined"),
    (r"Cannot unify ([^\n]+?) and ([^\n]+?) for '([^']+)'", _unify),
    (r"Can't unify return type from the following types: ([^\n]+)", _returned),
    (r"Use of unsupported opcode \((\w+)\)", _opcode),
    (r"format spec in f-strings", lambda _: _F_STRING),
    (r"Exception object cannot be stored|try.except", lambda _: "it catches an exception; test the values with if"),
    (r"Unsupported context manager", lambda _: "it uses a with statement; leave it out"),
    (r"use of yield in a closure", lambda _: "it uses a generator expression; write a loop"),
    (r"print\(\) function implementation", lambda _: "print takes only the values to print in compiled code"),
    (r"imprecise type: (\w+)", lambda m: f"the type of an empty {_EMPTY.get(m[1], m[1])} is unknown; use an array"),
    (r"No implementation of function [^\n]*found for signature:\s*>>> ([^\n]+)", _call),
)  # fmt: skip


def _first_line(text: str) -> str:
    """Return the first line of a message that says something about the function."""
    skipped = ("Failed in nopython", "During:", "File ", "def ", "<source", "^", "There are", ">>>", "raised from")
    lines = [line.strip() for line in text.splitlines()]
    found = [line for line in lines if line and not line.startswith(skipped)]
    first = re.sub(r"\s*Raised from .*", "", found[0]).rstrip(".: ") if found else ""
    return plain_type(first) or "it uses Python that is not available in compiled code"
