import { test } from "node:test";
import { fakes, transformConformance } from "sluice/testing";
import { myTransform } from "./my-transform.ts";

const samples = [
  fakes.document("1", "Write to ada@example.com."),
  fakes.document("2", "Nothing to hide."),
];
for (const { name, run } of transformConformance({ transform: myTransform, config: {}, samples }))
  test(name, run);
