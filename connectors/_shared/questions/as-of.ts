import { positionOf, type AsOf, type Metadata, type SourcePoint } from "sluice";

/** As of when a vector's source said it, by its own metadata. */
export function sourcePointOf({ _src, _v, _t }: Metadata): SourcePoint {
  const version = String(_v ?? "");
  const position = positionOf(version);
  return {
    source: String(_src ?? ""),
    version,
    ...(position !== undefined && { position: String(position) }),
    ...(typeof _t === "string" && { time: _t }),
  };
}

/** What is found with all of these reflects: of each source the newest. */
export function asOf(points: readonly SourcePoint[], lsn: bigint | undefined): AsOf {
  const newest = new Map<string, SourcePoint>();
  for (const point of points) {
    const known = newest.get(point.source);
    if (known === undefined || known.version < point.version) newest.set(point.source, point);
  }
  return { ...(lsn !== undefined && { lsn: String(lsn) }), sources: [...newest.values()] };
}
