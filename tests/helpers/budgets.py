"""How many registers each kernel may use.

A multiprocessor has 65,536 registers for at most 2,048 threads. At 64 a thread, half
of those threads fit, four blocks of 256: enough for one block to compute while
another waits for memory. Who needs more gives a reason, here.
"""

from typing import NamedTuple

__all__ = ["Budget", "DEFAULT", "EXCEPTIONS", "budget_of", "complaints"]


class Budget(NamedTuple):
    """At most so many registers a thread, and why so many."""

    registers: int
    reason: str


DEFAULT = Budget(64, "half of a multiprocessor's threads fit")

PRODUCT = "64 sums and the fragments of the next product, twice with 3xTF32"

IN_REGISTERS = "96 sums, 10 columns of fragments; two blocks of 128 threads fit"

WIDE = ("64 sums, and the first matrix's numbers for this step and the next; nine "
        "warps count as twelve, three to a quarter")

#: (file, kernel) -> Budget
EXCEPTIONS = {
    ("fused_conv.cu", "fused_forward"): Budget(240, IN_REGISTERS),
    ("fused_conv.cu", "fused_input_gradient"): Budget(240, IN_REGISTERS),
    ("filter_gradient.cu", "filter_gradient"): Budget(
        128, "sums of 16 filters by up to 32 channels for a row of taps, and as many "
        "columns of x; its 12 to 20 warps have a multiprocessor to themselves"),
    ("first_conv.cu", "first_conv_forward"): Budget(
        96, "two rows of 16 sums, and pixels and weights for them; two blocks fit"),
    ("first_conv.cu", "first_conv_gradient"): Budget(
        128, "a sum for each of up to 49 taps, and the next numbers on their way"),
    ("image_norm.cu", "image_norm_sums"): Budget(
        96, "a window of four pixels of four channels, and two sums of each; with 512 "
        "threads a multiprocessor has 40 KB on their way, twice what keeps it busy"),
    ("image_norm.cu", "image_norm_input_gradient"): Budget(
        96, "a window as for the sums, and what became of it"),
    ("matmul.cu", "matmul"): Budget(
        80, "16 sums and 8 numbers for them, two registers each in double; three "
        "blocks of 256 fit"),
    ("gemm.cu", "dense_forward"): Budget(176, PRODUCT),
    ("gemm.cu", "dense_input_gradient"): Budget(176, PRODUCT),
    ("gemm.cu", "dense_weight_gradient"): Budget(176, PRODUCT),
    ("gemm_update.cu", "dense_weight_update"): Budget(176, PRODUCT),
    ("wide_conv.cu", "wide_conv_forward"): Budget(
        255, "ten columns of 16 sums, a pixel's numbers and the next pixel's; its four "
        "warps have a multiprocessor to themselves"),
    **{("wide_gemm.cu", f"wide_{name}"): Budget(168, WIDE) for name in (
        "forward", "input_gradient", "weight_gradient", "weight_update")},
    ("head.cu", "head_rows"): Budget(
        128, "all scores of a row, and as many sums; two blocks of 256 threads fit"),
}


def budget_of(file, name):
    """The budget of a kernel.

    Parameters
    ----------
    file : str
        Such as ``"conv.cu"``.
    name : str
    """
    return EXCEPTIONS.get((file, name), DEFAULT)


def complaints(file, usages):
    """What is wrong with a compiled file, a line for each finding.

    Parameters
    ----------
    file : str
    usages : dict of str -> minifer.cuda.nvrtc.Usage
        From :func:`minifer.cuda.nvrtc.compile_file`.

    Returns
    -------
    list of str
        Empty if no kernel spills, and each stays within its budget.
    """
    found = []
    for name, usage in usages.items():
        allowed = budget_of(file, name)
        if usage.spilled:
            found.append(f"{file}: {name} spills {usage.spilled} bytes a thread. Keep "
                         "fewer values alive at a time.")
        if usage.serial:
            found.append(f"{file}: {name} makes one product after the other. Keep "
                         "fewer sums alive, and touch none while a group is under way.")
        if usage.registers > allowed.registers:
            found.append(f"{file}: {name} uses {usage.registers} registers, its budget "
                         f"is {allowed.registers} ({allowed.reason}).")
    return found
