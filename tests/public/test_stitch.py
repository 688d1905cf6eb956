"""Two modules of one's own and some images: the whole of what a notebook needs."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.models import VisionTransformer

import modelstitch as ms
from modelstitch.config.defaults import default_settings
from modelstitch.fitting.pair import train_pair
from tests.networks.modules import Plain


def trained_module(make, digits, channels=1, steps=200):
    """A module that has learned the digits a little, of images of 0 to 1."""
    torch.manual_seed(0)
    module = make()
    optimiser = torch.optim.AdamW(module.parameters(), 3e-3)
    images, labels = torch.from_numpy(digits.train.images), torch.from_numpy(digits.train.labels)
    module.train()
    for _ in range(steps):
        chosen = torch.randint(len(images), (64,))
        logits = module(images[chosen].float().div(255).expand(-1, channels, -1, -1))
        loss = nn.functional.cross_entropy(logits, labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return module.eval()


@pytest.fixture(scope="module")
def convolutional(digits):
    return trained_module(Plain, digits)


@pytest.fixture(scope="module")
def transformer(digits):
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 32}
    return trained_module(lambda: VisionTransformer(32, 8, num_classes=10, **sizes), digits, channels=3)


@pytest.fixture(scope="module")
def splits(digits):
    """As arrays, of which the last is of the test images."""
    return {name: (split.images, split.labels) for name, split in (("train", digits.train), ("test", digits.test))}


@pytest.fixture(scope="module")
def result(convolutional, transformer, splits):
    other = ms.Network(transformer, name="vit", image=(3, 32, 32))
    return ms.stitch(ms.Network(convolutional, name="cnn"), other, **splits, epochs=1)


def own_accuracy(module, digits, channels):
    images = torch.from_numpy(digits.test.images).float().div(255).expand(-1, channels, -1, -1)
    with torch.no_grad():
        return (module(images).argmax(dim=1).numpy() == digits.test.labels).mean()


def test_a_convolutional_network_and_a_transformer_are_stitched(result, digits, convolutional, transformer):
    accuracy = result.accuracy
    assert accuracy.index.tolist() == ["relu.max_pool2d", "relu@1.max_pool2d", "dropout"]
    assert accuracy.columns.tolist() == ["encoder.dropout", *(f"encoder.layers.encoder_layer_{i}" for i in range(2))]
    assert (accuracy.index.name, accuracy.columns.name) == ("cnn (sender)", "vit (receiver)")
    assert result.sender_accuracy == own_accuracy(convolutional, digits, 1) > 0.5
    assert result.receiver_accuracy == own_accuracy(transformer, digits, 3) > 0.5
    assert (accuracy.to_numpy() > 0.2).all() and accuracy.iloc[2].min() > 0.6 and (result.loss.to_numpy() > 0).all()
    np.testing.assert_allclose(result.relative, accuracy / result.receiver_accuracy)
    assert result.predictions.shape == (3, 3, 360)
    np.testing.assert_array_equal((result.predictions == digits.test.labels).mean(axis=2), accuracy)
    below, above = result.triangle.below, result.triangle.above
    assert below == pytest.approx(np.mean([accuracy.iloc[i, j] for i in range(3) for j in range(i + 1)]))
    assert above == pytest.approx(np.mean([accuracy.iloc[i, j] for i in range(3) for j in range(i + 1, 3)]))


def test_it_is_the_pairs_training_by_the_default_studys_settings(digits, trained, random_networks, splits):
    """Bit for bit what the workflow does, which has its images from a file."""
    settings = default_settings("task", None, {"epochs": 1})
    expected = train_pair(trained, random_networks[1], digits, settings, study_seed=3).record
    found = ms.stitch(trained, random_networks[1], **splits, epochs=1, seed=3, device="cpu").record
    for one, other in zip(found.columns, expected.columns, strict=True):
        np.testing.assert_array_equal(one.predictions, other.predictions)
        np.testing.assert_array_equal(one.train_loss, other.train_loss)
    assert found.attributes["receiver_accuracy"] == pytest.approx(random_networks[1].about["accuracy"])


def test_a_result_is_drawn_and_kept(result, tmp_path):
    result.save(tmp_path / "pair.h5")
    again = ms.read(tmp_path / "pair.h5")
    assert again.accuracy.equals(result.accuracy) and again.stitches == {}
    np.testing.assert_array_equal(again.predictions, result.predictions)
    figure = result.plot()
    assert isinstance(figure, Figure)
    texts = " ".join(text.get_text() for axes in figure.axes for text in axes.texts)
    assert "dropout" in texts and "max_pool2d" in texts and "vit" in texts
    figure.savefig(tmp_path / "pair.png")
    assert min(Image.open(tmp_path / "pair.png").size) > 300
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert "cnn" in repr(result) and "3 x 3 cells" in repr(result)


def test_a_stitch_can_be_used_on_its_own(result, convolutional, transformer, digits):
    """Between the two modules' own intermediate results it makes the accuracy that is stated."""
    images = torch.from_numpy(digits.test.images).float().div(255)
    with torch.no_grad():
        hidden = nn.functional.max_pool2d(torch.relu(convolutional.norm1(convolutional.conv1(images))), 2)
        tokens = result.stitches[0, 1](hidden)
        for layer in list(transformer.encoder.layers)[1:]:
            tokens = layer(tokens)
        logits = transformer.heads(transformer.encoder.ln(tokens)[:, 0])
    accuracy = (logits.argmax(dim=1).numpy() == digits.test.labels).mean()
    assert accuracy == pytest.approx(result.accuracy.iloc[0, 1], abs=1 / 360)


