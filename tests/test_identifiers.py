import pytest

from modelstitch.errors import ModelstitchError
from modelstitch.identifiers import RECIPES, NetworkId


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_name_is_read_as_it_was_written(recipe):
    network = NetworkId("R3463", recipe, 17)
    assert str(network) == f"R3463_{recipe}_s17"
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
        "R0111_trained_s0",
        "ResNet18_trained_s0",
        "",
    ],
)
def test_another_text_is_refused_with_what_was_expected(text):
    with pytest.raises(ModelstitchError) as error:
        NetworkId.parse(text)
    assert repr(text) in str(error.value) and "R1112_trained_s0" in str(error.value)
