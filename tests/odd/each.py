"""One environment of each odd kind, plain in all else. Random draws may miss a kind."""

from typing import Any

from tests.odd.answers import FLAGS, MASK_FORMS, RETURNS, REWARDS
from tests.odd.environment import ENDINGS, MASKS, UNREADABLE, WRAPPERS
from tests.odd.faults import BROKEN, CALLS, EXCEPTIONS
from tests.odd.habits import HABITS
from tests.odd.problems import Box, Discrete, MultiBinary, MultiDiscrete, Node, Odd, leaf
from tests.odd.strategies import Case
from tests.odd.unsupported import SPACES

_NUMBERS = leaf(Box([2]))
_PARTS: Node = {
    "Dict": {
        "bits": leaf(MultiBinary([2])),
        "cell": leaf(Discrete(3, -1, "int8")),
        "grid": leaf(Box([2], "uint8", 2, 2)),
        "hand": leaf(MultiDiscrete([2, 3], 1, "int32")),
        "speed": leaf(Box([], "float16")),
    }
}
_CHOICES: Node = {"Tuple": [leaf(Discrete(3)), leaf(MultiBinary([1]))]}


def sound_kinds() -> list[Case]:
    """Return one case of each supported kind; if compared, a plain twin must train to the same weights."""

    def case(odd: Odd, wrappers: tuple[str, ...] = (), **how: Any) -> Case:
        return Case(odd, {}, wrappers, **how)

    def plain(observation: Node = _NUMBERS, action: Node = leaf(Discrete(2)), **odd: Any) -> Odd:  # noqa: B008
        return Odd(observation, action, **odd)

    # A bool and a float16 hold less of a reward than a float does.
    exact = [name for name in REWARDS if name not in ("an int", "a bool", "a NumPy float16")]
    cases = [case(plain(_PARTS, returns=name), is_compared=True) for name in RETURNS]
    cases += [case(plain(reward=name), is_compared=name in exact) for name in REWARDS]
    cases += [case(plain(flags=name), is_compared=True) for name in FLAGS]
    for place in MASKS:
        forms = [form for form, (_, dtype) in MASK_FORMS.items() if dtype or place != 'observation["action_mask"]']
        if place not in (None, UNREADABLE):
            cases += [case(plain(action=_CHOICES, mask=place, mask_form=form), is_compared=True) for form in forms]
    for name in HABITS:
        cases += [
            case(plain(habits=((name, call),)), has_folder=True, is_compared=True)
            for call in ("constructor", "reset", "step")
        ]
    alone = Case(plain(excludes_another=True), {"num_envs": 1, "num_steps": 128}, has_folder=True, is_repeated=True)
    cases += [case(plain(), (name,), has_folder=True, is_repeated=True) for name in WRAPPERS]
    cases += [case(plain(ending=name), has_folder=True, is_repeated=True) for name in ENDINGS]
    return [*cases, alone]


def refused_kinds() -> list[Case]:
    """Return one case of each kind that is refused or fails."""
    action, odds = leaf(Discrete(2)), []
    for name in EXCEPTIONS:
        for call in CALLS:
            mask = "a method action_masks()" if call == "mask" else None
            odds.append(Odd(_NUMBERS, action, mask=mask, fault=name, fault_call=call, fault_after=2))
    for name, broken in BROKEN.items():
        observation = leaf(Box([2], "int16", 2, 2)) if "whole numbers" in name else _NUMBERS
        mask = 'info["action_mask"]' if "mask" in name else None
        odds += [
            Odd(observation, action, mask=mask, fault=name, fault_call=call, fault_after=20) for call in broken.calls
        ]
    odds += [Odd(_NUMBERS, action, unsupported=name) for name in SPACES]
    return [Case(odd, {}) for odd in [*odds, Odd(_NUMBERS, action, mask=UNREADABLE)]]
