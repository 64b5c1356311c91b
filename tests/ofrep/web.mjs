// The official provider for browsers: all flags at once, and again when a stream says so.
//
// Node has no EventSource and no localStorage: the first is that of the package `eventsource`, the
// second a map.
import { OpenFeature } from "@openfeature/web-sdk";
import { OFREPWebProvider } from "@openfeature/ofrep-web-provider";
import { EventSource } from "eventsource";
import { CLIENT_TOKEN, base, check, finish, kill, unkill, until } from "./checks.mjs";

// The address of the stream changes each hour, and the entity tag with it: not in the midst of this.
const left = 3_600_000 - (Date.now() % 3_600_000);
if (left < 30_000) {
  await new Promise((resolve) => setTimeout(resolve, left));
}

const kept = new Map();
globalThis.localStorage = {
  getItem: (key) => kept.get(key) ?? null,
  setItem: (key, value) => kept.set(key, value),
  removeItem: (key) => kept.delete(key),
};
const streams = [];
globalThis.EventSource = class extends EventSource {
  constructor(url) {
    super(url);
    streams.push({ url: String(url), source: this });
  }
};

// Every request and its answer, as the provider sees them.
const asked = [];
async function fetchAndNote(request, init) {
  const response = await fetch(request, init);
  asked.push({
    query: new URL(request.url).searchParams,
    ifNoneMatch: request.headers.get("if-none-match"),
    status: response.status,
    etag: response.headers.get("etag"),
  });
  return response;
}

function provider(token, options = {}) {
  return new OFREPWebProvider({
    baseUrl: base,
    headers: token ? [["Authorization", `Bearer ${token}`]] : [],
    fetchImplementation: fetchAndNote,
    cacheMode: "disabled",
    ...options,
  });
}

await OpenFeature.setContext({ targetingKey: "ana", plan: "free" });
const own = provider(CLIENT_TOKEN);
await OpenFeature.setProviderAndWait(own);
const flags = OpenFeature.getClient();

check("one request brings all", asked.map(({ status }) => status), [200]);
check("a boolean", flags.getBooleanValue("a-boolean", false), true);
check("a string", flags.getStringValue("a-string", "?"), 'Hello, "world" – grüß dich');
check("an integer", flags.getNumberValue("an-integer", 7), 42);
check("a float", flags.getNumberValue("a-float", 7), 1);
check("a fraction", flags.getNumberValue("a-fraction", 7), 0.75);
check("an object", flags.getObjectValue("an-object", {}), {
  title: "Summer",
  sizes: [1, 2, 3],
  nested: { deep: true },
});
const details = flags.getBooleanDetails("a-boolean", false);
check("its variant and reason", [details.variant, details.reason], ["on", "STATIC"]);
check("its owner", details.flagMetadata.owner, "team-shop");
const disabled = flags.getStringDetails("disabled", "?");
check("a disabled flag is off", [disabled.value, disabled.reason], ["off", "DISABLED"]);
check("a split", ["a", "b"].includes(flags.getStringValue("half", "?")), true);
check("its reason", flags.getStringDetails("half", "?").reason, "SPLIT");
const unknown = flags.getStringDetails("no-such-flag", "default");
check("an unknown flag", [unknown.value, unknown.errorCode], ["default", "FLAG_NOT_FOUND"]);
const internal = flags.getBooleanDetails("internal", false);
check("an internal flag is not told", internal.errorCode, "FLAG_NOT_FOUND");
const keys = Object.keys(own.flagCache);
check("flags are in the order of their names", keys, keys.toSorted());

// The same person has another plan: an entity tag of the configuration would answer 304 here.
check("blue at first", flags.getStringValue("colour", "?"), "blue");
await OpenFeature.setContext({ targetingKey: "ana", plan: "gold" });
check("another context asks with the old tag", asked.at(-1).ifNoneMatch, asked[0].etag);
check("and is answered anew", [asked.at(-1).status, asked.at(-1).etag !== asked[0].etag], [200, true]);
check("gold now", flags.getStringValue("colour", "?"), "gold");
await OpenFeature.setContext({ targetingKey: "ana", plan: "gold", seen: "nowhere" });
check("what no flag asks about changes nothing", asked.at(-1).status, 304);
check("and gold stays", flags.getStringValue("colour", "?"), "gold");

