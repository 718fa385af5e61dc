/** A gRPC server in this process, whose answers a test writes. */
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { createServer, type ServerHttp2Session } from "node:http2";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createClient, type Client } from "../src/index.js";

export interface Scripted {
  client: Client;
  /** Ends every connection, as a server does that is killed. */
  cut(): void;
}

export async function scripted(
  routes: (router: ConnectRouter) => void,
  use: (server: Scripted) => Promise<void>,
  options: { retryForMs?: number } = {},
): Promise<void> {
  const server = createServer(connectNodeAdapter({ routes, grpc: true, connect: false, grpcWeb: false }));
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => sessions.add(session));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const client = createClient({
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    key: "a-key",
    user: "ann",
    ...options,
  });
  const cut = () => sessions.forEach((session) => session.destroy());
  try {
    await use({ client, cut });
  } finally {
    client.close();
    cut();
    server.close();
  }
}
