"""Models and data that cannot work: said before the work, or with what was done kept."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.commands import Shell

pytestmark = pytest.mark.integration

DATA = """
import numpy as np
from edgekit.core.data import Split

def load(context):
    x = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
    labels = np.arange(16) % 3
    return {"calibration": Split({"x": x}), "test": Split({"x": x}, labels)}
"""
MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        return self.layer(x)

def build():
    return Net()
"""
RECIPE = """
name: wrong
model: {factory: "net:build"}
data: {function: "data:load"}
"""
TO_ONNX = "export: {formats: [onnx]}\n"
TO_BOTH = "export: {formats: [onnx, tflite]}\n"


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    monkeypatch.chdir(tmp_path)
    return Shell(capsys)


def run(shell: Shell, *, model: str = MODEL, data: str = DATA, recipe: str = RECIPE) -> Any:
    Path("net.py").write_text(model)
    Path("data.py").write_text(data)
    Path("recipe.yaml").write_text(recipe)
    return shell("run", "recipe.yaml", "--trust-code", "--json", "-q", "-o", "out", "--force")


def kept() -> dict[str, Any]:
    """Return the record that a run left though a step of it failed."""
    record: dict[str, Any] = json.loads(Path("out/record.json").read_text(encoding="utf-8"))
    return record


def test_a_forward_that_needs_a_python_value_is_refused(shell: Shell) -> None:
    ran = run(shell, model=MODEL.replace("forward(self, x)", "forward(self, x, steps)"))

    assert ran.code == 2
    assert "forward takes x, steps" in ran.error["message"]


def test_control_flow_that_hangs_on_values_fails_the_export_and_keeps_the_rest(
    shell: Shell,
) -> None:
    body = "return self.layer(x) if x.sum() > 0 else self.layer(-x)"

    ran = run(shell, model=MODEL.replace("return self.layer(x)", body), recipe=RECIPE + TO_ONNX)

    assert ran.code == 4
    (failure,) = kept()["failures"]
    assert failure["step"] == "export onnx"
    assert "must not depend on the values of tensors" in failure["hint"]
    assert [row["label"] for row in kept()["artifacts"]] == ["PyTorch fp32"]


def test_an_operator_that_no_format_has_is_named_for_each_and_the_rest_is_kept(
    shell: Shell,
) -> None:
    body = "return self.layer(x) + torch.linalg.eigvals(x[:, None] * x[:, :, None]).real[:, :3]"

    ran = run(shell, model=MODEL.replace("return self.layer(x)", body), recipe=RECIPE + TO_BOTH)

    assert ran.code == 4
    failures = {one["step"]: one["message"] for one in kept()["failures"]}
    assert set(failures) == {"export onnx", "export tflite"}
    assert all("eig" in message for message in failures.values()), failures
    assert kept()["artifacts"][0]["fidelity"]["samples"] == 16


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"test": Split({"x": x}', '"test": Split({"x": x[:, :2]}', "in 'calibration' and float32"),
        ('"test": Split({"x": x}', '"test": Split({"x": x * np.nan}', "NaN or infinity"),
        ("np.arange(16) % 3", "np.array(list('ab') * 8)", "labels of 'test' are <U1"),
        ("np.arange(16) % 3", "np.linspace(0, 1, 16)", "top1 takes class numbers"),
    ],
)
def test_wrong_data_is_refused_before_the_model_is_touched(
    shell: Shell, old: str, new: str, message: str
) -> None:
    ran = run(shell, data=DATA.replace(old, new))

    assert ran.code == 3
    assert message in ran.error["message"]
    assert not Path(".edgekit/cache/model").exists()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("np.zeros((16, 2), int)", "labels have shape [2] per sample, the model decides []"),
        ("np.arange(16) % 4", "there is a label 3, and the output has 3 classes"),
    ],
)
def test_labels_that_the_outputs_cannot_match_are_refused_before_the_export(
    labels: str, message: str, shell: Shell
) -> None:
    data = DATA.replace("np.arange(16) % 3", labels)

    ran = run(shell, data=data, recipe=RECIPE + TO_ONNX)

    assert ran.code == 3
    assert message in ran.error["message"]
    assert not Path(".edgekit/cache/export").exists()


def test_tokens_that_no_vocabulary_holds_are_refused_and_other_scales_noted(shell: Shell) -> None:
    model = MODEL.replace("nn.Linear(4, 3)", "nn.Embedding(5, 3)")
    tokens = DATA.replace("normal(size=(16, 4)).astype(np.float32)", "integers(0, 5, (16, 4))")
    far = tokens.replace('"test": Split({"x": x}, labels)', '"test": Split({"x": x + 9})')

    refused = run(shell, model=model, data=far)
    scaled = run(shell, data=DATA.replace('"test": Split({"x": x}', '"test": Split({"x": x * 99}'))

    assert refused.code == 3
    (failure,) = refused.json["failures"]
    assert failure["step"] == "verify PyTorch fp32"
    assert "cannot run the model on these samples" in failure["message"]
    assert "are both scaled alike?" in scaled.json["artifacts"][0]["notes"][0]
