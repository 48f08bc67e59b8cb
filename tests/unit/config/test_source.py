"""YAML is read as plain data with lines, within bounds, and as typed values."""

import json
import math
import time
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Discriminator, Field, Tag

from edgekit.config.source import (
    DEEPEST_NESTING,
    LARGEST_FILE_BYTES,
    Plain,
    parse_document,
    read_document,
    read_typed,
    resolve,
    schema_of,
    typed_options,
)
from edgekit.errors import ConfigError, UsageError
from edgekit.units import Bytes


class Colour(Enum):
    RED = "red"
    GREEN = "green"


@dataclass(frozen=True)
class Disc:
    radius: Annotated[int, Field(ge=1)]
    colours: tuple[Colour, ...] = ()


@dataclass(frozen=True)
class Box:
    width: float
    size: Bytes = 0


def _shape(said: object) -> str:
    return "|box" if isinstance(said, dict) and "width" in said else "|disc"


@dataclass(frozen=True)
class Drawing:
    shape: Annotated[
        Annotated[Disc, Tag("|disc")] | Annotated[Box, Tag("|box")], Discriminator(_shape)
    ]
    more: tuple[Disc, ...] = ()
    options: dict[str, str | int | float | bool] = field(default_factory=dict)
    count: int | Literal["all"] = "all"
    note: Box | None = None


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_document(text, "f").typed(Drawing)
    return [str(problem) for problem in caught.value.problems]


def syntax_problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_document(text, "f")
    return [str(problem) for problem in caught.value.problems]


def test_a_whole_file_becomes_its_type(tmp_path: Path) -> None:
    path = tmp_path / "drawing.yaml"
    path.write_text(
        "shape: {width: 2, size: 1 KiB}\nmore:\n- radius: 3\n  colours: [red]\n"
        "options: {a: 1, b: 1.5, c: yes, d: true}\ncount: 4\n"
    )

    drawing = read_typed(path, Drawing)

    assert drawing == Drawing(
        Box(2.0, 1024),
        (Disc(3, (Colour.RED,)),),
        {"a": 1, "b": 1.5, "c": "yes", "d": True},
        4,
    )


def test_every_problem_has_the_line_of_its_own_value() -> None:
    assert problems(
        "shape: {radius: 1}\n"
        "more:\n"
        "- radius: 0\n"
        "- radius: 2\n"
        "  colours:\n"
        "  - red\n"
        "  - gren\n"
        "- colours: []\n"
    ) == [
        "f:3: more[0].radius: must be greater than or equal to 1, found 0",
        "f:7: more[1].colours[1]: 'gren' is not known here; did you mean 'green'?",
        "f:8: more[2].radius: is missing",
    ]


def test_unknown_keys_of_a_union_member_are_compared_with_that_member_only() -> None:
    assert problems("shape: {width: 1, radius: 2}") == [
        "f:1: shape.radius: unknown key; known: width, size"
    ]


def test_all_a_value_may_be_is_said_once() -> None:
    found = problems("shape: {radius: 1}\noptions:\n  a: [1]\n")

    assert found == [
        "f:3: options.a: expected text or a whole number or a number or true or false, found a list"
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [("3", "3"), ("true", "true"), ("text", "'text'"), ("[1]", "a list")],
)
def test_a_section_that_is_no_section_says_what_was_found(value: str, shown: str) -> None:
    assert problems(f"shape: {{radius: 1}}\nnote: {value}") == [
        f"f:2: note: expected `key: value` lines, found {shown}"
    ]


def test_a_long_value_is_cut_in_the_message() -> None:
    (message,) = problems("shape: {radius: " + "x" * 500 + "}")

    assert len(message) < 150


def test_a_literal_says_what_it_takes() -> None:
    assert any("'all'" in line for line in problems("shape: {radius: 1}\ncount: some"))


def test_an_empty_file_says_so() -> None:
    assert problems("") == ["f:1: the file is empty"]


def test_a_key_without_a_value_is_not_taken_for_absent() -> None:
    (message,) = syntax_problems("shape: {radius: 1}\nnote:\n")

    assert message.startswith("f:2: note: has no value")


