r"""
8. A CUDA kernel without a GPU
==============================

A GPU runs thousands of threads at a time, and the text that each of them runs is called
a *kernel*. minifer's kernels are in the folder ``kernels/``, and its *emulator*
compiles the same text with ``g++`` and runs it on the CPU, thread by thread. That is
slow, and it shows what a GPU hides. In this lesson we run a kernel of the library,
watch threads work together, and catch a mistake that a GPU forgives on most days.
"""

import pathlib
import tempfile

import matplotlib.pyplot as plt
import numpy as np

from minifer import cuda
from minifer.cuda import emulator
from minifer.errors import KernelError

CAN_RUN = emulator.available()
if not CAN_RUN:
    print("The emulator needs Linux and g++, which are not here: below is the text "
          "alone, and\nnothing runs. On Debian or Ubuntu: apt-get install g++")

# %%
# One thread, one number
# ----------------------
#
# Threads come in *blocks*. A thread knows its number in the block (``threadIdx``), its
# block's number (``blockIdx``) and how large blocks are (``blockDim``):
#
# .. math:: i = \mathtt{blockIdx} \cdot \mathtt{blockDim} + \mathtt{threadIdx}
#
# is then a number of its own. Here is ReLU as it stands in the library; the macro
# ``GLOBAL_INDEX`` is this formula.

activation = cuda.loader.FOLDER / "activation.cu"
text = activation.read_text(encoding="utf-8")
text = text[text.index('extern "C" __global__ void rectify_forward'):]
print(text[:text.index("\n}") + 2])

# %%
# Ten numbers, and blocks of four threads: that takes three blocks, and two threads are
# left over. The condition ``i < n`` keeps those from writing where nothing is theirs.

x = np.linspace(-2, 2.5, 10).astype(np.float32)
y = np.zeros_like(x)
if CAN_RUN:
    relu = emulator.EmuModule(activation).get_function("rectify_forward")
    blocks, threads = (3, 1, 1), (4, 1, 1)
    relu(blocks, threads, [x, y, np.int64(x.size)])
    print("the kernel:", y)
    print("NumPy:     ", np.maximum(x, 0))
    assert np.array_equal(y, np.maximum(x, 0))

# %%
# Forget the condition, and a GPU writes to memory that belongs to another array,
# without a word. The emulator knows where each array ends:


folder = tempfile.TemporaryDirectory()


def compile_kernel(text, file, name):
    """The kernel called ``name`` of a text, which is written to a file."""
    path = pathlib.Path(folder.name, file)
    path.write_text(text, encoding="utf-8")
    return emulator.EmuModule(path).get_function(name)


UNGUARDED = """extern "C" __global__ void relu(const float* x, float* y)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    y[i] = x[i] > 0 ? x[i] : 0;
}"""

if CAN_RUN:
    try:
        compile_kernel(UNGUARDED, "unguarded.cu", "relu")(blocks, threads, [x, y])
        raise AssertionError("the emulator should have noticed")
    except KernelError as error:
        print(error)

# %%
# Threads that work together
# --------------------------
#
# ReLU is easy: nobody waits for anybody. A sum is not. Sixteen threads add up sixteen
# numbers in four steps; in each, half of those that are left add a number of the other
# half to their own:
#
# .. math:: p_t \leftarrow p_t + p_{t + h}, \qquad t < h, \qquad h = 8, 4, 2, 1
#
# The numbers stand in *shared* memory, which all threads of a block see.
# ``__syncthreads()`` is a meeting point: nobody goes on before all are there. The
# kernel also keeps a diary, a row for each step.

SUM = """extern "C" __global__ void block_sum(const float* x, float* diary)
{
    __shared__ float part[16];
    int t = threadIdx.x;
    part[t] = x[t];
    diary[t] = part[t];
    int row = 1;
    for (int half = 8; half > 0; half /= 2) {
        __syncthreads();
        if (t < half) part[t] += part[t + half];
        diary[16 * row + t] = part[t];
        row += 1;
    }
}"""

numbers = np.arange(1, 17, dtype=np.float32)


def diary_of(kernel):
    """The 16 numbers at the start and after each of the four steps, (5, 16)."""
    diary = np.zeros((5, 16), np.float32)
    kernel((1, 1, 1), (16, 1, 1), [numbers, diary])
    return diary


