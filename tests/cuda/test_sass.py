"""What the compiler made of the kernels of real layers, instruction by instruction.

A kernel may compile, fit its budget and still be slow: a loop that stayed a loop, a
register that travels to memory, moves that put numbers where products want them. Its
machine code shows each of these, on a machine without a GPU.
"""

import re
from collections import Counter

import pytest

from helpers import budgets
from helpers.kernel_variants import FILES, VARIANTS, Variant
from helpers.runs import TESTS
from minifer.cuda import loader, nvrtc
from minifer.cuda.emulator import build
from minifer.errors import BackendUnavailable, KernelError

try:
    nvrtc.version(), nvrtc.disassembler()
except BackendUnavailable as error:
    pytest.skip(str(error), allow_module_level=True)

#: The version whose instructions were counted, the one that setup.cfg installs.
COUNTED = "13.0"
counts_instructions = [
    pytest.mark.toolchain,
    pytest.mark.skipif(nvrtc.version() != COUNTED, reason=f"NVRTC {nvrtc.version()}: "
                       f"instructions were counted with {COUNTED}")]

#: Ampere and Hopper: the first with these products, and the one aimed at.
ARCHS = (80, 90)
CASES = [(variant, arch) for variant in VARIANTS for arch in ARCHS
         if nvrtc.fits(variant.file, arch)]

#: The kernels that use tensor cores.
USERS = {(variant.file, name) for variant in VARIANTS for name in variant.products}


def faults(variant, name, arch):
    """What is wrong with a kernel, a line for each finding."""
    counts, loop = (nvrtc.instructions(variant.file, name, arch, loop=loop,
                                       **variant.defines) for loop in (False, True))
    made, in_loop = (n["HMMA"] + n["HGMMA"] for n in (counts, loop))
    products, found = variant.products.get(name, 0), []
    if made != products:
        found.append(f"{made} products instead of {products}")
    if counts["LDL"] or counts["STL"]:
        found.append(f"{counts['LDL'] + counts['STL']} loads and stores of spills")
    if variant.hot and loop["MOV"] >= in_loop > 0:
        found.append(f"{loop['MOV']} moves for {in_loop} products")
    return found


@pytest.mark.parametrize("variant, arch", CASES, ids=str)
def test_kernels_fit(variant, arch):
    usages = nvrtc.compile_file(variant.file, arch, **variant.defines)
    assert set(usages) == set(loader.signatures(variant.file))
    assert budgets.complaints(variant.file, usages) == []


@pytest.mark.parametrize("variant, arch", [
    pytest.param(*case, marks=counts_instructions, id="-".join(map(str, case)))
    for case in CASES if case[0].products])
def test_machine_code(variant, arch):
    """Of the kernels asked for, and of those that should use no tensor cores."""
    found = {name: faults(variant, name, arch)
             for name in loader.signatures(variant.file)
             if name in variant.products or (variant.file, name) not in USERS}
    assert not any(found.values()), found


#: How many boxes each step along K sends for: of the first matrix, and of the second.
BOXES = {"wide_forward": lambda wide: 4 + 1,
         "wide_input_gradient": lambda wide: 1 + wide // 32,
         "wide_weight_gradient": lambda wide: 4 + 1,
         "wide_weight_update": lambda wide: 4 + 1}


@pytest.mark.toolchain
@counts_instructions[1]
@pytest.mark.parametrize("variant", [v for v in VARIANTS if v.file == "wide_gemm.cu"],
                         ids=str)
@pytest.mark.parametrize("name", BOXES)
def test_four_warps_multiply_what_boxes_bring(variant, name):
    """In the loop products alone: who multiplies sends for nothing, and reads four
    numbers of the first matrix for each, none of the second."""
    counts, loop = (nvrtc.instructions(variant.file, name, 90, loop=loop,
                                       **variant.defines) for loop in (False, True))
    assert counts["UTMALDG"] == BOXES[name](variant.defines["WIDE"])
    assert loop["UTMALDG"] == 0 and loop["HGMMA"] == counts["HGMMA"] == 8
    assert loop["LDS"] == 4 * loop["HGMMA"] and counts["HMMA"] == 0


