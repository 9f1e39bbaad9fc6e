// One function a kind of head: texts in, what the page shows out. Rules are those of Limbeck's
// pipelines, so that numbers are too.

const WORDS_SHOWN = 8;
const ANSWERS_SHOWN = 3;
const LONGEST_ANSWER = 30; // tokens
const LONGEST_QUESTION = 64;
const WINDOW_WITH_QUESTION = 384; // what models are fine-tuned with
const SHARED = 128; // tokens that neighbouring windows have in common

export const HEADS = {
  sequence_classification: classify,
  token_classification: findEntities,
  question_answering: answerQuestion,
  masked_lm: fillMask,
  multiple_choice: choose,
  encoder: compare,
};

async function classify(texts, { encoder, model, facts }) {
  const row = encoder.row(...texts.filter((text, i) => i === 0 || text.trim() !== ""));
  const { logits } = await model(encoder.inputs([row]));
  const scores = ACTIVATIONS[facts.activation]([...logits.data]);
  return { scores: scores.map((score, i) => ({ label: facts.labels[i], score })), ...count([row]) };
}

async function choose([text, choices], { encoder, model }) {
  const lines = splitLines(choices);
  if (lines.length < 2) return { request: "Write at least two choices, one a line." };
  const rows = lines.map((line) => encoder.row(text, line));
  const { logits } = await model(encoder.inputs(rows, [1, rows.length]));
  const scores = softmax([...logits.data]);
  return { scores: scores.map((score, i) => ({ label: lines[i], score })), ...count(rows) };
}

async function compare([text], { encoder, model, facts }) {
  const lines = splitLines(text);
  if (lines.length < 2) return { request: "Write at least two texts, one a line." };
  const rows = lines.map((line) => {
    const whole = facts.prompt + line;
    return encoder.row(facts.is_lowercase ? whole.toLowerCase() : whole);
  });
  const { sentence_embedding } = await model(encoder.inputs(rows));
  const vectors = sentence_embedding.tolist();
  const pairs = [];
  for (let i = 0; i < lines.length; i++) {
    for (let j = i + 1; j < lines.length; j++) {
      pairs.push({ first: lines[i], second: lines[j], score: cosine(vectors[i], vectors[j]) });
    }
  }
  return { pairs: pairs.sort((a, b) => b.score - a.score), ...count(rows) };
}

async function fillMask([text], { encoder, model, facts }) {
  const row = encoder.row(text);
  const mask = encoder.encode(facts.mask_token)[0];
  const places = row.ids.flatMap((id, i) => (id === mask ? [i] : []));
  if (places.length === 0) {
    return { request: `Write ${facts.mask_token} where a word is to be filled in.` };
  }
  const { logits } = await model(encoder.inputs([row]));
  const size = logits.dims[2];
  const masks = places.map((place) => {
    const scores = softmax(logits.data.subarray(place * size, (place + 1) * size));
    const best = topK(scores, WORDS_SHOWN);
    return best.map((id) => ({ label: encoder.decode(id), score: scores[id] }));
  });
  return { masks, ...count([row]) };
}

async function findEntities([text], { encoder, model, facts }) {
  const pieces = encoder.pieces(text);
  const room = encoder.room("single");
  const windows = cutWindows(pieces.length, room, Math.min(SHARED, Math.floor(room / 2)));
  const size = facts.labels.length;
  const depths = [];
  for (const [number, { begin, end }] of windows.entries()) {
    const row = encoder.frame([pieces.slice(begin, end).map((piece) => piece.id)]);
    const { logits } = await model(encoder.inputs([row]));
    for (let i = begin; i < end; i++) {
      // A token counts in the window where it has most text on both sides.
      const left = number > 0 ? i - begin : Infinity;
      const right = number < windows.length - 1 ? end - 1 - i : Infinity;
      if (Math.min(left, right) <= (depths[i] ?? -1)) continue;
      depths[i] = Math.min(left, right);
      const place = (row.starts[0] + i - begin) * size;
      pieces[i].scores = softmax(logits.data.subarray(place, place + size));
    }
  }
  return { text, entities: joinWords(pieces, facts.labels), tokens: pieces.length, cut: null };
}

