// The page: drop audio in, see it, hear it, find it, convert it.
//
// One module, without a build step.  It uses the public interface of docs/api.md and nothing else.  What comes from
// files or people becomes text nodes and attributes, never markup: the policy of the page forbids the sinks.
//
//   1 words     values as people read them            5 player    what is heard, and its keys
//   2 nodes     elements, icons                       6 list      windowed rows, filters, selection
//   3 server    requests, refusals in its own words   7 file      one file: facts, wave, changes, conversion
//   4 uploads   the queue, dropping, recording        8 accounts  who looks; tokens, links, drop links
//                                                     9 start     addresses and views

// == 1 words =========================================================================================================

const locale = navigator.languages?.length ? navigator.languages : undefined;
const plain = new Intl.NumberFormat(locale);
const percent = new Intl.NumberFormat(locale, { style: "percent" });
const shortDate = new Intl.DateTimeFormat(locale, { dateStyle: "medium" });
const longDate = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "medium" });
const plural = new Intl.PluralRules("en");

/** "1 file", "1,234 files". */
export function counted(number, one, many = one + "s") {
  return `${plain.format(number)} ${plural.select(number) === "one" ? one : many}`;
}

function measured(value, unit, digits = 1) {
  return new Intl.NumberFormat(locale, {
    style: "unit", unit, unitDisplay: "short", maximumFractionDigits: digits,
  }).format(value);
}

/** Bytes in the unit that fits, decimal. */
export function bytes(count) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  let at = 0;
  while (count >= 999.5 && at < units.length - 1) {
    count /= 1000;
    at += 1;
  }
  return measured(count, units[at], at && count < 100 ? 1 : 0);
}

const two = (digits) => String(digits).padStart(2, "0");

/** Seconds as a clock shows them: 0:07, 3:25, 1:02:03; below a second 0.25 s. */
export function clock(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  if (seconds > 0 && seconds < 1) return measured(seconds, "second", 2);
  const whole = Math.round(seconds);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** A place in a sound, as a clock shows it. */
const moment = (seconds) => clock(Math.floor(seconds));

/** Seconds of a wait: 8 sec, 3 min, 2 hr. */
function wait(seconds) {
  if (seconds < 90) return measured(Math.ceil(seconds), "second", 0);
  if (seconds < 5400) return measured(Math.round(seconds / 60), "minute", 0);
  return measured(seconds / 3600, "hour");
}

/** Seconds from what people type: 90, 1:30, 1:02:03; null where it is none of these. */
export function secondsOf(text) {
  if (!/^\d+(:[0-5]?\d){0,2}(\.\d+)?$/.test(text.trim())) return null;
  return text.trim().split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
}

function rate(hertz) {
  return hertz ? `${new Intl.NumberFormat(locale, { maximumFractionDigits: 3 }).format(hertz / 1000)} kHz` : "–";
}

// == 2 nodes =========================================================================================================

/** An element: properties, `on…` listeners and attributes; strings become text nodes. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "class") node.className = value;
    else if (key in node && !["list", "form", "role", "width", "height"].includes(key)) node[key] = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const $ = (id) => document.getElementById(id);

const ICONS = {
  play: "M8 5.5v13l11-6.5z", pause: "M8 5.5v13M16 5.5v13", close: "M6 6l12 12M18 6L6 18",
  up: "M12 19V6M6 11l6-6 6 6", down: "M12 5v13M6 13l6 6 6-6", search: "M11 4a7 7 0 1 0 0 14a7 7 0 1 0 0-14M16.5 16.5L21 21",
  filter: "M4 7h16M7 12h10M10 17h4", folder: "M3 7a2 2 0 0 1 2-2h4l2 2h8a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2z",
  microphone: "M12 4a2.5 2.5 0 0 0-2.5 2.5v5a2.5 2.5 0 0 0 5 0v-5A2.5 2.5 0 0 0 12 4M6 11a6 6 0 0 0 12 0M12 17v3",
  upload: "M12 16V5M7 10l5-5 5 5M5 19h14", download: "M12 5v11M7 11l5 5 5-5M5 20h14", back: "M19 12H6M11 6l-6 6 6 6",
  volume: "M4 10v4h3l4 4V6L7 10zM15 9.5a4 4 0 0 1 0 5M17.5 7a7.5 7.5 0 0 1 0 10",
  mute: "M4 10v4h3l4 4V6L7 10zM15 10l5 5M20 10l-5 5",
};

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon icon-" + name);
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button; without text it needs `label`. */
function button(text, onclick, { sign, label, kind = "", ...more } = {}) {
  return el("button", { type: "button", class: kind, onclick, "aria-label": label, title: text ? undefined : label, ...more },
    sign && icon(sign), text && el("span", {}, text));
}

/** At most one call in `milliseconds`, with the last arguments. */
function calm(milliseconds, call) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(call, milliseconds, ...given);
  };
}

/** A line at the bottom that goes by itself; with `undo` it waits for that, then calls `after`. */
function say(text, { undo, after, seconds = 6 } = {}) {
  let done = false;
  const finish = (call) => {
    if (done) return;
    done = true;
    clearTimeout(timer);
    removeEventListener("pagehide", leave);
    line.remove();
    call?.();
  };
  const leave = () => finish(after);
  const line = el("p", { class: "message" }, el("span", { dir: "auto" }, text),
    undo && button("Undo", () => finish(undo), { kind: "quiet" }),
    !undo && button("", () => finish(after), { sign: "close", label: "Dismiss", kind: "quiet round" }));
  const timer = setTimeout(leave, seconds * 1000);
  addEventListener("pagehide", leave);
  $("messages").append(line);
}

/** A question in a dialog; the promise is true when the person agrees. */
function question(title, text, yes) {
  return new Promise((resolve) => {
    const dialog = el("dialog", { "aria-labelledby": "question", onclose: () => { dialog.remove(); resolve(dialog.returnValue === "yes"); } },
      el("h2", { id: "question" }, title), el("p", { dir: "auto" }, text),
      el("div", { class: "row end" }, button("Cancel", () => dialog.close("no"), { kind: "quiet" }),
        button(yes, () => dialog.close("yes"), { kind: "primary" })));
    document.body.append(dialog);
    dialog.showModal();
  });
}

// == 3 server ========================================================================================================

/** What the server refuses, in its own words. */
export class Problem extends Error {
  constructor(status, said = {}) {
    const words = [said.title, said.detail].filter(Boolean).join(": ");
    super(words || `The server answered ${status}.`);
    Object.assign(this, { status, code: said.code, detail: said.detail });
  }

  static of(status, text) {
    try {
      return new Problem(status, JSON.parse(text));
    } catch {
      return new Problem(status);
    }
  }
}

const LOST = "The server cannot be reached. Is it running?";

