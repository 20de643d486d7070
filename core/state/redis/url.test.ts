import { expect, it } from "vitest";
import { parseRedisUrl, redisPlace, redisSecrets } from "./url.ts";

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
  "redis+cluster://a?unknown=1",
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
