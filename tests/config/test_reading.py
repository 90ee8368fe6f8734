"""Strict JSON."""

from pathlib import Path

import pytest

from actor_critic.config import parse_json_object, read_json_object
from actor_critic.config.reading import MAX_BYTES, MAX_DEPTH
from actor_critic.errors import ConfigError


def _refusal(data: bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_json_object(data, "config.json")
    text = str(caught.value)
    assert text.startswith("config.json") and "\n" not in text
    return text


@pytest.mark.parametrize(
    "data", [b'{"seed": 1, "seed": 1}', b'{"a": {"seed": 1, "seed": 2}}', b'{"s\\u0065ed":1,"seed":2}']
)
def test_a_key_given_twice_is_refused_at_any_depth(data: bytes) -> None:
    assert "key 'seed' appears twice" in _refusal(data)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000, "-" + "9" * 5000])
@pytest.mark.parametrize("place", ["%s", "[%s]", '{"b": [0, {"c": %s}]}'])
def test_a_number_that_is_not_finite_is_refused_with_the_key_it_belongs_to(number: str, place: str) -> None:
    text = _refusal(f'{{"first": 1, "gamma": {place % number}}}'.encode())
    assert text.startswith("config.json: gamma: ") and "every number must be finite" in text
    assert "set_int_max_str_digits" not in text


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_nesting_up_to_the_limit_is_read_and_beyond_it_refused(opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"

    def document(depth: int, innermost: bytes) -> bytes:
        return b'{"a":' + opening * (depth - 1) + innermost + closing * (depth - 1) + b"}"

    assert parse_json_object(document(MAX_DEPTH, b"1"), "config.json")
    for innermost in (b"1", b"null"):
        assert f"at most {MAX_DEPTH} levels" in _refusal(document(MAX_DEPTH + 1, innermost))
    assert f"at most {MAX_DEPTH} levels" in _refusal(document(MAX_DEPTH, b"[]"))
    assert f"at most {MAX_DEPTH} levels" in _refusal(document(10**5, b"1"))


def test_a_nesting_bomb_without_an_end_is_refused() -> None:
    assert "nested too deeply" in _refusal(b"[" * 10**5)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is not JSON: Expecting value at line 1, column 1"),
        (b"seed: 1", "is not JSON"),
        (b'{"seed": 1,}', "is not JSON"),
        (b"{'seed': 1}", "is not JSON"),
        (b'{\n"seed": 1\n"gamma": 1}', "at line 3, column 1"),
        (b'{"seed": 01}', "is not JSON"),
        (b'{"a": "\n"}', "is not JSON"),
        (b"{} {}", "is not JSON: Extra data"),
        (b"[]", "holds an array; expected one JSON object"),
        (b'"text"', "holds a string; expected one JSON object"),
        (b"1", "holds a number; expected one JSON object"),
        (b"true", "holds a boolean; expected one JSON object"),
        (b"null", "holds null; expected one JSON object"),
        (b'{"a": "\xe9"}', "is not UTF-8 text: byte 7 is 0xe9"),
        ('{"a": 1}'.encode("utf-16"), "is not UTF-8 text"),
    ],
)
def test_anything_but_one_json_object_in_utf_8_is_refused(data: bytes, words: str) -> None:
    assert words in _refusal(data)


def test_a_byte_order_mark_is_no_obstacle() -> None:
    assert parse_json_object('{"a": "ü"}'.encode("utf-8-sig"), "config.json") == {"a": "ü"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("folder", "is a folder; expected a JSON file"),
        ("missing.json", "does not exist; `actor-critic init --config "),
        ("large.json", f"is larger than {MAX_BYTES} bytes"),
        ("large.json/config.json", "cannot be read: Not a directory"),
        ("x" * 300, "cannot be read: File name too long"),
    ],
)
def test_a_path_that_is_no_readable_file_is_refused_by_name(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "large.json").write_bytes(b'{"a": 1}' + b" " * MAX_BYTES)
    with pytest.raises(ConfigError) as caught:
        read_json_object(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name} {words}")


def test_a_file_just_small_enough_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b'{"a": 1}'.ljust(MAX_BYTES))
    assert read_json_object(tmp_path / "config.json") == {"a": 1}
