"""Wheels come through pip with their hash, and their members are read from the archive."""

import hashlib
import re
import stat
import sys
import zipfile
from pathlib import Path

import pytest

from edgekit.errors import InputRefusedError, UnsupportedError
from edgekit.fetching.python_package import Wheel, fetch_wheel, read_member

PURE = "rows-1.0-py3-none-any.whl"
ARM = "rows-1.0-cp311-cp311-manylinux_2_17_aarch64.manylinux2014_aarch64.whl"
FAKE_PIP = """#!{python}
import sys, pathlib, tempfile
arguments = sys.argv[1:]
tempfile.mkdtemp(prefix="half-of-it-")
folder = pathlib.Path(arguments[arguments.index("--dest") + 1])
requirements = pathlib.Path(arguments[arguments.index("--requirement") + 1])
log = pathlib.Path({log!r})
log.write_text("\\n".join(arguments) + "\\n" + requirements.read_text())
if {fails!r}:
    sys.exit({fails!r})
(folder / {name!r}).write_bytes({content!r})
"""


class Pip:
    """Stands in for the interpreter that runs pip; keeps what it was asked."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.program = folder / "python"
        self.log = folder / "log"
        self._python = sys.executable
        monkeypatch.setattr(sys, "executable", str(self.program))

    def gives(self, name: str, content: bytes, *, fails: str = "") -> None:
        self.program.write_text(
            FAKE_PIP.format(
                python=self._python, log=str(self.log), fails=fails, name=name, content=content
            )
        )
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)

    @property
    def asked(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pip:
    return Pip(tmp_path, monkeypatch)


def wheel(name: str, content: bytes) -> Wheel:
    return Wheel("rows", "1.0", name, hashlib.sha256(content).hexdigest(), len(content))


def test_pip_is_asked_for_the_exact_file_and_nothing_else(pip: Pip, tmp_path: Path) -> None:
    pip.gives(PURE, b"a wheel")

    place = fetch_wheel(wheel(PURE, b"a wheel"), tmp_path / "wheels")

    assert place.read_bytes() == b"a wheel"
    assert {"download", "--no-deps", "--require-hashes", "--only-binary"} <= set(pip.asked)
    assert "--platform" not in pip.asked
    assert pip.asked[-1].startswith("rows==1.0 --hash=sha256:")
    assert [file.name for file in (tmp_path / "wheels").iterdir()] == [PURE]


def test_what_pip_has_half_of_is_not_left_behind(
    pip: Pip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    pip.gives(PURE, b"a wheel")

    fetch_wheel(wheel(PURE, b"a wheel"), tmp_path / "wheels")

    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_wheel_for_another_machine_is_asked_for_by_its_tags(pip: Pip, tmp_path: Path) -> None:
    pip.gives(ARM, b"a wheel")

    fetch_wheel(wheel(ARM, b"a wheel"), tmp_path / "wheels")

    asked = " ".join(pip.asked)
    assert "--abi cp311 --implementation cp --python-version 311" in asked
    assert "--platform manylinux_2_17_aarch64 --platform manylinux2014_aarch64" in asked


def test_a_wheel_for_any_python_3_is_not_asked_for_as_one_of_python_3_0(
    pip: Pip, tmp_path: Path
) -> None:
    name = "rows-1.0-py3-none-manylinux_2_28_x86_64.whl"
    pip.gives(name, b"a wheel")

    fetch_wheel(wheel(name, b"a wheel"), tmp_path / "wheels")

    asked = " ".join(pip.asked)
    assert "--abi none --platform manylinux_2_28_x86_64" in asked
    assert "--python-version" not in asked


def test_a_wheel_that_is_there_is_not_fetched_again(pip: Pip, tmp_path: Path) -> None:
    (tmp_path / PURE).write_bytes(b"a wheel")

    assert fetch_wheel(wheel(PURE, b"a wheel"), tmp_path) == tmp_path / PURE
    assert not pip.log.exists()


@pytest.mark.parametrize(
    ("content", "fails", "reason"),
    [
        (b"", "ERROR: no route to host", "no route to host"),
        (b"another", "", "it gave another file"),
        (
            b"",
            "Could not fetch URL http://x/: 403 Client Error: Forbidden - skipping\nERROR: None",
            "403 Client Error: Forbidden$",
        ),
        (
            b"",
            "connection broken by 'ProxyError(refused)': /rows/\n(from versions: none)",
            r"ProxyError\(refused\)$",
        ),
        (b"", "(from versions: 0.9, 1.1)", "the index has no such file; .* it has: 0.9, 1.1$"),
        (
            b"",
            "Download failed after 6 attempts because not enough bytes were received\nhint: Use -r",
            "not enough bytes were received$",
        ),
        (b"", "  Expected sha256 71b9\n    Got        eda0\n", "gives another file.* eda0$"),
    ],
)
def test_a_failed_fetch_says_why_and_leaves_nothing(
    *, content: bytes, fails: str, reason: str, pip: Pip, tmp_path: Path
) -> None:
    pip.gives(PURE, content, fails=fails)

    with pytest.raises(UnsupportedError) as caught:
        fetch_wheel(wheel(PURE, b"a wheel"), tmp_path / "wheels")

    assert re.match(f"rows 1.0 cannot be fetched: .*{reason}", caught.value.message)
    assert f"put {PURE} (SHA-256" in caught.value.hint
    assert list((tmp_path / "wheels").iterdir()) == []


def archive(folder: Path, member: str, content: bytes) -> Path:
    file = folder / PURE
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(member, content)
    return file


def test_a_member_is_copied_out(tmp_path: Path) -> None:
    read_member(archive(tmp_path, "rows/a.csv", b"1,2"), "rows/a.csv", tmp_path / "a.csv")

    assert (tmp_path / "a.csv").read_bytes() == b"1,2"


def test_a_missing_member_is_refused_by_name(tmp_path: Path) -> None:
    file = archive(tmp_path, "rows/a.csv", b"1,2")

    with pytest.raises(InputRefusedError, match=r"rows-1.0.* has no readable rows/b\.csv"):
        read_member(file, "rows/b.csv", tmp_path / "b.csv")


@pytest.mark.parametrize("keep", [30, 60])
def test_a_damaged_wheel_is_refused_and_leaves_nothing(keep: int, tmp_path: Path) -> None:
    file = archive(tmp_path, "rows/a.csv", b"1,2")
    file.write_bytes(file.read_bytes()[:keep])

    with pytest.raises(InputRefusedError, match="has no readable"):
        read_member(file, "rows/a.csv", tmp_path / "a.csv")

    assert not (tmp_path / "a.csv").exists()


def test_a_member_of_absurd_size_is_refused_unread(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("edgekit.fetching.python_package._LARGEST_MEMBER_BYTES", 2)
    file = archive(tmp_path, "rows/a.csv", b"1,2")

    with pytest.raises(InputRefusedError, match=r"rows/a\.csv in .* has 3 bytes"):
        read_member(file, "rows/a.csv", tmp_path / "a.csv")
