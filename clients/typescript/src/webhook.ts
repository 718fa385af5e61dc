/** Verifies what the service sends to a webhook (https://www.standardwebhooks.com). */
import type { IncomingHttpHeaders } from "node:http";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

export { WebhookVerificationError };

/**
 * Returns the event of a request, and the id under which it is sent again.
 *
 * @param body The body as it arrived, not parsed.
 * @param secret Of the endpoint, `whsec_…`.
 * @throws WebhookVerificationError if it is not from the service, was changed, or is older than five minutes.
 */
export function verifyWebhook(
  body: string | Buffer,
  headers: IncomingHttpHeaders | Headers,
  secret: string,
): { id: string; event: unknown } {
  const given = headers instanceof Headers ? Object.fromEntries(headers) : headers;
  const signed: Record<string, string> = {};
  for (const name of ["webhook-id", "webhook-timestamp", "webhook-signature"]) signed[name] = String(given[name] ?? "");
  return { event: new Webhook(secret).verify(body, signed), id: String(signed["webhook-id"]) };
}
