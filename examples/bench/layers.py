"""How fast are single layers? python examples/bench/layers.py

Training of one layer, compiled, beside PyTorch's, on the same data and threads: forward
and back; for convolutions with the input's gradient, as above other layers, for
recurrent ones without, as above the data. What both compute is compared before anybody
is timed.
Rounds are interleaved, so that a noisy moment of the machine meets both alike; only the
ratio means anything, the time of PyTorch over minifer's.

PyTorch takes memory from the system at each call, and gives it back, which takes time;
more or less of it by what ran before. To see its layers alone, let the process keep it:

    MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1099511627776 \
    python examples/bench/layers.py
"""

import math
import os
import statistics
import time

import numpy as np

from contest import KEEPS, cpu_facts
from minifer import layers
from minifer.commands.cli import ArgumentParser, run
from minifer.compiled.cpu import CpuPlan
from minifer.device.threads import default_threads
from minifer.errors import BackendUnavailable

#: Name -> (input's shape, how minifer makes the layer, how PyTorch does).
CASES = {
    "LSTM, 50 steps, 128 units": (
        (32, 50, 128), lambda x: layers.LSTMLayer(x, 128, peepholes=False),
        lambda nn: nn.LSTM(128, 128, batch_first=True)),
    "LSTM with peepholes, beside the same": (
        (32, 50, 128), lambda x: layers.LSTMLayer(x, 128),
        lambda nn: nn.LSTM(128, 128, batch_first=True)),
    "GRU, 50 steps, 128 units": (
        (32, 50, 128), lambda x: layers.GRULayer(x, 128),
        lambda nn: nn.GRU(128, 128, batch_first=True)),
    "depthwise 3x3, 64 channels of 48x48": (
        (32, 64, 48, 48), lambda x: conv(x, 64, 3, pad=1, num_groups=64),
        lambda nn: nn.Conv2d(64, 64, 3, padding=1, groups=64)),
    "2 groups 3x3, 64 channels of 48x48": (
        (16, 64, 48, 48), lambda x: conv(x, 64, 3, pad=1, num_groups=2),
        lambda nn: nn.Conv2d(64, 64, 3, padding=1, groups=2)),
    "8 groups 3x3, 64 channels of 48x48": (
        (16, 64, 48, 48), lambda x: conv(x, 64, 3, pad=1, num_groups=8),
        lambda nn: nn.Conv2d(64, 64, 3, padding=1, groups=8)),
    "dilated 3x3, 32 channels of 48x48": (
        (16, 32, 48, 48), lambda x: layers.DilatedConv2DLayer(
            x, 32, 3, (2, 2), pad=2, nonlinearity=None, flip_filters=False),
        lambda nn: nn.Conv2d(32, 32, 3, padding=2, dilation=2)),
    "transposed 4x4, stride 2, 64 of 24x24": (
        (16, 64, 24, 24), lambda x: layers.TransposedConv2DLayer(
            x, 32, 4, stride=2, crop=1, nonlinearity=None, flip_filters=True),
        lambda nn: nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1)),
    "3x3, 64 channels of 48x48": (
        (16, 64, 48, 48), lambda x: conv(x, 64, 3, pad=1),
        lambda nn: nn.Conv2d(64, 64, 3, padding=1)),
    "1x1, 64 channels of 48x48": (
        (16, 64, 48, 48), lambda x: conv(x, 64, 1),
        lambda nn: nn.Conv2d(64, 64, 1)),
}
#: Seconds before each timing. PyTorch's threads go on spinning for a while after their
#: work, on the cores that others would use.
REST = 0.03
#: Seconds that a timing lasts, at least: as in a training, calls follow one another.
#: For a single one after a rest, some systems do not wake their other cores.
LASTS = 0.05
#: Largest difference of outputs and gradients, relative to the largest number.
LARGEST_DIFFERENCE = 1e-3


def conv(x, *args, **options):
    """A convolution as PyTorch's: not flipped, and nothing behind it."""
    return layers.Conv2DLayer(x, *args, nonlinearity=None, flip_filters=False,
                              **options)


