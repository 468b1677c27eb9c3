// The list of torrents, and what can be done with them.

import { call } from "./rpc.js";
import { duration, percent, rate, size } from "./format.js";

const REFRESH = 1000; // milliseconds between two looks at the list
const SHOWN = 500; // rows: more of them are for btctl
const MAX_FILE = 32 * 1024 * 1024; // what btd takes as one torrent file
const FIELDS = ["name", "state", "progress", "size", "download_rate", "upload_rate", "peers", "seeds", "eta", "error", "message"];

const at = (id) => document.getElementById(id);
const rows = new Map();

/** Shows what went wrong, or nothing. */
function problem(error) {
  at("problem").textContent = error?.message ?? "";
  at("problem").hidden = !error;
}

/** Runs something a person asked for, and shows the list or the problem. */
async function run(work) {
  try {
    problem(null);
    await work();
    await refresh();
  } catch (error) {
    problem(error);
  }
}

/** The results of a call on several torrents; the first failure becomes an error. */
async function each(method, params) {
  const outcomes = await call(method, params);
  const failed = outcomes.find((outcome) => outcome.error);
  if (failed) throw failed.error;
}

function makeRow(id) {
  const row = at("row").content.firstElementChild.cloneNode(true);
  row.querySelector(".toggle").addEventListener("click", () => {
    const method = row.dataset.stopped === "true" ? "torrent.resume" : "torrent.pause";
    run(() => each(method, { ids: [id] }));
  });
  row.querySelector(".remove").addEventListener("click", () => askRemove(id, row.querySelector(".name").textContent));
  return row;
}

function put(row, selector, text) {
  const cell = row.querySelector(selector);
  if (cell.textContent !== text) cell.textContent = text;
}

function fill(row, torrent) {
  const stopped = torrent.state === "paused" || torrent.state === "error";
  row.dataset.stopped = stopped;
  row.dataset.state = torrent.state;
  put(row, ".name", torrent.name || torrent.id);
  put(row, ".state", torrent.error ? `error: ${torrent.error}` : torrent.message ? `${torrent.state}: ${torrent.message}` : torrent.state);
  row.querySelector("progress").value = torrent.progress;
  put(row, ".percent", percent(torrent.progress));
  put(row, ".size", torrent.size ? size(torrent.size) : "");
  put(row, ".down", rate(torrent.download_rate));
  put(row, ".up", rate(torrent.upload_rate));
  put(row, ".peers", torrent.peers ? `${torrent.peers} (${torrent.seeds})` : "");
  put(row, ".eta", duration(torrent.eta));
  put(row, ".toggle", stopped ? "Resume" : "Pause");
}

function show(list, stats) {
  const body = at("torrents");
  const present = new Set(list.torrents.map((torrent) => torrent.id));
  for (const [id, row] of rows) {
    if (!present.has(id)) {
      row.remove();
      rows.delete(id);
    }
  }
  list.torrents.forEach((torrent, index) => {
    if (!rows.has(torrent.id)) rows.set(torrent.id, makeRow(torrent.id));
    const row = rows.get(torrent.id);
    fill(row, torrent);
    if (body.children[index] !== row) body.insertBefore(row, body.children[index] ?? null);
  });
  at("none").hidden = list.total > 0;
  at("more").hidden = list.total <= list.torrents.length;
  at("more").textContent = `Showing ${list.torrents.length} of ${list.total} torrents; btctl list shows all.`;
  at("totals").textContent =
    `${list.total} ${list.total === 1 ? "torrent" : "torrents"} · down ${size(stats.download_rate)}/s · up ${size(stats.upload_rate)}/s · ` +
    `${stats.peers} ${stats.peers === 1 ? "peer" : "peers"} · btd ${stats.version}`;
}

async function refresh() {
  const [list, stats] = await Promise.all([
    call("torrent.list", { fields: FIELDS, limit: SHOWN }),
    call("session.stats"),
  ]);
  show(list, stats);
}

function askRemove(id, name) {
  const dialog = at("removing");
  at("removing-name").textContent = name;
  at("removing-data").checked = false;
  dialog.returnValue = "cancel";
  dialog.onclose = () => {
    if (dialog.returnValue !== "remove") return;
    run(() => each("torrent.remove", { ids: [id], delete_data: at("removing-data").checked }));
  };
  dialog.showModal();
}

/** The bytes of a file in base64, some thousand at a time: a call has a limit on its arguments. */
async function base64(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let start = 0; start < bytes.length; start += 8192) {
    text += String.fromCharCode(...bytes.subarray(start, start + 8192));
  }
  return btoa(text);
}

async function addFiles(files) {
  for (const file of files) {
    if (file.size > MAX_FILE) throw new Error(`${file.name} is too large for a torrent file.`);
    await call("torrent.add", { metainfo: await base64(file) });
  }
}

at("add").addEventListener("submit", (event) => {
  event.preventDefault();
  const source = at("source").value.trim();
  if (!source) return;
  run(async () => {
    await call("torrent.add", { source });
    at("source").value = "";
  });
});

at("files").addEventListener("change", () => {
  const files = [...at("files").files];
  at("files").value = "";
  run(() => addFiles(files));
});

document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  run(() => addFiles([...event.dataTransfer.files]));
});

/** Looks at the list again and again, but not while nobody looks at the page. */
async function watch() {
  if (!document.hidden) {
    try {
      await refresh();
      if (at("problem").dataset.from === "watch") problem(null);
      at("problem").dataset.from = "";
    } catch (error) {
      problem(error);
      at("problem").dataset.from = "watch";
    }
  }
  setTimeout(watch, REFRESH);
}
watch();
