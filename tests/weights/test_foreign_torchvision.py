"""A residual network of PyTorch, saved and loaded, computes the same here."""

import numpy as np
import pytest

from minifer import layers, models
from minifer.weights.foreign import load_torch_params, read_safetensors, read_torch

torch = pytest.importorskip("torch")
nn = torch.nn


class Block(nn.Module):
    """A block in torchvision's manner: 3×3, 3×3, or 1×1, 3×3, 1×1."""

    def __init__(self, channels, filters, stride, bottleneck):
        super().__init__()
        sizes = ([(filters, 1, 1), (filters, 3, stride), (4 * filters, 1, 1)]
                 if bottleneck else [(filters, 3, stride), (filters, 3, 1)])
        inside = channels
        for place, (outside, size, step) in enumerate(sizes, 1):
            setattr(self, f"conv{place}", nn.Conv2d(
                inside, outside, size, step, padding=size // 2, bias=False))
            setattr(self, f"bn{place}", nn.BatchNorm2d(outside))
            inside = outside
        self.count, self.channels = len(sizes), inside
        self.downsample = None
        if stride > 1 or channels != inside:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, inside, 1, stride, bias=False),
                nn.BatchNorm2d(inside))

    def forward(self, x):
        short = x if self.downsample is None else self.downsample(x)
        for place in range(1, self.count + 1):
            x = getattr(self, f"bn{place}")(getattr(self, f"conv{place}")(x))
            x = torch.relu(x) if place < self.count else x
        return torch.relu(x + short)


class ResNet(nn.Module):
    """Stem, stages of blocks, mean of each map, last layer; torchvision's names."""

    def __init__(self, depths, bottleneck, width, num_classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        channels, self.depth = width, len(depths)
        for stage, depth in enumerate(depths):
            blocks = []
            for place in range(depth):
                stride = 2 if stage and not place else 1
                blocks.append(Block(channels, width * 2 ** stage, stride, bottleneck))
                channels = blocks[-1].channels
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in range(self.depth):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.fc(x.mean((2, 3)))


def pair(bottleneck):
    """A network of PyTorch with random weights and averages, and ours, untrained."""
    torch.manual_seed(0)
    theirs = ResNet((1, 2), bottleneck, 4, 5).eval()
    for name, value in theirs.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            value.normal_(0, .3)
        elif name.endswith("running_var") or value.ndim == 1:
            value.uniform_(.5, 1.5)
    return theirs, models.resnet((1, 2), bottleneck, num_classes=5, size=40, width=4)


def logits(theirs, ours):
    images = torch.randn(3, 3, 40, 40)
    with torch.no_grad():
        wanted = theirs(images).numpy()
    got, _ = layers.forward(ours, images.numpy(), deterministic=True, logits=True)
    return got, wanted


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("bottleneck", [False, True])
def test_the_same_images_give_the_same_logits(tmp_path, bottleneck, form):
    theirs, ours = pair(bottleneck)
    path = tmp_path / "resnet.pth"
    if form == "safetensors":
        pytest.importorskip("safetensors.torch").save_file(theirs.state_dict(), path)
        arrays = read_safetensors(path)
    else:
        torch.save(theirs.state_dict(), path,
                   _use_new_zipfile_serialization=form == "zip")
        arrays = read_torch(path)
    load_torch_params(arrays, ours)
    got, wanted = logits(theirs, ours)
    assert np.ptp(wanted) > .1
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


def test_half_precision_is_loaded_as_it_was_rounded(tmp_path):
    theirs, ours = pair(False)
    theirs = theirs.bfloat16()
    torch.save(theirs.state_dict(), tmp_path / "resnet.pth")
    load_torch_params(read_torch(tmp_path / "resnet.pth"), ours)
    np.testing.assert_allclose(*logits(theirs.float(), ours), rtol=1e-4, atol=1e-4)


def test_a_body_is_loaded_under_a_new_head(tmp_path):
    theirs, ours = pair(True)
    torch.save(theirs.state_dict(), tmp_path / "resnet.pth")
    arrays = read_torch(tmp_path / "resnet.pth")
    ours = models.resnet((1, 2), num_classes=8, size=40, width=4)
    load_torch_params(arrays, ours, skip=("fc",))
    theirs.fc = nn.Identity()
    pool = next(one for one in layers.get_all_layers(ours) if one.name == "avgpool")
    np.testing.assert_allclose(*logits(theirs, pool), rtol=1e-4, atol=1e-4)
