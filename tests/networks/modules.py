"""Small networks of every kind, as strangers write them."""

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import VisionTransformer

CLASSES = 10


class Plain(nn.Module):
    """Convolutions without any block, in-place ReLUs, dropout, sizes read from the tensor."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.norm1, self.norm2 = nn.BatchNorm2d(6), nn.BatchNorm2d(8)
        self.relu, self.dropout = nn.ReLU(inplace=True), nn.Dropout(0.5)
        self.fc1, self.fc2 = nn.Linear(8 * 8 * 8, 12), nn.Linear(12, CLASSES)

    def forward(self, x):
        x = F.max_pool2d(self.relu(self.norm1(self.conv1(x))), 2)
        x = F.max_pool2d(self.relu(self.norm2(self.conv2(x))), 2)
        x = x.view(x.size(0), -1)
        return self.fc2(self.dropout(F.relu(self.fc1(x), inplace=True)))


class Residual(nn.Module):
    """A block whose shortcut is open over all of it; the same block twice, by the same weights."""

    def __init__(self, channels):
        super().__init__()
        wide, narrow = nn.Conv2d(channels, channels, 3, padding=1), nn.Conv2d(channels, channels, 1)
        self.body = nn.Sequential(wide, nn.ReLU(), narrow)

    def forward(self, x):
        x = x + self.body(x)
        x += 1
        return x


class Shared(nn.Module):
    """One block, called three times."""

    def __init__(self):
        super().__init__()
        self.stem, self.block, self.head = nn.Conv2d(1, 4, 4, stride=4), Residual(4), nn.Linear(4, CLASSES)

    def forward(self, x):
        x = self.stem(x)
        for _ in range(3):
            x = self.block(x)
        return self.head(x.mean((2, 3)))


class Skipping(nn.Module):
    """A connection from the first block to behind the third: nothing between them carries everything."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 4, stride=4)
        self.blocks = nn.ModuleList(Residual(4) for _ in range(4))
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x):
        x = first = self.blocks[0](self.stem(x))
        x = self.blocks[2](self.blocks[1](x)) * first
        x = self.blocks[3](x)
        return self.head(x.mean((2, 3)))


class MixerBlock(nn.Module):
    """Tokens mixed, then channels."""

    def __init__(self, tokens, channels):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.tokens, self.channels = nn.Linear(tokens, tokens), nn.Linear(channels, channels)

    def forward(self, x):
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + F.gelu(self.channels(self.norm2(x)))


class Mixer(nn.Module):
    """Tokens of a grid, without a class token."""

    def __init__(self, channels=1, dimension=6):
        super().__init__()
        self.embed = nn.Conv2d(channels, dimension, 8, stride=8)
        self.blocks = nn.Sequential(*(MixerBlock(16, dimension) for _ in range(3)))
        self.norm, self.head = nn.LayerNorm(dimension), nn.Linear(dimension, CLASSES)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.blocks(x)).mean(1))


class Last(nn.Module):
    """Maps with their channels last, as ConvNeXts within and Swins have them."""

    def __init__(self):
        super().__init__()
        self.embed, self.norm = nn.Conv2d(1, 5, 4, stride=4), nn.LayerNorm(5)
        self.mix, self.head = nn.ModuleList(nn.Linear(5, 5) for _ in range(2)), nn.Linear(5, CLASSES)

    def forward(self, x):
        x = self.norm(self.embed(x).permute(0, 2, 3, 1))
        for mix in self.mix:
            x = torch.tanh(mix(x))
        return self.head(x.mean((1, 2)))


class Branching(nn.Module):
    """What `torch.fx` can't follow and `torch.export` can: a loop over a tensor's size, a branch on a shape."""

    def __init__(self):
        super().__init__()
        self.stem, self.blocks = nn.Conv2d(1, 4, 8, stride=8), nn.ModuleList(Residual(4) for _ in range(2))
        self.norm, self.head = nn.BatchNorm2d(4), nn.Linear(4, CLASSES)

    def forward(self, x):
        x = self.norm(self.stem(x))
        if x.shape[-1] > 2:
            x = x * 2
        for _ in range(x.shape[-2] // 2):
            x = x + 1
        for block in self.blocks:
            x = block(x)
        return self.head(x.flatten(2).mean(-1))


class Writing(nn.Module):
    """Writes into parts of its intermediate results, as relative positions are added; only `torch.export` follows."""

    def __init__(self):
        super().__init__()
        self.embed, self.blocks = nn.Conv2d(1, 6, 8, stride=8), nn.ModuleList(nn.Linear(6, 6) for _ in range(3))
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = F.gelu(block(x))
            x[:, 1:] = x[:, 1:] + x[:, :-1]
            x[:, 0] *= 2
        return self.head(x.mean(1))


class Counting(nn.Module):
    """Asks for the number of images by `len`, which only a strict `torch.export` follows."""

    def __init__(self):
        super().__init__()
        self.embed, self.class_token = nn.Conv2d(1, 6, 8, stride=8), nn.Parameter(torch.randn(1, 1, 6))
        self.blocks, self.block = nn.ModuleList(MixerBlock(17, 6) for _ in range(2)), MixerBlock(17, 6)
        self.head = nn.Linear(17 * 6, CLASSES)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1)
        for block in self.blocks:
            x = block(x)
        x = self.block(self.block(x))
        return self.head(x.reshape(len(x), -1))


class Encoder(nn.Module):
    """A vision transformer of torch's own encoder, by default called with its source alone."""

    def __init__(self, masks=(), count=lambda x: x.shape[0], norm_first=False, norm=True):
        super().__init__()
        self.masks, self.count = masks, count
        self.embed, self.class_token = nn.Conv2d(1, 8, 8, stride=8), nn.Parameter(torch.randn(1, 1, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=norm_first)
        self.enc = nn.TransformerEncoder(layer, 3, nn.LayerNorm(8) if norm else None, enable_nested_tensor=False)
        for parameter in self.enc.parameters():  # its layers are copies of one
            parameter.data += 0.1 * torch.randn_like(parameter)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(self.count(x), -1, -1), x], dim=1)
        return self.head(self.enc(x, *self.masks)[:, 0])


def vision_transformer():
    """Tokens of a grid, and a class token before them."""
    return VisionTransformer(32, 8, num_layers=3, num_heads=2, hidden_dim=8, mlp_dim=16, num_classes=CLASSES)


class Grey(nn.Module):
    """A network for colour images that is given grey ones."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x.expand(-1, 3, -1, -1))


KINDS = {
    "plain": Plain,
    "shared": Shared,
    "skipping": Skipping,
    "mixer": Mixer,
    "last": Last,
    "branching": Branching,
    "writing": Writing,
    "counting": Counting,
    "encoder": Encoder,
    "counting encoder": lambda: Encoder(count=len),
    "vision transformer": lambda: Grey(vision_transformer()),
}


def made(kind):
    """A network of a kind, with weights and statistics that the name of the kind determines."""
    with torch.random.fork_rng():
        torch.manual_seed(len(kind))
        module = KINDS[kind]()
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.uniform_(-0.5, 0.5)
                part.running_var.uniform_(0.5, 1.5)
        if kind == "vision transformer":  # its head begins with zeros
            nn.init.normal_(module.network.heads.head.weight)
    return module.eval()
