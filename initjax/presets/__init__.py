"""The initializers of other libraries, under their names and with their defaults.

A module a library, of functions that return configs, so that where two libraries mean
two laws by one name both are there: `presets.torch.kaiming_uniform(a=5 ** 0.5)`,
`presets.mlx.he_uniform()`, `presets.keras.HeUniform()`. Names of PyTorch and timm are
without their last underscore. Arrays are (inputs, outputs), convolutions (window,
inputs, outputs), as JAX's frameworks have them, whatever the library's own layout; for
others give `fan=`, such as `fan=Fan.layout("oi")`. Every function also takes `seed`,
`dtype` and `fan` of its law.

`initjax.nn` is `jax.nn.initializers`.
"""

from . import flax as flax
from . import haiku as haiku
from . import keras as keras
from . import lingvo as lingvo
from . import mlx as mlx
from . import praxis as praxis
from . import sonnet as sonnet
from . import timm as timm
from . import torch as torch
