import { render } from "preact";
import "../base.css";

/** The place of `maquette review`. */
function Review() {
  return (
    <main class="page">
      <h1>Review</h1>
    </main>
  );
}

render(<Review />, document.getElementById("page")!);
