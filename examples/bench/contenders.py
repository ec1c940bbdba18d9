"""The contenders of bench.py: the same networks in minifer and in PyTorch.

Those for a GPU are in gpu.py.
"""

import os
import time

import numpy as np

# A network: channels and side of its images, then its layers.
# conv: filters, size, padding; every conv and dense but the last is followed by ReLU.
NETS = {
    "ck96": (1, 96, [("conv", 32, 5, 0), ("pool",), ("conv", 32, 5, 0), ("pool",),
                     ("drop", .5), ("dense", 256), ("drop", .5), ("dense", 7)]),
    "fer48": (1, 48, [("conv", 32, 3, 0), ("conv", 64, 3, 0), ("pool",),
                      ("conv", 128, 3, 0), ("pool",), ("conv", 128, 3, 0), ("pool",),
                      ("drop", .25), ("conv", 7, 1, 0), ("conv", 7, 4, 0),
                      ("flatten",)]),
    "r1": (1, 48, [("conv", 32, 3, 1), ("conv", 64, 3, 1), ("norm",), ("pool",),
                   ("drop", .25), ("dense", 7)]),
    "six": (1, 48, [("conv", 32, 3, 1), ("conv", 32, 3, 1), ("pool",),
                    ("conv", 64, 3, 1), ("conv", 64, 3, 1), ("pool",),
                    ("conv", 128, 3, 1), ("conv", 128, 3, 1), ("pool",),
                    ("drop", .25), ("dense", 256), ("drop", .5), ("dense", 7)]),
    "six-bn": (1, 48, [("conv", 32, 3, 1), ("norm",), ("conv", 32, 3, 1), ("norm",),
                       ("pool",), ("conv", 64, 3, 1), ("norm",), ("conv", 64, 3, 1),
                       ("norm",), ("pool",), ("conv", 128, 3, 1), ("norm",),
                       ("conv", 128, 3, 1), ("norm",), ("pool",), ("drop", .25),
                       ("dense", 256), ("drop", .5), ("dense", 7)]),
    "mlp": (1, 48, [("dense", 1024), ("dense", 512), ("dense", 256), ("dense", 128),
                    ("dense", 7)]),
    # For rehearsals on the emulator.
    "tiny": (1, 12, [("conv", 8, 3, 1), ("pool",), ("conv", 8, 3, 1), ("pool",),
                     ("drop", .25), ("dense", 16), ("drop", .5), ("dense", 7)]),
}

#: Steps over which the losses of the contenders are compared, and the learning rate:
#: small, so that rounding is not blown up by a run that diverges on random data.
LOSS_STEPS, LOSS_RATE = 20, 0.0005


class Contender:
    """Data and timing; a subclass gives step(), predict() and step_loss()."""

    def __init__(self, args, config, weights):
        self.args, self.config, self.weights = args, config, weights
        C, side, self.net = NETS[args.net]
        rng = np.random.default_rng(0)
        self.x = rng.random((args.batch, C, side, side), dtype=np.float32)
        self.y = rng.integers(0, 7, args.batch)

    def start(self):
        self.build()
        began = time.perf_counter()
        self.step()
        first = time.perf_counter() - began
        for _ in range(2):
            self.step()
        for _ in range(3):
            self.predict()
        return {"first_step_s": first}

    def train(self, steps):
        return {"seconds": [self.timed(self.step) for _ in range(steps)]}

    def infer(self, steps):
        return {"seconds": [self.timed(self.predict) for _ in range(steps)]}

    def losses(self):
        self.build(dropout=False, rate=LOSS_RATE)
        return {"losses": [self.step() for _ in range(LOSS_STEPS)]}

    def facts(self):
        """What else is worth a column; nothing here."""
        return {}

    @staticmethod
    def timed(function):
        began = time.perf_counter()
        function()
        return time.perf_counter() - began


