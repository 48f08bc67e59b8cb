"""Lets a recipe's function score a model; runs in a child, because the function is the user's."""

import math
from collections.abc import Mapping

from edgekit.core.artifact import Artifact
from edgekit.core.progress import Progress
from edgekit.core.tensors import Array
from edgekit.errors import UsageError
from edgekit.loading.user_code import calling_user_code, load_function
from edgekit.pipeline.tasks import ScoreRequest
from edgekit.runtimes.feed import match_names
from edgekit.runtimes.session import Session, open_session
from edgekit.verification.scoring import Score


def score_file(request: ScoreRequest, _progress: Progress) -> Score:
    """Score a model file in the runtime of its format."""
    assert isinstance(request.subject, Artifact), "a PyTorch model is scored where PyTorch is"
    return score(open_session(request.subject.path, request.subject.format), request)


def score(session: Session, request: ScoreRequest) -> Score:
    """Return what the function makes of an open model.

    Raises:
        UsageError: The function fails, or returns something else than a finite score.
        InputRefusedError: The samples do not fit the model.
    """
    function = load_function(request.function, request.code_directory)
    names = match_names(request.samples, session.signature.inputs)

    def infer(inputs: Mapping[str, Array]) -> dict[str, Array]:
        return session.run({name: inputs[given] for name, given in names.items()})

    with calling_user_code(f"the scoring function '{request.function}'"):
        found = function(infer, request.samples)
        made = found if isinstance(found, Score) else Score(float(found))
    if not math.isfinite(made.value):
        raise UsageError(
            f"the scoring function '{request.function}' returned {made.value}",
            hint="return a finite number, whatever the model's outputs are",
        )
    return made
