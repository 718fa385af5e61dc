"""`python -m tools.openapi` writes the document into the package; `--check` only compares."""

import argparse
import json
import sys
from collections.abc import Sequence
from importlib.metadata import version

from services.studio.openapi.description_routes import DOCUMENT
from tools.openapi import rpc_operations
from tools.openapi.document import document
from tools.openapi.message_schemas import MessageSchemas
from tools.openapi.operations import PARTS
from tools.openapi.proto_files import proto_files


def written() -> str:
    """Returns the document as a text."""
    protos = proto_files()
    schemas = MessageSchemas(protos, rpc_operations.calls())
    parts = [*rpc_operations.parts(protos, schemas), *PARTS]
    found = document(parts, schemas, version("i2v"))
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Writes the document, or checks that it is current. Returns the exit code: 1 if it is not."""
    parser = argparse.ArgumentParser(prog="python -m tools.openapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare; exits 1 when the document is not current")
    check, wanted = parser.parse_args(arguments).check, written()
    if check:
        if DOCUMENT.read_text() != wanted:
            sys.stderr.write(f"{DOCUMENT.name} is not current: python -m tools.openapi writes it\n")
            return 1
        return 0
    DOCUMENT.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
