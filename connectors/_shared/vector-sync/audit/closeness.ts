const minCosine = 0.9999;
const maxLengthRatio = 1.01;

/**
 * True when two vectors are one text's from one model: models need not answer with the same bits twice, so
 * directions may differ by a cosine of 0.9999 and lengths by a hundredth.
 */
export function isClose(a: Float32Array, b: Float32Array): boolean {
  if (a.length !== b.length) return false;
  let [dot, squaresA, squaresB] = [0, 0, 0];
  // By index, not by iterator: this runs for every number.
  for (let at = 0; at < a.length; at++) {
    const [x = 0, y = 0] = [a[at], b[at]];
    dot += x * y;
    squaresA += x * x;
    squaresB += y * y;
  }
  if (squaresA === 0 || squaresB === 0) return squaresA === squaresB;
  const ratio = Math.sqrt(squaresA / squaresB);
  const cosine = dot / Math.sqrt(squaresA * squaresB);
  return cosine >= minCosine && ratio <= maxLengthRatio && ratio >= 1 / maxLengthRatio;
}
