"use strict";
const {ui, trace, title} = document.body.dataset;
const button = document.getElementById("open");
const state = document.getElementById("state");
const uiOrigin = new URL(ui, location.href).origin;
const PING_MS = 100;
const PATIENCE_MS = 60_000;

new EventSource("alive"); // the server ends when this connection does

async function read() {
  const reply = await fetch(trace);
  if (!reply.ok) throw new Error(`the trace could not be read (${reply.status})`);
  return reply.arrayBuffer();
}

/** Ask the UI until it answers: it takes messages only once it has loaded. */
function ready(target) {
  return new Promise((resolve, reject) => {
    const ping = setInterval(() => target.postMessage("PING", uiOrigin), PING_MS);
    const end = (settle, value) => {
      clearInterval(ping);
      clearTimeout(patience);
      removeEventListener("message", hear);
      settle(value);
    };
    const hear = (event) => {
      if (event.source === target && event.data === "PONG") end(resolve);
    };
    const patience = setTimeout(() => end(reject, new Error("Perfetto does not answer; try --offline")), PATIENCE_MS);
    addEventListener("message", hear);
  });
}

async function show(bytes) {
  // Opened by a click, and with its opener: otherwise the browser blocks the tab, or the UI the message.
  const target = open(ui, "_blank");
  if (target === null) throw new Error("the browser blocked the tab; allow it for this page and click again");
  state.textContent = "Waiting for Perfetto …";
  await ready(target);
  target.postMessage({perfetto: {buffer: bytes, title, fileName: trace}}, uiOrigin);
  state.textContent = "Handed over.";
}

const say = (error) => {
  state.textContent = error.message;
};

read().then((bytes) => {
  state.textContent = "";
  button.disabled = false;
  button.addEventListener("click", () => show(bytes).catch(say));
}).catch(say);
