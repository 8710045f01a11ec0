import { type ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

/**
 * A photograph in hand. `picture` is undefined while the browser opens it, for the service is asked meanwhile, and null where the
 * browser cannot show what the service may read, such as TIFF.
 */
export interface Photograph {
  file: File;
  picture: ImageBitmap | null | undefined;
}

function imageOf(data: DataTransfer | null): File | undefined {
  return [...(data?.files ?? [])].find((file) => file.type.startsWith("image/") || /\.(tiff?|webp|png|jpe?g)$/i.test(file.name));
}

interface Props {
  samples: string[];
  photograph: Photograph | null;
  onPhotograph: (photograph: Photograph) => void;
  children: ComponentChildren;
}

/** Drop, paste or choose a photograph, or take a sample of the service's own; `children` show it when there is one. */
export function PhotographInput({ samples, photograph, onPhotograph, children }: Props) {
  const [over, setOver] = useState(false);
  const [wrong, setWrong] = useState("");
  const input = useRef<HTMLInputElement>(null);
  const latest = useRef<File | null>(null);

  async function take(file: File | undefined) {
    setOver(false);
    setWrong(file ? "" : "That is no photograph; JPEG, PNG, WebP and TIFF are.");
    if (!file) return;
    latest.current = file;
    onPhotograph({ file, picture: undefined });
    const picture = await createImageBitmap(file).catch(() => null);
    if (latest.current === file) onPhotograph({ file, picture });
  }
  async function sample(name: string) {
    const response = await fetch(`samples/${name}.jpg`);
    if (response.ok) await take(new File([await response.blob()], `${name}.jpg`, { type: "image/jpeg" }));
  }
  useEffect(() => {
    const paste = (event: ClipboardEvent) => {
      const file = imageOf(event.clipboardData);
      if (file) void take(file);
    };
    const drag = (event: DragEvent) => {
      event.preventDefault();
      setOver(true);
    };
    const leave = (event: DragEvent) => event.relatedTarget === null && setOver(false);
    const drop = (event: DragEvent) => {
      event.preventDefault();
      void take(imageOf(event.dataTransfer));
    };
    window.addEventListener("paste", paste);
    window.addEventListener("dragover", drag);
    window.addEventListener("dragleave", leave);
    window.addEventListener("drop", drop);
    return () => {
      window.removeEventListener("paste", paste);
      window.removeEventListener("dragover", drag);
      window.removeEventListener("dragleave", leave);
      window.removeEventListener("drop", drop);
    };
  }, [onPhotograph]);

  return (
    <section class={`photograph stack${over ? " over" : ""}`} aria-label="Photograph">
      {photograph ? children : (
        <div class="drop">
          <svg viewBox="0 0 48 48" width="48" height="48" aria-hidden="true">
            <path d="M6 34v6h36v-6M24 32V8m-9 9 9-9 9 9" fill="none" stroke="currentColor" stroke-width="2.5" stroke-linecap="round" stroke-linejoin="round" />
          </svg>
          <p><strong>Drop a photograph here</strong><br /><span class="soft">or paste one</span></p>
        </div>
      )}
      {wrong && <p class="notice warn" role="alert">{wrong}</p>}
      <div class="row choose unprinted">
        <button type="button" class={photograph ? "" : "first"} onClick={() => input.current?.click()}>
          {photograph ? "Another photograph" : "Choose a photograph"}
        </button>
        <input
          ref={input}
          class="unseen"
          type="file"
          tabIndex={-1}
          aria-label="Photograph"
          accept="image/jpeg,image/png,image/webp,image/tiff"
          onChange={(event) => {
            void take(event.currentTarget.files?.[0]);
            event.currentTarget.value = "";
          }}
        />
        <span class="soft small">or a sample:</span>
        <div class="samples">
          {samples.map((name) => (
            <button type="button" key={name} onClick={() => void sample(name)} aria-pressed={photograph?.file.name === `${name}.jpg`}>
              <img src={`samples/${name}.jpg`} alt={name.replaceAll("_", " ")} width="56" height="56" />
            </button>
          ))}
        </div>
      </div>
    </section>
  );
}

/** A photograph as large as there is room for; `children` lie over it. `instead`: the service's own picture, where the browser has none. */
export function Stage({ photograph, children, instead = "" }: { photograph: Photograph; children?: ComponentChildren; instead?: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { picture, file } = photograph;
  useEffect(() => {
    if (!canvas.current || !picture) return;
    const scale = Math.min(1, 1600 / Math.max(picture.width, picture.height));
    canvas.current.width = Math.round(picture.width * scale);
    canvas.current.height = Math.round(picture.height * scale);
    canvas.current.getContext("2d")?.drawImage(picture, 0, 0, canvas.current.width, canvas.current.height);
  }, [picture]);
  return (
    <figure class="stage">
      {picture
        ? <div class="frame"><canvas ref={canvas} role="img" aria-label={`The photograph ${file.name}`} />{children}</div>
        : picture === null && instead ? <img class="instead" src={instead} alt={`What the service made of ${file.name}`} />
        : picture === undefined ? <p class="soft">Opening {file.name} ...</p> : <p class="soft">This browser cannot show {file.name}. The service may well read it.</p>}
      <figcaption class="small soft">
        {file.name}{picture === null && instead && ", which this browser cannot show; the picture is the service's"}{picture && <>, <span class="number">{picture.width} × {picture.height}</span> pixels</>}
      </figcaption>
    </figure>
  );
}
