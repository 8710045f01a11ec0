import OpenSeadragon from "openseadragon";
import { useEffect, useRef, useState } from "preact/hooks";
import { photograph, type Mark, type Shape } from "./api";

export type Tool = "move" | "object" | "background" | "brush" | "eraser";

interface Props {
  index: number;
  shape: Shape;
  session: string;
  /** How the mask lies over the photograph: outline, tint, cutout, or nothing; empty where there is none. */
  look: string;
  /** Changes with the mask; `before` shows the one before its last change. */
  stamp: string;
  before: boolean;
  tool: Tool;
  /** Of the brush, in pixels of the screen. */
  brush: number;
  marks: Mark[];
  label: string;
  onMark: (mark: Mark) => void;
}

type Place = [number, number];

const BRUSHES: Tool[] = ["brush", "eraser"];
const isBrush = (tool: Tool) => BRUSHES.includes(tool);
const markOf = (tool: Tool): Mark["mark"] => (tool === "object" || tool === "brush" ? "object" : "background");
const STEP = 12; // pixels of the screen that an arrow key moves the cross by
const POINT = 6; // a pointer that moved less than this has clicked

// It warns of every tile that comes after its photograph was left, of which nothing is wrong.
(OpenSeadragon as unknown as { console: object }).console = Object.assign(Object.create(console) as Console, { warn: () => undefined });

/** OpenSeadragon writes a style sheet into the page unless it finds its mark, and the Content-Security-Policy forbids that. */
function withoutInlineStyle() {
  const mark = "data-openseadragon-mobile-css";
  if (document.querySelector(`style[${mark}]`)) return;
  const standIn = document.createElementNS("urn:maquette:no-style-sheet", "style");
  standIn.setAttribute(mark, "");
  document.head.append(standIn);
}

