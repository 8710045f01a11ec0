/** Thumbnails: the sprites lie in the file and are decoded as far as they are seen. */
import { D, el, P } from "./data";

const PER_SPRITE = D.across * D.across;
const KEPT = 6; // decoded sprites, of 16 MB each
const SIDE = D.tile > 64 ? 4096 : 2048; // of the texture that holds what is seen
const ACROSS = Math.floor(SIDE / D.tile);
export const ROOM = ACROSS * ACROSS;

const decoded = new Map<number, Promise<ImageBitmap>>();
function sprite(n: number): Promise<ImageBitmap> {
  const found = decoded.get(n) ?? open(n);
  decoded.delete(n);
  decoded.set(n, found); // the last one used is the last one
  for (const old of [...decoded.keys()].slice(0, -KEPT)) decoded.delete(old);
  return found;
}
async function open(n: number): Promise<ImageBitmap> {
  const image = document.querySelectorAll<HTMLImageElement>("img.sprite")[n]!;
  await image.decode();
  return createImageBitmap(image);
}

const corner = (i: number): [number, number] => {
  const place = i % PER_SPRITE;
  return [(place % D.across) * D.tile, Math.floor(place / D.across) * D.tile];
};

/** The thumbnail of a work, filled in once it is decoded. */
export function picture(i: number, side: number): HTMLCanvasElement {
  const [w, h] = D.sizes[i] ?? [0, 0];
  const f = side / D.tile;
  const made = el("canvas", { width: Math.max(1, w), height: Math.max(1, h), className: "thumbnail" });
  [made.style.width, made.style.height] = [`${w * f}px`, `${h * f}px`];
  if (i < P && w) void sprite(Math.floor(i / PER_SPRITE)).then((bitmap) => made.getContext("2d")!.drawImage(bitmap, ...corner(i), w, h, 0, 0, w, h));
  return made;
}

const slots = new Map<number, number>(); // of a work in the texture
const free: number[] = [];
const sheet = el("canvas");
let wanted: number[] = [];
let busy = false;
let shown = 0; // when the texture was last made
export let atlas: ImageBitmap | null = null;
export const drawn = new Map<number, { x: number; y: number; width: number; height: number }>();

/** Ask for the tiles of these works, at most `ROOM`; `ready` is called whenever more of them are drawn. */
export async function want(works: number[], ready: () => void): Promise<void> {
  wanted = works;
  if (busy) return;
  busy = true;
  for (let missing = wanted.filter((i) => !drawn.has(i)); missing.length; missing = wanted.filter((i) => !drawn.has(i))) {
    const n = Math.floor(missing[0]! / PER_SPRITE);
    const bitmap = await sprite(n);
    const keep = new Set(wanted);
    for (const i of wanted) if (!drawn.has(i) && Math.floor(i / PER_SPRITE) === n) draw(i, bitmap, keep);
    if (performance.now() - shown < 400 && wanted.some((i) => !drawn.has(i))) continue; // a texture for several sprites
    atlas = await createImageBitmap(sheet);
    shown = performance.now();
    ready();
  }
  busy = false;
}

function draw(i: number, bitmap: ImageBitmap, keep: Set<number>): void {
  if (!slots.size) {
    const rows = Math.min(ACROSS, Math.ceil(P / ACROSS));
    [sheet.width, sheet.height] = [ACROSS * D.tile, rows * D.tile];
    for (let slot = Math.min(ROOM, rows * ACROSS) - 1; slot >= 0; slot--) free.push(slot);
  }
  if (!free.length) {
    for (const [work, slot] of slots) {
      if (keep.has(work)) continue;
      slots.delete(work);
      drawn.delete(work);
      free.push(slot);
    }
  }
  const slot = free.pop();
  if (slot === undefined) return void drawn.set(i, { x: 0, y: 0, width: 0, height: 0 });
  slots.set(i, slot);
  const [w, h] = D.sizes[i]!;
  const [x, y] = [(slot % ACROSS) * D.tile, Math.floor(slot / ACROSS) * D.tile];
  const pen = sheet.getContext("2d", { willReadFrequently: true })!;
  pen.clearRect(x, y, D.tile, D.tile);
  pen.drawImage(bitmap, ...corner(i), w, h, x, y, w, h);
  drawn.set(i, { x, y, width: w, height: h });
}