if CAN_RUN:
    block_sum = compile_kernel(SUM, "sum.cu", "block_sum")
    right = diary_of(block_sum)
    print(f"the sum: {right[4, 0]:g}; 1 + 2 + ... + 16 = {numbers.sum():g}")
    assert right[4, 0] == numbers.sum()

# %%
# The diary. In colour: what threads have just worked out; in grey: what no longer
# counts. The result is at the bottom left.


def show(ax, diary, title, compare=None):
    """Draw a diary; numbers that are not those of ``compare`` in orange."""
    ax.set(xlim=(-0.5, 15.5), ylim=(4.5, -0.5), xticks=range(16), yticks=range(5),
           yticklabels=["start", "h = 8", "h = 4", "h = 2", "h = 1"], title=title)
    for (row, t), value in np.ndenumerate(diary):
        worked = row == 0 or t < 16 >> row
        wrong = compare is not None and worked and value != compare[row, t]
        color = "#F6C9A8" if wrong else "#BBDDF2" if worked else "white"
        ax.add_patch(plt.Rectangle((t - 0.5, row - 0.5), 1, 1, facecolor=color,
                                   edgecolor="0.85"))
        ax.text(t, row, f"{value:g}", ha="center", va="center", fontsize=8,
                color="black" if worked else "0.6")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


if CAN_RUN:
    figure, ax = plt.subplots(figsize=(8, 2.6), layout="constrained")
    show(ax, right, "16 threads, 4 steps")
    ax.set_xlabel("thread")
    plt.show()

# %%
# A race
# ------
#
# Now leave the meeting point out. Thread 0 may add what thread 4 holds before thread 4
# has added anything, or after. Who comes first? CUDA does not say. A GPU gives the
# right sum mostly, since the threads of a *warp*, 32 neighbours, tend to go in step.
# The emulator lets us choose: ``schedule("forward")`` runs each thread as far as it
# gets, from the first to the last, and ``"reverse"`` from the last to the first.

if CAN_RUN:
    without = SUM.replace("        __syncthreads();\n", "")
    racing = compile_kernel(without, "racing.cu", "block_sum")
    figure, axes = plt.subplots(2, 1, figsize=(8, 5), layout="constrained")
    for ax, order in zip(axes, ("forward", "reverse")):
        with emulator.schedule(order):
            diary = diary_of(racing)
            assert np.array_equal(diary_of(block_sum), right)  # sound in any order
        print(f"without __syncthreads(), {order}: {diary[4, 0]:g}")
        show(ax, diary, f"{order}: {diary[4, 0]:g}, should be {numbers.sum():g}", right)
    axes[1].set_xlabel("thread")
    plt.show()

# %%
# ``nan`` is how the emulator marks shared memory in which nothing has been written yet:
# thread 0 added what thread 8 had still to bring. In the other order the sum is right,
# by luck, and that is how such mistakes survive. So trying is no proof. With
# ``races=True`` the emulator notes for every number who touched it since the last
# meeting point, and complains if two threads did, one of them writing, even if the
# result was right this time.

if CAN_RUN:
    with emulator.schedule(races=True):
        diary_of(block_sum)
        print("with __syncthreads(): no race")
        try:
            diary_of(racing)
            raise AssertionError("the emulator should have found the race")
        except KernelError as error:
            print(error)

folder.cleanup()
assert not pathlib.Path(folder.name).exists()

# %%
# Every kernel of minifer goes through this, in several orders and with the search for
# races, each time the tests run.
#
# Exercises
# ---------
#
# 1. Move ``__syncthreads();`` into the ``if (t < half)``. Why is that wrong, and what
#    does the emulator say? On a GPU the kernel may hang for ever.
# 2. Let each step add *neighbours*: ``part[2 * half * t] += part[2 * half * t + half]``
#    for ``half`` = 1, 2, 4, 8. Draw its diary. Which threads idle, and why is the first
#    way kinder to warps?
# 3. The gradient of max-pooling passes each ``dy`` to one place. Write it with NumPy,
#    let ``minifer check maxpool my_file.py`` look at it, and then read
#    ``kernels/pool.cu``: what does one thread do there, so that no two of them write
#    to the same place?
