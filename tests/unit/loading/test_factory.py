"""A factory's module becomes a model with weights and a signature."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.torch_models import FAMILIES, inputs_for, model_for, samples_for
from torch import Tensor, nn

from edgekit.core.samples import Samples, save_samples
from edgekit.core.tensors import DType, TensorSpec
from edgekit.errors import InputRefusedError, UnsupportedError, UsageError
from edgekit.loading.factory import build_model
from edgekit.loading.source import ModelSource
from edgekit.loading.trial import find_signature

CODE = """
from torch import nn

def build(hidden=8):
    return nn.Sequential(nn.Linear(6, hidden), nn.Dropout(0.5), nn.Linear(hidden, 3))

def build_class():
    return nn.Linear

def broken():
    return nn.Linear(6, "three")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny_net.py").write_text(CODE)
    return tmp_path


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    features = np.random.default_rng(0).standard_normal((5, 6), dtype=np.float32)
    return save_samples(tmp_path / "samples", {"input": features})


def source(
    folder: Path, factory: str = "tiny_net:build", weights: Path | None = None, hidden: int = 8
) -> ModelSource:
    options = {} if factory != "tiny_net:build" else {"hidden": hidden}
    return ModelSource(factory, folder, weights, dict(options))


def weights_of(hidden: int = 8) -> dict[str, Tensor]:
    shapes = {"0.weight": (hidden, 6), "0.bias": (hidden,), "2.weight": (3, hidden), "2.bias": (3,)}
    return {name: torch.full(shape, 0.25) for name, shape in shapes.items()}


def test_a_model_is_built_with_its_options_in_eval_mode(folder: Path, samples: Samples) -> None:
    model = build_model(source(folder, hidden=5), samples)

    assert not model.module.training
    assert model.module.get_submodule("0").weight.shape == (5, 6)
    assert model.signature.inputs == (TensorSpec("input", DType.FLOAT32, ("batch", 6)),)
    assert model.signature.outputs == (TensorSpec("output", DType.FLOAT32, ("batch", 3)),)


def test_random_weights_are_the_same_every_time(folder: Path, samples: Samples) -> None:
    first = build_model(source(folder), samples).module.state_dict()
    torch.manual_seed(99)
    second = build_model(source(folder), samples).module.state_dict()

    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt", "named_otherwise.bin"])
@pytest.mark.parametrize("write", [save_file, torch.save])
def test_weights_are_recognised_by_what_they_hold(
    name: str, write: object, folder: Path, samples: Samples
) -> None:
    assert callable(write)
    write(weights_of(), folder / name)

    model = build_model(source(folder, weights=folder / name), samples)

    assert all(bool((value == 0.25).all()) for value in model.module.state_dict().values())


def test_weights_that_do_not_fit_are_all_listed(folder: Path, samples: Samples) -> None:
    weights = weights_of(hidden=4)
    weights["other"] = weights.pop("2.bias")
    save_file(weights, folder / "w.safetensors")

    with pytest.raises(InputRefusedError) as caught:
        build_model(source(folder, weights=folder / "w.safetensors"), samples)

    assert caught.value.message == (
        f"{folder}/w.safetensors does not fit the model: '2.bias' is missing; 'other' is not in "
        "the model; '0.weight' has shape [4, 6], the model [8, 6]; '0.bias' has shape [4], the "
        "model [8]; '2.weight' has shape [3, 4], the model [3, 8]"
    )


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\x80\x02X", b"12345678{", b"nonsense" * 40]
)
def test_damaged_weights_are_refused(content: bytes, folder: Path, samples: Samples) -> None:
    (folder / "w.pt").write_bytes(content)

    with pytest.raises(InputRefusedError, match=r"w\.pt"):
        build_model(source(folder, weights=folder / "w.pt"), samples)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_flipped_bits_in_weights_never_end_in_a_traceback(folder: Path, samples: Samples) -> None:
    for write, name in ((save_file, "w.safetensors"), (torch.save, "w.pt")):
        write(weights_of(), folder / name)
        whole = (folder / name).read_bytes()
        rng = np.random.default_rng(0)
        for _ in range(60):
            damaged = bytearray(whole)
            for place in rng.integers(0, min(len(damaged), 600), 4):
                damaged[place] ^= 1 << int(rng.integers(8))
            (folder / name).write_bytes(damaged)
            try:
                build_model(source(folder, weights=folder / name), samples)
            except InputRefusedError as error:
                assert name in error.message  # noqa: PT017  the other outcome is a model


