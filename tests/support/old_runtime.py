"""Stand-ins for tflite-runtime: what lies in its wheel is a module of the test's own."""

import zipfile
from pathlib import Path

import pytest

from edgekit.core.progress import SILENT
from edgekit.fetching.python_package import Wheel
from edgekit.runtimes import tflite_runtime

LIKE_LITERT = "from ai_edge_litert.interpreter import Interpreter\n"
WRONG = """
from ai_edge_litert import interpreter

class Interpreter(interpreter.Interpreter):
    def get_tensor(self, index):
        return -super().get_tensor(index)
"""


def set_up_as(interpreter: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set up a stand-in whose wheels hold `interpreter`, a module's source."""

    def fetch(wheel: Wheel, place: Path) -> Path:
        file = place / wheel.file_name
        with zipfile.ZipFile(file, "w") as archive:
            if wheel.name == tflite_runtime.NAME:
                archive.writestr("tflite_runtime/__init__.py", "")
                archive.writestr("tflite_runtime/interpreter.py", interpreter)
                archive.writestr(
                    "tflite_runtime-2.14.0.dist-info/METADATA",
                    "Metadata-Version: 2.1\nName: tflite-runtime\nVersion: 2.14.0\n",
                )
        return file

    # The checks of the machine are not what is tested.
    monkeypatch.setattr(tflite_runtime, "_refuse_other_machines", lambda: None)
    monkeypatch.setattr(tflite_runtime, "fetch_wheel", fetch)
    return tflite_runtime.set_up(SILENT)
