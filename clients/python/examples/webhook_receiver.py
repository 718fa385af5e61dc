"""Receives webhooks. The secrets of the endpoint are in WEBHOOK_SECRETS, two with a space between during a rotation.

    WEBHOOK_SECRETS=whsec_… python webhook_receiver.py 8000

Deliveries come at least once: the id of an event is the same every time, and repeats are left out by it.
"""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from i2v_client import InvalidWebhook, verify_webhook

SECRETS = os.environ["WEBHOOK_SECRETS"].split()
BODY_MOST = 1024 * 1024
seen: set[str] = set()
"""A real receiver keeps the ids in its database, in the transaction that handles the event."""


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        if length > BODY_MOST:
            self.send_error(413)
            return
        try:
            event = verify_webhook(self.rfile.read(length), dict(self.headers.items()), SECRETS)
        except InvalidWebhook as error:
            self.send_error(400, explain=str(error))
            return
        if event.id not in seen:
            seen.add(event.id)
            print(event.type, event.job, event.id, flush=True)
        self.send_response(204)
        self.end_headers()


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