def test_a_whole_module_in_a_pt_file_is_refused(folder: Path, samples: Samples) -> None:
    torch.save(nn.Linear(6, 3), folder / "w.pt")

    with pytest.raises(InputRefusedError, match="a pickle that holds more than tensors"):
        build_model(source(folder, weights=folder / "w.pt"), samples)


def test_missing_weights_are_refused(folder: Path, samples: Samples) -> None:
    with pytest.raises(InputRefusedError, match="cannot be read: No such file"):
        build_model(source(folder, weights=folder / "none.pt"), samples)


def test_a_factory_that_returns_no_module_is_told_so(folder: Path, samples: Samples) -> None:
    with pytest.raises(UsageError, match=r"'tiny_net:build_class' returned type, not a torch"):
        build_model(source(folder, "tiny_net:build_class"), samples)


def test_a_factory_that_fails_is_told_with_its_line(folder: Path, samples: Samples) -> None:
    with pytest.raises(UsageError, match=r"'tiny_net:broken' failed at .*tiny_net.py:11: TypeErr"):
        build_model(source(folder, "tiny_net:broken"), samples)


def test_an_unknown_option_is_told_by_python(folder: Path, samples: Samples) -> None:
    wrong = ModelSource("tiny_net:build", folder, None, {"hiden": 3})

    with pytest.raises(UsageError, match="unexpected keyword argument 'hiden'"):
        build_model(wrong, samples)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_every_family_has_a_signature_with_a_named_batch(family: str, tmp_path: Path) -> None:
    samples = samples_for(family, tmp_path)

    signature = model_for(family, samples).signature

    assert {spec.name for spec in signature.inputs} == set(inputs_for(family, 1))
    assert all(spec.shape[0] == "batch" for spec in (*signature.inputs, *signature.outputs))
    samples.check_against(signature.inputs)


def test_outputs_are_named_by_key_or_by_number(tmp_path: Path) -> None:
    by_key = model_for("perceptron", samples_for("perceptron", tmp_path / "a")).signature
    by_number = model_for("two_inputs", samples_for("two_inputs", tmp_path / "b")).signature

    assert [spec.name for spec in by_key.outputs] == ["logits", "hidden"]
    assert [spec.name for spec in by_number.outputs] == ["output_0", "output_1"]


def test_inputs_come_in_the_order_of_forward(tmp_path: Path) -> None:
    arrays = inputs_for("two_inputs", 4)
    samples = save_samples(tmp_path, dict(reversed(list(arrays.items()))))

    signature = model_for("two_inputs", samples).signature

    assert [spec.name for spec in signature.inputs] == ["images", "features"]


def test_one_sample_is_enough_for_a_signature(tmp_path: Path) -> None:
    samples = samples_for("mobile", tmp_path, rows=1)

    assert model_for("mobile", samples).signature.outputs[0].shape == ("batch", 4)


def test_inputs_of_other_names_are_refused_with_both(tmp_path: Path) -> None:
    samples = samples_for("perceptron", tmp_path)

    with pytest.raises(UsageError, match="inputs named features, and the model's forward takes im"):
        model_for("mobile", samples)


class Variadic(nn.Module):
    def forward(self, *parts: Tensor) -> Tensor:
        return torch.cat(parts, 1)


