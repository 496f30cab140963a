// Loaded into Azurite with `node --require`. Everybody knows the emulator's key, so any web page could sign requests to it:
// POST messages to its queues from its own origin, or all else by a name of its own that leads here (DNS rebinding).
// So only this machine's names are answered, and writing requests of pages of other origins are refused.
"use strict";

const { Server } = require("http");

const OWN_NAME = /^(127\.0\.0\.1|\[::1\]|([a-z0-9-]+\.)*localhost)$/;
const READING_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);

function listed(variable) {
  return new Set((process.env[variable] ?? "").toLowerCase().split(/[\s,]+/));
}

const names = listed("TONEARM_ALLOWED_HOSTS");
const origins = listed("TONEARM_ALLOWED_ORIGINS");

function refused({ method, headers }) {
  const host = (headers.host ?? "").toLowerCase();
  const name = host.replace(/:[0-9]+$/, "");
  if (!OWN_NAME.test(name) && !(name && names.has(name))) return true;
  const origin = headers.origin?.toLowerCase();
  if (origin === undefined || READING_METHODS.has(method)) return false;
  return origin !== `http://${host}` && !(origin && origins.has(origin));
}

const { emit } = Server.prototype;
Server.prototype.emit = function (event, request, response, ...rest) {
  if (event !== "request" || !refused(request)) return emit.call(this, event, request, response, ...rest);
  request.resume();
  response.writeHead(403, { "Content-Type": "text/plain" });
  response.end("Web pages elsewhere may not do this. TONEARM_ALLOWED_HOSTS and TONEARM_ALLOWED_ORIGINS add to the names.");
  return true;
};
