import { render } from "preact";
import "../base.css";
import "./review.css";
import type { MaskItem, TypeItem } from "./api";
import { Masks } from "./masks";
import { useSet } from "./store";
import { Types } from "./types";

/** The page of `maquette review`: masks, or types. */
function Review() {
  const { known, lost, now } = useSet();
  if (!known)
    return (
      <main class="page">
        <h1>Review</h1>
        <p class={lost ? "notice bad" : "soft"} role="status">
          {lost || "Opening the set …"}
        </p>
      </main>
    );
  document.title = `${known.set.title}: Maquette review`;
  return (
    <>
      {lost ? (
        <p class="notice bad lost" role="alert">
          {lost}
        </p>
      ) : null}
      {known.set.kind === "masks" ? (
        <Masks set={known.set} items={known.items as MaskItem[]} now={now} />
      ) : (
        <Types set={known.set} items={known.items as TypeItem[]} now={now} />
      )}
    </>
  );
}

render(<Review />, document.getElementById("page")!);
