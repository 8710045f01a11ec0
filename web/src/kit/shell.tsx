import { type ComponentChildren, render } from "preact";
import { useContext, useState } from "preact/hooks";
import { KeyContext, type Model, type Outcome, type Problem, useStoredKey } from "./api";
import "./shell.css";

/** Put a page in its place, with the key that its questions need. */
export function mount(Page: () => ComponentChildren): void {
  function Keyed() {
    return (
      <KeyContext.Provider value={useStoredKey()}>
        <Page />
      </KeyContext.Provider>
    );
  }
  render(<Keyed />, document.getElementById("page")!);
}

interface ShellProps {
  title: string;
  lead: ComponentChildren;
  here: "try" | "docs";
  children: ComponentChildren;
}

export function Shell({ title, lead, here, children }: ShellProps) {
  const current = (page: string) => (page === here ? "page" : undefined);
  return (
    <>
      <header class="top">
        <div class="bar">
          <a class="name" href="./">Maquette</a>
          <nav aria-label="Pages of this service">
            <a href="./" aria-current={current("try")}>Try it</a>
            <a href="./docs" aria-current={current("docs")}>API</a>
          </nav>
        </div>
      </header>
      <main class="page">
        <div class="head">
          <h1>{title}</h1>
          <p class="soft">{lead}</p>
        </div>
        <KeyForm />
        {children}
      </main>
    </>
  );
}

/** Asked for only when the service has refused. */
function KeyForm() {
  const { key, wanted, give } = useContext(KeyContext);
  const [typed, setTyped] = useState("");
  if (!wanted) return null;
  return (
    <form
      class="notice warn key unprinted"
      onSubmit={(event) => {
        event.preventDefault();
        give(typed.trim());
      }}
    >
      <label for="key">{key ? "The service does not know this key. Another one:" : "This service asks for a key:"}</label>
      <div class="row">
        <input id="key" type="password" autocomplete="off" required value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
        <button class="first">Use it</button>
      </div>
      <p class="small">It stays in this tab, and goes to this service alone.</p>
    </form>
  );
}

export function ProblemNotice({ problem }: { problem: Problem }) {
  return (
    <div class="notice bad" role="alert">
      <p>{problem.detail}</p>
      {problem.code && <p class="small soft">{problem.code}</p>}
    </div>
  );
}

/** What answers, and what it must not be asked. */
export function About({ model: { answer: model } }: { model: Outcome<Model> }) {
  if (!model) return null;
  return (
    <footer class="about small">
      <p>
        <strong>{model.name} {model.version}</strong>, {model.architecture}, {model.precision}.{" "}
        <span class="soft">Trained on {model.training_data.map(({ name, items }) => `${name} (${items.toLocaleString("en")})`).join(", ")}.</span>
      </p>
      <p><strong>For:</strong> {model.intended_use}</p>
      <p><strong>Not for:</strong> {model.not_for}</p>
    </footer>
  );
}