/** One request; a refusal is thrown as Problem. */
async function ask(method, target, { json, ...more } = {}) {
  let response;
  try {
    response = await fetch(target, {
      method, ...more, ...(json && { body: JSON.stringify(json), headers: { "Content-Type": "application/json" } }),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { title: LOST });
  }
  if (!response.ok) throw Problem.of(response.status, await response.text());
  return response;
}

const record = (id) => `/files/${encodeURIComponent(id)}`;
const content = (id) => `${record(id)}/content`;
const address = (id) => `/file/${encodeURIComponent(id)}`;
const curlLine = (id) => `curl -O -J "${location.origin}${content(id)}"`;

/** Do `work` for all of `things`, a few at a time; gives the refusals. */
async function each(things, atOnce, work) {
  const refused = [];
  const waiting = [...things];
  const worker = async () => {
    while (waiting.length) {
      try {
        await work(waiting.shift());
      } catch (error) {
        refused.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return refused;
}

function save(id, name) {
  const link = el("a", { href: content(id), download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied.");
  } catch { // no permission, or not a secure context
    const field = el("textarea", { readOnly: true, rows: 4, value: text, "aria-label": "Text to copy" });
    const dialog = el("dialog", { "aria-label": "Copy by hand", onclose: () => dialog.remove() }, field,
      el("div", { class: "row end" }, button("Done", () => dialog.close(), { kind: "primary" })));
    document.body.append(dialog);
    dialog.showModal();
    field.select();
  }
}

// == 4 uploads =======================================================================================================

const AT_ONCE = 3; // uploads in flight: more only share the line
const SHOWN = 100; // rows of the queue; the others are counted
const AGAIN = new Set([0, 401, 408, 429, 500, 503, 507]); // statuses after which the same request may succeed

class Upload {
  constructor(file, folder) {
    Object.assign(this, { file, folder, name: file.name || "recording", state: "waiting", sent: 0, speed: 0, problem: null });
  }

  get isOver() {
    return this.state === "done" || this.state === "refused";
  }

  target() {
    const query = new URLSearchParams({ name: this.name });
    if (this.overwrite) query.set("overwrite", "true");
    if (this.folder) query.set("meta.folder", this.folder);
    return `${uploads.to}?${query}`;
  }

  /** Send it; `changed` is called as it goes on. */
  send(changed) {
    return new Promise((resolve) => {
      const request = this.request = new XMLHttpRequest(); // fetch tells no progress
      let before = performance.now();
      Object.assign(this, { state: "sending", sent: 0, speed: 0, problem: null });
      request.upload.onprogress = ({ loaded }) => {
        const now = performance.now();
        const speed = ((loaded - this.sent) * 1000) / Math.max(1, now - before);
        this.speed = this.speed ? 0.8 * this.speed + 0.2 * speed : speed;
        this.sent = loaded;
        before = now;
        changed(this);
      };
      request.upload.onload = () => { this.state = "checking"; changed(this); };
      request.onload = () => {
        if (request.status < 300) Object.assign(this, { state: "done", record: JSON.parse(request.responseText) });
        else this.refuse(Problem.of(request.status, request.responseText));
      };
      request.onerror = () => this.refuse(new Problem(0, { title: "The connection was lost before the server had it all" }));
      request.onloadend = () => resolve();
      request.open("POST", this.target());
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.send(this.file);
    });
  }

  refuse(problem) {
    Object.assign(this, { state: "refused", problem });
  }
}

const uploads = {
  to: "/files", items: [], rows: new Map(), finished: 0, node: null,

  add(files) {
    for (const { file, folder } of files) this.items.push(new Upload(file, folder));
    this.draw();
    this.pump();
  },

  get pending() {
    return this.items.filter((item) => !item.isOver);
  },

  pump() {
    let free = AT_ONCE - this.items.filter((item) => item.state === "sending" || item.state === "checking").length;
    for (const item of this.items) {
      if (free <= 0) break;
      if (item.state !== "waiting") continue;
      free -= 1;
      item.send((changed) => { this.drawRow(changed); this.drawHead(); }).then(() => this.ended(item));
    }
  },

  ended(item) {
    if (item.state === "done") {
      this.finished += 1;
      this.items = this.items.filter((other) => other !== item);
      list.touch();
    }
    this.draw();
    this.pump();
  },

  cancel(item) {
    this.items = this.items.filter((other) => other !== item);
    item.request?.abort();
    this.draw();
    this.pump();
  },

  forget() {
    const { pending } = this;
    Object.assign(this, { items: [], finished: 0 });
    for (const item of pending) item.request?.abort();
    this.draw();
  },

  again(item, changes = {}) {
    Object.assign(item, { state: "waiting", problem: null, ...changes });
    this.draw();
    this.pump();
  },

  /** Another name, since the one it has is taken: "a.wav" becomes "a (2).wav". */
  async keepBoth(item) {
    const [, stem, extension] = /^(.*?)(\.[^.]*)?$/s.exec(item.name);
    for (let number = 2; ; number += 1) {
      const name = `${stem} (${number})${extension ?? ""}`;
      const query = new URLSearchParams({ name, limit: 1, fields: "id" });
      if (!(await (await ask("GET", "/list?" + query)).json()).total) return this.again(item, { name });
    }
  },

  draw() {
    if (!this.node) {
      this.head = el("p", { class: "grow" });
      this.bar = el("progress", { max: 1, value: 0, "aria-label": "All uploads" });
      this.body = el("ul", { class: "plain" });
      this.more = el("p", { class: "muted" });
      this.node = el("section", { class: "uploads card", "aria-label": "Uploads" },
        el("div", { class: "row" }, this.head,
          this.stop = button("Cancel all", () => this.pending.forEach((item) => this.cancel(item)), { kind: "quiet" }),
          this.clear = button("Clear", () => this.forget(), { kind: "quiet" })),
        this.bar, this.body, this.more);
      $("main").before(this.node);
    }
    const { pending, items, finished } = this;
    this.node.hidden = !items.length && !finished;
    this.stop.hidden = !pending.length;
    this.clear.hidden = pending.length > 0;
    const shown = new Set(items.slice(0, SHOWN));
    for (const [item, row] of this.rows) {
      if (!shown.has(item)) {
        row.remove();
        this.rows.delete(item);
      }
    }
    for (const item of shown) {
      if (!this.rows.has(item)) {
        this.rows.set(item, el("li"));
        this.body.append(this.rows.get(item));
      }
      this.drawRow(item);
    }
    this.more.hidden = items.length <= SHOWN;
    this.more.textContent = `and ${plain.format(items.length - SHOWN)} more`;
    this.drawHead();
  },

  drawHead() {
    const { pending, items, finished } = this;
    const refused = items.length - pending.length;
    const left = pending.reduce((sum, item) => sum + item.file.size - item.sent, 0);
    const speed = pending.reduce((sum, item) => sum + (item.state === "sending" ? item.speed : 0), 0);
    const words = [pending.length ? `${plain.format(finished)} of ${counted(finished + items.length, "file")} uploaded`
      : finished > 0 && `${counted(finished, "file")} uploaded`, refused > 0 && `${counted(refused, "file")} refused`].filter(Boolean);
    if (pending.length && speed) words.push(`${bytes(speed)}/s`, `${wait(left / speed)} left`);
    this.head.textContent = words.join(" · ");
    const total = finished + items.length;
    const parts = pending.reduce((sum, item) => sum + item.sent / Math.max(1, item.file.size), 0);
    this.bar.hidden = !pending.length;
    this.bar.value = total ? (finished + refused + parts) / total : 0;
  },

  drawRow(item) {
    const row = this.rows.get(item);
    if (!row) return;
    if (row.dataset.state !== item.state) this.fillRow(row, item);
    if (item.state === "sending") {
      row.querySelector("progress").value = item.sent / Math.max(1, item.file.size);
      const left = item.speed ? ` · ${bytes(item.speed)}/s · ${wait((item.file.size - item.sent) / item.speed)} left` : "";
      row.querySelector(".told").textContent = `${bytes(item.sent)} of ${bytes(item.file.size)}${left}`;
    }
  },

  fillRow(row, item) {
    row.dataset.state = item.state;
    const told = { waiting: `waiting · ${bytes(item.file.size)}`, sending: "", checking: "all sent; the server looks at it", refused: item.problem?.message, done: "done" };
    const taken = item.problem?.code === "name-taken";
    row.replaceChildren(...[
      el("span", { class: "file", dir: "auto" }, item.name),
      el("span", { class: item.problem ? "told refusal" : "told", role: item.problem ? "alert" : undefined }, told[item.state]),
      item.state === "sending" && el("progress", { max: 1, value: 0, "aria-label": item.name }),
      item.state === "checking" && el("progress", { "aria-label": item.name }),
      el("span", { class: "row" },
        taken && button("Replace", () => this.again(item, { overwrite: true }), { kind: "quiet", label: `Replace the stored ${item.name}` }),
        taken && button("Keep both", () => this.keepBoth(item).catch((error) => say(error.message)), { kind: "quiet", label: `Keep both files named ${item.name}` }),
        item.problem && AGAIN.has(item.problem.status) && button("Retry", () => this.again(item), { kind: "quiet", label: `Retry ${item.name}` }),
        button("", () => this.cancel(item), { sign: "close", label: `${item.problem ? "Dismiss" : "Cancel"} ${item.name}`, kind: "quiet round" })),
    ].filter(Boolean));
  },
};

// -- what is dropped, chosen, pasted -----------------------------------------------------------------------------------

const isHidden = (name) => name.startsWith(".") || name === "Thumbs.db" || name === "desktop.ini";

async function* walk(entry, folder) {
  if (entry.isFile) {
    if (!isHidden(entry.name)) yield { file: await new Promise((resolve, reject) => entry.file(resolve, reject)), folder };
    return;
  }
  const reader = entry.createReader();
  const inside = folder ? `${folder}/${entry.name}` : entry.name;
  for (;;) { // a reader gives a hundred entries at a time
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!entries.length) return;
    for (const one of entries) yield* walk(one, inside);
  }
}

async function take(transfer) {
  const entries = [...transfer.items].map((item) => item.kind === "file" && item.webkitGetAsEntry?.());
  const files = [...transfer.files];
  if (entries.some((entry) => entry?.isDirectory)) {
    for (const entry of entries.filter(Boolean)) {
      const found = [];
      for await (const one of walk(entry, "")) found.push(one);
      uploads.add(found);
    }
  } else if (files.length) {
    uploads.add(files.map((file) => ({ file })));
  }
}

function acceptDrops() {
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const over = el("div", { class: "over", hidden: true, "aria-hidden": "true" }, el("p", {}, "Drop to upload"));
  let depth = 0;
  document.body.append(over);
  const step = (change) => { depth = Math.max(0, depth + change); over.hidden = depth === 0; };
  addEventListener("dragenter", (event) => { if (hasFiles(event)) { event.preventDefault(); step(1); } });
  addEventListener("dragleave", (event) => { if (hasFiles(event)) step(-1); });
  addEventListener("dragover", (event) => { if (hasFiles(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    step(-depth);
    take(event.dataTransfer).catch((error) => say(`That could not be read: ${error.message}`));
  });
  addEventListener("paste", (event) => { if (event.clipboardData?.files.length) take(event.clipboardData); });
  addEventListener("beforeunload", (event) => { if (uploads.pending.length || recorder.isOn) event.preventDefault(); });
}

function choosers() {
  const field = (more) => el("input", { type: "file", multiple: true, hidden: true, ...more, onchange() {
    uploads.add([...this.files].filter((file) => !isHidden(file.name)).map((file) => (
      { file, folder: file.webkitRelativePath.split("/").slice(0, -1).join("/") })));
    this.value = "";
  } });
  const files = field({ id: "choose-files" });
  const folder = field({ id: "choose-folder", webkitdirectory: true });
  $("actions").append(files, folder,
    button("Upload", () => files.click(), { sign: "upload", kind: "primary" }),
    button("Folder", () => folder.click(), { sign: "folder", kind: "quiet wide" }),
    button("Record", () => recorder.begin(), { sign: "microphone", kind: "quiet", id: "record" }),
    el("a", { class: "button quiet wide", href: "/docs" }, "API"));
}

// -- recording ---------------------------------------------------------------------------------------------------------

const COALESCE = 256; // chunks: some 40 seconds become one Blob, which a browser may put on the disk

/** The head of a WAV of 16-bit mono. */
function wavHead(rate, length) {
  const head = new DataView(new ArrayBuffer(44));
  const word = (at, text) => [...text].forEach((letter, n) => head.setUint8(at + n, letter.charCodeAt(0)));
  word(0, "RIFF");
  head.setUint32(4, 36 + length, true);
  word(8, "WAVEfmt ");
  head.setUint32(16, 16, true);
  head.setUint16(20, 1, true); // PCM
  head.setUint16(22, 1, true); // channels
  head.setUint32(24, rate, true);
  head.setUint32(28, rate * 2, true);
  head.setUint16(32, 2, true);
  head.setUint16(34, 16, true);
  word(36, "data");
  head.setUint32(40, length, true);
  return head.buffer;
}

const recorder = {
  isOn: false,

  async begin() {
    if (this.isOn) return;
    this.opener = document.activeElement;
    if (!navigator.mediaDevices) {
      say("This browser lends the microphone only to https:// and to localhost.");
      return;
    }
    this.isOn = true;
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      this.context = new AudioContext();
      await this.context.audioWorklet.addModule(document.body.dataset.recorder);
      this.listen();
    } catch (error) {
      this.release();
      say(error.name === "NotAllowedError" ? "The browser was not allowed to use the microphone." : `The microphone cannot be used: ${error.message}`);
    }
  },

  listen() {
    Object.assign(this, { parts: [], length: 0 });
    this.node = new AudioWorkletNode(this.context, "recorder");
    this.node.port.onmessage = ({ data }) => this.took(data);
    this.context.createMediaStreamSource(this.stream).connect(this.node);
    this.time = el("span", { class: "number" }, clock(0));
    this.level = el("meter", { min: 0, max: 1, value: 0, "aria-label": "Level" });
    this.bar = el("section", { class: "card row recording", "aria-label": "Recording" }, el("span", { class: "dot" }), "Recording", this.time, this.level,
      el("span", { class: "grow" }),
      button("Discard", () => this.release(), { kind: "quiet" }),
      this.stop = button("Stop and keep", () => this.end(), { kind: "primary" }));
    $("main").before(this.bar);
    this.stop.focus();
  },

  took(samples) {
    this.parts.push(samples);
    this.length += samples.length;
    if (this.parts.length > COALESCE) this.parts = [new Blob(this.parts)];
    this.time.textContent = clock(Math.floor(this.length / this.context.sampleRate));
    this.level.value = samples.reduce((peak, value) => Math.max(peak, Math.abs(value)), 0) / 32768;
    this.ended?.();
  },

  async end() {
    const last = new Promise((resolve) => { this.ended = resolve; });
    this.node.port.postMessage("the rest, please");
    await last;
    const sound = new Blob([wavHead(this.context.sampleRate, this.length * 2), ...this.parts], { type: "audio/wav" });
    const now = new Date();
    const here = new Date(now - now.getTimezoneOffset() * 60_000).toISOString(); // the clock on the wall, in figures
    const name = `Recording ${here.slice(0, 10)} ${here.slice(11, 19).replaceAll(":", ".")}.wav`;
    const isEmpty = !this.length;
    this.release();
    if (isEmpty) say("Nothing was recorded.");
    else uploads.add([{ file: new File([sound], name) }]);
  },

  release() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.context?.close();
    this.bar?.remove();
    Object.assign(this, { isOn: false, stream: null, context: null, bar: null, ended: null, parts: [] });
    this.opener?.focus();
  },
};

// == 5 player ========================================================================================================

const SEEK = 5; // seconds an arrow key moves, or a twentieth of what is shorter than that allows

const player = {
  audio: new Audio(), file: null, watchers: new Set(),

  get duration() {
    return Number.isFinite(this.audio.duration) ? this.audio.duration : this.file?.duration ?? 0;
  },

  get isPlaying() {
    return this.file !== null && !this.audio.paused;
  },

  /** Whether it is this file that is (to be) heard. */
  has(id) {
    return this.file?.id === id;
  },

  load(file) {
    this.file = file;
    this.audio.src = content(file.id) + "?disposition=inline";
    if ("mediaSession" in navigator) navigator.mediaSession.metadata = new MediaMetadata({ title: file.name });
    this.build();
    this.tell();
  },

  toggle(file = this.file) {
    if (!file) return;
    if (!this.has(file.id)) this.load(file);
    if (this.audio.paused) this.audio.play().catch(() => {}); // onerror has the words
    else this.audio.pause();
  },

  seek(seconds) {
    if (!this.file) return;
    this.audio.currentTime = Math.max(0, Math.min(seconds, this.duration));
    this.tell();
  },

  nudge(direction) {
    this.seek(this.audio.currentTime + direction * Math.min(SEEK, this.duration / 20 || SEEK));
  },

  rename(file) {
    this.file = file;
    $("player").querySelector(".title").textContent = file.name;
  },

  close() {
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
    this.file = null;
    $("player").replaceChildren();
    $("player").hidden = true;
    document.body.classList.remove("playing");
    this.tell();
  },

  tell() {
    this.draw();
    for (const watcher of this.watchers) watcher();
  },

  build() {
    document.body.classList.add("playing");
    $("player").hidden = false;
    this.slider = el("input", { type: "range", class: "seek", min: 0, max: 1000, step: 1, value: 0, "aria-label": "Position",
      oninput: () => this.seek((this.slider.value / 1000) * this.duration) });
    this.volume = el("input", { type: "range", min: 0, max: 100, value: this.audio.volume * 100, class: "volume", "aria-label": "Volume",
      oninput: () => { this.audio.volume = this.volume.value / 100; this.audio.muted = false; this.tell(); } });
    this.wave = new Wave(this.file);
    $("player").replaceChildren(
      this.knob = button("", () => this.toggle(), { sign: "play", label: "Play", kind: "primary round" }),
      el("a", { class: "title", href: address(this.file.id), dir: "auto" }, this.file.name),
      this.now = el("span", { class: "number muted" }),
      el("span", { class: "track" }, this.wave.canvas, this.slider),
      this.silence = button("", () => { this.audio.muted = !this.audio.muted; this.tell(); }, { sign: "volume", label: "Mute", kind: "quiet round wide" }),
      this.volume,
      button("", () => this.close(), { sign: "close", label: "Close the player", kind: "quiet round" }),
      this.trouble = el("p", { class: "refusal", role: "alert", hidden: true }));
    this.wave.load();
  },

  draw() {
    if (!this.file) return;
    const { audio, duration } = this;
    const at = duration ? audio.currentTime / duration : 0;
    setIcon(this.knob, audio.paused ? "play" : "pause", audio.paused ? "Play" : "Pause");
    setIcon(this.silence, audio.muted ? "mute" : "volume", audio.muted ? "Sound on" : "Mute");
    this.now.textContent = `${moment(audio.currentTime)} / ${clock(duration)}`;
    this.slider.value = at * 1000;
    this.slider.setAttribute("aria-valuetext", `${moment(audio.currentTime)} of ${clock(duration)}`);
    this.slider.style.setProperty("--at", `${at * 100}%`);
    this.wave.draw(at);
    const code = audio.error?.code;
    this.trouble.hidden = !code;
    if (code) {
      this.trouble.textContent = code === MediaError.MEDIA_ERR_NETWORK ? "The connection was lost."
        : "This browser does not play this format; downloading and measuring it work all the same.";
    }
  },

  listen() {
    for (const kind of ["play", "pause", "ended", "timeupdate", "durationchange", "error", "seeked"]) {
      this.audio.addEventListener(kind, () => this.tell());
    }
    let frame = 0;
    const follow = () => { this.tell(); frame = this.isPlaying ? requestAnimationFrame(follow) : 0; };
    this.audio.addEventListener("playing", () => { if (!frame && !matchMedia("(prefers-reduced-motion: reduce)").matches) follow(); });
    addEventListener("keydown", (event) => this.key(event));
  },

  /** Space and the arrow keys, unless the focused element has a use for them of its own. */
  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented || document.querySelector("dialog[open]")) return;
    const { target } = event;
    const isBusy = (css) => target.matches?.(css) && !target.classList.contains("seek");
    if (isBusy("input:not([type=checkbox]), select, textarea")) return;
    if (event.key === " " && !isBusy("button, summary, input")) {
      const row = target.closest?.("tr");
      const file = row && list.rowFile(row);
      if (!file && !this.file) return;
      event.preventDefault();
      this.toggle(file || this.file);
    } else if ((event.key === "ArrowLeft" || event.key === "ArrowRight") && this.file) {
      event.preventDefault();
      this.nudge(event.key === "ArrowLeft" ? -1 : 1);
    }
  },
};

function setIcon(node, name, label) {
  if (node.getAttribute("aria-label") === label) return;
  node.setAttribute("aria-label", label);
  node.title = label;
  node.querySelector("svg").replaceWith(icon(name));
}

// == 6 list ==========================================================================================================

const ROW_FIELDS = "id,name,size,uploaded,container,codec,duration,duration_exact,sample_rate,channels,truncated";
const FIRST = 60; // records of the first answer, so that it is there at once
const STEP = 250; // records of the following ones
const STRIDE = 1000; // records that are only counted at once, on a long way
const KEPT = 40; // answers that stay in memory; of the others the cursor is enough
const TALLEST = 300_000; // rows: browsers end an element at some 17 million pixels

/** All records that fit some filters, in order, as far as the cursor has been followed: from the front, and for what is
    nearer to the end from behind, in the opposite order. */
class Rows {
  constructor(filters, changed) {
    Object.assign(this, { filters, changed, blocks: [], total: 0, isExact: true, cursor: "", isOpen: true, wanted: [0, 0], busy: null });
    this.control = new AbortController();
  }

  get reached() {
    const last = this.blocks[this.blocks.length - 1];
    return last ? last.start + last.count : 0;
  }

  /** How many there are, as far as is known. */
  get length() {
    if (!this.isOpen) return this.reached;
    return Math.min(TALLEST, Math.max(this.total, this.reached + (this.isExact ? 1 : STRIDE)));
  }

  at(index) {
    let low = 0;
    let high = this.blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.blocks[middle].start <= index) low = middle;
      else high = middle - 1;
    }
    const block = this.blocks[low];
    return block?.records?.[index - block.start] ?? this.tail?.at(this.total - 1 - index);
  }

  /** Whether it is shorter to come from behind.  Orders with many equals are not the same from both sides. */
  isBehind(first, last) {
    const { sort, parameters } = orderOf(this.filters);
    if (!this.blocks.length || !this.isExact || !this.isOpen || !/^-?(name|uploaded)$/.test(sort) || first - this.reached < 3 * STRIDE) return false;
    if (this.total - last > first - this.reached) return false;
    parameters.set("sort", opposite(sort));
    this.tail ??= new Rows(String(parameters), () => this.changed(this));
    return true;
  }

  /** Have the records from `first` to `last`; a later wish takes the place of this one. */
  reach(first, last) {
    this.wanted = [first, last];
    this.busy ??= this.follow().finally(() => { this.busy = null; });
    return this.busy;
  }

  async follow() {
    for (;;) {
      const [first, last] = this.wanted;
      const lost = this.blocks.findIndex((block) => !block.records && block.start < last && block.start + block.count > first);
      if (lost >= 0) await this.refill(lost);
      else if (this.isBehind(first, last)) {
        await this.tail.reach(Math.max(0, this.total - last), this.total - first);
        if (this.wanted[0] === first && this.wanted[1] === last) return;
      } else if (this.isOpen && this.reached < last) await this.extend(last - this.reached);
      else return;
      this.forget();
      this.changed(this);
    }
  }

  async fetch(cursor, limit, fields = ROW_FIELDS) {
    const query = new URLSearchParams(this.filters);
    query.set("limit", limit);
    query.set("fields", fields);
    if (cursor) query.set("cursor", cursor);
    const page = await (await ask("GET", "/list?" + query, { signal: this.control.signal })).json();
    page.cursor = page.next && new URL(page.next, location).searchParams.get("cursor");
    page.files = page.files.filter((file) => !leaving.has(file.id));
    return page;
  }

  async extend(missing) {
    const isPassed = missing > 2 * STRIDE; // nobody looks at these: their number and the next cursor are enough
    const limit = !this.blocks.length ? FIRST : isPassed ? STRIDE : STEP;
    const page = await this.fetch(this.cursor, limit, isPassed ? "id" : ROW_FIELDS);
    const records = isPassed ? null : page.files;
    this.blocks.push({ start: this.reached, count: page.files.length, records, cursor: this.cursor, limit });
    if (this.blocks.length === 1) Object.assign(this, { total: page.total, isExact: page.total_exact });
    Object.assign(this, { cursor: page.cursor, isOpen: page.cursor !== null });
  }

  async refill(at) {
    const block = this.blocks[at];
    const page = await this.fetch(block.cursor, block.limit);
    const following = this.blocks[at + 1];
    Object.assign(block, { records: page.files, count: page.files.length });
    if (following && following.cursor !== page.cursor) { // there is more or less of it now: count again from here
      this.blocks.length = at + 1;
      Object.assign(this, { cursor: page.cursor, isOpen: page.cursor !== null });
    }
    this.renumber();
  }

  forget() {
    const kept = this.blocks.filter((block) => block.records);
    const distance = (block) => Math.abs(block.start - this.wanted[0]);
    kept.sort((one, other) => distance(other) - distance(one));
    for (const block of kept.slice(0, Math.max(0, kept.length - KEPT))) block.records = null;
  }

  /** Nobody waits for it any more. */
  end() {
    this.control.abort();
    this.tail?.end();
  }

  renumber() {
    let start = 0;
    for (const block of this.blocks) {
      block.start = start;
      start += block.count;
    }
  }

  /** Take these out; gives a function that puts them back. */
  without(ids) {
    const before = this.blocks.map((block) => [block, block.records, block.count]);
    const { total } = this;
    for (const block of this.blocks) {
      if (!block.records) continue;
      block.records = block.records.filter((file) => !ids.has(file.id));
      block.count = block.records.length;
    }
    this.total = Math.max(0, total - ids.size);
    this.renumber();
    const tailBack = this.tail?.without(ids);
    return () => {
      tailBack?.();
      for (const [block, records, count] of before) Object.assign(block, { records, count });
      this.total = total;
      this.renumber();
    };
  }
}

