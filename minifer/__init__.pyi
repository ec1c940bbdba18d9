# What ``__getattr__`` finds, for those who read and never run.
from . import commands as commands
from . import compiled as compiled
from . import config as config
from . import cuda as cuda
from . import data as data
from . import device as device
from . import errors as errors
from . import evaluation as evaluation
from . import exercises as exercises
from . import expressions as expressions
from . import faces as faces
from . import files as files
from . import gradcheck as gradcheck
from . import gui as gui
from . import init as init
from . import layers as layers
from . import models as models
from . import nonlinearities as nonlinearities
from . import objectives as objectives
from . import ops as ops
from . import predict as predict
from . import progress as progress
from . import random as random
from . import ranks as ranks
from . import regularization as regularization
from . import report as report
from . import runs as runs
from . import search as search
from . import tensor as tensor
from . import training as training
from . import updates as updates
from . import utils as utils
from . import weights as weights
from .compiled import function as function

__version__: str
