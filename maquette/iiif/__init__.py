"""Collections that are published as IIIF: manifests in, Web Annotations out."""