@pytest.mark.parametrize("text", ["[1, 2]", "- 1\n- 2\n", "just words"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    assert problems(text)[0].startswith("f:1: expected `key: value` lines, found")


def test_exploding_aliases_are_refused_at_once() -> None:
    rows = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    rows += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in pairwise("abcdefghi")]
    start = time.process_time()

    (message,) = syntax_problems("\n".join(rows))

    assert "aliases such as *a are not read" in message
    assert time.process_time() - start < 5  # nine to the ninth entries would take far longer


@pytest.mark.parametrize(
    "tag", ["!!python/object:os.system x", "!!binary aGk=", "!mine x", "!!str 3", "! x"]
)
def test_tags_are_refused(tag: str) -> None:
    (message,) = syntax_problems(f"a: {tag}")

    assert "tags such as" in message


@pytest.mark.parametrize("deep", ["a: " + "[" * 100_000, "- " * 5000 + "x", "{a: " * 9000])
def test_deep_nesting_is_refused_without_deep_recursion(deep: str) -> None:
    (message,) = syntax_problems(deep)

    assert f"nested more than {DEEPEST_NESTING} levels deep" in message


def test_a_file_of_10_mb_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"a: b\n" * 2_000_000)

    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        read_document(path)


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "full.yaml"
    path.write_bytes(b"a: b #".ljust(LARGEST_FILE_BYTES, b"x"))

    assert read_document(path).plain == {"a": "b"}


def test_all_duplicate_keys_are_told() -> None:
    assert syntax_problems("a: 1\nb: {c: 1, c: 2}\na: 3\n") == [
        "f:2: b.c: given twice; first on line 2",
        "f:3: a: given twice; first on line 1",
    ]


@pytest.mark.parametrize(
    "text", ["a: [1", "a: 'x", "a:\n\t- 1", "a: b: c", "\x00", "%YAML 9.9\n---\na: 1", "a: \ud800"]
)
def test_what_is_no_yaml_names_file_and_line(text: str) -> None:
    assert syntax_problems(text)[0].startswith("f:")


@pytest.mark.parametrize("text", ["? [1, 2]\n: 3", "{[1]: 2}", "? {a: 1}\n: 3"])
def test_keys_that_are_no_text_are_refused(text: str) -> None:
    assert "a key must be text" in syntax_problems(text)[0]


def test_a_file_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"a: 1\nb: \xe4\n")

    with pytest.raises(ConfigError, match=r"latin.yaml:2: this is not UTF-8"):
        read_document(path)


def test_a_file_that_is_not_there_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_document(tmp_path / "none.yaml")


def test_a_place_inside_what_the_file_lacks_has_the_line_of_what_it_has() -> None:
    document = parse_document("a:\n  b: 1\n", "f")

    assert str(document.problem(("a", "c", "d"), "x")) == "f:1: a.c.d: x"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("2020-01-01", "2020-01-01"),
        ("0o17", 15),
        ("0x1F", 31),
        ("-12", -12),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("~", None),
        ("1_000", "1_000"),
        ("TRUE", True),
        ("64 KiB", "64 KiB"),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: Plain) -> None:
    assert resolve(text) == value


def test_not_a_number_is_a_number() -> None:
    found = resolve(".nan")

    assert isinstance(found, float)
    assert math.isnan(found)


def test_a_quoted_number_stays_text() -> None:
    assert parse_document("a: '1'\nb: |\n  2\n", "f").plain == {"a": "1", "b": "2\n"}


def test_digits_beyond_any_number_stay_text() -> None:
    digits = "9" * 5000

    assert parse_document(f"a: {digits}", "f").plain == {"a": digits}


# What JSON leaves unescaped and YAML has no place for, such as U+0085, is left out.
words = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=20)
json_values = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(words, json_values, max_size=4))
def test_json_is_read_as_json_says(value: dict[str, object]) -> None:
    text = json.dumps(value, ensure_ascii=False)

    assert parse_document(text, "f").plain == value


def test_options_of_a_command_are_named_as_they_are_typed() -> None:
    with pytest.raises(UsageError) as caught:
        typed_options(Box, {"width": "wide", "size": "3 parsecs"})

    assert [line.partition(":")[0] for line in caught.value.message.splitlines()] == [
        "--size",
        "--width",
    ]


def test_options_of_a_command_become_their_type() -> None:
    assert typed_options(Box, {"width": 2, "size": "2 kB"}) == Box(2.0, 2000)


def test_the_schema_of_a_file_refuses_unknown_keys_and_takes_quantities_as_text() -> None:
    schema = schema_of(Drawing)

    assert schema["additionalProperties"] is False
    definitions = schema["$defs"]
    assert isinstance(definitions, dict)
    assert definitions["Box"]["properties"]["size"]["type"] == "string"


def test_a_list_that_is_too_short_says_how_many_it_needs() -> None:
    @dataclass(frozen=True)
    class Palette:
        colours: Annotated[tuple[Colour, ...], Field(min_length=1)]

    with pytest.raises(UsageError, match="--colours: needs at least 1 of them"):
        typed_options(Palette, {"colours": []})
    with pytest.raises(UsageError) as caught:
        typed_options(Palette, {"colours": ["gren"]})

    # An entry that was refused is no reason to say that one is missing.
    assert caught.value.message.count("\n") == 0
