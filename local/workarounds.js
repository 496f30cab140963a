// Workaround for Azurite, loaded with `node --require`: it cannot list what holds a character that XML 1.0 does not have,
// such as U+0001 or U+FFFF. One blob of such a name makes each listing of its container fail with status 500, one such
// message each read of its queue. Azure sends the name percent-encoded (https://github.com/Azure/azure-rest-api-specs/pull/16140),
// and its clients decode it. A test in tests/local/test_azurite.py fails when Azurite does the same.
"use strict";

const SOURCES = "./node_modules/azurite/dist/src";
const NOT_IN_XML = /[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]/gu;
const ENCODED = "encoded:";

function cleaned(value, key) {
  if (Array.isArray(value)) return value.map((each) => cleaned(each, key));
  if (typeof value === "string" && value.search(NOT_IN_XML) >= 0)
    return key === "Name" ? { $: { Encoded: true }, _: encodeURIComponent(value) } : value.replace(NOT_IN_XML, "\ufffd");
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, cleaned(each, name)]));
}

for (const service of ["blob", "queue"]) {
  const xml = require(`${SOURCES}/${service}/generated/utils/xml`);
  const stringify = xml.stringifyXML;
  xml.stringifyXML = (content, options) => {
    try {
      return stringify(content, options);
    } catch {
      return stringify(cleaned(content), options);
    }
  };
}

// The marker of the next page is the last name, which may be such a name too.
const store = require(`${SOURCES}/blob/persistence/LokiBlobMetadataStore`).default.prototype;
const { listBlobs } = store;
const MARKER = 7;
store.listBlobs = async function (...options) {
  const marker = options[MARKER] ?? "";
  if (marker.startsWith(ENCODED)) options[MARKER] = decodeURIComponent(marker.slice(ENCODED.length));
  const [blobs, prefixes, next] = await listBlobs.apply(this, options);
  const encode = next && (next.startsWith(ENCODED) || next.search(NOT_IN_XML) >= 0);
  return [blobs, prefixes, encode ? ENCODED + encodeURIComponent(next) : next];
};
