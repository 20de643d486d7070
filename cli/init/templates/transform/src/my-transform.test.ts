import { test } from "node:test";
import { fakes, transformConformance } from "sluice/testing";
import { myTransform } from "./my-transform.ts";

const samples = [
  fakes.document("1", "Write to ada@example.com."),
  fakes.document("2", "Nothing to hide."),
];
const module = new URL("./my-transform.js", import.meta.url);
const given = { transform: myTransform, config: {}, samples, module };
for (const { name, run } of transformConformance(given)) test(name, run);
