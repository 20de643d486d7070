export { z } from "zod";
export type { Auditor, Drift, Estimator, OriginReading, RecordName, Verified } from "./auditor.ts";
export { channel, type Channel } from "./channel.ts";
export { checkEvents } from "./check-event.ts";
export { childOf, childSubject } from "./child.ts";
export type { Defined } from "./connector-api.ts";
export {
  defineSink,
  defineSource,
  defineTransform,
  type Applicable,
  type Config,
  type Connector,
  type ConnectorDefinition,
  type Context,
  type Definition,
  type Finding,
  type GivenUp,
  type Log,
  type Output,
  type Reader,
  type Sink,
  type SinkDefinition,
  type SnapshotRequest,
  type Source,
  type SourceBatch,
  type SourceContext,
  type SourceDefinition,
  type Transform,
  type TransformDefinition,
  type TransformWorker,
  type Writer,
  type WriteRun,
} from "./connector.ts";
export {
  ConfigError,
  FencedError,
  PartialError,
  PoisonError,
  PositionLostError,
  RetryableError,
  SluiceError,
  SuspectError,
} from "./errors.ts";
export {
  cleared,
  deleted,
  isRecordChange,
  isUpsert,
  upserted,
  type AnswerGiven,
  type Attributes,
  type Change,
  type Chunk,
  type AsOf,
  type Citation,
  type CollectionCleared,
  type ConversationForgotten,
  type DocumentUpserted,
  type FeedbackGiven,
  type Json,
  type JsonObject,
  type MessageEvent,
  type Metadata,
  type OfRecord,
  type QuestionAsked,
  type RecordChange,
  type RecordDeleted,
  type RecordUpserted,
  type Segment,
  type SluiceEvent,
  type SourcePoint,
  type Text,
  type UpsertEvent,
} from "./event.ts";
export {
  defineEmbedder,
  defineVectorStore,
  type EmbedderDefinition,
  type EmbedderDescription,
  type EmbedderExtension,
  type VectorStoreDefinition,
  type VectorStoreExtension,
} from "./extension.ts";
export { inUrl, isLoopback, isOwnHost } from "./own-host.ts";
export { bell, type Bell } from "./bell.ts";
export { loadEmbedder, loadVectorStore } from "./config/load-extension.ts";
export { defineListing, type Listed } from "./listing.ts";
export { inScope } from "./queue/partition.ts";
export type { Entry, Fence, StateStore, StateWrite } from "./state/state.ts";
export type { Embedder, Manifest, Match, StoreRun, Vector, VectorStore } from "./vectors.ts";
export { positionOf, version, type Version } from "./version.ts";
