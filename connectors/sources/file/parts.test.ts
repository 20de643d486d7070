import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { isTextual, mediaTypeOf } from "../../_shared/media-type.ts";
import { select, selectOnly } from "./select.ts";
import { settling } from "./settling.ts";
import { watchLimit } from "./watch.ts";

describe("mediaTypeOf", () => {
  it("goes by the extension, in any case", () => {
    assert.equal(mediaTypeOf("a/b.tar/README.Md"), "text/markdown");
    assert.equal(mediaTypeOf("x.docx").split(".").at(-1), "document");
    for (const path of ["Makefile", "a.b/c", ".md", "x.constructor"])
      assert.equal(mediaTypeOf(path), "application/octet-stream");
  });
  it("knows which content is text", () => {
    for (const path of ["a.md", "a.json", "a.svg", "a.yaml", "a.eml", "a.jsonl"])
      assert.ok(isTextual(mediaTypeOf(path)), path);
    for (const path of ["a.pdf", "a.docx", "a.png", "a"])
      assert.ok(!isTextual(mediaTypeOf(path)), path);
  });
});

describe("select", () => {
  it("excludes a folder with all below it, however the pattern is written", () => {
    for (const pattern of ["**/old", "**/old/**", "a/old"]) {
      const { file, folder } = select({ include: ["**"], exclude: [pattern] });
      assert.ok(!folder("a/old") && !file("a/old/b/c.md"), pattern);
      assert.ok(folder("a") && file("a/older.md"), pattern);
    }
  });
  it("takes one file alone", () => {
    const { file, folder } = selectOnly("[a].md");
    assert.ok(file("[a].md") && !file("a.md") && !file("d/[a].md") && !folder("d"));
  });
});

describe("settling", () => {
  it("holds a path back until it has been quiet", () => {
    let now = 0;
    const changed = settling(100, () => now);
    assert.equal(changed.dueInMs(), Infinity);
    changed.touch("a");
    now = 90;
    changed.touch("a");
    now = 150;
    assert.deepEqual(changed.take(10), []);
    assert.equal(changed.dueInMs(), 40);
    now = 190;
    assert.deepEqual(changed.take(10), ["a"]);
    assert.ok(changed.isEmpty());
  });
  it("lets a path through that is never quiet", () => {
    let now = 0;
    const changed = settling(100, () => now);
    for (; now < 2_000; now += 50) {
      changed.touch("a");
      assert.deepEqual(changed.take(10), []);
    }
    changed.touch("a");
    assert.deepEqual(changed.take(10), ["a"]);
  });
});

describe("watchLimit", () => {
  it("names the limit to raise, or the way around it", () => {
    const error = (code: string) => Object.assign(new Error(code), { code });
    assert.match(watchLimit(error("ENOSPC"), "/x")?.fix ?? "", /max_user_watches.*polling/);
    assert.match(watchLimit(error("EMFILE"), "/x")?.fix ?? "", /max_user_instances.*polling/);
    assert.equal(watchLimit(error("EACCES"), "/x"), undefined);
  });
});
