/** A request the server refuses: the status, and the gRPC code that the data plane puts in its body. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly status: number;
  readonly code: number;
  constructor(status: number, code: number, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** 400, gRPC code 3. */
export function invalid(message: string): Refusal {
  return new Refusal(400, 3, message);
}

/** 422, gRPC code 3: a body whose shape is none that the call takes. */
export function unprocessable(message: string): Refusal {
  return new Refusal(422, 3, message);
}

/** 404, gRPC code 5. */
export function notFound(message: string): Refusal {
  return new Refusal(404, 5, message);
}

/** 501, gRPC code 12: a call of the real service that this server does not have. */
export function unsupported(what: string): Refusal {
  return new Refusal(501, 12, `The local Pinecone-compatible server does not support ${what}.`);
}
