import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { MOUNT, readSecrets, secretPlaces } from "./secrets.ts";
import { withDirectory } from "./testing/directory.ts";

interface Reading {
  secrets: unknown;
  warnings: string[];
}

async function read(...places: string[]): Promise<Reading> {
  const warnings: string[] = [];
  const secrets = await readSecrets(places, (message) => warnings.push(message));
  return { secrets, warnings: warnings.sort() };
}

Deno.test("the workflow's own secrets come first, the mounted Secret goes on top", () => {
  deepStrictEqual(secretPlaces("/app"), ["/app/.secrets", MOUNT]);
});

Deno.test("an explicit place is the only one", () => {
  deepStrictEqual(secretPlaces("/app", "/run/secrets"), ["/run/secrets"]);
});

Deno.test("a directory is read file by file: JSON objects, and plain text as a value", () =>
  withDirectory({
    github: '{"token": "ghp_abc"}',
    password: "hunter2\n",
    pin: "1234",
    quoted: '"as it is"',
    brace: "{not json",
    list: "[1, 2]",
    ".hidden": "no",
  }, async (directory) => {
    deepStrictEqual(await read(directory), {
      secrets: {
        brace: { value: "{not json" },
        github: { token: "ghp_abc" },
        password: { value: "hunter2" },
        pin: { value: "1234" },
        quoted: { value: '"as it is"' },
      },
      warnings: [
        `${directory}/brace: starts like a JSON object but is none; taken as plain text`,
        `${directory}/list: a JSON list, not an object; left out`,
      ],
    });
  }));

Deno.test("a file holds all services, each an object", () =>
  withDirectory({
    "good.json": '{"github": {"token": "t"}, "bad": "plain"}',
    "broken.json": '{"github": {"token": "leaked',
    "list.json": "[]",
  }, async (directory) => {
    deepStrictEqual(await read(`${directory}/good.json`), {
      secrets: { github: { token: "t" } },
      warnings: [`${directory}/good.json: bad is not an object; left out`],
    });
    for (const name of ["broken.json", "list.json"]) {
      deepStrictEqual(await read(`${directory}/${name}`), {
        secrets: {},
        warnings: [`${directory}/${name}: not a JSON object; left out`],
      });
    }
  }));

Deno.test("a later place replaces a service of an earlier one, and leaves the others", () =>
  withDirectory({
    "first/github": '{"token": "old", "user": "me"}',
    "first/slack": '{"token": "s"}',
    "second/github": '{"token": "new"}',
  }, async (directory) => {
    const { secrets } = await read(`${directory}/first`, `${directory}/second`);
    deepStrictEqual(secrets, { github: { token: "new" }, slack: { token: "s" } });
  }));

Deno.test("a missing place is empty, without a warning", async () => {
  deepStrictEqual(await read("/nowhere/secrets"), { secrets: {}, warnings: [] });
});

Deno.test("Kubernetes' links through ..data are followed, and a rotation is seen", () =>
  withDirectory({
    "..2026_01/github": '{"token": "first"}',
    "..2026_02/github": '{"token": "second"}',
  }, async (directory) => {
    await Deno.symlink("..2026_01", `${directory}/..data`);
    await Deno.symlink("..data/github", `${directory}/github`);
    deepStrictEqual(await read(directory), {
      secrets: { github: { token: "first" } },
      warnings: [],
    });

    await Deno.symlink("..2026_02", `${directory}/..data_tmp`);
    await Deno.rename(`${directory}/..data_tmp`, `${directory}/..data`);
    deepStrictEqual(await read(directory), {
      secrets: { github: { token: "second" } },
      warnings: [],
    });
  }));

Deno.test("what can't be read is left out with a warning that names it", () =>
  withDirectory(
    { "nested/file": "x", good: "y", binary: new Uint8Array([0xff, 0xfe]) },
    async (directory) => {
      deepStrictEqual(await read(directory), {
        secrets: { good: { value: "y" } },
        warnings: [
          `${directory}/binary: cannot be read (TypeError); left out`,
          `${directory}/nested: cannot be read (IsADirectory); left out`,
        ],
      });
    },
  ));

Deno.test("a file that goes away while it is read is missing, without a warning", () =>
  withDirectory({ good: "y" }, async (directory) => {
    await Deno.symlink("gone", `${directory}/dangling`);
    deepStrictEqual(await read(directory), { secrets: { good: { value: "y" } }, warnings: [] });
  }));

Deno.test("a service named __proto__ is a service like any other", () =>
  withDirectory({ ["__proto__"]: '{"token": "t"}' }, async (directory) => {
    const { secrets } = await read(directory);
    strictEqual(Object.hasOwn(secrets as object, "__proto__"), true);
    strictEqual(Object.getPrototypeOf(secrets), Object.prototype);
  }));
