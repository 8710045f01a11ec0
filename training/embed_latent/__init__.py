"""An adversarial autoencoder whose latent plane follows its prior, and measures that say whether it does (see README.md)."""
