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

export default defineConfig({
  root: "pages",
  base: "./",
  builder: {},
  environments: {
    client: builtInto("services/common/web", ["classify", "cluster_assign", "embed_latent", "remove_background", "docs"]),
    review: builtInto("maquette/review/web", ["review"]),
  },
});
