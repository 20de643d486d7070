import { checkEvents, SluiceError, type MessageEvent, type SluiceEvent } from "sluice";
import { feedback, question, refuseIssues } from "./forms.ts";
import { invalid, Refusal } from "./refusal.ts";

const own = "dev.sluice.";
const ofAnyone = ["dev.sluice.question.", "dev.sluice.feedback."];

/**
 * Lets events of outsiders in, completed: a question is its own correlation where it names none, and
 * stays in the order of its conversation. Throws `Refusal` 403 for a type that is not allowed and 400
 * for what must not come from outside, or could not be published: that would end the source.
 */
export function admit(
  events: readonly MessageEvent[],
  types: readonly string[] | undefined,
): readonly SluiceEvent[] {
  for (const { type, id, audience } of events) {
    if (!isAllowed(type, types))
      throw new Refusal(
        403,
        `event ${JSON.stringify(id)}: type ${JSON.stringify(type)} is not let in here.`,
        {
          fix: "Add a prefix of it to `types` of the http source, if its senders may be trusted with it.",
        },
      );
    if (audience !== undefined)
      throw invalid(
        `event ${JSON.stringify(id)}: audience is set by Sluice alone.`,
        "Leave it out.",
      );
  }
  try {
    return checkEvents(events.map(completed));
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    throw invalid(error.message);
  }
}

/**
 * By default what is not Sluice's own, questions and feedback. Sluice's own other events only by a prefix
 * that says so: a forged version of a record would stand against its true changes for ever.
 */
function isAllowed(type: string, types: readonly string[] | undefined): boolean {
  if (types === undefined)
    return !type.startsWith(own) || ofAnyone.some((prefix) => type.startsWith(prefix));
  return types.some(
    (prefix) => type.startsWith(prefix) && (!type.startsWith(own) || prefix.startsWith(own)),
  );
}

function completed(event: MessageEvent): MessageEvent {
  const { type, id } = event;
  if (type.startsWith("dev.sluice.feedback.")) {
    const data = refuseIssues(feedback, event.data, `event ${JSON.stringify(id)}: data`);
    return { partitionkey: data.answer, ...event, data };
  }
  if (!type.startsWith("dev.sluice.question.")) return event; // by prefix, as stages accept them
  // What the stages add (passages, a prompt) must not come from outside: it would be cited as if found.
  const data = refuseIssues(question, event.data, `event ${JSON.stringify(id)}: data`);
  const { conversation } = data;
  // A question that waits for the index does so from when it was asked: that is not later than now.
  const now = new Date();
  const isAhead = event.time !== undefined && Date.parse(event.time) > now.getTime();
  return {
    correlationid: id,
    ...(conversation !== undefined && { partitionkey: conversation }),
    ...event,
    ...(isAhead && { time: now.toISOString() }),
    data,
  };
}
