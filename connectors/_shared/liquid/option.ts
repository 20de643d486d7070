import { z } from "sluice";
import { examine, problemText } from "./examine.ts";

/** A Liquid template as an option: what is wrong with it is told with its place, before anything runs. */
export const templateOption = z
  .string()
  .min(1)
  .max(65_536)
  .superRefine((source, context) => {
    const examined = examine(source);
    for (const problem of "problems" in examined ? examined.problems : [])
      context.addIssue({ code: "custom", message: problemText(problem) });
  });
