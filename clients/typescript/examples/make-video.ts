/**
 * Makes a video of a picture: `node dist/examples/make-video.js PICTURE PROMPT VIDEO`.
 *
 * I2V_SERVER and I2V_KEY say where, and for whom; I2V_MODEL, which model.
 */
import { createClient, I2VError, JobState } from "../src/index.js";

const [picture = "cat.png", prompt = "slow pan over the roof", video = "cat.mp4"] = process.argv.slice(2);
const client = createClient({
  address: process.env["I2V_SERVER"] ?? "127.0.0.1:50051",
  key: process.env["I2V_KEY"] ?? "",
  user: process.env["I2V_USER"],
});
try {
  const image = (await client.upload(picture, { mediaType: "image/*" })).name;
  const model = process.env["I2V_MODEL"] ?? "nano";
  const { name } = await client.submit({ model, operation: { case: "imageToVideo", value: { image, prompt } } });
  for await (const { sequence, event } of client.watch(name)) console.log(`${sequence} ${event.case}`);
  const job = await client.job(name);
  if (job.state !== JobState.SUCCEEDED || !job.output) throw new Error(job.error?.message ?? "The job was stopped.");
  const size = await client.downloadTo(video, job.output.asset);
  console.log(`${video} ${size} bytes, ${Number(job.charged?.amountMicros) / 1e6} ${job.charged?.currencyCode}`);
} catch (error) {
  if (!(error instanceof I2VError)) throw error;
  console.error(error.message, error.reason, ...error.violations);
  process.exitCode = 1;
} finally {
  client.close();
}
