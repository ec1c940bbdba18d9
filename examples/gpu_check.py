"""Everything a machine with a GPU should prove: make gpu-check

machine       what it is
tests         all tests that run on a GPU
conformance   every kernel launch of the kernels' tests, done again by the emulator
determinism   20 training steps, twice: the same bits
losses        20 training steps on the CPU, the emulator and the GPU: the same losses
training      the headline network learns drawn faces
benchmark     time and memory, beside PyTorch's if that is installed

Each part is a process of its own, so that one that fails, hangs or breaks the GPU
leaves the others alone. Exit code 0: all passed; 1: a part failed, see the report;
2: no GPU here. --device emu rehearses all of it, small, without one.
"""

import glob
import importlib.metadata
import itertools
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
from typing import Callable, NamedTuple

import numpy as np

import minifer
from minifer import config, data, layers, models, objectives, random, updates
from minifer.backend import on_gpu, resolve, to_device, to_host
from minifer.cli import ArgumentParser, run
from minifer.files import write_json
from minifer.kernels import loader
from minifer.preprocessing import Preprocessing
from minifer.tensor import ivector
from minifer.training import Trainer

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)

# Largest relative differences. A kernel's: the GPU rounds a*b + c once, the emulator
# twice. A loss's: each device also adds up in an order of its own.
KERNEL = {"float32": 1e-4, "float64": 1e-11}
LOSS = {"float32": 1e-4, "float64": 1e-10}


class Size(NamedTuple):
    """How much is done. The emulator takes seconds for what a GPU does in no time."""

    tests: str = "tests"
    kernel_tests: str = "tests/test_kernels_*.py"
    every_kernel: bool = True  # must be launched by those tests
    steps: int = 20
    batch: int = 32
    side: int = 96  # of the images, in pixels
    emu_batch: int = 4
    emu_side: int = 48
    subjects: int = 20
    frames: tuple = (4, 5)
    epochs: int = 15
    accuracy: float = 0.5  # of 7 classes, on people not trained with
    benchmark: tuple = ("ck96", 128)
    rounds: int = 9


SIZES = {"cuda": Size(),
         "emu": Size(tests="tests/test_kernels_reduce.py",
                     kernel_tests="tests/test_kernels_reduce.py", every_kernel=False,
                     steps=2, batch=2, side=16, emu_batch=2, emu_side=16, subjects=3,
                     frames=(2, 2), epochs=1, accuracy=0, benchmark=("mlp", 2),
                     rounds=1)}


def main(argv=None):
    """Run the parts; return the report."""
    args = parse(argv)
    if args.part:
        return write_json(args.out, PARTS[args.part].check(args.device,
                                                           SIZES[args.device]))
    resolve(args.device)
    report = {"device": args.device, "minifer": minifer.__version__, "passed": False,
              "seconds": 0.0, "parts": {}}
    started = time.perf_counter()
    for name in args.parts:
        found = in_its_own_process(name, args.device, PARTS[name].seconds)
        report["parts"][name] = found
        report["passed"] = (len(report["parts"]) == len(args.parts)
                            and all(p["passed"] for p in report["parts"].values()))
        report["seconds"] = round(time.perf_counter() - started, 1)
        write_json(args.out, report)  # what is known is kept, whatever comes
        print(line(name, found), flush=True)
    print(f"{args.out} holds the report: {verdict(report)}, {report['seconds']} s")
    if not report["passed"]:
        sys.exit(1)
    return report


def parse(argv):
    parser = ArgumentParser(prog="gpu_check.py", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--device", choices=sorted(SIZES), default="cuda",
        help="emu rehearses without a GPU")
    add("--out", default="gpu-check.json", help="the report")
    add("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), metavar="PART",
        help=f"only these of {', '.join(PARTS)}")
    add("--part", choices=list(PARTS), help="used inside")
    return parser.parse_args(argv)


def in_its_own_process(name, device, seconds):
    """What a part found; if it died or took too long, that it did not pass."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "part.json")
        with open(os.path.join(folder, "log"), "w+", errors="replace") as log:
            process = subprocess.Popen(
                [sys.executable, os.path.abspath(__file__), "--part", name, "--device",
                 device, "--out", path], stdout=log, stderr=log, start_new_session=True)
            try:
                code = process.wait(seconds)
                end = f"ended with exit code {code}"
            except subprocess.TimeoutExpired:
                code, end = None, f"took longer than {seconds} s"
            finally:
                stop(process)
            log.seek(0)
            tail = log.read().splitlines()[-30:]
        if code == 0:
            with open(path, encoding="utf-8") as file:
                found = json.load(file)
        else:
            found = {"passed": False, "error": ", ".join([end, *tail[-1:]])}
    if not found["passed"]:
        found["output"] = tail
    return found | {"seconds": round(time.perf_counter() - started, 1)}


def stop(process):
    """End a process and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # none is left
    process.wait()


def verdict(found):
    return "passed" if found["passed"] else "FAILED"


