package right

import "example.org/circle/left"

func Go() { left.Go() }
