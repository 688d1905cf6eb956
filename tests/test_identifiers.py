import pytest

from modelstitch.errors import ModelstitchError
from modelstitch.identifiers import RECIPES, NetworkId


@pytest.mark.parametrize(
    "architecture", ["R3463", "vgg11_bn", "vit_tiny_patch16_224.augreg_in21k", "a_trained_s0", "mine+more-2"]
)
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_name_is_read_as_it_was_written(recipe, architecture):
    network = NetworkId(architecture, recipe, 17)
    assert str(network) == f"{architecture}_{recipe}_s17"
    assert NetworkId.parse(str(network)) == network


@pytest.mark.parametrize(
    "text",
    [
        "R1111",
        "R1111_trained",
        "R1111_trained_0",
        "R1111_trained_s",
        "R1111_trained_s-1",
        "R1111_other_s0",
        "_trained_s0",
        "a/b_trained_s0",
        "../R1111_trained_s0",
        "two words_trained_s0",
        ".hidden_trained_s0",
        "R1111_trained_s0\n",
        "",
    ],
)
def test_another_text_is_refused_with_what_was_expected(text):
    with pytest.raises(ModelstitchError) as error:
        NetworkId.parse(text)
    assert repr(text) in str(error.value) and "R1112_trained_s0" in str(error.value)
