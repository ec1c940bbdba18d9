"""The contenders of bench.py on a GPU, and what that GPU does at best.

A contender is called for by a configuration and a precision, ``"graph tf32"``. Its
data lie on the GPU, several batches that take turns, so that none stays in a cache.
A round is so many steps in a row that nothing but their work counts, and the clock
stops when the GPU has done the last of them.
"""

import math
import os
import time
from typing import NamedTuple

import numpy as np

from contenders import LOSS_RATE, LOSS_STEPS, Contender, Minifer, Torch
from minifer import config, layers
from minifer.device.arrays import memory_used, synchronize, to_device

#: The first of minifer's, and the first two of PyTorch's, are what --quick runs.
CONFIGS = {"minifer": ["graph", "compiled", "eager"],
           "torch": ["channels_last", "graph", "compile", "eager"]}
PRECISIONS = ("fp32", "tf32")

BATCHES = 4  # that take turns
LOSS_IMAGES = 32  # of which losses and gradients are compared with float64
GRADIENT_RATE = 1024.0  # so large that what it adds to a weight hides the weight


class Size(NamedTuple):
    """How much is done; the emulator, slow and no measure of speed, does little."""

    warm_up: int = 20  # steps before the clock starts
    round: float = 0.2  # seconds, at least
    losses: int = LOSS_STEPS
    copied: int = 2 ** 28  # numbers in a large copy
    rows: int = 8192  # of the matrices of a large product


SIZES = {"cuda": Size(), "emu": Size(1, 0.0, 3, 2 ** 16, 64)}


class OnGpu(Contender):
    """What both sides do alike."""

    def __init__(self, args, name, weights):
        super().__init__(args, name, weights)
        self.config, self.precision = name.split()
        self.device, self.turn, self.size = args.device, 0, SIZES[args.device]
        rng = np.random.default_rng(1)
        self.hosts = [(self.x, self.y)] + [
            (rng.random(self.x.shape, dtype=np.float32),
             rng.integers(0, 7, len(self.y))) for _ in range(BATCHES - 1)]

    def start(self):
        self.build()
        self.batches = [self.upload(*pair) for pair in self.hosts]
        first = self.seconds(self.step, 1)
        self.steps = {}
        for kind, function in (("train", self.step), ("infer", self.predict)):
            self.seconds(function, self.size.warm_up)
            rough = self.seconds(function, self.size.warm_up)
            self.steps[kind] = math.ceil(self.size.round / rough)
        return {"first_step_s": first}

    def train(self, steps):
        return {"seconds": [self.seconds(self.step, max(steps, self.steps["train"]))]}

    def infer(self, steps):
        return {"seconds": [self.seconds(self.predict,
                                         max(steps, self.steps["infer"]))]}

    def seconds(self, function, steps):
        """Seconds that a call takes when so many follow one another.

        By the host's clock, with nothing left to do on the GPU when it starts and when
        it stops. That is what events on the GPU's stream would tell, or more where the
        host is slower than the GPU; and it is the same clock for both sides.
        """
        self.wait()
        began = time.perf_counter()
        for _ in range(steps):
            function()
        self.wait()
        return (time.perf_counter() - began) / steps

    def next_batch(self):
        self.turn += 1
        return self.batches[self.turn % len(self.batches)]

    def losses(self):
        """Losses of some steps, and how far the first gradient is from float64's."""
        few = [self.upload(self.x[:LOSS_IMAGES], self.y[:LOSS_IMAGES])]
        self.build(dropout=False, rate=GRADIENT_RATE)
        self.batches, before = few, self.parameters()
        self.step()
        moved = [after - was for after, was in zip(self.parameters(), before)]
        self.build(dropout=False, rate=LOSS_RATE)
        self.batches = few
        found = [float(self.step()) for _ in range(self.size.losses)]
        path = os.path.join(os.path.dirname(self.weights), "float64.npz")
        if not os.path.exists(path):
            np.savez(path, *moved)
        with np.load(path) as exact:
            error = max(float(np.linalg.norm(one - right) / np.linalg.norm(right))
                        for one, right in zip(moved, exact.values())
                        if right.ndim > 1)
        return {"losses": found, "gradient_error": error}


class MiniferOnGpu(OnGpu, Minifer):
    """minifer: its kernels one by one, planned, or planned and captured as a graph."""

    def options(self):
        return {"mode": "eager" if self.config == "eager" else "compiled",
                "device": self.device, "precision": self.precision,
                "graph": self.config == "graph"}

    def upload(self, x, y):
        return to_device(x, self.device), to_device(y, self.device)

    def step(self):
        return self.train_fn.queue(*self.next_batch())

    def predict(self):
        return self.predict_fn.queue(self.next_batch()[0])

    def wait(self):
        synchronize(self.device)
        self.train_fn.check()  # that no step was in vain

    def parameters(self):
        return layers.get_all_param_values(self.network, trainable=True)

    def facts(self):
        return {"launches": self.train_fn.launches, "captured": self.train_fn.captured}

    def memory(self):
        return memory_used(self.device)


class Exact(MiniferOnGpu):
    """The truth that all are held against: float64, layer after layer, on the CPU."""

    def __init__(self, args, name, weights):
        super().__init__(args, "eager fp32", weights)
        self.device = "cpu"

    def options(self):
        return {"mode": "eager"}

    def upload(self, x, y):
        return x.astype(np.float64), y

    def losses(self):
        with config.use_floatX("float64"):
            return super().losses()


