"""How a convolution becomes fast, rung by rung: python examples/bench/conv_ladder.py

The second layer of the headline network, 32 channels of 46×46 → 32 filters 5×5 →
ReLU → 2×2 max-pooling, on one image, forward, float32, one thread: from loops to
Winograd to the fused step of the plan. Every rung must give what the loops give
before it is timed. docs/how-it-is-fast.md tells why each is faster.
"""

import json
import statistics
import time

import numpy as np
from threadpoolctl import threadpool_limits

from contest import cpu_facts
from minifer.commands.cli import ArgumentParser, run
from minifer.compiled.cpu.folding import Folding
from minifer.compiled.cpu.fused_conv import FusedConv
from minifer.compiled.cpu.geometry import Geometry
from minifer.compiled.cpu.lowered import LoweredFilters, RowKernel
from minifer.compiled.cpu.program import Desk, Program
from minifer.compiled.cpu.winograd import WinogradFilters, WinogradKernel
from minifer.device.threads import Workers
from minifer.layers import Conv2DLayer, InputLayer
from minifer.ops.activation import rectify_forward
from minifer.ops.conv import conv2d_forward
from minifer.ops.pool import pool2d_forward
from minifer.report.style import BLUE, GREY, HAIRLINE, INK, ORANGE, save

C, H, F, K = 32, 46, 32, 5
HO = H - K + 1  # 42 rows and columns, and 21 after pooling
MFLOP = 2e-6 * HO * HO * F * C * K * K

# The loops work out this many filters, rows and columns; the rest is scaled.
CROP = (2, 4, 4)

# Float32 and Winograd's transforms stay far below; a mistake lies far above.
LARGEST_ERROR = 1e-5


def parse(argv):
    parser = ArgumentParser(prog="conv_ladder.py",
                            description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=40, help="timings of each rung")
    parser.add_argument("--seed", type=int, default=0, help="of image and filters")
    parser.add_argument("--out", help="draw the ladder into this .png file")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args(argv)
    if args.repeats < 1:
        parser.error(f"expected --repeats of 1 or more, got {args.repeats}")
    if args.out and not args.out.lower().endswith(".png"):
        parser.error(f"expected --out with a name that ends in .png, got '{args.out}'")
    return args


# --- the rungs of the convolution alone: x (C, H, H), W (F, C, K, K) ---------
# Each builds what it needs and returns a function without arguments, to be timed.

def loops(x, W):
    """The definition: six loops, here on a crop."""
    def convolve():
        y = np.zeros(CROP, x.dtype)
        for f, i, j in np.ndindex(CROP):
            total = x.dtype.type(0)
            for c in range(C):
                for u in range(K):
                    for v in range(K):
                        total += W[f, c, u, v] * x[c, i + u, j + v]
            y[f, i, j] = total
        return y
    return convolve


def im2col(x, W):
    """Every window copied into a column, then one matrix product."""
    return lambda: conv2d_forward(x[None], W, flip_filters=False)[0][0]


def row_lowered(x, W):
    """Windows' rows only, and a product for each of the K filter rows."""
    return kernel(RowKernel, LoweredFilters, 1, x, W)


def winograd_2(x, W):
    """36 products for a tile of 2×2 outputs, in place of 100."""
    return kernel(WinogradKernel, WinogradFilters, 2, x, W)


def winograd_4(x, W):
    """64 products for a tile of 4×4 outputs, in place of 400."""
    return kernel(WinogradKernel, WinogradFilters, 4, x, W)


def kernel(Kernel, Filters, m, x, W):
    """A kernel of the plan: calls noted once, buffers that stay, channels last."""
    geometry = Geometry(H, H, C, F, K, K, 1, 1, 0, 0, pool=False, m=m)
    padded = np.zeros((1, *geometry.padded, C), np.float32)
    padded[0, :H, :H] = x.transpose(1, 2, 0)
    filters = Filters(geometry)
    filters.set(W, np.zeros(F, np.float32))  # once a batch in the plan: not timed
    do = Program()
    tiles = Kernel(geometry, 1, training=False).forward(do, padded, filters)
    image = from_tiles(do, tiles)[:HO, :HO].transpose(2, 0, 1)

    def convolve():
        do.run()
        return image
    return convolve


