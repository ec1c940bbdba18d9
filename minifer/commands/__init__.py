"""What ``minifer`` can be told to do, a module a command.

A module NAME.py has a docstring, which ``minifer NAME --help`` shows;
``arguments(parser)``, which adds its options; and ``main(args)``, which does the work
and returns None or an exit code. A command whose words are for others, too, has
``script(argv, parser)`` in place of both, and reads the command line itself.

>>> list(COMMANDS)[:2]
['train', 'predict']
"""

import importlib

__all__ = ["COMMANDS", "GROUPS", "command"]

#: Name -> what ``minifer --help`` says of it.
COMMANDS = {
    "train": "train a network: on drawn faces, CK+, FER2013, or on a frozen body",
    "predict": "judge the faces on photos and videos with a trained model",
    "webcam": "judge the faces before a camera, live",
    "search": "look for good settings of a training",
    "eval": "judge a model on data: a table, a report to look at, every prediction",
    "check": "run your solution of an exercise, and learn what is wrong with it",
    "gui": "open a window: a photo, its faces, and what several models say of them",
    "compare": "judge models on the same images: is one better, or is it luck?",
    "show": "look inside a model: its layers, filters, activations, saliency, Grad-CAM",
    "export": "write a model for another program: ONNX, PyTorch, Keras",
    "data": "look a data set over, or make one: audit, faces, folders, soft",
    "gradcheck": "see that every gradient is right",
    "bench": "how fast it is on this machine, beside PyTorch",
    "doctor": "what is installed and works, and how to mend what does not",
}

#: How ``minifer --help`` groups them.
GROUPS = {
    "begin here": ("doctor",),
    "train a network": ("train", "search"),
    "use it, judge it": ("predict", "webcam", "gui", "eval", "compare", "show",
                     "export"),
    "data": ("data",),
    "look inside": ("gradcheck", "bench", "check"),
}


def command(name):
    """The module of a command, imported when it is needed."""
    return importlib.import_module(f"{__name__}.{name}")
