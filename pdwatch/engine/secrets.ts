/**
 * Reads secrets from where pdwatch and Kubernetes put them. They are read anew for each run, so that a
 * rotated Secret is seen without a restart.
 */

import type { Context } from "./mod.ts";

export type Secrets = Context["secrets"];

/** Says what is wrong with a file: its path, never its content. */
export type Warn = (message: string) => void;

/** Where Kubernetes mounts the workflow's Secret. */
export const MOUNT = "/app/secrets";

/**
 * The places to read, later ones on top: `explicit` alone when given, else `.secrets/` of the workflow's
 * directory and the mounted Secret. `.secrets.yaml` is no place of its own, since the engine reads no
 * YAML: `pdwatch dev` merges it and passes the result as `explicit`, and no image holds it.
 */
export function secretPlaces(directory: string, explicit?: string): string[] {
  return explicit === undefined ? [`${directory}/.secrets`, MOUNT] : [explicit];
}

/**
 * Reads every place; a service in a later one replaces the same service in an earlier one. A place that
 * does not exist is empty; what can't be read or understood is left out with a warning.
 */
export async function readSecrets(places: readonly string[], warn: Warn): Promise<Secrets> {
  const layers = await Promise.all(places.map((place) => readPlace(place, warn)));
  return Object.fromEntries(layers.flat());
}

type Entry = [service: string, secret: Secrets[string]];

async function readPlace(place: string, warn: Warn): Promise<Entry[]> {
  try {
    const { isDirectory } = await Deno.stat(place);
    return await (isDirectory ? readDirectory(place, warn) : readFile(place, warn));
  } catch (error) {
    return unreadable(place, error, warn);
  }
}

/** One file a service. Links are followed: Kubernetes links each file through `..data`. */
async function readDirectory(directory: string, warn: Warn): Promise<Entry[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(directory)) if (!name.startsWith(".")) names.push(name);
  const entries = names.sort().map((name) => readService(directory, name, warn));
  return (await Promise.all(entries)).flat();
}

async function readService(directory: string, name: string, warn: Warn): Promise<Entry[]> {
  const path = `${directory}/${name}`;
  try {
    const text = await readText(path);
    const json = parse(text);
    if (isObject(json)) return [[name, json as Secrets[string]]];
    if (Array.isArray(json)) {
      warn(`${path}: a JSON list, not an object; left out`);
      return [];
    }
    if (/^\s*\{/.test(text)) {
      warn(`${path}: starts like a JSON object but is none; taken as plain text`);
    }
    return [[name, { value: text.replace(/(\r?\n)+$/, "") }]];
  } catch (error) {
    return unreadable(path, error, warn);
  }
}

/** A file of all services: a JSON object of objects. */
async function readFile(path: string, warn: Warn): Promise<Entry[]> {
  const services = parse(await readText(path));
  if (!isObject(services)) {
    warn(`${path}: not a JSON object; left out`);
    return [];
  }
  return Object.entries(services).filter(([service, secret]) => {
    if (isObject(secret)) return true;
    warn(`${path}: ${service} is not an object; left out`);
  }) as Entry[];
}

async function readText(path: string): Promise<string> {
  return new TextDecoder("utf-8", { fatal: true }).decode(await Deno.readFile(path));
}

/** Undefined for what is not JSON: the parser's own message would quote the content. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What is gone, before or while it was read, is missing and no cause for a warning. */
function unreadable(path: string, error: unknown, warn: Warn): [] {
  if (!(error instanceof Deno.errors.NotFound)) {
    warn(`${path}: cannot be read (${error instanceof Error ? error.name : "unknown"}); left out`);
  }
  return [];
}
