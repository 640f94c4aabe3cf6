// Build elements without ever turning text into markup, and keep those that did not change.

const SVG = "http://www.w3.org/2000/svg";

export function el(tag, facts = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(facts)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else node.setAttribute(name, value);
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}

export function icon(name, label = "") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `icon icon-${name}`);
  if (label) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
  } else {
    svg.setAttribute("aria-hidden", "true");
  }
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

// Make the children of `parent` those of `wanted` ([key, signature, build]); a node whose signature is the same stays.
export function reconcile(parent, wanted) {
  const before = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  let place = parent.firstElementChild;
  for (const [key, signature, build] of wanted) {
    let node = before.get(key);
    before.delete(key);
    if (!node || node.dataset.signature !== signature) {
      const fresh = build();
      fresh.dataset.key = key;
      fresh.dataset.signature = signature;
      if (node) {
        const itself = node === document.activeElement;
        const focused = focusPath(node);
        if (node === place) place = fresh;
        node.replaceWith(fresh);
        if (itself) fresh.focus();
        else if (focused !== null) fresh.querySelectorAll("button, a, input")[focused]?.focus();
      }
      node = fresh;
    }
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  }
  for (const node of before.values()) node.remove();
}

function focusPath(node) {
  const position = [...node.querySelectorAll("button, a, input")].indexOf(document.activeElement);
  return position < 0 ? null : position;
}

// Arrow keys between the tabs of a tab list (ARIA authoring practices).
export function moveBetween(event, nodes) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step || nodes.length < 2) return;
  const here = nodes.indexOf(document.activeElement);
  if (here < 0) return;
  event.preventDefault();
  const next = nodes[(here + step + nodes.length) % nodes.length];
  next.focus();
  if (next.getAttribute("role") === "tab") next.click();
}
