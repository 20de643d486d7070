import { expect, it } from "vitest";
import { z } from "zod";
import { optionsOf } from "./options.ts";

it("options come with type, bounds, default, marks and the variant they belong to", () => {
  const schema = z
    .strictObject({
      path: z.string().meta({ path: true }).describe("Folder."),
      everyMs: z.int().min(10).max(500).default(100).describe("Pause."),
      most: z.number().min(0).optional().describe("Limit."),
      mode: z.enum(["poll", "watch"]).optional().describe("How."),
      include: z.array(z.string()).default(["**"]).describe("Globs."),
      labels: z.record(z.string(), z.string().nullable()).optional().describe("Labels."),
      create: z
        .union([z.literal(true), z.strictObject({ region: z.string().describe("Where.") })])
        .optional()
        .describe("Create it."),
      embedding: z
        .discriminatedUnion("provider", [
          z.strictObject({ provider: z.literal("local") }).describe("Here."),
          z
            .strictObject({
              provider: z.literal("remote"),
              apiKey: z.string().meta({ secret: true }).describe("Key."),
            })
            .describe("There."),
        ])
        .default({ provider: "local" })
        .describe("Model."),
    })
    .refine(() => true);
  const rows = optionsOf(schema).map(({ description, ...rest }) => ({ [description]: rest }));
  expect(Object.assign({}, ...rows)).toEqual({
    "Folder.": { name: "path", type: "string", required: true, path: true },
    "Pause.": { name: "everyMs", type: "integer ≥ 10 ≤ 500", default: "100", required: false },
    "Limit.": { name: "most", type: "number ≥ 0", required: false },
    "How.": { name: "mode", type: '"poll" | "watch"', required: false },
    "Globs.": { name: "include", type: "list of string", default: '["**"]', required: false },
    "Labels.": { name: "labels", type: "object of string | null", required: false },
    "Create it.": { name: "create", type: "true | object", required: false },
    "Where.": { name: "create.region", type: "string", required: true },
    "Model.": {
      name: "embedding",
      type: "object",
      default: '{"provider":"local"}',
      required: false,
    },
    "Here.": { name: "embedding.provider", type: '"local"', required: true },
    "There.": { name: "embedding.provider", type: '"remote"', required: true },
    "Key.": {
      name: "embedding.apiKey",
      type: "string",
      required: true,
      secret: true,
      when: 'provider: "remote"',
    },
  });
});
