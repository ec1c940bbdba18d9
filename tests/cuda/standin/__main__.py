"""Real CuPy without a GPU: make cupy-check

CuPy's wheel of PyPI is installed into an environment of its own, with a stand-in of
CUDA's driver, runtime and cuBLAS in the place of NVIDIA's. What CuPy compiles is
compiled by the real NVRTC, and computed by the emulator. All tests that run on a GPU
run there, and the parts of gpu_check.py, small. Exit code 0: all passed; 1: something
failed.
docs/cuda-without-a-gpu.md explains how it works.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

import build

ROOT = build.ROOT
PARTS = ("primitives", "conformance", "determinism", "captured", "losses", "training",
         "benchmark")

UNCOVERED = """\
What it cannot tell:
- times, occupancy, memory bandwidth: nothing here is fast or slow as on a GPU;
- the numerics of the hardware: a*b + c is rounded twice here, a tensor core adds in an
  order of its own, expf and the like have other last bits;
- races and addresses outside of arrays: those are what the device emu finds;
- CUB, Thrust, cuRAND, cuSOLVER, cuFFT: CuPy's sort and its random numbers; of cuBLAS
  there are only products of matrices, as loops;
- several GPUs, NCCL, peer access, other streams' work at the very same time."""


def main():
    parser = argparse.ArgumentParser(prog="make cupy-check",
                                     description=__doc__.split("\n")[0])
    parser.add_argument("--processes", "-n", default="auto",
                        help="for the tests, default one a core")
    parser.add_argument("tests", nargs="*", default=["tests"],
                        help="only these tests, and nothing else")
    args = parser.parse_args()
    python = build.environment()
    rows = list(run_tests(python, args.tests, args.processes))
    if args.tests == ["tests"]:
        # What the emulator refuses must be what CuPy has just been seen to refuse.
        rows += run_tests(python, ["tests/device"], args.processes, "emu")
        rows += run_parts(python)
    print("\n| what | passed | failed | skipped | seconds |\n|---|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")
    print(f"\nCuPy {build.CUPY}, {', '.join(build.NVIDIA[:2])}.\n\n{UNCOVERED}")
    sys.exit(any(row[2] for row in rows) or not any(row[1] for row in rows))


def run_tests(python, which, processes, device="cuda"):
    """A row for each folder of tests."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "junit.xml")
        done = subprocess.run(
            [python, "-m", "pytest", *which, "--device", device, "-n", processes,
             "-p", "no:cacheprovider", f"--junitxml={path}"], cwd=ROOT)
        if not os.path.exists(path):
            sys.exit(f"the tests ended with exit code {done.returncode}, and no report")
        suite = next(xml.etree.ElementTree.parse(path).getroot().iter("testsuite"))
    counts = {}
    for case in suite.iter("testcase"):
        where = case.get("classname") or case.get("name")  # a file that is left out
        name = "/".join(where.split(".")[:2])
        row = counts.setdefault(name, [0, 0, 0, 0.0])
        bad = case.find("failure") is not None or case.find("error") is not None
        row[1 if bad else 2 if case.find("skipped") is not None else 0] += 1
        row[3] += float(case.get("time"))
    for name, (*numbers, seconds) in sorted(counts.items()):
        yield [f"{name}, emu" if device == "emu" else name, *numbers, round(seconds)]


def run_parts(python):
    """A row for each part of gpu_check.py."""
    with tempfile.TemporaryDirectory() as folder:
        for part in PARTS:
            started, path = time.perf_counter(), pathlib.Path(folder, f"{part}.json")
            subprocess.run(
                [python, ROOT / "examples" / "gpu" / "gpu_check.py", "--device", "cuda",
                 "--small", "--parts", part, "--out", path], cwd=ROOT)
            found = json.loads(path.read_text("utf-8"))["parts"][part] if (
                path.exists()) else {"passed": False}
            yield [f"gpu_check: {part}", int(found["passed"]),
                   int(not found["passed"]), 0, round(time.perf_counter() - started)]


if __name__ == "__main__":
    main()
