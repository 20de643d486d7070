/** What is said when a subscription ends because it was full (Invariant 13). */
export const detachedMessage =
  "subscription was full and is detached, with what waited for it; it is brought up to date by a snapshot once its connector goes on";
