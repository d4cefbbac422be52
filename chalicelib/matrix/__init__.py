"""One source for many environments: asked (`plan`), kept (`model`), done (`service`) and told (`report`)."""
