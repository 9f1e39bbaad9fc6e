// What an answer looks like, one function a kind of head.
import { barsIn, element, formatShare, showBars } from "./elements.js";

const MOST_IN_ORDER = 8; // labels that stay in the model's order, so that the eye finds them again
const MOST_BARS = 20; // a model may have ten thousand labels
const MOST_NAMED = 8; // in the headline
const NUM_COLOURS = 8;
const NO_NAME = "(no name)";

export const VIEWS = {
  sequence_classification: showLabels,
  token_classification: showEntities,
  question_answering: showAnswers,
  masked_lm: showWords,
  multiple_choice: showChoices,
  encoder: showPairs,
};

function showLabels({ scores }, { headline, details, facts }) {
  if (facts.activation === "none") {
    const numbers = scores.map(({ label, score }) =>
      scores.length === 1 ? score.toFixed(2) : `${label} ${score.toFixed(2)}`,
    );
    setHeadline(headline, numbers.slice(0, MOST_BARS).join(" · "), countRest(numbers, MOST_BARS));
    details.replaceChildren();
    return;
  }
  const ranked = [...scores].sort((a, b) => b.score - a.score);
  const isOpen = facts.activation === "sigmoid"; // any number of labels may hold
  const holding = isOpen ? ranked.filter(({ score }) => score >= 0.5) : ranked.slice(0, 1);
  const names = holding.slice(0, MOST_NAMED).map(({ label }) => label || NO_NAME);
  if (holding.length === 1) setHeadline(headline, names[0], formatShare(holding[0].score));
  else if (holding.length === 0) setHeadline(headline, "None of the labels");
  else setHeadline(headline, names.join(", "), countRest(holding, MOST_NAMED));
  const rows = (scores.length <= MOST_IN_ORDER ? scores : ranked).slice(0, MOST_BARS);
  const held = new Set(holding);
  const list = barsIn(details);
  showBars(list, rows.map((row) => shareRow(row, held.has(row))));
  list.dataset.rest = countRest(scores, MOST_BARS);
}

function countRest(all, shown) {
  return all.length > shown ? `and ${(all.length - shown).toLocaleString("en")} more` : "";
}

function showChoices({ scores }, { headline, details }) {
  const best = scores.reduce((a, b) => (b.score > a.score ? b : a));
  setHeadline(headline, best.label, formatShare(best.score));
  showBars(barsIn(details), scores.map((row) => shareRow(row, row === best)));
}

function showWords({ masks }, { headline, details }) {
  setHeadline(
    headline,
    masks.map(([best]) => best.label).join(", "),
    masks.length === 1 ? formatShare(masks[0][0].score) : "",
  );
  if (masks.length === 1) {
    showBars(barsIn(details), masks[0].map((row, i) => shareRow(row, i === 0)));
    return;
  }
  details.replaceChildren(
    ...masks.flatMap((words, place) => {
      const list = element("ul", { className: "bars" });
      showBars(list, words.map((row, i) => shareRow(row, i === 0)));
      return [element("h2", {}, `Gap ${place + 1}`), list];
    }),
  );
}

function showPairs({ pairs }, { headline, details }) {
  setHeadline(headline, pairs[0].score.toFixed(2), pairs.length > 1 ? "the most alike" : "cosine");
  const rows = pairs.slice(0, MOST_BARS).map(({ first, second, score }, i) => ({
    label: `${first}  ↔  ${second}`,
    score: score.toFixed(2),
    share: score,
    isBest: i === 0,
  }));
  const list = barsIn(details);
  showBars(list, rows);
  list.dataset.rest = countRest(pairs, MOST_BARS);
}

function showEntities({ text, entities }, { headline, details, facts }) {
  const types = [...new Set(facts.labels.map((label) => label.replace(/^[BI]-/u, "")))];
  const colour = (label) => types.filter((type) => type !== "O").indexOf(label) % NUM_COLOURS;
  const count = entities.length;
  setHeadline(headline, count === 0 ? "No entities" : count === 1 ? "1 entity" : `${count} entities`);
  details.replaceChildren(
    markText(text, entities, ({ label, score }, words) => [
      { className: `entity colour-${colour(label)}`, title: formatShare(score) },
      words,
      element("span", { className: "type" }, label),
    ]),
  );
}

function showAnswers({ text, answers }, { headline, details }) {
  const [best, ...others] = answers;
  if (best === undefined) {
    setHeadline(headline, "No answer");
    details.replaceChildren();
    return;
  }
  setHeadline(headline, best.label || "No answer in this text", formatShare(best.score));
  const list = element("ul", { className: "bars" });
  showBars(
    list,
    [best, ...others].map((row, i) => shareRow({ ...row, label: row.label || "no answer" }, i === 0)),
  );
  const found = best.end > best.start ? [best] : [];
  const marked = markText(text, found, (_, words) => [{ className: "found" }, words]);
  details.replaceChildren(marked, list);
}

/** Returns a text with parts of it marked. */
function markText(text, parts, describe) {
  const marked = element("p", { className: "marked" });
  let place = 0;
  for (const part of parts) {
    const mark = element("mark", ...describe(part, text.slice(part.start, part.end)));
    marked.append(text.slice(place, part.start), mark);
    place = part.end;
  }
  marked.append(text.slice(place));
  return marked;
}

function shareRow({ label, score }, isBest) {
  return { label: label || NO_NAME, score: formatShare(score), share: score, isBest };
}

function setHeadline(headline, words, more = "") {
  headline.replaceChildren(
    element("strong", {}, words),
    ...(more ? [" ", element("span", {}, more)] : []),
  );
}