def line(name, found):
    """A part in one line."""
    numbers = [f"{key.replace('_', ' ')} {value}" for key, value in found.items()
               if key not in ("passed", "seconds")
               and not isinstance(value, (dict, list))]
    return (f"{name:<12} {verdict(found)} {found['seconds']:6.1f} s  "
            + ", ".join(numbers))


# --- the parts: each takes a device and a Size, and returns what it found ------

def machine(device, size):
    """What the machine is."""
    def output(*words):
        try:
            return subprocess.run(words, capture_output=True, text=True,
                                  timeout=30).stdout.strip()
        except (OSError, subprocess.TimeoutExpired):
            return ""

    fields = "name,driver_version,memory.total,compute_cap"
    gpu = output("nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader")
    gpu = dict(zip(fields.split(","), gpu.split("\n")[0].split(", "))) if gpu else None
    cupy = output(sys.executable, "-c", "import cupy; cupy.show_config()")
    cupy = dict(map(str.strip, row.split(":", 1)) for row in cupy.split("\n")
                if row.startswith(("CuPy V", "CUDA Driver", "CUDA Runtime", "NVRTC")))
    return {"passed": device != "cuda" or bool(gpu and cupy),
            "name": gpu["name"] if gpu else "no GPU", "gpu": gpu, "cupy": cupy,
            "python": platform.python_version(), "cores": os.cpu_count(),
            "system": platform.platform(),
            "packages": {one.name: one.version
                         for one in importlib.metadata.distributions() if one.name in (
                             "numpy", "torch", "cuda-bindings", "nvidia-cuda-nvrtc")}}


def tests(device, size):
    """All tests that are parametrised for the device."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "junit.xml")
        code = subprocess.run([sys.executable, "-m", "pytest", size.tests, "-k", device,
                               "-p", "no:cacheprovider", f"--junitxml={path}"],
                              cwd=ROOT).returncode
        suites = xml.etree.ElementTree.parse(path).getroot().iter("testsuite")
        counts = next(suites).attrib
    total, failed, errors, skipped = (
        int(counts[key]) for key in ("tests", "failures", "errors", "skipped"))
    ran = total - failed - errors - skipped
    return {"passed": code == 0 and ran > 0, "tests_passed": ran,
            "failed": failed + errors, "skipped": skipped}


def conformance(device, size):
    """Launches of the kernels' tests, compared with the emulator's."""
    import pytest
    os.chdir(ROOT)
    shadow = Shadow(device)
    # The loader's own tests look at what it returns, which is not the loader's here.
    code = pytest.main([*sorted(glob.glob(size.kernel_tests)), "-k",
                        f"{device} and not loader", "-p", "no:cacheprovider"],
                       plugins=[shadow])
    found = shadow.report(size.every_kernel)
    return found | {"passed": found["passed"] and code == 0}


class Shadow:
    """A pytest plugin that repeats a device's launches on the emulator.

    The test's inputs go to both; all that the kernel can write to is compared. So
    each kernel that has tests is covered, with their awkward shapes.
    """

    launches, elements = 6, 200_000  # at most: of a kernel and type, of a launch

    def __init__(self, device):
        self.device, self.original = device, loader.kernel
        self.seen = {}  # (file, kernel, type) -> differences

    def pytest_collection_finish(self):
        """Stand in for ``loader.kernel`` wherever it has been imported."""
        for module in list(sys.modules.values()):
            if vars(module).get("kernel") is self.original:
                module.kernel = self.kernel

    def kernel(self, file, name, like, **defines):
        there = self.original(file, name, like, **defines)
        real = like.dtype.name if like.dtype.kind == "f" else "float32"
        seen = self.seen.setdefault((str(file), name, real), [])

        def launch(*args, **how):
            arrays = [a for a in args if on_gpu(a)]
            if (len(seen) >= self.launches
                    or sum(a.size for a in arrays) > self.elements):
                return there(*args, **how)
            copies = [to_device(to_host(a).copy(), "emu") if on_gpu(a) else a
                      for a in args]
            there(*args, **how)
            emulated = self.original(file, name, to_device(np.empty(0, real), "emu"),
                                     **defines)
            emulated(*copies, **how)
            seen.append(max((difference(to_host(a), to_host(copy)) for a, copy in
                             zip(args, copies) if on_gpu(a)), default=0.0))

        return launch

    def report(self, every_kernel):
        """The largest difference of each kernel, and which were never launched."""
        found = {key: max(seen) for key, seen in sorted(self.seen.items()) if seen}
        launched = {key[:2] for key in found}
        missing = [(path.name, name) for path in sorted(loader.FOLDER.glob("*.cu"))
                   for name in loader.signatures(path.name)
                   if every_kernel and (path.name, name) not in launched]
        worst = {real: max((d for key, d in found.items() if key[2] == real), default=0)
                 for real in KERNEL}
        return {"passed": bool(found) and not missing
                and all(worst[real] <= KERNEL[real] for real in KERNEL),
                "kernels": len(launched),
                "launches": sum(map(len, self.seen.values())), **worst,
                "never_launched": [" ".join(key) for key in missing],
                "differences": {" ".join(key): d for key, d in found.items()}}


def difference(found, expected):
    """The largest difference, relative to the largest number; 0 for equal bits.

    Whole numbers must be equal: of those it is the share that differs. It is 1 if one
    has NaN or infinity where the other has not.
    """
    if found.dtype.kind != "f":
        return float(np.mean(found != expected)) if found.size else 0.0
    finite = np.isfinite(expected)
    if not np.array_equal(found[~finite], expected[~finite], equal_nan=True) or (
            not np.isfinite(found[finite]).all()):
        return 1.0
    gap = np.abs(found[finite].astype(np.float64) - expected[finite]).max(initial=0)
    size = np.abs(expected[finite]).max(initial=0)
    return float(gap / size) if size else float(gap > 0)


def train_steps(device, floatX, steps, batch, side):
    """Losses of the headline network on noise, and its parameters after that."""
    with config.use_floatX(floatX):
        random.set_rng(0)
        network = models.ck96(size=side)
        layers.seed_noise(network, 0)
        targets = ivector("targets")
        loss = objectives.categorical_crossentropy(
            layers.get_output(network), targets).mean()
        update = updates.nesterov_momentum(
            loss, layers.get_all_params(network), learning_rate=0.005, momentum=0.9)
        source = layers.get_all_layers(network)[0].input_var
        train = minifer.function([source, targets], loss, update, device=device)
        rng, losses = np.random.default_rng(0), []
        for _ in range(steps):
            images = rng.normal(size=(batch, 1, side, side)).astype(floatX)
            losses.append(train(images, rng.integers(0, 7, batch)))
    return losses, layers.get_all_param_values(network)


def determinism(device, size):
    """The same steps twice, bit for bit."""
    (first, before), (second, after) = (
        train_steps(device, "float32", size.steps, size.batch, size.side)
        for _ in range(2))
    same = [np.array_equal(a, b) for a, b in zip(before, after)]
    return {"passed": first == second and all(same), "steps": size.steps,
            "batch": size.batch, "side": size.side, "losses_equal": first == second,
            "parameters_equal": f"{sum(same)} of {len(same)}"}


def losses(device, size):
    """The CPU's losses, and those of the device and, of less, the emulator."""
    runs = {"emu": (size.emu_batch, size.emu_side)}
    if device != "emu":
        runs[device] = size.batch, size.side
    rows = []
    for (where, (batch, side)), floatX in itertools.product(runs.items(), LOSS):
        expected, found = (
            np.array(train_steps(one, floatX, size.steps, batch, side)[0])
            for one in ("cpu", where))
        worst = float(np.abs(found / expected - 1).max())
        rows.append({"device": where, "type": floatX, "steps": size.steps,
                     "batch": batch, "side": side, "relative_difference": worst,
                     "passed": worst <= LOSS[floatX], "losses": found.tolist()})
    return {"passed": all(row["passed"] for row in rows), "runs": rows} | {
        f"{row['device']}_{row['type']}": f"{row['relative_difference']:.1e}"
        for row in rows}


