/** What photogrammetry programs want the mask of a photograph to be called; the contract's `mask_names.py`, to which a test holds it. */
const NAMES: Record<string, { title: string; name: (stem: string, suffix: string) => string }> = {
  colmap: { title: "COLMAP", name: (stem, suffix) => `${stem}${suffix}.png` },
  metashape: { title: "Metashape", name: (stem) => `${stem}_mask.png` },
  realityscan: { title: "RealityScan", name: (stem, suffix) => `${stem}${suffix}.mask.png` },
  meshroom: { title: "Meshroom", name: (stem) => `${stem}.png` },
  odm: { title: "ODM", name: (stem) => `${stem}_mask.png` },
  openmvs: { title: "OpenMVS", name: (stem) => `${stem}.mask.png` },
};

export const PROGRAMS = Object.entries(NAMES).map(([id, { title }]) => ({ id, title }));

/** The name, or null where the program could not read the mask back: ODM passes over names with a space. */
export function maskName(photograph: string, program: string): string | null {
  const dot = photograph.lastIndexOf(".");
  const stem = dot > 0 ? photograph.slice(0, dot) : photograph;
  if (program === "odm" && stem.includes(" ")) return null;
  return NAMES[program]?.name(stem, photograph.slice(stem.length)) ?? null;
}
