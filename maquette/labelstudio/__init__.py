"""Label Studio: a backend that answers its requests for predictions, and what people corrected there as masks to learn from."""
