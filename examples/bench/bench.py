"""How fast is minifer? python examples/bench/bench.py --against torch

Times a training step and inference of a network, minifer eagerly and compiled,
and PyTorch in each of its configurations, on the same random data, with the same
weights, optimiser, dropout and threads; and inference by ONNX Runtime and OpenVINO.
Every contender lives in a process of its own, which tells its peak memory; rounds
are interleaved, so that a noisy moment of the machine meets all of them alike. Only
ratios within one run mean anything. Nobody is timed before its predictions have been
compared with minifer's.

A library that asks the system for memory at each step, and gives it back, gets it
page by page. PyTorch's "kept" is told to keep what it has, as glibc's allocator can be
told (MALLOC_MMAP_MAX_ and MALLOC_TRIM_THRESHOLD_); few users know.

Libraries choose their kernels by the processor, and the table says which. To see them
as on a processor without AVX-512, as far as each library can be told:

    NPY_DISABLE_CPU_FEATURES="AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL \
    AVX512_ICL AVX512_SPR" OPENBLAS_CORETYPE=Haswell ONEDNN_MAX_CPU_ISA=AVX2 \
    python examples/bench/bench.py --against torch

With --epoch it times whole epochs of training instead, with all that belongs to them,
against a loop of PyTorch's: see epoch.py.

On a GPU (--device cuda) each contender comes in float32's precision and in TF32's,
and times stand beside what this GPU could do at best; see gpu.py.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile

import cpu_report
import epoch
import gpu
import gpu_report
from contenders import Minifer, Torch
from contest import Clock, Contest, cpu_facts, lacks, once
from minifer.commands.cli import ArgumentParser, run
from minifer.device.arrays import DEVICES, resolve
from minifer.device.threads import default_threads
from minifer.files import check_target, write_json
from nets import NETS
from runtimes import OnnxRuntime, OpenVino

#: The first of minifer's, and the first three of PyTorch's, are what --quick runs.
CONFIGS = {"minifer": ["compiled", "eager"],
           "torch": ["channels_last", "channels_last kept", "bfloat16", "eager",
                     "compile"],
           "onnxruntime": ["float32"], "openvino": ["float32", "bfloat16"]}
#: What has to be installed for each side.
PACKAGES = {"torch": ["torch"], "onnxruntime": ["onnx", "onnxruntime"],
            "openvino": ["onnx", "openvino"]}


def main(argv=None):
    """Measure and report; return the report."""
    args = parse(argv)
    clock = Clock(args.minutes)
    if args.worker:
        work(args)
        return None
    args.device = resolve(args.device)
    if args.out:
        check_target(args.out)
    with tempfile.TemporaryDirectory() as folder:
        weights = os.path.join(folder, "weights.npz")
        if args.device == "cpu":
            if args.epoch:
                faces = os.path.join(folder, "faces.npz")
                epoch.write_faces(faces, args.data, args.images)
                args.more = ["--epoch", "--data", faces]
            configs = epoch.CONFIGS if args.epoch else CONFIGS
            contest = Contest(args, able(contenders(args, configs)), args.batches,
                              weights, clock)
            reporting = epoch if args.epoch else cpu_report
            report = reporting.summarise(args, contest.run(), contest.rounds)
            shown = reporting.table
        else:
            report = gpu_report.summarise(args, *on_gpu(args, weights))
            shown = gpu_report.table
    print(json.dumps(report, indent=2) if args.json else shown(report))
    if args.out:
        write_json(args.out, report)
    return report


def contenders(args, configs):
    """Who takes part: pairs of a side and its configuration."""
    who = ["minifer"] + [one for one in args.against if is_installed(one, configs)]
    many = {"minifer": 1, "torch": 3} if args.quick else {}
    return [(name, config) for name in who for config in configs[name][:many.get(name)]]


def able(contenders):
    """Those whose number format this processor has; the others are named."""
    flags, found = cpu_facts()[1], []
    for who, config in contenders:
        missing = lacks(config, flags)
        if missing:
            print(f"{who} {config}: left out, {missing}", file=sys.stderr)
        else:
            found.append((who, config))
    return found


def on_gpu(args, weights):
    """Results of all contenders, the losses in float64, and the GPU's rates.

    One precision after the other: they are not compared, and the GPU's memory need
    not hold all contenders at a time.
    """
    exact = once(args, ("exact", "float64"), weights, "losses")["losses"]
    rates = {precision: once(args, ("ceilings", precision), weights, "start")
             for precision in gpu.PRECISIONS}
    pairs, results = contenders(args, gpu.CONFIGS), {}
    for precision in args.precision:
        contest = Contest(args, [(who, f"{config} {precision}")
                                 for who, config in pairs], args.batches, weights,
                          Clock(None))
        results |= {key[:2]: result for key, result in contest.run().items()}
    return results, exact, rates


def parse(argv):
    """The options; ``minifer bench`` starts this script under its own name."""
    parser = ArgumentParser(prog=os.environ.get("MINIFER_PROG", "bench.py"),
                            description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--net", choices=sorted(NETS), help="default: ck96, and six-bn with --epoch")
    add("--batch", type=int, nargs="+", default=[128], dest="batches",
        help="one or more; on a GPU one")
    add("--device", choices=DEVICES, default="cpu",
        help="where both sides compute; emu only rehearses")
    add("--against", nargs="+", choices=PACKAGES, default=[],
        help="also time these, where they are installed")
    add("--only", nargs="+", choices=[*cpu_report.KINDS, *epoch.KINDS],
        help="what to time on a CPU; with --epoch the last two")
    add("--epoch", action="store_true",
        help="time a whole epoch on 48×48 faces, and its steps alone")
    add("--data", metavar="PATH", help="with --epoch: the faces, fer2013.csv or a "
        "folder of class folders; unless given drawn ones")
    add("--images", type=int, help="with --epoch: how many of them; a fifth validates")
    add("--threads", type=int, default=default_threads())
    add("--rounds", type=int, default=9, help="interleaved rounds")
    add("--minutes", type=float,
        help="of all together, on a CPU: as many rounds as fit")
    add("--steps", type=int, default=3, help="steps a round, at least, and as many as "
        "take 0.05 s; on a GPU 0.2 s")
    add("--precision", nargs="+", choices=gpu.PRECISIONS,
        default=gpu.PRECISIONS, help="on a GPU: of products")
    add("--quick", action="store_true", help="only the usual best of each side")
    add("--out", metavar="FILE.json", help="also write the result here")
    add("--json", action="store_true", help="print JSON")
    add("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    args.batch, args.more = args.batches[0], []
    check_kinds(args, parser.error)
    if min(*args.batches, args.rounds, args.steps, args.threads) < 1:
        parser.error("expected numbers >= 1 for --batch, --rounds, --steps, --threads")
    if not (args.minutes is None or 0 < args.minutes < math.inf):
        parser.error(f"expected --minutes > 0, got {args.minutes}")
    if args.device != "cpu" and len(args.batches) > 1:
        parser.error(f"expected one --batch with --device {args.device}, got "
                     f"{len(args.batches)}")
    return args


def check_kinds(args, error):
    """Fill in which network is timed at what, and refuse what does not fit."""
    kinds = [*(epoch if args.epoch else cpu_report).KINDS]
    args.net = args.net or ("six-bn" if args.epoch else "ck96")
    args.only = args.only or kinds
    if not {*args.only} <= {*kinds}:
        error(f"expected --only of {', '.join(kinds)}, got {' '.join(args.only)}")
    if not args.epoch:
        if args.data or args.images is not None:
            error("expected --data and --images with --epoch, got them without it")
    elif args.device != "cpu" or not epoch.suits(args.net):
        error("expected --epoch with --device cpu and a --net of "
              f"{', '.join(filter(epoch.suits, NETS))}, got {args.device}, {args.net}")
    elif {*args.only} != {*kinds}:
        error("expected an epoch and its steps, got --only")
    elif args.images is not None and args.images < 2:
        error(f"expected --images >= 2, got {args.images}")


def is_installed(who, configs):
    """Whether a side can be imported and computes here; says how to get it if not."""
    if who not in configs:
        print(f"{who}: left out, it is timed on the CPU alone", file=sys.stderr)
        return False
    needs = PACKAGES[who]
    code = subprocess.run([sys.executable, "-c", f"import {', '.join(needs)}"],
                          capture_output=True).returncode
    if code:
        print(f"{who} is not installed here, it is left out. To compare, 'pip install "
              f"{' '.join(needs)}' in this environment.", file=sys.stderr)
    return code == 0


def work(args):
    """A contender: answer questions on standard input."""
    import resource  # Unix only; so is the comparison
    who, config, weights = json.loads(args.worker)
    kinds = {"minifer": Minifer, "torch": Torch, "onnxruntime": OnnxRuntime,
             "openvino": OpenVino}
    if args.epoch:
        kinds = {"minifer": epoch.MiniferEpochs, "torch": epoch.TorchEpochs}
    elif args.device != "cpu":
        kinds = {"minifer": gpu.MiniferOnGpu, "torch": gpu.TorchOnGpu,
                 "exact": gpu.Exact, "ceilings": gpu.Ceilings}
    contender = kinds[who](args, config, weights)
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        name, *numbers = line.split()
        if name == "memory":
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            if args.device == "cuda":
                peak = contender.memory()
            answer = {"peak_mb": peak / 2 ** 20}
        else:
            try:
                answer = getattr(contender, name)(*map(int, numbers))
            except Exception as error:  # say so to the parent, which leaves it out
                text = str(error).strip() or "no message"
                answer = {"error": f"{type(error).__name__}: {text.splitlines()[0]}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    run(main)
