"""The contenders of bench.py: the same networks in minifer and in PyTorch.

Those for a GPU are in gpu.py, those that only predict in runtimes.py.
"""

import contextlib
import ctypes
import math
import os
import re
import tempfile
import time

import numpy as np

from nets import NETS

#: Steps over which the losses of the contenders are compared, and the learning rate:
#: small, so that rounding is not blown up by a run that diverges on random data.
LOSS_STEPS, LOSS_RATE = 20, 0.0005
ROUND = 0.05  # seconds that a contender's turn lasts, at least
SHOWN = 8  # images whose outputs are compared


class Contender:
    """Data and timing; a subclass gives build(), and what of the rest it can do."""

    kinds = ("train", "infer")  # what it can do

    def __init__(self, args, config, weights):
        self.args, self.config, self.weights = args, config, weights
        C, side, self.net = NETS[args.net]
        rng = np.random.default_rng(0)
        self.x = rng.random((args.batch, C, side, side), dtype=np.float32)
        self.y = rng.integers(0, 7, args.batch)

    def start(self):
        """Build it; tell what it predicts before it learns, and warm up."""
        self.build()
        output = np.array(self.predict()[:SHOWN], float)
        kinds = [one for one in self.kinds if one in self.args.only]
        first, self.least = None, {}
        for kind in kinds:
            work = self.step if kind == "train" else self.predict
            times = [self.timed(work) for _ in range(4)]
            first = first or times[0]
            self.least[kind] = math.ceil(ROUND / min(times))
        return {"first_step_s": first, "output": output.tolist(), "kinds": kinds}

    def train(self, steps):
        return {"seconds": [self.timed(self.step)
                            for _ in range(max(steps, self.least["train"]))]}

    def infer(self, steps):
        return {"seconds": [self.timed(self.predict)
                            for _ in range(max(steps, self.least["infer"]))]}

    def losses(self):
        self.build(dropout=False, rate=LOSS_RATE)
        return {"losses": [self.step() for _ in range(LOSS_STEPS)]}

    def facts(self):
        """What else is worth telling, such as the kernels that it chose."""
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
        network = self.stack(network, self.net, dropout)
        network = layers.NonlinearityLayer(network, nonlinearities.softmax)
        if self.weights and not os.path.exists(self.weights):
            self.spread_statistics(network)
            np.savez(self.weights, *[value.astype(np.float32) for value in
                                     layers.get_all_param_values(network)])
        if self.weights:
            minifer.weights.load_params(self.weights, network)
        loss = objectives.categorical_crossentropy(layers.get_output(network), y).mean()
        params = layers.get_all_params(network, trainable=True)
        update = updates.nesterov_momentum(loss, params, rate, 0.9)
        self.network, options = network, self.options()
        self.train_fn = minifer.function([x, y], loss, update, **options)
        self.predict_fn = minifer.function(
            [x], layers.get_output(network, deterministic=True), **options)

    def stack(self, network, net, dropout):
        """The layers of a list, on top of ``network``."""
        from minifer import layers, nonlinearities
        for entry in net:
            kind, *options = entry
            relu = None if entry is self.net[-1] else nonlinearities.rectify
            if kind == "conv":
                filters, size, pad = options
                network = layers.Conv2DLayer(network, filters, size, pad=pad,
                                             nonlinearity=relu, flip_filters=False)
            elif kind == "bare":
                filters, size, pad, stride = options
                network = layers.Conv2DLayer(network, filters, size, stride, pad,
                                             b=None, nonlinearity=None,
                                             flip_filters=False)
            elif kind == "pool":
                side, stride, pad = options or (2, 2, 0)
                network = layers.MaxPool2DLayer(network, side, stride, pad)
            elif kind == "dense":
                network = layers.DenseLayer(network, *options, nonlinearity=relu)
            elif kind == "norm":
                network = layers.BatchNormLayer(network)
            elif kind == "relu":
                network = layers.NonlinearityLayer(network)
            elif kind == "mean":
                network = layers.GlobalPoolLayer(network)
            elif kind == "residual":
                network = layers.ElemwiseSumLayer(
                    [self.stack(network, way, dropout) for way in options])
            elif kind == "drop" and dropout:
                network = layers.DropoutLayer(network, *options)
            elif kind == "flatten":
                network = layers.FlattenLayer(network)
        return network

    @staticmethod
    def spread_statistics(network):
        """Running averages as if it had seen images: those of the start change nothing.
        """
        from minifer import layers
        rng = np.random.default_rng(1)
        for param in layers.get_all_params(network, batch_norm_stat=True):
            low, high = (.5, 1.5) if param.name.endswith("inv_std") else (-.2, .2)
            param.set_value(rng.uniform(low, high, param.shape))

    def options(self):
        """How minifer.function is asked for."""
        return {"mode": self.config, "threads": self.args.threads}

    def step(self):
        return self.train_fn(self.x, self.y)

    def predict(self):
        return self.predict_fn(self.x)

    def facts(self):
        from minifer.device.threads import blas_kernels
        return {"kernels": blas_kernels()[0]}


