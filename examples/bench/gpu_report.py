"""What bench.py found on a GPU, as a report and as a table."""

import statistics

import numpy as np

from contenders import LOSS_STEPS
from floors import Rates, floor
from minifer.device.arrays import gpu_name
from nets import NETS

KINDS = ("train", "infer")


def summarise(args, results, exact, rates):
    """Rows and ratios.

    Parameters
    ----------
    args : argparse.Namespace
        Of bench.py.
    results : dict of (str, str) -> dict
        By side and ``"configuration precision"``: what a contender answered.
    exact : list of float
        The losses in float64.
    rates : dict of str -> dict
        By precision: bytes a second of a copy, FLOP a second of a product.
    """
    best = Rates(max(one["copy"] for one in rates.values()), rates["fp32"]["flops"],
                 rates["tf32"]["flops"])
    rows = [row_of(args, who, *name.split(), result, exact, best)
            for (who, name), result in results.items()]
    return {"net": args.net, "device": args.device, "batch": args.batch,
            "rounds": args.rounds, "rates": best._asdict(),
            "machine": machine(args.device), "rows": rows,
            "ratios": {precision: ratios(rows, precision)
                       for precision in args.precision}}


def row_of(args, who, config, precision, result, exact, rates):
    """What is known of one contender."""
    row = {"who": who, "config": config, "precision": precision, "batch": args.batch}
    for kind in KINDS:
        times = sorted(1e3 * seconds for seconds in result[kind])
        row[f"{kind}_ms"] = statistics.median(times)
        row[f"{kind}_spread"] = [times[len(times) // 10], times[-1 - len(times) // 10]]
        row[f"{kind}_images_per_second"] = 1e3 * args.batch / row[f"{kind}_ms"]
        least = floor(NETS[args.net], args.batch, rates, precision, kind == "train")
        row[f"{kind}_floor_ms"] = least and 1e3 * least
        row[f"{kind}_share_of_floor"] = least and 1e3 * least / row[f"{kind}_ms"]
    losses = np.array(result["losses"])
    return row | {key: result[key] for key in (
        "launches", "captured", "peak_mb", "first_step_s", "gradient_error")} | {
        "loss_difference": float(np.abs(losses / exact - 1).max())}


def ratios(rows, precision):
    """How many times as long PyTorch takes as minifer's fastest, of one precision."""
    rows = [row for row in rows if row["precision"] == precision]
    found = {}
    for kind in KINDS:
        mine, theirs = (
            {row["config"]: row[f"{kind}_ms"] for row in rows if row["who"] == who}
            for who in ("minifer", "torch"))
        if not mine or not theirs:
            continue
        own, best = min(mine, key=mine.get), min(theirs, key=theirs.get)
        found[kind] = {"minifer": own, "fastest": best,
                       "to_fastest": theirs[best] / mine[own]}
        if "channels_last" in theirs:
            found[kind]["to_channels_last"] = theirs["channels_last"] / mine[own]
    return found


def machine(device):
    """The GPU, as its driver calls it."""
    if device != "cuda":
        return "no GPU: a rehearsal on the emulator, whose times say nothing of one"
    return gpu_name() or "a GPU without nvidia-smi"


def table(report):
    """The report as text."""
    rates = report["rates"]
    lines = [f"{report['net']}, batch {report['batch']}, {report['machine']}",
             f"medians of {report['rounds']} rounds (and 10 % to 90 %), ms a step; "
             f"copies {rates['copy'] / 1e9:.0f} GB/s, products "
             f"{rates['fp32'] / 1e12:.3g} TFLOP/s (tf32 {rates['tf32'] / 1e12:.3g})",
             f"{'':<27}{'training':>9}{'':<20}{'images/s':>9}{'of floor':>9}"
             f"{'inference':>10}{'of floor':>9}{'launches':>9}{'peak MB':>9}"
             f"{'first s':>9}{'gradient':>9}{'losses':>9}"]
    for row in report["rows"]:
        low, high = row["train_spread"]
        spread = f"  ({low:.3f} … {high:.3f})"
        name = f"{row['who']} {row['config']} {row['precision']}"
        lines.append(
            f"{name:<27}{row['train_ms']:>9.3f}{spread:<20}"
            f"{row['train_images_per_second']:>9,.0f}"
            f"{share(row['train_share_of_floor']):>9}{row['infer_ms']:>10.3f}"
            f"{share(row['infer_share_of_floor']):>9}{row['launches'] or '-':>9}"
            f"{row['peak_mb']:>9.0f}{row['first_step_s']:>9.2f}"
            f"{row['gradient_error']:>9.0e}{row['loss_difference']:>9.0e}")
    for precision, found in report["ratios"].items():
        for kind, one in found.items():
            to = [f"{one['to_fastest']:.2f} to its fastest ({one['fastest']})"] + [
                f"{one[key]:.2f} to channels_last" for key in ("to_channels_last",)
                if key in one]
            lines.append(f"{precision} {kind}: PyTorch's time to minifer's "
                         f"{one['minifer']}: {', '.join(to)}")
    lines.append("gradient, losses: largest relative distance from float64, of a "
                 f"weight's gradient and of {LOSS_STEPS} losses, dropout off")
    return "\n".join(lines)


def share(value):
    return "-" if value is None else f"{100 * value:.0f} %"
