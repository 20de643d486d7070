import { expect, it } from "vitest";
import { openWanted, parseHistory } from "./wanted.ts";

const minuteMs = 60_000;
const original = { id: "a", isPromoted: false, online: 1 };

it("waits for a replica that was there for as long as it may be promoted, then goes on without", () => {
  let now = 0;
  const wanted = openWanted(1, () => now);
  expect(wanted(original)).toBe(1);
  now = minuteMs;
  expect(wanted({ ...original, online: 0 })).toBe(1);
  now = 5 * minuteMs;
  expect(wanted({ ...original, online: 0 })).toBe(1);
  now = 6 * minuteMs;
  expect(wanted({ ...original, online: 0 })).toBe(0);
  expect(wanted(original)).toBe(1);
  expect(wanted({ ...original, online: 0 })).toBe(1);
});

it("waits for one that it never saw as well: it may have been there a moment ago", () => {
  let now = 0;
  const wanted = openWanted(1, () => now);
  expect(wanted({ ...original, online: 0 })).toBe(1);
  now = 5 * minuteMs;
  expect(wanted({ ...original, online: 0 })).toBe(0);
});

it("waits for none after a promotion until there are as many as wanted", () => {
  const wanted = openWanted(2, () => 0);
  const promoted = { id: "b", isPromoted: true, online: 0 };
  expect(wanted(promoted)).toBe(0);
  expect(wanted({ ...promoted, online: 1 })).toBe(1);
  expect(wanted({ ...promoted, online: 2 })).toBe(2);
  expect(wanted({ ...promoted, online: 1 })).toBe(2);
});

it("reads what a server says of its replicas", () => {
  const info = [
    "role:master",
    "slave0:ip=127.0.0.1,port=1,state=online,offset=5,lag=0",
    "slave1:ip=127.0.0.1,port=2,state=wait_bgsave,offset=0,lag=0",
    "master_replid:00ab",
    "master_replid2:0000",
  ].join("\r\n");
  expect(parseHistory(info)).toEqual({ id: "00ab", isPromoted: false, online: 1 });
  expect(parseHistory(info.replace("replid2:0000", "replid2:00c0"))?.isPromoted).toBe(true);
  expect(parseHistory("")).toBeUndefined();
});
