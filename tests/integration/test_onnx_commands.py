"""Commands that take an ONNX file where others want a recipe: export, prune, quantize."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from support import onnx_models, tflite_models
from support.commands import Shell

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).normal(size=(48, 1, 8, 8)).astype(np.float32)
    labels = (images.mean(axis=(1, 2, 3)) > 0).astype(np.int64)
    np.savez("samples.npz", image=images, labels=labels)
    np.savez("unlabelled.npz", image=images)
    return tmp_path


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


@pytest.fixture
def cnn() -> Path:
    return onnx_models.write(onnx_models.cnn(), Path("cnn.onnx"))


def test_export_writes_tflite_beside_the_file_and_says_how_close_it_is(
    shell: Shell, cnn: Path
) -> None:
    ran = shell("export", cnn, "--format", "tflite", "--json", "-q")

    assert ran.code == 0, ran.err
    assert ran.json["path"] == "cnn.tflite"
    assert ran.json["relative_error"] < 1e-4
    assert ran.json["random_samples"]
    assert shell("export", cnn).code == 2  # the file is there, and --force was not given


def test_prune_writes_a_narrower_file_and_says_what_that_costs(shell: Shell, cnn: Path) -> None:
    options = ["--ratio", "50%", "--train", "samples.npz", "--test", "samples.npz"]

    ran = shell("prune", cnn, *options, "--epochs", "1", "--max-loss=-101pp", "--json", "-q")

    assert ran.code == 1, ran.err
    assert "more than -101pp" in ran.json["over"]
    assert [change["step"] for change in ran.json["changes"]] == ["import", "prune", "finetune"]
    stored = onnx.load("cnn.pruned.onnx").graph.initializer
    weights = [list(one.dims) for one in stored if one.data_type == onnx.TensorProto.FLOAT]
    assert sorted(weights) == [[3], [3, 1, 3, 3], [4], [4, 3]]


def test_what_is_pruned_without_labels_is_taught_by_the_whole_model(
    shell: Shell, cnn: Path
) -> None:
    options = ["--ratio", "30%", "--train", "unlabelled.npz", "--epochs", "1"]

    ran = shell("prune", cnn, *options, "--json", "-q")

    assert ran.code == 0, ran.err
    assert "taught by the unpruned model" in ran.json["changes"][2]["summary"]
    assert ran.json["fidelity"]["samples"] == 48


def test_what_is_not_tuned_is_read_on_the_samples_that_it_is_tested_on(shell: Shell) -> None:
    model = onnx_models.cnn()
    for dim in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        dim.dim_param = "side"  # random samples would not know its size
    onnx_models.write(model, Path("free.onnx"))

    ran = shell("prune", "free.onnx", "--test", "samples.npz", "--json", "-q")

    assert ran.code == 0, ran.err
    assert ran.json["fidelity"]["samples"] == 48


def test_quantize_turns_an_onnx_file_into_int8_tflite(shell: Shell, cnn: Path) -> None:
    options = ["--format", "tflite", "--calib", "samples.npz", "--test", "samples.npz"]

    ran = shell("quantize", cnn, *options, "--json", "-q")

    assert ran.code == 0, ran.err
    assert ran.json["report"]["path"] == "cnn.int8.tflite"
    assert ran.json["fidelity"]["sqnr_db"] > 20
    assert shell("inspect", "cnn.int8.tflite", "--json").json["precision"] == "int8"


def test_every_operator_that_cannot_be_read_is_named_at_once(shell: Shell) -> None:
    nodes = [
        helper.make_node("NotAnOperator", ["x"], ["a"], name="first", domain="com.example"),
        helper.make_node("NorThis", ["a"], ["y"], name="second", domain="com.example"),
    ]
    ends = [onnx_models.tensor(name, ["batch", 2]) for name in "xy"]
    model = onnx_models.graph_model(nodes, ends[:1], ends[1:])
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    onnx_models.write(model, Path("strange.onnx"))

    ran = shell("export", "strange.onnx")

    assert ran.code == 4
    assert "strange.onnx has 2 nodes" in ran.err
    assert "'first'" in ran.err
    assert "'second'" in ran.err
    assert not Path("strange.tflite").exists()


def test_what_is_quantized_already_is_refused_or_passed_through_as_asked(shell: Shell) -> None:
    file = onnx_models.write(onnx_models.quantized(), Path("int8.onnx"))
    options = ["--random-calibration", "-o", "out.onnx", "-q"]

    refused = [shell(*words) for words in (("quantize", file, *options), ("prune", file))]
    passed = shell("quantize", file, *options, "--allow-quantized")

    for ran in refused:
        assert ran.code == 4
        assert "int8.onnx is quantized already" in ran.err
        assert "converted" not in ran.err  # where edgekit's own copy lies
    assert passed.code == 0
    assert Path("out.onnx").read_bytes() == file.read_bytes()


def test_a_recipe_refuses_or_passes_through_what_is_quantized_already(shell: Shell) -> None:
    file = onnx_models.write(onnx_models.quantized(), Path("int8.onnx"))
    width = onnx.load(file).graph.input[0].type.tensor_type.shape.dim[1].dim_value
    np.savez("x.npz", x=np.zeros((4, width), np.float32))
    recipe = "name: r\nmodel: {file: int8.onnx}\ndata: {calibration: x.npz, test: x.npz}\n"
    Path("refused.yaml").write_text(recipe + "quantize: {}\n")
    Path("passed.yaml").write_text(recipe + "quantize: {allow_quantized: true}\n")

    refused = shell("run", "refused.yaml", "-q")
    passed = shell("run", "passed.yaml", "--json", "-q", "-o", "out")

    assert refused.code == 4
    assert "is quantized already" in refused.err
    assert passed.code == 0, passed.err
    (row,) = passed.json["artifacts"]
    assert row["label"] == "ONNX int8"
    assert (Path("out") / row["file"]).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("command", ["export", "prune"])
def test_a_tflite_file_cannot_be_turned_back(shell: Shell, command: str) -> None:
    file = tflite_models.write(tflite_models.mlp(), Path("mlp.tflite"))

    ran = shell(command, file, "-o", "out")

    assert ran.code == 4
    assert "cannot be turned back into a module" in ran.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("export", "cnn.onnx", "--format", "onnx"), "--format can be tflite alone"),
        (("export", "absent.onnx"), "does not exist"),
        (("export", "absent.yaml", "--data", "samples.npz"), "--data is for model files"),
        (("prune", "cnn.onnx", "--ratio", "50"), "--ratio"),
        (("prune", "cnn.onnx", "--max-loss", "1pp"), "--max-loss needs --test"),
        (("prune", "cnn.onnx", "--loss", "mes"), "did you mean 'mse'?"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    shell: Shell, cnn: Path, words: tuple[str, ...], message: str
) -> None:
    ran = shell(*words)

    assert ran.code in {2, 3}
    assert message in ran.err
