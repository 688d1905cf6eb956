"""Small networks on images of the sizes of other data sets: 28 pixels of MNIST, 96 of STL-10."""

import numpy as np
import pytest
import torch

import modelstitch as ms
from modelstitch.networks.building import Blueprint, build


@pytest.mark.parametrize("image", [(1, 28, 28), (3, 96, 96)])
def test_small_networks_are_stitched_at_the_sizes_of_other_data_sets(image):
    random = np.random.default_rng(0)
    train, test = (
        (random.integers(0, 256, (count, *image), dtype=np.uint8), np.arange(count) % 10) for count in (40, 20)
    )
    models = {"R1111": {"width": 2}, "nets/small.py:SmallVGG": {"width": 2, "convolutions": [1, 1, 1]}}
    resnet, vgg = (
        ms.Network(build(Blueprint(model, 10, image[0], arguments), seed=0).eval(), name, image=image)
        for name, (model, arguments) in zip("rv", models.items(), strict=True)
    )
    side = image[1]
    sides = [side, side, side // 2, side // 4, -(-side // 8)]
    assert [layer.representation.shape[1] for layer in resnet.layers] == sides
    for sender, receiver in ((resnet, vgg), (vgg, resnet)):
        with torch.no_grad():
            assert sender.logits(torch.rand(2, *image)).shape == (2, 10)
        result = ms.stitch(sender, receiver, train=train, test=test, epochs=1, batch=20)
        assert result.accuracy.shape == (len(sender.layers), len(receiver.layers))
        assert np.isfinite(result.loss.to_numpy()).all()
