"""The model in the box: trained, and installed with minifer.

What it was trained on, what it can do and what not: ``docs/model-card.md``.
"""

from __future__ import annotations

from pathlib import Path

from ..weights.model_file import Model, load_model

__all__ = ["PRETRAINED", "pretrained"]

#: Its file; 16-bit floats.
PRETRAINED = str(Path(__file__).with_name("fer2013.npz"))


def pretrained() -> Model:
    """Load the model in the box.

    Returns
    -------
    minifer.weights.Model
        A network for grey faces of 48×48 pixels, trained on FER2013, whose seven
        classes it knows; each call loads another one.

    Examples
    --------
    >>> from minifer.models import pretrained
    >>> pretrained().classes
    ('angry', 'disgust', 'fear', 'happy', 'neutral', 'sad', 'surprise')
    """
    return load_model(PRETRAINED)