def test_a_network_stitched_to_itself_reaches_its_own_accuracy(convolutional, splits):
    result = ms.stitch(convolutional, convolutional, **splits, objective="similarity")
    np.testing.assert_allclose(np.diag(result.accuracy), result.receiver_accuracy, atol=0.02)


def test_layers_are_chosen_by_name_or_index(convolutional, transformer, splits):
    receiver = ms.Network(transformer, image=(3, 32, 32))
    layers = (["dropout", 0], ["encoder.dropout"])
    result = ms.stitch(convolutional, receiver, **splits, objective="similarity", layers=layers)
    assert result.accuracy.index.tolist() == ["relu.max_pool2d", "dropout"]
    assert result.accuracy.columns.tolist() == ["encoder.dropout"]
    assert result.triangle.isna().all()  # nothing lies above the diagonal


def test_tensors_data_sets_and_loaders_give_the_same(convolutional, digits, splits):
    images = {name: torch.from_numpy(one).float() / 255 for name, (one, _) in splits.items()}
    labels = {name: torch.from_numpy(one) for name, (_, one) in splits.items()}
    kinds = {
        "tensors": {name: (images[name], labels[name]) for name in splits},
        "data sets": {name: TensorDataset(images[name], labels[name]) for name in splits},
        "loaders": {name: DataLoader(TensorDataset(images[name], labels[name]), batch_size=100) for name in splits},
    }
    settings = {"objective": "similarity", "layers": ([1], [1])}
    expected = ms.stitch(convolutional, convolutional, **splits, **settings)
    for given in kinds.values():
        found = ms.stitch(convolutional, convolutional, **given, **settings)
        np.testing.assert_array_equal(found.predictions, expected.predictions)


def test_networks_are_left_as_they_were(convolutional, splits):
    before = {name: value.clone() for name, value in convolutional.state_dict().items()}
    convolutional.train()
    ms.stitch(convolutional, convolutional, **splits, layers=([2], [2]), epochs=0.2)
    assert all(part.training for part in convolutional.modules())
    assert all(parameter.requires_grad for parameter in convolutional.parameters())
    assert all(torch.equal(value, before[name]) for name, value in convolutional.state_dict().items())
    convolutional.eval()


