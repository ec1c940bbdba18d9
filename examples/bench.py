"""How fast is minifer? python examples/bench.py --against torch

Times a training step and inference of a network, minifer eagerly and compiled,
and PyTorch in each of its configurations, on the same random data, with the same
optimiser, dropout and threads. Every contender lives in a process of its own,
which tells its peak memory; rounds are interleaved, so that a noisy moment of
the machine meets all of them alike. Only ratios within one run mean anything.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

# A network: channels and side of its images, then its layers.
# conv: filters, size, padding; every conv and dense but the last is followed by ReLU.
NETS = {
    "ck96": (1, 96, [("conv", 32, 5, 0), ("pool",), ("conv", 32, 5, 0), ("pool",),
                     ("drop", .5), ("dense", 256), ("drop", .5), ("dense", 7)]),
    "fer48": (1, 48, [("conv", 32, 3, 0), ("conv", 64, 3, 0), ("pool",),
                      ("conv", 128, 3, 0), ("pool",), ("conv", 128, 3, 0), ("pool",),
                      ("drop", .25), ("conv", 7, 1, 0), ("conv", 7, 4, 0),
                      ("flatten",)]),
    "r1": (1, 48, [("conv", 32, 3, 1), ("conv", 64, 3, 1), ("norm",), ("pool",),
                   ("drop", .25), ("dense", 7)]),
    "six": (1, 48, [("conv", 32, 3, 1), ("conv", 32, 3, 1), ("pool",),
                    ("conv", 64, 3, 1), ("conv", 64, 3, 1), ("pool",),
                    ("conv", 128, 3, 1), ("conv", 128, 3, 1), ("pool",),
                    ("drop", .25), ("dense", 256), ("drop", .5), ("dense", 7)]),
    "six-bn": (1, 48, [("conv", 32, 3, 1), ("norm",), ("conv", 32, 3, 1), ("norm",),
                       ("pool",), ("conv", 64, 3, 1), ("norm",), ("conv", 64, 3, 1),
                       ("norm",), ("pool",), ("conv", 128, 3, 1), ("norm",),
                       ("conv", 128, 3, 1), ("norm",), ("pool",), ("drop", .25),
                       ("dense", 256), ("drop", .5), ("dense", 7)]),
    "mlp": (1, 48, [("dense", 1024), ("dense", 512), ("dense", 256), ("dense", 128),
                    ("dense", 7)]),
}
CONFIGS = {"minifer": ["compiled", "eager"],
           "torch": ["eager", "channels_last", "compile", "bfloat16"]}
LOSS_STEPS = 20


def main(argv=None):
    args = parse(argv)
    if args.worker:
        work(args)
        return None
    who = ["minifer"] + (["torch"] if args.against == "torch" and has_torch() else [])
    contenders = [(name, config) for name in who for config in CONFIGS[name]
                  if not (args.quick and config in ("eager", "compile"))]
    with tempfile.TemporaryDirectory() as folder:
        weights = os.path.join(folder, "weights.npz")
        results = measure(args, contenders, weights)
    report = summarise(args, results)
    print(table(report))
    if args.json:
        from minifer.files import write_json
        write_json(args.json, report)
    return report


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--net", choices=sorted(NETS), default="ck96")
    add("--batch", type=int, default=128)
    add("--device", choices=["cpu"], default="cpu")
    add("--against", choices=["torch"], help="also time PyTorch")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)))
    add("--rounds", type=int, default=9, help="interleaved rounds")
    add("--steps", type=int, default=3, help="steps a round")
    add("--quick", action="store_true", help="only each side's usual best")
    add("--json", help="write the result here")
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
    processes = {}
    for who, config in contenders:
        command = [sys.executable, os.path.abspath(__file__), "--worker",
                   json.dumps([who, config, weights]), "--net", args.net, "--batch",
                   str(args.batch), "--threads", str(args.threads)]
        environment = dict(os.environ, MINIFER_NUM_THREADS=str(args.threads),
                           OMP_NUM_THREADS=str(args.threads),
                           OPENBLAS_NUM_THREADS=str(args.threads))
        processes[who, config] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment)
    results = {}
    for key, process in processes.items():  # one after the other: warm up, compile
        answer = ask(process, "start")
        if answer is None or "error" in answer:
            note = (answer or {}).get("error", "the process ended")
            print(f"{' '.join(key)}: left out, {note}", file=sys.stderr)
        else:
            results[key] = {"start": answer, "train": [], "infer": []}
    for _ in range(args.rounds):
        for kind in ("train", "infer"):
            for key in results:
                times = ask(processes[key], f"{kind} {args.steps}")["seconds"]
                results[key][kind] += times
    for key in results:
        results[key]["peak_mb"] = ask(processes[key], "memory")["peak_mb"]
        results[key]["losses"] = ask(processes[key], "losses")["losses"]
    for process in processes.values():
        process.stdin.close()
        process.wait()
    return results


def ask(process, question):
    """Send a line, read a line of JSON; None if the process is gone."""
    try:
        process.stdin.write(question + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        line = ""
    return json.loads(line) if line else None


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
        row["first_step_s"] = round(r["start"]["first_step_s"], 2)
        rows.append(row)
    report = {"net": args.net, "machine": machine(), "threads": args.threads,
              "rounds": args.rounds, "steps": args.steps, "rows": rows}

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
    reference = np.array(losses["minifer compiled"])
    report["loss_difference"] = {
        name: float(f"{np.abs(np.array(found) / reference - 1).max():.1e}")
        for name, found in losses.items()}
    return report


def table(report):
    """The report as text."""
    lines = [f"{report['net']}, {report['machine']}, {report['threads']} threads; "
             f"medians of {report['rounds']} rounds of {report['steps']} steps "
             "(and 10 % to 90 %), ms an image",
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


# ------------------------------------------------------------- the contenders

def work(args):
    """A contender: answer questions on standard input."""
    who, config, weights = json.loads(args.worker)
    contender = {"minifer": Minifer, "torch": Torch}[who](args, config, weights)
    answers = {"start": contender.start, "train": contender.train,
               "infer": contender.infer, "losses": contender.losses}
    for line in sys.stdin:
        name, *numbers = line.split()
        if name == "memory":
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            answer = {"peak_mb": peak}
        else:
            try:
                answer = answers[name](*map(int, numbers))
            except Exception as error:  # say so to the parent, which leaves it out
                text = str(error).strip() or "no message"
                answer = {"error": f"{type(error).__name__}: {text.splitlines()[0]}"}
        print(json.dumps(answer), flush=True)


class Contender:
    """Data and timing; a subclass gives step(), predict() and step_loss()."""

    def __init__(self, args, config, weights):
        self.args, self.config, self.weights = args, config, weights
        C, side, self.net = NETS[args.net]
        rng = np.random.default_rng(0)
        self.x = rng.random((args.batch, C, side, side), dtype=np.float32)
        self.y = rng.integers(0, 7, args.batch)

    def start(self):
        self.build(dropout=True)
        began = time.perf_counter()
        self.step()
        first = time.perf_counter() - began
        for _ in range(2):
            self.step()
        for _ in range(3):
            self.predict()
        return {"first_step_s": first}

    def train(self, steps):
        return {"seconds": [self.timed(self.step) for _ in range(steps)]}

    def infer(self, steps):
        return {"seconds": [self.timed(self.predict) for _ in range(steps)]}

    def losses(self):
        self.build(dropout=False)
        return {"losses": [self.step() for _ in range(LOSS_STEPS)]}

    @staticmethod
    def timed(function):
        began = time.perf_counter()
        function()
        return time.perf_counter() - began


class Minifer(Contender):
    """minifer, compiled or eager."""

    def build(self, dropout):
        import minifer
        from minifer import layers, nonlinearities, objectives, tensor, updates
        minifer.random.set_rng(0)
        network = layers.InputLayer((None,) + self.x.shape[1:], tensor.tensor4("x"))
        x, y = network.input_var, tensor.ivector("y")
        for place, (kind, *options) in enumerate(self.net):
            relu = nonlinearities.rectify if place < len(self.net) - 1 else None
            if kind == "conv":
                filters, size, pad = options
                network = layers.Conv2DLayer(network, filters, size, pad=pad,
                                             nonlinearity=relu, flip_filters=False)
            elif kind == "pool":
                network = layers.MaxPool2DLayer(network, 2)
            elif kind == "dense":
                network = layers.DenseLayer(network, *options, nonlinearity=relu)
            elif kind == "norm":
                network = layers.BatchNormLayer(network)
            elif kind == "drop" and dropout:
                network = layers.DropoutLayer(network, *options)
            elif kind == "flatten":
                network = layers.FlattenLayer(network)
        network = layers.NonlinearityLayer(network, nonlinearities.softmax)
        if not dropout and not os.path.exists(self.weights):
            np.savez(self.weights, *layers.get_all_param_values(network))
        if not dropout:
            minifer.weights.load_params(self.weights, network)
        loss = objectives.categorical_crossentropy(layers.get_output(network), y).mean()
        params = layers.get_all_params(network, trainable=True)
        update = updates.nesterov_momentum(loss, params, 0.01, 0.9)
        options = {"mode": self.config, "threads": self.args.threads}
        self.train_fn = minifer.function([x, y], loss, update, **options)
        self.predict_fn = minifer.function(
            [x], layers.get_output(network, deterministic=True), **options)

    def step(self):
        return self.train_fn(self.x, self.y)

    def predict(self):
        return self.predict_fn(self.x)


class Torch(Contender):
    """PyTorch: as a user writes it, channels last, compiled, or in bfloat16."""

    def build(self, dropout):
        import torch
        from torch import nn
        self.torch = torch
        torch.set_num_threads(self.args.threads)
        torch.manual_seed(0)
        modules, shape = [], self.x.shape[1:]
        for place, (kind, *options) in enumerate(self.net):
            module = {"conv": lambda F, k, p: nn.Conv2d(shape[0], F, k, padding=p),
                      "pool": lambda: nn.MaxPool2d(2),
                      "dense": lambda U: nn.Linear(int(np.prod(shape)), U),
                      "norm": lambda: nn.BatchNorm2d(shape[0], eps=1e-4),
                      "drop": lambda p: nn.Dropout(p),
                      "flatten": lambda: nn.Flatten()}[kind](*options)
            if kind == "drop" and not dropout:
                continue
            if kind == "dense" and len(shape) > 1:
                modules.append(nn.Flatten())
                shape = (int(np.prod(shape)),)
            modules.append(module)
            if kind in ("conv", "dense") and place < len(self.net) - 1:
                modules.append(nn.ReLU())
            shape = tuple(nn.Sequential(module).eval()(
                torch.zeros((2,) + tuple(shape))).shape[1:])
        model = nn.Sequential(*modules)
        if not dropout:
            self.load(model)
        self.data = torch.from_numpy(self.x)
        if self.config in ("channels_last", "bfloat16"):
            model = model.to(memory_format=torch.channels_last)
            self.data = self.data.to(memory_format=torch.channels_last)
        self.labels = torch.from_numpy(self.y)
        self.optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9,
                                         nesterov=True)
        self.plain = model
        self.model = torch.compile(model) if self.config == "compile" else model

    def load(self, model):
        """The weights that minifer started from; a dense weight is its transpose."""
        torch, arrays = self.torch, np.load(self.weights)
        values = iter([arrays[f"arr_{i}"] for i in range(len(arrays.files))])
        with torch.no_grad():
            for module in model:
                if isinstance(module, torch.nn.BatchNorm2d):
                    beta, gamma, _, _ = (next(values) for _ in range(4))
                    module.bias.copy_(torch.from_numpy(beta))
                    module.weight.copy_(torch.from_numpy(gamma))
                elif hasattr(module, "weight"):
                    W, b = next(values), next(values)
                    W = W.T.copy() if W.ndim == 2 else W
                    module.weight.copy_(torch.from_numpy(W))
                    module.bias.copy_(torch.from_numpy(b))

    def context(self):
        return self.torch.autocast("cpu", dtype=self.torch.bfloat16,
                                   enabled=self.config == "bfloat16")

    def step(self):
        self.plain.train()
        self.optimiser.zero_grad(set_to_none=True)
        with self.context():
            output = self.model(self.data)
            loss = self.torch.nn.functional.cross_entropy(output, self.labels)
        loss.backward()
        self.optimiser.step()
        return loss.item()

    def predict(self):
        self.plain.eval()
        with self.torch.inference_mode(), self.context():
            return self.model(self.data).softmax(1).float().numpy()


if __name__ == "__main__":
    main()
