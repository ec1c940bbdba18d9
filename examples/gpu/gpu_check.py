"""Everything a machine with a GPU should prove: make gpu-check

machine       what it is
tests         all tests that run on a GPU
primitives    tensor core and asynchronous copies: what the emulator takes them for
conformance   every kernel launch of the kernels' tests, done again by the emulator
determinism   20 training steps, twice: the same bits
captured      20 training steps as one graph each, and kernel by kernel: the same bits
losses        20 training steps on the CPU, the emulator and the GPU: the same losses
training      the headline network learns drawn faces
ranks         two GPUs that NCCL connects train as one does, where there are two
benchmark     time and memory, beside PyTorch's if that is installed, and beside what
              the GPU could do at best; for as long as is left of --minutes

Each part is a process of its own, so that one that fails, hangs or breaks the GPU
leaves the others alone; the report, and the same as tables for docs/results/, are
written after each. Exit code 0: all passed; 1: a part failed, see the report; 2: no
GPU here. --device emu rehearses all of it, small, without one.
"""

import importlib.metadata
import importlib.util
import itertools
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
from typing import Callable, NamedTuple

import numpy as np

import minifer
from gpu_conformance import conformance, primitives
from gpu_ranks import ranks
from gpu_tables import markdown
from minifer import config, data, layers, models, objectives, random, updates
from minifer.commands.cli import ArgumentParser, run
from minifer.device.arrays import resolve
from minifer.faces.preprocessing import Preprocessing
from minifer.files import write_json, write_text
from minifer.tensor import ivector
from minifer.training.trainer import Trainer

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BENCH = os.path.join(ROOT, "examples", "bench", "bench.py")

# Largest relative differences of losses: each device adds up in an order of its own.
LOSS = {"float32": 1e-4, "float64": 1e-10}


class Size(NamedTuple):
    """How much is done. The emulator takes seconds for what a GPU does in no time."""

    tests: str = "tests"
    kernel_tests: str = "tests/cuda/test_[!e]*.py"
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
    net: str = "ck96"  # that the benchmark times
    batches: tuple = (64, 512, 128, 2048)  # for as long as there is time
    bench: tuple = ("--rounds", "5")
    limit: int = 600  # seconds for the benchmark, which compiles PyTorch's side


SIZES = {"cuda": Size(),
         "emu": Size(tests="tests/cuda/test_reduce.py",
                     kernel_tests="tests/cuda/test_reduce.py", every_kernel=False,
                     steps=2, batch=2, side=16, emu_batch=2, emu_side=16, subjects=3,
                     frames=(2, 2), epochs=1, accuracy=0, net="tiny", batches=(2,),
                     bench=("--rounds", "1", "--steps", "1", "--quick"))}


def main(argv=None):
    """Run the parts; return the report."""
    args = parse(argv)
    if args.part:
        size = SIZES["emu" if args.small else args.device]._replace(limit=args.limit)
        return write_json(args.out, PARTS[args.part].check(args.device, size))
    resolve(args.device)
    report = {"device": args.device, "minifer": minifer.__version__, "passed": False,
              "seconds": 0.0, "parts": {}}
    started = time.perf_counter()
    for name in args.parts:
        left = int(60 * args.minutes - (time.perf_counter() - started))
        found = {"passed": False, "error": "no time was left", "seconds": 0.0}
        if left > 0:
            seconds = min(PARTS[name].seconds or left, left)
            found = in_its_own_process(name, args.device, seconds,
                                       *["--small"] * args.small)
        report["parts"][name] = found
        report["passed"] = (len(report["parts"]) == len(args.parts)
                            and all(p["passed"] for p in report["parts"].values()))
        report["seconds"] = round(time.perf_counter() - started, 1)
        write_json(args.out, report)  # what is known is kept, whatever comes
        write_text(os.path.splitext(args.out)[0] + ".md", markdown(report))
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
    add("--minutes", type=float, default=10.0,
        help="for everything, default %(default)g; the benchmark, which comes last, "
        "has what the other parts leave")
    add("--small", action="store_true", help="as little as --device emu does")
    add("--part", choices=list(PARTS), help="used inside")
    add("--limit", type=int, default=Size().limit, help="used inside")
    return parser.parse_args(argv)


