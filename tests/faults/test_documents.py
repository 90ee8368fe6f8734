"""Settings files of every kind: what is read is a config or one line about what is wrong, and nothing else."""

import json
import random
from pathlib import Path
from typing import Any

from actor_critic.config import Config, base_type
from actor_critic.config.resolve import Layer, resolve
from actor_critic.errors import ConfigError
from tests.faults.conftest import Campaign

FAULT = "random JSON documents and every field's wrong values through the config loader"
FIELDS = list(Config.model_fields)
DEEP = 10**4
LITERALS = [
    "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000, "-" + "9" * 400, "0", "-0", "1", "-1", "1.5", "1e3",
    "null", "true", "false", '""', '"off"', '"auto"', '"a:B"', '"\\ud800"', '"\\u0000"', "[]", "{}", '["a:B"]', "[[1]]",
    '{"a": 1}', "[1, null]", "[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP, "4294967296", "1000000000000",
]  # fmt: skip
SYNTAX = ["", "{", "}", "[]", "nul", "{,}", "{'a': 1}", '{"a" 1}', '{"a": 1}}', "\ufeff{}", '"text"', "\0", "{}\x1a"]


def wrong_document(chance: random.Random, name: str) -> str:
    """A document in which one field is wrong, or may be."""
    kind = base_type(name)
    match chance.randrange(6):
        case 0:
            return f'{{"{name}": 1, "{name}": {chance.choice(LITERALS)}}}'
        case 1:
            middle = chance.randrange(len(name))
            return f'{{"{name[:middle]}{chance.choice(["", "_", "x", name[middle] * 2])}{name[middle + 1 :]}": 1}}'
        case 2:
            values = {int: [-1, 2**63, 1.0, True], float: [-1.0, True, "1"], str: [1, [], "\n"], bool: [0, "true"]}
            return json.dumps({name: chance.choice([*values.get(kind, [1, "a"]), None])})
        case 3:
            return json.dumps({name: random_value(chance, 4)})
        case _:
            return f'{{"{name}": {chance.choice(LITERALS)}}}'


def random_value(chance: random.Random, depth: int) -> Any:
    """A JSON value."""
    leaves = [
        None,
        True,
        chance.randint(-(10**6), 10**6),
        chance.uniform(-10, 10),
        "".join(chance.choices('aB:_é"\\\n', k=4)),
    ]
    match chance.randrange(6 if depth else 4):
        case 4:
            return [random_value(chance, depth - 1) for _ in range(chance.randrange(4))]
        case 5:
            return {
                chance.choice([*FIELDS, "a", ""]): random_value(chance, depth - 1) for _ in range(chance.randrange(4))
            }
        case _:
            return chance.choice(leaves)


def random_document(chance: random.Random) -> bytes:
    """A file: some fields, each with something; or the same, damaged."""
    if chance.random() < 0.1:
        return chance.choice(SYNTAX).encode()
    members = []
    for name in chance.sample(FIELDS, chance.randrange(6)):
        choices = [chance.choice(LITERALS), json.dumps(random_value(chance, 3)), *[str(chance.randrange(1, 100))] * 2]
        members.append(f'"{name}": {chance.choice(choices)}')
    text = bytearray(f"{{{', '.join(members)}}}".encode())
    for _ in range(chance.choice([0, 0, 0, 1, 4])):
        text[chance.randrange(len(text))] = chance.randrange(256)
    return bytes(text)


def test_a_settings_file_is_a_config_or_a_config_error(campaign: Campaign, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    read = resolved = 0
    for seed in campaign.tries(FAULT, 1200, 20_000):
        chance = random.Random(seed)
        if seed % 2:
            path.write_bytes(random_document(chance))
        else:
            path.write_text(wrong_document(chance, FIELDS[seed // 2 % len(FIELDS)]), encoding="utf-8")
        try:
            config = Config.load(path)
            read += 1
            resolve(Layer(str(path), config)).settings.to_json()
            resolved += 1
        except ConfigError as error:
            text = str(error)
            assert text.isprintable() and len(text) < 10**4, ascii(text)
    print(f"{read} read, {resolved} resolved")
    assert 0 < resolved < read
