"""Which masks want a person's eye: measured, judged, shown on a contact sheet."""
