"""Starts the `i2v` command, in the order that keeps gRPC's own log off the terminal."""

import os


def main() -> None:
    """Runs the command."""
    # gRPC's core writes of every lost connection to stderr unless this is set before it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from services.client.admin_commands import i2v
    from services.client.terminal import write_what_can_be_encoded

    write_what_can_be_encoded()
    i2v(prog_name="i2v")


if __name__ == "__main__":
    main()
