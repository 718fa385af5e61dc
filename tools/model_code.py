"""Loads the code beside a Triton model, `model_repository/<model>/1/<name>.py`, where there is no Triton."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

REPOSITORY = Path(__file__).resolve().parent.parent / "model_repository"


def load(model: str, name: str, repository: Path = REPOSITORY) -> ModuleType:
    """The module, loaded once a process.

    Raises:
        FileNotFoundError: no such model or module.
    """
    full = f"{repository.name}.{model}.{name}"
    if full not in sys.modules:
        file = repository / model / "1" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(full, file)
        if spec is None or spec.loader is None:
            raise FileNotFoundError(file)
        module = importlib.util.module_from_spec(spec)
        sys.modules[full] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[full]
            raise
    return sys.modules[full]
