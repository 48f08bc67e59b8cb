"""Weights are found in what training programs write, and what does not fit is told at once."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_model
from torch import Tensor, nn

from edgekit.errors import InputRefusedError
from edgekit.loading.weights import load_weights


class Tied(nn.Module):
    """Looks up and scores with one table."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 4)
        self.scores = nn.Linear(4, 5, bias=False)
        self.scores.weight = self.table.weight


def net() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))


def weights_of(module: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    with torch.no_grad():
        return {f"{prefix}{name}": value + 1 for name, value in module.state_dict().items()}


def written(content: object, folder: Path) -> Path:
    torch.save(content, folder / "w.pt")
    return folder / "w.pt"


def bare() -> object:
    return weights_of(net())


def checkpoint() -> object:
    optimizer = torch.optim.SGD(net().parameters(), 0.1, momentum=0.9)
    return {"epoch": 3, "state_dict": bare(), "optimizer": optimizer.state_dict()}


def parallel_and_compiled() -> object:
    return {"model": weights_of(net(), "_orig_mod.module.")}


def halved() -> object:
    return {name: value.half() for name, value in weights_of(net()).items()}


def without_counters() -> object:
    weights = weights_of(net())
    del weights["1.num_batches_tracked"]
    return weights


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (bare, []),
        (without_counters, []),
        (checkpoint, ["a checkpoint, of which 'state_dict' is the weights"]),
        (
            parallel_and_compiled,
            [
                "a checkpoint, of which 'model' is the weights",
                "'_orig_mod.' is taken out of its names",
                "its names begin with 'module.', the model's with ''",
            ],
        ),
    ],
)
def test_weights_are_found_in_what_training_programs_write(
    content: Callable[[], object], told: list[str], tmp_path: Path
) -> None:
    module, path = net(), written(content(), tmp_path)

    notes = load_weights(module, path)

    assert notes == tuple(f"w.pt: {note}" for note in told)
    torch.testing.assert_close(module.state_dict()["0.weight"], net().state_dict()["0.weight"] + 1)


def test_a_module_that_the_factory_wraps_finds_its_weights(tmp_path: Path) -> None:
    module = nn.ModuleDict({"net": net()})

    (note,) = load_weights(module, written(weights_of(net()), tmp_path))

    assert note == "w.pt: its names begin with '', the model's with 'net.'"


def test_half_precision_becomes_float32_and_is_told(tmp_path: Path) -> None:
    module = net()

    notes = load_weights(module, written(halved(), tmp_path))

    assert notes == ("w.pt: its float16 weights are float32 now",)
    assert module.state_dict()["0.weight"].dtype is torch.float32


def test_a_tensor_of_two_names_may_be_stored_under_one(tmp_path: Path) -> None:
    module = Tied()
    save_model(Tied(), str(tmp_path / "w.safetensors"))

    assert load_weights(module, tmp_path / "w.safetensors") == ()


def test_all_that_does_not_fit_is_told_with_the_closest_names(tmp_path: Path) -> None:
    weights = weights_of(net(), "module.")
    weights["module.2.biases"] = weights.pop("module.2.bias")
    weights["module.0.weight"] = torch.zeros(8, 7)
    weights["module.2.weight"] = torch.zeros((3, 8), dtype=torch.int8)

    with pytest.raises(InputRefusedError) as caught:
        load_weights(net(), written(weights, tmp_path))

    assert caught.value.message == (
        f"{tmp_path}/w.pt does not fit the model: '2.bias' is missing (the file has '2.biases'); "
        "'2.biases' is not in the model; '0.weight' has shape [8, 7], the model [8, 6]; "
        "'2.weight' holds int8, the model float32"
    )


def test_many_missing_names_hide_no_other_problem(tmp_path: Path) -> None:
    deep = nn.Sequential(*(nn.Linear(2, 2) for _ in range(20)))
    weights = {"0.weight": torch.zeros(2, 2), "0.bias": torch.zeros(2), "other": torch.zeros(1)}

    with pytest.raises(InputRefusedError, match=r"and 30 more like this; 'other' is not in the mo"):
        load_weights(deep, written(weights, tmp_path))


def test_two_sets_of_weights_that_fit_are_not_chosen_between(tmp_path: Path) -> None:
    both = {"model": bare(), "ema": bare()}

    with pytest.raises(InputRefusedError, match="several of its parts fit the model: 'model'"):
        load_weights(net(), written(both, tmp_path))


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        (net(), "holds more than tensors", "weights_only=False).state_dict()"),
        (
            {"state_dict": bare(), "args": argparse.Namespace()},
            "such as argparse.Namespace",
            "['state_dict']",
        ),
        ({"epoch": 3, "losses": [1.0]}, "nor a checkpoint with one", "model.state_dict()"),
        ([torch.zeros(2)], "nor a checkpoint with one", "model.state_dict()"),
        (5, "nor a checkpoint with one", "model.state_dict()"),
    ],
    ids=["module", "namespace", "none", "list", "number"],
)
def test_what_cannot_be_read_as_weights_says_what_to_do(
    content: object, message: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(InputRefusedError) as caught:
        load_weights(net(), written(content, tmp_path))

    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*TorchScript archive")
def test_a_torchscript_archive_is_named_as_one(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "w.pt")

    with pytest.raises(InputRefusedError, match="is a TorchScript archive"):
        load_weights(net(), tmp_path / "w.pt")