function orderOf(filters) {
  const parameters = new URLSearchParams(filters);
  return { parameters, sort: parameters.get("sort") ?? "-uploaded" };
}

const leaving = new Set(); // ids that a person has removed and the server does not know of yet

/** Ask, take away, and tell the server when nobody has undone it. */
async function remove(files, { taken = () => () => {}, gone = () => {} } = {}) {
  const [first] = files;
  const what = files.length === 1 ? `“${first.name}”` : counted(files.length, "file");
  if (!await question(`Remove ${files.length === 1 ? "this file" : what}?`, files.length === 1 ? first.name : "They will be gone for good.", "Remove")) return;
  for (const file of files) leaving.add(file.id);
  if (files.some((file) => player.has(file.id))) player.close();
  const giveBack = taken();
  const settle = () => { for (const file of files) leaving.delete(file.id); };
  say(`Removed ${what}.`, {
    undo: () => { settle(); giveBack(); },
    after: async () => {
      const refused = await each(files, 4, (file) => ask("DELETE", record(file.id), { keepalive: true })
        .catch((error) => { if (error.status !== 404) throw error; }));
      settle();
      if (refused.length) say(`${counted(refused.length, "file")} could not be removed. ${refused[0].message}`);
      gone();
    },
  });
}

// -- filters -----------------------------------------------------------------------------------------------------------

const FORMATS = ["wav", "mp3", "flac", "ogg", "mp4", "webm", "matroska", "aiff", "caf", "adts", "asf", "amr", "au", "ac3", "dts", "latm", "ape", "wv", "mpc", "tta", "dsf", "dff"];
const NOT_FILTERS = ["sort", "limit", "cursor", "fields"];

function setOrDrop(parameters, name, value) {
  if (value) parameters.set(name, value);
  else parameters.delete(name);
}

/** A field of the form: how it reads the parameters, and how it writes them. */
function text(name, properties = {}) {
  return { node: el("input", { type: "text", autocomplete: "off", spellcheck: false, ...properties }),
    read: (p) => p.get(name) ?? "", write: (p, value) => setOrDrop(p, name, value.trim()) };
}

function pattern(name) {
  const plainWord = /^\*([^*?]+)\*$/;
  return { ...text(name), read: (p) => (p.get(name) ?? "").replace(plainWord, "$1"),
    write: (p, value) => setOrDrop(p, name, !value.trim() || /[*?]/.test(value) ? value.trim() : `*${value.trim()}*`) };
}

function span(name) {
  const field = text(name, { inputMode: "decimal", placeholder: "m:ss" });
  return { ...field, write(p, value) {
    const seconds = value.trim() ? secondsOf(value) : "";
    field.node.setCustomValidity(seconds === null ? "Seconds, or minutes:seconds" : "");
    field.node.ariaInvalid = String(seconds === null);
    if (seconds !== null) setOrDrop(p, name, value.trim() && String(seconds));
  } };
}

function day(name, isEnd) {
  return { node: el("input", { type: "date" }),
    read(p) {
      const date = new Date(p.get(name) ?? NaN);
      return Number.isNaN(date.valueOf()) ? "" : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
    },
    write(p, value) {
      const date = new Date(`${value}T00:00`);
      if (isEnd) date.setDate(date.getDate() + 1), date.setMilliseconds(-1);
      setOrDrop(p, name, Number.isNaN(date.valueOf()) ? "" : date.toISOString());
    } };
}