def main(argv=None):
    """Measure; print the table, and return its rows."""
    parser = ArgumentParser(prog="layers.py", description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="layers with this in their name")
    parser.add_argument("--rounds", type=int, default=25, help="timings of each")
    parser.add_argument("--threads", type=int, default=default_threads())
    args = parser.parse_args(argv)
    cases = {name: one for name, one in CASES.items() if args.only in name}
    if args.rounds < 1 or args.threads < 1 or not cases:
        parser.error("expected --rounds and --threads of 1 or more, and --only with a "
                     f"part of: {'; '.join(CASES)}")
    torch = _torch()
    torch.set_num_threads(args.threads)
    kept = ", memory kept" if KEEPS.items() <= os.environ.items() else ""
    print(f"{cpu_facts()[0]}, {args.threads} threads, PyTorch {torch.__version__}, "
          f"NumPy {np.__version__}{kept}; medians of {args.rounds} rounds, ms forward "
          "and back\n"
          f"{'':<40}{'minifer':>9}{'PyTorch':>9}{'ratio':>8}{'  10 % to 90 %':>16}")
    return [_row(name, *one, torch, args) for name, one in cases.items()]


def _torch():
    try:
        import torch
    except ImportError:
        raise BackendUnavailable("layers: expected PyTorch to compare with, got none. "
                                 "pip install torch.") from None
    return torch


def _row(name, shape, make, make_theirs, torch, args):
    """Compare one layer, time it, print its row."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype("float32")
    net, theirs = make(layers.InputLayer((None, *shape[1:]))), make_theirs(torch.nn)
    parameters = list(theirs.parameters())
    recurs = isinstance(theirs, torch.nn.RNNBase)
    plan = CpuPlan([net], {}, (), len(x), True, args.threads, feeds_back=not recurs)
    source = layers.get_all_layers(net)[0]
    dy = rng.standard_normal(layers.get_output_shape(net, shape)).astype("float32")
    there = torch.from_numpy(x).requires_grad_(not recurs)
    upstream = torch.from_numpy(dy)

    def ours():
        plan.run({source: x})
        return plan.backward({0: dy})

    def torchs():
        theirs.zero_grad(set_to_none=True)
        there.grad = None
        out = theirs(there)
        (out[0] if recurs else out).backward(upstream)

    if not recurs:
        with torch.no_grad():
            for mine, other in zip((net.W, net.b), parameters):
                value = mine.get_value()
                if isinstance(net, layers.DilatedConv2DLayer) and mine is net.W:
                    value = value.swapaxes(0, 1)  # channels come first there
                other.copy_(torch.tensor(value).reshape(other.shape))
        torchs()
        gradient = ours()[net.W]
        if isinstance(net, layers.DilatedConv2DLayer):
            gradient = gradient.swapaxes(0, 1)
        _compare(name, plan.input_gradients[source], there.grad.numpy())
        _compare(name, gradient, parameters[0].grad.numpy())
    times, both = [[], []], (ours, torchs)
    calls = [math.ceil(LASTS / min(_seconds(one, 1) for _ in range(3))) for one in both]
    for _ in range(args.rounds):
        for found, one, count in zip(times, both, calls):
            time.sleep(REST)
            found.append(1e3 * _seconds(one, count))
    a, b = map(statistics.median, times)
    low, high = np.percentile(np.divide(times[1], times[0]), [10, 90])
    print(f"{name:<40}{a:>9.2f}{b:>9.2f}{b / a:>8.2f}{low:>10.2f} … {high:.2f}",
          flush=True)
    return {"name": name, "minifer": a, "torch": b, "ratio": b / a}


def _seconds(function, count):
    """Of a call, the mean of so many."""
    began = time.perf_counter()
    for _ in range(count):
        function()
    return (time.perf_counter() - began) / count


def _compare(name, ours, theirs):
    off = np.abs(ours - theirs).max() / np.abs(theirs).max()
    if not off < LARGEST_DIFFERENCE:
        raise AssertionError(f"{name}: expected PyTorch's gradients, got one that "
                             f"differs by {off:.1e} of the largest number.")


if __name__ == "__main__":
    run(main)