/** One photograph, zoomed and moved by pointer and keys, with its mask over it and what is being marked. */
export function Stage(props: Props) {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const viewer = useRef<OpenSeadragon.Viewer | null>(null);
  const over = useRef<OpenSeadragon.TiledImage | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const stroke = useRef<Place[] | null>(null);
  const pressed = useRef<OpenSeadragon.Point | null>(null);
  const sent = useRef<{ line: Place[]; width: number; mark: Mark["mark"]; brush: boolean }[]>([]);
  const cross = useRef<Place | null>(null);
  const lastDab = useRef<Place | null>(null);
  const [open, setOpen] = useState(0);

  const source = (path: string, query: string): OpenSeadragon.TileSourceOptions => {
    const { shape, index } = latest.current;
    return {
      width: shape.width,
      height: shape.height,
      tileSize: shape.tile,
      minLevel: 0,
      maxLevel: shape.levels - 1,
      getTileUrl: (level: number, x: number, y: number) => `${photograph(index)}/${path}/${level}/${x}/${y}?${query}`,
    } as unknown as OpenSeadragon.TileSourceOptions;
  };

  /** Pixels of the photograph in one of the screen. */
  const scale = () => {
    const view = viewer.current;
    const image = view?.world.getItemAt(0);
    return image && view ? 1 / image.viewportToImageZoom(view.viewport.getZoom(true)) : 1;
  };

  const toImage = (point: OpenSeadragon.Point): Place | null => {
    const image = viewer.current?.world.getItemAt(0);
    if (!image || !viewer.current) return null;
    const { width, height } = latest.current.shape;
    const place = image.viewportToImageCoordinates(viewer.current.viewport.pointFromPixel(point, true));
    return [Math.min(width, Math.max(0, place.x)), Math.min(height, Math.max(0, place.y))];
  };

  const toScreen = ([x, y]: Place): Place => {
    const view = viewer.current!;
    const point = view.viewport.pixelFromPoint(view.world.getItemAt(0).imageToViewportCoordinates(x, y), true);
    return [point.x, point.y];
  };

  function draw() {
    const element = canvas.current;
    const view = viewer.current;
    if (!element || !view) return;
    const { clientWidth, clientHeight } = element;
    const ratio = window.devicePixelRatio || 1;
    if (element.width !== Math.round(clientWidth * ratio) || element.height !== Math.round(clientHeight * ratio)) {
      element.width = Math.round(clientWidth * ratio);
      element.height = Math.round(clientHeight * ratio);
    }
    const context = element.getContext("2d")!;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, clientWidth, clientHeight);
    if (!view.world.getItemCount()) return;
    const now = latest.current;
    const style = getComputedStyle(element);
    const colours = { object: style.getPropertyValue("--mark-object"), background: style.getPropertyValue("--mark-background") };
    const lines = [...sent.current];
    if (stroke.current)
      lines.push({ line: stroke.current, width: widthOf(now.tool, now.brush), mark: markOf(now.tool), brush: isBrush(now.tool) });
    for (const mark of now.marks) {
      if (mark.kind === "stroke") lines.push({ line: mark.vertices, width: mark.width ?? 1, mark: mark.mark, brush: false });
    }
    for (const { line, width, mark, brush } of lines) {
      context.strokeStyle = colours[mark];
      context.globalAlpha = brush ? 0.55 : 0.9;
      context.lineWidth = brush ? width / scale() : 4;
      context.lineCap = context.lineJoin = "round";
      context.beginPath();
      line.forEach((place, number) => {
        const [x, y] = toScreen(place);
        if (number === 0) context.moveTo(x, y);
        context.lineTo(x, y);
      });
      context.stroke();
    }
    context.globalAlpha = 1;
    for (const mark of now.marks) {
      if (mark.kind !== "point") continue;
      const [x, y] = toScreen(mark.vertices[0]!);
      context.fillStyle = colours[mark.mark];
      context.strokeStyle = "white";
      context.lineWidth = 2;
      context.beginPath();
      context.arc(x, y, 8, 0, 2 * Math.PI);
      context.fill();
      context.stroke();
      context.beginPath();
      context.moveTo(x - 4, y);
      context.lineTo(x + 4, y);
      if (mark.mark === "object") {
        context.moveTo(x, y - 4);
        context.lineTo(x, y + 4);
      }
      context.stroke();
    }
    if (cross.current && now.tool !== "move") {
      const [x, y] = toScreen(cross.current);
      for (const [colour, width] of [
        ["black", 4],
        ["white", 2],
      ] as const) {
        context.strokeStyle = colour;
        context.lineWidth = width;
        context.beginPath();
        context.moveTo(x - 14, y);
        context.lineTo(x + 14, y);
        context.moveTo(x, y - 14);
        context.lineTo(x, y + 14);
        if (isBrush(now.tool)) {
          context.moveTo(x + now.brush / 2, y);
          context.arc(x, y, now.brush / 2, 0, 2 * Math.PI);
        }
        context.stroke();
      }
    }
  }

  /** Of a line, in pixels of the photograph. */
  function widthOf(tool: Tool, brush: number) {
    const { width, height } = latest.current.shape;
    const longer = Math.max(width, height);
    return Math.min(longer / 2, Math.max(0.1, isBrush(tool) ? brush * scale() : longer / 200));
  }

  function finish(line: Place[], moved: boolean) {
    const { tool, brush, onMark } = latest.current;
    const kind = isBrush(tool) ? "paint" : moved ? "stroke" : "point";
    const vertices = kind === "point" ? [line[0]!] : thinned(line);
    const width = widthOf(tool, brush);
    if (kind !== "point") sent.current.push({ line: vertices, width, mark: markOf(tool), brush: kind === "paint" });
    onMark({ kind, mark: markOf(tool), vertices, ...(kind === "point" ? {} : { width }) });
    draw();
  }

  useEffect(() => {
    withoutInlineStyle();
    const view = OpenSeadragon({
      element: box.current!,
      showNavigationControl: false,
      drawer: "canvas",
      animationTime: 0.3,
      springStiffness: 9,
      maxZoomPixelRatio: 8,
      minZoomImageRatio: 0.6,
      visibilityRatio: 0.4,
      imageLoaderLimit: 6,
      keyboardNavEnabled: false,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: false },
      gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: false },
      gestureSettingsPen: { clickToZoom: false, dblClickToZoom: false },
    } as OpenSeadragon.Options);
    viewer.current = view;
    // OpenSeadragon makes its canvas reachable by key; the stage around it is, and one stop is enough.
    view.canvas.tabIndex = -1;
    const marking = () => latest.current.tool !== "move";
    view.addHandler("canvas-press", (event) => {
      pressed.current = event.position;
      const place = marking() ? toImage(event.position) : null;
      stroke.current = place && [place];
      cross.current = null;
      lastDab.current = null;
    });
    view.addHandler("canvas-drag", (event) => {
      if (!marking()) return;
      event.preventDefaultAction = true;
      const place = toImage(event.position);
      if (place && stroke.current) stroke.current.push(place);
      draw();
    });
    view.addHandler("canvas-drag-end", (event) => {
      if (marking()) event.preventDefaultAction = true;
    });
    view.addHandler("canvas-pinch", () => {
      stroke.current = null; // two fingers zoom
    });
    view.addHandler("canvas-release", (event) => {
      const line = stroke.current;
      stroke.current = null;
      if (!line || !pressed.current || !marking()) return;
      finish(line, event.position.distanceTo(pressed.current) > POINT || line.length > 12);
    });
    for (const name of ["update-viewport", "animation", "resize", "open"] as const) view.addHandler(name, draw);
    return () => {
      viewer.current = null;
      view.destroy();
    };
  }, []);

  // Another photograph.
  useEffect(() => {
    const view = viewer.current!;
    sent.current = [];
    stroke.current = cross.current = lastDab.current = null;
    over.current = null;
    view.open({ tileSource: source("photograph", `s=${props.session}`) as unknown as string });
    const done = () => setOpen((count) => count + 1);
    view.addOnceHandler("open", done);
    return () => view.removeHandler("open", done);
  }, [props.index]);

  // Its mask, or another state of it: the former one stays until the new one can be seen.
  useEffect(() => {
    const view = viewer.current!;
    if (!open) return;
    const former = over.current;
    const gone = () => {
      if (former && view.world.getIndexOfItem(former) >= 0) view.world.removeItem(former);
      sent.current = [];
      view.element.parentElement?.setAttribute("data-mask", props.stamp);
      draw();
    };
    over.current = null;
    if (!props.look) return gone();
    let stale = false;
    view.addTiledImage({
      tileSource: source(props.look, `${props.before ? "before=1&" : ""}v=${props.stamp}`) as unknown as string,
      success: (event: unknown) => {
        const added = (event as { item: OpenSeadragon.TiledImage }).item;
        if (stale || viewer.current !== view) return void (viewer.current === view && view.world.removeItem(added));
        over.current = added;
        added.whenFullyLoaded(gone);
      },
    });
    return () => {
      stale = true;
      if (former && viewer.current === view)
        window.setTimeout(() => view.world.getIndexOfItem(former) >= 0 && view.world.removeItem(former), 0);
    };
  }, [open, props.look, props.stamp, props.before]);

  useEffect(draw, [props.marks, props.tool, props.brush]);

  const key = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const view = viewer.current!;
    const sides: Record<string, Place> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const side = sides[event.key];
    if (event.key === "+" || event.key === "=" || event.key === "-") {
      view.viewport.zoomBy(event.key === "-" ? 1 / 1.5 : 1.5);
    } else if (event.key === "Home") {
      view.viewport.goHome();
    } else if (side && props.tool === "move") {
      view.viewport.panBy(view.viewport.deltaPointsFromPixels(new OpenSeadragon.Point(side[0] * 80, side[1] * 80)));
    } else if (side) {
      const [x, y] = toScreen(
        cross.current ?? toImage(new OpenSeadragon.Point(box.current!.clientWidth / 2, box.current!.clientHeight / 2))!,
      );
      cross.current = toImage(new OpenSeadragon.Point(x + side[0] * STEP, y + side[1] * STEP));
      draw();
    } else if (event.key === "Enter" && props.tool !== "move") {
      cross.current ??= toImage(new OpenSeadragon.Point(box.current!.clientWidth / 2, box.current!.clientHeight / 2));
      if (!cross.current) return;
      const from = event.shiftKey && lastDab.current;
      finish(from ? [from, cross.current] : [cross.current], Boolean(from));
      lastDab.current = cross.current;
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div class={`stage ${props.tool}`} role="application" tabIndex={0} aria-label={props.label} onKeyDown={key} data-shown={open}>
      <div ref={box} class="viewer" />
      <canvas ref={canvas} class="over" aria-hidden="true" />
    </div>
  );
}

/** At most a thousand places of a line, at tenths of a pixel. */
function thinned(line: Place[]): Place[] {
  const step = Math.max(1, Math.ceil(line.length / 1000));
  return line
    .filter((_, number) => number % step === 0 || number === line.length - 1)
    .map(([x, y]) => [Math.round(x * 10) / 10, Math.round(y * 10) / 10]);
}
