"""What the API and the runner share: models, settings, storage, catalogue, use cases."""
