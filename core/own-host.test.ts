import { expect, it } from "vitest";
import { isOwnHost } from "./own-host.ts";

it("takes addresses, localhost and the name it was told to listen on, with any port", () => {
  for (const header of [
    "127.0.0.1",
    "127.0.0.1:1",
    "LocalHost:5081",
    "[::1]:5081",
    "[::ffff:1.2.3.4]",
  ])
    expect(isOwnHost(header, "127.0.0.1"), header).toBe(true);
  expect(isOwnHost("Pinecone.internal:5081", "pinecone.internal")).toBe(true);
});

it("takes no other name, however it is written", () => {
  for (const header of [
    "",
    "evil.com",
    "localhost.evil.com",
    "127.0.0.1@evil.com",
    "localhost/x",
    "[::1].evil.com",
  ])
    expect(isOwnHost(header, "127.0.0.1"), header).toBe(false);
  expect(isOwnHost("pinecone.internal.evil.com", "pinecone.internal")).toBe(false);
});
