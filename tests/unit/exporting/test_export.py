from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from support.torch_models import model_for, samples_for
from torch import Tensor, nn
from torch.nn.modules import transformer

from edgekit.core.artifact import Format
from edgekit.core.model import Model
from edgekit.core.samples import save_samples
from edgekit.core.tensors import Array, DType, Signature, TensorSpec
from edgekit.errors import InputRefusedError, MissingExtraError, UnsupportedError, UsageError
from edgekit.exporting.dynamic_axes import halved
from edgekit.exporting.export import export
from edgekit.exporting.parity import relative_errors
from edgekit.exporting.settings import ExportSettings
from edgekit.loading.trial import find_signature
from edgekit.runtimes.session import open_session

# Deprecations inside PyTorch's exporter are not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore")

SIGNATURE = Signature(
    (TensorSpec("x", DType.FLOAT32, ("batch", 4)),),
    (TensorSpec("output", DType.FLOAT32, ("batch", 4)),),
)


def test_an_error_is_relative_to_the_largest_value() -> None:
    reference = {"y": np.array([[1.0, -100.0]]), "z": np.array([2])}

    errors = relative_errors(reference, {"y": np.array([[1.5, -100.0]]), "z": np.array([3])})

    assert errors == {"y": 0.005, "z": 0.5}


def test_equal_infinities_do_not_differ_and_nan_differs_without_end() -> None:
    reference = {"same": np.array([-np.inf, 1.0]), "other": np.array([1.0])}

    errors = relative_errors(
        reference, {"same": np.array([-np.inf, 1.0]), "other": np.array([np.nan])}
    )

    assert errors == {"same": 0.0, "other": np.inf}


def test_another_shape_differs_without_end() -> None:
    assert relative_errors({"y": np.ones(2)}, {"y": np.ones(3)}) == {"y": np.inf}


def test_outputs_that_are_all_zero_are_compared_as_they_are() -> None:
    assert relative_errors({"y": np.zeros(2)}, {"y": np.full(2, 1e-3)}) == {"y": 1e-3}


def test_a_mismatch_names_the_output_and_how_far_it_is_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = samples_for("perceptron", tmp_path / "samples")
    model = model_for("perceptron", samples)
    exact = ExportSettings(max_relative_error=1e-12)
    monkeypatch.setattr("edgekit.exporting.export.relative_errors", lambda *_: {"logits": 0.25})

    with pytest.raises(UnsupportedError, match=r"onnx: output 'logits' is off by 2\.5e-01"):
        export(model, samples, Format.ONNX, tmp_path / "model.onnx", exact)


class Scales(nn.Module):
    """Has twenty weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        return y


class Policy(nn.Module):
    """Returns the normalised logits of a distribution, which checks its arguments' values."""

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = torch.distributions.Categorical(logits=x).logits
        return logits


class Insists(nn.Module):
    """Works on one sample only."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(1, 4) * 2


class Decides(nn.Module):
    """Computes one thing or another, by the values it is given."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if bool(x.sum() > 0) else x


def test_a_module_that_insists_on_its_batch_gets_a_batch_of_one(tmp_path: Path) -> None:
    samples = save_samples(tmp_path / "samples", {"x": np.ones((1, 4), np.float32)})

    report = export(
        Model(Insists(), SIGNATURE, ()), samples, Format.ONNX, tmp_path / "m", ExportSettings()
    )

    assert report.worst_relative_error == 0
    assert report.notes[0].startswith("the ONNX file takes one sample at a time, because ")


