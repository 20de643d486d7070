import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
} from "@opentelemetry/sdk-trace-base";
import { context, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { afterAll, afterEach, expect, it } from "vitest";
import type { SluiceEvent } from "../event.ts";
import { tracedHandle, tracedPublish } from "./tracing.ts";

const exporter = new InMemorySpanExporter();
const note = (id: string, more: object = {}): SluiceEvent => ({
  specversion: "1.0",
  id,
  source: "/t",
  type: "note",
  ...more,
});
const where = { connector: "c", topic: "notes" };

/** Publishes, and gives what came out. */
async function published(events: readonly SluiceEvent[]): Promise<readonly SluiceEvent[]> {
  let all: readonly SluiceEvent[] = [];
  await tracedPublish(where, events, async (some) => void (all = some));
  return all;
}

it("leaves events as they are where nobody traces", async () => {
  const events = [note("a")];
  expect(await published(events)).toBe(events);
});

it("follows one event from its source through a transform to a sink", async () => {
  install();
  const sent = await published([note("a"), note("b")]);
  expect(sent[0]?.["traceparent"]).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);

  // Another process: all it has is the event.
  const [event] = sent as [SluiceEvent];
  await tracedHandle({ connector: "t", topic: "notes" }, [event], async () => {
    await tracedPublish({ connector: "t", topic: "chunks" }, [event], async ([passed]) =>
      expect(passed?.["traceparent"]).toBe(event["traceparent"]),
    );
  });
  await tracedHandle({ connector: "s", topic: "chunks" }, [event], async () => {});
  const spans = exporter.getFinishedSpans();
  expect(spans.map(({ name }) => name)).toEqual([
    "send notes",
    "send chunks",
    "process notes",
    "process chunks",
  ]);
  expect(new Set(spans.map((span) => span.spanContext().traceId)).size).toBe(1);
  expect(named(spans, "process chunks")).toMatchObject({
    kind: SpanKind.CONSUMER,
    attributes: { "messaging.destination.name": "chunks", "sluice.connector": "s" },
    parentSpanContext: { spanId: named(spans, "send notes")?.spanContext().spanId },
  });
});

it("links what handles events of several traces to each of them", async () => {
  install();
  const [a] = (await published([note("a")])) as [SluiceEvent];
  const [b] = (await published([note("b")])) as [SluiceEvent];
  await tracedHandle(
    where,
    [a, b, note("c"), note("d", { traceparent: "00-nonsense" })],
    async () => {},
  );
  const [first, second, handled] = exporter.getFinishedSpans();
  expect(handled?.links.map((link) => link.context.traceId)).toEqual([
    first?.spanContext().traceId,
    second?.spanContext().traceId,
  ]);
});

it("says that it failed, and not what with: that may hold a secret", async () => {
  install();
  const failing = tracedHandle(where, [note("a")], async () => {
    throw new TypeError("hunter2");
  });
  await expect(failing).rejects.toThrow("hunter2");
  const [span] = exporter.getFinishedSpans();
  expect(span?.status.code).toBe(SpanStatusCode.ERROR);
  expect(JSON.stringify([span?.events, span?.attributes, span?.status])).not.toContain("hunter2");
});

const contexts = new AsyncLocalStorageContextManager();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
function install(): void {
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(contexts.enable());
}
afterEach(() => exporter.reset());
afterAll(async () => {
  trace.disable();
  context.disable();
  await provider.shutdown();
});

function named(spans: readonly ReadableSpan[], name: string): ReadableSpan | undefined {
  return spans.find((span) => span.name === name);
}