class TorchOnGpu(OnGpu, Torch):
    """PyTorch: as a user writes it, channels last, that as one graph, or compiled."""

    def build(self, dropout=True, rate=0.01):
        model = self.modules(dropout)
        torch = self.torch
        self.choose_precision()
        gpu, tuned = self.device == "cuda", self.config != "eager"
        model = model.to(self.device)
        if tuned:
            model = model.to(memory_format=torch.channels_last)
            torch.backends.cudnn.benchmark = True
        self.plain = model
        self.optimiser = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9,
                                         nesterov=True,
                                         fused=gpu and tuned or None)
        self.loss_of = lambda x, y: torch.nn.functional.cross_entropy(model(x), y)
        self.scores_of = lambda x: model(x).softmax(1)
        if self.config == "compile":
            self.loss_of = torch.compile(self.loss_of, mode="max-autotune")
            self.scores_of = torch.compile(self.scores_of, mode="max-autotune")
        self.graphs, self.dropout = {}, dropout

    def choose_precision(self):
        """TF32 or IEEE, for matrix products and for convolutions.

        torch.compile of PyTorch 2.9 to 2.11 reads the older switches, and fails where
        the newer ones are set (PyTorch's issue 166387), so it gets the older.
        """
        backends, tf32 = self.torch.backends, self.precision == "tf32"
        if self.config == "compile":
            backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = tf32
        else:
            name = "tf32" if tf32 else "ieee"
            backends.cuda.matmul.fp32_precision = name
            backends.cudnn.conv.fp32_precision = name

    def upload(self, x, y):
        x, y = (self.torch.from_numpy(a).to(self.device) for a in (x, y))
        last = self.torch.channels_last
        return (x if self.config == "eager" else x.to(memory_format=last)), y

    def step(self):
        return self.turned(self.train_once, *self.next_batch())

    def predict(self):
        return self.turned(self.predict_once, self.next_batch()[0])

    def train_once(self, x, y):
        self.plain.train()
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.loss_of(x, y)
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def predict_once(self, x):
        self.plain.eval()
        with self.torch.no_grad():
            return self.scores_of(x)

    def turned(self, task, *values):
        """``task(*values)``, out of a graph where that is the configuration."""
        if self.config != "graph":
            return task(*values)
        if task not in self.graphs:
            self.graphs[task] = self.captured(task, *(one.clone() for one in values))
        graph, places, result = self.graphs[task]
        for place, value in zip(places, values):
            place.copy_(value)
        graph.replay()
        return result

    def captured(self, task, *places):
        """A graph of the task: after steps on a side stream, as PyTorch's notes say."""
        torch = self.torch
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                task(*places)
        torch.cuda.current_stream().wait_stream(side)
        self.optimiser.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = task(*places)
        self.forget_steps()
        return graph, places, result

    def forget_steps(self):
        """Back to the weights of the start, if runs are compared."""
        if not self.dropout:
            self.load(self.plain)
            for state in self.optimiser.state.values():
                state["momentum_buffer"].zero_()

    def wait(self):
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def parameters(self):
        """In minifer's order; a dense weight is its transpose."""
        found = []
        for module in self.plain.modules():
            if isinstance(module, self.torch.nn.BatchNorm2d):
                found += [module.bias, module.weight]
            elif hasattr(module, "weight"):
                W = module.weight
                found += [W.T if W.ndim == 2 else W]
                found += [] if module.bias is None else [module.bias]
        return [one.detach().cpu().numpy().copy() for one in found]

    def facts(self):
        """Kernels that ran in a step, as PyTorch's profiler saw them."""
        kind = self.torch.autograd.DeviceType.CUDA
        with self.torch.profiler.profile() as seen:
            self.step()
            self.wait()
        kernels = [event for event in seen.events() if event.device_type == kind
                   and not event.name.startswith(("Memcpy", "Memset"))]
        return {"launches": len(kernels) or None, "captured": self.config == "graph"}

    def memory(self):
        return self.torch.cuda.max_memory_reserved() if self.device == "cuda" else 0


class Ceilings:
    """What the GPU does at best: a large copy, and cuBLAS's product of matrices."""

    def __init__(self, args, precision, weights):
        self.device = args.device
        # With the tiny network everything is only rehearsed.
        self.size = SIZES["emu" if args.net == "tiny" else args.device]

    def start(self):
        count, rows = self.size.copied, self.size.rows
        rng = np.random.default_rng(0)
        source = to_device(rng.random(count, dtype=np.float32), self.device)
        target = np.empty_like(source)
        a, b = (to_device(rng.standard_normal((rows, rows), dtype=np.float32),
                          self.device) for _ in range(2))

        def copy():
            target[...] = source

        return {"copy": 2 * source.nbytes / self.seconds(copy),
                "flops": 2 * rows ** 3 / self.seconds(lambda: a @ b)}

    def seconds(self, function, calls=10, repeat=5):
        """The median of some timings of so many calls, of one call."""
        def timed():
            began = time.perf_counter()
            for _ in range(calls):
                function()
            synchronize(self.device)
            return (time.perf_counter() - began) / calls

        timed()
        return float(np.median([timed() for _ in range(repeat)]))
