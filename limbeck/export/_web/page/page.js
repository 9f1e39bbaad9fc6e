// The page: fields as the model's head wants them, and what the worker answers, as one types.
// What users type goes into text nodes only.
import { VIEWS } from "./views.js";
import { element, formatBytes, formatCount } from "./elements.js";

const PAUSE_MILLISECONDS = 120; // between the last key and the question to the model
const KINDS = {
  sequence_classification: { name: "Text classification", fields: ["Text"] },
  token_classification: { name: "Entity recognition", fields: ["Text"] },
  question_answering: { name: "Question answering", fields: ["Question", "Text with the answer"] },
  masked_lm: { name: "Fill-mask", fields: ["Text"] },
  multiple_choice: { name: "Multiple choice", fields: ["Beginning", "Choices, one a line"] },
  encoder: { name: "Sentence similarity", fields: ["Texts, one a line"] },
};
const FIRST_TEXT = "First text";
const SECOND_TEXT = "Second text";

const byId = (id) => document.getElementById(id);
const worker = startWorker();
const inputs = [];
let facts;
let numNeeded; // fields without which there is no answer
let question = null; // asked last
let busy = false;
let timer;

start().catch(fail);

async function start() {
  say("Loading");
  if (typeof WebAssembly === "undefined") throw new Error("This browser has no WebAssembly.");
  const response = await fetch("model.json");
  if (!response.ok) throw new Error(`model.json can't be loaded: ${response.status}`);
  facts = await response.json();
  describe();
  makeFields();
  byId("progress").hidden = false;
  worker.postMessage({ facts });
}

/** Starts the worker from a blob, which makes it subject to this page's policy too. */
function startWorker() {
  const address = new URL("worker.js", import.meta.url).href;
  const blob = new Blob([`import ${JSON.stringify(address)};`], { type: "text/javascript" });
  const made = new Worker(URL.createObjectURL(blob), { type: "module" });
  made.onerror = () => fail(new Error("A file of this page can't be loaded; is the folder whole?"));
  let bytes = 0;
  made.onmessage = ({ data }) => {
    if (data.bytes) showProgress((bytes += data.bytes));
    else if (data.ready) begin();
    else if (facts && data.id !== undefined) showAnswer(data);
    else fail(new Error(data.error));
  };
  return made;
}

function describe() {
  document.title = facts.name;
  byId("name").textContent = facts.name;
  byId("facts").textContent = [
    KINDS[facts.kind].name,
    `${formatCount(facts.num_parameters)} parameters`,
    `${facts.precision}, ${formatBytes(facts.model_bytes)}`,
  ].join(" · ");
}

function makeFields() {
  const names = facts.num_texts === 2 ? [FIRST_TEXT, SECOND_TEXT] : KINDS[facts.kind].fields;
  names.forEach(addField);
  numNeeded = names.length;
  if (facts.kind === "sequence_classification" && facts.num_texts === null) offerSecondText();
  byId("form").addEventListener("submit", (event) => event.preventDefault());
  const buttons = facts.examples.map((texts) => {
    const button = element("button", { type: "button" }, texts[0].split("\n")[0]);
    button.addEventListener("click", () => {
      fill(texts);
      inputs[0].focus();
    });
    return button;
  });
  byId("examples").append(element("span", {}, "Try"), ...buttons);
}

function addField(name) {
  const input = element("textarea", {
    rows: name === "Question" ? 1 : name.endsWith("a line") || name.startsWith("Text with") ? 4 : 2,
    spellcheck: false,
    autocapitalize: "off",
  });
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE_MILLISECONDS);
  });
  inputs.push(input);
  byId("form").append(element("label", {}, element("span", {}, name), input));
}

/** A classifier that says nothing of its task may read one text or two. */
function offerSecondText() {
  const button = element("button", { type: "button", className: "more" }, "Add a second text");
  button.addEventListener("click", () => {
    button.remove();
    addField(SECOND_TEXT);
    inputs.at(-1).focus();
  });
  byId("form").append(button);
}

function fill(texts) {
  inputs.forEach((input, i) => (input.value = texts[i] ?? ""));
  ask();
}

function begin() {
  byId("loading").hidden = true;
  byId("fields").hidden = false;
  byId("answer").hidden = false;
  fill(facts.examples[0]);
}

/** Asks for what stands in the fields now; while the model is busy only the newest text waits. */
function ask() {
  question = inputs.map((input) => input.value);
  if (busy) return;
  if (inputs.slice(0, numNeeded).some((input) => input.value.trim() === "")) {
    show({ request: "The answer stands here as you type." });
    return;
  }
  setBusy(true);
  worker.postMessage({ id: question, texts: question });
}

function setBusy(state) {
  busy = state;
  byId("answer").setAttribute("aria-busy", String(state)); // dims an answer that is no longer that
}

function showAnswer({ id, result, milliseconds, error }) {
  setBusy(false);
  show(error ? { request: `The model can't answer this: ${error}` } : result);
  if (result && !result.request) showCost(result, milliseconds);
  if (id.join("\0") !== question.join("\0")) ask();
}

function show(result) {
  byId("headline").classList.toggle("request", Boolean(result.request));
  byId("timing").textContent = "";
  byId("note").hidden = true;
  if (result.request) {
    byId("headline").replaceChildren(result.request);
    byId("details").replaceChildren();
  } else {
    VIEWS[facts.kind](result, { headline: byId("headline"), details: byId("details"), facts });
  }
}

function showCost({ tokens, cut }, milliseconds) {
  const time = milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds);
  byId("timing").textContent = `${time} ms · ${tokens} ${tokens === 1 ? "token" : "tokens"}`;
  byId("note").hidden = cut === null;
  byId("note").textContent =
    cut === null ? "" : `Cut: the model reads ${facts.max_tokens} tokens, and the text has ${cut}.`;
}

function showProgress(bytes) {
  if (byId("loading").hidden) return;
  byId("progress").value = Math.min(1, bytes / facts.download_bytes);
  say(bytes < facts.download_bytes
    ? `Loading: ${formatBytes(bytes)} of ${formatBytes(facts.download_bytes)}`
    : "Starting the model");
}

function say(words) {
  byId("status").textContent = words;
}

function fail(error) {
  byId("loading").hidden = false;
  byId("loading").classList.add("failed");
  byId("progress").hidden = true;
  say(`The model can't be loaded. ${error.message}`);
}
