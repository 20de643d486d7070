import { ConfigError, PoisonError, type DocumentUpserted } from "sluice";

/** Says in which namespace a document belongs. */
export interface NamespaceTemplate {
  /** The namespace, if it is the same for all. */
  readonly fixed: string | undefined;
  /** Throws `PoisonError` for a document that the template makes no name of. */
  readonly of: (event: DocumentUpserted) => string;
}

const maxLength = 512;

export function fixedNamespace(name: string): NamespaceTemplate {
  return { fixed: name, of: () => name };
}

/**
 * Reads the `namespace` option: a name, or a Liquid template over the document's metadata, `source`
 * and `subject` (`{{ tenant }}`). Throws `ConfigError` for a template that is none.
 */
export async function parseNamespace(text: string): Promise<NamespaceTemplate> {
  if (!/\{[{%]/.test(text)) return fixedNamespace(text);
  const { Liquid } = await import("liquidjs");
  const engine = new Liquid({ strictVariables: true, strictFilters: true, ownPropertyOnly: true });
  try {
    const parsed = engine.parse(text);
    return {
      fixed: undefined,
      of({ source, subject, data }) {
        let name: unknown;
        try {
          name = engine.renderSync(parsed, { ...data.metadata, source, subject });
        } catch (cause) {
          throw noName(`makes no name of ${subject} (${String(cause)})`, text);
        }
        const trimmed = String(name).trim();
        if (trimmed === "" || trimmed.length > maxLength || !/^[\x20-\x7e]+$/.test(trimmed))
          throw noName(
            `makes ${JSON.stringify(trimmed.slice(0, 100))} of ${subject}, which is no namespace`,
            text,
          );
        return trimmed;
      },
    };
  } catch (cause) {
    throw new ConfigError(`vectors: the namespace ${JSON.stringify(text)} is no Liquid template.`, {
      code: "vectors.namespace-template",
      fix: "Write a name, or a field of the documents' metadata in double braces, e.g. {{ tenant }}.",
      cause,
    });
  }
}

function noName(what: string, template: string): PoisonError {
  return new PoisonError(`vectors: the namespace ${JSON.stringify(template)} ${what}.`, {
    code: "vectors.bad-namespace",
    fix: "Give every document the field the template names, 1 to 512 printable ASCII characters, in its metadata.",
  });
}
