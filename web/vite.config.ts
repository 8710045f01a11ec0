import { defineConfig, type EnvironmentOptions } from "vite";

/** One set of pages, built into the Python package that serves them; the names of its files stay, so that a change is seen in git. */
function builtInto(folder: string, pages: string[]): EnvironmentOptions {
  return {
    consumer: "client",
    build: {
      outDir: `../../${folder}`,
      emptyOutDir: true,
      assetsDir: "assets",
      assetsInlineLimit: 0, // a data: address would need a wider Content-Security-Policy
      modulePreload: { polyfill: false },
      target: "es2022",
      rolldownOptions: {
        input: pages.map((page) => `pages/${page}.html`),
        output: {
          entryFileNames: "assets/[name].js",
          chunkFileNames: "assets/[name].js",
          assetFileNames: "assets/[name][extname]",
        },
      },
    },
  };
}

/** The script and the style that maquette.maps writes into the file of a map. */
function map(): EnvironmentOptions {
  const made = builtInto("maquette/maps/web", []);
  const names = { entryFileNames: "map.js", assetFileNames: "map[extname]" };
  return { ...made, build: { ...made.build, rolldownOptions: { input: "../src/map/main.ts", output: { ...names, codeSplitting: false } } } };
}

export default defineConfig({
  root: "pages",
  base: "./",
  builder: {},
  environments: {
    client: builtInto("services/common/web", ["classify", "cluster_assign", "embed_latent", "remove_background", "docs"]),
    review: builtInto("maquette/review/web", ["review"]),
    map: map(),
  },
});