class Torch(Contender):
    """PyTorch: as a user writes it, channels last, compiled, or in bfloat16."""

    def build(self, dropout=True, rate=0.01):
        model = self.modules(dropout)
        self.data, self.labels = map(self.torch.from_numpy, (self.x, self.y))
        if self.config.startswith(("channels_last", "bfloat16")):
            model = model.to(memory_format=self.torch.channels_last)
            self.data = self.data.to(memory_format=self.torch.channels_last)
        self.optimiser = self.torch.optim.SGD(model.parameters(), lr=rate,
                                              momentum=0.9, nesterov=True)
        self.plain = model
        self.model = self.torch.compile(model) if self.config == "compile" else model

    def modules(self, dropout):
        """The network as PyTorch has it."""
        import torch
        self.torch = torch
        torch.set_num_threads(self.args.threads)
        torch.manual_seed(0)
        model, _ = self.stack(self.x.shape[1:], self.net, dropout)
        if self.weights:
            self.load(model)
        return model

    def stack(self, shape, net, dropout):
        """The layers of a list, for images of a shape; and the shape behind them."""
        from torch import nn
        modules = []
        for entry in net:
            kind, *options = entry
            if kind == "drop" and not dropout:
                continue
            if kind == "dense" and len(shape) > 1:
                modules.append(nn.Flatten())
                shape = (math.prod(shape),)
            module = {
                "conv": lambda F, k, p: nn.Conv2d(shape[0], F, k, padding=p),
                "bare": lambda F, k, p, s: nn.Conv2d(shape[0], F, k, s, p, bias=False),
                "pool": lambda k=2, s=2, p=0: nn.MaxPool2d(k, s, p),
                "dense": lambda U: nn.Linear(shape[0], U),
                "norm": lambda: nn.BatchNorm2d(shape[0], eps=1e-4),
                "relu": lambda: nn.ReLU(),
                "mean": lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
                "residual": lambda *ways: _residual(
                    *(self.stack(shape, way, dropout)[0] for way in ways)),
                "drop": lambda p: nn.Dropout(p),
                "flatten": lambda: nn.Flatten()}[kind](*options)
            modules.append(module)
            if kind in ("conv", "dense") and entry is not self.net[-1]:
                modules.append(nn.ReLU())
            with self.torch.no_grad():
                shape = tuple(module.eval()(
                    self.torch.zeros((2,) + tuple(shape))).shape[1:])
        return nn.Sequential(*modules), shape

    def load(self, model):
        """The weights that minifer started from; a dense weight is its transpose."""
        torch = self.torch
        with np.load(self.weights) as arrays:
            values = iter([torch.from_numpy(arrays[f"arr_{i}"])
                           for i in range(len(arrays.files))])
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    beta, gamma, mean, inv_std = (next(values) for _ in range(4))
                    module.bias.copy_(beta)
                    module.weight.copy_(gamma)
                    module.running_mean.copy_(mean)
                    module.running_var.copy_(inv_std ** -2 - module.eps)
                elif hasattr(module, "weight"):
                    W = next(values)
                    module.weight.copy_(W.T if W.ndim == 2 else W)
                    if module.bias is not None:
                        module.bias.copy_(next(values))

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

    def facts(self):
        """The kernels of oneDNN that ran, as it tells them."""
        mkldnn = self.torch.backends.mkldnn
        with printed() as lines, mkldnn.verbose(mkldnn.VERBOSE_ON):
            for work in [self.predict] + [self.step] * ("train" in self.least):
                work()
        found = set(re.findall(r",exec,cpu,\w+,([\w:]+)", "".join(lines)))
        return {"kernels": "oneDNN " + ", ".join(sorted(found))} if found else {}


def _residual(main, beside):
    """Two ways to go, whose results are added up, as a module of PyTorch."""
    from torch import nn

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.main, self.beside = main, beside

        def forward(self, x):
            return self.main(x) + self.beside(x)

    return Residual()


@contextlib.contextmanager
def printed():
    """What a library prints to standard output meanwhile, as lines, when it is over."""
    lines, before = [], os.dup(1)
    with tempfile.TemporaryFile("w+") as file:
        os.dup2(file.fileno(), 1)
        try:
            yield lines
        finally:
            ctypes.CDLL(None).fflush(None)  # what C keeps back
            os.dup2(before, 1)
            os.close(before)
        file.seek(0)
        lines += file.readlines()
