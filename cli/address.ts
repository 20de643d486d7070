import { InvalidArgumentError } from "commander";

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** `HOST:PORT`, or a port of this machine; an IPv6 host in brackets. */
export function toAddress(text: string): Address {
  const [, host = "", port = ""] = /^(?:(.+):)?(\d{1,5})$/.exec(text) ?? [];
  if (port === "" || Number(port) > 65_535)
    throw new InvalidArgumentError("Write HOST:PORT, e.g. 127.0.0.1:7700.");
  return { host: host.replace(/^\[(.+)\]$/, "$1") || "127.0.0.1", port: Number(port) };
}
