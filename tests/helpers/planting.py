"""A clean data set to plant faults in, and what the audit says of it."""

import numpy as np

from minifer.data import SplitDataset
from minifer.data.auditing import audit

CLASSES = ("happy", "sad", "fear")
N = 240  # 120 for training, 60 for validation, 60 for testing


def columns():
    """A clean set: every image another person, of random light and contrast."""
    rng = np.random.default_rng(0)
    light = rng.uniform(90, 160, (N, 1, 1, 1))
    noise = rng.normal(size=(N, 1, 24, 24)) * rng.uniform(10, 30, (N, 1, 1, 1))
    names = np.array([f"{i:03d}.jpg" for i in range(N)], dtype="U32")
    return {"images": (light + noise).clip(0, 255).astype(np.uint8),
            "labels": np.arange(N) % 3, "classes": CLASSES, "subjects": names.copy(),
            "sequences": names.copy(), "paths": names.copy(),
            "usage": np.repeat(["train", "validation", "test"], [120, 60, 60])}


def audited(*plant, **options):
    values = columns()
    for change in plant:
        change(values)
    return audit(SplitDataset(**values), **options)


def kinds(report):
    return [finding.kind for finding in report.findings]


def only(report, kind):
    """The one finding of this kind."""
    found = [finding for finding in report.findings if finding.kind == kind]
    assert len(found) == 1, report
    return found[0]