def many(splits):
    images, labels = splits["train"]
    return images, labels + 7


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (lambda s: {"epochs": "x"}, r"^epochs: 'x' is text: expected a number$"),
        (lambda s: {"epoch": 1}, r"epoch.*did you mean 'epochs'"),
        (lambda s: {"protocol": "fst"}, r"protocol 'fst' of task: expected adam, fast or paper"),
        (
            lambda s: {"objective": "tasks"},
            r"objective 'tasks': expected deranged, functional, .*, soft or task",
        ),
        (lambda s: {"layers": (["relu.max_pol2d"], None)}, r"no layer .* \(did you mean 'relu\.max_pool2d'"),
        (lambda s: {"layers": ([7], None)}, r"has no layer 7: it has 3, 0 to 2"),
        (lambda s: {"train": (s["train"][0][:9], s["train"][1])}, r"^train: labels are int64 \(1437,\): expected 9"),
        (lambda s: {"train": many(s)}, r"tells apart 10 classes, but the data has 17"),
        (lambda s: {"train": (s["train"][0][:9], s["train"][1][:9])}, r"batch: 32 is more than the 9 training images"),
        (lambda s: {"test": (s["test"][0].repeat(2, axis=1), s["test"][1])}, "expected one kind and shape"),
        (lambda s: {"device": "cuda"}, r"torch finds no GPU"),
        (lambda s: {"device": "gpu"}, r"^device gpu: expected auto, cpu or cuda$"),
        (lambda s: {"layers": [0]}, r"^layers: \[0\]: expected the sender's and the receiver's"),
        (lambda s: {"layers": (0, 1)}, r"^layers: 0 of Plain: expected a list of names or indices"),
        (lambda s: {"layers": ([], None)}, r"^layers: \[\] of Plain: expected a list"),
        (lambda s: {"sender_layers": [0]}, "^sender_layers: is no setting here: layers are chosen by `layers`"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(convolutional, splits, changes, expected):
    changes = changes(splits)
    if "device" in changes and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ms.ModelstitchError, match=expected) as error:
        ms.stitch(convolutional, convolutional, **splits | changes)
    assert "\n" not in str(error.value)


def test_other_channels_than_the_networks_are_refused(convolutional, splits):
    colour = {name: (images.repeat(3, axis=1), labels) for name, (images, labels) in splits.items()}
    with pytest.raises(ms.ModelstitchError, match="takes images of 1 channels, not of 3"):
        ms.stitch(ms.Network(convolutional, image=(1, 32, 32)), convolutional, **colour)
    with pytest.raises(ms.ModelstitchError, match="Plain takes no images of 3 x 32 x 32"):
        ms.stitch(convolutional, convolutional, **colour)


def test_a_sender_of_fewer_classes_is_stitched_and_has_no_accuracy_of_its_own(convolutional, splits):
    class Five(Plain):
        def forward(self, x):
            return super().forward(x)[:, :5]

    result = ms.stitch(Five().eval(), convolutional, **splits, objective="similarity", layers=([0], [0]))
    assert np.isnan(result.sender_accuracy) and result.receiver_accuracy > 0.5
    assert result.accuracy.notna().all(axis=None)


def test_means_for_other_channels_are_refused(convolutional, splits):
    network = ms.Network(convolutional, mean=[0.1, 0.2], std=[1, 1])
    with pytest.raises(ms.ModelstitchError, match=r"^Plain: mean has 2 numbers: expected 1 or 1$"):
        ms.stitch(network, convolutional, **splits)


def test_classes_of_the_data_in_another_order_are_refused(convolutional, splits):
    def named(images, labels):
        data = TensorDataset(torch.from_numpy(images[:40]).float(), torch.from_numpy(labels[:40]))
        data.classes = [f"c{number}" for number in range(10)]
        return data

    data = {name: named(*split) for name, split in splits.items()}
    other = ms.Network(convolutional, classes=[f"c{number}" for number in reversed(range(10))])
    with pytest.raises(ms.ModelstitchError, match="the same classes in another order"):
        ms.stitch(other, other, **data)
    with pytest.raises(ms.ModelstitchError, match="Plain has 10 logits, but 2 classes are named"):
        ms.stitch(ms.Network(convolutional, classes=["a", "b"]), convolutional, **splits)


def test_classes_in_another_order_are_refused(convolutional, splits):
    digits = [f"digit {number}" for number in range(10)]
    networks = (ms.Network(convolutional, image=(1, 32, 32), classes=names) for names in (digits, digits[::-1]))
    with pytest.raises(ms.ModelstitchError, match="the same classes in another order"):
        ms.stitch(*networks, **splits)
