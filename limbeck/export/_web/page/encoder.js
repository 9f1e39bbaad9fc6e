// Texts to rows of tokens: framed, cut and padded as in Python, and where each token stands.
import { Tensor } from "./runtime/transformers.min.js";

const CHUNKS = { bytes: /\s*\S+|\s+/gu, metaspace: /\S+/gu, wordpiece: /\S+/gu };
const BYTE_WORDS = /'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+/gu;

export class Encoder {
  constructor(tokenizer, facts) {
    this.tokenizer = tokenizer;
    this.facts = facts;
    this.vocabulary = null;
  }

  encode(text) {
    return this.tokenizer.encode(text, { add_special_tokens: false });
  }

  decode(id) {
    return this.tokenizer.decode([id]).trim();
  }

  /** Tokens that remain for texts in a row of some length. */
  room(frame, length = this.facts.max_tokens) {
    return length - this.facts.frames[frame].filter(([id]) => id !== null).length;
  }

  /** Puts special tokens around one or two lists of ids; `starts` says where each begins. */
  frame(parts) {
    const row = { ids: [], types: [], starts: [] };
    for (const [special, type] of this.facts.frames[parts.length === 2 ? "pair" : "single"]) {
      if (special === null) row.starts.push(row.ids.length);
      const ids = special === null ? parts[row.starts.length - 1] : [special];
      row.ids.push(...ids);
      row.types.push(...ids.map(() => type));
    }
    return row;
  }

  /** Encodes one or two texts, of which the longer is cut first. */
  row(...texts) {
    const parts = texts.map((text) => this.encode(text));
    const room = this.room(parts.length === 2 ? "pair" : "single");
    const given = parts.reduce((sum, ids) => sum + ids.length, 0);
    for (let excess = given - room; excess > 0; excess--) {
      parts.reduce((longest, ids) => (ids.length > longest.length ? ids : longest)).pop();
    }
    return { ...this.frame(parts), given, cut: given > room };
  }

  /** Makes the model's inputs of rows; `shape` is what stands for the rows, if not their number. */
  inputs(rows, shape = [rows.length]) {
    const length = Math.max(...rows.map((row) => row.ids.length));
    const tensor = (list, filling) => {
      const data = new BigInt64Array(rows.length * length).fill(BigInt(filling));
      rows.forEach((row, place) =>
        list(row).forEach((value, column) => {
          data[place * length + column] = BigInt(value);
        }),
      );
      return new Tensor("int64", data, [...shape, length]);
    };
    return {
      input_ids: tensor((row) => row.ids, this.facts.pad_token_id),
      attention_mask: tensor((row) => row.ids.map(() => 1), 0),
      token_type_ids: tensor((row) => row.types, 0),
    };
  }

  /**
   * Encodes a text with the place of each token, which transformers.js does not give: chunk by
   * chunk between blanks, and within a chunk by the letters that a token spells.
   */
  pieces(text) {
    const found = [];
    for (const { 0: chunk, index } of text.matchAll(CHUNKS[this.facts.spelling])) {
      const ids = this.encode(chunk);
      const tokens = ids.map((id) => this.spell(id));
      const unknown = this.tokenizer.unk_token;
      const places =
        PLACES[this.facts.spelling](chunk, tokens, unknown) ?? tokens.map(() => [0, chunk.length]);
      const words = this.words(chunk, tokens, places);
      places.forEach(([start, end], i) => {
        const blanks = chunk.slice(start, end).match(/^\s*/u)[0].length;
        const word = `${index}:${words[i]}`;
        found.push({ id: ids[i], start: index + start + blanks, end: index + end, word });
      });
    }
    return found;
  }

  words(chunk, tokens, places) {
    if (this.facts.spelling === "metaspace") return tokens.map(() => 0);
    if (this.facts.spelling === "wordpiece") {
      let number = 0;
      return tokens.map((token) => (token.startsWith("##") ? number : ++number));
    }
    const ends = [...chunk.matchAll(BYTE_WORDS)].map((word) => word.index + word[0].length);
    return places.map(([, end]) => ends.findIndex((limit) => end <= limit));
  }

  spell(id) {
    if (this.vocabulary === null) {
      this.vocabulary = [];
      for (const [token, number] of entries(this.tokenizer.get_vocab())) {
        this.vocabulary[number] = token;
      }
    }
    return this.vocabulary[id] ?? "";
  }
}

function entries(map) {
  return map instanceof Map ? map.entries() : Object.entries(map);
}

const PLACES = {
  wordpiece: (chunk, tokens, unknown) =>
    matchLetters(chunk, tokens.map((token) => (token === unknown ? null : token.replace(/^##/u, "")))),
  metaspace: (chunk, tokens) => matchLetters(chunk, tokens.map((token) => token.replaceAll("▁", ""))),
  bytes: countBytes,
};

/** Letters without case, accents and forms of width, which tokenizers drop in many ways. */
function fold(text) {
  return text.normalize("NFKD").replace(/\p{M}|\p{Cf}|\p{Cc}/gu, "").toLowerCase();
}

/** Returns whether BERT makes a letter a word by itself: punctuation, or Chinese. */
function standsAlone(letter) {
  return letter === undefined || /[\p{P}$+<=>^`|~\p{Script=Han}]/u.test(letter);
}

/**
 * Returns each token's place in a chunk by what it spells; a token that spells null is a word that
 * the vocabulary has no pieces for. Returns null where a token spells something else.
 */
function matchLetters(chunk, tokens) {
  const letters = [];
  let offset = 0;
  for (const letter of chunk) {
    const [start, end] = [offset, (offset += letter.length)];
    const folded = fold(letter);
    for (const one of folded) letters.push({ folded: one, start, end });
    // An accent by itself belongs to the letter before it.
    if (folded === "" && letters.length > 0) letters.at(-1).end = end;
  }
  let next = 0;
  const places = [];
  for (const token of tokens) {
    const spelt = token === null ? takeWord(letters, next) : [...fold(token)];
    if (spelt.some((letter, i) => letters[next + i]?.folded !== letter)) return null;
    const last = letters[next + spelt.length - 1];
    const start = letters[next]?.start ?? chunk.length;
    places.push([start, spelt.length > 0 ? last.end : start]);
    next += spelt.length;
  }
  return next === letters.length ? places : null;
}

function takeWord(letters, first) {
  let last = first + 1;
  if (!standsAlone(letters[first]?.folded)) while (!standsAlone(letters[last]?.folded)) last++;
  return letters.slice(first, last).map(({ folded }) => folded);
}

/** Returns each token's place in a chunk, where a letter of a token stands for a byte. */
function countBytes(chunk, tokens) {
  const starts = [];
  let offset = 0;
  for (const letter of chunk) {
    const size = new TextEncoder().encode(letter).length;
    for (let i = 0; i < size; i++) starts.push({ start: offset, end: offset + letter.length });
    offset += letter.length;
  }
  const lengths = tokens.map((token) => [...token].length);
  const blanks = lengths.reduce((sum, length) => sum + length, 0) - starts.length;
  if (blanks !== 0 && blanks !== 1) return null; // 1: the tokenizer puts a blank before a text
  let next = -blanks;
  return lengths.map((length) => {
    const first = starts[Math.max(next, 0)];
    next += length;
    return [first.start, (starts[next - 1] ?? first).end];
  });
}
