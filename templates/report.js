"use strict";
document.documentElement.classList.add("scripted");

// One view at a time: that of the address, else the first.
function showView() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const view = target?.closest(".view") ?? document.querySelector(".view");
  for (const part of document.querySelectorAll(".view, .group")) part.classList.toggle("shown", part.dataset.view === view?.dataset.view);
  target?.scrollIntoView();
}
addEventListener("hashchange", showView);
showView();

// What is folded is printed too, also by browsers that do not know ::details-content.
addEventListener("beforeprint", () => document.querySelectorAll("details:not([open])").forEach((one) => ((one.open = true), (one.dataset.folded = ""))));
addEventListener("afterprint", () => document.querySelectorAll("details[data-folded]").forEach((one) => ((one.open = false), delete one.dataset.folded)));

// A cell's own value is in data-value, empty where it is not known; else its text is its value.
const cellValue = (row, column) => {
  const cell = row.cells[column];
  if (cell.dataset.value === "") return -Infinity;
  const number = Number(cell.dataset.value ?? cell.textContent);
  return Number.isNaN(number) ? cell.textContent.trim() : number;
};

const compare = (left, right) =>
  typeof left === "number" && typeof right === "number" ? left - right : String(left).localeCompare(String(right), undefined, { numeric: true });

// Of very many rows the rest lies packed behind the table, and comes when it is asked for, or needed for the whole.
const rests = new Map();
async function unpack(table, rest) {
  const bytes = Uint8Array.from(atob(rest.querySelector("template").content.textContent), (one) => one.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  table.tBodies[0].insertAdjacentHTML("beforeend", await new Response(unpacked).text());
  rest.remove();
  highlight();
}
const whole = async (table) => {
  const rest = table.parentElement.querySelector(".rest");
  if (rest && !rests.has(table)) rests.set(table, unpack(table, rest));
  await rests.get(table);
};
for (const rest of document.querySelectorAll(".rest")) {
  const button = document.createElement("button");
  button.textContent = "Show them";
  button.addEventListener("click", () => whole(rest.parentElement.querySelector("table")));
  rest.querySelector(".without-script").replaceWith(" ", button);
}

async function sortBy(table, header) {
  await whole(table);
  const descending = header.ariaSort === "none" ? header.classList.contains("num") : header.ariaSort === "ascending";
  for (const other of table.tHead.querySelectorAll("th[aria-sort]")) other.ariaSort = "none";
  header.ariaSort = descending ? "descending" : "ascending";
  const sign = descending ? -1 : 1;
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [cellValue(row, header.cellIndex), row]);
  body.append(...rows.sort(([left], [right]) => sign * compare(left, right)).map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const header of table.tHead.querySelectorAll("th:not([data-unsortable])")) {
    header.ariaSort = "none";
    header.tabIndex = 0;
    header.addEventListener("click", (event) => {
      event.preventDefault(); // a header's term is a link to its definition, which hovering shows as well
      sortBy(table, header);
    });
    header.addEventListener("keydown", (event) => event.key === "Enter" && event.target === header && sortBy(table, header));
  }
}

// A name that begins like a formula would be run as one by a spreadsheet.
const plain = (text) => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text);
const words = (cell) => {
  const text = cell.dataset.value ?? cell.textContent.replace(/\s+/g, " ").trim();
  return Number.isNaN(Number(text)) ? plain(text) : text;
};
const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

function csv(table) {
  const columns = [...table.tHead.rows[0].cells].filter((header) => header.dataset.unsortable === undefined);
  const heads = columns.map((header) => words(header) + (header.dataset.unit ? ` (${header.dataset.unit})` : ""));
  const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden);
  const lines = rows.map((row) => columns.map((header) => words(row.cells[header.cellIndex])));
  return [heads, ...lines].map((line) => line.map(quoted).join(",") + "\r\n").join("");
}

function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

document.querySelectorAll("table[data-csv]").forEach((table) => {
  const button = document.createElement("button");
  button.textContent = "CSV";
  button.classList.toggle("beside-caption", table.caption !== null);
  button.title = "Save this table, in nanoseconds and bytes";
  button.addEventListener("click", () => whole(table).then(() => save(`${table.dataset.csv}.csv`, csv(table))));
  table.parentElement.before(button);
});

// Where the browser keeps its clipboard from the page, the selected command waits for Ctrl+C.
async function copy(code, button) {
  getSelection().selectAllChildren(code);
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Press Ctrl+C";
  }
}

for (const place of document.querySelectorAll(".place")) {
  const button = document.createElement("button");
  button.textContent = "Copy";
  button.addEventListener("click", () => copy(place.querySelector("code"), button));
  place.append(button);
}

// Native titles appear late and not on touch screens, so their text moves to a tooltip of our own.
const tip = document.getElementById("tip");
for (const title of document.querySelectorAll("svg title")) {
  title.parentElement.dataset.tip = title.textContent;
  title.parentElement.setAttribute("aria-label", title.textContent);
  title.remove();
}
for (const element of document.querySelectorAll("[title]")) {
  element.dataset.tip = element.title;
  element.removeAttribute("title");
}