/** Gives each word the label of its first token, and joins neighbours of one type. */
function joinWords(pieces, labels) {
  const runs = [];
  let word = null;
  for (const piece of pieces) {
    if (piece.word === word) {
      runs.at(-1).end = piece.end;
      continue;
    }
    word = piece.word;
    const label = argmax(piece.scores);
    const [, begins, type] = labels[label].match(/^(B-|I-)?(.*)$/su);
    const unit = { type, scores: [piece.scores[label]], start: piece.start, end: piece.end };
    const run = runs.at(-1);
    if (run === undefined || begins === "B-" || run.type !== type) {
      runs.push(unit);
    } else {
      run.end = unit.end;
      run.scores.push(...unit.scores);
    }
  }
  return runs
    .filter((run) => run.type !== "O")
    .map((run) => ({ label: run.type, score: mean(run.scores), start: run.start, end: run.end }));
}

async function answerQuestion([question, context], { encoder, model, facts }) {
  const pieces = encoder.pieces(context);
  const space = encoder.room("pair", Math.min(facts.max_tokens, WINDOW_WITH_QUESTION));
  const most = Math.max(1, Math.min(LONGEST_QUESTION, Math.floor(space / 2)));
  const asked = encoder.encode(question).slice(0, most);
  const room = space - asked.length;
  const places = widenToWords(pieces);
  const answers = new Map();
  const best = { start: [], end: [] };
  let none = null;
  const windows = cutWindows(pieces.length, room, Math.min(SHARED, Math.floor(room / 2)));
  for (const { begin, end } of windows) {
    const row = encoder.frame([asked, pieces.slice(begin, end).map((piece) => piece.id)]);
    const { start_logits, end_logits } = await model(encoder.inputs([row]));
    const [starts, ends] = [start_logits.data, end_logits.data];
    const offset = row.starts[1] - begin;
    if (none === null || starts[0] + ends[0] < none.start + none.end) {
      none = { start: starts[0], end: ends[0] };
    }
    for (let i = begin; i < end; i++) {
      best.start[i] = Math.max(best.start[i] ?? -Infinity, starts[offset + i]);
      best.end[i] = Math.max(best.end[i] ?? -Infinity, ends[offset + i]);
      for (let j = i; j < Math.min(end, i + LONGEST_ANSWER); j++) {
        const score = starts[offset + i] + ends[offset + j];
        const place = `${places[i][0]}:${places[j][1]}`;
        if (score > (answers.get(place)?.score ?? -Infinity)) {
          answers.set(place, { start: places[i][0], end: places[j][1], score });
        }
      }
    }
  }
  const total = logSumExp([...best.start, none.start]) + logSumExp([...best.end, none.end]);
  const ranked = [...answers.values()].sort((a, b) => b.score - a.score);
  const nothing = { start: 0, end: 0, score: none.start + none.end };
  if (facts.may_have_no_answer && !(ranked[0]?.score > nothing.score)) ranked.unshift(nothing);
  return {
    text: context,
    answers: ranked.slice(0, ANSWERS_SHOWN).map(({ start, end, score }) => ({
      label: context.slice(start, end),
      score: Math.exp(score - total),
      start,
      end,
    })),
    tokens: asked.length + pieces.length,
    cut: null,
  };
}

/** Returns each token's place, or that of the word that it is a part of. */
function widenToWords(pieces) {
  const words = new Map();
  for (const { word, start, end } of pieces) {
    const known = words.get(word) ?? [start, end];
    words.set(word, [Math.min(start, known[0]), Math.max(end, known[1])]);
  }
  return pieces.map(({ word }) => words.get(word));
}

function cutWindows(length, room, shared) {
  const windows = [{ begin: 0, end: Math.min(length, room) }];
  while (windows.at(-1).end < length) {
    const begin = windows.at(-1).end - shared;
    windows.push({ begin, end: Math.min(length, begin + room) });
  }
  return windows;
}

function count(rows) {
  const tokens = rows.reduce((sum, row) => sum + row.ids.length, 0);
  const longest = Math.max(...rows.map((row) => row.given));
  return { tokens, cut: rows.some((row) => row.cut) ? longest : null };
}

function splitLines(text) {
  return text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
}

const ACTIVATIONS = {
  softmax,
  sigmoid: (logits) => logits.map((logit) => 1 / (1 + Math.exp(-logit))),
  none: (logits) => logits,
};

function logSumExp(values) {
  const most = values.reduce((a, b) => Math.max(a, b), -Infinity);
  return most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
}

function softmax(logits) {
  const total = logSumExp(logits);
  return Array.from(logits, (logit) => Math.exp(logit - total));
}

function topK(scores, count) {
  return scores.map((_, i) => i).sort((a, b) => scores[b] - scores[a]).slice(0, count);
}

function argmax(scores) {
  return scores.reduce((best, score, i) => (score > scores[best] ? i : best), 0);
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function cosine(a, b) {
  const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}
