"""A CUDA kernel, run and debugged without a GPU: examples/gpu/cuda_without_gpu.py

256 threads add up 256 numbers in eight steps, and between the steps all wait for all.
Forget that, and a GPU gives the right sum mostly, and sometimes another without a
word. The emulator runs the same text on the CPU and names the line. It needs g++.
"""

import pathlib
import tempfile

import numpy as np

from minifer.commands.cli import ArgumentParser, run
from minifer.cuda.emulator import EmuModule, schedule
from minifer.errors import KernelError

KERNEL = """extern "C" __global__ void block_sums(const float* x, float* sums, int n)
{
    __shared__ float part[256];
    int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
    part[t] = i < n ? x[i] : 0;
    for (int half = 128; half > 0; half /= 2) {
        __syncthreads();
        if (t < half) part[t] += part[t + half];
    }
    if (t == 0) sums[blockIdx.x] = part[0];
}"""


def block_sums(text, x):
    """Compile a kernel's text and run it, one block for each 256 numbers of x."""
    sums = np.zeros(-(-x.size // 256), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "block_sums.cu")
        path.write_text(text)
        kernel = EmuModule(path).get_function("block_sums")
        kernel((sums.size, 1, 1), (256, 1, 1), [x, sums, np.int32(x.size)])
    return sums


def main(argv=None):
    ArgumentParser(description=__doc__.partition(":")[0]).parse_args(argv)
    x = np.random.default_rng(0).uniform(size=1000).astype(np.float32)
    print("NumPy:     ", np.add.reduceat(x, range(0, 1000, 256)))
    print("the kernel:", block_sums(KERNEL, x))
    broken = KERNEL.replace("        __syncthreads();\n", "")
    print("\nWithout __syncthreads() it depends on who comes first:")
    for order in ("reverse", "forward"):
        with schedule(order):
            print(f"{order}:   ", block_sums(broken, x))
    try:
        with schedule(races=True):
            block_sums(broken, x)
    except KernelError as error:
        print(error)


if __name__ == "__main__":
    run(main)
