declare module "exifr/dist/mini.esm.mjs" {
  export { orientation } from "exifr";
}
