"""What planning says of a GPU without torch is what torch will say."""

import pytest
import torch

from modelstitch import hardware
from modelstitch.errors import ModelstitchError
from modelstitch.planning import devices


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_machine_without_a_gpu_is_told_in_the_words_of_a_job():
    with pytest.raises(ModelstitchError) as told:
        hardware.choose_device("cuda")
    assert not devices.may_have_gpu() and str(told.value) == devices.NO_GPU