function choice(options, read, write) {
  return { node: el("select", {}, options.map(([value, label]) => el("option", { value }, label))), read, write };
}

const FIELDS = {
  q: text("q", { type: "search", id: "search", placeholder: "Search names, tags, notes" }),
  name: pattern("name"),
  format: choice([["", "any"], ...FORMATS.map((name) => [name, name])], (p) => p.get("format") ?? "", (p, value) => setOrDrop(p, "format", value)),
  minduration: span("minduration"), maxduration: span("maxduration"),
  minsamplerate: text("minsamplerate", { inputMode: "numeric", placeholder: "Hz", list: "rates" }),
  maxsamplerate: text("maxsamplerate", { inputMode: "numeric", placeholder: "Hz", list: "rates" }),
  channels: choice([["", "any"], ["1", "mono"], ["2", "stereo"], ["3", "more than two"]],
    (p) => p.get("channels") ?? (p.get("minchannels") === "3" ? "3" : ""),
    (p, value) => { setOrDrop(p, "channels", value === "3" ? "" : value); setOrDrop(p, "minchannels", value === "3" ? "3" : ""); }),
  uploadedafter: day("uploadedafter", false), uploadedbefore: day("uploadedbefore", true),
};

const SPOKEN = {
  minduration: (value) => `at least ${clock(Number(value))}`, maxduration: (value) => `at most ${clock(Number(value))}`,
  minsamplerate: (value) => `from ${rate(Number(value))}`, maxsamplerate: (value) => `up to ${rate(Number(value))}`,
  channels: (value) => counted(Number(value), "channel"), minchannels: (value) => `${value} channels or more`,
  uploadedafter: (value) => `since ${shortDate.format(new Date(value))}`, uploadedbefore: (value) => `until ${shortDate.format(new Date(value))}`,
};

function spoken(name, value) {
  try {
    return SPOKEN[name]?.(value) ?? `${name}: ${value}`;
  } catch { // not a date: the server will say so
    return `${name}: ${value}`;
  }
}

// -- the table ---------------------------------------------------------------------------------------------------------

const COLUMNS = [
  { name: "name", label: "Name", sort: "name" }, { name: "duration", label: "Duration", sort: "-duration" },
  { name: "format", label: "Format" }, { name: "rate", label: "Rate", sort: "-samplerate" },
  { name: "channels", label: "Channels" }, { name: "size", label: "Size", sort: "-size" },
  { name: "uploaded", label: "Uploaded", sort: "-uploaded" },
];
const AROUND = 8; // rows drawn beyond each edge of the window
const opposite = (sort) => (sort.startsWith("-") ? sort.slice(1) : "-" + sort);

