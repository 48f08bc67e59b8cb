"""Set up the ARM emulator that profiles for boards, see its state, or remove it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.group import HelpfulGroup
from edgekit.cli.output import Output, columns, example, with_output

if TYPE_CHECKING:
    from edgekit.emulation.setup import Plan


@click.group(cls=HelpfulGroup, epilog=example("edgekit emulator setup", "edgekit emulator status"))
def command() -> None:
    """Set up the ARM emulator that profiles for boards, see its state, or remove it.

    It is QEMU with the boards' own runtimes: real ARM libraries run on this machine. Nothing
    needs root, and everything is kept in edgekit's cache folder (EDGEKIT_CACHE).
    """


@command.command(
    "setup",
    epilog=example(
        "edgekit emulator setup --plan",
        "edgekit emulator setup",
        "edgekit emulator setup --from packages/",
    ),
)
@click.option("--plan", "only_plan", is_flag=True, help="Only say what would be downloaded.")
@click.option(
    "--from",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Take the files from this folder, without a network.",
)
@click.option(
    "--system-libraries",
    is_flag=True,
    help="Use this machine's own aarch64 libraries (libstdc++6-arm64-cross).",
)
@with_output
def set_up_command(
    out: Output, *, only_plan: bool, folder: Path | None, system_libraries: bool
) -> None:
    """Download the emulator through this machine's own apt and pip, and unpack it.

    Every file is pinned by its SHA-256. What came whole is kept when a download is
    cut off; call it again for the rest.
    """
    from edgekit.emulation.pins import pins
    from edgekit.emulation.setup import plan, set_up
    from edgekit.emulation.toolchain import build_plugin, build_runner

    found = plan(own_libraries=system_libraries)
    if only_plan:
        out.result(_planned(found), _plain(found))
        return
    if not found.ready:
        out.note(_total(found))
    with out.progress() as progress:
        machine = set_up(found, offline=folder, progress=progress)
        runtimes = tuple(pins().library)
        parts = len(runtimes) + 1
        for done, name in enumerate(runtimes):
            progress.update("build", done, parts, f"the guest's {name} program")
            build_runner(name)
        progress.update("build", len(runtimes), parts, "the plugin that counts")
        build_plugin()
        progress.update("build", parts, parts)
    text = (
        f"the ARM emulator is ready: QEMU {machine.qemu.version}, in {machine.directory}\n"
        "try: edgekit profile MODEL --target rpi4"
    )
    out.result(text, {"ready": True, "qemu": machine.qemu.version, "at": str(machine.directory)})


@command.command("status", epilog=example("edgekit emulator status"))
@with_output
def show_status(out: Output) -> None:
    """Say whether the emulator is ready; when it is not, exit with code 5."""
    from edgekit.emulation.pins import pins
    from edgekit.emulation.setup import emulator

    machine = emulator()
    size_bytes = sum(file.lstat().st_size for file in machine.directory.rglob("*"))
    libraries = {name: library.version for name, library in pins().library.items()}
    rows = [
        ["QEMU", machine.qemu.version],
        *([name, version] for name, version in libraries.items()),
        ["folder", str(machine.directory)],
    ]
    plain = {
        "ready": True,
        "qemu": machine.qemu.version,
        "libraries": libraries,
        "at": str(machine.directory),
        "size_bytes": size_bytes,
    }
    out.result(columns(rows), plain)


@command.command("remove", epilog=example("edgekit emulator remove"))
@with_output
def remove_command(out: Output) -> None:
    """Delete the emulator, what was built for it, and its kept results."""
    from edgekit.emulation.setup import remove
    from edgekit.units import format_bytes

    freed_bytes = remove()
    text = f"removed {format_bytes(freed_bytes)}" if freed_bytes else "there was nothing to remove"
    out.result(text, {"freed_bytes": freed_bytes})


def _planned(found: "Plan") -> str:
    from edgekit.units import format_bytes

    if found.ready:
        return "the ARM emulator is set up; there is nothing to download"
    rows = [
        [file.name, file.version, format_bytes(file.size_bytes), file.file_name]
        for file in found.missing
    ]
    return "\n".join(filter(None, [columns(rows), _total(found)]))


def _total(found: "Plan") -> str:
    from edgekit.units import format_bytes

    qemu = f", beside this machine's QEMU {found.qemu.version}" if found.qemu else ""
    return f"to fetch: {len(found.missing)} files, {format_bytes(found.download_bytes)}{qemu}"


def _plain(found: "Plan") -> dict[str, object]:
    return {
        "ready": found.ready,
        "qemu": found.qemu.version if found.qemu else "",
        "download_bytes": found.download_bytes,
        "files": [
            {"file": file.file_name, "sha256": file.sha256, "size_bytes": file.size_bytes}
            for file in found.missing
        ],
    }
