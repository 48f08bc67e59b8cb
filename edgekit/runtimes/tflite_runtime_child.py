"""The inside of `tflite_runtime.execute_there`; runs in a child with an environment of its own."""

import importlib
from importlib import metadata

from edgekit.core.progress import Progress
from edgekit.runtimes.execute import Executed
from edgekit.runtimes.execute_child import stream
from edgekit.runtimes.tflite.session import TfliteSession, refusing_by
from edgekit.runtimes.tflite_runtime import NAME, RunRequest


def run(request: RunRequest, progress: Progress) -> Executed:
    """Run the model on all samples, as `execute_child.run` does."""
    # Only an environment of its own has it, and everything else can do without.
    interpreters = importlib.import_module("tflite_runtime.interpreter")
    version = metadata.version(NAME)
    with refusing_by(f"{NAME} {version}", request.path.name):
        interpreter = interpreters.Interpreter(
            model_path=str(request.path), num_threads=request.threads
        )
        interpreter.allocate_tensors()
    runtime = (f"{NAME} {version}", version)
    session = TfliteSession(interpreter, request.signature, runtime, request.path.name)
    stream(session, request.samples, request.names, request.out, progress)
    return Executed(version)
