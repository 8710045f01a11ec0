"""The same dozen questions to our services and to what else serves image models: what each answers stands in docs/peers.md."""
