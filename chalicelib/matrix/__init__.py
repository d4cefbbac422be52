"""One source for many environments: asked (`plan`), done (`service`) and told (`report`)."""
