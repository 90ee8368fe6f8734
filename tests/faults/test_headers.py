"""Headers changed in every way: what is read is a checkpoint or a CheckpointError, and nothing else."""

import contextlib
import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from actor_critic import ActorCriticAgent
from actor_critic.errors import CheckpointError
from actor_critic.storage import checkpoints
from tests.faults.conftest import Campaign
from tests.faults.forgery import Parts, frame, take_apart
from tests.storage.test_golden import GOLDEN

FAULT = "mutated checkpoint headers through the loader"
NASTY: list[Any] = [
    None, True, False, 0, 1, -1, 2, 7, 65536, 10**6, 10**12, 2**63, -(2**63), 10**400, 0.5, -0.0, 1e308, float("nan"),
    float("inf"), "", "a", "off", "auto", "cpu", "mlp", "gru", "fused", "small_cnn", "evil:Code", "../../evil",
    "\x1b[2J", "\ud800", "\0", "x" * 10**4, [], [[]], {}, {"a": 1}, [1, 2], [-1], [0], [10**12], [10**12, 10**12],
    [0, 2**62, 8], ["a"], "F32", "F64", "I64", "BOOL", "U8", "BF16", "int64", "uint8", "object", "U100000000",
    "image", "categories", "box", [0, 1, 2], [36, 36, 3], [1] * 100, "random-states", "Acrobot-v1", "linear",
]  # fmt: skip


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every container below a JSON value with every key or index of it."""
    keys = node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in list(keys):
        yield node, key
        yield from places(node[key])


def mutate(chance: random.Random, parts: Parts) -> None:
    """Change one thing somewhere in the headers."""
    top = chance.choice([parts.entries, parts.header, parts.header["settings"], parts.header["spaces"], parts.header])
    node, key = chance.choice(list(places(top)) or [(parts.header, "digest")])
    others = list(places(parts.header))
    match chance.randrange(7):
        case 0:
            del node[key]
        case 1 if isinstance(node, dict):
            node[chance.choice(["", "x", "\x1b", "\ud800", f"{key}_", "__metadata__"])] = node.pop(key)
        case 2:
            other, name = chance.choice(others)
            node[key] = copy.deepcopy(other[name])
        case 3 if type(node[key]) in (int, float):
            node[key] = node[key] * chance.choice([-1, 2, 1000, 10**12]) + chance.choice([-1, 0, 1])
        case 4 if isinstance(node, list):
            node.insert(key, chance.choice(NASTY))
        case 5:
            for _ in range(chance.choice([1, 30, 100])):
                node[key] = [node[key]]
        case _:
            node[key] = copy.deepcopy(chance.choice(NASTY))


def scramble(chance: random.Random, file: bytes) -> bytes:
    """Change some bytes of the header, its length told rightly or not."""
    length = int.from_bytes(file[:8], "little")
    text = bytearray(file[8 : 8 + length])
    for _ in range(chance.choice([1, 1, 2, 8])):
        at = chance.randrange(len(text))
        piece = bytes(chance.choice([0, 34, 44, 58, 91, 93, 123, 125, 45, 57, 101, 92, 255]) for _ in range(3))
        match chance.randrange(4):
            case 0:
                text[at] ^= 1 << chance.randrange(8)
            case 1:
                del text[at : at + chance.choice([1, 5, 50])]
            case 2:
                text[at:at] = text[at : at + chance.choice([1, 20, 200])]
            case _:
                text[at : at + chance.randrange(4)] = piece
        if not text:
            break
    whole = frame(bytes(text), file[8 + length :])
    if chance.random() < 0.2:
        return chance.choice([0, 1, length, 2**20 + 1, 2**63, 2**64 - 1]).to_bytes(8, "little") + whole[8:]
    return whole


def test_a_changed_header_is_a_checkpoint_or_a_checkpoint_error(campaign: Campaign, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    golden = GOLDEN.read_bytes()
    loaded = used = 0
    for seed in campaign.tries(FAULT, 400, 20_000):
        chance = random.Random(seed)
        if seed % 4:
            parts = take_apart(golden)
            for _ in range(chance.choice([1, 1, 1, 2, 4])):
                with contextlib.suppress(KeyError, IndexError, TypeError, OverflowError, RecursionError):
                    mutate(chance, parts)
            if seed % 4 > 1:
                parts.seal()
            path.write_bytes(parts.to_bytes())
        else:
            path.write_bytes(scramble(chance, golden))
        try:
            checkpoint = checkpoints.load(path)
            loaded += 1
            json.dumps(checkpoint.settings)
            ActorCriticAgent.from_checkpoint(checkpoint, path, "cpu")
            used += 1
        except CheckpointError as error:
            assert str(error).startswith(str(path)) and str(error).isprintable() and len(str(error)) < 4000
    print(f"{loaded} loaded, {used} used")
    assert 0 < used < loaded
