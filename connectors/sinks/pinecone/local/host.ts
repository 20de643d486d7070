/**
 * Whether a request's Host header is an address, localhost or the name the server was told to listen
 * on. A page in a browser must not reach this server through a name of its own that resolves to
 * 127.0.0.1 (DNS rebinding), and clients send their key to where the answers say the index is.
 */
export function isOwnHost(header: string, listensOn: string): boolean {
  if (/^(localhost|[\d.]+|\[[\da-f:.]+\])(:\d{1,5})?$/i.test(header)) return true;
  const name = /^([\w.-]+)(:\d{1,5})?$/.exec(header)?.[1];
  return name?.toLowerCase() === listensOn.toLowerCase();
}
