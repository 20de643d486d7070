/**
 * Loads the SDK's clients. It would print a notice about the Node.js versions of its future releases, which
 * is no JSON, into logs that are; the release that we use runs on all that we support.
 */
export const sdk = {
  s3: () => quietly(() => import("@aws-sdk/client-s3")),
  sqs: () => quietly(() => import("@aws-sdk/client-sqs")),
};

function quietly<T>(load: () => Promise<T>): Promise<T> {
  process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] ??= "true";
  return load();
}
