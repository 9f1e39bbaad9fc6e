// Small makers of elements and of words for numbers.

/** Makes an element; strings become text nodes, never markup. */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Shows scores as bars, in the elements that are there already, so that they glide. */
export function showBars(list, rows) {
  while (list.children.length > rows.length) list.lastChild.remove();
  while (list.children.length < rows.length) {
    const fill = element("span", { className: "fill" });
    list.append(
      element(
        "li",
        {},
        element("span", { className: "label" }),
        element("span", { className: "score" }),
        element("span", { className: "track", ariaHidden: "true" }, fill),
      ),
    );
  }
  rows.forEach(({ label, score, share, isBest }, i) => {
    const [name, number, track] = list.children[i].children;
    name.textContent = label;
    number.textContent = score;
    track.firstChild.style.width = `${100 * Math.max(0, Math.min(1, share))}%`;
    list.children[i].classList.toggle("best", Boolean(isBest));
  });
}

/** Returns the list of bars that an element holds, which is made if there is none. */
export function barsIn(parent) {
  if (parent.children.length !== 1 || !parent.firstChild.classList?.contains("bars")) {
    parent.replaceChildren(element("ul", { className: "bars" }));
  }
  return parent.firstChild;
}

export function formatShare(score) {
  return `${(100 * score).toFixed(1)} %`;
}

export function formatBytes(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

export function formatCount(count) {
  if (count < 1e6) return `${Math.round(count / 1e3)} thousand`;
  return `${(count / 1e6).toFixed(1)} million`;
}
