"""How large images are, and what is in them."""

import json

from tools.containers.container_engine import ContainerEngine
from tools.containers.image_build import name_of


def sizes(engine: ContainerEngine, image: str) -> tuple[int, int]:
    """Returns the bytes of an image's files, and those of its newest layer. Raises ContainerError."""
    found = json.loads(engine.podman("image", "inspect", name_of(image)))[0]
    history = json.loads(engine.podman("history", "--format=json", name_of(image)))
    return int(found["Size"]), int(history[0].get("size", 0))
