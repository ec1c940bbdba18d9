"""How fast is minifer? python examples/bench.py --against torch

Times a training step and inference of a network, minifer eagerly and compiled,
and PyTorch in each of its configurations, on the same random data, with the same
optimiser, dropout and threads. Every contender lives in a process of its own,
which tells its peak memory; rounds are interleaved, so that a noisy moment of
the machine meets all of them alike. Only ratios within one run mean anything.

On a GPU (--device cuda) each contender comes in float32's precision and in TF32's,
and times stand beside what this GPU could do at best; see bench_gpu.py.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile

import numpy as np

import bench_gpu
import bench_gpu_report
from bench_contenders import LOSS_STEPS, NETS, Minifer, Torch
from minifer.commands.cli import ArgumentParser, run
from minifer.device.arrays import DEVICES, resolve
from minifer.device.threads import default_threads
from minifer.errors import BackendUnavailable
from minifer.files import write_json

#: The first of minifer's, and the first two of PyTorch's, are what --quick runs.
CONFIGS = {"minifer": ["compiled", "eager"],
           "torch": ["channels_last", "bfloat16", "eager", "compile"]}


def main(argv=None, prog="bench.py"):
    args = parse(argv, prog)
    if args.worker:
        work(args)
        return None
    args.device = resolve(args.device)
    with tempfile.TemporaryDirectory() as folder:
        weights = os.path.join(folder, "weights.npz")
        if args.device == "cpu":
            results = measure(args, contenders(args, CONFIGS), weights)
            report, shown = summarise(args, results), table
        else:
            report = bench_gpu_report.summarise(args, *on_gpu(args, weights))
            shown = bench_gpu_report.table
    print(json.dumps(report, indent=2) if args.json else shown(report))
    if args.out:
        write_json(args.out, report)
    return report


def contenders(args, configs):
    """Who takes part: pairs of a side and its configuration."""
    who = ["minifer"] + (["torch"] if args.against == "torch" and has_torch() else [])
    many = {"minifer": 1, "torch": 2} if args.quick else {}
    return [(name, config) for name in who for config in configs[name][:many.get(name)]]


def on_gpu(args, weights):
    """Results of all contenders, the losses in float64, and the GPU's rates.

    One precision after the other: they are not compared, and the GPU's memory need
    not hold all contenders at a time.
    """
    exact = once(args, ("exact", "float64"), weights, "losses")["losses"]
    rates = {precision: once(args, ("ceilings", precision), weights, "start")
             for precision in bench_gpu.PRECISIONS}
    pairs, results = contenders(args, bench_gpu.CONFIGS), {}
    for precision in args.precision:
        results |= measure(args, [(who, f"{config} {precision}")
                                  for who, config in pairs], weights)
    return results, exact, rates


def parse(argv, prog="bench.py"):
    parser = ArgumentParser(prog=prog, description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--net", choices=sorted(NETS), default="ck96")
    add("--batch", type=int, default=128)
    add("--device", choices=DEVICES, default="cpu",
        help="where both sides compute; emu only rehearses")
    add("--against", choices=["torch"], help="also time PyTorch")
    add("--threads", type=int, default=default_threads())
    add("--rounds", type=int, default=9, help="interleaved rounds")
    add("--steps", type=int, default=3,
        help="steps a round; on a GPU at least, and as many as take 0.2 s")
    add("--precision", nargs="+", choices=bench_gpu.PRECISIONS,
        default=bench_gpu.PRECISIONS, help="on a GPU: of products")
    add("--quick", action="store_true", help="only each side's usual best")
    add("--out", metavar="FILE.json", help="also write the result here")
    add("--json", action="store_true", help="print JSON")
    add("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.batch < 1 or args.rounds < 1 or args.steps < 1 or args.threads < 1:
        parser.error("expected numbers >= 1 for --batch, --rounds, --steps, --threads")
    return args


def has_torch():
    """Whether PyTorch can be imported; says how to get it if not."""
    code = subprocess.run([sys.executable, "-c", "import torch"],
                          capture_output=True).returncode
    if code:
        print("PyTorch is not installed here: timing minifer alone. To compare, "
              "'pip install torch' in this environment.", file=sys.stderr)
    return code == 0


def measure(args, contenders, weights):
    """Start a process for each contender, and let them run in turn."""
    processes = {key: started(args, key, weights) for key in contenders}
    results = {key: {"train": [], "infer": []} for key in contenders}

    def everybody(question, keep):
        for key in list(results):
            answer = ask(processes[key], question)
            if "error" in answer:
                print(f"{' '.join(key)}: left out, {answer['error']}", file=sys.stderr)
                del results[key]
            else:
                keep(results[key], answer)

    everybody("start", dict.update)  # one after the other: warm up, compile
    for _ in range(args.rounds):
        for kind in ("train", "infer"):
            everybody(f"{kind} {args.steps}",
                      lambda result, answer: result[kind].extend(answer["seconds"]))
    for question in ("memory", "facts", "losses"):
        everybody(question, dict.update)
    for process in processes.values():
        process.stdin.close()
        process.wait()
    return results


def once(args, contender, weights, question):
    """Ask one process one thing."""
    process = started(args, contender, weights)
    answer = ask(process, question)
    process.stdin.close()
    process.wait()
    if "error" in answer:
        raise BackendUnavailable(f"bench: expected {' '.join(contender)} to run, got "
                                 f"{answer['error']}.")
    return answer


def started(args, contender, weights):
    """A process that is this contender, and answers questions."""
    command = [sys.executable, os.path.abspath(__file__), "--worker",
               json.dumps([*contender, weights]), "--net", args.net, "--batch",
               str(args.batch), "--threads", str(args.threads), "--device", args.device]
    environment = dict(os.environ, MINIFER_NUM_THREADS=str(args.threads),
                       OMP_NUM_THREADS=str(args.threads),
                       OPENBLAS_NUM_THREADS=str(args.threads),
                       CUPY_TF32=str(int("tf32" in contender[1])))  # CuPy's products
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            text=True, env=environment)


def ask(process, question):
    """Send a line, read a line of JSON: an answer, or what the error was."""
    try:
        process.stdin.write(question + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        line = ""
    return json.loads(line) if line else {"error": "the process ended"}


def summarise(args, results):
    """Rows, and the ratios of the best of each side."""
    rows = []
    for (who, config), r in results.items():
        row = {"who": who, "config": config, "batch": args.batch}
        for kind in ("train", "infer"):
            ms = sorted(1e3 * t / args.batch for t in r[kind])
            row[f"{kind}_ms_per_image"] = round(statistics.median(ms), 4)
            row[f"{kind}_spread"] = [round(ms[len(ms) // 10], 4),
                                     round(ms[-1 - len(ms) // 10], 4)]
        row["peak_mb"] = round(r["peak_mb"])
        row["first_step_s"] = round(r["first_step_s"], 2)
        rows.append(row)
    report = {"net": args.net, "machine": machine(), "device": args.device,
              "threads": args.threads, "rounds": args.rounds, "steps": args.steps,
              "rows": rows}

    def best(who, key, configs):
        values = [(row[key], row) for row in rows
                  if row["who"] == who and row["config"] in configs]
        return min(values, key=lambda v: v[0]) if values else (None, None)

    exact = ["eager", "channels_last", "compile", "compiled"]
    mine, my_row = best("minifer", "train_ms_per_image", exact)
    theirs, their_row = best("torch", "train_ms_per_image", exact)
    if theirs:
        report["train_ratio"] = round(theirs / mine, 2)
        report["infer_ratio"] = round(best("torch", "infer_ms_per_image", exact)[0]
                                      / best("minifer", "infer_ms_per_image", exact)[0],
                                      2)
        report["memory_ratio"] = round(my_row["peak_mb"] / their_row["peak_mb"], 2)
        low, _ = best("torch", "train_ms_per_image", ["bfloat16"])
        if low:
            report["train_ratio_bfloat16"] = round(low / mine, 2)
    losses = {f"{who} {config}": r["losses"] for (who, config), r in results.items()}
    reference = np.array(next(iter(losses.values())))
    report["loss_difference"] = {
        name: float(f"{np.abs(np.array(found) / reference - 1).max():.1e}")
        for name, found in losses.items()}
    return report


def table(report):
    """The report as text."""
    lines = [f"{report['net']}, {report['machine']}, device {report['device']}, "
             f"{report['threads']} threads; medians of {report['rounds']} rounds of "
             f"{report['steps']} steps (and 10 % to 90 %), ms an image",
             f"{'':<24}{'batch':>6}{'training':>10}{'':<20}{'inference':>10}{'':<20}"
             f"{'peak MB':>8}{'first step s':>14}"]
    for row in report["rows"]:
        spread = [f"  ({low:.2f} … {high:.2f})" for low, high in
                  (row["train_spread"], row["infer_spread"])]
        lines.append(f"{row['who'] + ' ' + row['config']:<24}{row['batch']:>6}"
                     f"{row['train_ms_per_image']:>10.3f}{spread[0]:<20}"
                     f"{row['infer_ms_per_image']:>10.3f}{spread[1]:<20}"
                     f"{row['peak_mb']:>8}{row['first_step_s']:>14.2f}")
    for name in ("train_ratio", "infer_ratio", "memory_ratio", "train_ratio_bfloat16"):
        if name in report:
            lines.append(f"{name} {report[name]}")
    lines.append(f"largest relative difference of {LOSS_STEPS} losses, dropout off: "
                 + ", ".join(f"{k} {v:.0e}" for k, v in
                             report["loss_difference"].items()))
    return "\n".join(lines)


def machine():
    """The processor, as the system calls it."""
    name = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    name = line.split(":")[1].strip()
                    break
    return f"{name}, {os.cpu_count()} cores"


def work(args):
    """A contender: answer questions on standard input."""
    import resource  # Unix only; so is the comparison
    who, config, weights = json.loads(args.worker)
    kinds = {"minifer": Minifer, "torch": Torch}
    if args.device != "cpu":
        kinds = {"minifer": bench_gpu.MiniferOnGpu, "torch": bench_gpu.TorchOnGpu,
                 "exact": bench_gpu.Exact, "ceilings": bench_gpu.Ceilings}
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
