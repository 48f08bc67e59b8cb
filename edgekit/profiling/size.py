"""Where the bytes of a model file are, and how much of its arithmetic is int8."""

from functools import lru_cache

from edgekit.core.artifact import Artifact
from edgekit.core.process import Limits, Task, call
from edgekit.profiling.children import SizeReport, SizeRequest
from edgekit.runtimes.session import require_runtime

SIZE = Task("edgekit.profiling.size_child:run", SizeRequest, SizeReport)


@lru_cache(maxsize=64)
def size_report(artifact: Artifact) -> SizeReport:
    """Return where the bytes of a file are, and the share of its arithmetic that is int8.

    Raises:
        InputRefusedError: The file is damaged.
        MissingExtraError: Reading this format takes an extra.
    """
    # An artifact carries the digest of its file, so the answer cannot go stale; and one file
    # is asked about once for every target.
    require_runtime(artifact.format)
    return call(SIZE, SizeRequest(artifact.path, artifact.format), limits=Limits())