function placeTip(target, x, y) {
  const owner = target.closest?.("[data-tip]");
  tip.hidden = !owner;
  if (!owner) return;
  tip.textContent = owner.dataset.tip;
  const { width, height } = tip.getBoundingClientRect();
  const below = y + 16 + height < innerHeight;
  tip.style.left = `${Math.max(8, Math.min(x + 12, innerWidth - width - 8))}px`;
  tip.style.top = `${below ? y + 16 : y - height - 12}px`;
}
document.addEventListener("pointermove", (event) => placeTip(event.target, event.clientX, event.clientY));
const tipBelow = (element) => {
  const { left, width, bottom } = element.getBoundingClientRect();
  placeTip(element, Math.max(0, Math.min(left + width / 2, innerWidth)), bottom - 12);
};
document.addEventListener("focusin", (event) => tipBelow(event.target));
document.addEventListener("focusout", () => (tip.hidden = true));
document.addEventListener("scroll", () => (tip.hidden = true), { passive: true });

// Charts and tables take the focus once; arrows lead through what has a tooltip in them, rows by up and down.
function pointAt(holder, key) {
  const tipped = [...holder.querySelectorAll("[data-tip]:not(a)")];
  const at = tipped.indexOf(holder.querySelector(".pointed"));
  const row = (element) => element?.closest("g[data-rank], tr, g");
  const rows = [...new Set(tipped.map(row))];
  const firstOf = (place) => tipped.findIndex((element) => row(element) === rows[Math.max(0, Math.min(place, rows.length - 1))]);
  const targets = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tipped.length - 1, ArrowDown: firstOf(rows.indexOf(row(tipped[at])) + 1), ArrowUp: firstOf(rows.indexOf(row(tipped[at])) - 1) };
  if (!(key in targets)) return false;
  tipped[at]?.classList.remove("pointed");
  const next = tipped[Math.max(0, Math.min(targets[key], tipped.length - 1))];
  next.classList.add("pointed");
  next.scrollIntoView({ block: "nearest", inline: "nearest" });
  requestAnimationFrame(() => tipBelow(next));
  return true;
}

const holders = new Set();
for (const element of document.querySelectorAll("[data-tip]:not(a, button)")) {
  const holder = element.closest("svg.plot, table");
  if (holder) holders.add(holder);
  else element.tabIndex = 0;
}
for (const holder of holders) {
  holder.tabIndex = 0;
  holder.addEventListener("keydown", (event) => event.target === holder && pointAt(holder, event.key) && event.preventDefault());
  holder.addEventListener("blur", () => holder.querySelector(".pointed")?.classList.remove("pointed"));
}

// The strips of the timeline: which step, and how much of it; all are magnified and moved together.
const strips = [...document.querySelectorAll(".zoom")];
const pickStep = document.getElementById("pick-step");
function chooseStep() {
  for (const strip of document.querySelectorAll(".strip")) strip.classList.toggle("chosen", !pickStep?.value || strip.dataset.choice === pickStep.value);
}
pickStep?.addEventListener("change", chooseStep);
chooseStep();

let magnified = 1;
function magnify(times) {
  const shown = strips.find((strip) => strip.clientWidth) ?? strips[0];
  const middle = (shown.scrollLeft + shown.clientWidth / 2) / shown.scrollWidth;
  magnified = Math.max(1, Math.min(64, times));
  for (const strip of strips) {
    strip.firstElementChild.style.width = `${100 * magnified}%`;
    strip.classList.toggle("magnified", magnified >= 4);
    strip.scrollLeft = middle * strip.scrollWidth - strip.clientWidth / 2;
  }
}
for (const strip of strips) {
  strip.addEventListener("scroll", () => strips.forEach((other) => other !== strip && (other.scrollLeft = strip.scrollLeft)), { passive: true });
  strip.addEventListener("wheel", (event) => event.ctrlKey && (event.preventDefault(), magnify(magnified * (event.deltaY < 0 ? 1.25 : 0.8))));
}
document.getElementById("zoom-in")?.addEventListener("click", () => magnify(magnified * 2));
document.getElementById("zoom-out")?.addEventListener("click", () => magnify(magnified / 2));
document.getElementById("zoom-none")?.addEventListener("click", () => magnify(1));

// An element is dimmed when it belongs to another operation or rank than the picked one.
const pickers = Object.fromEntries(["op", "rank"].map((key) => [key, document.getElementById(`pick-${key}`)]).filter(([, picker]) => picker));

function highlight() {
  for (const element of document.querySelectorAll("[data-op], [data-rank]")) {
    const other = Object.entries(pickers).some(
      ([key, picker]) => picker.value && element.dataset[key] !== undefined && element.dataset[key] !== picker.value,
    );
    element.classList.toggle("dimmed", other);
  }
}

for (const [key, picker] of Object.entries(pickers)) {
  const values = new Set([...document.querySelectorAll(`[data-${key}]`)].map((element) => element.dataset[key]));
  const ordered = [...values].sort((left, right) => left.localeCompare(right, undefined, { numeric: true }));
  for (const value of ordered) picker.add(new Option(key === "rank" ? `rank ${value}` : value, value));
  picker.addEventListener("change", highlight);
}
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const picker of Object.values(pickers)) picker.value = "";
  highlight();
});

const filter = document.getElementById("filter");
filter?.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...document.querySelector("#calls tbody").rows];
  for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
  const shown = rows.filter((row) => !row.hidden).length;
  document.getElementById("filter-count").textContent = words.length ? `${shown} of ${rows.length}` : "";
});
