"""The tiny decoder: the code of `vae_decoder`, whose docstring is its contract too, over the graphs of this folder.

The code is loaded from the model `vae_decoder` of the same repository: Triton gives each model its own
process, with its own folder alone to import from.
"""

import importlib.util
import sys
from pathlib import Path

SIBLING = Path(__file__).resolve().parents[2] / "vae_decoder" / "1"

sys.path.append(str(SIBLING))  # for what its model.py imports
spec = importlib.util.spec_from_file_location("vae_decoder_model", SIBLING / "model.py")
assert spec is not None and spec.loader is not None
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
TritonPythonModel = module.TritonPythonModel
