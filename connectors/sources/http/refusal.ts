/** A request that is not taken: what the caller is told (RFC 9457). */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly status: number;
  readonly fix: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  constructor(
    status: number,
    detail: string,
    options: { fix?: string; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(detail);
    this.status = status;
    this.fix = options.fix;
    this.headers = options.headers ?? {};
  }
}

/** 400: the caller must send something else. */
export function invalid(detail: string, fix?: string): Refusal {
  return new Refusal(400, detail, fix === undefined ? {} : { fix });
}

/** 429: there is no place for it now. */
export function crowded(detail: string): Refusal {
  return new Refusal(429, detail, {
    fix: "Send it again after the time that Retry-After says.",
    headers: { "retry-after": "1" },
  });
}

/** 503: whether it was taken is not certain, or it was not. The same request may be sent again. */
export function unavailable(detail: string): Refusal {
  return new Refusal(503, detail, {
    fix: "Send it again, with the same id.",
    headers: { "retry-after": "2" },
  });
}
