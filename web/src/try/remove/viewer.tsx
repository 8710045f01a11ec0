import { useEffect, useRef, useState } from "preact/hooks";
import { type Point } from "./hints";

export type Tool = "look" | Point["mark"];
export type Ground = "checks" | "white" | "black";

interface Props {
  picture: ImageBitmap;
  cutout: OffscreenCanvas | null;
  points: Point[];
  tool: Tool;
  ground: Ground;
  split: number;
  onSplit: (split: number) => void;
  onGround: (ground: Ground) => void;
  onPoint: (x: number, y: number) => void;
}

/** `scale`: CSS pixels for a pixel of the photograph; null: as large as there is room for. `x`, `y`: the pixel in the middle. */
interface View {
  scale: number | null;
  x: number;
  y: number;
}

const GRIP = 18;

/** The photograph left of the line and the cut-out right of it, on one canvas: panned, zoomed to whole pixels, and marked. */
export function Viewer({ picture, cutout, points, tool, ground, split, onSplit, onGround, onPoint }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [view, setView] = useState<View>({ scale: null, x: picture.width / 2, y: picture.height / 2 });
  const [size, setSize] = useState({ width: 0, height: 0 });
  const [cross, setCross] = useState<{ x: number; y: number } | null>(null);
  const held = useRef<{ x: number; y: number; what: "split" | "view" | "press" } | null>(null);

  const fit = Math.min(size.width / picture.width, size.height / picture.height);
  const whole = 1 / window.devicePixelRatio;
  const scale = view.scale ?? fit;
  const left = view.scale === null ? (size.width - picture.width * fit) / 2 : size.width / 2 - view.x * scale;
  const top = view.scale === null ? (size.height - picture.height * fit) / 2 : size.height / 2 - view.y * scale;
  // The line divides what is seen of the photograph, not the margins beside it.
  const [from, to] = [Math.max(0, left), Math.min(size.width, left + picture.width * scale)];
  const line = from + split * (to - from);

  useEffect(() => {
    setView({ scale: null, x: picture.width / 2, y: picture.height / 2 });
    setCross(null);
  }, [picture]);
  useEffect(() => {
    const element = canvas.current!;
    const watch = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);

  useEffect(() => {
    const element = canvas.current!;
    const ratio = window.devicePixelRatio;
    element.width = Math.round(size.width * ratio);
    element.height = Math.round(size.height * ratio);
    const pen = element.getContext("2d")!;
    const token = (name: string) => getComputedStyle(element).getPropertyValue(name);
    pen.scale(ratio, ratio);
    const area: [number, number, number, number] = [left, top, picture.width * scale, picture.height * scale];
    pen.imageSmoothingEnabled = scale < whole;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(picture, ...area);
    if (cutout) {
      pen.save();
      pen.beginPath();
      pen.rect(line, top, to - line, area[3]);
      pen.clip();
      pen.fillStyle = { checks: "#ffffff", white: "#ffffff", black: "#000000" }[ground];
      pen.fillRect(...area);
      if (ground === "checks") {
        pen.fillStyle = "#d4d4d4";
        for (let y = 0; y * 12 < size.height; y++) for (let x = y % 2; x * 12 < size.width; x += 2) pen.fillRect(x * 12, y * 12, 12, 12);
      }
      pen.drawImage(cutout, ...area);
      pen.restore();
      const middle = (Math.max(0, top) + Math.min(size.height, top + area[3])) / 2;
      pen.fillStyle = "#ffffff";
      pen.strokeStyle = "#1d1c1a";
      pen.fillRect(line - 1.5, top, 3, area[3]);
      pen.beginPath();
      pen.arc(line, middle, 15, 0, 2 * Math.PI);
      pen.fill();
      pen.stroke();
      pen.fillStyle = "#1d1c1a";
      for (const side of [-1, 1]) {
        pen.beginPath();
        pen.moveTo(line + side * 9, middle);
        pen.lineTo(line + side * 4, middle - 5);
        pen.lineTo(line + side * 4, middle + 5);
        pen.fill();
      }
    }
    for (const { x, y, mark } of points) sign(pen, left + x * scale, top + y * scale, mark);
    if (cross && tool !== "look") {
      pen.strokeStyle = token("--focus");
      pen.lineWidth = 2;
      pen.strokeRect(left + cross.x * scale - 9, top + cross.y * scale - 9, 18, 18);
      pen.strokeRect(left + cross.x * scale - 1, top + cross.y * scale - 1, 2, 2);
    }
  });

  function zoom(to: number | null) {
    if (to === null || to <= fit) setView({ scale: null, x: picture.width / 2, y: picture.height / 2 });
    else setView((last) => ({ ...inside(last.x, last.y, to), scale: Math.min(to, 8 * whole) }));
  }
  function inside(x: number, y: number, at: number) {
    const clamp = (value: number, room: number, long: number) => {
      const half = Math.min(long / 2, room / 2 / at);
      return Math.min(Math.max(value, half), long - half);
    };
    return { x: clamp(x, size.width, picture.width), y: clamp(y, size.height, picture.height) };
  }
  function pan(x: number, y: number) {
    setView((last) => (last.scale === null ? last : { ...inside(last.x + x / last.scale, last.y + y / last.scale, last.scale), scale: last.scale }));
  }
  function place(event: PointerEvent) {
    const box = canvas.current!.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }
  function slide(x: number) {
    onSplit(Math.min(1, Math.max(0, (x - from) / (to - from))));
  }
  function mark(x: number, y: number) {
    if (x >= 0 && y >= 0 && x < picture.width && y < picture.height) onPoint(Math.round(x * 10) / 10, Math.round(y * 10) / 10);
  }
  function press(event: PointerEvent) {
    const at = place(event);
    canvas.current!.setPointerCapture(event.pointerId);
    const what = tool !== "look" ? "press" : Math.abs(at.x - line) < GRIP || view.scale === null ? "split" : "view";
    held.current = { ...at, what };
    if (what === "split") slide(at.x);
  }
  function move(event: PointerEvent) {
    const before = held.current;
    if (!before) return;
    const at = place(event);
    if (before.what === "split") slide(at.x);
    if (before.what === "view") {
      pan(before.x - at.x, before.y - at.y);
      held.current = { ...at, what: "view" };
    }
  }
  function release(event: PointerEvent) {
    const before = held.current;
    held.current = null;
    if (before?.what !== "press") return;
    const at = place(event);
    if (Math.hypot(at.x - before.x, at.y - before.y) < 8) mark((at.x - left) / scale, (at.y - top) / scale);
  }
  function typed(event: KeyboardEvent) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const far = event.shiftKey ? 40 : 10;
    if (event.key === "+") zoom(scale * 1.5);
    else if (event.key === "-") zoom(scale / 1.5);
    else if (event.key === "0") zoom(null);
    else if (event.key === "1") zoom(whole);
    else if (tool !== "look" && step) {
      const { x, y } = cross ?? { x: view.x, y: view.y };
      setCross({
        x: Math.min(Math.max(x + (step[0]! * far) / scale, 0), picture.width - 1),
        y: Math.min(Math.max(y + (step[1]! * far) / scale, 0), picture.height - 1),
      });
    } else if (tool !== "look" && (event.key === "Enter" || event.key === " ")) mark(cross?.x ?? view.x, cross?.y ?? view.y);
    else if (step && view.scale === null) onSplit(Math.min(1, Math.max(0, split + 0.02 * step[0]!)));
    else if (step) pan(step[0]! * 4 * far, step[1]! * 4 * far);
    else return;
    event.preventDefault();
  }

  return (
    <div class="viewer">
      <canvas
        ref={canvas}
        class={`${tool}${view.scale === null ? "" : " near"}`}
        style={{ aspectRatio: `${picture.width} / ${picture.height}` }}
        tabIndex={0}
        role="application"
        aria-label={
          tool === "look"
            ? "The photograph, and the cut-out right of the line. Arrow keys move the line, or the view when it is enlarged; plus, minus, 0 and 1 change the size."
            : `Mark what is ${tool}: arrow keys move the cross, Enter marks; plus, minus, 0 and 1 change the size.`
        }
        data-scale={scale / whole}
        onPointerDown={press}
        onPointerMove={move}
        onPointerUp={release}
        onKeyDown={typed}
        onWheel={(event) => {
          if (!event.ctrlKey) return;
          event.preventDefault();
          zoom(scale * Math.exp(-event.deltaY / 200));
        }}
      />
      <div class="row zoom unprinted" role="group" aria-label="Size">
        <button type="button" aria-pressed={view.scale === null} onClick={() => zoom(null)}>Whole</button>
        <button type="button" aria-pressed={Math.abs((view.scale ?? 0) - whole) < 1e-6} onClick={() => zoom(whole)}>100 %</button>
        <button type="button" aria-label="Smaller" onClick={() => zoom(scale / 1.5)}>−</button>
        <button type="button" aria-label="Larger" onClick={() => zoom(scale * 1.5)}>+</button>
        <span class="small soft number">{Math.round((100 * scale) / whole)} %</span>
        <label class="row small ground">
          Cut-out on
          <select value={ground} onChange={(event) => onGround(event.currentTarget.value as Ground)}>
            <option value="checks">checks</option>
            <option value="white">white</option>
            <option value="black">black</option>
          </select>
        </label>
      </div>
    </div>
  );
}

/** A plus for object and a minus for background, readable on any photograph. */
function sign(pen: CanvasRenderingContext2D, x: number, y: number, mark: Point["mark"]) {
  pen.beginPath();
  pen.arc(x, y, 9, 0, 2 * Math.PI);
  pen.fillStyle = mark === "object" ? "#1d6b3f" : "#a3221f";
  pen.fill();
  pen.lineWidth = 2;
  pen.strokeStyle = "#ffffff";
  pen.stroke();
  pen.fillStyle = "#ffffff";
  pen.fillRect(x - 5, y - 1, 10, 2);
  if (mark === "object") pen.fillRect(x - 1, y - 5, 2, 10);
}
