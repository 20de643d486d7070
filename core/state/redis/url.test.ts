import { expect, it } from "vitest";
import { parseRedisUrl, redisPlace, redisSecrets, wrongRedisOption } from "./url.ts";

it("takes one server, with user, password and database", () => {
  expect(parseRedisUrl("rediss://me:s%40fe@host/2")).toEqual({
    kind: "one",
    tls: true,
    hosts: [{ host: "host", port: 6379 }],
    username: "me",
    password: "s@fe",
    db: 2,
    replicas: 0,
    place: "rediss://host/2",
  });
});

it("takes a cluster by any of its servers", () => {
  expect(parseRedisUrl("redis+cluster://:pass@a:7000,b,[::1]:7002")).toEqual({
    kind: "cluster",
    tls: false,
    hosts: [
      { host: "a", port: 7000 },
      { host: "b", port: 6379 },
      { host: "::1", port: 7002 },
    ],
    password: "pass",
    replicas: 1,
    place: "redis+cluster://a:7000,b,[::1]:7002",
  });
});

it("takes what sentinels call by a name", () => {
  expect(
    parseRedisUrl("rediss+sentinel://me:pass@a,b:5000/main/3?sentinelPassword=other&replicas=2"),
  ).toEqual({
    kind: "sentinel",
    tls: true,
    hosts: [
      { host: "a", port: 26_379 },
      { host: "b", port: 5000 },
    ],
    username: "me",
    password: "pass",
    sentinelPassword: "other",
    primary: "main",
    db: 3,
    replicas: 2,
    place: "rediss+sentinel://a,b:5000/main/3",
  });
});

it.each([
  "redis://a,b",
  "redis://a:0",
  "redis://a:99999",
  "redis://:100%@host",
  "redis+cluster://a/1",
  "redis+cluster://a,,b",
  "redis+cluster://a?replicas=many",
  "redis://a?replicas=1&replicas=2",
  "redis+cluster://a?unknown=1",
  "redis://a?replicas=x",
  "redis://a?replicas=-1",
  "redis://a?replicas=1.5",
  "redis://a?replicas=",
  "redis://a?replica=1",
  "redis://a?toString=1",
  "redis://a?sentinelPassword=x",
  "redis+sentinel://a/main?family=6",
  "redis+sentinel://a,b",
  "redis+sentinel://a,b/main/x",
  "redis+other://a",
  "redis:/a",
])("refuses %s", (url) => {
  expect(parseRedisUrl(url)).toBeUndefined();
});

it("keeps what the client of one server knows of options", () => {
  expect(parseRedisUrl("redis://host?family=6")).toMatchObject({ kind: "one", replicas: 0 });
});

it("shows no password in its place, and knows each as written and as meant", () => {
  const url = "redis+sentinel://me:p%40ss@a,b/main?sentinelPassword=oth%21er";
  expect(redisPlace(url)).toBe("redis+sentinel://a,b/main");
  expect(redisSecrets(url)).toEqual(["p@ss", "oth!er", "p%40ss", "oth%21er"]);
});

it("names an option that a URL cannot have, and those that it can, without a value", () => {
  const one = "allowed: replicas=0 to replicas=9; family=4, 6 or 0 (both)";
  expect(wrongRedisOption("redis://a?replica=1")).toBe(
    `the option "replica" of the URL is unknown; ${one}`,
  );
  expect(wrongRedisOption("redis://a?family=6&replicas=-1")).toBe(
    `the option "replicas" of the URL is not what it may be here; ${one}`,
  );
  expect(wrongRedisOption("redis+cluster://a?family=6")).toBe(
    'the option "family" of the URL is not what it may be here; allowed: replicas=0 to replicas=9',
  );
  const sentinel = wrongRedisOption("redis+sentinel://a/main?sentinelPasword=s3cret");
  expect(sentinel).toContain("replicas=0 to replicas=9; sentinelPassword=TEXT");
  expect(sentinel).not.toContain("s3cret");
  expect(wrongRedisOption("redis://a?replicas=1")).toBe(undefined);
  expect(wrongRedisOption("redis://me?pass@host")).toBe(undefined); // a password that was not encoded
});
