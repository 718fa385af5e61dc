/** The stack that runs: that of I2V_SERVER and its companions, or that of `make run` in this checkout. */
import { existsSync, readFileSync } from "node:fs";

const ROOT = new URL("../../../../", import.meta.url);
const KEY_FILE = new URL("var/dev-key", ROOT);
const given = process.env;

export const stack = {
  address: given["I2V_SERVER"] ?? "127.0.0.1:50051",
  http: given["STUDIO_URL"] ?? "http://127.0.0.1:50080",
  key: given["I2V_KEY"] ?? (existsSync(KEY_FILE) ? readFileSync(KEY_FILE, "utf8").trim() : ""),
  user: given["I2V_USER"] ?? "ann",
  model: given["I2V_MODEL"] ?? "nano",
  picture: new URL("tests/golden/cat.png", ROOT).pathname,
};

/** Why the tests of a running stack are skipped; false: they run. */
export const absent = stack.key ? false : "needs a running stack: `make run` in another terminal, then npm test again";
