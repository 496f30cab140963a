// Holds the chosen files in the browser, so that they can be sent again, and sends those that Python has given a token
// for straight from the disk. Python decides what happens to each file; see __init__.py for the data it sends.

const held = new Map(); // number: {file, name, resultId}; resultId is null until the file is stored
const sending = new Map(); // token: XMLHttpRequest
const ended = new Set(); // tokens whose request has ended, with or without success
const REPEAT_MS = 1500;
let timer = 0;
let lastNumber = 0;
let zone = null;
let data = null;
let report = () => {};

function announce(text) {
  zone.querySelector("[role=status]").textContent = text;
}

function add(chosen) {
  for (const { file, name } of chosen) held.set(++lastNumber, { file, name, resultId: null });
  if (!chosen.length) return announce("No recordings found there");
  announce(chosen.length === 1 ? `${chosen[0].name} chosen` : `${chosen.length} files chosen`);
  report();
}

function named(files) {
  return [...files].map((file) => ({ file, name: file.name }));
}

// A report sent while Streamlit replaces the component is lost. It is repeated until Python knows every file.
function repeat() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    if ([...held.keys()].some((number) => number > data.lastNumber)) report();
  }, REPEAT_MS);
}

function send(token, number) {
  const request = new XMLHttpRequest();
  sending.set(token, request);
  request.open("PUT", data.path + token);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.onloadend = () => {
    sending.delete(token);
    ended.add(token);
    report();
  };
  request.send(held.get(number).file);
}

// With its folders in its name, so that files of the same name can be told apart.
async function read(entry) {
  const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
  return { file, name: entry.fullPath.replace(/^\//, "") };
}

// The recordings in a folder, by their endings and but for hidden ones: a folder also holds covers and playlists.
async function walk(folder) {
  const found = [];
  const reader = folder.createReader();
  for (;;) {
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!entries.length) return found;
    for (const entry of entries) {
      if (entry.name.startsWith(".")) continue;
      if (entry.isDirectory) found.push(...(await walk(entry)));
      else if (data.endings.some((ending) => entry.name.toLowerCase().endsWith(ending))) found.push(await read(entry));
    }
  }
}

function hasFiles(event) {
  return event.dataTransfer?.types.includes("Files");
}

function dragover(event) {
  if (!hasFiles(event)) return;
  event.preventDefault();
  zone.classList.add("over");
}

function dragleave(event) {
  if (!event.relatedTarget) zone.classList.remove("over");
}

// Files can be dropped anywhere on the page. Otherwise the browser would leave the page and open the file.
async function drop(event) {
  if (!hasFiles(event)) return;
  event.preventDefault();
  zone.classList.remove("over");
  const plain = named(event.dataTransfer.files);
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
  if (!entries.some((entry) => entry?.isDirectory)) return add(plain);
  const found = [];
  for (const entry of entries) {
    if (entry?.isDirectory) found.push(...(await walk(entry)));
    else if (entry) found.push(await read(entry));
  }
  add(found);
}

const listeners = { dragover, dragleave, drop };

export default function ({ data: latest, parentElement, setStateValue }) {
  data = latest;
  zone = parentElement.querySelector(".zone");
  report = () => {
    setStateValue("files", {
      visit: data.visit,
      held: [...held].map(([number, { file, name, resultId }]) => [number, name, file.size, resultId]),
      ended: [...ended],
    });
    repeat();
  };
  zone.querySelector("small").textContent = data.hint;
  const input = zone.querySelector("input");
  input.accept = data.accept;
  input.onchange = () => {
    add(named(input.files));
    input.value = ""; // so that the same file can be chosen again
  };
  for (const [name, listener] of Object.entries(listeners)) window.addEventListener(name, listener);

  const tokens = new Set(data.sending.map(([token]) => token));
  for (const [token, request] of sending) if (!tokens.has(token)) request.abort();
  for (const token of ended) if (!tokens.has(token)) ended.delete(token);
  const released = [...held.keys()].filter((number) => number <= data.lastNumber && !(number in data.stored));
  for (const number of released) held.delete(number);
  if (released.length && !held.size) announce("");
  for (const [number, resultId] of Object.entries(data.stored)) {
    const file = held.get(Number(number));
    if (file) file.resultId = resultId;
  }
  for (const [token, number] of data.sending) {
    if (held.has(number) && !sending.has(token) && !ended.has(token)) send(token, number);
  }
  // Each report redraws the page, so there is none without need.
  if (!data.reported && held.size) report();
  repeat();

  return () => {
    report = () => {};
    for (const [name, listener] of Object.entries(listeners)) window.removeEventListener(name, listener);
  };
}
