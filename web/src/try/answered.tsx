import { type ComponentChildren } from "preact";
import { type Outcome } from "../kit/api";
import { type Photograph } from "../kit/photograph";
import { type Asked } from "../kit/request";
import { ProblemNotice } from "../kit/shell";

/** The multipart form of a question about one photograph. */
export function asForm(file: File, fields: Asked["fields"]): FormData {
  const form = new FormData();
  for (const [field, value] of Object.entries(fields)) {
    form.set(field, typeof value === "object" ? JSON.stringify(value) : String(value));
  }
  form.set("image", file);
  return form;
}

interface Props {
  outcome: Outcome<{ notes?: string[] }>;
  photograph: Photograph | null;
  waiting: string;
  children: ComponentChildren;
}

/** The card beside the photograph: what will be there, that it is being asked, what went wrong, or the answer. */
export function Answered({ outcome, photograph, waiting, children }: Props) {
  return (
    <section class={`card stack answer${outcome.busy ? " busy" : ""}`} aria-label="Answer" aria-live="polite" aria-busy={outcome.busy}>
      {outcome.problem && <ProblemNotice problem={outcome.problem} />}
      {!outcome.answer && !outcome.problem && <p class="waiting">{photograph ? "Asking ..." : waiting}</p>}
      {children}
      {outcome.answer?.notes?.map((note) => <p class="small soft" key={note}>Note: {note}.</p>)}
    </section>
  );
}
