import random

import numpy as np
import pytest
import torch

from modelstitch.repeating import CpuGenerators


@pytest.mark.parametrize("draw", [random.random, np.random.rand, lambda: torch.rand(()).item(), random.gauss])
def test_what_was_drawn_is_seen_and_drawn_again(draw):
    before = CpuGenerators()
    assert not before.drew()
    drawn = draw()
    assert before.drew()
    before.restore()
    assert not before.drew() and draw() == drawn
