"""A network at a glance: a table of its layers with what they cost, and a drawing.

>>> from minifer.layers import DenseLayer, InputLayer, summary
>>> network = DenseLayer(InputLayer((None, 4), name="input"), num_units=3, name="fc")
>>> print(summary(network))
   layer  kind           output  parameters  MFLOP  memory
0  input  Input               4                       16 B
1  fc     Dense rectify       3          15  <0.01    12 B
15 parameters (60 B), all of them trainable; <0.01 MFLOP an image
outputs of an image: 28 B in all, as in training; at most 28 B at once in prediction
"""

from .summary import LayerRow, Summary, summary

__all__ = ["LayerRow", "Summary", "summary"]
