import { useEffect, useRef, useState } from "preact/hooks";
import { ask, Refused, type MaskSet, type TypeSet } from "./api";

const BUSY = 700; // milliseconds between questions while something goes on
const QUIET = 4000;

export type AnySet = MaskSet | TypeSet;

export interface Known<S extends AnySet> {
  set: S;
  items: S["items"];
}

const isBusy = (set: AnySet): boolean =>
  set.kind === "types" ? set.asking : set.measured < set.total || set.rest.state === "learning" || set.rest.state === "making";

/** The set as the command knows it: asked for again as it changes, each time for what is new alone. */
export function useSet(): { known: Known<AnySet> | null; lost: string; now: () => void } {
  const [known, setKnown] = useState<Known<AnySet> | null>(null);
  const [lost, setLost] = useState("");
  const wake = useRef<() => void>(() => undefined);

  useEffect(() => {
    let timer = 0;
    let over = false;
    let current: Known<AnySet> | null = null;
    let asking = false;
    let again = false;

    async function look(refresh: boolean) {
      window.clearTimeout(timer);
      if (asking) {
        again = true;
        return;
      }
      asking = true;
      try {
        const set = await ask<AnySet>(`set?since=${current?.set.revision ?? 0}${refresh ? "&look=1" : ""}`);
        if (over) return;
        if (current && current.set.session !== set.session) return location.reload(); // the command was started anew
        setLost("");
        if (current && set.revision === current.set.revision && !isBusy(set) && !isBusy(current.set)) return; // nothing is new
        const items = (current ? [...current.items] : []) as AnySet["items"];
        for (const item of set.items) items[item.index] = item;
        current = { set, items } as Known<AnySet>;
        setKnown(current);
      } catch (error) {
        if (!over) setLost(error instanceof Refused ? error.message : String(error));
      } finally {
        asking = false;
      }
      if (over) return;
      if (again) {
        again = false;
        return void look(false);
      }
      timer = window.setTimeout(() => void look(false), current && isBusy(current.set) ? BUSY : QUIET);
    }

    const seen = () => {
      if (document.visibilityState === "visible") void look(true);
    };
    wake.current = () => void look(false);
    void look(true);
    window.addEventListener("focus", seen);
    return () => {
      over = true;
      window.clearTimeout(timer);
      window.removeEventListener("focus", seen);
    };
  }, []);

  return { known, lost, now: () => wake.current() };
}
