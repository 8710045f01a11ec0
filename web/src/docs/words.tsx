/** A text of the document, what stands between backticks as code. */
export function Words({ children }: { children: string }) {
  return <>{children.split("`").map((part, index) => (index % 2 ? <code key={index}>{part}</code> : part))}</>;
}
