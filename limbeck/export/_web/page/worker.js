// Loads the model and answers, beside the page, so that typing never waits.
import { AutoModel, AutoTokenizer, LogLevel, env } from "./runtime/transformers.min.js";
import { Encoder } from "./encoder.js";
import { HEADS } from "./heads.js";

const HERE = new URL("./", import.meta.url);
const RUNTIME = ["mjs", "wasm"].map((ending) => [
  ending,
  new URL(`runtime/ort-wasm-simd-threaded.${ending}`, HERE).href,
]);

let answer;

self.onmessage = async ({ data }) => {
  try {
    if (data.facts) {
      await load(data.facts);
      postMessage({ ready: true });
      return;
    }
    const start = performance.now();
    const result = await answer(data.texts);
    postMessage({ id: data.id, result, milliseconds: performance.now() - start });
  } catch (error) {
    postMessage({ id: data.id, error: String(error?.message ?? error) });
  }
};

async function load(facts) {
  env.allowLocalModels = true;
  env.allowRemoteModels = false;
  env.localModelPath = new URL("models/", HERE).pathname;
  // The browser's own cache asks whether a file has changed; a model that is exported again under
  // its old name would otherwise never be seen.
  env.useBrowserCache = false;
  env.useWasmCache = false;
  env.logLevel = LogLevel.ERROR;
  env.fetch = fetchCounted;
  env.backends.onnx.wasm.wasmPaths = Object.fromEntries(RUNTIME);
  const wasm = await fetchCounted(env.backends.onnx.wasm.wasmPaths.wasm);
  env.backends.onnx.wasm.wasmBinary = await wasm.arrayBuffer();
  const tokenizer = await AutoTokenizer.from_pretrained(facts.folder);
  const model = await AutoModel.from_pretrained(facts.folder, { device: "wasm", dtype: facts.dtype });
  const encoder = new Encoder(tokenizer, facts);
  answer = (texts) => HEADS[facts.kind](texts, { encoder, model, facts });
  await answer(facts.examples[0]); // the first answer takes longer than those that are shown
}

/** Fetches a file and tells the page how many bytes have come. */
async function fetchCounted(address, options) {
  // A worker that a blob started has no address to which others are relative.
  const response = await fetch(new URL(address, HERE), options);
  if (!response.ok) throw new Error(`${address} can't be loaded: ${response.status}`);
  const counter = new TransformStream({
    transform(chunk, controller) {
      postMessage({ bytes: chunk.byteLength });
      controller.enqueue(chunk);
    },
  });
  return new Response(response.body.pipeThrough(counter), response);
}
