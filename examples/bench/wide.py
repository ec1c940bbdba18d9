"""What Hopper's wgmma should bring: predictions for the headline network's products.

Nothing here is measured. For each pass it is counted how many cycles a block keeps the
tensor cores, shared memory, the instruction units and its share of the second-level
cache; the largest counts, in as many rounds as the multiprocessors need for all
blocks. mma.sync is the older way: for dense1 with the same tiles, for conv2 at the rate
that others have measured, and nothing else. The instructions are those of the machine
code (tests/cuda/test_sass.py).

    python examples/bench/wide.py
"""

import math

from minifer.cuda import wide_conv, wide_gemm

UNITS = 132        # multiprocessors
RATE = 400e12      # FLOP a second in TF32, as docs/how-it-is-fast.md assumes
COPY = 4.3e12      # bytes a second of the memory
L2 = 5.5e12        # of the second-level cache: what others have measured on an H100
SYNC = 0.629       # of RATE for mma.sync: arXiv 2501.12084
FMA = 1024         # products and additions a cycle and multiprocessor
CLOCK = RATE / UNITS / FMA / 2
SHARED = 128       # bytes a cycle
CACHE = L2 / UNITS / CLOCK

#: Instructions of a warp: for a pixel (its products unrolled), for a step along K; at
#: the end of a column and the beginning of a block, which nothing overlaps: guesses.
PIXEL, STEP, COLUMN, START = 391, 218, 300, 3000


def rounds(blocks):
    return math.ceil(blocks / UNITS)


def convolution(N, side=46, size=5):
    """The second layer's forward pass: 32 channels to 32 filters, pooled."""
    out = side - size + 1
    chunk = wide_conv.chunk(N, out, out, size)
    blocks = math.ceil(N / 64) * (out // 2) * math.ceil(out / chunk)
    products, pixels = 2 * size * size * 4, size + 1   # of a column: 64 x 32 x 8
    column = {"tensor cores": products * 64 * 32 * 8 / FMA,
              "shared memory": (products * 32 * 32 + pixels * 64 * 128) / SHARED,
              "instructions": pixels * PIXEL,
              "cache": pixels * 64 * 128 / CACHE}
    limit = max(column, key=column.get)
    cycles = START + (chunk + size - 1) * (column[limit] + COLUMN)
    flop = 2 * N * out * out * 32 * 32 * size * size
    moved = 4 * N * 32 * (side ** 2 + (out // 2) ** 2 * 1.25)
    seconds = rounds(blocks) * cycles / CLOCK
    return seconds, limit, flop, moved, flop / RATE / SYNC


def dense(what, N, D=14112, U=256):
    """A pass of the first dense layer."""
    M, columns, K = {"forward": (U, N, D), "input gradient": (N, D, U),
                     "weights": (D, U, N)}[what]
    wide = wide_gemm.width(columns)
    splits = wide_gemm.splits_for(N, D, U) if what == "forward" else 1
    blocks = math.ceil(M / 128) * math.ceil(columns / wide) * splits
    conflicts = 1 if what == "input gradient" else 2   # a column of pieces, or a row
    step = {"tensor cores": 128 * wide * 32 / FMA,
            "shared memory": 128 * 128 * conflicts / SHARED + 2 * wide * 128 / SHARED,
            "instructions": STEP * 8 / 4,
            "cache": (128 + wide) * 128 / CACHE}
    limit = max(step, key=step.get)
    steps = math.ceil(K / 32 / splits)
    weights = 4 * D * U * (4 if what == "weights" else 1)
    older = max(step["tensor cores"] / SYNC, step["cache"])
    seconds, by_sync = (rounds(blocks) * (START + steps * one) / CLOCK
                        for one in (step[limit], older))
    return (seconds, limit, 2 * N * D * U, 4 * N * (D + U) + weights, by_sync)


def main():
    print("| | batch | floor | wgmma, predicted | limited by | mma.sync |\n"
          "|---|---|---|---|---|---|")
    passes = {"conv2 forward": convolution}
    passes |= {f"dense1 {what}": lambda N, what=what: dense(what, N)
               for what in ("forward", "input gradient", "weights")}
    for name, count in passes.items():
        for N in (64, 512, 2048):
            seconds, limit, flop, moved, by_sync = count(N)
            memory = moved / COPY
            if memory > seconds:
                seconds, limit = memory, "memory"
            row = max(flop / RATE, memory), seconds, max(by_sync, memory)
            floor, wide, sync = (f"{1e6 * one:.0f}" for one in row)
            print(f"| {name} | {N} | {floor} | {wide} | {limit} | {sync} |")


if __name__ == "__main__":
    main()
