package left

import "example.org/circle/right"

func Go() { right.Go() }