def training(device, size):
    """Train the headline network on drawn faces, judge it on other people's."""
    with tempfile.TemporaryDirectory() as folder:
        roots = data.make_faces(os.path.join(folder, "faces"), size.subjects,
                                frames=size.frames)
        faces = data.load_ck(*roots, last=0.5, size=size.side, cache=False)
    train, test = (faces.subset(part) for part in data.split_by_subject(
        faces.labels, faces.subjects, (0.67, 0.33), classes=faces.classes))
    random.set_rng(0)
    trainer = Trainer(models.ck96(num_classes=len(faces.classes), size=size.side),
                      batch_size=size.batch, prepare=Preprocessing(), device=device)
    history = trainer.fit(train.images, train.labels, (test.images, test.labels),
                          epochs=size.epochs).history
    rates = [len(train) / row["seconds"] for row in history]
    return {"passed": history[-1]["valid_accuracy"] >= size.accuracy,
            "images": len(train), "accuracy": history[-1]["valid_accuracy"],
            "images_per_second": round(max(rates), 1), "history": history}


def benchmark(device, size):
    """examples/bench.py, with PyTorch where that is installed."""
    net, batch = size.benchmark
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "bench.json")
        subprocess.run([sys.executable, os.path.join(HERE, "bench.py"), "--device",
                        device, "--net", net, "--batch", str(batch), "--against",
                        "torch", "--rounds", str(size.rounds), "--json", path],
                       check=True)
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
    rows = {f"{row['who']} {row['config']}": row["train_ms_per_image"]
            for row in report["rows"]}
    note = {} if any("torch" in name for name in rows) else {
        "note": "PyTorch left out: it is not installed, or did not run here"}
    return {"passed": any("minifer" in name for name in rows), **rows, **note,
            "report": report}


class Part(NamedTuple):
    """A part, and how many seconds it may take: under 8 minutes in all."""

    check: Callable
    seconds: int


PARTS = {"machine": Part(machine, 30), "tests": Part(tests, 120),
         "conformance": Part(conformance, 70), "determinism": Part(determinism, 30),
         "losses": Part(losses, 50), "training": Part(training, 50),
         "benchmark": Part(benchmark, 130)}

if __name__ == "__main__":
    run(main)