class Passes(nn.Module):
    """Returns what it was given beside what it computed."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"y": x * 2, "x": x}


def test_an_output_named_as_an_input_is_refused_in_onnx(tmp_path: Path) -> None:
    samples = save_samples(tmp_path / "samples", {"x": np.ones((4, 3), np.float32)})
    model = Model(Passes(), find_signature(Passes(), samples), ())

    with pytest.raises(UnsupportedError, match="'x' is the name of an input and of an output"):
        export(model, samples, Format.ONNX, tmp_path / "model.onnx", ExportSettings())


def test_a_distribution_is_exported_without_its_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # torch.compile turns the checks off for its whole process when it is first used.
    monkeypatch.setattr(torch.distributions.Distribution, "_validate_args", True)
    samples = save_samples(tmp_path / "samples", {"x": np.eye(4, dtype=np.float32)})

    export(Model(Policy(), SIGNATURE, ()), samples, Format.ONNX, tmp_path / "m", ExportSettings())

    with pytest.raises(ValueError, match="constraint"):
        torch.distributions.Categorical(logits=torch.tensor([float("nan")]))


def test_a_module_that_decides_by_values_is_refused(tmp_path: Path) -> None:
    samples = save_samples(tmp_path / "samples", {"x": np.ones((4, 4), np.float32)})

    with pytest.raises(UnsupportedError, match=r"on the values of tensors \(at .*:\d+\)"):
        export(
            Model(Decides(), SIGNATURE, ()), samples, Format.ONNX, tmp_path / "m", ExportSettings()
        )


def test_a_file_that_its_runtime_refuses_is_the_converters_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise InputRefusedError("m: node 5 failed to prepare")

    samples = save_samples(tmp_path / "samples", {"x": np.ones((1, 4), np.float32)})
    monkeypatch.setattr("edgekit.exporting.export.open_session", refuse)

    with pytest.raises(UnsupportedError, match=r"onnx: the converter wrote .* node 5 failed"):
        export(
            Model(Insists(), SIGNATURE, ()), samples, Format.ONNX, tmp_path / "m", ExportSettings()
        )


class Masked(nn.Module):
    """PyTorch's own decoder, with a mask that is causal or one that is not."""

    def __init__(self, hidden: Tensor) -> None:
        super().__init__()
        self.layers = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(4, 2, 8, batch_first=True), 1
        )
        self.register_buffer("hidden", hidden)

    def forward(self, x: Tensor) -> Tensor:
        steps = x.unsqueeze(1).expand(-1, 3, -1)
        decoded: Tensor = self.layers(steps.cumsum(1), steps, tgt_mask=self.hidden)
        return decoded.sum(1)


@pytest.mark.parametrize(
    "hidden",
    [
        torch.ones(3, 3, dtype=torch.bool).triu(1),
        torch.full((3, 3), float("-inf")).triu(1),
        torch.eye(3, dtype=torch.bool),
    ],
)
def test_a_decoder_is_exported_with_whatever_mask_it_has(hidden: Tensor, tmp_path: Path) -> None:
    torch.manual_seed(0)
    rows = np.random.default_rng(0).standard_normal((4, 4), dtype=np.float32)
    samples = save_samples(tmp_path / "samples", {"x": rows})
    model = Model(Masked(hidden).eval(), SIGNATURE, ())
    looks = transformer._detect_is_causal_mask

    report = export(model, samples, Format.ONNX, tmp_path / "model.onnx", ExportSettings())

    assert report.notes == ()
    assert transformer._detect_is_causal_mask is looks


def test_samples_that_do_not_fit_are_refused_before_the_work(tmp_path: Path) -> None:
    samples = save_samples(tmp_path / "samples", {"x": np.ones((4, 5), np.float32)})

    with pytest.raises(InputRefusedError, match="do not fit the model"):
        export(
            Model(Insists(), SIGNATURE, ()), samples, Format.ONNX, tmp_path / "m", ExportSettings()
        )


@pytest.mark.parametrize(("file_format", "extra"), [(Format.ONNX, "torch"), (Format.TFLITE, "all")])
def test_a_missing_converter_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: Format, extra: str
) -> None:
    samples = save_samples(tmp_path / "samples", {"x": np.ones((4, 4), np.float32)})
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(MissingExtraError) as caught:
        export(
            Model(nn.Identity(), SIGNATURE, ()),
            samples,
            file_format,
            tmp_path / "m",
            ExportSettings(),
        )

    assert caught.value.hint == f"pip install 'edgekit[{extra}]'"


def test_a_model_too_large_for_one_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = save_samples(tmp_path / "samples", {"x": np.ones((4, 4), np.float32)})
    monkeypatch.setattr("edgekit.exporting.formats.onnx._LARGEST_BYTES", 10)
    module = Scales()

    with pytest.raises(UnsupportedError, match="the weights take 80 bytes"):
        export(Model(module, SIGNATURE, ()), samples, Format.ONNX, tmp_path / "m", ExportSettings())


def test_weights_are_called_as_in_the_module(tmp_path: Path) -> None:
    samples = samples_for("perceptron", tmp_path / "samples")

    report = export(
        model_for("perceptron", samples), samples, Format.ONNX, tmp_path / "m", ExportSettings()
    )

    stored = {tensor.name for tensor in onnx.load(report.path).graph.initializer}
    assert stored == {"hidden.weight", "hidden.bias", "head.weight", "head.bias"}
    assert torch.is_grad_enabled()


