import { type ComponentChildren } from "preact";

export interface Bar {
  key: string | number;
  name: ComponentChildren;
  value: number;
  first?: boolean;
}

export function percent(value: number): string {
  return value > 0 && value < 0.001 ? "< 0.1 %" : `${(100 * value).toFixed(1)} %`;
}

/** Shares of one, as a table whose last column is drawn. */
export function Bars({ label, named, rows }: { label: string; named: [string, string]; rows: Bar[] }) {
  return (
    <table class="bars">
      <caption class="unseen">{label}</caption>
      <thead class="unseen"><tr><th scope="col">{named[0]}</th><th scope="col">{named[1]}</th></tr></thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.key} class={row.first ? "best" : ""}>
            <th scope="row">{row.name}</th>
            <td>
              <div>
              <span class="track"><span class="fill" style={{ width: `${100 * Math.min(1, row.value)}%` }} /></span>
              <span class="number">{percent(row.value)}</span>
              </div>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
