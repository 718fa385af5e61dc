/** Signatures of webhooks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Webhook } from "standardwebhooks";
import { verifyWebhook, WebhookVerificationError } from "../src/index.js";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const BODY = '{"type":"job.succeeded","data":{"name":"jobs/1"}}';

function signed(body: string, at = new Date(), secret = SECRET) {
  return {
    "webhook-id": "evt_1",
    "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
    "webhook-signature": new Webhook(secret).sign("evt_1", at, body),
  };
}

test("a signed event is returned with its id, whichever way the headers come", () => {
  const headers = signed(BODY);
  for (const given of [headers, new Headers(headers)]) {
    assert.deepEqual(verifyWebhook(BODY, given, SECRET), { id: "evt_1", event: JSON.parse(BODY) });
  }
});

test("during a rotation one of two signatures is enough", () => {
  const [mine, other] = [signed(BODY), signed(BODY, new Date(), "whsec_b3RoZXItc2VjcmV0LW90aGVyLXNlY3JldA==")];
  const both = { ...mine, "webhook-signature": `${other["webhook-signature"]} ${mine["webhook-signature"]}` };
  assert.equal(verifyWebhook(BODY, both, SECRET).id, "evt_1");
});

test("what was changed, replayed, signed by another or not signed is refused", () => {
  const hour = 3_600_000;
  for (const [body, headers] of [
    [BODY.replace("1", "2"), signed(BODY)],
    [BODY, signed(BODY, new Date(Date.now() - hour))],
    [BODY, signed(BODY, new Date(Date.now() + hour))],
    [BODY, signed(BODY, new Date(), "whsec_b3RoZXItc2VjcmV0LW90aGVyLXNlY3JldA==")],
    [BODY, { ...signed(BODY), "webhook-id": "evt_2" }],
    [BODY, {}],
  ] as const) {
    assert.throws(() => verifyWebhook(body, headers, SECRET), WebhookVerificationError);
  }
});
