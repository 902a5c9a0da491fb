// SPDX-License-Identifier: MIT
// @grpc/grpc-js against the server: grpc_client.js NODE_MODULES PROTO_DIR URL.
const { createRequire } = require("module");
const path = require("path");
const assert = require("assert");

const [modules, protos, url] = process.argv.slice(2);
const load = createRequire(path.resolve(modules, "x.js"));
const grpc = load("@grpc/grpc-js");
const loader = load("@grpc/proto-loader");

const options = { keepCase: true, longs: Number, defaults: true, includeDirs: [protos] };
const definition = loader.loadSync(["grpc_service.proto", "grpc/health/v1/health.proto"], options);
const root = grpc.loadPackageDefinition(definition);
const none = grpc.credentials.createInsecure();
const inference = new root.inference.GRPCInferenceService(url, none);
const health = new root.grpc.health.v1.Health(url, none);

function call(client, method, request) {
  return new Promise((resolve, reject) =>
    client[method](request, (error, answer) => (error ? reject(error) : resolve(answer))));
}

function request(id) {
  const a = new Int32Array(16).map((_, i) => i);
  const b = new Int32Array(16).fill(7);
  return {
    model_name: "simple",
    id,
    inputs: ["INPUT0", "INPUT1"].map((name) => ({ name, datatype: "INT32", shape: [1, 16] })),
    raw_input_contents: [a, b].map((x) => Buffer.from(x.buffer)),
  };
}

function check(answer, id) {
  assert.equal(answer.id, id);
  const raw = answer.raw_output_contents[0];
  for (let i = 0; i < 16; i++) assert.equal(raw.readInt32LE(4 * i), i + 7);
}

async function stream(n) {
  const messages = inference.ModelStreamInfer();
  for (let i = 0; i < n; i++) messages.write(request(String(i)));
  messages.end();
  let seen = 0;
  for await (const message of messages) {
    assert.equal(message.error_message, "");
    check(message.infer_response, String(seen++));
  }
  assert.equal(seen, n);
}

async function main() {
  assert.equal((await call(inference, "ServerLive", {})).live, true);
  assert.equal((await call(health, "Check", {})).status, 1); // SERVING
  check(await call(inference, "ModelInfer", request("one")), "one");
  const many = Array.from({ length: 50 }, (_, i) => call(inference, "ModelInfer", request(`${i}`)));
  (await Promise.all(many)).forEach((answer, i) => check(answer, `${i}`));
  await stream(100);
  await assert.rejects(call(inference, "ModelReady", { name: "simple", version: "x" }),
    { code: grpc.status.INVALID_ARGUMENT });
  await assert.rejects(call(inference, "ModelMetadata", { name: "nobody" }),
    { code: grpc.status.NOT_FOUND, details: "Request for unknown model: 'nobody' is not found" });
  inference.close();
  health.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
