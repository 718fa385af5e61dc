"""Packet: a packet of Socket.IO whose sender may be hostile."""

import json
from typing import Any

import socketio.packet
from socketio.packet import BINARY_EVENT, EVENT

from services import bounded_json

ATTACHMENTS_MOST = 2
"""Binary parts of a packet. The library would collect a billion."""
MALFORMED = ""
"""The name of an event that has none, or one that is not for clients to send."""
RESERVED = ("connect", "disconnect", "message", "*")


class BoundedJson:
    """JSON with limits on its depth and on the number of its values."""

    @staticmethod
    def loads(text: str) -> object:
        """Returns the value of a text. Raises ValueError."""
        return bounded_json.strict(text.encode())

    @staticmethod
    def dumps(value: object, **options: Any) -> str:
        """Returns the text of a value."""
        return json.dumps(value, **options)


class Packet(socketio.packet.Packet):  # type: ignore[misc]  # the library has no types
    """A packet. An event that cannot be one has the name MALFORMED, so that its sender gets an answer."""

    json = BoundedJson

    def decode(self, encoded_packet: str) -> int:
        """Reads a packet, and returns how many attachments follow. Raises ValueError if it cannot be read."""
        attachments = int(super().decode(encoded_packet) or 0)
        if attachments > ATTACHMENTS_MOST:
            raise ValueError(f"more than {ATTACHMENTS_MOST} attachments")
        if not attachments:
            self._name()
        return attachments

    def add_attachment(self, attachment: object) -> bool:
        """Takes an attachment, and returns whether it was the last one."""
        try:
            if not super().add_attachment(attachment):
                return False
        except (ValueError, LookupError, TypeError):  # a placeholder names none
            self.data = [MALFORMED]
        self._name()
        return True

    def _name(self) -> None:
        if self.packet_type not in (EVENT, BINARY_EVENT):
            return
        data = self.data
        if not isinstance(data, list) or not data or not isinstance(data[0], str) or data[0] in RESERVED:
            self.data = [MALFORMED]
