import { BlockList, isIP } from "node:net";

const ownMachine = new BlockList();
ownMachine.addSubnet("127.0.0.0", 8, "ipv4");
ownMachine.addAddress("::1", "ipv6");

/** True for addresses that only this machine reaches. A name other than `localhost` may be anyone's. */
export function isLoopback(host: string): boolean {
  const family = isIP(host);
  if (family === 0) return host.toLowerCase() === "localhost";
  return ownMachine.check(host, family === 4 ? "ipv4" : "ipv6");
}

/**
 * True for a `Host` header that names us. Where no token is asked for, a page in a browser could else
 * have its own name point at 127.0.0.1 and speak to us as if we were its own server (DNS rebinding).
 */
export function isOwnHost(header: string | undefined, host: string): boolean {
  const name = /^(\[[\da-f:.]+\]|[\w.-]+)(?::\d{1,5})?$/i.exec(header ?? "")?.[1]?.toLowerCase();
  if (name === undefined) return false;
  return (
    name === "localhost" || name === host.toLowerCase() || isIP(name.replace(/[[\]]/g, "")) > 0
  );
}

/** An address as it stands in a URL: IPv6 in brackets. */
export function inUrl(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
