"""What bench.py found on a CPU, as a report and as a table."""

import statistics

import numpy as np

from contenders import LOSS_STEPS
from contest import cpu_facts, way_of

KINDS = {"train": "training", "infer": "inference"}


def summarise(args, results, rounds):
    """Rows, and the ratios of the best of each side.

    Parameters
    ----------
    args : argparse.Namespace
        Of bench.py.
    results : dict of (str, str, int) -> dict
        By side, configuration and batch: what a contender answered.
    rounds : int
        That were made.
    """
    rows = [row_of(*key, result, first_of(results, key))
            for key, result in results.items()]
    return {"net": args.net, "machine": cpu_facts()[0], "device": args.device,
            "threads": args.threads, "rounds": rounds, "steps": args.steps,
            "rows": rows,
            "ratios": [{"batch": batch} | ratios([row for row in rows
                                                  if row["batch"] == batch])
                       for batch in sorted({row["batch"] for row in rows})]}


def first_of(results, key):
    """What minifer, the first with this batch, answered."""
    return next(result for one, result in results.items() if one[2] == key[2])


def row_of(who, config, batch, result, first):
    """What is known of one contender."""
    row = {"who": who, "config": config, "batch": batch}
    for kind in KINDS:
        if not result.get(kind):
            continue
        ms = sorted(1e3 * t / batch for t in result[kind])
        row[f"{kind}_ms_per_image"] = round(statistics.median(ms), 4)
        row[f"{kind}_spread"] = [round(ms[len(ms) // 10], 4),
                                 round(ms[-1 - len(ms) // 10], 4)]
    row["peak_mb"] = round(result["peak_mb"])
    row["first_step_s"] = round(result["first_step_s"], 4)
    row["kernels"] = result.get("kernels", "")
    row["output_difference"] = result["output_difference"]
    if "losses" in result:
        far = np.abs(np.array(result["losses"]) / np.array(first["losses"]) - 1)
        row["loss_difference"] = float(f"{far.max():.1e}")
    return row


def ratios(rows):
    """How many times as long, and as much memory, the others take, of one batch.

    ``train_ratio``, ``infer_ratio`` and ``memory_ratio`` are PyTorch's best in float32;
    of the others, of bfloat16 and of memory that is kept the names tell.
    """
    found = {}

    def best(kind, who, way):
        rates = [(row[f"{kind}_ms_per_image"], row["peak_mb"]) for row in rows
                 if row["who"] == who and way_of(row["config"]) == way
                 and f"{kind}_ms_per_image" in row]
        return min(rates, default=None)

    for kind in KINDS:
        mine = best(kind, "minifer", "float32")
        for who in ("torch", "onnxruntime", "openvino"):
            for way in ("float32", "kept", "bfloat16"):
                theirs = best(kind, who, way)
                if not (mine and theirs):
                    continue
                name = "_".join([kind, "ratio"] + [who] * (who != "torch")
                                + [way] * (way != "float32"))
                found[name] = round(theirs[0] / mine[0], 2)
                if name == "train_ratio":
                    found["memory_ratio"] = round(mine[1] / theirs[1], 2)
    return found


def table(report):
    """The report as text."""
    lines = [f"{report['net']}, {report['machine']}, device {report['device']}, "
             f"{report['threads']} threads; medians of {report['rounds']} rounds of "
             f"{report['steps']} steps or more (and 10 % to 90 %), ms an image",
             f"{'':<24}{'batch':>6}{'training':>10}{'':<20}{'inference':>10}{'':<20}"
             f"{'peak MB':>8}{'first step s':>14}{'outputs':>9}{'losses':>8}"]
    for row in report["rows"]:
        line = f"{row['who'] + ' ' + row['config']:<24}{row['batch']:>6}"
        for kind in KINDS:
            if f"{kind}_spread" not in row:
                line += f"{'–':>10}{'':<20}"
                continue
            low, high = row[f"{kind}_spread"]
            line += (f"{row[f'{kind}_ms_per_image']:>10.3f}"
                     f"{f'  ({low:.2f} … {high:.2f})':<20}")
        line += f"{row['peak_mb']:>8}{row['first_step_s']:>14.2f}"
        line += f"{row['output_difference']:>9.0e}"
        line += f"{row['loss_difference']:>8.0e}" if "loss_difference" in row else ""
        lines.append(line)
    for found in report["ratios"]:
        names = [f"{name} {ratio}" for name, ratio in found.items() if name != "batch"]
        if names:
            lines.append(f"batch {found['batch']}: " + ", ".join(names))
    lines.append("outputs, losses: largest relative difference from minifer's, of "
                 f"predictions before training and of {LOSS_STEPS} steps without "
                 "dropout")
    kernels = {f"{row['who']} {row['config']}: {row['kernels']}": None
               for row in report["rows"] if row["kernels"]}
    return "\n".join([*lines, *(f"kernels of {one}" for one in kernels)])