class MixesRows(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features.mean(0)


class GivesText(nn.Module):
    def forward(self, features: Tensor) -> tuple[Tensor, str]:
        return features, "text"


class Fails(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features @ features


def test_a_forward_of_any_number_takes_inputs_in_order(tmp_path: Path) -> None:
    arrays = {name: np.full((2, 1), value, np.float32) for name, value in (("b", 1), ("a", 2))}

    signature = find_signature(Variadic(), save_samples(tmp_path, dict(arrays)))

    assert [spec.name for spec in signature.inputs] == ["b", "a"]
    assert signature.outputs[0].shape == ("batch", 2)


@pytest.mark.parametrize(
    ("module", "kind", "message"),
    [
        (MixesRows(), UnsupportedError, "for 2 samples; edgekit needs one row a sample"),
        (GivesText(), UnsupportedError, "'output_1' is a str, not a tensor"),
        (Fails(), UsageError, r"run on inputs of shape .*2, 6.* failed: RuntimeError: mat1 and"),
    ],
)
def test_what_cannot_be_a_model_is_refused(
    module: nn.Module, kind: type[Exception], message: str, tmp_path: Path
) -> None:
    samples = samples_for("perceptron", tmp_path)

    with pytest.raises(kind, match=message):
        find_signature(module, samples)


UNUSABLE = """
import torch
from torch import nn

def half():
    return nn.Linear(6, 3).half()

def double():
    return nn.Linear(6, 3).double()

def lazy():
    return nn.LazyLinear(3)

def meta():
    return nn.Linear(6, 3, device="meta")

def scripted():
    return torch.jit.script(nn.Linear(6, 3))

def packed():
    return Packed()

class Packed(nn.Linear):
    def __init__(self):
        super().__init__(6, 3)

    def get_extra_state(self):
        return {"scale": 0.1}

def wide(width):
    return nn.Linear(6, width)
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    ("factory", "kind", "message"),
    [
        ("half", UnsupportedError, "weights in float16; edgekit takes float32"),
        ("double", UnsupportedError, "weights in float64; edgekit takes float32"),
        ("lazy", UsageError, "sizes are not known yet: 'weight', 'bias'"),
        ("meta", UsageError, "on the device 'meta'"),
        ("scripted", UsageError, "a TorchScript module"),
        ("packed", UnsupportedError, "other state than tensors"),
        ("wide", UsageError, r"options \(none\): missing a required argument: 'width'"),
    ],
)
def test_a_module_that_edgekit_cannot_work_on_is_refused(
    factory: str, kind: type[Exception], message: str, tmp_path: Path, samples: Samples
) -> None:
    (tmp_path / "unusable_net.py").write_text(UNUSABLE)

    with pytest.raises(kind, match=message):
        build_model(ModelSource(f"unusable_net:{factory}", tmp_path, None, {}), samples)


@dataclass(frozen=True)
class Named:
    logits: Tensor
    hidden: Tensor | None = None


class ReturnsDataclass(nn.Module):
    def forward(self, input: Tensor) -> Named:  # noqa: A002  the samples' name
        return Named(input + 1)


def test_outputs_of_a_dataclass_keep_their_names(samples: Samples) -> None:
    signature = find_signature(ReturnsDataclass(), samples)

    assert [spec.name for spec in signature.outputs] == ["logits"]


ENCODER = """
import torch
from torch import nn

class Padded(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2)

    def forward(self, steps, padded):
        return self.layers(steps, src_key_padding_mask=padded).mean(1)

def build():
    return Padded()
"""


@pytest.mark.parametrize("has_padding", [True, False])
@pytest.mark.filterwarnings("ignore")  # PyTorch's own, of its nested tensors
def test_padded_steps_are_what_training_gives_and_that_is_said(
    tmp_path: Path, *, has_padding: bool
) -> None:
    (tmp_path / "padded_net.py").write_text(ENCODER, encoding="utf-8")
    steps = np.random.default_rng(0).standard_normal((4, 5, 8), dtype=np.float32)
    padded = np.zeros((4, 5), bool)
    padded[:, 3:] = has_padding
    arrays = {"steps": steps, "padded": padded}
    source = ModelSource("padded_net:build", tmp_path, None, {})

    model = build_model(source, save_samples(tmp_path / "samples", arrays))

    with torch.no_grad():
        as_is = model.module(*map(torch.from_numpy, arrays.values()))
        for part in model.module.modules():
            # Without dropout, training computes the same but for the fast path.
            part.training = not isinstance(part, nn.Dropout | nn.MultiheadAttention)
        trained = model.module(*map(torch.from_numpy, arrays.values()))
    torch.testing.assert_close(as_is, trained, rtol=0, atol=1e-6)  # the order of sums differs
    assert [change.step for change in model.history] == (["model"] if has_padding else [])
