"""What becomes of the scores that a recipe's own function gives."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from support.results import fidelity

from edgekit.core.model import SavedModel
from edgekit.core.samples import save_samples
from edgekit.core.tensors import Array, DType, Signature, TensorSpec
from edgekit.errors import UsageError
from edgekit.pipeline.score_child import score
from edgekit.pipeline.tasks import ScoreRequest
from edgekit.verification.scoring import Score, scored

SCORING = """
from edgekit.verification.scoring import Score

def highest(model, samples):
    return model(samples.inputs())["output"].max()

def in_miles(model, samples):
    return Score(1.0, "miles")

def endless(model, samples):
    return float("inf")

def nothing(model, samples):
    return None
"""


class Doubling:
    """Stands in for a model whose file calls its input something else than the data does."""

    signature = Signature(
        (TensorSpec("args_0", DType.FLOAT32, ("batch", 2)),),
        (TensorSpec("output", DType.FLOAT32, ("batch", 2)),),
    )
    version = "1"

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return {"output": 2 * inputs["args_0"]}


def request(tmp_path: Path, function: str) -> ScoreRequest:
    (tmp_path / "my_scoring.py").write_text(SCORING, encoding="utf-8")
    rows = {"x": np.arange(8, dtype=np.float32).reshape(4, 2)}
    samples = save_samples(tmp_path / "samples", rows)
    model = SavedModel(tmp_path, "", 0, 0, Doubling.signature, ())
    return ScoreRequest(model, samples, f"my_scoring:{function}", tmp_path)


def test_a_plain_number_is_a_score_without_a_unit(tmp_path: Path) -> None:
    assert score(Doubling(), request(tmp_path, "highest")) == Score(14.0)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("in_miles", "'miles' is no unit of a score"),
        ("endless", "returned inf"),
        ("nothing", "failed"),
    ],
)
def test_what_is_no_score_is_refused(tmp_path: Path, function: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        score(Doubling(), request(tmp_path, function))

    assert f"my_scoring:{function}" in caught.value.message


@pytest.mark.parametrize(("higher_is_better", "loss"), [(True, 2.0), (False, -2.0)])
def test_the_loss_is_what_became_worse(higher_is_better: bool, loss: float) -> None:  # noqa: FBT001  a case
    reference, candidate = (Score(value, "dB", higher_is_better) for value in (7.0, 5.0))

    found = scored(fidelity(0.5), "mine", reference, candidate)

    assert (found.metric, found.unit, found.loss) == ("mine", "dB", loss)
    assert (found.reference, found.candidate) == (7.0, 5.0)
