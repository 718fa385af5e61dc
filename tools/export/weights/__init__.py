"""Reads checkpoints as users have them, and hands out tensors under the names of the libraries' classes.

Reading order: weights, source, checkpoint_folder, checkpoint_kind, name_table, official_names,
checkpoint_file, loading, error.
"""

from tools.export.weights.error import WeightsError
from tools.export.weights.loading import load_into
from tools.export.weights.source import PARTS, Source
from tools.export.weights.weights import Weights

__all__ = ["PARTS", "Source", "Weights", "WeightsError", "load_into"]
