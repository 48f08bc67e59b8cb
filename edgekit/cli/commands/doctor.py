"""Tell what is installed, what each missing part would enable, and how to install it."""

import contextlib
import platform
import shutil
import sys
from dataclasses import asdict, dataclass

import click

from edgekit.cli.output import Output, columns, example, with_output


@dataclass(frozen=True)
class Part:
    """Something that may be on this machine or not, and what it is good for."""

    name: str
    enables: str
    install: str


@dataclass(frozen=True)
class Finding:
    """A part, and the version that was found or `here`; empty when it is missing."""

    name: str
    found: str
    enables: str
    install: str
    place: str = ""


_TORCH = ("recipes that start from a PyTorch model", "pip install 'edgekit[torch]'")
_TFLITE = "pip install 'edgekit[tflite]'"

PACKAGES = (
    Part("onnxruntime", "running and measuring .onnx files", "pip install edgekit"),
    Part("onnx", "reading and quantizing .onnx files", "pip install edgekit"),
    Part("torch", *_TORCH),
    Part("onnxscript", "export from PyTorch to .onnx", "pip install 'edgekit[torch]'"),
    Part("safetensors", "weights of PyTorch models", "pip install 'edgekit[torch]'"),
    Part("ai-edge-litert", "running and measuring .tflite files", _TFLITE),
    Part("ai-edge-quantizer", "quantizing .tflite files", _TFLITE),
    Part("litert-torch", "export from PyTorch to .tflite", "pip install 'edgekit[all]'"),
)


@click.command(epilog=example("edgekit doctor", "edgekit doctor --json"))
@with_output
def command(out: Output) -> None:
    """Tell what is installed, what each missing part would enable, and how to install it."""
    from edgekit import __version__

    machine = {
        "edgekit": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "executable": sys.executable,
    }
    findings = [*_packages(), _emulator(), *_data()]
    missing = [finding for finding in findings if not finding.found]
    text = [
        columns([[key, value] for key, value in machine.items()]),
        "",
        columns([[one.name, one.found or "missing", one.enables] for one in findings]),
    ]
    if missing:
        install: dict[str, list[str]] = {}
        for one in missing:
            install.setdefault(one.install, []).append(one.name)
        rows = [[line, f"# {', '.join(names)}"] for line, names in install.items()]
        text += ["", "to get what is missing:", columns(rows)]
    plain = machine | {"parts": [asdict(one) for one in findings], "complete": not missing}
    out.result("\n".join(text), plain)


def _packages() -> list[Finding]:
    from importlib import metadata

    findings = []
    for part in PACKAGES:
        try:
            version = metadata.version(part.name)
        except metadata.PackageNotFoundError:
            version = ""
        findings.append(Finding(part.name, version, part.enables, part.install))
    return findings


def _emulator() -> Finding:
    from edgekit.emulation.setup import emulator
    from edgekit.errors import EdgekitError

    enables = "profiling for boards that are not there (--target rpi4)"
    if platform.machine() == "aarch64":
        return Finding("ARM emulator", "not needed: --target host measures on ARM", enables, "")
    try:
        found = f"QEMU {emulator().qemu.version}"
    except EdgekitError:
        found = ""
    return Finding("ARM emulator", found, enables, "edgekit emulator setup")


def _recipe_with(package: str) -> str:
    """Return the name of one of edgekit's recipes whose data is in that package."""
    from edgekit.config.lookup import Folder, shipped_folder
    from edgekit.config.recipe import read_recipe
    from edgekit.config.sections import FunctionData
    from edgekit.errors import ConfigError

    for path in sorted(shipped_folder(Folder.RECIPES).glob("*.yaml")):
        with contextlib.suppress(ConfigError):
            data = read_recipe(str(path)).data
            if isinstance(data, FunctionData) and package in data.packages:
                return path.stem
    return "RECIPE"


def _data() -> list[Finding]:
    from edgekit.fetching.packages import packages, status

    findings = []
    for name in packages():
        found = status(name)
        install = found.install
        if not found.path and "RECIPE" in install:
            install = install.replace("RECIPE", _recipe_with(name))
        if install.startswith("apt-get") and not shutil.which("apt-get"):
            install = f"{install}  (on Debian)"
        place = str(found.path) if found.path else ""
        here = "here" if place else ""
        findings.append(Finding(f"data: {name}", here, found.title, install, place))
    return findings
