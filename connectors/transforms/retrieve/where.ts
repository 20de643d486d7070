import { PoisonError, type JsonObject, type QuestionAsked } from "sluice";
import {
  questionTemplate,
  type QuestionTemplate,
} from "../../_shared/questions/question-template.ts";

type Run = { readonly signal: AbortSignal };

const maxNamespace = 512;

/** Names the namespace that a question is about. */
export function namespaceOf(source: string): QuestionTemplate {
  const template = questionTemplate(source);
  return async (event, run) => {
    const name = (await template(event, run)).trim();
    if (name !== "" && name.length <= maxNamespace && /^[\x20-\x7e]+$/.test(name)) return name;
    throw new PoisonError(
      `retrieve: ${JSON.stringify(source)} makes ${JSON.stringify(name.slice(0, 100))} of the question ${JSON.stringify(event.id)}, which is no namespace.`,
      {
        code: "retrieve.bad-namespace",
        fix: "Ask with the attribute that the template names: 1 to 512 printable ASCII characters.",
      },
    );
  };
}

/** The filter for a question: ours with its templates filled in, and what was asked with narrows it further. */
export function filterOf(
  ours: JsonObject | undefined,
): (event: QuestionAsked, run: Run) => Promise<JsonObject | undefined> {
  const filled = ours && valueOf(ours);
  return async (event, run) => {
    const own = (await filled?.(event, run)) as JsonObject | undefined; // an object is filled into an object
    const { filter: theirs } = event.data;
    if (theirs !== undefined && (theirs === null || typeof theirs !== "object"))
      throw new PoisonError("retrieve: a question's filter is no object.", {
        code: "retrieve.bad-question",
        fix: "Ask with a filter in the index's own language, or none.",
      });
    if (!own || !theirs || Object.keys(theirs).length === 0) return own ?? theirs;
    return { $and: [own, theirs] };
  };
}

type Filled = (event: QuestionAsked, run: Run) => Promise<unknown>;

function valueOf(value: unknown): Filled {
  if (typeof value === "string" && /\{[{%]/.test(value)) return textOf(value);
  if (Array.isArray(value)) {
    const items = value.map(valueOf);
    return (event, run) => Promise.all(items.map((item) => item(event, run)));
  }
  if (value === null || typeof value !== "object") return async () => value;
  const entries = Object.entries(value).map(([key, part]) => [key, valueOf(part)] as const);
  return async (event, run) =>
    Object.fromEntries(
      await Promise.all(entries.map(async ([key, part]) => [key, await part(event, run)] as const)),
    );
}

function textOf(source: string): Filled {
  const template = questionTemplate(source);
  return async (event, run) => {
    const text = await template(event, run);
    if (text.trim() !== "") return text;
    // An empty value could be a wider search than was meant.
    throw new PoisonError(
      `retrieve: the filter's ${JSON.stringify(source)} is empty for the question ${JSON.stringify(event.id)}.`,
      { code: "retrieve.bad-filter", fix: "Ask with the attribute that the filter names." },
    );
  };
}
