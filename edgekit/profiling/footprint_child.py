"""What one model costs a fresh process: time to load, memory, time by operator. Child only."""

import time

from edgekit.core.progress import Progress
from edgekit.profiling.children import Footprint, FootprintRequest
from edgekit.profiling.memory import peak_memory
from edgekit.profiling.operator_times import OPERATOR_TIMERS
from edgekit.profiling.timing import single_rows
from edgekit.runtimes.feed import batch_of, single_call
from edgekit.runtimes.session import ENGINE_OF, ENGINES

_RUNS = 3


def run(request: FootprintRequest, progress: Progress) -> Footprint:
    """Load the model, run it, and time its operators in a session of their own.

    Raises:
        InputRefusedError: The model cannot be opened, or the samples do not fit it.
        UnsupportedError: The runtime has no kernel for an operator.
    """
    artifact = request.artifact
    runtime = ENGINE_OF[artifact.format]
    engine = ENGINES.get(runtime)()
    progress.update("profile", 0, 0, artifact.path.name)
    with peak_memory() as peak:
        start = time.perf_counter_ns()
        session = engine.open(artifact.path, request.threads)
        load_ns = time.perf_counter_ns() - start
        rows = single_rows(session, request.samples)
        for _ in range(_RUNS):
            session.run(rows[0])
    timer = OPERATOR_TIMERS.get(runtime)()
    batch = batch_of(session.signature)
    fed = [single_call(row, session.signature, batch) for row in rows]
    operators = timer.time(artifact.path, fed, request.threads, request.operators_s)
    return Footprint(runtime, session.version, load_ns, peak.added_bytes, operators)
