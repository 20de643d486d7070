import { SluiceError, type Context, type Finding } from "sluice";
import { captureOf, nameOf, type Capture } from "./capture.ts";
import { existing, type Existing } from "./collections.ts";
import type { Options } from "./config.ts";
import { openCursor } from "./cursor.ts";
import { connect, type Deployment } from "./deployment.ts";
import { isFull, oldestChange } from "./oplog.ts";
import { codeOf, explained, isPassing, refusedStream, unreachable } from "./problems.ts";
import { secondsOf } from "./token.ts";

const firstWithImages = 6;
const shortOplogSeconds = 24 * 3_600;

/** What is missing, and how to put it right. Changes nothing. */
export async function check({
  config: options,
  signal,
}: Context<Options>): Promise<readonly Finding[]> {
  let deployment: Deployment | undefined;
  try {
    deployment = await connect(options, { signal });
    const capture = captureOf(options);
    const place = { deployment, capture, options };
    const cursor = await openCursor(place, undefined, "normal", signal).catch((error: unknown) => {
      throw codeOf(error) === undefined || isPassing(error) ? unreachable(error) : opened(error);
    });
    await cursor.close();
    const found = await existing(deployment, capture);
    return [
      ...aboutServer(deployment, options),
      ...aboutCollections(found, capture, options),
      ...(await aboutOplog(deployment)),
    ];
  } catch (error) {
    const known = explained(error);
    if (!(known instanceof SluiceError)) throw error;
    const { code, message, fix } = known;
    return [{ severity: "error", code, message, ...(fix !== undefined && { fix }) }];
  } finally {
    await deployment?.close();
  }
}

function opened(error: unknown): unknown {
  const known = explained(error);
  return known === error ? refusedStream(error) : known;
}

function aboutServer(
  { name, isSharded, isDirect, version }: Deployment,
  options: Options,
): readonly Finding[] {
  const what = isSharded ? "sharded cluster" : `replica set "${name}"`;
  const findings: Finding[] = [
    {
      severity: "ok",
      code: "mongodb.ready",
      message: `mongodb: ${what}, MongoDB ${version}, tells its changes.`,
    },
  ];
  if (isSharded)
    findings.push({
      severity: "warning",
      code: "mongodb.sharded",
      message:
        "mongodb: this is a sharded cluster, for which the source is written but not tested.",
      fix: "Compare counts after the first copy. `_id` must be unique over all shards.",
    });
  if (isDirect)
    findings.push({
      severity: "warning",
      code: "mongodb.direct",
      message: "mongodb: `url` says `directConnection`: nobody follows when another is elected.",
      fix: "Leave it out, name several members and the set: `?replicaSet=…`.",
    });
  const major = Number.parseInt(version, 10);
  if (major >= firstWithImages) return findings;
  const isNeeded = wantsImages(options) !== undefined;
  findings.push({
    severity: isNeeded ? "error" : "warning",
    code: "mongodb.old-server",
    message: isNeeded
      ? `mongodb: MongoDB ${version} keeps no images of documents; 6.0 is the first that does.`
      : `mongodb: MongoDB ${version} is older than 6.0, the oldest that the source is tested with.`,
    fix: isNeeded ? "Use `updateLookup`, or a newer server." : "Use a newer server.",
  });
  return findings;
}

function aboutCollections(
  found: readonly Existing[],
  capture: Capture,
  options: Options,
): readonly Finding[] {
  const findings: Finding[] = [];
  for (const namespace of capture.named) {
    const name = nameOf(namespace);
    const one = found.find((other) => other.name === name);
    if (!one)
      findings.push({
        severity: "warning",
        code: "mongodb.collection-missing",
        message: `mongodb: there is no collection "${name}" yet.`,
        fix: "Check the name; it is captured as soon as it exists.",
      });
    else if (one.type !== "collection")
      findings.push({
        severity: "error",
        code: "mongodb.not-a-collection",
        message: `mongodb: "${name}" is a ${one.type}, which has no change stream.`,
        fix: "Capture the collection that a view reads. Time series cannot be captured.",
      });
  }
  const wanted = wantsImages(options);
  if (wanted === undefined) return findings;
  for (const { name, namespace, type, options: own } of found) {
    if (type !== "collection" || own === undefined) continue;
    if (own["changeStreamPreAndPostImages"]?.enabled === true) continue;
    findings.push({
      severity: wanted === "required" ? "error" : "warning",
      code: "mongodb.images-off",
      message: `mongodb: "${name}" keeps no images of its documents.`,
      fix: `Run: db.getSiblingDB("${namespace.database}").runCommand({ collMod: "${namespace.collection}", changeStreamPreAndPostImages: { enabled: true } })`,
    });
  }
  return findings;
}

async function aboutOplog(deployment: Deployment): Promise<readonly Finding[]> {
  const oldest = await oldestChange(deployment);
  if (oldest === undefined || !(await isFull(deployment))) return [];
  const seconds = secondsOf(deployment.now) - secondsOf(oldest);
  if (seconds >= shortOplogSeconds) return [];
  return [
    {
      severity: "warning",
      code: "mongodb.oplog-short",
      message: `mongodb: the oplog holds the last ${Math.round(seconds / 60)} minutes: a longer stop loses the position.`,
      fix: "Enlarge it: db.adminCommand({ replSetResizeOplog: 1, size: <megabytes> }), or set `minRetentionHours`.",
    },
  ];
}

function wantsImages({
  fullDocument,
  fullDocumentBeforeChange,
}: Options): "required" | "whenAvailable" | undefined {
  const both: readonly string[] = [fullDocument, fullDocumentBeforeChange];
  if (both.includes("required")) return "required";
  return both.includes("whenAvailable") ? "whenAvailable" : undefined;
}
