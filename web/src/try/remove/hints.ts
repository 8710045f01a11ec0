import { orientation } from "exifr/dist/mini.esm.mjs";

export interface Point {
  x: number;
  y: number;
  mark: "object" | "background";
}

/** The EXIF orientation, 1 to 8, of a JPEG; 1 for what has none. */
export async function orientationOf(file: File): Promise<number> {
  const found = file.type === "image/jpeg" ? await orientation(file).catch(() => undefined) : undefined;
  return found ?? 1;
}

/** Points of the upright photograph, `width` by `height`, in the rows and columns that the camera stored. */
export function inSensorFrame(points: Point[], turned: number, width: number, height: number): Point[] {
  const to: Record<number, (x: number, y: number) => [number, number]> = {
    2: (x, y) => [width - x, y],
    3: (x, y) => [width - x, height - y],
    4: (x, y) => [x, height - y],
    5: (x, y) => [y, x],
    6: (x, y) => [y, width - x],
    7: (x, y) => [height - y, width - x],
    8: (x, y) => [height - y, x],
  };
  return points.map((point) => {
    const [x, y] = to[turned]?.(point.x, point.y) ?? [point.x, point.y];
    return { ...point, x, y };
  });
}
