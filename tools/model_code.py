"""Loads the code of a Triton model, `model_repository/<model>/1/<name>.py`, without Triton.

As under Triton, a model's modules import one another by their plain names; in one process, which has the code of all
models, no two may therefore share a name. Only each model's own `model` is loaded apart.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

REPOSITORY = Path(__file__).resolve().parent.parent / "model_repository"


def load(model: str, name: str) -> ModuleType:
    """The module, loaded once a process.

    Raises:
        ImportError: no such model or module, or another one has taken the name.
    """
    folder = REPOSITORY / model / "1"
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # for what is imported later
    sys.path.insert(0, str(folder))
    try:
        module = _apart(f"{model}.model", folder) if name == "model" else importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))
    if module.__file__ is None or Path(module.__file__) != folder / f"{name}.py":
        raise ImportError(f"{name} is {module.__file__}, not {model}'s: two modules share the name")
    return module


def _apart(full: str, folder: Path) -> ModuleType:
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, folder / "model.py")
        if spec is None or spec.loader is None:
            raise ImportError(folder)
        module = importlib.util.module_from_spec(spec)
        sys.modules[full] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[full]
            raise
    return sys.modules[full]
