/** How long a listener that says nothing more is published for, milliseconds. It says so again much more often. */
export const listenForMs = 30_000;
export const listenAgainMs = 5_000;