class Tagger(nn.Module):
    """One score a step, for as many as there are; or for four, and no more."""

    def __init__(self, *, is_fixed: bool) -> None:
        super().__init__()
        self.token = nn.Embedding(9, 6)
        self.position = nn.Parameter(torch.randn(4 if is_fixed else 1, 6))
        self.head = nn.Linear(6, 2)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        vectors = self.token(tokens) + self.position
        mean = (vectors * mask.unsqueeze(2)).mean(1, keepdim=True)
        scores: Tensor = self.head(vectors + mean)
        return scores


def tagged(tmp_path: Path, axes: dict[str, tuple[str, ...]], *, is_fixed: bool = False) -> Path:
    """Export a tagger of four steps with these axes free, and return the file."""
    arrays: dict[str, Array] = {
        "tokens": np.ones((3, 4), np.int64),
        "mask": np.ones((3, 4), np.float32),
    }
    samples = save_samples(tmp_path / "samples", arrays)
    module = Tagger(is_fixed=is_fixed).eval()
    model = Model(module, find_signature(module, samples), ())
    out = tmp_path / "model.onnx"
    export(model, samples, Format.ONNX, out, ExportSettings(dynamic_axes=axes))
    return out


def test_named_axes_take_any_size_in_onnx(tmp_path: Path) -> None:
    file = tagged(tmp_path, {"tokens": ("steps",), "mask": ("steps",)})

    session = open_session(file, Format.ONNX)
    longer: dict[str, Array] = {
        "tokens": np.ones((2, 7), np.int64),
        "mask": np.ones((2, 7), np.float32),
    }
    assert [spec.shape for spec in session.signature.inputs] == [("batch", "steps")] * 2
    assert session.run(longer)["output"].shape == (2, 7, 2)


class Attending(nn.Module):
    """PyTorch's exporter takes the steps of its example for those of every sequence."""

    def __init__(self, kind: Callable[..., nn.RNNBase]) -> None:
        super().__init__()
        self.read = kind(8, 4, num_layers=2, batch_first=True, bidirectional=True)
        self.mix = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        steps, _ = self.read(frames)
        mixed, _ = self.mix(steps, steps, steps)
        return mixed.mean(1), steps + mixed


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_nets_take_any_number_of_steps(
    kind: Callable[..., nn.RNNBase], tmp_path: Path
) -> None:
    frames = np.random.default_rng(0).normal(size=(4, 6, 8)).astype(np.float32)
    samples = save_samples(tmp_path / "samples", {"frames": frames})
    module = Attending(kind).eval()
    model = Model(module, find_signature(module, samples), ())
    out = tmp_path / "model.onnx"

    export(model, samples, Format.ONNX, out, ExportSettings(dynamic_axes={"frames": ("steps",)}))

    session = open_session(out, Format.ONNX)
    declared = [spec.shape for spec in session.signature.outputs]
    assert declared == [("batch", 8), ("batch", "steps", 8)]
    longer = np.concatenate([frames, frames[:, ::-1]], axis=1)[:3, :7]
    with torch.no_grad():
        expected = module(torch.from_numpy(longer))
    found = session.run({"frames": longer}).values()
    for one, other in zip(found, expected, strict=True):
        assert np.abs(one - other.numpy()).max() < 1e-5  # float32, another order of sums


def test_an_axis_that_the_model_fixes_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"export\.dynamic_axes cannot be had: "):
        tagged(tmp_path, {"tokens": ("steps",), "mask": ("steps",)}, is_fixed=True)


@pytest.mark.parametrize(
    ("axes", "told"),
    [
        ({"token": ("steps",)}, "the model has no input 'token'; did you mean 'tokens'?"),
        ({"tokens": ("steps", "wide")}, "'tokens' has 1 axes after the batch, and 2 are named"),
    ],
)
def test_axes_that_the_model_does_not_have_are_refused(
    axes: dict[str, tuple[str, ...]], told: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        tagged(tmp_path, axes)

    assert told in caught.value.message


def test_an_axis_without_a_name_keeps_its_size() -> None:
    inputs = {"x": np.zeros((1, 5, 6)), "y": np.zeros((1, 5))}

    cut = halved(inputs, {"x": ("", "wide")})

    assert {name: array.shape for name, array in cut.items()} == {"x": (1, 5, 3), "y": (1, 5)}