// The stream.
check("one stream is open", streams.length, 1);
const stream = new URL(streams[0].url);
check("at the origin of the base", stream.origin, new URL(base).origin);
check("with a ticket and no token", stream.searchParams.has("t") && !stream.href.includes(CLIENT_TOKEN), true);
check("it opens", await until(() => streams[0].source.readyState === 1), true);
const before = asked.length;
let changed = [];
OpenFeature.addHandler("PROVIDER_CONFIGURATION_CHANGED", (event) => {
  changed = event.flagsChanged;
});
await kill("switch");
check("a kill is told", await until(() => flags.getBooleanValue("switch", true) === false), true);
check("by a request", asked.length > before && asked.at(-1).status, 200);
check("that names what it has heard of", /^\d+$/.test(asked.at(-1).query.get("flagConfigEtag")), true);
check("and when", /^\d+$/.test(asked.at(-1).query.get("flagConfigLastModified")), true);
check("this flag alone has changed", changed, ["switch"]);
const killed = flags.getBooleanDetails("switch", true);
check("it is off and killed", [killed.reason, killed.flagMetadata.killed], ["DISABLED", true]);
await unkill("switch");
check("it lives again", await until(() => flags.getBooleanValue("switch", false) === true), true);
check("by the same stream", streams.length, 1);
await OpenFeature.clearProviders();

// Polling, where somebody wants it, costs a 304 while nothing changes.
asked.length = 0;
const polling = provider(CLIENT_TOKEN, { pollInterval: 50, changeDetection: "polling" });
await OpenFeature.setProviderAndWait(polling);
check("polls are answered 304", await until(() => asked.length > 3), true);
check("all but the first", asked.slice(1).every(({ status }) => status === 304), true);
await OpenFeature.clearProviders();

// What a browser keeps is used until the network has answered.
await OpenFeature.setProviderAndWait(provider(CLIENT_TOKEN, { cacheMode: "local-cache-first" }));
await OpenFeature.clearProviders();
asked.length = 0;
streams.length = 0;
await OpenFeature.setProviderAndWait(provider(CLIENT_TOKEN, { cacheMode: "local-cache-first" }));
check("what was kept is there at once", flags.getStringDetails("colour", "?").reason, "CACHED");
check("and is confirmed by a 304", await until(() => asked.at(-1)?.status === 304), true);
check("and its stream opens", await until(() => streams.at(-1)?.source.readyState === 1), true);
await OpenFeature.clearProviders();

// Who may ask.
let refused;
await OpenFeature.setProviderAndWait(provider("not-this-one")).catch((error) => {
  refused = error.code;
});
check("a wrong token is fatal", refused, "PROVIDER_FATAL");
await OpenFeature.clearProviders();
await OpenFeature.setProviderAndWait(provider(null));
check("nobody is a client here", flags.getBooleanValue("a-boolean", false), true);
await OpenFeature.clearProviders();

// A page of another origin asks first whether it may.
const preflight = (origin) =>
  fetch(`${base}/ofrep/v1/evaluate/flags`, {
    method: "OPTIONS",
    headers: {
      Origin: origin,
      "Access-Control-Request-Method": "POST",
      "Access-Control-Request-Headers": "authorization,content-type,if-none-match",
    },
  });
const own_page = await preflight("https://shop.example");
check("a page of ours may ask", own_page.headers.get("access-control-allow-origin"), "https://shop.example");
const foreign_page = await preflight("https://evil.example");
check("another may not", foreign_page.headers.get("access-control-allow-origin"), null);

finish("@openfeature/ofrep-web-provider");
