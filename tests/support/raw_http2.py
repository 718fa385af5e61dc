"""A caller that breaks all rules: it sends hand-made HTTP/2 frames on a plain socket."""

import socket
import struct
import threading
from contextlib import suppress

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS = 0, 1, 3, 4
END_STREAM, END_HEADERS = 1, 4
INITIAL_WINDOW_SIZE = 4


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def headers(method: str, **more: str) -> bytes:
    """The header block of a gRPC call, each header as a literal that is not indexed."""
    given = {":method": "POST", ":scheme": "http", ":path": method, ":authority": "x", "te": "trailers"}
    given |= {"content-type": "application/grpc"} | more
    return b"".join(b"\0" + _literal(name) + _literal(value) for name, value in given.items())


def _literal(text: str) -> bytes:
    """Up to 126 bytes, without Huffman coding; a surrogate such as `\\udcff` stands for a byte that is not text."""
    data = text.encode(errors="surrogateescape")
    return bytes([len(data)]) + data


class RawCaller:
    """One connection. What the server sends is thrown away."""

    def __init__(self, port: int, *, host: str = "127.0.0.1", window: int | None = None) -> None:
        """`host` is its own address, `window` the bytes of a stream that it accepts; None: 64 KiB."""
        sizes = b"" if window is None else struct.pack(">HI", INITIAL_WINDOW_SIZE, window)
        self._socket = socket.create_connection(("127.0.0.1", port), source_address=(host, 0))
        self._socket.sendall(PREFACE + frame(SETTINGS, 0, 0, sizes))
        self._stream = 1
        threading.Thread(target=self._drain, daemon=True).start()

    def burst(self, method: str, calls: int, *, reset: bool, end: bool = True, **more: str) -> None:
        """Starts many calls together; each with an empty message or none, or cancelled immediately. Blocking."""
        block, out = headers(method, **more), []
        for _ in range(calls):
            out.append(frame(HEADERS, END_HEADERS, self._stream, block))
            if reset:
                out.append(frame(RST_STREAM, 0, self._stream, struct.pack(">I", 8)))
            elif end:
                out.append(frame(DATA, END_STREAM, self._stream, bytes(5)))
            self._stream += 2
        self._socket.sendall(b"".join(out))

    def close(self) -> None:
        with suppress(OSError):  # the server may have closed it before
            self._socket.shutdown(socket.SHUT_RDWR)  # close() would wait for the thread that reads
        self._socket.close()

    def _drain(self) -> None:
        try:
            while self._socket.recv(1 << 16):
                pass
        except OSError:
            pass
