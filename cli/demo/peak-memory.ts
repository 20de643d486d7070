/** Samples this process's resident memory, worker threads included. */
export function openPeakMemory(): { readonly peakMiB: () => number } {
  let peak = 0;
  const sample = () => (peak = Math.max(peak, process.memoryUsage.rss()));
  sample();
  setInterval(sample, 50).unref();
  return {
    peakMiB: () => {
      sample();
      return Math.round(peak / 1024 / 1024);
    },
  };
}