def from_tiles(do, tiles):
    """Note the copy from tiles (m, m, 1, th, tw, F) to an image (th*m, tw*m, F)."""
    m, _, _, th, tw, _ = tiles.shape
    if m == 1:
        return tiles[0, 0, 0]
    image = np.empty((th, m, tw, m, F), np.float32)
    do(np.copyto, image, tiles[:, :, 0].transpose(2, 0, 3, 1, 4))
    return image.reshape(th * m, tw * m, F)


# --- the rungs of the whole layer, with bias b (F,), ReLU and pooling ---------

def plain_layer(x, W, b):
    """As it runs eagerly: im2col, then bias, ReLU and pooling, layer by layer."""
    def layer():
        y, _ = conv2d_forward(x[None], W, b, flip_filters=False)
        y, _ = rectify_forward(y)
        return pool2d_forward(y, (2, 2))[0][0]
    return layer


def separate_layer(x, W, b):
    """Winograd, then bias, ReLU and pooling one after the other, in place."""
    convolve = winograd_4(x, W)
    wide = np.empty((HO // 2, HO, F), np.float32)
    pooled = np.empty((HO // 2, HO // 2, F), np.float32)

    def layer():
        y = convolve().transpose(1, 2, 0)  # channels last, as it lies in memory
        np.add(y, b, out=y)
        np.maximum(y, 0, out=y)
        np.maximum(y[0::2], y[1::2], out=wide)
        np.maximum(wide[:, 0::2], wide[:, 1::2], out=pooled)
        return pooled.transpose(2, 0, 1)
    return layer


def fused_layer(x, W, b):
    """The plan's step: the tiles are pooled where they lie, bias and ReLU after."""
    conv = Conv2DLayer(InputLayer((None, C, H, H)), F, K, W=W, b=b, flip_filters=False)
    step = FusedConv(conv, relu=True, pool=True, norms=Folding(), batch=1,
                     training=False, need_dx=False)
    step.make_workers([Desk()], k=1, chunk=1)
    step.write_to()
    step.begin(Workers(1))
    step.inside[0] = x.transpose(1, 2, 0)
    do = Program()
    step.forward(do, 0, slice(0, 1))

    def layer():
        do.run()
        return step.result[0].transpose(2, 0, 1)
    return layer


LOOPS = "loops, {}×{}×{} outputs, scaled up".format(*CROP)
CONVOLUTIONS = {LOOPS: loops, "im2col + one product": im2col,
                "lowered along the rows": row_lowered,
                "Winograd F(2×2, 5×5)": winograd_2, "Winograd F(4×4, 5×5)": winograd_4}
LAYERS = {"im2col, bias, ReLU, pool": plain_layer,
          "F(4×4, 5×5), bias, ReLU, pool": separate_layer,
          "F(4×4, 5×5), fused": fused_layer}


# --- truth, time, table ------------------------------------------------------

def truth(x, W, b):
    """Convolution and whole layer in float64; its crop is what the loops give."""
    x, W = x.astype(np.float64), W.astype(np.float64)
    y = sum(np.tensordot(W[:, :, u, v], x[:, u:u + HO, v:v + HO], axes=1)
            for u in range(K) for v in range(K))
    compare("the sum in float64", cropped(y), loops(x, W)(), 1e-12)
    pooled = y.reshape(F, HO // 2, 2, HO // 2, 2).max(axis=(2, 4))
    return y, np.maximum(pooled + b[:, None, None], 0)


def cropped(y):
    return y[tuple(slice(n) for n in CROP)]


def compare(name, found, expected, largest):
    """Relative error by the norm; an exception if it is no rounding error."""
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    if not error < largest:
        raise ArithmeticError(f"{name}: expected what the loops give, got a relative "
                              f"error of {error:.1e}. This rung has a mistake.")
    return float(error)


def climb(repeats, seed):
    """Check all rungs, then time them in turn; return rows for the table."""
    rng = np.random.default_rng(seed)
    x = np.maximum(rng.standard_normal((C, H, H)), 0).astype(np.float32)  # after ReLU
    W = (0.05 * rng.standard_normal((F, C, K, K))).astype(np.float32)
    b = (0.1 * rng.standard_normal(F)).astype(np.float32)
    y, pooled = truth(x, W, b)
    rungs = {name: build(x, W) for name, build in CONVOLUTIONS.items()}
    rungs |= {name: build(x, W, b) for name, build in LAYERS.items()}
    expected = dict.fromkeys(CONVOLUTIONS, y) | dict.fromkeys(LAYERS, pooled)
    expected[LOOPS] = cropped(y)
    errors = {name: compare(name, rung(), expected[name], LARGEST_ERROR)
              for name, rung in rungs.items()}
    scale = dict.fromkeys(rungs, 1) | {LOOPS: F * HO * HO / np.prod(CROP)}
    return [{"name": name, "what": "whole layer" if name in LAYERS else "convolution",
             "ms": ms * scale[name], "gflops": MFLOP / (ms * scale[name]),
             "error": errors[name]}
            for name, ms in medians(rungs, repeats).items()]


def medians(rungs, repeats):
    """Milliseconds a call; all take turns, so that noise meets them alike."""
    times = {name: [] for name in rungs}
    for _ in range(repeats):
        for name, rung in rungs.items():
            rung()  # brings its buffers back into the cache
            began = time.perf_counter()
            rung()
            times[name].append(1e3 * (time.perf_counter() - began))
    return {name: statistics.median(ms) for name, ms in times.items()}


def table(report):
    """The report as text."""
    lines = [f"{report['machine']}, one thread; medians of {report['repeats']} timings",
             f"{report['layer']}: {MFLOP:.1f} MFLOP an image, counted directly",
             f"{'':<38}{'ms/image':>10}{'GFLOP/s':>10}{'error':>10}"]
    for what in ("convolution", "whole layer"):
        lines.append(what)
        lines += [f"  {row['name']:<36}{number(row['ms']):>10}"
                  f"{row['gflops']:>10.3g}{row['error']:>10.0e}"
                  for row in report["rows"] if row["what"] == what]
    return "\n".join(lines)


def number(value, digits=3):
    return f"{value:,.0f}" if value > 99 else f"{value:.{digits}f}"


def draw(report):
    """A bar for each rung, on a logarithmic scale; a matplotlib Figure."""
    from matplotlib.figure import Figure
    rows = report["rows"]
    figure = Figure(figsize=(9, 4.4), dpi=150, layout="constrained")
    ax = figure.subplots()
    for what, colour in (("convolution", BLUE), ("whole layer", ORANGE)):
        places = [i for i, row in enumerate(rows) if row["what"] == what]
        first = rows[places[0]]["ms"]
        for place in places:
            ms = rows[place]["ms"]
            ax.barh(place, ms, height=0.66, color=colour)
            ax.text(1.15 * ms, place, f"{number(ms)} ms", va="center", color=INK,
                    fontweight="bold")
            ax.annotate("" if ms == first else f"{number(first / ms, 1)} times as fast",
                        (1.15 * ms, place), (62, 0), textcoords="offset points",
                        va="center", color=GREY)
        ax.text(0.99, places[-1], what, color=colour, ha="right", va="center",
                fontweight="bold", transform=ax.get_yaxis_transform())
    ax.set_title(f"{report['layer']}, ReLU, 2×2 max-pooling", loc="left", pad=24,
                 color=INK, fontsize=13, fontweight="bold")
    ax.annotate(f"one image, forward, float32, one thread · {report['machine']} · "
                f"medians of {report['repeats']} timings", (0, 1), (0, 9), fontsize=9,
                xycoords="axes fraction", textcoords="offset points", color=GREY)
    ax.set_xlabel("milliseconds an image, logarithmic", color=GREY)
    ax.set(xscale="log", xlim=(0.1, 12 * rows[0]["ms"]))
    ax.xaxis.set_major_formatter("{x:,g}")
    ax.set_yticks(range(len(rows)), [row["name"] for row in rows])
    ax.invert_yaxis()
    ax.spines[:].set_visible(False)
    ax.tick_params(which="both", length=0, labelcolor=INK)
    ax.grid(axis="x", color=HAIRLINE, linewidth=0.6)
    ax.set_axisbelow(True)
    return figure


def main(argv=None):
    """Print the ladder; return the report."""
    args = parse(argv)
    with threadpool_limits(1, user_api="blas"):
        rows = climb(args.repeats, args.seed)
    report = {"machine": cpu_facts()[0], "threads": 1, "repeats": args.repeats,
              "seed": args.seed, "mflop": MFLOP, "rows": rows,
              "layer": f"{C}×{H}×{H} → {F} filters {K}×{K}"}
    print(json.dumps(report, indent=2) if args.json else table(report))
    if args.out:
        save(draw(report), args.out)
    return report


if __name__ == "__main__":
    run(main)