class Minifer(Contender):
    """minifer, compiled or eager."""

    def build(self, dropout=True, rate=0.01):
        import minifer
        from minifer import layers, nonlinearities, objectives, tensor, updates
        minifer.random.set_rng(0)
        network = layers.InputLayer((None,) + self.x.shape[1:], tensor.tensor4("x"))
        x, y = network.input_var, tensor.ivector("y")
        for place, (kind, *options) in enumerate(self.net):
            relu = nonlinearities.rectify if place < len(self.net) - 1 else None
            if kind == "conv":
                filters, size, pad = options
                network = layers.Conv2DLayer(network, filters, size, pad=pad,
                                             nonlinearity=relu, flip_filters=False)
            elif kind == "pool":
                network = layers.MaxPool2DLayer(network, 2)
            elif kind == "dense":
                network = layers.DenseLayer(network, *options, nonlinearity=relu)
            elif kind == "norm":
                network = layers.BatchNormLayer(network)
            elif kind == "drop" and dropout:
                network = layers.DropoutLayer(network, *options)
            elif kind == "flatten":
                network = layers.FlattenLayer(network)
        network = layers.NonlinearityLayer(network, nonlinearities.softmax)
        if not dropout and not os.path.exists(self.weights):
            np.savez(self.weights, *[value.astype(np.float32) for value in
                                     layers.get_all_param_values(network)])
        if not dropout:
            minifer.weights.load_params(self.weights, network)
        loss = objectives.categorical_crossentropy(layers.get_output(network), y).mean()
        params = layers.get_all_params(network, trainable=True)
        update = updates.nesterov_momentum(loss, params, rate, 0.9)
        self.network, options = network, self.options()
        self.train_fn = minifer.function([x, y], loss, update, **options)
        self.predict_fn = minifer.function(
            [x], layers.get_output(network, deterministic=True), **options)

    def options(self):
        """How minifer.function is asked for."""
        return {"mode": self.config, "threads": self.args.threads}

    def step(self):
        return self.train_fn(self.x, self.y)

    def predict(self):
        return self.predict_fn(self.x)


class Torch(Contender):
    """PyTorch: as a user writes it, channels last, compiled, or in bfloat16."""

    def build(self, dropout=True, rate=0.01):
        model = self.modules(dropout)
        self.data, self.labels = map(self.torch.from_numpy, (self.x, self.y))
        if self.config in ("channels_last", "bfloat16"):
            model = model.to(memory_format=self.torch.channels_last)
            self.data = self.data.to(memory_format=self.torch.channels_last)
        self.optimiser = self.torch.optim.SGD(model.parameters(), lr=rate,
                                              momentum=0.9, nesterov=True)
        self.plain = model
        self.model = self.torch.compile(model) if self.config == "compile" else model

    def modules(self, dropout):
        """The network as PyTorch has it."""
        import torch
        from torch import nn
        self.torch = torch
        torch.set_num_threads(self.args.threads)
        torch.manual_seed(0)
        modules, shape = [], self.x.shape[1:]
        for place, (kind, *options) in enumerate(self.net):
            module = {"conv": lambda F, k, p: nn.Conv2d(shape[0], F, k, padding=p),
                      "pool": lambda: nn.MaxPool2d(2),
                      "dense": lambda U: nn.Linear(int(np.prod(shape)), U),
                      "norm": lambda: nn.BatchNorm2d(shape[0], eps=1e-4),
                      "drop": lambda p: nn.Dropout(p),
                      "flatten": lambda: nn.Flatten()}[kind](*options)
            if kind == "drop" and not dropout:
                continue
            if kind == "dense" and len(shape) > 1:
                modules.append(nn.Flatten())
                shape = (int(np.prod(shape)),)
            modules.append(module)
            if kind in ("conv", "dense") and place < len(self.net) - 1:
                modules.append(nn.ReLU())
            shape = tuple(nn.Sequential(module).eval()(
                torch.zeros((2,) + tuple(shape))).shape[1:])
        model = nn.Sequential(*modules)
        if not dropout:
            self.load(model)
        return model

    def load(self, model):
        """The weights that minifer started from; a dense weight is its transpose."""
        torch, arrays = self.torch, np.load(self.weights)
        values = iter([arrays[f"arr_{i}"] for i in range(len(arrays.files))])
        with torch.no_grad():
            for module in model:
                if isinstance(module, torch.nn.BatchNorm2d):
                    beta, gamma, _, _ = (next(values) for _ in range(4))
                    module.bias.copy_(torch.from_numpy(beta))
                    module.weight.copy_(torch.from_numpy(gamma))
                elif hasattr(module, "weight"):
                    W, b = next(values), next(values)
                    W = W.T.copy() if W.ndim == 2 else W
                    module.weight.copy_(torch.from_numpy(W))
                    module.bias.copy_(torch.from_numpy(b))

    def context(self):
        return self.torch.autocast("cpu", dtype=self.torch.bfloat16,
                                   enabled=self.config == "bfloat16")

    def step(self):
        self.plain.train()
        self.optimiser.zero_grad(set_to_none=True)
        with self.context():
            output = self.model(self.data)
            loss = self.torch.nn.functional.cross_entropy(output, self.labels)
        loss.backward()
        self.optimiser.step()
        return loss.item()

    def predict(self):
        self.plain.eval()
        with self.torch.inference_mode(), self.context():
            return self.model(self.data).softmax(1).float().numpy()
