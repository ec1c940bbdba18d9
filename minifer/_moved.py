"""Where modules and names have gone; the old places work until version 0.3.

``import minifer.backend`` gives ``minifer.device.arrays`` and says so once, as a
``DeprecationWarning``. A row is an old module, or a package with the modules in it that
have kept their names.
"""

import importlib
import importlib.machinery
import sys
import types
import warnings

from . import _absent

__all__ = ["MODULES", "NAMES", "attribute", "install"]

#: Old module -> new module, below ``minifer``.
MODULES = {
    "ahead": "device.prefetch", "annotate": "report.annotate",
    "backend": "device.arrays", "blocks": "report.document", "boxes": "faces.boxes",
    "calibration": "evaluation.calibration", "capture": "device.graphs",
    "cascades": "faces.cascades", "checkpoint": "training.checkpoint",
    "checks": "exercises", "cli": "commands.cli",
    "comparison": "evaluation.comparison",
    "data.audit_checks": "data.auditing.checks",
    "data.audit_pictures": "report.data_pictures", "data.cache": "faces.cache",
    "data.ckplus": "data.readers.ckplus", "data.cleaning": "data.auditing.cleaning",
    "data.facefiles": "data.readers.facefiles",
    "data.fer2013": "data.readers.fer2013", "data.ferplus": "data.readers.ferplus",
    "data.folders": "data.readers.folders", "data.images": "faces.images",
    "data.listing": "data.readers.listing", "data.loading": "data.readers.loading",
    "data.offline": "data.augment.offline", "data.samples": "data.readers.samples",
    "data.softlabels": "data.readers.softlabels", "data.synthetic": "data.drawn",
    "data.webphotos": "data.readers.webphotos", "doctor": "commands.doctor",
    "emuarray": "device.emuarray", "explain": "evaluation.explain",
    "factored": "ops.outer_product", "features": "training.frozen",
    "feed": "training.batches", "figures": "report.style",
    "fingerprint": "training.fingerprint", "finetuning": "runs.finetuning",
    "flat": "updates.on_device",
    "html_report": "report.html", "kernels": "cuda",
    "layers.architecture": "weights.architecture", "norms": "updates.norms",
    "param": "layers.param", "plan": "compiled",
    "plan.batchwise": "compiled.cpu.image_steps",
    "plan.conv": "compiled.cpu.fused_conv",
    "plan.cpu": "compiled.cpu.plan", "plan.geometry": "compiled.cpu.geometry",
    "plan.gpu": "compiled.gpu.plan", "plan.gpu_steps": "compiled.gpu.steps",
    "plan.lowered": "compiled.cpu.lowered", "plan.program": "compiled.cpu.program",
    "plan.sums": "compiled.cpu.sums", "plan.winograd": "compiled.cpu.winograd",
    "plan.workers": "device.threads", "planned": "compiled.standins",
    "plots": "report.plots", "preprocessing": "faces.preprocessing",
    "recording": "device.recording", "replay": "compiled.gpu.replay",
    "rules": "updates.rules", "schedules": "training.schedules",
    "search.picture": "report.search_plot", "stopping": "training.stopping",
    "tracking": "predict.tracking", "transfer": "device.staging",
    "video": "predict.video", "webcam": "predict.webcam",
}

