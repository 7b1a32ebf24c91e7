/** Directories for tests, gone when the test is. */

/** Fills a new directory with `files` (by relative path), passes it on, and removes it. */
export async function withDirectory(
  files: Record<string, string | Uint8Array>,
  test: (directory: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ dir: "/tmp", prefix: "pdwatch-engine-" });
  try {
    for (const [path, content] of Object.entries(files)) {
      await write(`${directory}/${path}`, content);
    }
    await test(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function write(path: string, content: string | Uint8Array): Promise<void> {
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  if (typeof content === "string") await Deno.writeTextFile(path, content);
  else await Deno.writeFile(path, content);
}
