// What both scripts for JavaScript share: where to ask, how to kill a flag, and a line for each check.
import { execFile } from "node:child_process";
import { isDeepStrictEqual, promisify } from "node:util";

const run = promisify(execFile);

/** Where flags are asked for, such as http://127.0.0.1:9900. */
export const base = need("TIDEGATE_OFREP");
export const SERVER_TOKEN = "conformance-server";
export const CLIENT_TOKEN = "conformance-client";

function need(name) {
  const value = process.env[name];
  if (!value) {
    console.error(`${name} is not set`);
    process.exit(2);
  }
  return value.replace(/\/$/, "");
}

/** Kills a flag, or lets it live again, by a command or by the admin API. */
async function act(command, verb, flag) {
  if (command) {
    await run("bash", ["-c", command], { env: { ...process.env, FLAG: flag } });
    return;
  }
  const headers = { "content-type": "application/json" };
  if (process.env.TIDEGATE_ADMIN_TOKEN) {
    headers.authorization = `Bearer ${process.env.TIDEGATE_ADMIN_TOKEN}`;
  }
  const body = JSON.stringify({ reason: "conformance of OFREP providers" });
  const url = `${need("TIDEGATE_ADMIN")}/api/v1/flags/${encodeURIComponent(flag)}/${verb}`;
  const response = await fetch(url, { method: "POST", headers, body });
  if (!response.ok) {
    throw new Error(`${verb} ${flag}: ${response.status} ${await response.text()}`);
  }
}

export const kill = (flag) => act(process.env.TIDEGATE_KILL, "kill", flag);
export const unkill = (flag) => act(process.env.TIDEGATE_UNKILL, "unkill", flag);

let failures = 0;
let checks = 0;

/** Prints whether something is as it should be. */
export function check(what, found, expected) {
  checks += 1;
  if (isDeepStrictEqual(found, expected)) {
    console.log(`ok      ${what}`);
  } else {
    failures += 1;
    console.log(`FAILED  ${what}: ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`);
  }
}

/** Ends the script, with how many checks there were. */
export function finish(name) {
  console.log(`${name}: ${checks - failures} of ${checks} checks hold`);
  process.exit(failures === 0 ? 0 : 1);
}

/** Waits until something holds, at most so many milliseconds. */
export async function until(holds, most = 10_000) {
  const end = Date.now() + most;
  while (Date.now() < end) {
    if (await holds()) {
      return true;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return false;
}