#: (Package, name that it had) -> (package, name) of today.
NAMES = {
    ("minifer.ahead", "ahead"): ("minifer.device.prefetch", "prefetch"),
    ("minifer.factored", "FactoredGradient"):
        ("minifer.ops.outer_product", "OuterProduct"),
    ("minifer.factored", "FactoredOnDevice"):
        ("minifer.ops.outer_product", "OuterProductOnDevice"),
    ("minifer.factored", "added"): ("minifer.ops.outer_product", "add_gradients"),
    ("minifer.feed", "Feed"): ("minifer.training", "Batches"),
    ("minifer.fingerprint", "digest"): ("minifer.files", "digest"),
    ("minifer.plan", "CpuPlan"): ("minifer.compiled.cpu", "CpuPlan"),
    ("minifer.plan", "GpuPlan"): ("minifer.compiled.gpu", "GpuPlan"),
    ("minifer.plan", "default_threads"): ("minifer.device.threads", "default_threads"),
    ("minifer.plan", "runs_planned"): ("minifer.compiled.plan", "runs_planned"),
    ("minifer.planned", "PlannedRun"): ("minifer.compiled.standins", "PlannedPass"),
    ("minifer.planned", "network_runs"):
        ("minifer.compiled.standins", "network_passes"),
    ("minifer.rules", "norm_constraint"): ("minifer.updates", "norm_constraint"),
    ("minifer.rules", "total_norm_constraint"):
        ("minifer.updates", "total_norm_constraint"),
    ("minifer.rules", "run_alone"): ("minifer.updates.update", "run_alone"),
    ("minifer.rules", "PIECE"): ("minifer.updates.update", "PIECE"),
    ("minifer.transfer", "slots"): ("minifer.device.staging", "staging_slots"),
    ("minifer.calibration", "reliability_diagram"):
        ("minifer.report", "reliability_diagram"),
    ("minifer.comparison", "accuracy_dots"): ("minifer.report", "accuracy_dots"),
    ("minifer.explain", "draw"): ("minifer.report", "heat_map"),
    ("minifer.report", "evaluation_text"): ("minifer.evaluation", "evaluation_text"),
    ("minifer.video", "VIDEO_ENDINGS"): ("minifer.faces", "VIDEO_ENDINGS"),
    ("minifer.video", "write_video"): ("minifer.predict", "write_video"),
    ("minifer.webcam", "at_rate"): ("minifer.predict", "at_rate"),
    ("minifer.data.images", "quiet"): ("minifer.faces.quiet", "quiet"),
    ("minifer.data", "cache_folder"): ("minifer.faces", "cache_folder"),
    ("minifer.data", "read_image"): ("minifer.faces", "read_image"),
    ("minifer.data", "class_bars"): ("minifer.report", "class_bars"),
    ("minifer.data", "brightness_boxes"): ("minifer.report", "brightness_boxes"),
    ("minifer.data", "sample_grid"): ("minifer.report", "sample_grid"),
    ("minifer.search", "search_curve"): ("minifer.report", "search_curve"),
}


#: Modules of Theano whose names are elsewhere here. Scripts have them from there, so
#: that nothing is said about it.
THEANO = {"minifer.sandbox": "minifer.tensor",
          "minifer.sandbox.rng_mrg": "minifer.tensor.shared_randomstreams"}


class _Alias(types.ModuleType):
    """A module of yesterday: it has no names but those of the module of today."""

    def __getattr__(self, name):
        if self.__name__ in THEANO:
            return getattr(importlib.import_module(THEANO[self.__name__]), name)
        return attribute(self.__name__, name)

    def __dir__(self):
        return dir(importlib.import_module(THEANO.get(self.__name__) or new_name(
            self.__name__)))


class _Finder:
    """Finds modules under their old names.

    It is asked first: a folder left over, ``kernels/`` of CUDA text for one, would be
    taken for an empty package.
    """

    def find_spec(self, name, path=None, target=None):
        if name in THEANO:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        new = new_name(name)
        if new is None and _absent.why(name) is not None:
            raise ModuleNotFoundError(_absent.why(name), name=name)
        if new is None or not _exists(new):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        if spec.name not in THEANO:
            _warn(spec.name, new_name(spec.name))
        return _Alias(spec.name)

    def exec_module(self, module):
        """It has been executed under its own name."""


def new_name(name):
    """Today's name of a module of yesterday, or None."""
    package, _, rest = name.partition(".")
    if package != "minifer":
        return None
    old = rest
    while old not in MODULES:
        old = old.rpartition(".")[0]
        if not old:
            return None
    return f"minifer.{MODULES[old]}{rest[len(old):]}"


def _exists(module):
    import importlib.util  # takes as long as all of `import minifer`
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # below what is no package
        return False


def attribute(package, name):
    """What ``package.name`` was, with a warning; AttributeError if it never was."""
    full = f"{package}.{name}"
    if (package, name) in NAMES:
        home, new = NAMES[package, name]
        _warn(full, f"{home}.{new}")
        return getattr(importlib.import_module(home), new)
    home = new_name(package)
    if home is not None:
        return getattr(importlib.import_module(home), name)
    if new_name(full) is None:
        _absent.getter(package)(name)
    return importlib.import_module(full)


def install():
    """Let the import system know the old names."""
    sys.meta_path.insert(0, _Finder())


def _warn(old, new):
    warnings.warn(f"{old} has moved: use {new}.", DeprecationWarning, stacklevel=3)