@pytest.mark.toolchain
@counts_instructions[1]
def test_a_pixel_is_read_once_for_all_its_taps():
    """16 numbers a lane for 40 products of two rows of outputs, five taps each."""
    variant, = [v for v in VARIANTS if v.file == "wide_conv.cu"
                and v.defines["KW"] == 5]
    loop = nvrtc.instructions(variant.file, "wide_conv_forward", 90, loop=True,
                              **variant.defines)
    assert (loop["HGMMA"], loop["LDS"], loop["UTMALDG"], loop["LDG"]) == (40, 16, 0, 0)


def test_who_uses_tensor_cores_says_how_many_products_it_makes():
    """By file; kernel by kernel, machine code tells it."""
    users = {file for file in FILES if any(
        re.search(r"\b(wg)?mma", build.COMMENT.sub(" ", text))
        for text in build.sources(loader.FOLDER / file).values())}
    assert users == {file for file, _ in USERS}
    assert all(count for variant in VARIANTS for count in variant.products.values())


# --- each fault, planted --------------------------------------------------------

def planted(file, **products):
    path = TESTS / "cuda" / "kernels" / f"nvrtc_{file}.cu"
    return Variant(str(path), products=products)


@pytest.mark.parametrize("arch", ARCHS)
def test_a_tidy_kernel_has_no_fault(arch):
    assert faults(planted("products", tidy=8), "tidy", arch) == []


@pytest.mark.parametrize("arch", ARCHS)
def test_a_loop_that_stayed_a_loop_is_found(arch):
    found = faults(planted("products", rolled=8), "rolled", arch)
    assert "1 products instead of 8" in found


@pytest.mark.parametrize("arch", ARCHS)
def test_moves_are_found_but_in_tiny_layers(arch):
    variant = planted("products", moves=8)
    fault, = faults(variant, "moves", arch)
    assert fault.endswith("moves for 8 products") and int(fault.split()[0]) >= 16
    assert faults(variant._replace(defines={"A_VECTOR": 1}), "moves", arch) == []


@pytest.mark.parametrize("arch", ARCHS)
def test_spills_are_found(arch):
    fault, = faults(planted("spills"), "spills", arch)
    assert fault.endswith("loads and stores of spills")


# --- reading ----------------------------------------------------------------

def test_opcodes_lose_their_modifiers_and_conditions():
    text = """
.text.other:
        /*0000*/                   EXIT ;
.text.mine:
        /*0000*/                   LDS.64 R4, [R2] ;
.L_x_154:
        /*00f0*/               @P0 EXIT ;
        /*0100*/              @!P1 IMAD.MOV.U32 R3, RZ, RZ, RZ ;
        /*0110*/             @!UP0 IMAD.WIDE R2, R5, UR7, R2 ;
        /*4f10*/                   HMMA.1688.F32.TF32 R4, R8, R2, R4 ;
        /*4f20*/               @P0 BRA `(.L_x_154) ;
        /*4f30*/                   MOV R1, R2 ;
"""
    assert nvrtc.read_code(text, "mine") == Counter(
        LDS=1, EXIT=1, MOV=2, IMAD=1, HMMA=1, BRA=1)
    assert nvrtc.read_code(text, "other") == Counter(EXIT=1)


def test_the_innermost_loop_with_products_is_looked_at():
    text = """
.text.mine:
        /*0000*/                   MOV R1, R2 ;
.L_x_1:
        /*0010*/                   LDS R4, [R2] ;
.L_x_2:
        /*0020*/                   HMMA.1688.F32.TF32 R4, R8, R2, R4 ;
        /*0030*/               @P0 BRA `(.L_x_2) ;
.L_x_3:
        /*0040*/                   STS [R2], R4 ;
        /*0050*/               @P1 BRA `(.L_x_3) ;
        /*0060*/               @P1 BRA `(.L_x_4) ;
        /*0070*/               @P0 BRA `(.L_x_1) ;
.L_x_4:
        /*0080*/                   EXIT ;
"""
    assert nvrtc.read_code(text, "mine", loop=True) == Counter(HMMA=1, BRA=1)
    flat = text.replace("HMMA.1688.F32.TF32", "FFMA")
    assert nvrtc.read_code(flat, "mine", loop=True) == nvrtc.read_code(flat, "mine")


def test_a_kernel_that_is_not_there_is_named():
    with pytest.raises(KernelError, match="expected .* .nobody., got only .*tidy"):
        faults(planted("products"), "nobody", 90)