def in_its_own_process(name, device, seconds, *options):
    """What a part found; if it died or took too long, that it did not pass."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "part.json")
        with open(os.path.join(folder, "log"), "w+", errors="replace") as log:
            process = subprocess.Popen(
                [sys.executable, os.path.abspath(__file__), "--part", name, "--device",
                 device, "--out", path, "--limit", str(seconds), *options],
                stdout=log, stderr=log, start_new_session=True)
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
                if row.startswith(("CuPy V", "CUDA Driver", "CUDA Runtime",
                                   "CUDA Build", "NVRTC")))
    return {"passed": device != "cuda" or bool(gpu and cupy and one_cuda(cupy)),
            "name": gpu["name"] if gpu else "no GPU", "gpu": gpu, "cupy": cupy,
            "python": platform.python_version(), "cores": os.cpu_count(),
            "system": platform.platform(),
            "packages": {one.name: one.version
                         for one in importlib.metadata.distributions() if one.name in (
                             "numpy", "torch", "cuda-bindings", "nvidia-cuda-nvrtc")}}


def one_cuda(cupy):
    """Whether the compiler that CuPy loads is of the CUDA version it was made for."""
    major = re.search(r"\d+", cupy.get("NVRTC Version", ""))
    return bool(major) and cupy.get("CUDA Build Version", "")[:-3] == major[0]


def tests(device, size):
    """All tests that are parametrised for the device."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "junit.xml")
        # A GPU serves several processes, which share the work of NVRTC and of g++.
        count = min(8, os.cpu_count() or 1)
        several = ["-n", str(count)] if (
            count > 1 and importlib.util.find_spec("xdist")) else []
        code = subprocess.run([sys.executable, "-m", "pytest", size.tests, "--device",
                               device, "-p", "no:cacheprovider", f"--junitxml={path}",
                               *several], cwd=ROOT).returncode
        suites = xml.etree.ElementTree.parse(path).getroot().iter("testsuite")
        counts = next(suites).attrib
    total, failed, errors, skipped = (
        int(counts[key]) for key in ("tests", "failures", "errors", "skipped"))
    ran = total - failed - errors - skipped
    return {"passed": code == 0 and ran > 0, "tests_passed": ran,
            "failed": failed + errors, "skipped": skipped}


def train_steps(device, floatX, steps, batch, side, **options):
    """Losses of the headline network on noise, its parameters after that, and how it
    was trained; options are minifer.function's."""
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
        train = minifer.function([source, targets], loss, update, device=device,
                                 **options)
        rng, losses = np.random.default_rng(0), []
        for _ in range(steps):
            images = rng.normal(size=(batch, 1, side, side)).astype(floatX)
            losses.append(train(images, rng.integers(0, 7, batch)))
    return losses, layers.get_all_param_values(network), train


def determinism(device, size):
    """The same steps twice, bit for bit."""
    found, _ = the_same(device, size, {}, {})
    return found | {"steps": size.steps, "batch": size.batch, "side": size.side}


def the_same(device, size, *options):
    """Whether two runs, each with its options, give the same bits; and the second."""
    (first, before, _), (second, after, train) = (
        train_steps(device, "float32", size.steps, size.batch, size.side, **one)
        for one in options)
    same = [np.array_equal(a, b) for a, b in zip(before, after)]
    return {"passed": first == second and all(same), "losses_equal": first == second,
            "parameters_equal": f"{sum(same)} of {len(same)}"}, train


def captured(device, size):
    """Steps kernel by kernel, and launched as one graph: the same bits."""
    report = {"passed": True}
    for precision in ("fp32", "tf32"):
        found, train = the_same(device, size, *(
            {"precision": precision, "graph": graph} for graph in (False, True)))
        report["passed"] &= found["passed"] and train.captured
        report[f"{precision}_launches"] = train.launches
        report[precision] = found
    return report


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
    """examples/bench/bench.py, batch by batch while there is time."""
    ends, reports = time.monotonic() + size.limit - 10, {}
    report, notes = {"passed": False, "reports": reports}, []
    for batch in size.batches:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "bench.json")
            words = ["--device", device, "--net", size.net, "--batch", str(batch),
                     "--against", "torch", *size.bench, "--out", path]
            try:
                done = subprocess.run(
                    [sys.executable, BENCH, *words], stdout=subprocess.PIPE, text=True,
                    timeout=max(1, ends - time.monotonic()))
            except subprocess.TimeoutExpired:  # what it started ends with this part
                notes.append(f"batch {batch}: there was no time left")
                break
            print(done.stdout)
            if done.returncode:
                notes.append(f"batch {batch}: ended with exit code {done.returncode}")
                continue
            with open(path, encoding="utf-8") as file:
                reports[str(batch)] = json.load(file) | {"table": done.stdout}
    for batch, found in reports.items():
        report |= {f"{precision}_{batch}": round(ratios["train"]["to_fastest"], 2)
                   for precision, ratios in found["ratios"].items() if ratios}
    if not any(row["who"] == "torch" for found in reports.values()
               for row in found["rows"]):
        notes.append("PyTorch left out: it is not installed, or did not run here")
    report["passed"] = bool(reports) and not any("exit code" in note for note in notes)
    return report | {"note": "; ".join(notes)} if notes else report


class Part(NamedTuple):
    """A part, and how many seconds it may take, None for what is left. The others are
    under 10 minutes in all. That is meant for a machine that has compiled nothing yet:
    NVRTC takes 93 s of one core for the tests, g++ 147 s for the conformance."""

    check: Callable
    seconds: int | None


PARTS = {"machine": Part(machine, 20), "tests": Part(tests, 130),
         "primitives": Part(primitives, 20), "conformance": Part(conformance, 220),
         "determinism": Part(determinism, 30), "captured": Part(captured, 40),
         "losses": Part(losses, 40), "training": Part(training, 45),
         "ranks": Part(ranks, 50),
         "benchmark": Part(benchmark, None)}

if __name__ == "__main__":
    run(main)
