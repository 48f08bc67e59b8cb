"""Run TFLite models in LiteRT on the CPU, XNNPACK included."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import ai_edge_litert
from ai_edge_litert.interpreter import Interpreter

from edgekit.core.artifact import Format
from edgekit.runtimes.tflite.schema import mapped, read_signature
from edgekit.runtimes.tflite.session import TfliteSession, refusing


@dataclass(frozen=True)
class LiteRt:
    """LiteRT's interpreter, with the XNNPACK delegate it applies by itself."""

    format: ClassVar[Format] = Format.TFLITE

    def open(self, path: Path, threads: int) -> TfliteSession:
        """Load a model file; see `Engine.open`.

        Raises:
            InputRefusedError: The file is damaged or breaks the rules of its format.
            UnsupportedError: LiteRT has no kernel for one of its operators.
        """
        with refusing(path.name):
            # The interpreter verifies the file; only then is it safe to walk by hand.
            interpreter = Interpreter(model_path=str(path), num_threads=threads)
            with mapped(path) as model:
                signature = read_signature(model)
            interpreter.allocate_tensors()
        version = ai_edge_litert.__version__
        return TfliteSession(interpreter, signature, ("LiteRT", version), path.name)
