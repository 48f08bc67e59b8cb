"""npm packages come through npm, and are what is pinned."""

import hashlib
import os
import stat
import sys
from pathlib import Path

import pytest

from edgekit.errors import EXIT_UNSUPPORTED, UnsupportedError
from edgekit.fetching.npm_package import NpmPackage, fetch_npm_package

CONTENT = b"an archive"
PACKAGE = NpmPackage("@scope/rows", "1.0", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
FAKE_NPM = """#!{python}
import sys, pathlib
arguments = sys.argv[1:]
pathlib.Path({log!r}).write_text(" ".join(arguments[:-1]))
if {fails!r}:
    sys.exit("npm error code ENOTFOUND")
(pathlib.Path(arguments[-1]) / {name!r}).write_bytes({content!r})
"""


class Npm:
    """Stands in for npm; keeps what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.program = folder / "npm"
        self.log = folder / "log"

    def gives(self, content: bytes, *, fails: bool = False) -> None:
        self.program.write_text(
            FAKE_NPM.format(
                python=sys.executable,
                log=str(self.log),
                fails=fails,
                name=PACKAGE.file_name,
                content=content,
            )
        )
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Npm:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return Npm(folder)


def test_npm_is_asked_for_the_exact_version_without_scripts(npm: Npm, tmp_path: Path) -> None:
    npm.gives(CONTENT)

    place = fetch_npm_package(PACKAGE, tmp_path / "here")

    assert place == tmp_path / "here" / "scope-rows-1.0.tgz"
    assert place.read_bytes() == CONTENT
    assert npm.log.read_text() == "pack @scope/rows@1.0 --ignore-scripts --pack-destination"
    assert [file.name for file in place.parent.iterdir()] == [place.name]


def test_an_archive_that_is_there_is_used_without_npm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / PACKAGE.file_name).write_bytes(CONTENT)
    monkeypatch.setenv("PATH", os.devnull)

    assert fetch_npm_package(PACKAGE, tmp_path) == tmp_path / PACKAGE.file_name


@pytest.mark.parametrize(
    ("trouble", "message"),
    [("no network", "ENOTFOUND"), ("another file", "it gave another file")],
)
def test_what_cannot_be_had_leaves_nothing_behind(
    trouble: str, message: str, npm: Npm, tmp_path: Path
) -> None:
    npm.gives(trouble.encode(), fails=trouble == "no network")

    with pytest.raises(UnsupportedError, match=message) as caught:
        fetch_npm_package(PACKAGE, tmp_path / "here")

    assert caught.value.exit_code == EXIT_UNSUPPORTED
    assert PACKAGE.sha256 in caught.value.hint
    assert list((tmp_path / "here").iterdir()) == []


def test_without_npm_the_line_that_gets_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.devnull)

    with pytest.raises(UnsupportedError, match="which is not on this machine") as caught:
        fetch_npm_package(PACKAGE, tmp_path)

    assert caught.value.hint == "apt-get install npm"