const list = {
  parameters: new URLSearchParams(), rows: null, selected: new Map(), drawn: new Map(), current: 0, anchor: 0, scroll: 0, height: 48, node: null,

  // . what is wished for

  get filters() {
    return [...this.parameters].filter(([name]) => !NOT_FILTERS.includes(name));
  },

  get sort() {
    return orderOf(this.parameters).sort;
  },

  /** Show the list that the address asks for. */
  open(search) {
    const parameters = new URLSearchParams(search);
    for (const name of ["limit", "cursor", "fields"]) parameters.delete(name);
    this.build();
    const isSame = this.rows && String(parameters) === String(this.parameters) && !this.error;
    this.parameters = parameters;
    this.fillForm();
    if (!isSame) this.load();
    return this;
  },

  /** Change the parameters, and with them the address. */
  change(alter, { replace = false } = {}) {
    const parameters = new URLSearchParams(this.parameters);
    alter(parameters);
    if (String(parameters) === String(this.parameters)) return;
    const query = String(parameters);
    go(query ? "/?" + query : "/", { replace, keep: true });
  },

  async load({ quietly = false } = {}) {
    const rows = new Rows(String(this.parameters), (changed) => { if (changed === this.rows) this.draw(); });
    const last = quietly ? Math.max(1, this.lastVisible()) : 1;
    this.loading?.end();
    this.loading = rows;
    try {
      await rows.reach(0, last);
    } catch (error) {
      if (error.name !== "AbortError" && this.loading === rows) this.fail(error);
      return;
    }
    if (this.loading !== rows) return;
    this.rows?.end();
    Object.assign(this, { rows, loading: null, error: null, isStale: false });
    if (!quietly) {
      this.current = 0;
      if (scrollY > this.top()) scrollTo(0, Math.max(0, this.top() - 8));
    }
    this.redraw();
  },

  /** Something was added or removed. */
  touch: calm(150, () => {
    list.isStale = true;
    list.freshen();
  }),

  freshen() {
    if (this.isStale && this.node?.isConnected && this.lastVisible() < 2 * STEP) this.load({ quietly: true });
  },

  fail(error) {
    this.error = error;
    if (error.status === 401 && this.node.isConnected) {
      swap(signInPage(() => show()));
      return;
    }
    this.state.replaceChildren(el("p", { role: "alert" }, error.message),
      el("div", { class: "row middle" }, button("Try again", () => this.load(), { kind: "primary" }),
        this.filters.length > 0 && button("Clear the filters", () => this.clear(), { kind: "quiet" })));
    this.state.hidden = false;
    this.table.hidden = true;
    this.count.textContent = "";
  },

  clear() {
    this.change((p) => { for (const [name] of this.filters) p.delete(name); });
  },

  /** Let go of all that was seen. */
  reset() {
    this.rows?.end();
    for (const row of this.drawn.values()) row.remove();
    this.drawn.clear();
    this.selected.clear();
    Object.assign(this, { rows: null, error: null, scroll: 0 });
  },

  // . what stands there once

  build() {
    if (this.node) return;
    const field = (label, name, more = "") => el("label", { class: "field " + more }, el("span", {}, label), FIELDS[name].node);
    this.panel = el("div", { class: "filters", id: "filters", hidden: true },
      field("Name, with * and ?", "name"), field("Format", "format"), field("Duration from", "minduration"), field("Duration to", "maxduration"),
      field("Sample rate from", "minsamplerate"), field("Sample rate to", "maxsamplerate"), field("Channels", "channels"),
      field("Uploaded from", "uploadedafter"), field("Uploaded to", "uploadedbefore"),
      el("datalist", { id: "rates" }, [8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000].map((value) => el("option", { value }))));
    this.toggle = button("Filters", () => this.unfold(this.panel.hidden), { sign: "filter", kind: "quiet", "aria-expanded": "false", "aria-controls": "filters" });
    this.order = el("select", { "aria-label": "Sort by", class: "narrow", onchange: () => this.change((p) => p.set("sort", this.order.value)) },
      COLUMNS.filter((column) => column.sort).flatMap(({ sort, label }) => [[sort, label], [opposite(sort), label + ", reversed"]])
        .map(([value, label]) => el("option", { value }, label)));
    this.chips = el("div", { class: "row chips" });
    this.count = el("p", { class: "muted number grow", role: "status" });
    this.form = el("form", { role: "search", class: "search", onsubmit: (event) => event.preventDefault() },
      el("div", { class: "row" }, el("label", { class: "grow find" }, icon("search"), el("span", { class: "unseen" }, "Search"), FIELDS.q.node), this.toggle, this.order),
      this.panel);
    this.heads = COLUMNS.map((column) => el("th", { role: "columnheader", scope: "col", class: column.name },
      column.sort ? button(column.label, () => this.sortBy(column), { kind: "head" }) : column.label));
    this.all = el("input", { type: "checkbox", "aria-label": "Select all that fit", onchange: () => this.selectAll(this.all.checked) });
    this.body = el("tbody", { role: "rowgroup", onclick: (event) => this.clicked(event), onkeydown: (event) => this.key(event) });
    this.table = el("table", { role: "table", "aria-label": "Files" },
      el("thead", { role: "rowgroup" }, el("tr", { role: "row", "aria-rowindex": 1 }, el("th", { role: "columnheader", class: "check" }, this.all),
        el("th", { role: "columnheader", class: "play" }, el("span", { class: "unseen" }, "Play")), this.heads)), this.body);
    this.state = el("div", { class: "state", hidden: true });
    this.chosen = el("div", { class: "chosen card row", role: "region", "aria-label": "Selection", hidden: true });
    this.probe = el("div", { class: "probe", "aria-hidden": "true" });
    this.node = el("div", { class: "list" }, el("h1", { class: "unseen", tabIndex: -1 }, "Files"), this.form,
      el("div", { class: "row under" }, this.count, this.chips), this.probe, this.table, this.state, this.chosen);
    this.listen();
  },

  listen() {
    const touched = new Map(); // field: its value, until the address has it
    let before = { field: null, at: 0 };
    const apply = calm(180, () => {
      const [field] = [...touched.keys()].slice(-1);
      const now = Date.now();
      const replace = before.field === field && now - before.at < 2000; // what is typed in one go is one step back
      before = { field, at: now };
      this.change((p) => { for (const [{ write }, value] of touched) write(p, value); touched.clear(); }, { replace });
    });
    for (const field of Object.values(FIELDS)) {
      field.node.addEventListener("input", () => { touched.delete(field); touched.set(field, field.node.value); apply(); });
    }
    const draw = () => { if (this.node.isConnected) { this.draw(); this.freshen(); } };
    let frame = 0;
    addEventListener("scroll", () => { frame ||= requestAnimationFrame(() => { frame = 0; draw(); }); }, { passive: true });
    addEventListener("resize", () => { if (this.node.isConnected) this.redraw(); });
    player.watchers.add(() => this.drawPlaying());
  },

  unfold(isOpen) {
    this.panel.hidden = !isOpen;
    this.toggle.setAttribute("aria-expanded", String(isOpen));
  },

  fillForm() {
    for (const { node, read } of Object.values(FIELDS)) {
      const value = read(this.parameters);
      if (document.activeElement !== node || node.id === "search" && node.value.trim() !== value) node.value = value;
    }
    this.order.value = this.sort;
    this.heads.forEach((head, at) => {
      const { sort } = COLUMNS[at];
      const isSorted = sort && [sort, opposite(sort)].includes(this.sort);
      if (isSorted) head.setAttribute("aria-sort", this.sort.startsWith("-") ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
      head.querySelector("svg")?.remove();
      if (isSorted) head.querySelector("button").append(icon(this.sort.startsWith("-") ? "down" : "up"));
    });
    const shown = this.filters.filter(([name]) => name !== "q");
    this.chips.replaceChildren(...shown.map(([name, value]) => button(spoken(name, value),
      () => this.change((p) => p.delete(name, value)), { kind: "chip", label: `Remove the filter ${spoken(name, value)}` })),
    ...(shown.length > 1 ? [button("Clear", () => this.clear(), { kind: "quiet" })] : []));
    for (const chip of this.chips.querySelectorAll(".chip")) chip.append(icon("close"));
  },

  sortBy({ sort }) {
    const next = this.sort === sort ? opposite(sort) : sort;
    this.change((p) => (next === "-uploaded" ? p.delete("sort") : p.set("sort", next)));
  },

  // . the window

  top() {
    return this.body.getBoundingClientRect().top + scrollY;
  },

  window() {
    const above = scrollY - this.top();
    const length = this.rows?.length ?? 0;
    const first = Math.max(0, Math.floor(above / this.height) - AROUND);
    return [Math.min(first, length), Math.min(length, Math.ceil((above + innerHeight) / this.height) + AROUND)];
  },

  lastVisible() {
    return this.rows && this.node?.isConnected ? this.window()[1] : 1;
  },

  redraw() {
    for (const row of this.drawn.values()) row.remove();
    this.drawn.clear();
    this.height = this.probe.offsetHeight || this.height;
    this.draw();
  },

  draw() {
    const { rows } = this;
    if (!rows || this.error) return;
    const { length } = rows;
    this.state.hidden = length > 0;
    this.table.hidden = length === 0;
    this.table.setAttribute("aria-rowcount", rows.isExact || !rows.isOpen ? length + 1 : -1);
    const counts = counted(Math.max(rows.total, rows.isOpen ? 0 : rows.reached), "file");
    this.count.textContent = !length ? "" : rows.isExact || !rows.isOpen ? counts : `more than ${counts}`;
    if (!length) this.drawEmpty();
    this.body.style.height = `${length * this.height}px`;
    this.current = Math.max(0, Math.min(this.current, length - 1));
    const [first, last] = this.window();
    for (const [index, row] of this.drawn) {
      if ((index < first || index >= last) && !(index < length && row.contains(document.activeElement))) {
        row.remove();
        this.drawn.delete(index);
      }
    }
    for (let index = first; index < last; index += 1) this.place(index);
    this.drawSelection();
    if (last > first) rows.reach(first, last).catch((error) => { if (error.name !== "AbortError" && rows === this.rows) say(error.message); });
  },

  /** Put row `index` where it belongs, filled as far as its record is known. */
  place(index) {
    const file = this.rows.at(index);
    let row = this.drawn.get(index);
    if (row && row.dataset.id === (file?.id ?? "")) return;
    const fresh = this.fresh(index, file);
    if (row) row.replaceWith(fresh);
    else {
      const behind = [...this.drawn.keys()].filter((other) => other > index);
      this.body.insertBefore(fresh, behind.length ? this.drawn.get(Math.min(...behind)) : null);
    }
    this.drawn.set(index, fresh);
  },

  fresh(index, file) {
    const row = el("tr", { role: "row", "aria-rowindex": index + 2, "data-id": file?.id ?? "" });
    row.dataset.index = index;
    row.style.transform = `translateY(${index * this.height}px)`;
    if (!file) {
      row.append(el("td", { role: "cell", class: "name muted" }, "…"));
      return row;
    }
    const tabIndex = index === this.current ? 0 : -1;
    const cell = (name, ...children) => el("td", { role: "cell", class: name }, ...children);
    const isOn = player.has(file.id) && player.isPlaying;
    row.append(
      cell("check", el("input", { type: "checkbox", tabIndex, checked: this.selected.has(file.id), "aria-label": `Select ${file.name}` })),
      cell("play", button("", undefined, { sign: isOn ? "pause" : "play", label: `${isOn ? "Pause" : "Play"} ${file.name}`, kind: "quiet round", tabIndex })),
      cell("name", el("a", { href: address(file.id), title: file.name, tabIndex }, el("bdi", {}, file.name))),
      cell("duration", file.duration_exact ? "" : "≈ ", clock(file.duration)),
      cell("format", file.container, el("small", {}, file.codec === file.container ? "" : file.codec)),
      cell("rate", rate(file.sample_rate)),
      cell("channels", plain.format(file.channels)),
      cell("size", bytes(file.size)),
      cell("uploaded", el("time", { dateTime: file.uploaded, title: longDate.format(new Date(file.uploaded)) }, shortDate.format(new Date(file.uploaded)))));
    row.classList.toggle("on", player.has(file.id));
    row.classList.toggle("selected", this.selected.has(file.id));
    return row;
  },

  drawEmpty() {
    const line = `curl --data-binary @myfile.wav "${location.origin}/post?name=myfile.wav"`;
    this.state.replaceChildren(...(this.filters.length
      ? [el("p", { class: "large" }, "Nothing fits."), el("p", { class: "muted" }, "Fewer or wider filters find more."),
        button("Clear the filters", () => this.clear(), { kind: "primary" })]
      : [el("p", { class: "large" }, "Drop audio anywhere."), el("p", { class: "muted" }, "Files or whole folders. Or paste, choose or record; or, in a terminal:"),
        el("code", {}, line)]));
  },

  drawPlaying() {
    for (const row of this.drawn.values()) {
      const isHere = row.dataset.id !== "" && player.has(row.dataset.id);
      if (!isHere && !row.classList.contains("on")) continue;
      row.classList.toggle("on", isHere);
      const name = row.querySelector(".name").textContent;
      const isOn = isHere && player.isPlaying;
      setIcon(row.querySelector(".play button"), isOn ? "pause" : "play", `${isOn ? "Pause" : "Play"} ${name}`);
    }
  },

  rowFile(row) {
    return row.dataset.index === undefined ? null : this.rows.at(Number(row.dataset.index));
  },

  // . hands

  clicked(event) {
    const row = event.target.closest("tr");
    const file = row && this.rowFile(row);
    if (!file) return;
    const index = Number(row.dataset.index);
    this.makeCurrent(index);
    if (event.target.matches("input")) this.select(index, event.target.checked, event.shiftKey);
    else if (event.target.closest("button")) player.toggle(file);
  },

  key(event) {
    const page = Math.max(1, Math.floor(innerHeight / this.height) - 3);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    const row = event.target.closest("tr");
    if (!step || !row || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const from = Number(row.dataset.index);
    const to = Math.max(0, Math.min(this.rows.length - 1, from + step));
    this.moveTo(to, event.target.closest("td").className);
    if (event.shiftKey) this.select(to, true, true);
  },

  makeCurrent(index) {
    const turn = (at, tabIndex) => this.drawn.get(at)?.querySelectorAll("a, button, input").forEach((node) => { node.tabIndex = tabIndex; });
    turn(this.current, -1);
    this.current = index;
    turn(index, 0);
  },

  async moveTo(index, column) {
    const top = this.top() + index * this.height;
    const roof = this.table.tHead.offsetHeight;
    const floor = innerHeight - $("player").offsetHeight - this.chosen.offsetHeight - this.height - 8;
    if (top - roof < scrollY) scrollTo(0, top - roof);
    else if (top > scrollY + floor) scrollTo(0, top - floor);
    this.makeCurrent(index);
    this.draw();
    if (!this.rows.at(index)) await this.rows.reach(index, index + 1).catch(() => {});
    this.drawn.get(index)?.querySelector(`.${column} :is(a, button, input)`)?.focus({ preventScroll: true });
  },

  // . selection

  select(index, isOn, isRange) {
    const [first, last] = isRange ? [Math.min(index, this.anchor), Math.max(index, this.anchor)] : [index, index];
    for (let at = first; at <= last; at += 1) {
      const file = this.rows.at(at);
      if (file && isOn) this.selected.set(file.id, file);
      else if (file) this.selected.delete(file.id);
    }
    this.anchor = index;
    this.drawSelection();
  },

  async selectAll(isOn) {
    if (!isOn) {
      this.selected.clear();
      this.drawSelection();
      return;
    }
    const { rows } = this;
    try {
      await rows.reach(0, Math.min(rows.length, KEPT * STEP));
    } catch (error) {
      say(error.message);
    }
    for (const block of rows.blocks) for (const file of block.records ?? []) this.selected.set(file.id, file);
    this.drawSelection();
  },

  drawSelection() {
    for (const row of this.drawn.values()) {
      const isOn = this.selected.has(row.dataset.id);
      row.classList.toggle("selected", isOn);
      const box = row.querySelector("input");
      if (box) box.checked = isOn;
    }
    const number = this.selected.size;
    this.all.checked = number > 0 && number >= (this.rows?.length ?? 0);
    this.all.indeterminate = number > 0 && !this.all.checked;
    const wasHidden = this.chosen.hidden;
    this.chosen.hidden = !number;
    if (!number || this.chosen.dataset.number === String(number) && !wasHidden) return;
    this.chosen.dataset.number = number;
    const files = () => [...this.selected.values()];
    const drop = () => { this.selected.clear(); this.drawSelection(); };
    this.chosen.replaceChildren(el("span", { class: "grow number", role: "status" }, `${counted(number, "file")} selected`),
      button("Download", () => this.download(files()), { kind: "quiet", sign: "download" }),
      button("Copy curl lines", () => copy(files().map((file) => curlLine(file.id)).join("\n")), { kind: "quiet wide" }),
      button("Remove", () => remove(files(), { taken: () => this.without(files()), gone: () => this.touch() }), { kind: "quiet" }),
      button("", drop, { sign: "close", label: "Clear the selection", kind: "quiet round" }));
  },

  /** Take files out of what is seen; gives a function that puts them back. */
  without(files) {
    const back = this.rows.without(new Set(files.map((file) => file.id)));
    for (const file of files) this.selected.delete(file.id);
    this.redraw();
    return () => { back(); this.redraw(); };
  },

  async download(files) {
    for (const file of files) {
      save(file.id, file.name);
      await new Promise((resolve) => { setTimeout(resolve, 300); }); // browsers drop what comes at once
    }
  },
};

// == 7 file ==========================================================================================================

const SOURCES = {
  samples: "counted in samples of the sound itself",
  frames: "counted: every frame was looked at",
  header: "as the file’s own header states it",
  estimate: "estimated from the bit rate; it may be somewhat off",
};
const SAMPLE_FORMATS = { int: "whole numbers", float: "floating point", ulaw: "G.711 µ-law", alaw: "G.711 A-law" };
const BITRATE_MODES = { CBR: "constant", VBR: "variable", ABR: "variable around an average" };
const yes = (value) => (value ? "yes" : "no");

// field of the record: label, value as people read it, what it means
const FACTS = [
  ["duration", "Duration", (f) => `${clock(f.duration)} (${plain.format(f.duration)} s)`, () => "Of what is really there, without the padding that the format declares."],
  ["duration_exact", "Exact", (f) => yes(f.duration_exact), (f) => (f.duration_exact ? "To the sample." : "A good guess, not to the sample.")],
  ["duration_source", "Duration from", (f) => f.duration_source, (f) => `The duration is ${SOURCES[f.duration_source] ?? f.duration_source}.`],
  ["duration_declared", "Declared duration", (f) => clock(f.duration_declared), () => "What a header claims, where that is not true."],
  ["truncated", "Cut short", (f) => yes(f.truncated), (f) => (f.truncated ? "The file ends before its sound does." : "Nothing is missing at the end.")],
  ["sample_rate", "Sample rate", (f) => `${plain.format(f.sample_rate)} Hz`, () => "Samples a second and channel; half of it is the highest tone it can hold."],
  ["channels", "Channels", (f) => plain.format(f.channels), (f) => ({ 1: "Mono.", 2: "Stereo." }[f.channels] ?? "Surround, or several tracks.")],
  ["bits_per_sample", "Bits per sample", (f) => plain.format(f.bits_per_sample), () => "Resolution of PCM and of lossless codecs; lossy ones have none."],
  ["sample_format", "Sample format", (f) => SAMPLE_FORMATS[f.sample_format] ?? f.sample_format, () => "How one sample is written down."],
  ["bitrate", "Bit rate", (f) => `${plain.format(Math.round(f.bitrate / 1000))} kbit/s`, () => "Of the sound alone, without tags and pictures."],
  ["bitrate_mode", "Bit rate mode", (f) => BITRATE_MODES[f.bitrate_mode] ?? f.bitrate_mode, () => "Whether each second takes as many bits."],
  ["lossless", "Lossless", (f) => yes(f.lossless),
    (f) => (f.lossless ? "Sounds as it did before it was packed, bit for bit." : "What is hard to hear was left out to save room.")],
  ["container", "Container", (f) => f.container, () => "The wrapping, found out from the content, not from the name."],
  ["codec", "Codec", (f) => f.codec, () => "How the sound itself is coded."],
  ["codec_profile", "Codec profile", (f) => f.codec_profile, () => "Which variant of the codec."],
  ["mime", "Media type", (f) => f.mime, () => "What downloads are labelled with."],
  ["size", "Size", (f) => `${bytes(f.size)} (${counted(f.size, "byte")})`, () => "The whole file as it was uploaded; it is kept byte for byte."],
  ["uploaded", "Uploaded", (f) => longDate.format(new Date(f.uploaded)), () => "When this content was stored, in your time zone."],
  ["uploaded_by", "Uploaded by", (f) => f.uploaded_by, () => "The account that it belongs to."],
  ["shared", "Shared", (f) => yes(f.shared), (f) => (f.shared ? "Every account of this server may read it." : "Nobody else sees it, but for admins and who has a link.")],
  ["sha256", "SHA-256", (f) => f.sha256, () => "The fingerprint of the content: equal files have equal ones."],
  ["id", "Id", (f) => f.id, () => "How programs call it; it stays when the name changes."],
];

function factList(file) {
  const known = FACTS.filter(([field]) => file[field] !== null && file[field] !== undefined);
  const absent = FACTS.filter(([field]) => file[field] === null).map(([, label]) => label.toLowerCase());
  return el("section", { class: "card" }, el("h2", {}, "What it is"),
    el("dl", { class: "facts" }, known.map(([, label, show, mean]) => el("div", {}, el("dt", {}, label),
      el("dd", { class: "number" }, show(file), el("small", {}, mean(file)))))),
    absent.length > 0 && el("p", { class: "muted small" }, `Does not apply here: ${absent.join(", ")}.`));
}

class FilePage {
  constructor(file, isDecoded) {
    Object.assign(this, { file, isDecoded });
    this.title = el("div", { class: "title" });
    this.notes = el("section", { class: "card" });
    this.listen = button("Play", () => player.toggle(this.file), { sign: "play", kind: "primary" });
    this.node = el("article", { class: "file" },
      el("p", {}, el("a", { href: "/", class: "back", onclick: (event) => this.back(event) }, icon("back"), "All files")),
      this.title, el("p", { class: "muted number", dir: "auto" }, this.summary()),
      el("div", { class: "row acts" }, this.listen,
        button("Download", () => save(file.id, this.file.name), { sign: "download", kind: "quiet" }),
        button("Rename", () => this.rename(), { kind: "quiet" }), button("Remove", () => this.remove(), { kind: "quiet" })),
      file.warnings.length > 0 && el("section", { class: "card warnings" }, el("h2", {}, "Worth knowing"), el("ul", {}, file.warnings.map((words) => el("li", {}, words)))),
      new WaveView(this).node,
      el("div", { class: "columns" },
        el("div", {}, factList(file)),
        el("div", {}, this.tags(), this.notes, converter(file, isDecoded),
          session.holds(file) && sharingCard(this), this.elsewhere())));
    this.drawTitle();
    this.drawNotes();
    this.watch = () => this.drawPlaying();
    player.watchers.add(this.watch);
    this.watch();
  }

  static async open(id) {
    const response = await ask("GET", record(id));
    await session.ready;
    return new FilePage(await response.json(), isConvertible(response));
  }

  close() {
    player.watchers.delete(this.watch);
  }

  summary() {
    const { duration, duration_exact: isExact, sample_rate: hertz, channels, container, codec, size } = this.file;
    const sound = { 1: "mono", 2: "stereo" }[channels] ?? counted(channels, "channel");
    return [(isExact ? "" : "≈ ") + clock(duration), codec === container ? container : `${container} with ${codec}`, rate(hertz), sound, bytes(size)].join(" · ");
  }

  /** To the list as it was left, if that is where we come from. */
  back(event) {
    if (!list.node || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const query = String(list.parameters);
    go(query ? "/?" + query : "/", { isBack: true });
  }

  drawPlaying() {
    const isOn = player.has(this.file.id) && player.isPlaying;
    const label = isOn ? "Pause" : "Play";
    if (this.listen.textContent !== label) this.listen.replaceChildren(icon(isOn ? "pause" : "play"), el("span", {}, label));
  }

  // . changes

  async change(what) {
    this.file = await (await ask("PATCH", record(this.file.id), { json: what })).json();
    list.touch();
  }

  drawTitle() {
    this.title.replaceChildren(el("h1", { dir: "auto", tabIndex: -1 }, this.file.name));
    document.title = `${this.file.name} · audioserver`;
  }

  rename() {
    const field = el("input", { type: "text", value: this.file.name, "aria-label": "New name", dir: "auto", required: true });
    const refusal = el("p", { class: "refusal", role: "alert" });
    const done = () => { this.drawTitle(); this.title.querySelector("h1").focus(); };
    const form = el("form", { class: "row", onsubmit: async (event) => {
      event.preventDefault();
      try {
        await this.change({ name: field.value });
        if (player.has(this.file.id)) player.rename(this.file);
        done();
      } catch (error) {
        refusal.textContent = error.message;
      }
    }, onkeydown: (event) => { if (event.key === "Escape") done(); } },
    el("span", { class: "grow" }, field), el("button", { class: "primary" }, "Save"), button("Cancel", done, { kind: "quiet" }), refusal);
    this.title.replaceChildren(form);
    field.focus();
    field.setSelectionRange(0, field.value.lastIndexOf(".") > 0 ? field.value.lastIndexOf(".") : field.value.length);
  }

  remove() {
    const { file } = this;
    remove([file], { gone: () => list.touch(), taken: () => {
      list.touch();
      go("/");
      return () => { list.touch(); go(address(file.id)); };
    } });
  }

  tags() {
    const { tags, pictures } = this.file;
    const rows = Object.entries(tags).map(([key, value]) => el("div", {}, el("dt", {}, key),
      el("dd", {}, [value].flat().map((text) => el("p", { dir: "auto" }, text)))));
    const node = el("section", { class: "card", hidden: !rows.length && !pictures.length }, el("h2", {}, "Tags"), el("dl", { class: "facts" }, rows));
    if (pictures.length) this.cover(node);
    return node;
  }

  /** The first picture inside the audio, cut out by its place. */
  async cover(node) {
    const { mime, offset, length } = this.file.pictures[0];
    const kinds = { "image/jpeg": [0xff, 0xd8], "image/png": [0x89, 0x50], "image/gif": [0x47, 0x49], "image/webp": [0x52, 0x49] };
    if (!kinds[mime] || !length || offset === null || length > 8_000_000) return;
    try {
      const response = await ask("GET", content(this.file.id), { headers: { Range: `bytes=${offset}-${offset + length - 1}` } });
      const picture = await response.arrayBuffer();
      const head = new Uint8Array(picture, 0, 2);
      if (response.status !== 206 || kinds[mime].some((value, at) => head[at] !== value)) return; // coded once more inside its tag
      node.querySelector("h2").after(el("img", { class: "cover", alt: "The picture in the file", src: URL.createObjectURL(new Blob([picture], { type: mime })) }));
    } catch { /* a page without a picture is a page */ }
  }

  drawNotes() {
    const rows = el("div", { class: "notes" });
    const refusal = el("p", { class: "refusal", role: "alert" });
    const add = (key = "", value = "") => {
      const row = el("div", { class: "row" },
        el("input", { type: "text", value: key, "aria-label": "Field", placeholder: "field", class: "key", dir: "auto" }),
        el("input", { type: "text", value, "aria-label": key ? `Value of ${key}` : "Value", placeholder: "value", class: "value", dir: "auto" }),
        button("", () => row.remove(), { sign: "close", label: key ? `Remove ${key}` : "Remove this field", kind: "quiet round" }));
      rows.append(row);
      return row;
    };
    for (const [key, value] of Object.entries(this.file.metadata)) add(key, value);
    this.notes.replaceChildren(el("h2", {}, "Notes"), el("p", { class: "muted small" }, "Fields of your own; search finds them."),
      el("form", { onsubmit: async (event) => {
        event.preventDefault();
        const pairs = [...rows.children].map((row) => [row.querySelector(".key").value.trim(), row.querySelector(".value").value]);
        try {
          await this.change({ metadata: Object.fromEntries(pairs.filter(([key]) => key)) });
          this.drawNotes();
          say("Saved.");
        } catch (error) {
          refusal.textContent = error.message;
        }
      } }, rows, refusal, el("div", { class: "row" },
        button("Add a field", () => add().querySelector("input").focus(), { kind: "quiet" }), el("button", { class: "primary" }, "Save the notes"))));
  }

  elsewhere() {
    const line = (label, text) => el("div", { class: "copyable" }, el("p", { class: "muted small" }, label), el("code", {}, text),
      button("Copy", () => copy(text), { kind: "quiet", label: `Copy: ${label}` }));
    return el("section", { class: "card" }, el("h2", {}, "Elsewhere"),
      line("Download in a terminal", curlLine(this.file.id)),
      line("The record as JSON", `curl "${location.origin}${record(this.file.id)}"`),
      line("This page", location.origin + address(this.file.id)));
  }
}

// -- the wave ------------------------------------------------------------------------------------------------------------

/** Whether the server decodes it: then its record points to the conversion (RFC 8288). */
const isConvertible = (response) => /rel="?related/.test(response.headers.get("Link") ?? "");

const BAR = 3; // CSS pixels of one bar and its gap
const FEWEST = 400; // points of the whole that are asked for at least, so that a wider window needs no more

/** Bars of a waveform on a canvas; `view` is the part that is seen, in fractions of the whole. */
class Wave {
  constructor(file) {
    Object.assign(this, { file, whole: null, part: null, view: [0, 1], played: 0 });
    this.canvas = el("canvas", { class: "wave", "aria-hidden": "true" });
  }

  get bars() {
    return Math.floor(this.canvas.clientWidth / BAR);
  }

  /** Fetch points that are fine enough for the view; false where the server decodes no such sound. */
  async load(isDecoded) {
    try {
      isDecoded ??= isConvertible(await ask("GET", record(this.file.id)));
      if (!isDecoded) return false;
      if (!this.whole || this.whole.width < this.bars) this.whole = await this.fetch({ width: Math.max(FEWEST, this.bars) });
      this.draw();
      const { view, file: { duration } } = this;
      const [from, to] = view;
      if (this.whole.heights.length * (to - from) < this.bars && !(this.part?.view === view)) {
        const part = await this.fetch({ width: this.bars, start: from * duration, stop: to * duration });
        if (this.view === view) this.part = { ...part, view };
        this.draw();
      }
      return true;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.refusal = `There is no waveform. ${error.message}`;
      return false;
    }
  }

  /** How loud each point is, and where it lies in seconds. */
  async fetch({ width, start = 0, stop }) {
    const query = new URLSearchParams({ width });
    if (stop !== undefined) {
      query.set("from", start.toFixed(6));
      query.set("to", stop.toFixed(6));
    }
    const response = await ask("GET", `${record(this.file.id)}/peaks?${query}`);
    const { data, channels, length, bits, sample_rate: hertz, samples_per_pixel: each } = await response.json();
    const heights = new Float32Array(length);
    for (let at = 0; at < data.length; at += 1) {
      const point = Math.floor(at / (2 * channels));
      heights[point] = Math.max(heights[point], Math.abs(data[at]) / 2 ** (bits - 1));
    }
    return { width, start, each: each / hertz, heights, loudest: heights.reduce((most, height) => Math.max(most, height), 0) };
  }

  draw(played = this.played) {
    this.played = played;
    const { canvas, whole, part, view, bars, file: { duration } } = this;
    const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
    canvas.parentNode?.classList.toggle("drawn", whole !== null);
    if (!whole || !wide) return;
    const scale = devicePixelRatio || 1;
    if (canvas.width !== Math.round(wide * scale) || canvas.height !== Math.round(high * scale)) {
      canvas.width = Math.round(wide * scale);
      canvas.height = Math.round(high * scale);
    }
    const pen = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    const [behind, ahead] = [style.getPropertyValue("--accent"), style.getPropertyValue("--wave")];
    const [from, to] = view;
    const { start, each, heights } = part?.view === view ? part : whole;
    const loudest = Math.max(whole.loudest, 0.1); // what is nearly silent stays small
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, wide, high);
    for (let bar = 0; bar < bars; bar += 1) {
      const place = from + (to - from) * (bar / bars);
      const first = Math.floor((place * duration - start) / each);
      const last = Math.max(first + 1, Math.floor(((place + (to - from) / bars) * duration - start) / each));
      let tall = 0;
      for (let at = Math.max(0, first); at < last && at < heights.length; at += 1) tall = Math.max(tall, heights[at]);
      tall = Math.max(1.5, (tall / loudest) * (high - 2));
      pen.fillStyle = place < this.played ? behind : ahead;
      pen.fillRect(bar * BAR, (high - tall) / 2, BAR - 1, tall);
    }
  }
}

/** The large wave of a file: press to hear from there, drag to see a part closer. */
class WaveView {
  constructor(page) {
    this.page = page;
    this.wave = new Wave(page.file);
    this.mark = el("span", { class: "mark", hidden: true });
    this.head = el("span", { class: "head" });
    this.surface = el("div", { class: "surface seek", role: "slider", tabIndex: 0, "aria-label": "Position in the sound", "aria-valuemin": 0,
      onpointerdown: (event) => this.grip(event), onkeydown: (event) => this.key(event) }, this.wave.canvas, this.mark, this.head);
    this.from = el("span", { class: "number" });
    this.to = el("span", { class: "number" });
    this.words = el("p", { class: "muted small" });
    this.node = el("section", { class: "waves", "aria-label": "Waveform" }, this.surface,
      el("div", { class: "row muted small" }, this.from, el("span", { class: "grow" }),
        this.tools = el("span", { class: "row", hidden: true },
          button("Closer", () => this.zoom(2), { kind: "quiet" }), button("Wider", () => this.zoom(0.5), { kind: "quiet" }),
          button("Whole", () => this.look(0, 1), { kind: "quiet" })),
        el("span", { class: "grow" }), this.to), this.words);
    this.watch = () => (this.node.isConnected || !this.wasShown ? this.draw() : player.watchers.delete(this.watch));
    player.watchers.add(this.watch);
    this.resized = new ResizeObserver(() => { this.wasShown = true; this.fetch(); });
    this.resized.observe(this.surface);
  }

  get duration() {
    return player.has(this.page.file.id) && player.duration || this.page.file.duration || 0;
  }

  get position() {
    return player.has(this.page.file.id) ? player.audio.currentTime : 0;
  }

  async fetch() {
    this.draw();
    const isDrawn = await this.wave.load(this.page.isDecoded);
    this.tools.hidden = !isDrawn;
    this.surface.classList.toggle("flat", !isDrawn);
    this.words.textContent = isDrawn ? "Press to listen from there; drag over a part to see it closer."
      : this.wave.refusal ?? `The server does not decode ${this.page.file.codec}, so there is no waveform. Your browser may play it all the same.`;
    this.draw();
  }

  draw() {
    const { duration, position } = this;
    const [from, to] = this.wave.view;
    const at = duration ? position / duration : 0;
    this.wave.draw(at);
    this.head.hidden = !player.has(this.page.file.id) || at < from || at > to;
    this.head.style.left = `${((at - from) / (to - from)) * 100}%`;
    this.from.textContent = clock(from * duration);
    this.to.textContent = clock(to * duration);
    this.surface.setAttribute("aria-valuemax", duration.toFixed(2));
    this.surface.setAttribute("aria-valuenow", position.toFixed(2));
    this.surface.setAttribute("aria-valuetext", `${moment(position)} of ${clock(duration)}`);
  }

  look(from, to) {
    const least = Math.min(1, 0.02 / Math.max(0.02, this.duration)); // 20 ms
    const length = Math.min(1, Math.max(least, to - from));
    const start = Math.max(0, Math.min(1 - length, from));
    this.wave.view = [start, start + length];
    this.fetch();
  }

  zoom(factor) {
    const [from, to] = this.wave.view;
    const at = this.duration ? this.position / this.duration : 0;
    const middle = at > from && at < to ? at : (from + to) / 2;
    const half = (to - from) / factor / 2;
    this.look(middle - half, middle + half);
  }

  seek(fraction) {
    if (!player.has(this.page.file.id)) player.toggle(this.page.file);
    player.seek(fraction * this.duration);
  }

  key(event) {
    if (!player.has(this.page.file.id) && (event.key === "ArrowRight" || event.key === "ArrowLeft")) player.load(this.page.file);
    const { key } = event;
    if (key === "Home" || key === "End") this.seek(key === "Home" ? 0 : 1);
    else if (key === "+" || key === "-") this.zoom(key === "+" ? 2 : 0.5);
    else if (key === " ") player.toggle(this.page.file);
    else return;
    event.preventDefault();
  }

  grip(event) {
    if (event.button) return;
    const box = this.surface.getBoundingClientRect();
    const [from, to] = this.wave.view;
    const fraction = (x) => from + (to - from) * Math.max(0, Math.min(1, (x - box.left) / box.width));
    const start = event.clientX;
    const move = ({ clientX }) => {
      this.mark.hidden = Math.abs(clientX - start) < 6 || !this.wave.whole;
      this.mark.style.left = `${Math.max(0, Math.min(start, clientX) - box.left)}px`;
      this.mark.style.width = `${Math.min(Math.abs(clientX - start), box.width)}px`;
    };
    const stop = ({ clientX, type }) => {
      for (const kind of ["pointermove", "pointerup", "pointercancel"]) this.surface.removeEventListener(kind, kind === "pointermove" ? move : stop);
      const isDrag = !this.mark.hidden;
      this.mark.hidden = true;
      if (type === "pointercancel") return;
      if (isDrag) this.look(fraction(Math.min(start, clientX)), fraction(Math.max(start, clientX)));
      else this.seek(fraction(clientX));
    };
    this.surface.setPointerCapture(event.pointerId);
    this.surface.addEventListener("pointermove", move);
    this.surface.addEventListener("pointerup", stop);
    this.surface.addEventListener("pointercancel", stop);
  }
}

// -- conversion ----------------------------------------------------------------------------------------------------------

const MP3_RATES = [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000];
const WAV_RATES = [8000, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000];
const BITRATES = { high: [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320], low: [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160] };
const QUALITIES = [["quality=0", "variable, best"], ["quality=2", "variable, better"], ["quality=4", "variable"],
  ["quality=6", "variable, smaller"], ["quality=9", "variable, smallest"]];
const conversions = new Map(); // id of a file: its conversion under way, so that it is there when one comes back

function options(select, pairs, value) {
  select.replaceChildren(...pairs.map(([of, label]) => el("option", { value: of }, label)));
  select.value = value;
  if (select.selectedIndex < 0) select.selectedIndex = 0;
}

function converter(file, isDecoded) {
  if (!isDecoded) {
    return el("section", { class: "card" }, el("h2", {}, "Convert"),
      el("p", { class: "muted small" }, "The server converts MP3, and PCM in WAV, AIFF, AU and CAF. This file is kept and served as it is."));
  }
  const stem = file.name.replace(/\.[^.]*$/, "");
  const [format, hertz, size, channels] = [0, 0, 0, 0].map(() => el("select"));
  const keep = el("input", { type: "checkbox" });
  const name = el("input", { type: "text", dir: "auto" });
  const fill = () => {
    const isMp3 = format.value === "mp3";
    options(hertz, (isMp3 ? MP3_RATES : WAV_RATES).map((value) => [value, rate(value)]), hertz.value || "32000");
    const rates = BITRATES[Number(hertz.value) >= 32000 ? "high" : "low"];
    options(size, [["", "usual"], ...rates.map((value) => [`bitrate=${value}`, `${value} kbit/s`]), ...QUALITIES], size.value);
    size.parentNode.hidden = !isMp3;
    name.parentNode.hidden = !keep.checked;
    name.value = `${stem} ${hertz.value}.${format.value}`;
  };
  const place = el("div", { "aria-live": "polite" });
  const form = el("form", { onchange: fill, onsubmit: (event) => {
    event.preventDefault();
    const query = new URLSearchParams({ id: file.id, format: format.value, rate: hertz.value, async: "true" });
    if (size.value && format.value === "mp3") query.set(...size.value.split("="));
    if (channels.value) query.set("channels", channels.value);
    if (keep.checked) query.set("save_as", name.value);
    conversions.get(file.id)?.close();
    const conversion = new Conversion(file, query);
    conversions.set(file.id, conversion);
    place.replaceChildren(conversion.node);
  } }, el("div", { class: "fields" }, labelled("To", format), labelled("Sample rate", hertz), labelled("Bit rate", size), labelled("Channels", channels)),
  el("label", { class: "tick" }, keep, "Keep the result in the list"), labelled("Name", name), el("button", { class: "primary" }, "Convert"));
  options(format, [["mp3", "MP3"], ["wav", "WAV, 16 bits"]], "mp3");
  options(channels, [["", "as they are"], ["1", "mono"], ["2", "stereo"]], "");
  fill();
  name.addEventListener("change", (event) => event.stopPropagation());
  if (conversions.has(file.id)) place.append(conversions.get(file.id).node);
  return el("section", { class: "card" }, el("h2", {}, "Convert"), form, place);
}

/** One conversion on its way: what the server tells of it as it happens. */
class Conversion {
  constructor(file, query) {
    Object.assign(this, { file, query });
    this.words = el("p", { class: "number grow" }, "asked for");
    this.bar = el("progress", { max: 1, "aria-label": "Conversion" });
    this.acts = el("span", { class: "row" }, button("Cancel", () => this.cancel(), { kind: "quiet" }));
    this.node = el("div", { class: "conversion" }, el("div", { class: "row" }, this.words, this.acts), this.bar);
    this.begin();
  }

  async begin() {
    try {
      this.job = (await (await ask("POST", "/resample?" + this.query)).json()).id;
    } catch (error) {
      this.fail(error);
      return;
    }
    if (this.isClosed) return;
    this.events = new EventSource(`/resample/${this.job}/events`);
    this.events.onmessage = ({ data }) => this.tell(JSON.parse(data));
    this.events.onerror = () => { if (this.events.readyState === EventSource.CLOSED && !this.isClosed) this.fail(new Problem(0, { title: LOST })); };
  }

  tell(status) {
    this.bar.value = status.progress ?? 0;
    if (status.status === "queued") this.words.textContent = status.position ? `waits; place ${plain.format(status.position)}` : "waits";
    else if (status.status === "running") {
      const left = status.seconds_left ? ` · ${wait(status.seconds_left)} left` : "";
      this.words.textContent = percent.format(status.progress ?? 0) + left;
    } else if (status.status === "failed") this.fail(new Problem(status.problem?.status, status.problem));
    else this.finish(status);
  }

  finish(status) {
    this.close();
    this.words.textContent = [status.done, status.size && bytes(status.size), ...(status.warnings ?? [])].filter(Boolean).join(" · ");
    if (status.file) {
      list.touch();
      this.acts.replaceChildren(el("a", { class: "button", href: address(status.file.id ?? status.file.split("/").pop()) }, "Open the result"));
    } else {
      this.acts.replaceChildren(el("a", { class: "button", href: status.result, download: status.name, onclick: () => {
        this.words.textContent = "Fetched; a result is given once.";
        this.acts.replaceChildren();
        conversions.delete(this.file.id);
      } }, icon("download"), "Download the result"));
    }
  }

  fail(error) {
    this.close();
    this.words.className = "refusal grow";
    this.words.setAttribute("role", "alert");
    this.words.textContent = error.message;
    this.acts.replaceChildren();
  }

  close() {
    this.isClosed = true;
    this.events?.close();
    this.bar.hidden = true;
  }

  cancel() {
    this.close();
    conversions.delete(this.file.id);
    this.node.replaceChildren(el("p", { class: "muted" }, "Cancelled."));
    if (this.job) ask("DELETE", `/resample/${this.job}`).catch(() => {});
  }
}

// == 8 accounts ======================================================================================================

const LIFETIMES = [["1h", "an hour"], ["24h", "a day"], ["7d", "a week"], ["30d", "30 days"], ["90d", "90 days"], ["365d", "a year"]];
const SCOPES = { read: "see and download", write: "upload, change, convert", delete: "remove" };

/** Who is looking; `me` is what GET /me says, null while that is not known. */
const session = {
  me: null, ready: null,

  look() {
    this.ready = this.ask();
    return this.ready;
  },

  async ask() {
    try {
      this.me = await (await ask("GET", "/me")).json();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.me = null;
    }
    this.draw();
  },

  /** Whether there are accounts on this server, and this is one. */
  get isAccount() {
    return Boolean(this.me?.name);
  },

  /** Whether one may change the file, and let others see it. */
  holds(file) {
    return Boolean(this.me) && (!this.me.name || this.me.admin || file.uploaded_by === this.me.name);
  },

  draw() {
    this.link?.remove();
    this.link = this.me
      ? el("a", { class: "button quiet", href: "/account" }, this.me.name ?? "Access")
      : el("a", { class: "button quiet", href: "/account" }, "Sign in");
    $("actions").append(this.link);
  },

  async begin(name, password) {
    await ask("POST", "/session", { json: { name, password } });
    list.reset();
    await this.look();
  },

  /** Log out, and keep nothing of this account for the next one. */
  async end() {
    await ask("DELETE", "/session");
    player.close();
    uploads.forget();
    list.reset();
    for (const conversion of conversions.values()) conversion.close();
    conversions.clear();
    await this.look();
    go("/account");
  },
};

/** The form that is shown where the server wants to know who asks. */
function signInPage(then) {
  const name = el("input", { type: "text", name: "name", autocomplete: "username", autocapitalize: "off", required: true });
  const password = el("input", { type: "password", name: "password", autocomplete: "current-password", required: true });
  const refusal = el("p", { class: "refusal", role: "alert" });
  return { node: el("div", { class: "state" }, el("form", { class: "card sign-in", onsubmit: async (event) => {
    event.preventDefault();
    refusal.textContent = "";
    try {
      await session.begin(name.value, password.value);
      then();
    } catch (error) {
      refusal.textContent = error.message;
      password.select();
    }
  } }, el("h1", { tabIndex: -1 }, "Sign in"), labelled("Name", name), labelled("Password", password), refusal, el("button", { class: "primary" }, "Sign in"))) };
}

function labelled(label, node) {
  return el("label", { class: "field" }, el("span", {}, label), node);
}

function lifetime(value, more = []) {
  const select = el("select", {}, [...LIFETIMES, ...more].map(([of, label]) => el("option", { value: of }, label)));
  select.value = value;
  return select;
}

const dateOf = (text) => (text ? shortDate.format(new Date(text)) : "never");

/** Something with a list, a form that makes more of it, and the one time that its secret is seen. */
class Kept {
  /** `of(item)` gives its words; `form` are the fields; `wish()` what is posted; `secret(made)` what is shown once. */
  constructor({ title, about, path, collection, removePath, of, fields, wish, secret, make }) {
    Object.assign(this, { path, collection, removePath, of, wish, secret });
    this.items = el("ul", { class: "plain kept" });
    this.once = el("div", { "aria-live": "polite" });
    this.refusal = el("p", { class: "refusal", role: "alert" });
    this.node = el("section", { class: "card" }, el("h2", {}, title), el("p", { class: "muted small" }, about), this.items, this.once,
      el("form", { onsubmit: (event) => this.make(event) }, fields, this.refusal, el("button", { class: "primary" }, make)));
    this.load();
  }

  async load() {
    try {
      const all = (await (await ask("GET", this.path)).json())[this.collection];
      this.items.replaceChildren(...all.map((item) => el("li", { class: "row" }, el("div", { class: "grow" }, this.of(item)),
        button("Remove", () => this.remove(item), { kind: "quiet", label: `Remove ${this.of(item)[0].textContent}` }))));
    } catch (error) {
      this.refusal.textContent = error.message;
    }
  }

  async make(event) {
    event.preventDefault();
    this.refusal.textContent = "";
    try {
      const made = await (await ask("POST", this.path, { json: this.wish() })).json();
      const text = this.secret(made);
      this.once.replaceChildren(el("div", { class: "copyable" }, el("p", { class: "small" }, "Copy it now; it is not shown again."), el("code", {}, text),
        button("Copy", () => copy(text), { kind: "quiet" })));
      this.load();
    } catch (error) {
      this.refusal.textContent = error.message;
    }
  }

  async remove(item) {
    try {
      await ask("DELETE", this.removePath + encodeURIComponent(item.id));
      this.once.replaceChildren();
      this.load();
    } catch (error) {
      this.refusal.textContent = error.message;
    }
  }
}

const line = (first, ...more) => [el("p", { dir: "auto" }, first), el("p", { class: "muted small number" }, more.filter(Boolean).join(" · "))];
const absolute = (url) => new URL(url, location.origin).href;

function tokensCard() {
  const note = el("input", { type: "text", dir: "auto" });
  const expires = lifetime("90d", [["", "no end"]]);
  const boxes = Object.entries(SCOPES).map(([scope, meaning]) => [scope, el("input", { type: "checkbox", checked: true }), meaning]);
  return new Kept({
    title: "Tokens", about: "For programs: each stands for you, as far as you let it.",
    path: "/tokens", collection: "tokens", removePath: "/tokens/", make: "Make a token",
    of: (token) => line(token.note || token.id, token.scopes.join(", "), `made ${dateOf(token.created)}`, `ends ${dateOf(token.expires)}`, `last used ${dateOf(token.used)}`),
    fields: [labelled("What it is for", note), labelled("Lasts", expires),
      el("fieldset", {}, el("legend", { class: "small muted" }, "It may"), boxes.map(([scope, box, meaning]) => el("label", { class: "tick" }, box, `${scope}: ${meaning}`)))],
    wish: () => ({ note: note.value, expires: expires.value || null, scopes: boxes.filter(([, box]) => box.checked).map(([scope]) => scope) }),
    secret: (made) => made.token,
  }).node;
}

function dropsCard() {
  const note = el("input", { type: "text", dir: "auto" });
  const expires = lifetime("7d");
  const [files, megabytes, minutes] = [0, 0, 0].map(() => el("input", { type: "text", inputMode: "numeric", placeholder: "no limit", pattern: "[0-9]*" }));
  const limit = (field, factor = 1) => (field.value ? Number(field.value) * factor : null);
  return new Kept({
    title: "Drop links", about: "Whoever has such a link can send audio to you, and see nothing.",
    path: "/drops", collection: "drops", removePath: "/drops/", make: "Make a drop link",
    of: (drop) => line(drop.note || drop.id, `${counted(drop.used.files, "file")} came${drop.files === null ? "" : ` of ${plain.format(drop.files)}`}`,
      `${bytes(drop.used.bytes)}${drop.bytes === null ? "" : ` of ${bytes(drop.bytes)}`}`,
      drop.minutes !== null && `${plain.format(drop.used.minutes)} of ${plain.format(drop.minutes)} minutes`, `ends ${dateOf(drop.expires)}`),
    fields: [labelled("What it is for", note), el("div", { class: "fields" }, labelled("Lasts", expires), labelled("Most files", files),
      labelled("Most megabytes", megabytes), labelled("Most minutes", minutes))],
    wish: () => ({ note: note.value, expires: expires.value, files: limit(files), bytes: limit(megabytes, 1e6), minutes: limit(minutes) }),
    secret: (made) => absolute(made.url),
  }).node;
}

function sharingCard(page) {
  const { file } = page;
  const expires = lifetime("24h");
  const shows = el("select", {}, el("option", { value: "true" }, "downloads it"), el("option", { value: "" }, "opens it in the browser"));
  const kept = new Kept({
    title: "Share", about: "Whoever has such a link can read this file, without an account.",
    path: `${record(file.id)}/links`, collection: "links", removePath: "/links/", make: "Make a link",
    of: (link) => line(`Link ${link.id}`, link.download ? "downloads" : "opens", `ends ${longDate.format(new Date(link.expires))}`),
    fields: el("div", { class: "fields" }, labelled("Lasts", expires), labelled("It", shows)),
    wish: () => ({ expires: expires.value, download: Boolean(shows.value) }),
    secret: (made) => absolute(made.url),
  });
  const everybody = el("input", { type: "checkbox", checked: file.shared, onchange: async () => {
    try {
      await page.change({ shared: everybody.checked });
    } catch (error) {
      everybody.checked = !everybody.checked;
      kept.refusal.textContent = error.message;
    }
  } });
  if (session.isAccount) kept.node.querySelector("h2").after(el("label", { class: "tick" }, everybody, "Every account here may read it"));
  return kept.node;
}

function usageCard({ usage, quota }) {
  const row = (label, used, most, show) => el("div", {}, el("dt", {}, label), el("dd", { class: "number" }, most === null ? show(used) : `${show(used)} of ${show(most)}`,
    most !== null && el("meter", { min: 0, max: most || 1, value: used, "aria-label": label })));
  return el("section", { class: "card" }, el("h2", {}, "What is here"), el("dl", { class: "facts" },
    row("Files", usage.files, quota.files, (n) => plain.format(n)), row("Room", usage.bytes, quota.bytes, bytes), row("Sound", usage.seconds, quota.seconds, clock)));
}

const accountPage = {
  async open() {
    await session.look();
    const { me } = session;
    if (!me) return signInPage(() => go("/"));
    document.title = "Account · audioserver";
    return { node: el("article", { class: "file" }, el("p", {}, el("a", { href: "/", class: "back" }, icon("back"), "All files")),
      el("div", { class: "row" }, el("h1", { class: "grow", tabIndex: -1, dir: "auto" }, me.name ?? "Open to everybody"),
        session.isAccount && button("Sign out", () => session.end().catch((error) => say(error.message)), { kind: "quiet" })),
      el("p", { class: "muted" }, me.name ? (me.admin ? "An admin: sees and changes the files of all accounts." : "Sees its own files, and what is shared with everybody.")
        : "There is no account on this server: who reaches it may do everything. On the machine itself, user add makes the first one."),
      el("p", {}, el("a", { href: "/docs" }, "What programs can do here: the interface, with lines of curl")),
      el("div", { class: "columns" }, el("div", {}, usageCard(me), session.isAccount && tokensCard()), el("div", {}, dropsCard()))) };
  },
};

/** Where a drop link leads: a button to record, and hardly anything else. */
function dropPage(token) {
  document.title = "Send a recording";
  document.body.classList.add("dropping");
  uploads.to = `/drop/${encodeURIComponent(token)}`;
  const files = el("input", { type: "file", multiple: true, hidden: true, accept: "audio/*", onchange() {
    uploads.add([...this.files].map((file) => ({ file })));
    this.value = "";
  } });
  const choose = (isToRecord) => { // without TLS the phone's own recorder takes the place of ours
    files.toggleAttribute("capture", isToRecord);
    files.click();
  };
  return { node: el("div", { class: "state drop" }, el("h1", { tabIndex: -1 }, "Send a recording"),
    button("Record", () => (navigator.mediaDevices ? recorder.begin() : choose(true)), { sign: "microphone", kind: "primary huge" }), files,
    button("or choose files", () => choose(false), { kind: "quiet" })),
  close() {
    document.body.classList.remove("dropping");
    uploads.to = "/files";
  } };
}

// == 9 start =========================================================================================================

let turns = 0; // counts the views, so that a slow one does not come after a quick one
let view = null; // what is seen: {node, close}

/** Go to an address of this page.  `keep` leaves focus and scrolling alone; `isBack` scrolls to where the list was. */
function go(target, { replace = false, ...how } = {}) {
  remember();
  history[replace ? "replaceState" : "pushState"](null, "", target);
  show(how);
}

function remember() {
  if (list.node?.isConnected) list.scroll = scrollY;
}

async function viewOf({ pathname, search }) {
  try {
    if (pathname === "/") return list.open(search);
    if (pathname === "/account") return await accountPage.open();
    if (pathname.startsWith("/drop/")) return dropPage(decodeURIComponent(pathname.slice("/drop/".length)));
    if (pathname.startsWith("/file/")) return await FilePage.open(decodeURIComponent(pathname.slice("/file/".length)));
    throw new Problem(404, { title: "There is no such page" });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 401) return signInPage(() => show());
    return { node: el("div", { class: "state" }, el("h1", { tabIndex: -1 }, error.message), el("a", { href: "/" }, "All files")) };
  }
}

function swap(next) {
  view?.close?.();
  view = next;
  $("main").replaceChildren(next.node);
}

async function show({ keep = false, isBack = false } = {}) {
  const turn = turns += 1;
  const next = await viewOf(location);
  if (turn !== turns) {
    next.close?.();
    return;
  }
  if (next === list) document.title = "audioserver";
  if (next === view && next === list) return;
  swap(next);
  if (next === list) {
    list.redraw();
    list.freshen();
  }
  scrollTo(0, next === list && isBack ? list.scroll : 0);
  if (!keep && turn > 1) next.node.querySelector("h1")?.focus({ preventScroll: true });
}

function followLinks() {
  addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    if (!link || link.target || link.hasAttribute("download") || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const url = new URL(link.href);
    if (url.origin !== location.origin || !/^\/($|account$|file\/)/.test(url.pathname) || url.hash) return;
    event.preventDefault();
    go(url.pathname + url.search);
  });
  addEventListener("popstate", () => { remember(); show({ isBack: true }); });
  history.scrollRestoration = "manual";
}

choosers();
acceptDrops();
player.listen();
followLinks();
if (!location.pathname.startsWith("/drop/")) session.look();
show();
