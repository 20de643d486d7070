import {
  context,
  isSpanContextValid,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Link,
  type Span,
  type SpanContext,
} from "@opentelemetry/api";
import type { SluiceEvent } from "../event.ts";

/** Spans go where the process's OpenTelemetry SDK sends them; without one all of this costs nothing. */
const tracer = trace.getTracer("sluice");
const maxLinks = 128;

/** https://www.w3.org/TR/trace-context/#traceparent-header: version 00, trace, parent, flags. */
const traceparentShape = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/**
 * Publishes events within a span of their own. Those that carry no trace yet get the span's, so that whoever
 * handles them, in whatever process, continues it.
 */
export async function tracedPublish(
  { connector, topic }: { readonly connector: string; readonly topic: string },
  events: readonly SluiceEvent[],
  publish: (events: readonly SluiceEvent[]) => Promise<void>,
): Promise<void> {
  await inSpan(
    `send ${topic}`,
    SpanKind.PRODUCER,
    attributesOf(connector, topic, events),
    events,
    async (span) => {
      const traceparent = traceparentOf(span.spanContext());
      await publish(
        traceparent === undefined
          ? events
          : events.map((event) => (event["traceparent"] ? event : { ...event, traceparent })),
      );
    },
  );
}

/** Handles events within a span that continues their trace; where they have several it is linked to each. */
export async function tracedHandle(
  { connector, topic }: { readonly connector: string; readonly topic: string },
  events: readonly SluiceEvent[],
  handle: () => Promise<void>,
): Promise<void> {
  await inSpan(
    `process ${topic}`,
    SpanKind.CONSUMER,
    attributesOf(connector, topic, events),
    events,
    handle,
  );
}

async function inSpan(
  name: string,
  kind: SpanKind,
  attributes: Readonly<Record<string, string | number>>,
  events: readonly SluiceEvent[],
  work: (span: Span) => Promise<void>,
): Promise<void> {
  const { parent, links } = originsOf(events);
  const from = parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : context.active();
  const span = tracer.startSpan(name, { kind, attributes, links: [...links] }, from);
  try {
    await context.with(trace.setSpan(from, span), () => work(span));
  } catch (error) {
    span.recordException(error instanceof Error ? error.name : "error"); // messages may hold what is secret
    span.setStatus({ code: SpanStatusCode.ERROR });
    throw error;
  } finally {
    span.end();
  }
}

/** The one trace that all events belong to, or links to those that they come from. */
function originsOf(events: readonly SluiceEvent[]): {
  readonly parent?: SpanContext;
  readonly links: readonly Link[];
} {
  const found = new Map<string, SpanContext>();
  for (const { traceparent } of events) {
    if (typeof traceparent !== "string" || found.has(traceparent)) continue;
    const origin = parse(traceparent);
    if (origin) found.set(traceparent, origin);
    if (found.size === maxLinks) break;
  }
  const [parent, ...others] = found.values();
  if (parent && others.every(({ traceId }) => traceId === parent.traceId))
    return { parent, links: [] };
  return { links: [...found.values()].map((origin) => ({ context: origin })) };
}

function parse(traceparent: string): SpanContext | undefined {
  const [, traceId = "", spanId = "", flags = ""] = traceparentShape.exec(traceparent) ?? [];
  const origin = { traceId, spanId, traceFlags: parseInt(flags, 16), isRemote: true };
  return isSpanContextValid(origin) ? origin : undefined;
}

/** Undefined where nobody traces. */
function traceparentOf(origin: SpanContext): string | undefined {
  if (!isSpanContextValid(origin)) return undefined;
  const flags = (origin.traceFlags & TraceFlags.SAMPLED).toString(16).padStart(2, "0");
  return `00-${origin.traceId}-${origin.spanId}-${flags}`;
}

/** https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/ */
function attributesOf(connector: string, topic: string, events: readonly SluiceEvent[]) {
  return {
    "messaging.system": "sluice",
    "messaging.destination.name": topic,
    "messaging.batch.message_count": events.length,
    "sluice.connector": connector,
  };
}
