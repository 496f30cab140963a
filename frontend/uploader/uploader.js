// Picks files and sends those that the page's Python side has given a token for, straight from the disk. What becomes of
// each is decided there: this side only holds the files, so that they can be sent again, and says which it holds.

const held = new Map(); // running number: {file, place}; place is the id under which the service has it
const sending = new Map(); // token: XMLHttpRequest
const ended = new Set(); // tokens whose request has ended, however
const PATIENCE_MS = 1500;
const narrow = matchMedia("(max-width: 640px)"); // as Streamlit has it: it puts columns one under another then
let reminder = 0;
let last = 0;
let zone = null;
let wanted = null;
let report = () => {};

function say(text) {
  zone.querySelector("[role=status]").textContent = text;
}

function keep(files) {
  for (const file of files) held.set(++last, { file, place: null });
  if (!files.length) return say("No recordings found there");
  say(files.length === 1 ? `${files[0].name} chosen` : `${files.length} files chosen`);
  report();
}

// What is said just when the page draws itself anew reaches a part of it that is gone, and nobody. So it is said again
// until every file held has been seen.
function insist() {
  clearTimeout(reminder);
  reminder = setTimeout(() => {
    if ([...held.keys()].some((number) => number > wanted.seen)) report();
  }, PATIENCE_MS);
}

function send(token, number) {
  const request = new XMLHttpRequest();
  sending.set(token, request);
  request.open("PUT", wanted.path + token);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.onloadend = () => {
    sending.delete(token);
    ended.add(token);
    report();
  };
  request.send(held.get(number).file);
}

function read(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

// The recordings in a folder, by their endings: covers and playlists lie there as well.
async function walk(folder) {
  const found = [];
  const reader = folder.createReader();
  for (;;) {
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!entries.length) return found;
    for (const entry of entries) {
      if (entry.isDirectory) found.push(...(await walk(entry)));
      else if (wanted.endings.some((ending) => entry.name.toLowerCase().endsWith(ending))) found.push(await read(entry));
    }
  }
}

function carriesFiles(event) {
  return event.dataTransfer?.types.includes("Files");
}

function over(event) {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  zone.classList.add("over");
}

function leave(event) {
  if (!event.relatedTarget) zone.classList.remove("over");
}

// Anywhere on the page: a browser opens what is dropped beside a drop zone, and the page would be gone.
async function drop(event) {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  zone.classList.remove("over");
  const plain = [...event.dataTransfer.files];
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
  if (!entries.some((entry) => entry?.isDirectory)) return keep(plain);
  const found = [];
  for (const entry of entries) {
    if (entry?.isDirectory) found.push(...(await walk(entry)));
    else if (entry) found.push(await read(entry));
  }
  keep(found);
}

const listeners = { dragover: over, dragleave: leave, drop };

export default function ({ data, parentElement, setStateValue }) {
  wanted = data;
  zone = parentElement.querySelector(".zone");
  report = () => {
    setStateValue("files", {
      visit: data.visit,
      held: [...held].map(([number, { file, place }]) => [number, file.name, file.size, place]),
      ended: [...ended],
      narrow: narrow.matches,
    });
    insist();
  };
  zone.querySelector("strong").textContent = data.title;
  zone.querySelector("small").textContent = data.hint;
  const input = zone.querySelector("input");
  input.accept = data.accept;
  input.onchange = () => {
    keep([...input.files]);
    input.value = ""; // so that the same file can be chosen again
  };
  for (const [name, listener] of Object.entries(listeners)) window.addEventListener(name, listener);
  narrow.onchange = () => held.size && report(); // a phone that was turned

  const tokens = new Set(data.sending.map(([token]) => token));
  for (const [token, request] of sending) if (!tokens.has(token)) request.abort();
  for (const token of ended) if (!tokens.has(token)) ended.delete(token);
  const gone = [...held.keys()].filter((number) => number <= data.seen && !(number in data.places));
  for (const number of gone) held.delete(number);
  if (gone.length && !held.size) say("");
  for (const [number, place] of Object.entries(data.places)) {
    const one = held.get(Number(number));
    if (one) one.place = place;
  }
  for (const [token, number] of data.sending) {
    if (held.has(number) && !sending.has(token) && !ended.has(token)) send(token, number);
  }
  // With nothing to tell it would only draw the page once more, just when its reader may click on another.
  if (!data.heard && held.size) report();
  insist();

  return () => {
    report = () => {};
    narrow.onchange = null;
    for (const [name, listener] of Object.entries(listeners)) window.removeEventListener(name, listener);
  };
}
