"""`python -m services.rpc.health_probe [--listening] HOST:PORT`: the health command of a container.

Exits with 0 if the gRPC server there says SERVING. With `--listening` it only connects, for a server of another
protocol. Otherwise it exits with 1, and one line says why.
"""

import socket
import sys

from services import grpc_verbosity  # noqa: F401  before anything that imports gRPC

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.rpc.channel import DIRECT

TIMEOUT_S = 3.0


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 if the server is healthy, 1 if it is not, 2 at a wrong call."""
    match arguments:
        case ["--listening", address] if ":" in address:
            missing = _not_listening(address)
        case [address] if ":" in address:
            missing = _not_serving(address)
        case _:
            sys.stderr.write(f"{__doc__}\n")
            return 2
    if missing:
        sys.stderr.write(f"{address}: {missing}\n")
    return 1 if missing else 0


def _not_serving(address: str) -> str:
    """Returns why the gRPC server does not serve; "" if it does."""
    try:
        with grpc.insecure_channel(address, options=[DIRECT]) as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
    except grpc.RpcError as error:
        return str(error.details() if isinstance(error, grpc.Call) else error)
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return ""
    return f"its health is {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}"


def _not_listening(address: str) -> str:
    """Returns why it cannot be reached; "" if it can."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        return str(error)
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
