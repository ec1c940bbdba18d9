"""Training: the loop, its batches, checkpoints, schedules and stopping rules.

>>> from minifer.training import Trainer
>>> Trainer.__module__
'minifer.training.trainer'
"""

from . import schedules, stopping
from .averaging import EqualAverage, MovingAverage
from .batches import Batches
from .checkpoint import load_checkpoint, save_checkpoint
from .frozen import frozen_features, trainable_head
from .mixing import CutMix, Mixup
from .trainer import Result, Trainer, TrainingInterrupted

__all__ = ["Trainer", "Result", "TrainingInterrupted", "Batches", "MovingAverage",
           "EqualAverage", "Mixup", "CutMix", "save_checkpoint",
           "load_checkpoint", "frozen_features", "trainable_head", "schedules",
           "stopping"]
