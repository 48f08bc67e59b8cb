"""Every command line that a page or a message shows can be typed: its words are known."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from edgekit.cli.main import edgekit

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
MODULES = sorted((ROOT / "edgekit").rglob("*.py"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_on_a_page_are_commands(page: Path) -> None:
    assert [*wrong(shown(page.read_text(encoding="utf-8")))] == []


def test_commands_in_messages_are_commands() -> None:
    found = {line for module in MODULES for line in quoted(module.read_text(encoding="utf-8"))}

    assert len(found) > 10
    assert [*wrong(sorted(found))] == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("edgekit profil a.onnx", "there is no command"),
        ("edgekit profile a.onnx --traget rpi4", "No such option"),
        ("edgekit inspect a.onnx b.onnx", "unexpected extra"),
    ],
)
def test_a_line_that_cannot_be_typed_is_found(line: str, why: str) -> None:
    assert why in next(wrong([line]))


def shown(text: str) -> Iterator[str]:
    """Yield the commands in a page's blocks, which may run on, and in the midst of its text."""
    whole = re.sub(r"\\\n *", "", text)
    fences = re.findall(r"^```\w*\n(.*?)^```", whole, re.MULTILINE | re.DOTALL)
    blocks = "\n".join([*fences, *re.findall(r"^ {4}.*", whole, re.MULTILINE)])
    for line in re.findall(r"^ *(?:[$] )?(?:[A-Z_]+=\S+ )?(edgekit [a-z].*)", blocks, re.MULTILINE):
        # What stands far to the right of a command explains it.
        yield re.split(r" {3,}", line)[0]
    for span in re.findall(r"`(edgekit [^`]+)`", text):
        yield " ".join(span.split())


def quoted(source: str) -> Iterator[str]:
    """Yield the commands that the messages of a module tell people to type."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"'(edgekit [a-z][^']*)'", node.value)


def wrong(lines: Iterator[str] | list[str]) -> Iterator[str]:
    """Yield the lines that the command line would refuse, and why; files need not be there."""
    for line in lines:
        words = shlex.split(re.split(" [>|] ", line)[0], comments=True)[1:]
        command: click.Command = edgekit
        context = click.Context(edgekit, info_name="edgekit")
        try:
            while isinstance(command, click.Group) and words:
                _, found, words = command.resolve_command(context, words)
                assert found is not None
                command = found
                context = click.Context(command, context)
            _, extra, _ = command.make_parser(context).parse_args(words)
            if extra:
                yield f"{line}: unexpected extra {extra}"
        except click.BadOptionUsage:
            continue  # Prose names an option without its value.
        except click.UsageError as error:
            yield f"{line}: {error.message}"
