import { useRef } from "preact/hooks";

export interface Space {
  embedding_space: string;
  dimensions: number;
  prior_mean: number[];
  prior_standard_deviation: number[];
  groups: string[];
  points: { id: string; group: string; latent: number[] }[];
  farthest_decoded: number;
}

export type Place = [number, number];

/** How far from the centre of the prior, in its standard deviations. */
export function deviations(space: Space, place: Place): number {
  return Math.hypot(...place.map((value, axis) => (value - space.prior_mean[axis]!) / space.prior_standard_deviation[axis]!));
}

/** Where something stands on the plane for a person who reads: two decimals, and a true minus. */
export function written(place: Place): string {
  return `(${place.map((value) => value.toFixed(1).replace("-", "−")).join(", ")})`;
}

const SHAPES = ["M-1 0a1 1 0 1 0 2 0a1 1 0 1 0-2 0", "M-.9-.9H.9V.9H-.9Z", "M0-1.15 1.1.85H-1.1Z", "M0-1.25 1.05 0 0 1.25-1.05 0Z"];

/** A group's own mark: a colour and a shape, so that it is told apart in grey too. */
export function Mark({ index, x = 0, y = 0, size }: { index: number; x?: number; y?: number; size: number }) {
  return <path class={`mark g${(index % 8) + 1}`} d={SHAPES[index % SHAPES.length]!} transform={`translate(${x} ${y}) scale(${size})`} />;
}

interface Props {
  space: Space;
  here: Place | null;
  photograph: Place | null;
  onHere: (place: Place) => void;
  hidden: Set<string>;
}

/** The reference points, the prior's circles, the photograph's point and the place that is decoded. `y` grows upwards. */
export function Plane({ space, here, photograph, onHere, hidden }: Props) {
  const picture = useRef<SVGSVGElement>(null);
  const [mx, my] = [space.prior_mean[0]!, space.prior_mean[1]!];
  const [sx, sy] = [space.prior_standard_deviation[0]!, space.prior_standard_deviation[1]!];
  const farthest = Math.max(3.15, ...[...space.points.map(({ latent }) => latent as Place), ...(photograph ? [photograph] : [])].map((place) => deviations(space, place)));
  const reach = Math.min(farthest * 1.04, space.farthest_decoded);
  // A hundred units are the half of the picture.
  const [kx, ky] = [100 / (reach * sx), 100 / (reach * sy)];
  const at = ([x, y]: Place): Place => [(x - mx) * kx, -(y - my) * ky];

  function bounded(place: Place): Place {
    const far = deviations(space, place) / (space.farthest_decoded * 0.999);
    return far <= 1 ? place : [mx + (place[0] - mx) / far, my + (place[1] - my) / far];
  }
  function pointed(event: PointerEvent) {
    const matrix = picture.current?.getScreenCTM();
    if (!matrix) return;
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
    onHere(bounded([mx + x / kx, my - y / ky]));
  }
  function typed(event: KeyboardEvent) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const [x, y] = here ?? [mx, my];
    const far = event.shiftKey ? 0.4 : 0.1;
    onHere(bounded([x + step[0]! * far * sx, y + step[1]! * far * sy]));
  }
  const rings = [1, 2, 3].filter((ring) => ring <= reach);
  return (
    <svg
      ref={picture}
      class="plane"
      viewBox="-104 -104 208 208"
      tabindex={0}
      role="application"
      aria-label={`The latent plane with ${space.points.length} reference points. Arrow keys walk it; the figurine at that place is drawn beside it.`}
      onPointerMove={(event) => {
        // A page that scrolls below a resting pointer tells of a move as well.
        if ((event.pointerType === "mouse" || event.buttons) && (event.movementX || event.movementY)) pointed(event);
      }}
      onPointerDown={pointed}
      onKeyDown={typed}
    >
      {rings.map((ring) => <ellipse key={ring} class="ring" rx={ring * sx * kx} ry={ring * sy * ky} />)}
      <path class="axes" d="M-3 0H3M0-3V3" />
      {space.points.map(({ id, group, latent }) => {
        const [x, y] = at(latent as Place);
        return hidden.has(group) ? null : <Mark key={id} index={space.groups.indexOf(group)} x={x} y={y} size={1.5} />;
      })}
      {rings.map((ring) => <text key={ring} x={0.71 * ring * sx * kx} y={-0.71 * ring * sy * ky}>{ring} σ</text>)}
      {photograph && <path class="own" d="M0-6.5 1.6-1.9 6.2-1.9 2.5 1 3.9 5.5 0 2.8-3.9 5.5-2.5 1-6.2-1.9-1.6-1.9Z" transform={`translate(${at(photograph).join(" ")})`}><title>The photograph</title></path>}
      {here && <path class="here" d="M-7 0h5M2 0h5M0-7v5M0 2v5" transform={`translate(${at(here).join(" ")})`} />}
    </svg>
  );
}
